"""Smooth calibration error: residuals smoothed by a kernel, whose bandwidth equals the error itself, instead of binned."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from scipy.fft import dct

from .alike import known, stacked
from .cells import Cells, Floats, Integers

NODES: Final = (256, 2048, 16_384)
"""Steps of the grids, each for bandwidths below the resolution of the previous one."""

FEWEST_STEPS: Final = 4.0
"""Smallest number of grid steps per bandwidth, with a discretisation error below 1e-6."""

NARROW: Final = 1e-6
"""Spreads of confidences below this are rounding."""

ROUNDS: Final = 40
TOLERANCE: Final = 1e-9
AT_ONCE: Final = 32
"""Windows computed together, so that their grids fit the processor's cache."""


def smooth_ece(cells: Cells) -> float | None:
    """Return the smooth expected calibration error smECE, a ratio; None without events.

    smECE(h) = ∫₀¹ abs(Σ(y - p)·K(t, p))/N dt, where K is the Gaussian kernel of width h reflected at 0 and 1; the figure is the
    unique h with smECE(h) = h. Błasiok & Nakkiran 2023 (doi:10.48550/arXiv.2309.12236), definitions 3 and 4.

    Over the fixed cells the figure agrees with that of the rows within 1e-4 (measured: 9e-5, at 100,000 rows of uniform, top-label and rare
    confidences), over the cells of `distinct` within 1e-6.

    The reflected kernel is the heat kernel of [0, 1] with insulated ends, so that smoothing multiplies the cosine series of the residuals
    by exp(-(πkh)²/2): all reflections, exactly. The authors' program relplot convolves on a grid: it counts the two end nodes in
    full instead of half, which inflates the integral if much mass lies near 1, and it searches for h in steps of 1/1024. For the
    twelve forecasts of the tests it gives .12524, while the equation's solution is .12545.

    Parameters
    ----------
    cells : sums over the fixed cells, or from `distinct`

    Examples
    --------
    >>> from calwatch.stats.reliability import distinct
    >>> round(smooth_ece(distinct([0.5, 0.5, 0.5, 0.5], [1, 1, 1, 0])), 6)
    0.25

    """
    return known(smooth_eces(stacked([cells])))


