"""Noise: the ECE that a calibrated model shows anyway, and the part of an observed ECE that is not noise."""

import math
from typing import Final

import numpy as np
from scipy.special import ndtri

from monitor.stats.cells import Floats
from monitor.stats.reliability import Bins, ece

FEWEST_FOR_SIGNS: Final = 100
MEAN_ABS_NORMAL: Final = math.sqrt(2 / math.pi)


def null_ece(bins: Bins) -> tuple[float, float] | None:
    """Return mean and standard deviation of the ECE of a perfectly calibrated model with these forecasts.

    With V = Σ p(1 - p) per bin, Sp - Sy is about normal, so that abs(Sp - Sy) has mean √(2V/π) and variance (1 - 2/π)V:
    mean = √(2/π)·Σ√V / N, standard deviation = √((1 - 2/π)·ΣV) / N. None without events.

    Examples
    --------
    >>> [round(figure, 6) for figure in null_ece(Bins.from_rows([0.5] * 100, [0, 1] * 50, 10))]
    [0.039894, 0.030141]

    """
    total = bins.n.sum()
    if total <= 0:
        return None
    variance = _variance(bins)
    mean = MEAN_ABS_NORMAL * np.sqrt(variance).sum() / total
    return float(mean), math.sqrt((1 - 2 / math.pi) * variance.sum()) / float(total)


def ece_z(bins: Bins) -> float | None:
    """Return how many standard deviations the ECE lies above what a calibrated model would show.

    None without events, and where every confidence is 0 or 1, since a calibrated model would then show no noise at all.

    Examples
    --------
    >>> round(ece_z(Bins.from_rows([0.5] * 100, [0, 1] * 50, 10)), 4)
    -1.3236

    """
    null, seen = null_ece(bins), ece(bins)
    if null is None or seen is None or null[1] <= 0:
        return None
    return (seen - null[0]) / null[1]


def _variance(bins: Bins) -> Floats:
    return np.maximum(bins.sp - bins.spp, 0.0)  # rounding of the sums may leave it a hair under 0


def signs(bins: Bins) -> Floats:
    """Return +1 where a bin is overconfident, -1 where it is underconfident and 0 where it says nothing, of shape (bins,)."""
    return np.sign(bins.sp - bins.sy)


def signed_sum_lower_bound(n: Floats, sy: Floats, sp: Floats, sign: Floats, alpha: float) -> float | None:
    """Return a one-sided lower bound of the true ECE at level 1 - alpha, given signs that these outcomes had no part in.

    Σ s(Sp - Sy)/N - z·√(Σ s²·n·m(1 - m))/N with m = (Sy + .5)/(n + 1). For any signs in [-1, 1] the sum's expectation is at most
    the true ECE, so the bound is conservative; it is negative where nothing was found. Signs from overlapping events make it false.

    Parameters
    ----------
    n, sy, sp : arrays of shape (bins,), count, Σy and Σp of labelled events
    sign : array of shape (bins,), the direction in which each bin is believed to be off
    alpha : how often the bound may exceed the truth, in (0, 1)

    Returns
    -------
    the bound in units of confidence, None without events

    Examples
    --------
    >>> off = Bins.from_rows([0.9] * 400, [0, 1, 1, 1] * 100, 10)
    >>> round(signed_sum_lower_bound(off.n, off.sy, off.sp, signs(off), 0.05), 4)
    0.1144

    """
    total = n.sum()
    if total <= 0:
        return None
    rate = (sy + 0.5) / (n + 1)
    spread = math.sqrt((sign**2 * n * rate * (1 - rate)).sum())
    return float(((sign * (sp - sy)).sum() - float(ndtri(1 - alpha)) * spread) / total)


def previous_lower_bound(bins: Bins, previous: Bins, alpha: float) -> float | None:
    """Return the bound over this window with the signs of a disjoint earlier one: sharpest once a fault has lasted."""
    return signed_sum_lower_bound(bins.n, bins.sy, bins.sp, signs(previous), alpha)


def split_lower_bound(bins: Bins, alpha: float) -> float | None:
    """Return the bound over the events outside the random half with the signs of the half: sees a fault as soon as it is here."""
    direction = np.sign(bins.hsp - bins.hsy)
    return signed_sum_lower_bound(bins.n - bins.hn, bins.sy - bins.hsy, bins.sp - bins.hsp, direction, alpha)


def ece_lower_bound(
    bins: Bins, previous: Bins | None, *, alpha: float, minimum: float = FEWEST_FOR_SIGNS
) -> float | None:
    """Return a lower bound of the window's true ECE that holds with probability 1 - alpha.

    The larger of `previous_lower_bound` and `split_lower_bound`, each at alpha/2, so that together they err at most alpha. Where the
    previous window is missing or has fewer than `minimum` labels, `split_lower_bound` alone at alpha. Signs of the previous window
    alone would be blind to a sudden fault until the whole previous window lies behind it. Never above the ECE itself.

    Parameters
    ----------
    bins : the window's sums
    previous : sums of the equally long, disjoint window just before, in the same bins, or None
    alpha : how often the bound may exceed the truth, in (0, 1)
    minimum : labels that the previous window needs for its signs to be used

    Returns
    -------
    the bound in units of confidence, negative where nothing was found; None without events outside the half

    Examples
    --------
    >>> before = now = Bins.from_rows([0.9] * 400, [0] * 100 + [1] * 300, 10)
    >>> round(ece_lower_bound(now, before, alpha=0.05), 4), round(ece_lower_bound(now, None, alpha=0.05), 4)
    (0.1075, 0.0996)

    """
    usable = previous is not None and float(previous.n.sum()) >= minimum
    bounds = [split_lower_bound(bins, alpha / 2 if usable else alpha)]
    if previous is not None and usable:
        bounds.append(previous_lower_bound(bins, previous, alpha / 2))
    seen = ece(bins)
    found = [bound for bound in bounds if bound is not None]
    return min(max(found), seen) if found and seen is not None else None
