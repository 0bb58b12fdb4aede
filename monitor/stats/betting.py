"""Betting: what a bet against calibration pays on labelled events, computed from their sums.

A witness d(p) in [-1, 1] says in which direction confidences near p are suspected to be off: +1 that outcomes exceed them, -1 that
they fall short. A bet on it stakes a share λ of what it has on every event and pays the factor 1 + λ(d(p)(y - p) - δ). Where the ECE
is at most δ that factor is 1 or less on average, whatever d, as long as d was chosen before y was known.

Sums come as entries (row, cell, sums), so that many streams, windows or clusters are computed at once; a row is one of them.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from scipy.special import expit, logit

from monitor.stats.cells import EDGES, Cells, Floats, Integers, bin_of_cell

SHARES: Final = np.array([0.05, 0.1, 0.2, 0.4, 0.7])
"""λ: the shares that are staked."""

MOST: Final = 0.95
"""No bet may lose more than this share of what it has on one event."""

HALVES: Final = np.array([pair for pair in product((-1, 0, 1), repeat=2) if any(pair)])
"""Fixed witnesses: the sign below and above the middle; shape (8, 2)."""

BINS: Final = 20
"""Learned witnesses have one sign per so many equal bins."""

KEPT_INSIDE: Final = 1e-3
"""The likelihood ratio keeps probabilities inside [ε, 1 - ε]."""

LOWER: Final[Floats] = np.concatenate([[0.0], EDGES])
UPPER: Final[Floats] = np.concatenate([EDGES, [1.0]])
BIN_OF_CELL: Final[Integers] = bin_of_cell(BINS)
HALF_OF_CELL: Final[Integers] = (BIN_OF_CELL >= BINS // 2).astype(np.int64)
SLOPES: Final = np.array([0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0])
SHIFTS: Final = np.array([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0])
LINES: Final = np.array([(a, b) for a, b in product(SHIFTS, SLOPES) if (a, b) != (0.0, 1.0)])
"""Alternatives of the likelihood ratio: logit P(y = 1) = a + b·logit p; shape (62, 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Sums of labelled events by row and cell, in ascending order of row, then cell; every array has shape (m,)."""

    rows: int  # how many rows there are, with entries or without
    row: Integers
    cell: Integers
    n: Floats  # events
    sy: Floats  # Σ y
    sp: Floats  # Σ p
    spp: Floats  # Σ p²
    spy: Floats  # Σ p·y

    @classmethod
    def of(cls, cells: Cells) -> "Entries":
        """Return the occupied cells of one row."""
        at = np.flatnonzero(cells.n)
        fields = {name: getattr(cells, name)[at] for name in ("n", "sy", "sp", "spp", "spy")}
        return cls(rows=1, row=np.zeros(len(at), dtype=np.int64), cell=at, **fields)


def shares(threshold: float) -> Floats:
    """Return the stakes λ at a threshold δ: below 1/(1 + δ), so that no factor can reach 0; shape (5,)."""
    return np.minimum(SHARES, MOST / (1.0 + threshold)).astype(np.float64)


def by_row(values: Floats, keys: Integers, count: int) -> Floats:
    """Return sums of values over equal keys along the last axis, which becomes `count` long; keys ascend."""
    total = np.zeros((*values.shape[:-1], count))
    if len(keys):
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        total[..., keys[first]] = np.add.reduceat(values, first, axis=-1)
    return total


def log_factors(entries: Entries, sign: Floats, share: Floats, threshold: float) -> Floats:
    """Return a lower bound of the summed log factors of each entry's events, for bets of one sign each.

    Events with y = 1 and y = 0 have factors f(p) that are linear in p, so log f at their mean m exceeds its mean by at most
    SS/2·(λd/f_min)², with SS = Σp² - n₁m₁² - n₀m₀² over both groups and f_min the factor's least value in the cell. SS is charged at
    the smaller f_min of the two groups as far as that group's place in the cell allows, the rest at the other. Exact where SS = 0.

    Parameters
    ----------
    entries : sums of m cells
    sign : d, in [-1, 1]; shape (m,) or (k, 1, m) or the like
    share : λ; shape (k, 1)
    threshold : δ

    Returns
    -------
    array of shape (..., k, m)

    Examples
    --------
    The events (.9, 0), (.8, 1), (.7, 0) with d = -1, λ = .4 and δ = .02:

    >>> rows = Entries.of(Cells.from_rows([0.9, 0.8, 0.7], [0, 1, 0]))
    >>> found = log_factors(rows, np.full(3, -1.0), np.array([[0.4]]), 0.02)
    >>> round(float(np.exp(found.sum())), 9)
    1.568406528

    """
    low, high = LOWER[entries.cell], UPPER[entries.cell]
    ones, zeros = entries.sy, entries.n - entries.sy
    mean_1 = np.clip(np.divide(entries.spy, ones, out=low.copy(), where=ones > 0), low, high)
    mean_0 = np.clip(np.divide(entries.sp - entries.spy, zeros, out=low.copy(), where=zeros > 0), low, high)
    spread = np.maximum(entries.spp - ones * mean_1**2 - zeros * mean_0**2, 0.0)
    most_1, most_0 = (n * (m - low) * (high - m) for n, m in ((ones, mean_1), (zeros, mean_0)))

    up = sign > 0
    worst = 1.0 - share * threshold - share * np.abs(sign) * np.where(up, high, 1.0 - low)
    other = worst + share * np.abs(sign)
    at_worst = np.minimum(spread, np.where(up, most_0, most_1))
    curved = at_worst / worst**2 + (spread - at_worst) / other**2
    level = 1.0 - share * threshold
    gain = share * sign
    found: Floats = ones * np.log(level + gain * (1.0 - mean_1)) + zeros * np.log(level - gain * mean_0)
    found -= 0.5 * gain**2 * curved
    return found


def linear(entries: Entries, learned: Floats, threshold: float) -> Floats:
    """Return the log payoff of all bets on each row's events.

    Parameters
    ----------
    entries : sums of the events
    learned : signs per row, learned witness and bin; shape (rows, k, 20)
    threshold : δ

    Returns
    -------
    array of shape (rows, 8 + k, 5): fixed witnesses, then learned ones, by share

    """
    share = shares(threshold)[:, np.newaxis]
    parts = np.stack(
        [log_factors(entries, np.full(len(entries.row), sign), share, threshold) for sign in (-1.0, 0.0, 1.0)]
    )
    halves = by_row(parts, 2 * entries.row + HALF_OF_CELL[entries.cell], 2 * entries.rows)
    below, above = halves[..., 0::2], halves[..., 1::2]
    fixed = below[HALVES[:, 0] + 1] + above[HALVES[:, 1] + 1]
    signs = learned[entries.row, :, BIN_OF_CELL[entries.cell]].astype(np.int64).T
    chosen = np.take_along_axis(parts, signs[:, np.newaxis] + 1, axis=0)
    return np.concatenate([fixed, by_row(chosen, entries.row, entries.rows)]).transpose(2, 0, 1)


@cache
def ratio_table(delta: float) -> tuple[Floats, Floats]:
    """Return log e of one event with y = 1 and with y = 0 in each cell, for each alternative; two of shape (62, CELLS).

    With the cell's range (l, u] and midpoint m, logit q = a + b·logit m and p̃ = clip(q, l - δ, u + δ), both kept inside [ε, 1 - ε]:
    log(q/p̃) and log((1 - q)/(1 - p̃)). Where P(y = 1) lies within δ of a confidence in the cell the factor is 1 or less on average.
    """
    middle = np.clip((LOWER + UPPER) / 2, 1e-6, 1 - 1e-6)
    q = np.clip(expit(LINES[:, :1] + LINES[:, 1:] * logit(middle)), KEPT_INSIDE, 1 - KEPT_INSIDE)
    return ratios(q, LOWER, UPPER, delta)


def ratios(q: Floats, low: Floats, high: Floats, delta: float) -> tuple[Floats, Floats]:
    """Return log e for y = 1 and for y = 0 of the alternative q against "within δ of [low, high]".

    Examples
    --------
    >>> one, zero = ratios(np.array(0.6), np.array(0.8), np.array(0.8), 0.02)
    >>> round(float(np.exp(zero)), 7), round(float(np.exp(one)), 7)
    (1.8181818, 0.7692308)

    """
    nearest = np.clip(np.clip(q, low - delta, high + delta), KEPT_INSIDE, 1 - KEPT_INSIDE)
    return np.log(q / nearest), np.log((1 - q) / (1 - nearest))


def ratio(entries: Entries, delta: float) -> Floats:
    """Return the log likelihood ratio of each row's events for each alternative; shape (rows, 62)."""
    one, zero = ratio_table(delta)
    cell = entries.cell
    paid = entries.sy * one[:, cell] + (entries.n - entries.sy) * zero[:, cell]
    return by_row(paid, entries.row, entries.rows).T


def unseen(n: Floats, sy: Floats, sp: Floats, learned: Floats, threshold: float) -> Floats:
    """Return a lower bound of the log payoff of bets where Σp² and Σpy are not known; all sums per cell.

    Within a cell log f is concave in p, so the worst that can be is that all events lie at the cell's ends, those with the outcome whose
    factor loses more at the upper one.

    Parameters
    ----------
    n, sy, sp : arrays of shape (CELLS,)
    learned : sign per bin; shape (20,)
    threshold : δ

    Returns
    -------
    array of shape (5,), by share

    """
    at = np.flatnonzero(n)
    low, high, sign = LOWER[at], UPPER[at], learned[BIN_OF_CELL[at]]
    ones, zeros = sy[at], n[at] - sy[at]
    width = high - low
    upper = np.clip(np.divide(sp[at] - n[at] * low, width, out=np.zeros_like(low), where=width > 0), 0.0, n[at])
    level = 1.0 - shares(threshold)[:, np.newaxis] * threshold
    gain = shares(threshold)[:, np.newaxis] * sign
    one, zero = np.log(level + gain * (1.0 - low)), np.log(level - gain * low)
    rise_1, rise_0 = np.log(level + gain * (1.0 - high)) - one, np.log(level - gain * high) - zero
    ones_up = np.where(rise_1 < rise_0, np.minimum(ones, upper), np.maximum(upper - zeros, 0.0))
    found: Floats = (ones * one + zeros * zero + ones_up * rise_1 + (upper - ones_up) * rise_0).sum(axis=-1)
    return found


def by_bin(row: Integers, cell: Integers, values: Floats, rows: int) -> Floats:
    """Return sums of values per row and twentieth of [0, 1]; shape (rows, 20)."""
    total = np.bincount(row * BINS + BIN_OF_CELL[cell], weights=values, minlength=rows * BINS)
    return total.astype(np.float64).reshape(rows, BINS)
