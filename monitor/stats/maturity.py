"""Delays of labels, estimated while many are still to come, and the difference of early and late labels."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtri

from .cells import Floats

LEAST_EXPOSED: Final = 0.02
"""Smallest share of predictions old enough for a point of the curve, so that a few old ones do not decide it alone."""

WARNING_Z: Final = 3.29
"""The two-sided 99.9 % quantile of a normal variable."""

WARNING_DIFFERENCE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Predictions by age, evenly spread within each group's two ages; arrays of shape (groups,)."""

    youngest: Floats
    oldest: Floats
    predictions: Floats
    unlabelled: Floats

    def older(self, ages: Floats, counts: Floats) -> Floats:
        """Return the number of predictions older than each age, of shape (ages,)."""
        width = np.maximum(self.oldest - self.youngest, 1e-9)
        share = np.clip((self.oldest - ages[:, None]) / width, 0.0, 1.0)
        older_predictions: Floats = share @ counts
        return older_predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """The estimated share of predictions that are labelled within each delay, ascending; arrays of shape (delays,)."""

    delay: Floats
    share: Floats

    @property
    def ever(self) -> float:
        """The share of predictions that are ever labelled, as far as known."""
        return float(self.share[-1]) if len(self.share) else 0.0

    def quantile(self, part: float) -> float | None:
        """Return the delay within which a share of all labels arrive; None without labels."""
        if self.ever <= 0:
            return None
        return float(self.delay[np.searchsorted(self.share, part * self.ever * (1 - 1e-12))])


def arrivals(lower: Floats, upper: Floats, labels: Floats, ages: Ages, least: float = LEAST_EXPOSED) -> Arrivals:
    """Return the life-table estimate of label delays, in which unlabelled predictions count only up to their age.

    With d labels in a bucket of delays (l, u], r predictions that were unlabelled at l and w of them younger than u, the bucket's
    hazard is h = d/(r - w/2), and the share labelled within u is 1 - Π(1 - h) over the buckets so far. Delays of the labels seen
    so far are too short while predictions are young, since long ones have not been seen yet.

    Parameters
    ----------
    lower, upper : bounds of the buckets in which labels were seen, ascending, of shape (buckets,)
    labels : number of labels per bucket, of shape (buckets,)
    ages : of all predictions
    least : smallest share of predictions old enough for a bucket; buckets with less are left out

    Returns
    -------
    the curve at the upper bounds of the buckets, in shares of predictions

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
    """Sums over labelled predictions: outcomes, confidences, and squared differences of the two."""

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
        """The variance of that mean, from the observed spread, without assuming calibration."""
        return max(self.squares / self.n - self.mean**2, 0.0) / max(self.n - 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GapDifference:
    """The difference between the gaps of early and late labels."""

    early: float
    late: float
    difference: float
    low: float
    high: float
    z: float | None

    @property
    def warns(self) -> bool:
        """Return whether the difference is significant and large enough to matter."""
        return self.z is not None and abs(self.z) > WARNING_Z and abs(self.difference) > WARNING_DIFFERENCE


def gap_difference(early: Gap, late: Gap) -> GapDifference | None:
    """Return early gap - late gap with its 95 % interval and z, a gap being the mean of y - p; None if a side has fewer than two labels.

    With s² the variance of y - p within a side, z = (early - late)/√(s²_e/n_e + s²_l/n_l) (Welch). If early labels differ from
    late ones, figures of predictions whose labels are still arriving are biased.

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
