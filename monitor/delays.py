"""Delays of labels: the logarithmic scale that they are counted on, and what is learned from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from monitor.stats.maturity import Ages, Arrivals, Gap, GapDifference, arrivals, gap_difference
from monitor.stats.summary import ONE
from monitor.times import SECOND

STEPS: Final = 4
"""Buckets per doubling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """First labels of one bucket of delay: how many, and what they said; sums in fixed point."""

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


class Aged(NamedTuple):
    """Predictions of one bucket of time, by their ages in microseconds."""

    youngest: int
    oldest: int
    predictions: int
    unlabelled: int


def delay_bucket(delay: int) -> int:
    """Return the bucket of a delay in microseconds: 0 up to a second, then four per doubling."""
    return 0 if delay <= SECOND else math.ceil(STEPS * math.log2(delay / SECOND))


def delay_limit(bucket: int) -> int:
    """Return the longest delay of a bucket, in microseconds."""
    return math.ceil(SECOND * 2 ** (bucket / STEPS))


def learned(seen: Mapping[int, int], aged: Sequence[Aged]) -> Arrivals:
    """Return how labels come, from how many were seen per bucket of delay and from what is still unlabelled, by age."""
    buckets = sorted(seen)
    table = np.array(aged, dtype=float).reshape(-1, 4)
    if not table[:, 2].sum():  # nothing is known of ages: all are as old as they need to be
        table = np.array([[np.inf, np.inf, 1.0, 0.0]])
    youngest, oldest, predictions, unlabelled = np.minimum(table, 1e18).T
    return arrivals(
        np.array([delay_limit(bucket - 1) if bucket else 0 for bucket in buckets], dtype=float),
        np.array([delay_limit(bucket) for bucket in buckets], dtype=float),
        np.array([seen[bucket] for bucket in buckets], dtype=float),
        Ages(youngest=youngest, oldest=oldest, predictions=predictions, unlabelled=unlabelled),
    )


def quantile(seen: Mapping[int, int], part: float) -> int | None:
    """Return the delay within which this part of the labels seen so far came; None where none came."""
    wanted = part * sum(seen.values())
    total = 0
    for bucket in sorted(seen):
        total += seen[bucket]
        if total >= wanted:
            return delay_limit(bucket)
    return None


def median(seen: Mapping[int, Seen]) -> int | None:
    """Return the delay within which half of the labels seen so far came; None where none came."""
    return quantile({bucket: each.count for bucket, each in seen.items()}, 0.5)


def early_and_late(seen: Mapping[int, Seen]) -> GapDifference | None:
    """Return how labels that came within the median delay differ from later ones.

    None where one side has next to none, and where labels say nothing of confidences, as those of regressions.
    """
    if not any(each.sp or each.squares for each in seen.values()):
        return None
    middle, nothing = median(seen) or 0, Seen(count=0)
    early = sum((each for bucket, each in seen.items() if delay_limit(bucket) <= middle), nothing)
    late = sum((each for bucket, each in seen.items() if delay_limit(bucket) > middle), nothing)
    return gap_difference(_gap(early), _gap(late))


def _gap(sums: Seen) -> Gap:
    return Gap(n=sums.count, sy=sums.sy, sp=sums.sp / ONE, squares=sums.squares / ONE)
