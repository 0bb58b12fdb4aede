"""Onset of a miscalibration: the moment since which a model's scores have been wrong, for refits and for people."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .cells import Floats
from .noise import signed_sum_lower_bound

BINS: Final = 15

FEWEST_SINCE: Final = 100
"""The fewest labels after an onset."""

INTERVAL: Final = 3.84
"""The fall of twice the log likelihood at the ends of a 95 % interval."""

CHANGE: Final = 7.35
"""The same for people, of an abrupt change: on either side of it the likelihood is a random walk that drifts down, so that its fall at the
true time is twice the larger of two exponential variables: (1 - exp(-7.35 / 2))² = .95."""

GRADUAL: Final = 4.0
"""By how much twice the log likelihood of a gradual fault must exceed that of an abrupt one, or fall short of it, before one of them is
ruled out."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Sums of confidences and outcomes, per moment and bin of confidence."""

    at: NDArray[np.number]  # (moments,) ascending
    n: Floats  # (moments, bins) labelled events
    sy: Floats  # (moments, bins) Σ outcomes
    sp: Floats  # (moments, bins) Σ confidences
    variance: Floats  # (moments, bins) Σ p(1 - p)
    labels: Floats  # (moments,) labelled events

    @classmethod
    def of(cls, at: NDArray[np.number], p: Floats, y: Floats, weight: Floats) -> "Gaps":
        """Return the gaps of labelled events: their times, confidences or vectors (n, K), outcomes or classes, and weights."""
        confidence, right = p, y
        if p.ndim > 1:
            answer = p.argmax(axis=1)
            confidence, right = p[np.arange(len(p)), answer], answer == y
        moments, moment = np.unique(at, return_inverse=True)
        bins = np.maximum(np.searchsorted(np.arange(BINS + 1) / BINS, confidence, side="left") - 1, 0)
        place, shape = moment * BINS + bins, (len(moments), BINS)

        def total(term: Floats | float) -> Floats:
            return (
                np.bincount(place, weights=weight * term, minlength=shape[0] * BINS).reshape(shape).astype(np.float64)
            )

        n = total(1.0)
        sums = total(right), total(confidence), total(confidence * (1.0 - confidence))
        return cls(moments, n, *sums, labels=n.sum(axis=1))

    @classmethod
    def of_ranks(cls, at: NDArray[np.number], hits: Floats) -> "Gaps":
        """Return the gaps of a regression: labels per moment and equal bin of the probability integral transform.

        Of N labels each of K bins is to get N/K. With N/K as the variance, instead of N/K·(1 - 1/K), Σ gap²/variance is Pearson's.
        """
        labels, bins = hits.sum(axis=1), hits.shape[1]
        n = np.repeat(labels[:, None], bins, axis=1)
        return cls(at, n, hits, n / bins, n / bins, labels)

    def since(self, moment: float) -> "Gaps":
        """Return the gaps since a moment."""
        later = self.at >= moment
        return Gaps(*(getattr(self, name)[later] for name in self.__slots__))


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """When a miscalibration began, in the unit of the moments' times."""

    at: float
    low: float | None  # None: it may be as old as the first moment, or older
    high: float
    gradual: bool  # it grew, and `at` is when the ECE crossed the limit


def latest_onset(gaps: Gaps) -> int:
    """Return the latest moment at which the present miscalibration can have begun.

    Before the change the gaps of the bins are noise around 0, after it around values of their own. So twice the log likelihood of a change
    at t is Σ G²/V over bins, plus a constant, with G = Σ(p - y) and V = Σp(1 - p) since t. The result is the end of its 95 % interval:
    labels from before the change harm a fit, a few lost ones do not. A fault from the start begins at the first moment.
    Hinkley 1970 (doi:10.1093/biomet/57.1.1).

    Examples
    --------
    >>> at = np.arange(4000)
    >>> p = np.full(4000, 0.8)
    >>> y = (at % 10 < np.where(at < 3000, 8, 6)).astype(float)
    >>> 2950 < latest_onset(Gaps.of(at, p, y, np.ones(4000))) < 3100
    True

    """
    likelihood = _abrupt(gaps)
    return int(gaps.at[np.flatnonzero(likelihood >= likelihood.max() - INTERVAL)[-1]])


def onset(gaps: Gaps, limit: float) -> Onset | None:
    """Return when the present miscalibration began, with an interval that holds the truth in 19 of 20 cases; None without labels.

    An abrupt fault is dated as by `latest_onset`. Its interval is the set of times whose likelihood is close enough to the largest one
    (Siegmund 1988, doi:10.2307/1403359), widened by a moment on either side, since a change seldom falls between two. A gradual fault has
    gaps that grow in proportion to the time since t, and is dated by when its ECE crossed the limit. Where it may be either, the interval
    covers both.

    Parameters
    ----------
    gaps : from the first moment at which the fault can have begun to the last one of interest
    limit : the ECE that a gradual fault has to cross, in (0, 1)

    Examples
    --------
    >>> at = np.arange(4000)
    >>> p = np.full(4000, 0.8)
    >>> y = (at % 10 < np.where(at < 3000, 8, 6)).astype(float)
    >>> found = onset(Gaps.of(at, p, y, np.ones(4000)), 0.05)
    >>> found.low < 3000 < found.high, found.gradual
    (True, False)

    """
    if not gaps.labels.any():
        return None
    event = _event_variance(gaps)
    likelihood, growth = _abrupt(gaps, event), _Growth.of(gaps, event)
    abrupt, gradual = _change(gaps, likelihood), growth.crossing(limit)
    lead = float(growth.likelihood.max() - likelihood.max())
    if abs(lead) > GRADUAL:
        return gradual if lead > 0 else abrupt
    low = None if abrupt.low is None else min(abrupt.low, gradual.low or 0.0)
    return replace(abrupt, low=low, high=max(abrupt.high, gradual.high))


