"""Sums of a model over windows of time, as they are stored."""

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, groupby
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from .delays import Aged
from .domain.delays import delay_limit
from .domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP, Progress, SeriesKey
from .domain.settings import CHAMPION, VALIDATION, Model
from .domain.times import DAY, HOUR, floor, parse_time
from .stats.cells import Integers
from .stats.summary import Summary
from .stats.values import AGREEMENT, UNREAD, Reading, read
from .store import coverage, mappings, models, rollups, versions
from .store.coverage import Totals
from .store.rollups import Span
from .windows import first_after, learned_delay, matured_until, merged, newest_end, own_time, spans, widened

HOURLY: Final = DAY
"""Up to this age, what is unlabelled is told apart by hours."""

SEGMENTS_AT_ONCE: Final = 32

_LEVEL_SHIFT: Final = 32

Place = tuple[str, str]
"""Model version and segment: what is evaluated apart."""

Range = tuple[int, int]
"""A beginning and an end that were widened already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """A model with where it stands in its own time."""

    model: Model
    now: int
    progress: Progress
    delay: int  # of labels, declared or learned
    matured_until: int | None
    newest_end: int | None
    fitted_on: Range | Literal["validation"] | None = (
        None  # what the champion was fitted on, where drift is measured against that
    )


def clocked(connection: Connection, model: Model, now: int) -> Clocked:
    """Return where a model stands in its own time."""
    progress = models.progress_of(connection, [model.id])[model.id]
    declared = model.settings.label_delay
    delay = learned_now(connection, model, progress, now) if declared is None else declared
    return Clocked(
        model=model,
        now=now,
        progress=progress,
        delay=delay,
        matured_until=matured_until(progress, delay, now),
        newest_end=newest_end(progress),
        fitted_on=_fitted_on(connection, model) if model.settings.reference == CHAMPION else None,
    )


def _fitted_on(connection: Connection, model: Model) -> Range | Literal["validation"] | None:
    """Return the range whose labels the calibrator in service was fitted and judged on, or that it was the validation set."""
    champion = versions.aliases(connection, model.id).get(versions.CHAMPION)
    number = None if champion is None else champion.number
    document = None if number is None else versions.document(connection, model.id, number)
    source = {} if document is None else document["fitted_from"] or {}
    if source.get("source") == VALIDATION:
        return "validation"
    if not {"start", "end"} <= source.keys():
        return None
    start, end = (parse_time(name, source[name]) for name in ("start", "end"))
    return start, end


def learned_now(connection: Connection, model: Model, progress: Progress, now: int) -> int:
    """Return the label delay that is learned from what has come and from what has not come yet."""
    seen = models.delays(connection, model.id)
    return learned_delay(seen, aged(connection, model, progress, seen, now)) if seen else 0


def aged(connection: Connection, model: Model, progress: Progress, seen: Collection[int], now: int) -> list[Aged]:
    """Return how many predictions are unlabelled, by age; those older than the longest delay seen count as one group.

    Ages are told apart by hours up to a day, and by days beyond.
    """
    present = own_time(progress, now)
    if present is None or not seen:
        return []
    longest = delay_limit(max(seen))
    first = floor(present - longest, DAY if longest > HOURLY else HOUR)
    border = max(first, floor(present - HOURLY, DAY)) if longest > HOURLY else first
    young = [_aged(each, present) for each in coverage.totals(connection, model.id, _coarse(first, border, present))]
    older = progress.predictions - sum(each.predictions for each in young)
    unlabelled = progress.predictions - progress.labels - sum(each.unlabelled for each in young)
    ancient = present - first + 1
    return [*young, Aged(youngest=ancient, oldest=ancient, predictions=max(older, 0), unlabelled=max(unlabelled, 0))]


def _coarse(first: int, border: int, present: int) -> list[Span]:
    days = [Span(DAY_LEVEL, first, border)] if first < border else []
    return [*days, Span(HOUR_LEVEL, border, present + HOUR)]


def _aged(found: Totals, present: int) -> Aged:
    return Aged(
        youngest=max(0, present - found.begin - LEVEL_STEP[found.level]),
        oldest=max(0, present - found.begin),
        predictions=found.predictions,
        unlabelled=found.predictions - found.labelled,
    )


def readings(connection: Connection, model: Model) -> dict[str, Reading]:
    """Return how values of model versions that are no probabilities are read as ones, where there is a map for any."""
    maps = mappings.of_model(connection, model.id)
    if not maps:
        return {}
    kept = models.progress_of(connection, [model.id])[model.id].minutes_from
    found: dict[str, Reading] = {}
    for each in maps:
        reading = found.get(each.version, UNREAD)
        values = each.parameters
        if each.family == AGREEMENT:
            reading = replace(reading, agreement=(values["a"], values["b"]))
        else:
            begin = first_after(each.until - 1, kept)
            reading = replace(reading, score=(values["slope"], values["intercept"]), score_from=begin)
        found[each.version] = reading
    return found


def by_place(
    connection: Connection, model: Model, ranges: Collection[Range], segment: str | None = None
) -> dict[Range, dict[Place, Summary]]:
    """Return the sums of several ranges for every version and segment that has any; each stored bucket is read once.

    Values that are no probabilities stand in the cells as what they are read as.

    Parameters
    ----------
    ranges : may overlap
    segment : the only segment of interest; by default all are

    """
    series = {n: key for key, n in rollups.series_ids(connection, model.id).items() if segment in {None, key.segment}}
    return _by_place(connection, ranges, series, readings(connection, model))


def in_parts(
    connection: Connection, model: Model, ranges: Collection[Range]
) -> Iterator[dict[Range, dict[Place, Summary]]]:
    """Yield what `by_place` returns, some segments at a time, so that a model of many takes no more memory than one of few."""
    known = readings(connection, model)
    series = sorted(rollups.series_ids(connection, model.id).items(), key=lambda each: each[0].segment)
    segments = [dict(each) for _, each in groupby(((n, key) for key, n in series), key=lambda each: each[1].segment)]
    for first in range(0, len(segments), SEGMENTS_AT_ONCE):
        some = dict(chain.from_iterable(each.items() for each in segments[first : first + SEGMENTS_AT_ONCE]))
        yield _by_place(connection, ranges, some, known)


def _by_place(
    connection: Connection, ranges: Collection[Range], series: Mapping[int, SeriesKey], known: Mapping[str, Reading]
) -> dict[Range, dict[Place, Summary]]:
    parts = _parts(ranges, known.values())
    cut = set(chain.from_iterable(parts.values()))
    stored: dict[Place, list[tuple[int, int, bytes]]] = {}
    for number, level, begin, blob in rollups.read(connection, list(series), merged(cut)):
        stored.setdefault((series[number].version, series[number].segment), []).append((level, begin, blob))
    sums: dict[Range, dict[Place, Summary]] = {each: {} for each in ranges}
    for place, found in sorted(stored.items()):
        totals = _totals(found, parts, cut)
        for each in ranges:
            total = _read(totals, each, known.get(place[0], UNREAD), parts)
            if total is not None:
                sums[each][place] = total
    return sums


def _parts(ranges: Collection[Range], known: Collection[Reading]) -> dict[Range, list[Span]]:
    """Return of what ranges are made, and their parts whose scores may be judged."""
    later = {(each.score_from, end) for each in known for start, end in ranges if start < each.score_from < end}
    return {each: spans(*each) for each in {*ranges, *later}}


def _totals(
    found: Sequence[tuple[int, int, bytes]], parts: Mapping[Range, Sequence[Span]], cut: Collection[Span]
) -> dict[Range, Summary]:
    """Return the sum of one place's stored buckets over each range that has any; each bucket is added once.

    Buckets are summed between the bounds of all ranges first, to pieces that lie in a span whole or not at all.
    """
    levels, begins, blobs = (list(column) for column in zip(*found, strict=True))
    level, begin = np.array(levels), np.array(begins)
    key = level << _LEVEL_SHIFT  # and how many bounds of its level lie at or before it
    for each in set(levels):
        bounds = sorted({bound for part in cut if part.level == each for bound in (part.first, part.last)})
        key[level == each] += np.searchsorted(bounds, begin[level == each], side="right")
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
    """Return the sum of a range as its values are read; scores only from where their map was not fitted on them."""
    whole = totals.get(over)
    if whole is None:
        return None
    later = (reading.score_from, over[1])
    if reading.score_from <= over[0] or later not in parts:
        return read(whole, reading.at(over[0]))
    return read(whole, reading, totals.get(later) or Summary.of([]))


def of_series(
    connection: Connection, model: Model, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> Summary:
    """Return the sum of the wanted series over a range that must be widened already, values as what they are read as."""
    version_of = {n: key.version for key, n in rollups.series_ids(connection, model.id).items() if wanted(key)}
    known = readings(connection, model)
    parts = _parts([(start, end)], known.values())
    stored: dict[str, list[tuple[int, int, bytes]]] = {}
    cut = set(chain.from_iterable(parts.values()))
    for number, level, begin, blob in rollups.read(connection, list(version_of), merged(cut)):
        stored.setdefault(version_of[number], []).append((level, begin, blob))
    found = (
        _read(_totals(rows, parts, cut), (start, end), known.get(version, UNREAD), parts)
        for version, rows in stored.items()
    )
    return reduce(operator.add, (each for each in found if each is not None), Summary.of([]))


def buckets(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> list[tuple[SeriesKey, int, bytes]]:
    """Return the encoded sums of the wanted series for each stored bucket of a range, minutes where they are kept, else hours.

    Returns
    -------
    (series, beginning, sum) in the order of time

    """
    series = {n: key for key, n in rollups.series_ids(connection, clock.model.id).items() if wanted(key)}
    read = rollups.read(connection, list(series), _finest(clock.progress, start, end))
    return sorted(((series[n], begin, blob) for n, _, begin, blob in read), key=lambda each: each[1])


def _finest(progress: Progress, start: int, end: int) -> Sequence[Span]:
    first, last = widened(start, end, progress.minutes_from)
    border = min(max(first, progress.minutes_from if progress.minutes_from is not None else last), last)
    hours = [Span(1, first, border)] if first < border else []
    minutes = [Span(0, border, last)] if border < last else []
    return [*hours, *minutes]
