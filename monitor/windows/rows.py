"""Event rows of a range, newest first, and which series are meant."""

from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy import Connection

from ..domain.records import PredictionRow, SeriesKey
from ..domain.times import MINUTE
from ..store import events

AHEAD: Final = 5 * MINUTE
"""How far the time of an event may be ahead of its receipt."""

Wanted = Callable[[SeriesKey], bool]
"""Whether a series is meant."""


def of_version(version: str | None) -> Wanted:
    """Return the test for the series of a version as a whole, under any calibrator; None stands for all versions."""
    return lambda key: key.segment == "" and version in {None, key.version}


def newest(
    connection: Connection, model_id: int, start: int, end: int, wanted: Wanted
) -> Iterator[list[PredictionRow]]:
    """Yield a model's predictions within a range in chunks, newest receipt first."""
    for chunk in events.scan(connection, model_id):
        yield [row for row in chunk if start <= row.at < end and wanted(row.series())]
        if chunk[-1].received_at < start - AHEAD:
            return
