"""Delays of labels, estimated from those that came and from predictions that are still unlabelled."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..domain.delays import Seen, delay_limit
from ..stats.maturity import Ages, Arrivals, Gap, GapDifference, arrivals, gap_difference
from ..stats.summary import ONE


class Aged(NamedTuple):
    """Predictions of one bucket of time, with their ages in microseconds."""

    youngest: int
    oldest: int
    predictions: int
    unlabelled: int


def learned(seen: Mapping[int, int], aged: Sequence[Aged]) -> Arrivals:
    """Return the distribution of the label delay, estimated with unlabelled predictions counted for as long as they were watched.

    Parameters
    ----------
    seen : first labels per bucket of delay
    aged : predictions by age

    """
    buckets = sorted(seen)
    table = np.array(aged, dtype=float).reshape(-1, 4)
    if not table[:, 2].sum():  # ages are unknown: take all as old enough to have their labels
        table = np.array([[np.inf, np.inf, 1.0, 0.0]])
    youngest, oldest, predictions, unlabelled = np.minimum(table, 1e18).T
    return arrivals(
        np.array([delay_limit(bucket - 1) if bucket else 0 for bucket in buckets], dtype=float),
        np.array([delay_limit(bucket) for bucket in buckets], dtype=float),
        np.array([seen[bucket] for bucket in buckets], dtype=float),
        Ages(youngest=youngest, oldest=oldest, predictions=predictions, unlabelled=unlabelled),
    )


def quantile(seen: Mapping[int, int], part: float) -> int | None:
    """Return the delay within which a part of the labels seen so far came, None without any."""
    wanted = part * sum(seen.values())
    total = 0
    for bucket in sorted(seen):
        total += seen[bucket]
        if total >= wanted:
            return delay_limit(bucket)
    return None


def median(seen: Mapping[int, Seen]) -> int | None:
    """Return the delay within which half of the labels seen so far came, None without any."""
    return quantile({bucket: sums.count for bucket, sums in seen.items()}, 0.5)


def early_and_late(seen: Mapping[int, Seen]) -> GapDifference | None:
    """Return the difference between labels that came within the median delay and later ones.

    None where either side has too few labels, and for regressions, which have no confidences to compare labels with.
    """
    if not any(sums.sp or sums.squares for sums in seen.values()):
        return None
    middle, nothing = median(seen) or 0, Seen(count=0)
    early = sum((sums for bucket, sums in seen.items() if delay_limit(bucket) <= middle), nothing)
    late = sum((sums for bucket, sums in seen.items() if delay_limit(bucket) > middle), nothing)
    return gap_difference(_gap(early), _gap(late))


def _gap(sums: Seen) -> Gap:
    return Gap(n=sums.count, sy=sums.sy, sp=sums.sp / ONE, squares=sums.squares / ONE)
