"""Which one of several groups of labels is off, where all others are right: that one's labels are suspect."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .noise import null_ece
from .quantiles import pit_bins, quantile_ece, quantile_ece_null_mean
from .reliability import Bins, ece
from .summary import PIT_CELLS

BINS: Final = 15
FEWEST: Final = 100
"""Labels that a group needs to be called off, and all others together to be called right."""

APART: Final = 3.29
"""The two-sided 99.9 % quantile of a normal variable."""

Places = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Labelled events one by one; arrays of shape (n,)."""

    stated: NDArray[np.float64]  # confidences; of regressions the probability integral transform
    outcome: NDArray[np.float64] | None  # None of regressions

    def error(self, chosen: Places) -> tuple[float, float]:
        """Return the calibration error of some events beyond what chance shows, and its standard deviation."""
        if self.outcome is None:
            return _of_levels(self.stated[chosen])
        bins = Bins.from_rows(self.stated[chosen], self.outcome[chosen], BINS)
        mean, _ = null_ece(bins) or (0.0, 0.0)
        rate = (bins.sy + 0.5) / (bins.n + 1)
        spread = math.sqrt(float((bins.n * rate * (1 - rate)).sum())) / max(float(bins.n.sum()), 1.0)
        return (ece(bins) or 0.0) - mean, spread


def _of_levels(pits: NDArray[np.float64]) -> tuple[float, float]:
    counts = pit_bins(np.histogram(pits, PIT_CELLS, (0.0, 1.0))[0].astype(np.float64))
    by_chance = quantile_ece_null_mean(counts) or 0.0
    return (quantile_ece(counts) or 0.0) - by_chance, by_chance


@dataclass(frozen=True, slots=True, kw_only=True)
class OddOne:
    """A group that is off, and its error beside that of all others, both beyond chance."""

    name: str
    error: float
    others: float


def odd_one_out(rows: Labelled, groups: Mapping[str, Places], threshold: float) -> OddOne | None:
    """Return the group whose error is above the threshold where that of all others together is not; None unless there is one.

    Both are beyond what chance shows, and differ by more than chance at 99.9 %. Of several, the one that differs most.

    Parameters
    ----------
    rows : labelled events
    groups : which of them are in each, arrays of shape (n,)
    threshold : of the calibration error

    """
    candidates = dict(_differing(rows, groups, threshold))
    return candidates[max(candidates)] if candidates else None


def _differing(rows: Labelled, groups: Mapping[str, Places], threshold: float) -> Iterable[tuple[float, OddOne]]:
    for name, chosen in groups.items():
        if min(int(chosen.sum()), int((~chosen).sum())) < FEWEST:
            continue
        (error, spread), (others, rest_spread) = rows.error(chosen), rows.error(~chosen)
        z = (error - others) / max(math.hypot(spread, rest_spread), 1e-12)
        if error > threshold >= others and z > APART:
            yield z, OddOne(name=name, error=error, others=max(others, 0.0))
