"""Buckets of label delays on a logarithmic scale."""

import math
from dataclasses import dataclass
from typing import Final

from .times import SECOND

STEPS: Final = 4
"""Buckets per doubling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """First labels of one bucket of delay: their number, and sums in fixed point."""

    count: int
    sy: int = 0  # outcomes
    sp: int = 0  # confidences
    squares: int = 0  # (outcome - confidence)²

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(
            count=self.count + other.count,
            sy=self.sy + other.sy,
            sp=self.sp + other.sp,
            squares=self.squares + other.squares,
        )


def delay_bucket(delay: int) -> int:
    """Return the bucket of a delay in microseconds: 0 up to a second, then four per doubling."""
    return 0 if delay <= SECOND else math.ceil(STEPS * math.log2(delay / SECOND))


def delay_limit(bucket: int) -> int:
    """Return the longest delay of a bucket, in microseconds."""
    return math.ceil(SECOND * 2 ** (bucket / STEPS))
