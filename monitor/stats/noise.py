"""The ECE of a calibrated model due to noise, and lower bounds of the true ECE."""

import math
from typing import Final

import numpy as np
from scipy.special import ndtri

from .alike import known, ratio
from .cells import Floats
from .reliability import Bins, eces, emptied

FEWEST_FOR_SIGNS: Final = 100
MOST_LABELS: Final = 10**15
"""What `labels_for_verdict` says where more are missing; JSON readers hold it exactly."""
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
    mean, spread = null_eces(bins)
    return None if np.isnan(mean) else (float(mean), float(spread))


def null_eces(bins: Bins) -> tuple[Floats, Floats]:
    """Return the `null_ece` of each window: means and standard deviations."""
    total, variance = bins.n.sum(axis=-1), np.maximum(bins.sp - bins.spp, 0.0)  # rounding may leave it slightly below 0
    spread = np.sqrt((1 - 2 / math.pi) * variance.sum(axis=-1))
    return ratio(MEAN_ABS_NORMAL * np.sqrt(variance).sum(axis=-1), total), ratio(spread, total)


def ece_z(bins: Bins) -> float | None:
    """Return the ECE's distance above that of a calibrated model, in standard deviations.

    None without events, and if every confidence is 0 or 1, since a calibrated model then has no noise.

    Examples
    --------
    >>> round(ece_z(Bins.from_rows([0.5] * 100, [0, 1] * 50, 10)), 4)
    -1.3236

    """
    return known(ece_zs(bins))


def ece_zs(bins: Bins) -> Floats:
    """Return the `ece_z` of each window."""
    mean, spread = null_eces(bins)
    return ratio(eces(bins) - mean, spread)


def signs(bins: Bins) -> Floats:
    """Return +1 for overconfident bins, -1 for underconfident ones and 0 for others; shape (bins,)."""
    return np.sign(bins.sp - bins.sy)


def signed_sum_lower_bound(n: Floats, sy: Floats, sp: Floats, sign: Floats, alpha: float) -> float | None:
    """Return a one-sided lower bound of the true ECE at level 1 - alpha, for signs independent of these outcomes.

    Σ s(Sp - Sy)/N - z·√(Σ s²·n·m(1 - m))/N with m = (Sy + .5)/(n + 1). For any signs in [-1, 1] the sum's expectation is at most
    the true ECE, so the bound is conservative; it may be negative. Signs from the same events would invalidate it.

    Parameters
    ----------
    n, sy, sp : arrays of shape (bins,), count, Σy and Σp of labelled events
    sign : array of shape (bins,), the assumed direction of each bin's error
    alpha : probability with which the bound may exceed the truth, in (0, 1)

    Returns
    -------
    the bound in units of confidence, None without events

    Examples
    --------
    >>> off = Bins.from_rows([0.9] * 400, [0, 1, 1, 1] * 100, 10)
    >>> round(signed_sum_lower_bound(off.n, off.sy, off.sp, signs(off), 0.05), 4)
    0.1144

    """
    return known(signed_sum_lower_bounds(n, sy, sp, sign, alpha)[0]) if n.any() else None


def _margins(n: Floats, sy: Floats, sign: Floats | float, alpha: float | Floats) -> Floats:
    """Return z·√(Σ s²·n·m(1 - m))/N along the last axis, m = (Sy + .5)/(n + 1); 0 without events."""
    rate = (sy + 0.5) / (n + 1)
    spread = np.sqrt((sign**2 * n * rate * (1 - rate)).sum(axis=-1))
    margins: Floats = ndtri(1 - alpha) * spread / np.maximum(n.sum(axis=-1), 1)
    return margins


def signed_sum_lower_bounds(
    n: Floats, sy: Floats, sp: Floats, sign: Floats, alpha: float | Floats
) -> tuple[Floats, Floats]:
    """Return `signed_sum_lower_bound` along the last axis, and the margin by which it falls short of the truth if all signs are right.

    Parameters
    ----------
    n, sy, sp, sign : arrays of shape (series, bins)
    alpha : probability with which each bound may exceed the truth, in (0, 1), one or of shape (series,)

    Returns
    -------
    (bounds, margins), arrays of shape (series,), both 0 without events

    Examples
    --------
    >>> bounds, margins = signed_sum_lower_bounds(*(np.array([[x]]) for x in (400.0, 300.0, 360.0, 1.0)), 0.05)
    >>> bounds.round(4).tolist(), margins.round(4).tolist()
    ([0.1144], [0.0356])

    """
    seen = (sign * (sp - sy)).sum(axis=-1) / np.maximum(n.sum(axis=-1), 1)
    return seen - _margins(n, sy, sign, alpha), _margins(n, sy, 1.0, alpha)