def smooth_eces(cells: Cells) -> Floats:
    """Return the `smooth_ece` of each window."""
    residuals, windows = _Residuals.of(cells), np.arange(len(cells.n))
    parts = [windows[first : first + AT_ONCE] for first in range(0, len(windows), AT_ONCE)]
    errors = np.concatenate([_solved(residuals.among(part)) for part in parts])
    return np.where(cells.n.any(axis=-1), errors, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Residuals:
    """Residuals of many windows: two atoms per cell, one standard deviation on either side of its mean confidence."""

    windows: int
    window: Integers  # of each atom, shape (atoms,)
    at: Floats  # its position
    size: Floats  # per event of its window

    @classmethod
    def of(cls, cells: Cells) -> "_Residuals":
        """Return atoms that keep each cell's Σ(y - p) and Σp(y - p)."""
        window, cell = np.nonzero(cells.n)
        n, sy, sp, spp, spy = (getattr(cells, name)[window, cell] for name in ("n", "sy", "sp", "spp", "spy"))
        mean, residual = sp / n, sy - sp
        spread = np.sqrt(np.maximum(spp / n - mean**2, 0.0))
        spread = np.minimum(spread, np.minimum(mean, 1 - mean))
        moment = spy - spp - mean * residual
        tilt = np.where(spread > NARROW, moment / np.maximum(spread, NARROW), 0.0)
        per_event = np.tile(2 * cells.n.sum(axis=-1)[window], 2)
        at = np.concatenate([mean - spread, mean + spread])
        size = np.concatenate([residual - tilt, residual + tilt]) / per_event
        return cls(windows=len(cells.n), window=np.tile(window, 2), at=at, size=size)

    def among(self, chosen: Integers) -> "_Residuals":
        """Return the residuals of some windows, in ascending order."""
        number = np.full(self.windows, -1)
        number[chosen] = np.arange(len(chosen))
        window = number[self.window]
        kept = window >= 0
        return _Residuals(windows=len(chosen), window=window[kept], at=self.at[kept], size=self.size[kept])


def _solved(residuals: _Residuals) -> Floats:
    bandwidths = _fixed_points(residuals, NODES[0])
    for coarse, fine in pairwise(NODES):
        again = np.flatnonzero(bandwidths * coarse < FEWEST_STEPS)
        if len(again):
            bandwidths[again] = _fixed_points(residuals.among(again), fine)
    return bandwidths


def _fixed_points(residuals: _Residuals, nodes: int) -> Floats:
    """Return the bandwidths that equal their error, by bracketed secants; shape (windows,)."""
    windows = residuals.windows
    series = _series(residuals, nodes)
    low, high = np.abs(series[:, 0]), np.ones(windows)
    width = np.clip(low * 1.2, 4 / nodes, 1.0)
    gap = _errors(series, width) - width
    slope = np.full(windows, -1.5)  # of the error less the bandwidth
    for _ in range(ROUNDS):
        low, high = np.where(gap > 0, width, low), np.where(gap > 0, high, width)
        new = width - gap / slope
        new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
        step = new - width
        if np.abs(step).max(initial=0.0) <= TOLERANCE:
            return new
        reached = _errors(series, new) - new
        slope = np.where(step != 0, np.minimum((reached - gap) / np.where(step != 0, step, 1.0), -1.0), slope)
        width, gap = new, reached
    return width


def _errors(series: Floats, width: Floats) -> Floats:
    """Return ∫ abs(smoothed residuals) dt of each window at its bandwidth; shape (windows,)."""
    nodes = series.shape[1] - 1
    damping = np.exp(-((np.pi * width[:, None] * np.arange(nodes + 1)) ** 2) / 2)
    smoothed = _cosines(series * damping)
    size = np.abs(smoothed)
    total = size.sum(axis=1) - (size[:, 0] + size[:, -1]) / 2
    errors: Floats = (total + _kinks(smoothed, size)) / nodes
    return errors


def _kinks(smoothed: Floats, size: Floats) -> Floats:
    """Return the correction of the trapezoid rule at sign changes, s·(1/6 - θ(1 - θ)) at fraction θ of a step with rise s."""
    negative = smoothed < 0
    rows, at = np.nonzero(negative[:, :-1] != negative[:, 1:])
    left, right = size[rows, at], size[rows, at + 1]
    rise = left + right
    return np.asarray(np.bincount(rows, rise / 6 - left * right / rise, minlength=len(smoothed)), dtype=np.float64)


def _series(residuals: _Residuals, nodes: int) -> Floats:
    """Return the cosine coefficients of the residuals, shape (windows, nodes + 1): Σ residual·cos(πk·place)."""
    windows = residuals.windows
    place, share = _nearest(np.clip(residuals.at, 0.0, 1.0) * nodes, nodes)
    flat = place + residuals.window * (nodes + 1)
    placed = np.bincount(flat.ravel(), (share * residuals.size).ravel(), minlength=windows * (nodes + 1))
    return _sums_of_cosines(np.asarray(placed, dtype=np.float64).reshape(windows, nodes + 1))


def _nearest(at: Floats, nodes: int) -> tuple[Integers, Floats]:
    """Return the four nodes around each place, folded at the ends, and Lagrange's weights for them, shapes (4, places)."""
    first = np.clip(np.floor(at), 0, nodes - 1)
    t = at - first
    weights = np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ]
    )
    places = np.abs(first + np.arange(-1, 3)[:, None])
    return np.where(places > nodes, 2 * nodes - places, places).astype(np.int64), weights


def _sums_of_cosines(placed: Floats) -> Floats:
    """Return Σⱼ vⱼ cos(πkj/nodes) for each k along the last axis: SciPy's transform counts inner nodes twice."""
    halved = placed / 2
    halved[:, [0, -1]] = placed[:, [0, -1]]
    return np.asarray(dct(halved, type=1), dtype=np.float64)


def _cosines(series: Floats) -> Floats:
    """Return c₀ + 2·Σₖ cₖ cos(πkt) at each node t, along the last axis."""
    return np.asarray(dct(series, type=1), dtype=np.float64)
