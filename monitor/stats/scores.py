"""Scores of a whole window from sums: Brier score, accuracy, mean confidence, tests of the mean."""

from typing import Final

import numpy as np

from .alike import known, ratio
from .cells import EDGES, Cells, Floats

CELLS_TO_HALF: Final = int(np.searchsorted(EDGES, 0.5)) + 1
"""Number of cells with confidences of at most .5."""


def brier(cells: Cells) -> float | None:
    """Return the binary Brier score, the mean of (p - y)² (Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).

    Examples
    --------
    >>> round(brier(Cells.from_rows([0.1, 0.8], [0, 1])), 12)
    0.025

    """
    return known(ratio((cells.spp - 2 * cells.spy + cells.sy).sum(), cells.n.sum()))


def mean_confidence(cells: Cells) -> float | None:
    """Return the mean confidence of labelled events.

    Examples
    --------
    >>> mean_confidence(Cells.from_rows([0.25, 0.75], [0, 1]))
    0.5

    """
    return known(mean_confidences(cells))


def mean_confidences(cells: Cells) -> Floats:
    """Return the `mean_confidence` of each window."""
    return ratio(cells.sp.sum(axis=-1), cells.n.sum(axis=-1))


def accuracy(cells: Cells, *, binary: bool) -> float | None:
    """Return the share of right answers: of p > .5 against y for a binary model, of y itself for a top-label one.

    Examples
    --------
    >>> accuracy(Cells.from_rows([0.2, 0.7, 0.9], [0, 0, 1]), binary=True) == 2 / 3
    True

    """
    return known(accuracies(folded(cells) if binary else cells))


def accuracies(answers: Cells) -> Floats:
    """Return the `accuracy` of each window from the sums of its answers, folded for a binary model."""
    return ratio(answers.sy.sum(axis=-1), answers.n.sum(axis=-1))


def folded(cells: Cells) -> Cells:
    """Return a binary model's sums as those of its answers: confidence 1 - p and outcome 1 - y where p ≤ .5.

    The arrays stay in the order of p. Exact, since .5 is an edge; a confidence of exactly .5 counts as the answer 0.

    Examples
    --------
    >>> float(folded(Cells.from_rows([0.2, 0.7], [0, 0])).sp.sum())
    1.5

    """
    low = np.arange(cells.n.shape[-1]) < CELLS_TO_HALF

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
    """Return Σ(y - p) / √Σp(1 - p), standard normal for a calibrated model; positive if outcomes exceed forecasts.

    None without events, and if every confidence is 0 or 1.

    Examples
    --------
    >>> calibration_in_the_large_z(Cells.from_rows([0.5, 0.5, 0.5, 0.5], [1, 1, 1, 1]))
    2.0

    """
    return known(calibration_in_the_large_zs(cells))


def calibration_in_the_large_zs(cells: Cells) -> Floats:
    """Return the `calibration_in_the_large_z` of each window."""
    return standardised((cells.sy - cells.sp).sum(axis=-1), (cells.sp - cells.spp).sum(axis=-1))


def spiegelhalter_z(numerator: float, denominator: float) -> float | None:
    """Return Spiegelhalter's z, Σ(y - p)(1 - 2p) / √Σ(1 - 2p)²p(1 - p), from its two sums; blind near p = .5.

    None if the denominator is not positive: no events, or every confidence 0, .5 or 1. Spiegelhalter 1986 (doi:10.1002/sim.4780050506).

    Examples
    --------
    >>> round(spiegelhalter_z(0.8, 0.09 * 0.64), 6)
    3.333333

    """
    return known(standardised(np.array(numerator), np.array(denominator)))


def standardised(total: Floats, variance: Floats) -> Floats:
    """Return totals in units of their standard deviations, NaN unless these are positive."""
    return ratio(total, np.sqrt(np.maximum(variance, 0.0)))
