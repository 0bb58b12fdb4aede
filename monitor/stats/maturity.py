"""Maturity: how long labels take to come, while many are still to come, and whether early labels are like late ones."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtri

from .cells import Floats

LEAST_EXPOSED: Final = 0.02
"""The curve ends where fewer than this share of the predictions are old enough to tell: a few old ones would decide it alone."""

WARNING_Z: Final = 3.29
"""Chance alone exceeds it once in 1,000 times."""

WARNING_DIFFERENCE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Predictions by how old they are; each array is of shape (groups,), a group's ages are spread evenly between its two."""

    youngest: Floats
    oldest: Floats
    predictions: Floats
    unlabelled: Floats

    def older(self, ages: Floats, counts: Floats) -> Floats:
        """Return how many of the counted are older than each age, of shape (ages,)."""
        width = np.maximum(self.oldest - self.youngest, 1e-9)
        share = np.clip((self.oldest - ages[:, None]) / width, 0.0, 1.0)
        found: Floats = share @ counts
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """The estimated share of predictions that are labelled within each delay, ascending; arrays of shape (delays,)."""

    delay: Floats
    share: Floats

    @property
    def ever(self) -> float:
        """The share that is ever labelled, as far as can be seen yet."""
        return float(self.share[-1]) if len(self.share) else 0.0

    def quantile(self, part: float) -> float | None:
        """Return the delay within which this part of the labels come that ever come; None where none came."""
        if self.ever <= 0:
            return None
        return float(self.delay[np.searchsorted(self.share, part * self.ever * (1 - 1e-12))])


def arrivals(lower: Floats, upper: Floats, labels: Floats, ages: Ages, least: float = LEAST_EXPOSED) -> Arrivals:
    """Return how labels come, by the life-table estimate, which counts what is still unlabelled only for as long as it was watched.

    With d labels in a bucket of delays (l, u], r predictions that were unlabelled at l and w of them younger than u, the bucket's
    hazard is h = d/(r - w/2), and the share labelled within u is 1 - Π(1 - h) over the buckets so far. Delays of the labels seen
    so far alone are too short while predictions are young: those that take long have not been seen.

    Parameters
    ----------
    lower, upper : bounds of the buckets in which labels were seen, ascending, of shape (buckets,)
    labels : how many labels were seen in each, of shape (buckets,)
    ages : of all predictions
    least : buckets for which a smaller share of predictions is old enough are left out

    Returns
    -------
    the curve at the upper bounds of the buckets; shares are of predictions

    References
    ----------
    Cutler, Ederer: Maximum utilization of the life table method in analyzing survival. https://doi.org/10.1016/0021-9681(58)90126-7

    Examples
    --------
    Of 100 predictions that are over two hours old half were labelled within the hour and 20 in the next; of 100 that are between one
    and two hours old half were labelled within the hour and 10 later.

    >>> ages = Ages(
    ...     youngest=np.array([2.0, 1.0]),
    ...     oldest=np.array([3.0, 2.0]),
    ...     predictions=np.array([100.0, 100.0]),
    ...     unlabelled=np.array([30.0, 40.0]),
    ... )
    >>> found = arrivals(np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.array([100.0, 30.0]), ages)
    >>> found.share.round(3).tolist()
    [0.5, 0.688]

    """
    before, after = (ages.older(bound, ages.unlabelled) for bound in (lower, upper))
    to_come = np.cumsum(labels[::-1])[::-1]
    at_risk = np.maximum(to_come + (before + after) / 2, labels)
    share = 1.0 - np.cumprod(1.0 - labels / at_risk)
    exposed = (ages.older(lower, ages.predictions) + ages.older(upper, ages.predictions)) / 2
    kept = exposed >= least * ages.predictions.sum()
    return Arrivals(delay=upper[kept], share=share[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Sums of labelled predictions: outcomes, confidences, and squared differences of the two."""

    n: float
    sy: float
    sp: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean outcome less the mean confidence."""
        return (self.sy - self.sp) / self.n

    @property
    def variance(self) -> float:
        """The variance of that mean, from the spread of the differences themselves; a calibrated model is not assumed."""
        return max(self.squares / self.n - self.mean**2, 0.0) / max(self.n - 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GapDifference:
    """How the gap of early labels differs from that of late ones."""

    early: float
    late: float
    difference: float
    low: float
    high: float
    z: float | None

    @property
    def warns(self) -> bool:
        """Return whether the two differ by more than chance would, and by enough to matter."""
        return self.z is not None and abs(self.z) > WARNING_Z and abs(self.difference) > WARNING_DIFFERENCE


def gap_difference(early: Gap, late: Gap) -> GapDifference | None:
    """Return early gap - late gap with its 95 % interval and z, where a gap is the mean of y - p; None where a side has under two.

    With s² the variance of y - p within a side, z = (early - late)/√(s²_e/n_e + s²_l/n_l) (Welch). Where early labels are not like
    late ones, figures of predictions whose labels are still coming say something else than they will in the end.

    References
    ----------
    Welch: The generalization of "Student's" problem when several different population variances are involved. https://doi.org/10.1093/biomet/34.1-2.28

    Examples
    --------
    >>> early = Gap(n=1000, sy=600, sp=500, squares=260)
    >>> late = Gap(n=1000, sy=450, sp=500, squares=260)
    >>> found = gap_difference(early, late)
    >>> round(found.difference, 2), round(found.low, 3), round(found.high, 3), round(found.z, 1), found.warns
    (0.15, 0.106, 0.194, 6.7, True)

    """
    if min(early.n, late.n) <= 1:
        return None
    difference = early.mean - late.mean
    error = math.sqrt(early.variance + late.variance)
    half = float(ndtri(0.975)) * error
    return GapDifference(
        early=early.mean,
        late=late.mean,
        difference=difference,
        low=difference - half,
        high=difference + half,
        z=difference / error if error > 0 else None,
    )
