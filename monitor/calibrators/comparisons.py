"""Evidence: what the gate of probabilities and that of distributions weigh alike, and how they say it."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar

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
"""A gain of no more may be rounding alone, which is of one sign on all rows where scores are the same, and so without any spread."""


class Weighted(Protocol):
    """Rows of a segment, which have weights."""

    @property
    def sample_weight(self) -> ArrayLike:
        """How many events each row stands for, shape (n,)."""


S = TypeVar("S", bound=Weighted)


class Bound(NamedTuple):
    """A weighted mean with its standard error."""

    mean: float
    error: float

    def low(self, level: float) -> float:
        """Return what the true mean lies under with a chance of `level` at most."""
        return self.mean + float(ndtri(level)) * self.error

    def high(self, level: float) -> float:
        """Return what the true mean lies over with a chance of `level` at most."""
        return self.mean - float(ndtri(level)) * self.error


def mean_of(values: Floats, weight: Floats) -> float:
    """Return the weighted mean of values, both of shape (n,)."""
    return float(weight @ values / weight.sum())


def bound_of(values: Floats, weight: Floats) -> Bound:
    """Return the mean of values of shape (n,) and its standard error, each row counted as often as its weight says."""
    total, mean = float(weight.sum()), mean_of(values, weight)
    variance = float(weight @ (values - mean) ** 2) / (total - 1.0)
    return Bound(mean, math.sqrt(variance / total))


def by_segment(
    segments: Mapping[str, S], judge: Callable[[str, S, float], dict[str, float]], level: float
) -> dict[str, Any]:
    """Return what is found in each segment with enough labels, at a level that they share, and how many labels the others have."""
    sizes = {name: float(np.sum(each.sample_weight)) for name, each in segments.items()}
    judged = [name for name, rows in sizes.items() if rows >= FEWEST_IN_SEGMENT]
    return {
        "segments": {name: judge(name, segments[name], level / len(judged)) for name in judged},
        "segments_with_few_labels": {name: rows for name, rows in sizes.items() if rows < FEWEST_IN_SEGMENT},
    }


def unproved(opponent: str, gain: float, low: float, *, rows: float, score: str, unit: str = "") -> str:
    """Return what is to be said of a gain over an opponent, on so many rows, whose lower bound is not above 0."""
    if gain <= 0.0:
        worse = f"higher by {-gain:.5f}{unit}" if gain < -SAME else "the same"
        return f"on {rows:g} held-out labels it is no better than {OPPONENTS[opponent]}: its {score} is {worse}"
    return (
        f"on {rows:g} held-out labels it is not surely better than {OPPONENTS[opponent]}: its {score} is lower by {gain:.5f}{unit}, "
        f"which chance alone could do (lower bound {low:.5f})"
    )
