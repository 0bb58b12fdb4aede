"""What the sequential test found and what its alert promises, in words."""

import math
from typing import Final

from ..domain.sequential import POINTWISE, VersionEvidence
from ..domain.setting_types import PerLabels
from ..domain.times import micros, rfc3339
from .transitions import percent

_THOUSAND: Final = 1e3
_MILLION: Final = 1e6

_MOST_SHOWN: Final = 300 * math.log(10)
"""Logarithm of the largest e-value that is shown; the size of a larger one says nothing more."""


def claim(test: VersionEvidence, name: str) -> str:
    """Return what an alert says: what is above its limit, by which evidence, and how often that is wrong.

    Parameters
    ----------
    test : as it stands
    name : what its threshold is of

    """
    limit = f"{test.threshold:g}"
    broken = f"Some confidences are off by more than {limit}" if _pointwise(test) else f"{name} is above {limit}"
    within = f"A model whose confidences are all within {limit}" if _pointwise(test) else "A model within the threshold"
    figure = "a Shiryaev-Roberts statistic" if isinstance(test.guarantee, PerLabels) else "an e-value"
    known = test.ece_at_least is not None and test.ece_at_least > test.threshold
    at_least = f" {'The ECE' if _pointwise(test) else 'It'} has been at least {test.ece_at_least:g}." if known else ""
    return (
        f"{broken}: {test.labels:,} labels since {rfc3339(micros(test.since))} gave {figure} of {e_value(test.highest)} "
        f"(it fires at {e_value(test.limit)}). {within} reaches that {_how_often(test)}.{at_least}"
    )


def _pointwise(test: VersionEvidence) -> bool:
    return test.alert_on == POINTWISE


def _how_often(test: VersionEvidence) -> str:
    promise = test.guarantee
    if isinstance(promise, PerLabels):
        mean = promise.labels / promise.false_alarms
        return (
            f"within the first {promise.labels:,} labels of a test with probability at most {percent(promise.false_alarms)}, and after "
            f"{mean:,.0f} labels or more on average"
        )
    rate = percent(test.false_alarm_rate)
    return f"with probability at most {percent(test.level or 0.0)}, however long it is watched; in any of the model's tests, {rate}"


def shown(log_e: float) -> float:
    """Return the value of a logarithm, the largest one that is shown at most."""
    return math.exp(min(log_e, _MOST_SHOWN))


def e_value(log_e: float) -> str:
    """Return an e-value in words.

    >>> e_value(4.88), e_value(10.0), e_value(20.0), e_value(1e4)
    ('132', '22,000', '4.85e+08', 'over 1e+300')
    """
    if log_e > _MOST_SHOWN:
        return f"over {shown(log_e):.0e}"
    rounded = f"{math.exp(log_e):.3g}"
    return f"{float(rounded):,.0f}" if _THOUSAND <= float(rounded) < _MILLION else rounded
