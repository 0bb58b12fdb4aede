"""Score drift: how far confidences have moved from a reference, and how far chance alone would move them."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtri, kolmogi, xlogy

from monitor.stats.cells import Floats, Integers
from monitor.stats.reliability import equal_mass

BINS: Final = 10
SMOOTHING: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDrift:
    """Distances between two samples of confidences, each with the quantile that two samples of one source reach at these sizes."""

    psi: float
    psi_null_95: float
    psi_null_999: float
    ks: float
    ks_null_95: float
    js: float  # divergence in nats
    js_null_95: float
    n: int  # events in the reference
    m: int  # events now

    def drifted(self, threshold: float) -> bool:
        """Return whether the PSI is above its threshold and above what chance does once in a thousand times."""
        return self.psi > threshold and self.psi > self.psi_null_999


def score_drift(reference: ArrayLike, current: ArrayLike, bins: int = BINS) -> ScoreDrift | None:
    """Return how far confidences have moved from a reference.

    PSI and the Jensen-Shannon divergence are over equal-mass bins of the reference, cells never split, .5 added to each
    count: PSI = Σ(q - r)·ln(q/r), JS = Σ[r·ln(r/h) + q·ln(q/h)]/2 with h = (r + q)/2. Without drift PSI/(1/n + 1/m) and
    8·JS/(1/n + 1/m) are about chi-squared with one degree less than there are bins; slightly conservative under 200 events.
    KS is the largest distance of the two distribution functions at the edges of the cells, with Kolmogorov's asymptotic
    quantile, which ties make conservative. A reference in one single cell is compared as three bins: below, in and above it.
    Lin 1991 (doi:10.1109/18.61115), Yurdakul & Naranjo 2020 (doi:10.21314/JRMV.2020.227).

    Parameters
    ----------
    reference, current : arrays of shape (cells,), events in each cell in ascending order of confidence
    bins : how many equal-mass bins to aim at

    Returns
    -------
    the distances, None where either sample is empty

    Examples
    --------
    >>> moved = score_drift([100, 100, 100, 0], [0, 100, 100, 100])
    >>> round(moved.ks, 6), moved.ks > moved.ks_null_95, moved.drifted(0.2)
    (0.333333, True, True)

    """
    before, now = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    n, m = float(before.sum()), float(now.sum())
    if n <= 0 or m <= 0:
        return None
    place, degrees = _bins_of_reference(before, bins)
    r, q = _shares(before, place), _shares(now, place)
    scale = 1 / n + 1 / m
    return ScoreDrift(
        psi=float(((q - r) * np.log(q / r)).sum()),
        psi_null_95=float(chdtri(degrees, 0.05)) * scale,
        psi_null_999=float(chdtri(degrees, 0.001)) * scale,
        ks=float(np.abs(np.cumsum(before) / n - np.cumsum(now) / m).max()),
        ks_null_95=min(1.0, float(kolmogi(0.05)) * math.sqrt(scale)),
        js=_jensen_shannon(r, q),
        js_null_95=min(math.log(2), float(chdtri(degrees, 0.05)) * scale / 8),
        n=int(n),
        m=int(m),
    )


def _bins_of_reference(counts: Floats, bins: int) -> tuple[Integers, int]:
    """Return the bin of every cell and the degrees of freedom; cells that the reference never used join the occupied one below."""
    occupied = np.flatnonzero(counts)
    if len(occupied) == 1:
        return np.sign(np.arange(len(counts)) - occupied[0]).astype(np.int64) + 1, 1
    names, bin_of_occupied = np.unique(equal_mass(counts[occupied], bins), return_inverse=True)
    below = np.searchsorted(occupied, np.arange(len(counts)), side="right") - 1
    return bin_of_occupied[np.maximum(below, 0)].astype(np.int64), len(names) - 1


def _shares(counts: Floats, place: Integers) -> Floats:
    smoothed = np.bincount(place, weights=counts, minlength=int(place.max()) + 1) + SMOOTHING
    shares: Floats = smoothed / smoothed.sum()
    return shares


def _jensen_shannon(r: Floats, q: Floats) -> float:
    half = (r + q) / 2
    return float((xlogy(r, r / half) + xlogy(q, q / half)).sum()) / 2
