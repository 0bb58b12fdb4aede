"""Onset of a miscalibration: the moment since which a model's scores have been wrong."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..stats.noise import signed_sum_lower_bound
from ..windows.samples import Array, Sample

BINS: Final = 15

FEWEST_SINCE: Final = 100
"""The fewest labels after an onset."""

INTERVAL: Final = 3.84
"""The fall of twice the log likelihood at the ends of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Sums of confidences and outcomes, per moment and bin of confidence."""

    at: Array  # (moments,) ascending
    n: Array  # (moments, bins) labelled events
    sy: Array  # (moments, bins) Σ outcomes
    sp: Array  # (moments, bins) Σ confidences
    variance: Array  # (moments, bins) Σ p(1 - p)

    @classmethod
    def of(cls, sample: Sample, served: Array) -> "Gaps":
        """Return the gaps for a sample of what would have been served: confidences (n,) or vectors (n, K)."""
        p, right = served, sample.y
        if served.ndim > 1:
            answer = served.argmax(axis=1)
            p, right = served[np.arange(len(served)), answer], answer == sample.y
        at, moment = np.unique(sample.at, return_inverse=True)
        bins = np.maximum(np.searchsorted(np.arange(BINS + 1) / BINS, p, side="left") - 1, 0)
        place, shape = moment * BINS + bins, (len(at), BINS)
        return cls(
            at,
            *(
                np.bincount(place, weights=sample.weight * each, minlength=len(at) * BINS).reshape(shape)
                for each in (1.0, right, p, p * (1.0 - p))
            ),
        )

    def since(self, moment: int) -> "Gaps":
        """Return the gaps since a moment."""
        later = self.at >= moment
        return Gaps(*(getattr(self, name)[later] for name in self.__slots__))


def onset(gaps: Gaps) -> int:
    """Return the latest moment at which the present miscalibration can have begun.

    Before the change the gaps of the bins are noise around 0, after it around values of their own. So twice the log likelihood of a change
    at t is Σ G²/V over bins, plus a constant, with G = Σ(p - y) and V = Σp(1 - p) since t. The result is the end of its 95 % interval:
    labels from before the change harm a fit, a few lost ones do not. A fault from the start begins at the first moment.
    Hinkley 1970 (doi:10.1093/biomet/57.1.1).

    Examples
    --------
    >>> at = np.arange(4000)
    >>> p = np.full(4000, 0.8)
    >>> y = (at % 10 < np.where(at < 3000, 8, 6)).astype(float)
    >>> sample = Sample(p, y, np.ones(4000), at)
    >>> 2950 < onset(Gaps.of(sample, p)) < 3100
    True

    """
    gap, variance, labels = (
        np.cumsum(each[::-1], axis=0)[::-1] for each in (gaps.sp - gaps.sy, gaps.variance, gaps.n.sum(axis=1))
    )
    likelihood = np.where(variance > 0, gap**2 / np.where(variance > 0, variance, 1.0), 0.0).sum(axis=1)
    likelihood[1:][labels[1:] < FEWEST_SINCE] = 0.0
    return int(gaps.at[np.flatnonzero(likelihood >= likelihood.max() - INTERVAL)[-1]])


def lower_bound(gaps: Gaps, alpha: float) -> float | None:
    """Return a lower bound of the expected calibration error, None with fewer than two moments.

    Signs are taken from every second moment, the bound is over the others.
    """
    half, rest = slice(0, None, 2), slice(1, None, 2)
    sign = np.sign((gaps.sp - gaps.sy)[half].sum(axis=0))
    n, sy, sp = (each[rest].sum(axis=0) for each in (gaps.n, gaps.sy, gaps.sp))
    return signed_sum_lower_bound(n, sy, sp, sign, alpha)
