"""Values that rounding put a little out of place, and what they mean.

Every correction is a function of the values alone, so that it can be repeated whenever they are read.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Final, Literal, TypeVar

V = TypeVar("V", bound=Sequence[float])

SINGLE: Final = 1e-6
"""Farthest that rounding to 32 bits takes a probability out of its range, or a quantile across another, of the largest one."""

COARSE: Final = 2e-2
"""The same for 16 bits of bfloat16, and for the sum of a vector: taken where a model's setting `normalize` says so."""

SUM_TOLERANCE: Final = 1e-3
"""Largest distance of a vector's sum from 1 that is taken as it is."""

SUMMED: Final = 1e-9
"""Rounding of the sum itself: .999 must pass in any order of summation."""

LOWEST: Final = -SINGLE
HIGHEST: Final = 1.0 + SINGLE

Correction = Literal["clamped", "normalized", "sorted"]


def clamped(p: float) -> float:
    """Return the probability that a number within rounding of [0, 1] means.

    >>> clamped(1.0000001), clamped(-1e-9), clamped(0.25)
    (1.0, 0.0, 0.25)
    """
    return 0.0 if p < 0.0 else 1.0 if p > 1.0 else p  # noqa: FURB136  min() is four times slower


def needs_nothing(vector: Collection[float]) -> bool:
    """Return whether a vector is one that is taken as it is; NaN is not.

    >>> needs_nothing([0.5, 0.5005]), needs_nothing([0.5, 0.515]), needs_nothing([1.0000001, 0.0])
    (True, False, False)
    """
    return abs(sum(vector) - 1.0) <= SUM_TOLERANCE and _in_range(vector)


def off_by(vector: Collection[float]) -> float:
    """Return how far the sum of a vector is from 1, its entries clamped; 0 where it is near enough to be taken as it is.

    >>> off_by([0.5, 0.5005]), round(off_by([0.5, 0.515]), 6)
    (0.0, 0.015)
    """
    off = abs(sum(vector if _in_range(vector) else map(clamped, vector)) - 1.0)
    return 0.0 if off <= SUM_TOLERANCE + SUMMED else off


def as_distribution(vector: V) -> V | list[float]:
    """Return the probabilities that a vector means: clamped, and brought to the sum 1 where they are farther off than is taken as it is.

    >>> as_distribution([1.0000001, 0.0]), as_distribution([0.51, 0.51]), as_distribution([0.5, 0.5005])
    ([1.0, 0.0], [0.5, 0.5], [0.5, 0.5005])
    """
    if needs_nothing(vector):
        return vector
    if off_by(vector) == 0.0:
        return vector if _in_range(vector) else [clamped(p) for p in vector]
    probabilities = [clamped(p) for p in vector]
    total = sum(probabilities)
    return [p / total for p in probabilities]


def _in_range(vector: Collection[float]) -> bool:
    return min(vector) >= 0.0 and max(vector) <= 1.0


def fall_of(quantiles: Sequence[float]) -> float:
    """Return the largest fall of quantiles in the order of their levels, relative to the largest of them.

    >>> fall_of([1.0, 2.0]), fall_of([2.0, 1.0])
    (0.0, 0.5)
    """
    if [*quantiles] == sorted(quantiles):
        return 0.0
    fall = max((before - after for before, after in pairwise(quantiles)), default=0.0)
    return fall / max(map(abs, quantiles)) if fall > 0.0 else 0.0


def ascending(quantiles: Sequence[float]) -> Sequence[float]:
    """Return quantiles in the order of their levels sorted where they cross by rounding, else as they are.

    >>> ascending([1.0, 2.0, 1.99]), ascending([1.0, 2.0, 1.5])
    ([1.0, 1.99, 2.0], [1.0, 2.0, 1.5])
    """
    return sorted(quantiles) if 0.0 < fall_of(quantiles) <= COARSE else quantiles


def corrections(vectors: Sequence[Collection[float]]) -> tuple[Correction, ...]:
    """Return the kinds of correction that vectors need.

    >>> corrections([[1.0000001, 0.0]]), corrections([[0.5, 0.515]]), corrections([[0.5, 0.5]])
    (('clamped',), ('normalized',), ())
    """
    needed: dict[Correction, bool] = {
        "clamped": not all(map(_in_range, vectors)),
        "normalized": any(off_by(vector) > 0.0 for vector in vectors),
    }
    return tuple(kind for kind, is_needed in needed.items() if is_needed)
