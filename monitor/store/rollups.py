"""Encoded summaries per series, level and bucket of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Integer,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from ..domain.records import REFERENCE_SEGMENT, SeriesKey
from .bulk import among
from .schema import cluster, cohort, rollup, series
from .summaries import Summaries

SUMS: Final = Summaries(rollup)
"""Sums by series id, level and beginning of the bucket."""

COHORTS: Final = Summaries(cohort)
"""Sums that wait for the sequential tests by series id, when they are due, and beginning of the bucket."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of buckets of one level: first inclusive, last exclusive."""

    level: int
    first: int
    last: int


def series_ids(connection: Connection, model_id: int) -> dict[SeriesKey, int]:
    """Return the series of a model's traffic."""
    return {
        key: number for key, number in every_series(connection, model_id).items() if key.segment != REFERENCE_SEGMENT
    }


def reference_series(connection: Connection, model_id: int) -> dict[SeriesKey, int]:
    """Return the series of a model's validation set."""
    return {
        key: number for key, number in every_series(connection, model_id).items() if key.segment == REFERENCE_SEGMENT
    }


def every_series(connection: Connection, model_id: int) -> dict[SeriesKey, int]:
    """Return all series of a model, those of its validation set included."""
    rows = connection.execute(select(series).where(series.c.model_id == model_id))
    return {SeriesKey(row.model_id, row.version, row.calibrator, row.segment): row.id for row in rows}


def add_series(connection: Connection, key: SeriesKey) -> int:
    """Add a series and return its id."""
    statement = insert(series).values(
        model_id=key.model_id, version=key.version, calibrator=key.calibrator, segment=key.segment
    )
    return int(connection.execute(statement.returning(series.c.id)).scalar_one())


def read(connection: Connection, numbers: Sequence[int], spans: Sequence[Span]) -> list[tuple[int, int, int, bytes]]:
    """Return (series id, level, beginning, summary) of series within disjoint spans, in no order."""
    if not numbers or not spans:
        return []
    postgres = connection.dialect.name == "postgresql"
    ids = list(numbers) if postgres else msgspec.json.encode(list(numbers)).decode()
    rows = connection.execute(_query(len(spans), postgres=postgres), {"numbers": ids, **span_bounds(spans)})
    return [(number, level, begin, bytes(blob)) for number, level, begin, blob in rows]


@lru_cache(maxsize=256)
def _query(spans: int, *, postgres: bool) -> Executable:
    """Return the query for a number of spans, a part for each, since SQLite seeks by level and time only without OR."""
    ids = bindparam("numbers", type_=ARRAY(Integer) if postgres else Text())
    number = func.unnest(ids).column_valued() if postgres else func.json_each(ids).table_valued("value").c.value
    chosen = rollup.c.series_id.in_(select(number))
    return union_all(*(select(*SUMS.key, SUMS.summary).where(chosen, *in_span(i)) for i in range(spans)))


def in_span(place: int) -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a bucket is in a span, whose bounds `span_bounds` gives by its place."""
    return (
        rollup.c.level == bindparam(f"level_{place}"),
        rollup.c.bucket >= bindparam(f"first_{place}"),
        rollup.c.bucket < bindparam(f"last_{place}"),
    )


def span_bounds(spans: Sequence[Span]) -> dict[str, int]:
    """Return the parameters of the conditions that `in_span` makes."""
    bounds: dict[str, int] = {}
    for place, span in enumerate(spans):
        bounds |= {f"level_{place}": span.level, f"first_{place}": span.first, f"last_{place}": span.last}
    return bounds


def extent(connection: Connection, numbers: Sequence[int], level: int) -> tuple[int, int] | None:
    """Return the beginnings of the first and the last bucket of series at a level."""
    if not numbers:
        return None
    query = select(func.min(rollup.c.bucket), func.max(rollup.c.bucket)).where(
        among(connection, rollup.c.series_id, numbers), rollup.c.level == level
    )
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def prune(connection: Connection, numbers: Sequence[int], level: int, before: int) -> None:
    """Delete buckets of a level that begin before a moment."""
    connection.execute(
        delete(rollup).where(
            among(connection, rollup.c.series_id, numbers), rollup.c.level == level, rollup.c.bucket < before
        )
    )


def everything(connection: Connection, model_id: int) -> dict[tuple[SeriesKey, int, int], bytes]:
    """Return all rollups of a model by series, level and bucket."""
    query = (
        select(series, rollup.c.level, rollup.c.bucket, rollup.c.summary)
        .join_from(rollup, series)
        .where(series.c.model_id == model_id)
    )
    return {
        (SeriesKey(row.model_id, row.version, row.calibrator, row.segment), row.level, row.bucket): bytes(row.summary)
        for row in connection.execute(query)
    }


def clear(connection: Connection, model_id: int) -> None:
    """Delete the rollups that a rebuild makes again; what waits for the sequential tests stays."""
    numbers = select(series.c.id).where(series.c.model_id == model_id)
    connection.execute(delete(rollup).where(rollup.c.series_id.in_(numbers)))
    connection.execute(delete(series).where(series.c.model_id == model_id, series.c.segment != ""))


def remove_model(connection: Connection, model_id: int) -> None:
    """Delete all rollups and series of a model, and what waits for its sequential tests."""
    numbers = select(series.c.id).where(series.c.model_id == model_id)
    connection.execute(delete(cluster).where(cluster.c.model_id == model_id))
    for table in (cohort, rollup):
        connection.execute(delete(table).where(table.c.series_id.in_(numbers)))
    connection.execute(delete(series).where(series.c.model_id == model_id))
