"""Sums of a model over windows of time, as they are stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from monitor.records import Model, Progress, SeriesKey
from monitor.stats.summary import Summary
from monitor.store import models, rollups
from monitor.windows import label_delay, matured_until, newest_end, spans, widened

Place = tuple[str, str]
"""Model version and segment: what is evaluated apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """A model with where it stands in its own time."""

    model: Model
    progress: Progress
    delay: int  # of labels, declared or learned
    matured_until: int | None
    newest_end: int | None


def clocked(connection: Connection, model: Model, now: int) -> Clocked:
    """Return where a model stands in its own time."""
    progress = models.progress_of(connection, [model.id])[model.id]
    delay = label_delay(model.settings, models.delays(connection, model.id))
    return Clocked(
        model=model,
        progress=progress,
        delay=delay,
        matured_until=matured_until(progress, delay, now),
        newest_end=newest_end(progress),
    )


def by_place(connection: Connection, model: Model, start: int, end: int) -> dict[Place, Summary]:
    """Return the sums of a range, that must be widened already, for every version and segment that has any."""
    ids = rollups.series_ids(connection, model.id)
    place_of = {number: (key.version, key.segment) for key, number in ids.items()}
    blobs: dict[Place, list[bytes]] = {}
    for number, blob in rollups.read_each(connection, list(place_of), spans(start, end)):
        blobs.setdefault(place_of[number], []).append(blob)
    return {place: Summary.of(found) for place, found in sorted(blobs.items())}


def of_series(
    connection: Connection, model: Model, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> Summary:
    """Return the sum of the wanted series over a range that must be widened already."""
    numbers = [number for key, number in rollups.series_ids(connection, model.id).items() if wanted(key)]
    return Summary.of(blob for _, blob in rollups.read_each(connection, numbers, spans(start, end)))


def buckets(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> list[tuple[int, Summary]]:
    """Return the sum of the wanted series for each stored bucket of a range, minutes where they are kept, else hours.

    Returns
    -------
    (beginning, sum) in the order of time

    """
    numbers = [number for key, number in rollups.series_ids(connection, clock.model.id).items() if wanted(key)]
    found: dict[int, list[bytes]] = {}
    for begin, _, blob in rollups.read_buckets(connection, numbers, _finest(clock.progress, start, end)):
        found.setdefault(begin, []).append(blob)
    return [(begin, Summary.of(blobs)) for begin, blobs in sorted(found.items())]


def _finest(progress: Progress, start: int, end: int) -> Sequence[rollups.Span]:
    first, last = widened(start, end, progress.minutes_from)
    border = min(max(first, progress.minutes_from if progress.minutes_from is not None else last), last)
    hours = [rollups.Span(1, first, border)] if first < border else []
    minutes = [rollups.Span(0, border, last)] if border < last else []
    return [*hours, *minutes]
