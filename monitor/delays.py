"""A logarithmic scale for how long labels take to come."""

import math
from typing import Final

from monitor.times import SECOND

STEPS: Final = 4
"""Buckets per doubling."""


def delay_bucket(delay: int) -> int:
    """Return the bucket of a delay in microseconds: 0 up to a second, then four per doubling."""
    return 0 if delay <= SECOND else math.ceil(STEPS * math.log2(delay / SECOND))


def delay_limit(bucket: int) -> int:
    """Return the longest delay of a bucket, in microseconds."""
    return math.ceil(SECOND * 2 ** (bucket / STEPS))
