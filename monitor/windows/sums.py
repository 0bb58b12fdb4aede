"""Sums of a model over windows of time, read from rollups."""

import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain, groupby
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ..domain.records import Progress, SeriesKey
from ..domain.settings import Model
from ..stats.cells import Integers
from ..stats.summary import Summary
from ..stats.values import AGREEMENT, UNREAD, Reading, read
from ..store import mappings, models, rollups
from ..store.evaluations import ALL_VERSIONS
from ..store.rollups import Span
from .clock import Clocked
from .ranges import Range, first_after, merged, spans, widened
from .rows import Wanted
from .score_line import ScoreLine

SEGMENTS_AT_ONCE: Final = 32
"""Segments whose sums are held in memory together."""

_LEVEL_SHIFT: Final = 32

Place = tuple[str, str]
"""Model version and segment."""


def readings(connection: Connection, model: Model) -> dict[str, Reading]:
    """Return the maps that convert values to probabilities by model version, where there are any."""
    maps = mappings.of_model(connection, model.id)
    if not maps:
        return {}
    kept = models.progress_of(connection, [model.id])[model.id].minutes_from
    by_version: dict[str, Reading] = {}
    for value_map in maps:
        reading = by_version.get(value_map.version, UNREAD)
        values = value_map.parameters
        if value_map.family == AGREEMENT:
            reading = replace(reading, agreement=(values["a"], values["b"]))
        else:
            begin = first_after(value_map.until - 1, kept)
            reading = replace(reading, score=ScoreLine(**values), score_from=begin)
        by_version[value_map.version] = reading
    return by_version


def by_place(
    connection: Connection, model: Model, ranges: Collection[Range], segment: str | None = None
) -> dict[Range, dict[Place, Summary]]:
    """Return the sums of several ranges by version and segment, reading each stored bucket once.

    Values that are no probabilities are summed in the cells of the probabilities that they are converted to.

    Parameters
    ----------
    ranges : may overlap
    segment : the only one to read; by default all are

    """
    series = {n: key for key, n in rollups.series_ids(connection, model.id).items() if segment in {None, key.segment}}
    return _by_place(connection, ranges, series, readings(connection, model))


def at_place(sums: Mapping[Place, Summary], place: Place) -> Summary | None:
    """Return the sums of a place, for `ALL_VERSIONS` those of all versions together; None without any."""
    version, segment = place
    if version != ALL_VERSIONS:
        return sums.get(place)
    parts = [summary for (_, name), summary in sums.items() if name == segment]
    return reduce(operator.add, parts) if parts else None


def in_parts(
    connection: Connection, model: Model, ranges: Collection[Range]
) -> Iterator[dict[Range, dict[Place, Summary]]]:
    """Yield what `by_place` returns, some segments at a time, which bounds the memory of models with many."""
    known = readings(connection, model)
    series = sorted(((n, key) for key, n in rollups.series_ids(connection, model.id).items()), key=_segment)
    segments = [list(same) for _, same in groupby(series, key=_segment)]
    for first in range(0, len(segments), SEGMENTS_AT_ONCE):
        some = dict(chain.from_iterable(segments[first : first + SEGMENTS_AT_ONCE]))
        yield _by_place(connection, ranges, some, known)


def _segment(series: tuple[int, SeriesKey]) -> str:
    return series[1].segment


def _by_place(
    connection: Connection, ranges: Collection[Range], series: Mapping[int, SeriesKey], known: Mapping[str, Reading]
) -> dict[Range, dict[Place, Summary]]:
    parts = _parts(ranges, known.values())
    cut = set(chain.from_iterable(parts.values()))
    stored: dict[Place, list[tuple[int, int, bytes]]] = {}
    for number, level, begin, blob in rollups.read(connection, list(series), merged(cut)):
        stored.setdefault((series[number].version, series[number].segment), []).append((level, begin, blob))
    sums: dict[Range, dict[Place, Summary]] = {over: {} for over in ranges}
    for place, buckets_of_place in sorted(stored.items()):
        totals = _totals(buckets_of_place, parts, cut)
        for over in ranges:
            total = _read(totals, over, known.get(place[0], UNREAD), parts)
            if total is not None:
                sums[over][place] = total
    return sums


