"""Labelled raw scores to fit and judge calibrators on, from cells where those suffice, else from event rows."""

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ..calibrators.distribution_rows import objects
from ..calibrators.distributions import Distribution
from ..calibrators.rows import rows_of_cells
from ..domain.errors import BadInput
from ..domain.records import LabelRow, PredictionRow
from ..domain.segments import segment_of
from ..domain.settings import Model
from ..stats.cells import place
from ..stats.summary import Kind, cell_sums
from ..store import rollups
from ..store.payload import distributions_of, vectors_of
from ..store.rows import amount, judged, segments_of, truth_index
from ..store.standing import standing_labels
from .clock import Clocked
from .ranges import spans, widened
from .rows import Wanted, newest
from .segments import declared
from .sums import SEGMENTS_AT_ONCE, buckets

MOST_ROWS: Final = 50_000
"""Event rows that a fit reads at most, the newest ones."""

MOST_SEGMENTS: Final = 100
"""Segments that a candidate is judged on at most, those with most labels."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """Weighted rows in the order of time."""

    x: Array  # (n,) confidences or (n, K) vectors, or of a regression (n,) distributions, raw
    y: Array  # (n,) outcomes 0 or 1, or class indices
    weight: Array  # (n,) events that a row stands for
    at: Array  # (n,) beginning of the row's bucket, or its time, in microseconds
    trusted: Array | None = None  # (n,) whether the label's source is one of those that may judge; None: all are
    cluster: Array | None = None  # (n,) numbers of rows' clusters, negative without one; None: unknown

    @property
    def labels(self) -> int:
        """The number of labelled events that the rows stand for."""
        return round(float(self.weight.sum()))

    @property
    def right(self) -> int:
        """The number of them with y = 1; of vectors, with the right answer."""
        outcome = self.y if self.x.ndim == 1 else self.x.argmax(axis=1) == self.y
        return round(float(self.weight @ outcome))

    @property
    def judging(self) -> "Sample":
        """The rows with trusted labels."""
        return self if self.trusted is None else self.part(self.trusted)

    def part(self, chosen: Array) -> "Sample":
        """Return the chosen rows."""
        trusted, cluster = (None if column is None else column[chosen] for column in (self.trusted, self.cluster))
        return Sample(self.x[chosen], self.y[chosen], self.weight[chosen], self.at[chosen], trusted, cluster)

    def since(self, moment: int) -> "Sample":
        """Return the rows from a moment on."""
        return self.part(self.at >= moment)

    def cut(self, holdout: float) -> int:
        """Return the moment after which about a given share of the trusted labels lies.

        Raises
        ------
        BadInput
            when the labels share so few moments that no cut comes near that share.

        """
        rows = self.judging
        moments, first = np.unique(rows.at, return_index=True)
        before = np.concatenate([[0.0], np.cumsum(rows.weight)])[first]
        share = 1.0 - before / max(rows.weight.sum(), 1.0)
        best = int(np.argmin(np.abs(share - holdout))) if len(moments) else None
        if best is None or not holdout / 2 <= share[best] <= (1 + holdout) / 2:
            raise BadInput(
                "holdout",
                holdout,
                f"the labels fall into {len(moments)} bucket(s) of time, too few to hold out the latest {holdout:.0%}",
            )
        return int(moments[best])

    def split(self, holdout: float) -> tuple["Sample", "Sample"]:
        """Return an earlier part to fit on, and a later one of trusted labels, of about the given share, to judge on.

        Raises
        ------
        BadInput
            when the labels share so few moments that no cut comes near that share.

        """
        later = self.at >= self.cut(holdout)
        return self.part(~later), self.part(later).judging

    def pooled(self) -> "Sample":
        """Return single confidences pooled over time, one row per cell and outcome at its mean; other samples unchanged.

        Examples
        --------
        >>> sample = Sample(np.array([0.4, 0.45, 0.4]), np.array([1, 1, 0]), np.ones(3), np.arange(3))
        >>> pooled = sample.pooled()
        >>> pooled.x.round(3).tolist(), pooled.y.tolist(), pooled.weight.tolist()
        ([0.4, 0.4, 0.45], [0, 1, 1], [1.0, 1.0, 1.0])

        """
        if self.x.ndim > 1 or self.x.dtype == object or not len(self.at):
            return self
        groups, row = np.unique(place(self.x) * 2 + (self.y > 0), return_inverse=True)
        weight = np.bincount(row, weights=self.weight)
        used = weight > 0
        mean = np.bincount(row, weights=self.weight * self.x)[used] / weight[used]
        at = np.full(int(used.sum()), self.at.min())
        return Sample(np.clip(mean, 0.0, 1.0), groups[used] % 2, weight[used], at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """The held-out rows of declared segments."""

    samples: Mapping[str, Sample] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)  # labels of the segments that are too many


def raw_sample(connection: Connection, clock: Clocked, start: int, end: int, wanted: Wanted) -> Sample:
    """Return the labelled raw scores of the wanted series over a range.

    Sums do not keep the sources of labels: where only some are trusted, the newest event rows are read instead.
    """
    if _by_rows(clock.model):
        return row_sample(connection, clock.model, start, end, wanted)
    return _of_cells(connection, clock, start, end, wanted)


def _of_cells(connection: Connection, clock: Clocked, start: int, end: int, wanted: Wanted) -> Sample:
    stored = buckets(connection, clock, start, end, wanted)
    both = _raw_of([(key.calibrator != 0, begin, blob) for key, begin, blob in stored])
    return both.part(np.argsort(both.at, kind="stable"))


def _raw_of(stored: Sequence[tuple[bool, int, bytes]]) -> Sample:
    """Return the raw scores of encoded sums, given as (whether a calibrator served, beginning, sums)."""
    # Under a calibrator, an event without a raw score says only what the calibrator made of it.
    kinds: dict[bool, tuple[Kind, ...]] = {False: ("both", "raw"), True: ("raw",)}
    return joined(
        [
            _raw_cells([(begin, blob) for served, begin, blob in stored if served == calibrated], wanted)
            for calibrated, wanted in kinds.items()
        ]
    )


def _raw_cells(stored: Sequence[tuple[int, bytes]], kinds: Collection[Kind]) -> Sample:
    rows, _, sums = cell_sums([blob for _, blob in stored], kinds, ("n", "sy", "sp", "spy"))
    at = np.array([begin for begin, _ in stored], dtype=np.int64)[rows]
    n, sy, _, _ = sums.T
    p, y, weight = rows_of_cells(*sums.T)
    return Sample(p, y, weight, np.concatenate([at[sy > 0], at[n - sy > 0]]))


def _by_rows(model: Model) -> bool:
    return model.task in {"multiclass", "regression"} or model.settings.trusted_sources is not None


@dataclass(frozen=True, slots=True)
class _Row:
    """A labelled event."""

    at: int
    x: float | list[float] | Distribution
    y: float
    trusted: bool
    segments: tuple[str, ...]
    cluster: str | None


def row_sample(connection: Connection, model: Model, start: int, end: int, wanted: Wanted) -> Sample:
    """Return the labelled raw scores of the wanted series over a range from their newest event rows, which know their clusters."""
    return _sample(model, _rows(connection, model, start, end, wanted))


def sample_of(
    connection: Connection, model: Model, rows: list[PredictionRow], *, judged_from: int
) -> tuple[Sample, Segments]:
    """Return the labelled raw scores of some predictions in the order of time, and those of declared segments since `judged_from`."""
    labelled = sorted(_labelled(connection, model, rows), key=lambda row: row.at)
    return _sample(model, labelled), _largest(_by_segment(model, [row for row in labelled if row.at >= judged_from]))


def _sample(model: Model, rows: Sequence[_Row]) -> Sample:
    sources = model.settings.trusted_sources
    return Sample(
        _raw(model, [row.x for row in rows]),
        np.array([row.y for row in rows], dtype=np.float64 if model.task == "regression" else np.int64),
        np.ones(len(rows)),
        np.array([row.at for row in rows], dtype=np.int64),
        None if sources is None else np.array([row.trusted for row in rows], dtype=bool),
        _numbered([row.cluster for row in rows]),
    )


def _numbered(clusters: Sequence[str | None]) -> Array:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    return np.array([-1 if name is None else numbers[name] for name in clusters], dtype=np.int64)


def _raw(model: Model, values: list[Any]) -> Array:
    if model.task == "regression":
        return objects(values)
    shape = (len(values), len(model.classes or ())) if model.task == "multiclass" else (len(values),)
    return np.array(values, dtype=np.float64).reshape(shape)


def _rows(connection: Connection, model: Model, start: int, end: int, wanted: Wanted) -> list[_Row]:
    """Return the newest labelled events of a range, in the order of time."""
    labelled: list[_Row] = []
    for rows in newest(connection, model.id, start, end, wanted):
        labelled += _labelled(connection, model, rows)
        if len(labelled) >= MOST_ROWS:
            break
    return sorted(labelled[:MOST_ROWS], key=lambda row: row.at)


def _labelled(connection: Connection, model: Model, rows: list[PredictionRow]) -> list[_Row]:
    sources = model.settings.trusted_sources
    labelled = []
    for row, label in zip(rows, standing_labels(connection, model, rows), strict=True):
        scored = None if label is None else _scored(model, row, label)
        if label is not None and scored is not None:
            values = segments_of(row, model.settings.segments) if model.settings.segments else {}
            names = (segment_of(key, values) for key in model.settings.segments)
            segments = tuple(name for name in names if name is not None)
            labelled.append(_Row(row.at, *scored, sources is None or label.source in sources, segments, row.cluster))
    return labelled


def _scored(
    model: Model, row: PredictionRow, label: LabelRow
) -> tuple[float | list[float] | Distribution, float] | None:
    """Return the raw score and the outcome of a prediction, None where either is unknown."""
    if not _has_raw(row):
        return None
    if model.task == "regression":
        y = amount(label.label)
        return None if y is None else (distributions_of(row)[1], y)
    if model.task == "multiclass":
        truth = truth_index(model, row, label.label)
        return None if truth is None else (vectors_of(row, model.classes)[1], truth)
    kind = "both" if row.raw is None else "raw"
    return next(((p, y) for scored, p, y, *_ in judged(model, row, label.label) if scored == kind), None)


def _has_raw(row: PredictionRow) -> bool:
    """Return whether the raw score is known: under a calibrator, only where it was sent beside the served one."""
    return row.calibrator is None or row.raw is not None


def joined(parts: Sequence[Sample]) -> Sample:
    """Return samples of one kind, at least one, as one."""
    trusted = [part.trusted for part in parts if part.trusted is not None]
    return Sample(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate(trusted) if len(trusted) == len(parts) else None,
    )


def held_out_segments(
    connection: Connection, clock: Clocked, sample: Sample, *, holdout: float, end: int, version: str | None
) -> Segments:
    """Return the raw scores of the largest declared segments within a sample's holdout.

    Parameters
    ----------
    sample : from `raw_sample`, of the same version
    holdout : the share to hold out; where that is impossible, no segment is returned
    end : of the sample's range
    version : the model version; None for all

    """
    if not clock.model.settings.segments or holdout <= 0 or not sample.labels:
        return Segments()
    try:
        start = sample.cut(holdout)
    except BadInput:
        return Segments()
    read = _segments_of_rows if _by_rows(clock.model) else _segments_of_cells
    return _largest(read(connection, clock, start, end, version))


def _segments_of_rows(
    connection: Connection, clock: Clocked, start: int, end: int, version: str | None
) -> Iterator[tuple[str, Sample]]:
    rows = _rows(connection, clock.model, start, end, lambda key: version in {None, key.version})
    return _by_segment(clock.model, rows)


def _by_segment(model: Model, rows: Sequence[_Row]) -> Iterator[tuple[str, Sample]]:
    by_segment: dict[str, list[_Row]] = {}
    for row in rows:
        for name in row.segments:
            by_segment.setdefault(name, []).append(row)
    for name in sorted(by_segment):
        yield name, _sample(model, by_segment[name]).judging


def _segments_of_cells(
    connection: Connection, clock: Clocked, start: int, end: int, version: str | None
) -> Iterator[tuple[str, Sample]]:
    series = sorted(
        (key.segment, n, key)
        for key, n in rollups.series_ids(connection, clock.model.id).items()
        if version in {None, key.version} and key.segment and declared(clock.model, key.segment)
    )
    names = sorted({segment for segment, _, _ in series})
    parts = spans(*widened(start, end, clock.progress.minutes_from))
    for first in range(0, len(names), SEGMENTS_AT_ONCE):
        some = set(names[first : first + SEGMENTS_AT_ONCE])
        keys = {n: key for segment, n, key in series if segment in some}
        stored = sorted(
            (keys[n].segment, keys[n].calibrator != 0, begin, blob)
            for n, _, begin, blob in rollups.read(connection, list(keys), parts)
        )
        for name, same in groupby(stored, key=itemgetter(0)):
            yield name, _raw_of([row[1:] for row in same]).pooled()


def _largest(segments: Iterator[tuple[str, Sample]]) -> Segments:
    """Return the segments with most labels, and only the counts of the others, which bounds the memory."""
    kept: list[tuple[int, str, Sample]] = []
    left_out: dict[str, int] = {}
    for name, sample in segments:
        segment = (sample.labels, name, sample)
        if len(kept) < MOST_SEGMENTS:
            heapq.heappush(kept, segment)
            continue
        labels, other, _ = heapq.heappushpop(kept, segment)
        left_out[other] = labels
    return Segments(samples={name: sample for _, name, sample in sorted(kept, key=itemgetter(1))}, left_out=left_out)
