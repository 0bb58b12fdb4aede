"""Quantile calibration: the share of labels below each level of their predictive distributions, against the level."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from .cells import Floats
from .direction import Direction
from .noise import FEWEST_FOR_SIGNS, MEAN_ABS_NORMAL
from .reliability import clopper_pearson
from .summary import PIT_CELLS

PIT_BINS: Final = 20
LEVELS: Final[Floats] = np.arange(1, PIT_BINS) / PIT_BINS
"""The levels .05, .10 … .95 of the error."""

SIGNIFICANT: Final = 1.96
PRIOR_COUNT: Final = 1.0
"""Events added evenly over the bins, which keep the variance above 0 while all events are in one bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The share of cases in which a stated level held, with a 95 % interval."""

    level: float
    observed: float
    low: float
    high: float


def pit_bins(cells: ArrayLike) -> Floats:
    """Return the counts of 20 equal, right-closed bins of the PIT from those of its 200 cells.

    >>> pit_bins([1] * 200).tolist() == [10.0] * 20
    True
    """
    binned: Floats = np.asarray(cells, dtype=np.float64).reshape(PIT_BINS, PIT_CELLS // PIT_BINS).sum(axis=1)
    return binned


def quantile_ece(counts: Floats) -> float | None:
    """Return the quantile calibration error, the mean over the levels q = .05 … .95 of abs(share of PIT <= q, - q).

    Kuleshov, Fenner & Ermon 2018 (arXiv:1807.00263) square it; here it is in units of frequency, as the ECE is.

    Parameters
    ----------
    counts : array of shape (20,), labelled events in equal bins of the PIT

    Returns
    -------
    a ratio in [0, .5], None without events

    Examples
    --------
    >>> quantile_ece(np.ones(20)), round(quantile_ece(np.array([10.0] + [0.0] * 18 + [10.0])), 4)
    (0.0, 0.2368)

    """
    total = counts.sum()
    return float(np.abs(_excess(counts)).mean() / total) if total > 0 else None


def _excess(counts: Floats) -> Floats:
    """Return the excess of events with a PIT of at most each level over the expected number; shape (19,)."""
    excess: Floats = np.cumsum(counts)[:-1] - counts.sum() * LEVELS
    return excess


def quantile_ece_null_mean(counts: Floats) -> float | None:
    """Return the mean quantile calibration error of correct distributions, the mean over q of √(2q(1 - q)/(πN)); None without events.

    >>> round(quantile_ece_null_mean(np.full(20, 50.0)), 5)
    0.01031
    """
    total = float(counts.sum())
    return float(MEAN_ABS_NORMAL * np.sqrt(LEVELS * (1 - LEVELS) / total).mean()) if total > 0 else None


def signed_lower_bound(counts: Floats, signs: Floats, alpha: float) -> float | None:
    """Return a one-sided lower bound of the true quantile calibration error at level 1 - alpha, for independent signs.

    Each event counts g = mean over q of s_q·(1[PIT <= q] - q), whose expectation is at most the true error for any signs in
    [-1, 1]. The bound is the mean of g - z·(its standard deviation)/√N, the latter from the counts with one event added evenly
    over the bins. It may be negative.

    Parameters
    ----------
    counts : array of shape (20,), labelled events in equal bins of the PIT
    signs : array of shape (19,), the assumed direction of each level's error, from other events
    alpha : probability with which the bound may exceed the truth, in (0, 1)

    Examples
    --------
    >>> narrow = np.array([100.0] + [45.0] * 18 + [100.0])
    >>> round(signed_lower_bound(narrow, np.sign(0.5 - LEVELS), 0.01), 4)
    0.014

    """
    total = float(counts.sum())
    if total <= 0:
        return None
    below = np.arange(PIT_BINS)[:, None] <= np.arange(PIT_BINS - 1)
    gain = ((below - LEVELS) * signs).mean(axis=1)
    share = (counts + PRIOR_COUNT / PIT_BINS) / (total + PRIOR_COUNT)
    variance = float(share @ gain**2 - (share @ gain) ** 2)
    return float(counts @ gain) / total - float(ndtri(1 - alpha)) * math.sqrt(max(variance, 0.0) / total)


def quantile_ece_lower_bound(
    cells: Floats, previous: Floats | None, *, alpha: float, minimum: float = FEWEST_FOR_SIGNS
) -> float | None:
    """Return a lower bound of the window's true quantile calibration error that holds with probability 1 - alpha.

    As for the ECE it is the larger of two signed sums, each at alpha/2. One takes its signs from the previous, equally long and
    disjoint window, the other from a random half of the events and is over the rest. Without a previous window of at least `minimum`
    labels it is the latter alone, at alpha. It is never above the error itself.

    Parameters
    ----------
    cells : array of shape (200, 2), labelled events in equal cells of the PIT, all of them and those of the half
    previous : the same of the window before, or None
    alpha : probability with which the bound may exceed the truth, in (0, 1)
    minimum : labels needed in the previous window for the use of its signs

    Returns
    -------
    the bound, which may be negative; None without events outside the half

    Examples
    --------
    >>> cells = np.repeat([[10.0, 5.0], [4.0, 2.0], [10.0, 5.0]], [50, 100, 50], axis=0)
    >>> round(quantile_ece_lower_bound(cells, cells, alpha=0.05), 4)
    0.049

    """
    counts, half = pit_bins(cells[:, 0]), pit_bins(cells[:, 1])
    before = None if previous is None else pit_bins(previous[:, 0])
    usable = before is not None and float(before.sum()) >= minimum
    share = alpha / 2 if usable else alpha
    bounds = [signed_lower_bound(counts - half, np.sign(_excess(half)), share)]
    if before is not None and usable:
        bounds.append(signed_lower_bound(counts, np.sign(_excess(before)), share))
    seen = quantile_ece(counts)
    known = [bound for bound in bounds if bound is not None]
    return min(max(known), seen) if known and seen is not None else None


def direction(cells: Floats) -> Direction | None:
    """Return whether distributions are significantly too narrow (overconfident), too wide (underconfident), or neither.

    The test is on the mean of (PIT - 1/2)², which is 1/12 with variance 1/180 for correct distributions: larger if labels fall into the
    tails too often, smaller if into the middle; significant from 1.96 standard deviations. None without events.

    Parameters
    ----------
    cells : array of shape (200,), labelled events in equal cells of the PIT

    Examples
    --------
    >>> direction(np.repeat([20.0, 1.0, 20.0], [20, 160, 20])), direction(np.ones(200))
    ('overconfident', 'none')

    """
    total = float(cells.sum())
    if total <= 0:
        return None
    middle = (np.arange(PIT_CELLS) + 0.5) / PIT_CELLS - 0.5
    spread = middle**2 + 1 / (12 * PIT_CELLS**2)
    z = (float(cells @ spread) / total - 1 / 12) * math.sqrt(180 * total)
    if abs(z) < SIGNIFICANT:
        return "none"
    return "overconfident" if z > 0 else "underconfident"


def held(stated: Floats) -> list[Held]:
    """Return the share of cases in which each stated level held.

    Parameters
    ----------
    stated : array of shape (1001, 2), number of times each thousandth was stated, and held

    Examples
    --------
    >>> sums = np.zeros((1001, 2))
    >>> sums[900] = [100, 80]
    >>> [(each.level, each.observed, round(each.low, 4), round(each.high, 4)) for each in held(sums)]
    [(0.9, 0.8, 0.7082, 0.8733)]

    """
    levels = np.flatnonzero(stated[:, 0])
    count, hits = stated[levels].T
    low, high = clopper_pearson(hits, count)
    columns = (levels / 1000, hits / count, low, high)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Held(level=level, observed=share, low=lower, high=upper) for level, share, lower, upper in rows]
