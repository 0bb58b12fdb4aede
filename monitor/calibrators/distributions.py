"""Predictive distributions of a number, and the forms of a family's map of them: plain Python, without NumPy.

A distribution is normal, by mean and standard deviation, or known by quantiles at some levels. A calibrator completes quantiles to a whole
distribution by one rule, both when it is fitted and when it is applied, so that the rule need not be true: labels show how often each
level holds. The rule joins standard normal scores of levels and quantiles by straight lines, and continues beyond the outermost two with
the slope of the line through them. Quantiles of a normal distribution are so completed to that distribution.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import gt
from statistics import NormalDist
from typing import Any, Final, Generic, NamedTuple, Never, TypeVar

from .numeric import Floats

WHOLE: Final = 1000
HALF: Final = 500

SERVED_LEVELS: Final = (5, 25, *range(50, 1000, 50), 975, 995)
"""Levels, in thousandths, of the quantiles that serve a calibrated normal distribution, which is normal no longer: every twentieth, and the
ends of the central intervals of 95 and 99 %."""

RAREST: Final = 1e-15
"""Levels are kept this far from 0 and 1, which is 7.9 standard deviations from a normal distribution's mean."""

_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Distribution:
    """A predictive distribution: normal without levels, else known by quantiles.

    Raises
    ------
    ValueError
        for infinite values, a standard deviation that is not above 0, levels that do not rise from 1 to 999, or quantiles that fall.

    Examples
    --------
    >>> Distribution((), (1.0, 2.0)).location, Distribution((250, 750), (1.0, 3.0)).location
    (1.0, 2.0)

    """

    levels: tuple[int, ...]  # in thousandths; empty: normal
    values: tuple[float, ...]  # one per level; of a normal distribution mean and standard deviation
    chance: float = 0.5  # in (0, 1), draws a label's rank between the levels of the quantiles around it

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.values)):
            raise ValueError(f"values are {self.values!r}; they must be finite")
        if self.levels:
            _check_quantiles(self.levels, self.values)
        elif len(self.values) != 2 or not self.values[1] > 0.0:  # noqa: PLR2004  mean and standard deviation
            raise ValueError(f"values are {self.values!r}; they must be a mean and a standard deviation above 0")

    @property
    def location(self) -> float:
        """The mean of a normal distribution, the median of quantiles."""
        return median(self.levels, self.values) if self.levels else self.values[0]


def _check_quantiles(levels: tuple[int, ...], values: tuple[float, ...]) -> None:
    if len(levels) < 2 or len(levels) != len(values):  # noqa: PLR2004  one quantile is no distribution
        raise ValueError(
            f"{len(levels)} levels and {len(values)} quantiles; there must be two or more, as many of each"
        )
    if not _rise(levels):
        raise ValueError(f"levels are {levels}; they must rise, in thousandths from 1 to 999")
    if any(map(gt, values, values[1:])):
        raise ValueError(f"quantiles are {values}; they must not fall as levels rise")


@lru_cache(maxsize=1024)
def _rise(levels: tuple[int, ...]) -> bool:
    return levels[0] > 0 and levels[-1] < WHOLE and all(low < high for low, high in pairwise(levels))


def median(levels: Sequence[int], values: Sequence[float]) -> float:
    """Return the median of quantiles: linear between the nearest levels, the outermost quantile for .5 beyond them.

    >>> median((250, 750), (1.0, 3.0)), median((500, 900), (1.0, 3.0)), median((600, 900), (1.0, 3.0))
    (2.0, 1.0, 1.0)
    """
    base, start, end, share = median_place(tuple(levels))
    return values[base] + share * (values[end] - values[start])


class Place(NamedTuple):
    """A quantile as a combination of stated ones: values[base] + share·(values[end] - values[start])."""

    base: int
    start: int
    end: int
    share: float


@lru_cache(maxsize=1024)
def median_place(levels: tuple[int, ...]) -> Place:
    """Return the place of the median among quantiles at these levels."""
    above = bisect_right(levels, HALF)
    if above == 0 or above == len(levels):
        outermost = max(above - 1, 0)
        return Place(outermost, outermost, outermost, 0.0)
    low, high = levels[above - 1], levels[above]
    return Place(above - 1, above - 1, above, (HALF - low) / (high - low))


@lru_cache(maxsize=1024)
def scores(levels: tuple[int, ...]) -> tuple[float, ...]:
    """Return the standard normal scores of levels in thousandths.

    >>> [round(z, 3) for z in scores((25, 500, 975))]
    [-1.96, 0.0, 1.96]
    """
    return tuple(_NORMAL.inv_cdf(level / WHOLE) for level in levels)


def places(levels: tuple[int, ...], wanted: Sequence[float]) -> tuple[Place, ...]:
    """Return the places of quantiles with these standard normal scores among those at some levels, by the rule of completion.

    >>> places((160, 500, 840), (0.0,))
    (Place(base=1, start=1, end=2, share=0.0),)
    """
    known, last = scores(levels), len(levels) - 1
    width = known[-1] - known[0]
    placed = []
    for z in wanted:
        above = bisect_right(known, z)
        if above == 0:
            placed.append(Place(0, 0, last, (z - known[0]) / width))
        elif above > last:
            placed.append(Place(last, 0, last, (z - known[-1]) / width))
        else:
            low, high = known[above - 1], known[above]
            placed.append(Place(above - 1, above - 1, above, (z - low) / (high - low)))
    return tuple(placed)


def inverted(x: Sequence[float], y: Sequence[float], levels: Sequence[int]) -> tuple[float, ...]:
    """Return standard normal scores of the raw levels that the map through (0, 0), knots (x, y) and (1, 1) takes to these levels.

    Parameters
    ----------
    x, y : raw levels, not falling, and frequencies of labels at or under them, rising
    levels : observed levels, in thousandths

    Examples
    --------
    >>> [round(z, 3) for z in inverted([0.025, 0.975], [0.05, 0.95], (50, 500, 950))]
    [-1.96, 0.0, 1.96]

    """
    raw, observed = [0.0, *x, 1.0], [0.0, *y, 1.0]
    return tuple(
        _NORMAL.inv_cdf(min(max(_between(observed, raw, level / WHOLE), RAREST), 1 - RAREST)) for level in levels
    )


def _between(x: Sequence[float], y: Sequence[float], at: float) -> float:
    above = bisect_right(x, at)
    low, high = x[above - 1], x[above]
    return y[above - 1] + (at - low) / (high - low) * (y[above] - y[above - 1])


ToDistribution = Callable[[Distribution], Distribution]
OfMany = Callable[[tuple[int, ...], Floats], tuple[tuple[int, ...], Floats]]
"""Calibrates n distributions of one form: levels in thousandths, none of normal ones, and values of shape (n, levels), or (n, 2) with means
and standard deviations."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributions(Generic[P]):
    """What a family makes of its parameters: functions of distributions.

    They raise ValueError for a result that floats cannot hold.
    """

    scalar: Callable[[P], ToDistribution]
    array: Callable[[P], OfMany]


def _refuse(_parameters: object) -> Never:
    raise ValueError("this family does not calibrate distributions")


NO_DISTRIBUTIONS: Final[Distributions[Any]] = Distributions(scalar=_refuse, array=_refuse)
