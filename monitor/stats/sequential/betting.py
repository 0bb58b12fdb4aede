"""Payoffs of bets against calibration, from sums of labelled events.

A bet on a witness d stakes a share λ of its wealth on every event and pays the factor (1 + λd(p)(y - p))/(1 + λδ). If the ECE is at most δ,
the mean factor is at most 1 for any d that was chosen before y was known. Only the denominator, the charge of the bet, depends on the
threshold, so one payoff serves every threshold.

Sums come as entries (row, cell, sums), so that many streams, windows or clusters are computed at once; a row is one of them.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy.special import expit, logit

from ..cells import CELLS, Cells, Floats, Integers
from .witnesses import BIN_OF_CELL, BINS, FIXED, LINES, LOWER, MIDDLE, SHARES, SIDES, TEMPERED, UPPER

SUMS: Final = ("n", "sy", "sp", "spp", "spy")
"""The sums that bets are computed from."""

INSIDE: Final = 1e-3
"""The likelihood ratio keeps probabilities inside [ε, 1 - ε]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Sums of labelled events by row and cell, in ascending order of row, then cell; arrays have shape (m,)."""

    rows: int  # number of rows, with or without entries
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
        fields = {name: getattr(cells, name)[at] for name in SUMS}
        return cls(rows=1, row=np.zeros(len(at), dtype=np.int64), cell=at, **fields)

    @classmethod
    def gathered(cls, rows: int, row: Integers, cell: Integers, sums: Floats) -> "Entries":
        """Return sums by row and cell from parts in any order.

        Parameters
        ----------
        rows : number of rows
        row, cell : of each part; shape (m,)
        sums : n, Σy, Σp, Σp² and Σpy of each part; shape (m, 5)

        """
        keys, place = np.unique(row * CELLS + cell, return_inverse=True)
        total = np.zeros((len(keys), len(SUMS)))
        np.add.at(total, place, sums)
        labelled = total[:, 0] > 0
        sums_by_name = {name: total[labelled, i] for i, name in enumerate(SUMS)}
        return cls(rows=rows, row=keys[labelled] // CELLS, cell=keys[labelled] % CELLS, **sums_by_name)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Sums of labelled events that share a cluster, in any order; arrays have shape (m,)."""

    cluster: Integers
    cell: Integers
    n: Floats  # events
    sy: Floats  # Σ y
    sp: Floats  # Σ p


def charge(bets: Floats, threshold: float) -> Floats:
    """Return the log charge of bets at a threshold δ: log(1 + λδ) for each; shape (*bets.shape, 1, 5), to be taken off the payoff.

    Parameters
    ----------
    bets : how many were placed: events, and clusters
    threshold : δ

    """
    total: Floats = bets[..., np.newaxis, np.newaxis] * np.log1p(SHARES * threshold)
    return total


def by_row(values: Floats, keys: Integers, count: int) -> Floats:
    """Return sums of values over equal, ascending keys along the last axis, which gets the length `count`."""
    if count == 1:
        alone: Floats = values.sum(axis=-1, keepdims=True)
        return alone
    total = np.zeros((*values.shape[:-1], count))
    if len(keys):
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        total[..., keys[first]] = np.add.reduceat(values, first, axis=-1)
    return total


def by_bin(row: Integers, cell: Integers, values: Floats, rows: int) -> Floats:
    """Return sums of values per row and twentieth of [0, 1]; shape (rows, 20)."""
    total = np.bincount(row * BINS + BIN_OF_CELL[cell], weights=values, minlength=rows * BINS)
    return total.astype(np.float64).reshape(rows, BINS)


def seen(entries: Entries) -> tuple[Floats, Floats]:
    """Return what learned witnesses learn from each row: Σ (y - p) and Σ p(1 - p) per bin; two arrays of shape (rows, 20)."""
    gaps = by_bin(entries.row, entries.cell, entries.sy - entries.sp, entries.rows)
    return gaps, by_bin(entries.row, entries.cell, entries.sp - entries.spp, entries.rows)


def seen_clustered(clusters: Clusters) -> tuple[Floats, Floats]:
    """Return what learned witnesses learn from clusters, each of which counts as one event; two arrays of shape (1, 20).

    These are the mean over a cluster of y - p, by bin, and its variance if all of the cluster's outcomes in a bin are one draw.
    """
    ordered, size = _ordered(clusters)
    part = 1.0 / size[ordered.cluster]
    row = np.zeros_like(ordered.cell)
    gaps = by_bin(row, ordered.cell, part * (ordered.sy - ordered.sp), 1)
    return gaps, by_bin(row, ordered.cell, part**2 * (ordered.n * ordered.sp - ordered.sp**2), 1)