def ece_lower_bound(
    bins: Bins, previous: Bins | None, *, alpha: float, minimum: float = FEWEST_FOR_SIGNS
) -> float | None:
    """Return a lower bound of the window's true ECE that holds with probability 1 - alpha.

    The larger of two `signed_sum_lower_bound`s, each at alpha/2, so that together they err at most alpha: that of all events by the
    signs of the previous window, which is sharpest for lasting faults, and that of the events outside the random half by the signs of the
    half, which finds new faults. Without a previous window of at least `minimum` labels it is the latter alone, at alpha. Signs of the
    previous window alone would miss a sudden fault until the whole previous window lies behind it. The bound is never above the ECE itself.

    Parameters
    ----------
    bins : the window's sums
    previous : sums of the previous, equally long and disjoint window in the same bins, or None
    alpha : probability with which the bound may exceed the truth, in (0, 1)
    minimum : labels needed in the previous window for the use of its signs

    Returns
    -------
    the bound in units of confidence, which may be negative; None without events outside the half

    Examples
    --------
    >>> before = now = Bins.from_rows([0.9] * 400, [0] * 100 + [1] * 300, 10)
    >>> round(ece_lower_bound(now, before, alpha=0.05), 4), round(ece_lower_bound(now, None, alpha=0.05), 4)
    (0.1075, 0.0996)

    """
    return known(ece_lower_bounds(bins, emptied(bins) if previous is None else previous, alpha, minimum)[0])


def ece_lower_bounds(
    bins: Bins, previous: Bins, alpha: float | Floats, minimum: float = FEWEST_FOR_SIGNS
) -> tuple[Floats, Floats]:
    """Return the `ece_lower_bound` and the `ece_margin` of each window; a missing previous window has empty sums."""
    signed = (previous.n.sum(axis=-1) >= minimum) & bins.n.any(axis=-1)
    n, sy, sp = bins.n - bins.hn, bins.sy - bins.hsy, bins.sp - bins.hsp
    direction, share = np.sign(bins.hsp - bins.hsy), np.where(signed, alpha / 2, alpha)
    splits, split_margins = signed_sum_lower_bounds(n, sy, sp, direction, share)
    earlier, margins = signed_sum_lower_bounds(bins.n, bins.sy, bins.sp, signs(previous), share)
    splits, split_margins = (np.where(n.any(axis=-1), figure, np.nan) for figure in (splits, split_margins))
    bounds = np.where(signed, np.fmax(splits, earlier), splits)
    return np.minimum(bounds, eces(bins)), np.where(signed, margins, split_margins)


def ece_margin(bins: Bins, previous: Bins | None, *, alpha: float, minimum: float = FEWEST_FOR_SIGNS) -> float | None:
    """Return the distance of `ece_lower_bound` below the true ECE at even odds, in units of confidence, if its signs are right.

    This is z times the spread of the sharpest of its bounds. A model whose ECE is threshold + margin exceeds the threshold at even
    odds; with a margin above the threshold, not even twice the threshold would be detected. None without events for a bound.

    Examples
    --------
    >>> now = Bins.from_rows([0.9] * 400, [0] * 100 + [1] * 300, 10)
    >>> round(ece_margin(now, now, alpha=0.05), 4), round(ece_margin(now, None, alpha=0.05), 4)
    (0.0425, 0.0504)

    """
    return known(ece_lower_bounds(bins, emptied(bins) if previous is None else previous, alpha, minimum)[1])


def labels_for_verdict(labelled: int, margin: float | None, *, threshold: float, minimum: int) -> int:
    """Return the number of further labels before a window may be called calibrated.

    At least `minimum` labels are needed, and n·(margin/threshold)², with which the margin of the bound, which shrinks as 1/√n, equals
    the threshold; the latter's missing labels are rounded up to two significant digits, and are at most `MOST_LABELS`.

    Examples
    --------
    >>> labels_for_verdict(600, 0.0626, threshold=0.05, minimum=500), labels_for_verdict(10, None, threshold=0.05, minimum=500)
    (350, 490)

    """
    missing = max(0, minimum - labelled)
    if margin is None:
        return max(1, missing)
    times = margin / threshold
    blind = min(labelled * (times * times - 1), MOST_LABELS)  # a power would overflow
    return max(missing, _rounded_up(blind)) if blind > 0 else missing


def _rounded_up(number: float) -> int:
    unit = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return int(math.ceil(number / unit) * unit)