def _parts(ranges: Collection[Range], known: Collection[Reading]) -> dict[Range, list[Span]]:
    """Return the spans of ranges, and of their parts from where scores may be judged."""
    later = {(one.score_from, end) for one in known for start, end in ranges if start < one.score_from < end}
    return {over: spans(*over) for over in {*ranges, *later}}


def _totals(
    stored: Sequence[tuple[int, int, bytes]], parts: Mapping[Range, Sequence[Span]], cut: Collection[Span]
) -> dict[Range, Summary]:
    """Return the sums of the stored buckets of one place over each range that has any.

    Buckets are first summed between the bounds of all ranges: each such piece lies wholly inside a span or wholly outside.
    """
    levels, begins, blobs = (list(column) for column in zip(*stored, strict=True))
    level, begin = np.array(levels), np.array(begins)
    key = level << _LEVEL_SHIFT  # plus how many bounds of the level lie at or before the bucket
    for one in set(levels):
        bounds = sorted({bound for part in cut if part.level == one for bound in (part.first, part.last)})
        key[level == one] += np.searchsorted(bounds, begin[level == one], side="right")
    _, first, piece = np.unique(key, return_index=True, return_inverse=True)
    chosen = np.array([_within(level[first], begin[first], spans_) for spans_ in parts.values()])
    sums = zip(parts, chosen, Summary.grouped(blobs, piece, chosen), strict=True)
    return {over: total for over, pieces, total in sums if pieces.any()}


def _within(level: Integers, begin: Integers, wanted: Sequence[Span]) -> NDArray[np.bool_]:
    """Return which pieces lie in spans, shape (pieces,)."""
    chosen = np.zeros(len(level), dtype=bool)
    for span in wanted:
        chosen |= (level == span.level) & (begin >= span.first) & (begin < span.last)
    return chosen


def _read(totals: Mapping[Range, Summary], over: Range, reading: Reading, parts: Collection[Range]) -> Summary | None:
    """Return the sum of a range with its values read as probabilities; scores count only after those that their map was fitted on."""
    whole = totals.get(over)
    if whole is None:
        return None
    later = (reading.score_from, over[1])
    if reading.score_from <= over[0] or later not in parts:
        return read(whole, reading.at(over[0]))
    return read(whole, reading, totals.get(later) or Summary.of([]))


def of_series(connection: Connection, model: Model, start: int, end: int, wanted: Wanted) -> Summary:
    """Return the sum of the wanted series over a range, widened already, with its values read as probabilities."""
    version_of = {n: key.version for key, n in rollups.series_ids(connection, model.id).items() if wanted(key)}
    known = readings(connection, model)
    parts = _parts([(start, end)], known.values())
    stored: dict[str, list[tuple[int, int, bytes]]] = {}
    cut = set(chain.from_iterable(parts.values()))
    for number, level, begin, blob in rollups.read(connection, list(version_of), merged(cut)):
        stored.setdefault(version_of[number], []).append((level, begin, blob))
    by_version = (
        _read(_totals(rows, parts, cut), (start, end), known.get(version, UNREAD), parts)
        for version, rows in stored.items()
    )
    return reduce(operator.add, (total for total in by_version if total is not None), Summary.of([]))


def buckets(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Wanted
) -> list[tuple[SeriesKey, int, bytes]]:
    """Return the encoded sums of the wanted series by bucket: minutes where they are kept, hours elsewhere.

    Returns
    -------
    (series, beginning, sum) in the order of time

    """
    series = {n: key for key, n in rollups.series_ids(connection, clock.model.id).items() if wanted(key)}
    read = rollups.read(connection, list(series), _finest(clock.progress, start, end))
    return sorted(((series[n], begin, blob) for n, _, begin, blob in read), key=itemgetter(1))


def _finest(progress: Progress, start: int, end: int) -> Sequence[Span]:
    first, last = widened(start, end, progress.minutes_from)
    border = min(max(first, progress.minutes_from if progress.minutes_from is not None else last), last)
    hours = [Span(1, first, border)] if first < border else []
    minutes = [Span(0, border, last)] if border < last else []
    return [*hours, *minutes]
