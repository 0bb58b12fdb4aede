"""Reasons to ask a person although a calibrator passed its gate.

A gate takes labels as they are. Where the labels look odd, or a calibrator would change served values much, a better log loss is not
enough for `auto`: the version is registered and proposed, and a person decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from ..store.calibrators import Guards, Limited, RateJump, UntrustedLabels

LEVEL: Final = 0.01
"""Significance level of the label-rate test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The findings of the guards."""

    held: str | None  # why a person must decide; None: no decision is needed
    figures: Guards


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The outcome whose share of labels changed most between two parts of a sample."""

    outcome: int
    before: float
    after: float
    sure: bool  # significant

    @property
    def size(self) -> float:
        """The absolute change of the share."""
        return abs(self.after - self.before)


def label_rate_jump(before: ArrayLike, after: ArrayLike) -> Jump:
    """Return the change of the label shares, and whether it is significant.

    The difference of two binomial shares over its standard error under a common share, two-sided at 1 %, divided by the number of outcomes
    where there are more than two.

    Parameters
    ----------
    before, after : arrays of shape (K,), labels per outcome; at least one in each

    Examples
    --------
    >>> label_rate_jump([700, 300], [150, 150])
    Jump(outcome=1, before=0.3, after=0.5, sure=True)
    >>> label_rate_jump([7, 3], [5, 5]).sure
    False

    """
    counts = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    totals = [count.sum() for count in counts]
    first, second = (count / total for count, total in zip(counts, totals, strict=True))
    common = (counts[0] + counts[1]) / sum(totals)
    error = np.sqrt(common * (1.0 - common) * (1.0 / totals[0] + 1.0 / totals[1]))
    difference = np.abs(second - first)
    two = len(difference) == 2  # noqa: PLR2004  whose shares move alike: the positive one speaks for both
    outcome = 1 if two else int(difference.argmax())
    sure = difference[outcome] > norm.isf(LEVEL / 2 / (1 if two else len(difference))) * error[outcome]
    return Jump(outcome=outcome, before=float(first[outcome]), after=float(second[outcome]), sure=bool(sure))


def mean_change(candidate: ArrayLike, now: ArrayLike, sample_weight: ArrayLike) -> float:
    """Return the mean change of served values: mean |candidate - now|, for vectors half the sum over classes.

    Parameters
    ----------
    candidate, now : arrays of shape (n,) or (n, K), probabilities for the same rows
    sample_weight : array of shape (n,)

    Examples
    --------
    >>> round(mean_change([0.6, 0.9], [0.8, 0.9], [1, 3]), 3)
    0.05
    >>> round(mean_change([[0.4, 0.6]], [[0.2, 0.8]], [1]), 3)
    0.2

    """
    moved = np.abs(np.asarray(candidate, dtype=np.float64) - np.asarray(now, dtype=np.float64))
    weight = np.asarray(sample_weight, dtype=np.float64)
    return float(weight @ (moved if moved.ndim == 1 else moved.sum(axis=1) / 2.0) / weight.sum())


def guarded(
    limits: Mapping[str, float], *, jump: Jump | None, named: Sequence[str], change: float, untrusted: int, labels: int
) -> Guarded:
    """Return whether and why a person must decide on a calibrator that passed its gate.

    Parameters
    ----------
    limits : the setting `guards`
    jump : of label rates, between the labels fitted on and those held out; None where nothing was fitted
    named : names of the outcomes
    change : of served values, on average
    untrusted : labels of the fit that are not from trusted sources
    labels : of the fit

    Examples
    --------
    >>> limits = {"label_rate_jump": 0.1, "mean_change": 0.25}
    >>> jump = label_rate_jump([700, 300], [150, 150])
    >>> guarded(limits, jump=jump, named=("0", "1"), change=0.02, untrusted=0, labels=1000).held
    'the share of labels that say 1 jumped from 0.300 (fitted on) to 0.500 (held out), limit 0.1'

    """
    reasons = []
    if jump is not None:
        limit = limits["label_rate_jump"]
        if jump.sure and jump.size > limit:
            reasons.append(
                f"the share of labels that say {named[jump.outcome]} jumped from {jump.before:.3f} (fitted on) to {jump.after:.3f} "
                f"(held out), limit {limit:g}"
            )
    if change > limits["mean_change"]:
        reasons.append(f"served values would change by {change:.3f} on average, limit {limits['mean_change']:g}")
    if untrusted:
        reasons.append(f"{untrusted} of the {labels} labels fitted on are not from trusted sources")
    figures = Guards(
        mean_change=Limited(value=change, limit=limits["mean_change"]),
        label_rate_jump=None if jump is None else _recorded(jump, named, limits["label_rate_jump"]),
        untrusted_labels=UntrustedLabels(value=untrusted) if untrusted else None,
    )
    return Guarded(held="; ".join(reasons) or None, figures=figures)


def _recorded(jump: Jump, named: Sequence[str], limit: float) -> RateJump:
    return RateJump(
        outcome=named[jump.outcome],
        before=jump.before,
        after=jump.after,
        value=jump.size,
        limit=limit,
        more_than_chance=jump.sure,
    )
