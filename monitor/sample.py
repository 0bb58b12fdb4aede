"""Labelled raw scores to fit and judge calibrators on: cells where they are enough, rows where a vector is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from monitor.calibrators.rows import rows_of_cells
from monitor.errors import BadInput
from monitor.outcomes import standing, truth_index, vectors_of
from monitor.records import Model, PredictionRow, SeriesKey
from monitor.stats.reliability import bins_of
from monitor.store import events
from monitor.times import MINUTE
from monitor.windowed import Clocked, buckets

MOST_ROWS: Final = 50_000
"""Vectors that a fit reads at the most: the newest ones."""

AHEAD: Final = 5 * MINUTE
"""How far an event's time may lie ahead of its receipt."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """Weighted rows in the order of time."""

    x: Array  # (n,) confidences or (n, K) vectors, raw
    y: Array  # (n,) outcomes 0 or 1, or class indices
    weight: Array  # (n,) events that a row stands for
    at: Array  # (n,) beginning of the row's bucket, or its time, in microseconds

    @property
    def labels(self) -> int:
        """How many labelled events the rows stand for."""
        return round(float(self.weight.sum()))

    @property
    def right(self) -> int:
        """How many of them have y = 1; of vectors, the right answer."""
        outcome = self.y if self.x.ndim == 1 else self.x.argmax(axis=1) == self.y
        return round(float(self.weight @ outcome))

    def part(self, chosen: Array) -> "Sample":
        """Return the chosen rows."""
        return Sample(self.x[chosen], self.y[chosen], self.weight[chosen], self.at[chosen])

    def split(self, holdout: float) -> tuple["Sample", "Sample"]:
        """Return an earlier part to fit on and a later one, of about the given share, to judge on.

        Raises
        ------
        BadInput
            when the labels share so few moments that no cut comes near that share.

        """
        moments, first = np.unique(self.at, return_index=True)
        before = np.concatenate([[0.0], np.cumsum(self.weight)])[first]
        share = 1.0 - before / self.weight.sum()
        best = int(np.argmin(np.abs(share - holdout)))
        if not holdout / 2 <= share[best] <= (1 + holdout) / 2:
            raise BadInput(
                "holdout",
                holdout,
                f"the labels fall into {len(moments)} bucket(s) of time, too few to hold out the latest {holdout:.0%}",
            )
        later = self.at >= moments[best]
        return self.part(~later), self.part(later)


def raw_sample(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> Sample:
    """Return the labelled raw scores of the wanted series over a range."""
    if clock.model.task == "multiclass":
        return _of_rows(connection, clock.model, start, end, wanted)
    return _of_cells(connection, clock, start, end, wanted)


def _of_cells(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> Sample:
    parts = []
    for begin, summary in buckets(connection, clock, start, end, wanted):
        cells = summary.cells("raw")
        p, y, weight = rows_of_cells(cells.n, cells.sy, cells.sp, cells.spy)
        parts.append(Sample(p, y, weight, np.full(len(p), begin, dtype=np.int64)))
    return _joined(parts, 0)


def _of_rows(connection: Connection, model: Model, start: int, end: int, wanted: Callable[[SeriesKey], bool]) -> Sample:
    found: list[tuple[int, list[float], int]] = []
    for chunk in events.scan(connection, model.id):
        rows = [row for _, row in chunk if start <= row.at < end and wanted(_series(row))]
        found += _labelled(connection, model, rows)
        if len(found) >= MOST_ROWS or chunk[-1][1].received_at < start - AHEAD:
            break
    found = sorted(found[:MOST_ROWS])
    if not found:
        return _joined([], len(model.classes or ()))
    at, x, y = zip(*found, strict=True)
    return Sample(np.array(x), np.array(y, dtype=np.int64), np.ones(len(y)), np.array(at, dtype=np.int64))


def _labelled(connection: Connection, model: Model, rows: list[PredictionRow]) -> list[tuple[int, list[float], int]]:
    labels = events.labels_of(connection, [row.key for row in rows])
    found = []
    for row in rows:
        label = standing(model, labels.get((row.model_id, row.event_id), ()))
        truth = None if label is None else truth_index(model, label.label)
        if truth is not None:
            found.append((row.at, vectors_of(row, model.classes)[1], truth))
    return found


def _series(row: PredictionRow) -> SeriesKey:
    return SeriesKey(row.model_id, row.version, row.calibrator or 0, "")


def _joined(parts: list[Sample], width: int) -> Sample:
    if not parts:
        shape = (0, width) if width else (0,)
        return Sample(np.zeros(shape), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    return Sample(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.at for part in parts]),
    )


def onset(
    connection: Connection,
    clock: Clocked,
    start: int,
    end: int,
    *,
    wanted: Callable[[SeriesKey], bool],
    threshold: float,
) -> int:
    """Return when what is off now most likely began: the bucket from which the signed gap adds up to the most.

    The signs are those of the whole range; a bucket counts for its signed gap less the threshold per label, so that the
    sum over the buckets from t on is largest where the gap begins to exceed the threshold (a CUSUM run backwards,
    Page 1954, doi:10.1093/biomet/41.1-2.100).
    """
    found = buckets(connection, clock, start, end, wanted)
    if not found:
        return start
    binned = [bins_of(summary.cells("served")) for _, summary in found]
    gaps = np.array([bins.sp - bins.sy for bins in binned])
    labels = np.array([bins.n.sum() for bins in binned])
    excess = gaps @ np.sign(gaps.sum(axis=0)) - threshold * labels
    from_here = np.cumsum(excess[::-1])[::-1]
    return found[int(np.argmax(from_here))][0]
