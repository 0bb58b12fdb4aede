"""Decompositions of the Brier score: how much of it is miscalibration, and how much the forecasts tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from monitor.stats.cells import Cells, Floats
from monitor.stats.reliability import Bins


@dataclass(frozen=True, slots=True, kw_only=True)
class Murphy:
    """Parts of the binary Brier score: reliability - resolution + uncertainty + variance - covariance."""

    reliability: float
    resolution: float
    uncertainty: float
    within_bin_variance: float
    within_bin_covariance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Corp:
    """Parts of the binary Brier score: miscalibration - discrimination + uncertainty."""

    miscalibration: float
    discrimination: float
    uncertainty: float


def murphy(bins: Bins) -> Murphy | None:
    """Return Murphy's terms with the two within-bin terms, which make them add up to the Brier score exactly.

    With m = Sy/n, q = Sp/n and the base rate r = ΣSy/N, sums over bins:
    REL = Σ n(q - m)²/N, RES = Σ n(m - r)²/N, UNC = r(1 - r), WBV = Σ(Σp² - Sp²/n)/N, WBC = 2·Σ(Σpy - Sp·Sy/n)/N.
    Murphy 1973 (doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2), Stephenson, Coelho & Jolliffe 2008 (doi:10.1175/2007WAF2006116.1).

    Examples
    --------
    >>> parts = murphy(Bins.from_rows([0.2, 0.4, 0.8], [0, 1, 1], 1))
    >>> round(parts.reliability, 6), parts.resolution, round(parts.uncertainty, 6)
    (0.04, 0.0, 0.222222)

    """
    total = float(bins.n.sum())
    if total <= 0:
        return None
    size, base = np.maximum(bins.n, 1), float(bins.sy.sum()) / total
    return Murphy(
        reliability=float(((bins.sp - bins.sy) ** 2 / size).sum()) / total,
        resolution=float(((bins.sy - bins.n * base) ** 2 / size).sum()) / total,
        uncertainty=base * (1 - base),
        within_bin_variance=float((bins.spp - bins.sp**2 / size).sum()) / total,
        within_bin_covariance=2 * float((bins.spy - bins.sp * bins.sy / size).sum()) / total,
    )


def corp(cells: Cells) -> Corp | None:
    """Return the CORP decomposition of the Brier score, which needs no bins: isotonic regression is the recalibration.

    MCB = S - S(PAV), DSC = r(1 - r) - S(PAV), where PAV is the isotonic regression of outcomes on confidences; events of
    one cell count as tied. S is exact. MCB and DSC agree with those of the rows within 6e-4 over the fixed cells (measured: 5.5e-4
    at 1,197 rows, 2e-4 at 100,000), and within rounding over the cells of `distinct`.
    Dimitriadis, Gneiting & Jordan 2021 (doi:10.1073/pnas.2016191118).

    Examples
    --------
    >>> from monitor.stats.reliability import distinct
    >>> parts = corp(distinct([0.4, 0.3, 0.2, 0.1, 0.5, 0.9], [0, 0, 0, 1, 1, 1]))
    >>> round(parts.miscalibration, 7), round(parts.discrimination, 7), parts.uncertainty
    (0.1016667, 0.125, 0.25)

    """
    return corps([cells])[0]


def corps(windows: Sequence[Cells]) -> list[Corp | None]:
    """Return `corp` of many windows over the same cells, at a fraction of the cost."""
    if not windows:
        return []
    n, sy, spp, spy = (np.stack([getattr(cells, name) for cells in windows]) for name in ("n", "sy", "spp", "spy"))
    total = n.sum(axis=1)
    size = np.maximum(total, 1)
    best = _recalibrated(n, sy) / size
    score = (spp - 2 * spy + sy).sum(axis=1) / size
    base = sy.sum(axis=1) / size
    uncertainty = base * (1 - base)
    columns = (column.tolist() for column in (total, score - best, uncertainty - best, uncertainty))
    return [_parts(*row) for row in zip(*columns, strict=True)]


def _recalibrated(n: Floats, sy: Floats) -> Floats:
    """Return the Brier score summed over each window's events after isotonic regression, Σ m(1 - m) over its pools, shape (windows,).

    All windows are one regression: each is raised above the one before it, so that no pool spans two.
    """
    window, cell = np.nonzero(n)
    if not len(window):
        return np.zeros(len(n))
    weight, ones = n[window, cell], sy[window, cell]
    pools = isotonic_regression(ones / weight + 2.0 * window, weights=weight).blocks[:-1]
    size, hits = np.add.reduceat(weight, pools), np.add.reduceat(ones, pools)
    return np.asarray(np.bincount(window[pools], hits * (1 - hits / size), minlength=len(n)), dtype=np.float64)


def _parts(total: float, miscalibration: float, discrimination: float, uncertainty: float) -> Corp | None:
    if total <= 0:
        return None
    return Corp(miscalibration=miscalibration, discrimination=discrimination, uncertainty=uncertainty)
