"""Predictive distributions of a number: what one event adds to the sums."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

HALF: Final = 500
"""The level of the median, in thousandths."""


def median(levels: Sequence[int], values: Sequence[float]) -> float:
    """Return the median of stated quantiles: linear between the nearest levels, the outermost value where .5 lies outside.

    >>> median((250, 750), (1.0, 3.0)), median((500, 900), (1.0, 3.0)), median((600, 900), (1.0, 3.0))
    (2.0, 1.0, 1.0)
    """
    place = bisect_left(levels, HALF)
    if place == len(levels):
        return values[-1]
    if place == 0 or levels[place] == HALF:
        return values[place]
    share = (HALF - levels[place - 1]) / (levels[place] - levels[place - 1])
    return values[place - 1] * (1.0 - share) + values[place] * share
