"""Comparisons of a candidate with what else could serve: bounds of mean gains, and the evidence of both gates as JSON."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from .numeric import Floats

FEWEST_IN_SEGMENT: Final = 50
OPPONENTS: Final = {
    "identity": "no calibrator",
    "incumbent": "the calibrator in service",
    "simpler": "the simpler candidate that passed",
}
SAME: Final = 5e-6
"""Gains closer to 0 than this would be shown as 0."""
ROUNDING: Final = 1e-9
"""A gain of no more may be rounding alone, which has one sign on all rows of equal scores, and so no spread."""


class Weighted(Protocol):
    """Rows of a segment with weights."""

    @property
    def sample_weight(self) -> ArrayLike:
        """Numbers of events that the rows stand for, shape (n,)."""


class Gain(Protocol):
    """A comparison of two calibrators on the same rows."""

    @property
    def lower_bound(self) -> float:
        """The one-sided lower bound of the mean paired gain in the score that decides."""


S = TypeVar("S", bound=Weighted)
Found = TypeVar("Found")
Compared = TypeVar("Compared", bound=Gain)
Constant = TypeVar("Constant")
InSegment = TypeVar("InSegment")


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """The rows and level of a judgement: all the evidence there is where labels are too few."""

    rows: float  # held-out labels
    share: float  # of the level, that this candidate has
    level: float  # chance of passing a calibrator that is no better


class Evidence(Judging, Generic[Compared, Constant, InSegment], frozen=True, kw_only=True):
    """The figures that a gate decided by."""

    comparisons: dict[str, Compared]  # by opponent
    constant: Constant  # gain over one and the same prediction for every event
    segments: dict[str, InSegment]  # by name
    segments_with_few_labels: dict[str, float]  # number of labels, by name

    @property
    def now(self) -> str:
        """The opponent that serves now."""
        return "incumbent" if "incumbent" in self.comparisons else "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """Whether a candidate may be promoted, and the evidence."""

    passed: bool
    reason: str  # for a person, with the figures that decided
    evidence: Judging  # Evidence, unless labels were too few

    @property
    def lower_bound(self) -> float:
        """The lower bound of the gain over what serves now; minus infinity where labels were too few."""
        if not isinstance(self.evidence, Evidence):
            return -math.inf
        return float(self.evidence.comparisons[self.evidence.now].lower_bound)


class Bound(NamedTuple):
    """A weighted mean with its standard error."""

    mean: float
    error: float

    def low(self, level: float) -> float:
        """Return the lower bound that the true mean is under with a chance of `level` at most."""
        return self.mean + float(ndtri(level)) * self.error

    def high(self, level: float) -> float:
        """Return the upper bound that the true mean is over with a chance of `level` at most."""
        return self.mean - float(ndtri(level)) * self.error


def mean_of(values: Floats, weight: Floats) -> float:
    """Return the weighted mean of values, both of shape (n,)."""
    return float(weight @ values / weight.sum())


def bound_of(values: Floats, weight: Floats) -> Bound:
    """Return the weighted mean of values, shape (n,), and its standard error: Σw(v - mean)² / (N - 1) / N under the root, N = Σw."""
    total, mean = float(weight.sum()), mean_of(values, weight)
    variance = float(weight @ (values - mean) ** 2) / (total - 1.0)
    return Bound(mean, math.sqrt(variance / total))


def by_segment(
    segments: Mapping[str, S], judge: Callable[[str, S, float], Found], level: float
) -> tuple[dict[str, Found], dict[str, float]]:
    """Return the findings in each segment of 50 labels or more, which share the level, and the number of labels of the others."""
    sizes = {name: float(np.sum(segment.sample_weight)) for name, segment in segments.items()}
    judged = [name for name, rows in sizes.items() if rows >= FEWEST_IN_SEGMENT]
    few = {name: rows for name, rows in sizes.items() if rows < FEWEST_IN_SEGMENT}
    return {name: judge(name, segments[name], level / len(judged)) for name in judged}, few


def unproved(opponent: str, gain: float, low: float, *, rows: float, score: str, unit: str = "") -> str:
    """Return the objection to a gain over an opponent whose lower bound is not above 0."""
    if gain <= 0.0:
        worse = f"higher by {-gain:.5f}{unit}" if gain < -SAME else "the same"
        return f"no better than {OPPONENTS[opponent]} on {rows:g} held-out labels: {score} {worse}"
    return (
        f"not significantly better than {OPPONENTS[opponent]} on {rows:g} held-out labels: {score} lower by {gain:.5f}{unit} "
        f"(lower bound {low:.5f})"
    )
