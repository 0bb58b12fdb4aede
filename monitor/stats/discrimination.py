"""Discrimination: how well confidences separate what happens from what does not, whatever the confidences are called."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from .alike import ratio, stacked
from .cells import Cells, Floats

Z: Final = 1.959963984540054
"""The two-sided 95 % quantile of a normal variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """Areas under the ROC curve, with their 95 % intervals; NaN without both outcomes.

    Arrays have the windows as their axis.
    """

    value: Floats
    low: Floats
    high: Floats
    variance: Floats  # of the value


def auc(cells: Cells) -> tuple[float, float, float] | None:
    """Return the `aucs` of one window with its interval; None without both outcomes.

    Examples
    --------
    >>> value, low, high = auc(Cells.from_rows([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1]))
    >>> value, round(low, 2), round(high, 2)
    (0.875, 0.37, 0.99)

    """
    area = aucs(stacked([cells]))
    return None if np.isnan(area.value[0]) else (float(area.value[0]), float(area.low[0]), float(area.high[0]))


def aucs(cells: Cells) -> Auc:
    """Return the probability that of two events, one of either outcome, the one that happened has the higher confidence.

    Ties count half, as do events of one cell: within 5e-4 of the rows (measured: 3.4e-4, of rare events).
    DeLong's variance is S₁/P + S₀/N, with S₁ the variance over the P events that happened of the share of others below them, and
    S₀ likewise. The interval is Wilson's for as many trials as have that variance, which stays within 0 and 1, and is not empty
    where the value is 0 or 1: there are min(P, N) trials then.
    DeLong, DeLong & Clarke-Pearson 1988 (doi:10.2307/2531595), Wilson 1927 (doi:10.1080/01621459.1927.10502953).

    Parameters
    ----------
    cells : sums of each window, arrays of shape (windows, cells)

    """
    ones, zeros = cells.sy, cells.n - cells.sy
    positives, negatives = ones.sum(axis=-1), zeros.sum(axis=-1)
    below = ratio(np.cumsum(zeros, axis=-1) - zeros / 2, np.broadcast_to(negatives[..., None], zeros.shape))
    above = ratio(positives[..., None] - np.cumsum(ones, axis=-1) + ones / 2, positives[..., None] + 0 * ones)
    value = ratio((ones * below).sum(axis=-1), positives)
    variance = _variance(below, ones, value) + _variance(above, zeros, value)
    low, high = _wilson(value, variance, np.minimum(positives, negatives))
    return Auc(value=value, low=low, high=high, variance=variance)


def _variance(shares: Floats, weights: Floats, mean: Floats) -> Floats:
    """Return the variance of a mean of shares; that of a single one is 0."""
    count = weights.sum(axis=-1)
    squares = (weights * (shares - mean[..., None]) ** 2).sum(axis=-1)
    return np.asarray(squares / np.maximum(count * (count - 1), 1))


def _wilson(share: Floats, variance: Floats, least: Floats) -> tuple[Floats, Floats]:
    """Return the interval of a share for the number of trials that has this variance, or the least where the variance is 0."""
    spread = share * (1 - share)
    trials = np.where(variance > 0, np.divide(spread, variance, out=np.ones_like(share), where=variance > 0), least)
    trials = np.maximum(trials, 1.0)
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z * np.sqrt(spread / trials + Z**2 / (4 * trials**2)) / (1 + Z**2 / trials)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
