"""Alerts on miscalibration: the rules, evidence and words of windows, single classes and the sequential test."""

import math
from collections.abc import Mapping
from typing import Any, Final

from ..domain.settings import CLASS, ModelSettings
from ..domain.times import parse_time
from ..windows.scores import TOO_FEW_LABELS
from .transitions import Finding, percent

RESOLVED_SHARE: Final = 0.8

"""An alarm resolves only once what fired it is under this share of its threshold."""

EVEN_ODDS: Final = 0.5

"""How often the bound that ends an alarm may exceed the truth."""

MISCALIBRATION: Final = "miscalibration"

WINDOW: Final = "window"

SEQUENTIAL: Final = "sequential"

"""An alert policy; and in place of a window, what the alarm of the sequential test is over."""

_SHOWN: Final = (
    "ece",
    "ece_lower_bound",
    "ece_even_odds_bound",
    "ece_null_mean",
    "quantile_ece",
    "quantile_ece_lower_bound",
    "quantile_ece_even_odds_bound",
    "labelled",
    "predictions",
    "direction",
    "accuracy",
    "mean_confidence",
    "start",
    "end",
)

_MOST_SHOWN: Final = 300 * math.log(10)

"""Of an e-value; beyond e to the power of it, it is so large that its size says nothing more."""


def window_finding(fields: Mapping[str, Any], window: str, settings: ModelSettings) -> Finding:
    """Return what an evaluation says about the alarm on calibration of a model version as a whole.

    Where it carries a bound of even odds, that is what counts: the alarm fires, and this is about its end. It is of enough labels then.
    """
    name = "quantile_ece" if "quantile_ece_lower_bound" in fields else "ece"
    even = fields.get(f"{name}_even_odds_bound")
    return _bounded(
        fields,
        window,
        settings,
        enough=even is not None or fields["verdict"] != TOO_FEW_LABELS,
        bound=fields[f"{name}_lower_bound"] if even is None else even,
        threshold=settings.thresholds["ece"],
        name="quantile ECE" if name == "quantile_ece" else "ECE",
        evidence={shown: fields[shown] for shown in _SHOWN if shown in fields},
    )


def class_finding(fields: Mapping[str, Any], found: Mapping[str, Any], window: str, settings: ModelSettings) -> Finding:
    """Return what an evaluation, and what it says of one class, say about the alarm on that class."""
    about = {shown: fields[shown] for shown in ("labelled", "predictions", "start", "end")}
    even = found.get("ece_even_odds_bound")
    return _bounded(
        fields,
        window,
        settings,
        enough=even is not None or found["verdict"] != TOO_FEW_LABELS,
        bound=found["ece_lower_bound"] if even is None else even,
        threshold=settings.class_thresholds[found["class"]],
        name="class-wise ECE",
        segment=f"{CLASS}{found['class']}",
        evidence={**about, **found},
    )


def _bounded(
    fields: Mapping[str, Any],
    window: str,
    settings: ModelSettings,
    *,
    enough: bool,
    bound: float | None,
    threshold: float,
    name: str,
    evidence: dict[str, Any],
    segment: str = "",
) -> Finding:
    value, rate = bound or 0.0, settings.false_alarm_rate
    said = f"a lower bound of its {name} over {window}, {value:.3f}, is"
    chance = f"of windows in which it is at or under that, at most {percent(rate)} show this"
    return Finding(
        kind=MISCALIBRATION,
        window=window,
        version=fields["version"],
        segment=segment,
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=enough and bound is not None,
        beyond=value > threshold,
        back=value < RESOLVED_SHARE * threshold,
        claim=f"{said} above the threshold {threshold:g}; {chance}",
        relief=f"{said} back under the threshold {threshold:g}",
        evidence=evidence | {"threshold": threshold, "false_alarm_rate": rate, "policy": WINDOW},
    )


def sequential_finding(fields: Mapping[str, Any], version: str, name: str = "ECE") -> Finding:
    """Return what the sequential test of a model version says about the alarm on its calibration.

    Parameters
    ----------
    fields : of the test, as it stands
    name : what its threshold is of

    """
    rate, threshold, log_e = fields["false_alarm_rate"], fields["threshold"], fields["log_e"] or 0.0
    value = e_value(log_e)
    claim = (
        f"e-value {value} reached {1 / rate:.6g} = 1/false_alarm_rate on {fields['labels']:,} labels since {fields['since']}; while its "
        f"{name} stays at or under {threshold:g} a model does this with probability at most {percent(rate)} however long it is watched"
    )
    return Finding(
        kind=MISCALIBRATION,
        window=SEQUENTIAL,
        version=version,
        segment="",
        start=parse_time("since", fields["since"]),
        end=parse_time("until", fields["until"]),
        enough=True,
        beyond=log_e >= -math.log(rate),
        back=False,  # a test says when there is something, never that there is nothing
        claim=claim,
        relief="",
        evidence={**fields, "policy": SEQUENTIAL, "e_value": math.exp(min(log_e, _MOST_SHOWN))},
    )


def e_value(log_e: float) -> str:
    """Return an e-value in words.

    >>> e_value(4.88), e_value(20.0), e_value(1e4)
    ('132', '4.85e+08', 'over 1e+300')
    """
    return f"over {math.exp(_MOST_SHOWN):.0e}" if log_e > _MOST_SHOWN else f"{math.exp(log_e):.3g}"


def settled(finding: Finding) -> Finding:
    """Return what a window says about the end of an alarm that the sequential test raised."""
    return Finding(
        kind=finding.kind,
        window=SEQUENTIAL,
        version=finding.version,
        segment=finding.segment,
        start=finding.start,
        end=finding.end,
        enough=finding.enough,
        beyond=False,
        back=finding.back,
        claim="",
        relief=f"{finding.relief}; its test begins afresh",
        evidence=finding.evidence | {"policy": SEQUENTIAL},
    )