def log_factors(entries: Entries, sign: Floats, share: Floats) -> Floats:
    """Return a lower bound of the summed log(1 + λd(y - p)) of each entry's events.

    Events with y = 1 and y = 0 have factors f(p) that are linear in p, so log f at their mean m exceeds its mean by at most
    SS/2·(λd/f_min)², with SS = Σp² - n₁m₁² - n₀m₀² over both groups and f_min the factor's smallest value in the cell. SS is charged
    at the smaller f_min of the two groups as far as that group's position in the cell allows, the rest at the other. Exact if SS = 0.

    Parameters
    ----------
    entries : sums of m cells
    sign : d, in [-1, 1]; shape (m,), or (w, 1, m) for w witnesses
    share : λ; shape (k, 1)

    Returns
    -------
    array of shape (k, m) or (w, k, m), natural logarithms

    Examples
    --------
    The events (.9, 0), (.8, 1), (.7, 0) with d = -1; a charge of log(1 + λδ) each is a bet of λ/(1 + λδ) on d(y - p) - δ:

    >>> rows, share, threshold = Entries.of(Cells.from_rows([0.9, 0.8, 0.7], [0, 1, 0])), 0.4 / (1 - 0.4 * 0.02), 0.02
    >>> paid = log_factors(rows, np.full(3, -1.0), np.array([[share]])).sum() - 3 * np.log1p(share * threshold)
    >>> round(float(np.exp(paid)), 9)
    1.568406528

    """
    low, high = LOWER[entries.cell], UPPER[entries.cell]
    ones, zeros = entries.sy, entries.n - entries.sy
    mean_1 = np.clip(np.divide(entries.spy, ones, out=low.copy(), where=ones > 0), low, high)
    mean_0 = np.clip(np.divide(entries.sp - entries.spy, zeros, out=low.copy(), where=zeros > 0), low, high)
    spread = np.maximum(entries.spp - ones * mean_1**2 - zeros * mean_0**2, 0.0)
    most_1, most_0 = (n * (m - low) * (high - m) for n, m in ((ones, mean_1), (zeros, mean_0)))

    gain = share * sign
    falls = sign > 0  # with p, so that the least is at the upper end and for y = 0, else at the lower end and for y = 1
    worst = 1.0 - np.abs(gain) * np.where(falls, high, 1.0 - low)
    at_worst = np.minimum(spread, np.where(falls, most_0, most_1))
    charged = at_worst / worst**2 + (spread - at_worst) / (worst + np.abs(gain)) ** 2
    logs: Floats = ones * np.log1p(gain * (1.0 - mean_1)) + zeros * np.log1p(-gain * mean_0)
    logs -= 0.5 * gain**2 * charged
    return logs


def linear(entries: Entries, learned: Floats, soft: Floats | None = None) -> Floats:
    """Return the log payoff of all bets on each row's events, before their charge.

    Parameters
    ----------
    entries : sums of the events
    learned : signs per row, learned witness and bin; shape (rows, k, 20)
    soft : sides of soft witnesses, in [-1, 1], per row, witness and bin; shape (rows, s, 20)

    Returns
    -------
    array of shape (rows, 10 + k + s, 5): fixed witnesses, then learned ones, then soft ones, by share

    """
    slope, share = TEMPERED[entries.cell], SHARES[:, np.newaxis]
    signs = np.stack([np.full_like(slope, -1.0), np.ones_like(slope), -slope, slope])
    paid = log_factors(entries, signs[:, np.newaxis], share)
    sides = np.stack([paid[0], np.zeros_like(paid[0]), paid[1]])
    above = BIN_OF_CELL[entries.cell] >= BINS // 2
    halves = by_row(sides, 2 * entries.row + above, 2 * entries.rows)
    sided = halves[SIDES[:, 0] + 1, :, 0::2] + halves[SIDES[:, 1] + 1, :, 1::2]
    chosen = 1 + learned[entries.row, :, BIN_OF_CELL[entries.cell]].astype(np.int64).T
    own = sides[chosen, :, np.arange(len(slope))].swapaxes(1, 2)
    parts = [paid[2:], own]
    if soft is not None:
        taken = soft[entries.row, :, BIN_OF_CELL[entries.cell]].T[:, np.newaxis]
        parts.append(log_factors(entries, taken, share))
    rest = by_row(np.concatenate(parts), entries.row, entries.rows)
    return np.concatenate([sided, rest]).transpose(2, 0, 1)


