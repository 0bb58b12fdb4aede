"""Cohorts of the sequential tests: predictions that mature together, by when they were made or received."""

from typing import Final

from .records import PredictionRow
from .times import HOUR, MINUTE, SECOND, ceil, floor

DUE_STEP: Final = 10 * SECOND
"""Predictions that came within such a step mature together."""

MINUTES_KEPT: Final = 48 * HOUR
"""Of predictions received up to this long after they were made, minutes are told apart; of older ones, hours."""


def due_of(row: PredictionRow) -> int:
    """Return the moment from which the label delay of a prediction counts: when it was made or received, the later one, rounded up."""
    return ceil(max(row.at, row.received_at), DUE_STEP)


def bucket_of(row: PredictionRow) -> int:
    """Return the beginning of a prediction's bucket within its cohort, in event time."""
    return floor(row.at, HOUR if due_of(row) - row.at > MINUTES_KEPT else MINUTE)


def end_of(bucket: int, due: int) -> int:
    """Return the end of a bucket of a cohort."""
    return bucket + (HOUR if due - bucket > MINUTES_KEPT else MINUTE)