def _change(gaps: Gaps, likelihood: Floats) -> Onset:
    close = np.flatnonzero(likelihood >= likelihood.max() - CHANGE)
    first, last = int(close[0]), min(int(close[-1]) + 1, len(gaps.at) - 1)
    return Onset(
        at=float(gaps.at[likelihood.argmax()]),
        low=float(gaps.at[first - 1]) if first else None,
        high=float(gaps.at[last]),
        gradual=False,
    )


def lower_bound(gaps: Gaps, alpha: float) -> float | None:
    """Return a lower bound of the expected calibration error, None with fewer than two moments.

    Signs are taken from every second moment, the bound is over the others.
    """
    half, rest = slice(0, None, 2), slice(1, None, 2)
    sign = np.sign((gaps.sp - gaps.sy)[half].sum(axis=0))
    n, sy, sp = (sums[rest].sum(axis=0) for sums in (gaps.n, gaps.sy, gaps.sp))
    return signed_sum_lower_bound(n, sy, sp, sign, alpha)


def _later(sums: Floats) -> Floats:
    """Return the sums from each moment on."""
    return np.cumsum(sums[::-1], axis=0)[::-1]


def _ratio(square: Floats, variance: Floats) -> Floats:
    return np.divide(square, variance, out=np.zeros_like(square), where=variance > 0)


def _event_variance(gaps: Gaps) -> Floats:
    """Return the variance of an event's outcome per bin: as the confidences have it, or as outcomes since the likeliest change, if larger.

    Where confidences are near 0 or 1 and wrong, outcomes vary much more than they claim.
    """
    later = gaps.since(gaps.at[_abrupt(gaps).argmax()])
    n = later.n.sum(axis=0)
    rate = (later.sy.sum(axis=0) + 0.5) / (n + 1.0)
    variance: Floats = np.maximum(_ratio(gaps.variance.sum(axis=0), gaps.n.sum(axis=0)), rate * (1.0 - rate))
    return variance


def _abrupt(gaps: Gaps, event: Floats | None = None) -> Floats:
    """Return twice the log likelihood of a change at each moment, by the variance of an event per bin, or by that of the confidences."""
    variance = gaps.variance if event is None else event * gaps.n
    return _of_enough(gaps, _ratio(_later(gaps.sp - gaps.sy) ** 2, _later(variance)).sum(axis=1))


def _of_enough(gaps: Gaps, likelihood: Floats) -> Floats:
    few = _later(gaps.labels) < FEWEST_SINCE
    few[0] = False
    return np.where(few, 0.0, likelihood)


@dataclass(frozen=True, slots=True)
class _Growth:
    """Gaps that grow in proportion to the time x since each moment t, by s·(x - t) per event.

    The estimate is s = Σ(x - t)·G / Σ(x - t)²·n, its variance v / Σ(x - t)²·n, with v = p(1 - p) of an event.
    """

    at: Floats
    likelihood: Floats  # twice its log, for growth since each moment
    slope: Floats  # of the ECE, per unit of time
    error: Floats  # its standard error

    @classmethod
    def of(cls, gaps: Gaps, event: Floats) -> "_Growth":
        at = gaps.at.astype(np.float64)
        x = ((at - at[0]) / max(at[-1] - at[0], 1.0))[:, None]
        gap, n = gaps.sp - gaps.sy, _later(gaps.n)
        moment = _later(x * gap) - x * _later(gap)
        squares = np.maximum(_later(x**2 * gaps.n) - 2 * x * _later(x * gaps.n) + x**2 * n, 0.0)
        variance = _ratio(np.broadcast_to(event, squares.shape), squares)
        share = _ratio(n, np.broadcast_to(_later(gaps.labels)[:, None], n.shape))
        steep = np.sqrt(np.maximum(_ratio(moment, squares) ** 2 - variance, 0.0))
        scale = max(at[-1] - at[0], 1.0)
        return cls(
            at=at,
            likelihood=_of_enough(gaps, _ratio(moment**2, event * squares).sum(axis=1)),
            slope=(share * steep).sum(axis=1) / scale,
            error=np.sqrt((share**2 * variance).sum(axis=1)) / scale,
        )

    def crossing(self, limit: float) -> Onset:
        """Return when the ECE crossed a limit."""
        best, close = int(self.likelihood.argmax()), self.likelihood >= self.likelihood.max() - CHANGE
        first, slope, error = self.at[close], self.slope[close], self.error[close]
        low, high = (first + _until(limit, slope + side * 2 * error) for side in (1.0, -1.0))
        last = float(self.at[-1])
        at = min(float(self.at[best] + _until(limit, self.slope[best])), last)
        return Onset(at=at, low=min(float(low.min()), at), high=max(min(float(high.max()), last), at), gradual=True)


def _until(limit: float, slope: Floats) -> Floats:
    """Return the time in which growth at a slope reaches a limit: endless where nothing grows."""
    return limit / np.maximum(slope, 1e-300)
