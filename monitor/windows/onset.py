"""When a model version, or a segment of it, began to be off: an estimate from its buckets of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from msgspec import structs
from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION
from ..domain.evaluations import Evaluation
from ..domain.faults import Since
from ..domain.names import CHAMPION
from ..domain.records import MINUTE_LEVEL, SeriesKey
from ..domain.settings import CLASS, RATIO, Model
from ..domain.times import HOUR, floor, moment
from ..stats.cells import SIXTIETHS, Floats, Integers, bin_of_cell
from ..stats.onset import BINS, Gaps, Onset, onset
from ..stats.quantiles import PIT_BINS
from ..stats.summary import (
    CLASS_FIELDS,
    ONE,
    PIT_CELLS,
    SLOTS,
    Scores,
    Summary,
    cell_slot,
    class_slot,
    decode_all,
    pit_slot,
)
from ..stats.values import UNREAD, Reading, read
from ..store import alerts, rollups, versions
from ..store.rollups import Span
from .clock import Clocked
from .ranges import first_after, hourly, widened
from .rows import Wanted
from .sums import readings

LOOKBACK: Final = 4
"""Multiple of the longest window in which an onset is looked for."""

FIELDS: Final = ("n", "sy", "sp", "spp")
UNITS: Final = np.array([1.0, 1.0, ONE, ONE])[:, None, None]
"""In which the sums of these are kept."""


def dated(connection: Connection, clock: Clocked, evaluation: Evaluation, wanted: Wanted) -> Evaluation:
    """Return an evaluation that is off with when that began; any other as it is.

    Parameters
    ----------
    wanted : whether a series is part of the evaluation

    """
    if not evaluation.is_off:
        return evaluation
    since = since_of(connection, clock, wanted, until=evaluation.over[1], scores=evaluation.scores)
    if since is None:
        return evaluation
    low = None if since.low is None else moment(since.low)
    return structs.replace(evaluation, since=moment(since.at), since_low=low, since_high=moment(since.high))


def since_of(
    connection: Connection,
    clock: Clocked,
    wanted: Wanted,
    *,
    until: int,
    scores: Scores = "served",
    of_class: str | None = None,
) -> Since | None:
    """Return when the fault began that labels of predictions before a moment show; None where there are no such labels.

    It is looked for since the last promotion, since an alert on the calibration last ended, and in four times the longest window. Hours are
    read first, then minutes where they are kept and the fault may have begun.

    Parameters
    ----------
    wanted : whether a series is meant, of a whole
    of_class : the one whose confidences are meant, of a model that keeps sums of its classes and has a threshold for it; None: the answers'

    """
    series = {n: key for key, n in rollups.series_ids(connection, clock.model.id).items() if wanted(key)}
    start = _earliest(connection, clock, {key.version for key in series.values()}, until, scores, of_class=of_class)
    kept = clock.progress.minutes_from
    first, last = widened(min(start, until - 1), until, kept)
    buckets = _Buckets(
        connection=connection, model=clock.model, series=series, scores=scores, index=_index(clock.model, of_class)
    )
    gaps = buckets.gaps(hourly(first, last))
    limit = _limit(clock.model, of_class, gaps)
    coarse = onset(gaps, limit)
    if coarse is None:
        return None
    begin = max(floor(int(coarse.low or first), HOUR) - HOUR, first, last if kept is None else kept)
    end = min(floor(int(coarse.high), HOUR) + 2 * HOUR, last)
    if begin >= end:
        return _since(coarse)
    fine = onset(buckets.gaps([*hourly(first, begin), Span(MINUTE_LEVEL, begin, end), *hourly(end, last)]), limit)
    return _since(fine or coarse)


def _since(estimate: Onset) -> Since:
    return Since(at=int(estimate.at), low=None if estimate.low is None else int(estimate.low), high=int(estimate.high))


def _limit(model: Model, of_class: str | None, gaps: Gaps) -> float:
    """Return the ECE that a fault has to cross: of a model with a limit of observed over expected outcomes also the one that this means."""
    settings, expected, labels = model.settings, float(gaps.sp.sum()), float(gaps.n.sum())
    if of_class is not None:
        return settings.class_thresholds[of_class]
    if RATIO not in settings.thresholds or model.task != "binary" or not expected:
        return settings.thresholds["ece"]
    ratio = settings.thresholds[RATIO]
    beyond = ratio - 1.0 if float(gaps.sy.sum()) > expected else 1.0 - 1.0 / ratio
    return min(settings.thresholds["ece"], beyond * expected / labels)


def _index(model: Model, of_class: str | None) -> int | None:
    """Return the place of a class in the sums of a model."""
    return None if of_class is None or model.classes is None else model.classes.index(of_class)


def _earliest(
    connection: Connection,
    clock: Clocked,
    of_versions: set[str],
    until: int,
    scores: Scores,
    *,
    of_class: str | None,
) -> int:
    """Return the first moment at which the present fault can have begun."""
    number, kept = clock.model.id, clock.progress.minutes_from
    segment = "" if of_class is None else CLASS + of_class
    ended = alerts.last_end(connection, number, MISCALIBRATION, of_versions, until, segment=segment)
    champion = versions.aliases(connection, number).get(CHAMPION)
    promoted = None if champion is None or scores == "raw" else champion.since_event_time
    resets = [first_after(at, kept) for at in (ended, promoted) if at is not None and at < until]
    return max([0, until - LOOKBACK * clock.model.settings.longest_window, *resets])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Buckets:
    """The buckets of some series of a model."""

    connection: Connection
    model: Model
    series: Mapping[int, SeriesKey]
    scores: Scores
    index: int | None = None  # of the class whose confidences are meant; None: the answers'

    def gaps(self, spans: Sequence[Span]) -> Gaps:
        """Return the gaps of the buckets in some spans."""
        rows = rollups.read(self.connection, list(self.series), [span for span in spans if span.first < span.last])
        at, of_row = np.unique(np.array([begin for _, _, begin, _ in rows], dtype=np.int64), return_inverse=True)
        blobs = [blob for *_, blob in rows]
        if self.model.task == "regression":
            return Gaps.of_ranks(at, _summed(len(at), of_row, blobs, _twentieths(), PIT_BINS))
        if self.index is not None:
            columns = _of_class_columns(self.index)
            table = _summed(len(at), of_row, blobs, columns, SIXTIETHS * len(CLASS_FIELDS))
            return _of_class(at, table.reshape(len(at), SIXTIETHS, len(CLASS_FIELDS)))
        known = readings(self.connection, self.model)
        if known:
            table = self._read(len(at), of_row, rows, known)
        else:
            table = _summed(len(at), of_row, blobs, _columns(self.scores), BINS * len(FIELDS))
        n, sy, sp, spp = np.moveaxis(table.reshape(len(at), BINS, len(FIELDS)), -1, 0) / UNITS
        return Gaps(at, n, sy, sp, np.maximum(sp - spp, 0.0), n.sum(axis=1))

    def _read(
        self, moments: int, of_row: Integers, rows: Sequence[tuple[int, int, int, bytes]], known: Mapping[str, Reading]
    ) -> Floats:
        """Return the sums of buckets whose values must be read as probabilities first."""
        table = np.zeros((moments, BINS, len(FIELDS)))
        for place, (number, _, begin, blob) in zip(of_row.tolist(), rows, strict=True):
            reading = known.get(self.series[number].version, UNREAD).at(begin)
            cells = read(Summary.of([blob]), reading).cells(self.scores)
            for column, field in enumerate(FIELDS):
                table[place, :, column] += np.bincount(_BIN_OF_CELL, getattr(cells, field), BINS) * UNITS[column, 0, 0]
        return table


def _of_class(at: Integers, sums: Floats) -> Gaps:
    """Return the gaps of a class: in a sixtieth, confidences are taken as alike.

    Parameters
    ----------
    sums : n, Σp and Σy; shape (moments, 60, 3)

    """
    n, sp, sy = np.moveaxis(sums, -1, 0) / np.array([1.0, ONE, 1.0])[:, None, None]
    variance = sp * (1.0 - sp / np.maximum(n, 1.0))
    of_bins = (term.reshape(len(at), BINS, -1).sum(axis=-1) for term in (n, sy, sp, variance))
    binned_n, binned_sy, binned_sp, binned_variance = of_bins
    return Gaps(at, binned_n, binned_sy, binned_sp, binned_variance, binned_n.sum(axis=1))


_BIN_OF_CELL: Final = bin_of_cell(BINS)


def _summed(moments: int, of_row: Integers, blobs: Sequence[bytes], column: Integers, columns: int) -> Floats:
    """Return the sums of some slots of buckets by moment and column; shape (moments, columns).

    Parameters
    ----------
    of_row : moment of each bucket
    column : of each slot, -1 for those that are left out; shape (SLOTS,)

    """
    rows, slots, values = decode_all(blobs)
    chosen = column[slots] >= 0
    place = of_row[rows[chosen]] * columns + column[slots[chosen]]
    sums = np.bincount(place, weights=values[chosen].astype(np.float64), minlength=moments * columns)
    return sums.reshape(moments, columns).astype(np.float64)


@cache
def _columns(scores: Scores) -> Integers:
    """Return where the fields of each cell are added up: by bin, then field."""
    column = np.full(SLOTS, -1)
    for form in ("both", scores):
        for cell, place in enumerate(_BIN_OF_CELL.tolist()):
            for number, field in enumerate(FIELDS):
                column[cell_slot(form, cell, field)] = place * len(FIELDS) + number
    return column


@cache
def _of_class_columns(index: int) -> Integers:
    """Return where the fields of each sixtieth of a class are added up: by sixtieth, then field."""
    column = np.full(SLOTS, -1)
    for sixtieth in range(SIXTIETHS):
        for number, field in enumerate(CLASS_FIELDS):
            column[class_slot(index, sixtieth, field)] = sixtieth * len(CLASS_FIELDS) + number
    return column


@cache
def _twentieths() -> Integers:
    column = np.full(SLOTS, -1)
    for cell in range(PIT_CELLS):
        column[pit_slot(cell, "n")] = cell * PIT_BINS // PIT_CELLS
    return column
