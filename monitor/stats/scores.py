"""Scores of a window as a whole, from sums: Brier, accuracy, mean confidence, tests of the mean."""

import math
from typing import Final

import numpy as np

from monitor.stats.cells import EDGES, Cells, Floats

CELLS_TO_HALF: Final = int(np.searchsorted(EDGES, 0.5)) + 1
"""How many cells hold confidences up to and including .5."""


def brier(cells: Cells) -> float | None:
    """Return the binary Brier score, the mean of (p - y)² (Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).

    Examples
    --------
    >>> round(brier(Cells.from_rows([0.1, 0.8], [0, 1])), 12)
    0.025

    """
    return _ratio(float((cells.spp - 2 * cells.spy + cells.sy).sum()), float(cells.n.sum()))


def mean_confidence(cells: Cells) -> float | None:
    """Return the mean confidence of labelled events.

    Examples
    --------
    >>> mean_confidence(Cells.from_rows([0.25, 0.75], [0, 1]))
    0.5

    """
    return _ratio(float(cells.sp.sum()), float(cells.n.sum()))


def accuracy(cells: Cells, *, binary: bool) -> float | None:
    """Return the share of right answers: of p > .5 against y for a binary model, of y itself for a top-label one.

    Examples
    --------
    >>> accuracy(Cells.from_rows([0.2, 0.7, 0.9], [0, 0, 1]), binary=True) == 2 / 3
    True

    """
    right = float((folded(cells).sy if binary else cells.sy).sum())
    return _ratio(right, float(cells.n.sum()))


def folded(cells: Cells) -> Cells:
    """Return a binary model's sums as those of its answers: confidence 1 - p and outcome 1 - y where p ≤ .5.

    The arrays stay in the order of p. Exact, since .5 is an edge; a confidence of exactly .5 counts as the answer 0.

    Examples
    --------
    >>> float(folded(Cells.from_rows([0.2, 0.7], [0, 0])).sp.sum())
    1.5

    """
    low = np.arange(len(cells.n)) < CELLS_TO_HALF

    def turned(n: Floats, total: Floats) -> Floats:
        return np.where(low, n - total, total)

    return Cells(
        n=cells.n,
        sy=turned(cells.n, cells.sy),
        sp=turned(cells.n, cells.sp),
        spp=np.where(low, cells.n - 2 * cells.sp + cells.spp, cells.spp),
        spy=np.where(low, cells.n - cells.sp - cells.sy + cells.spy, cells.spy),
        en=cells.en,
        esp=turned(cells.en, cells.esp),
        hn=cells.hn,
        hsy=turned(cells.hn, cells.hsy),
        hsp=turned(cells.hn, cells.hsp),
    )


def calibration_in_the_large_z(cells: Cells) -> float | None:
    """Return Σ(y - p) / √Σp(1 - p), standard normal for a calibrated model; positive where outcomes exceed forecasts.

    None without events and where every confidence is 0 or 1.

    Examples
    --------
    >>> calibration_in_the_large_z(Cells.from_rows([0.5, 0.5, 0.5, 0.5], [1, 1, 1, 1]))
    2.0

    """
    return _standardised(float((cells.sy - cells.sp).sum()), float((cells.sp - cells.spp).sum()))


def spiegelhalter_z(numerator: float, denominator: float) -> float | None:
    """Return Spiegelhalter's z, Σ(y - p)(1 - 2p) / √Σ(1 - 2p)²p(1 - p), from its two sums; blind near p = .5.

    None where the denominator is not positive: no events, or every confidence 0, .5 or 1. Spiegelhalter 1986 (doi:10.1002/sim.4780050506).

    Examples
    --------
    >>> round(spiegelhalter_z(0.8, 0.09 * 0.64), 6)
    3.333333

    """
    return _standardised(numerator, denominator)


def _ratio(total: float, count: float) -> float | None:
    return total / count if count > 0 else None


def _standardised(total: float, variance: float) -> float | None:
    return total / math.sqrt(variance) if variance > 0 else None