def linear_clustered(clusters: Clusters, learned: Floats) -> Floats:
    """Return the log payoff of all bets on clusters of dependent events, before their charge: the product of the clusters' average factors.

    A cluster is one bet. Its factor is 1 + λ·(mean of d(p)(y - p)), exactly.

    Parameters
    ----------
    clusters : sums of the events
    learned : sides of the learned witnesses, in [-1, 1], per witness and bin; shape (k, 20)

    Returns
    -------
    array of shape (10 + k, 5)

    """
    ordered, size = _ordered(clusters)
    sign = np.concatenate([FIXED[:, ordered.cell], learned[:, BIN_OF_CELL[ordered.cell]]])
    mean = by_row(sign * (ordered.sy - ordered.sp), ordered.cluster, len(size)) / size
    payoffs: Floats = np.log1p(SHARES[:, np.newaxis] * mean[:, np.newaxis]).sum(axis=-1)
    return payoffs


def unseen(n: Floats, sy: Floats, sp: Floats, sign: Floats) -> Floats:
    """Return a lower bound of the log payoff of bets, before their charge, without Σp² and Σpy.

    Within a cell log f is concave in p, so the worst case has all events at the cell's two ends, with the outcome whose factor falls more
    at the upper end.

    Parameters
    ----------
    n, sy, sp : sums per cell; shape (CELLS,)
    sign : d per bin; shape (20,)

    Returns
    -------
    array of shape (5,), by share

    """
    at = np.flatnonzero(n)
    low, high = LOWER[at], UPPER[at]
    ones, zeros, width = sy[at], n[at] - sy[at], high - low
    upper = np.clip(np.divide(sp[at] - n[at] * low, width, out=np.zeros_like(low), where=width > 0), 0.0, n[at])
    gain = SHARES[:, np.newaxis] * sign[BIN_OF_CELL[at]]
    one, zero = np.log1p(gain * (1.0 - low)), np.log1p(-gain * low)
    rise_1, rise_0 = np.log1p(gain * (1.0 - high)) - one, np.log1p(-gain * high) - zero
    ones_up = np.where(rise_1 < rise_0, np.minimum(ones, upper), np.maximum(upper - zeros, 0.0))
    payoff: Floats = (ones * one + zeros * zero + ones_up * rise_1 + (upper - ones_up) * rise_0).sum(axis=-1)
    return payoff


def ratios(q: Floats, low: Floats, high: Floats, delta: float) -> tuple[Floats, Floats]:
    """Return log e of an event with y = 1 and with y = 0 for the alternative q against "within δ of [low, high]".

    With p̃ = clip(q, low - δ, high + δ), both kept inside [ε, 1 - ε]: log(q/p̃) and log((1 - q)/(1 - p̃)). If the probability of
    y = 1 lies within δ of [low, high], the mean factor is at most 1.

    Examples
    --------
    >>> one, zero = ratios(np.array(0.6), np.array(0.8), np.array(0.8), 0.02)
    >>> round(float(np.exp(zero)), 7), round(float(np.exp(one)), 7)
    (1.8181818, 0.7692308)

    """
    alternative = np.clip(q, INSIDE, 1 - INSIDE)
    nearest = np.clip(np.clip(alternative, low - delta, high + delta), INSIDE, 1 - INSIDE)
    return np.log(alternative / nearest), np.log((1 - alternative) / (1 - nearest))


@cache
def _ratio_table(delta: float) -> tuple[Floats, Floats]:
    """Return `ratios` of every alternative in every cell; two arrays of shape (21, CELLS)."""
    return ratios(expit(LINES[:, :1] + LINES[:, 1:] * logit(MIDDLE)), LOWER, UPPER, delta)


def ratio(entries: Entries, delta: float) -> Floats:
    """Return the log likelihood ratio of each row's events for each alternative; shape (rows, 21)."""
    one, zero = (table[:, entries.cell] for table in _ratio_table(delta))
    return by_row(entries.sy * one + (entries.n - entries.sy) * zero, entries.row, entries.rows).T


def ratio_clustered(clusters: Clusters, delta: float) -> Floats:
    """Return the log likelihood ratio of clusters, the product of their average factors; shape (21,)."""
    ordered, size = _ordered(clusters)
    one, zero = (np.exp(table[:, ordered.cell]) for table in _ratio_table(delta))
    paid = ordered.sy * one + (ordered.n - ordered.sy) * zero
    ratios_of_clusters: Floats = np.log(by_row(paid, ordered.cluster, len(size)) / size).sum(axis=1)
    return ratios_of_clusters


def _ordered(clusters: Clusters) -> tuple[Clusters, Floats]:
    """Return clusters numbered from 0 in ascending order, and the number of events of each."""
    _, row = np.unique(clusters.cluster, return_inverse=True)
    order = np.argsort(row, kind="stable")
    cell, n, sy, sp = (getattr(clusters, name)[order] for name in ("cell", "n", "sy", "sp"))
    return Clusters(row[order], cell, n, sy, sp), np.bincount(row, weights=clusters.n).astype(np.float64)
