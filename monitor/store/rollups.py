"""Rollups: one encoded summary per series, level and time bucket."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Executable, Integer, Text, bindparam, delete, func, insert, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from ..domain.records import LATE_LEVEL, REFERENCE_SEGMENT, SeriesKey
from .bulk import among
from .schema import clustered, rollup, series
from .summaries import Summaries

SUMS: Final = Summaries(rollup)
"""Sums by a series' id, a level and a bucket's beginning."""

CLUSTERS: Final = Summaries(clustered)
"""Sums of single clusters by a series' id, a level, a bucket's beginning and the cluster's key."""


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
    """Return all series of a model, those of its validation set among them."""
    rows = connection.execute(select(series).where(series.c.model_id == model_id))
    return {SeriesKey(row.model_id, row.version, row.calibrator, row.segment): row.id for row in rows}


def add_series(connection: Connection, key: SeriesKey) -> int:
    """Add a series and return its id."""
    statement = insert(series).values(
        model_id=key.model_id, version=key.version, calibrator=key.calibrator, segment=key.segment
    )
    return int(connection.execute(statement.returning(series.c.id)).scalar_one())


def read(connection: Connection, numbers: Sequence[int], spans: Sequence[Span]) -> list[tuple[int, int, int, bytes]]:
    """Return (series id, level, beginning, summary) of some series within spans that share no bucket, in no order."""
    if not numbers or not spans:
        return []
    postgres = connection.dialect.name == "postgresql"
    values: dict[str, Any] = {"numbers": list(numbers) if postgres else msgspec.json.encode(list(numbers)).decode()}
    for i, span in enumerate(spans):
        values |= {f"level_{i}": span.level, f"first_{i}": span.first, f"last_{i}": span.last}
    found = connection.execute(_reading(len(spans), postgres=postgres), values)
    return [(number, level, begin, bytes(blob)) for number, level, begin, blob in found]


@lru_cache(maxsize=256)
def _reading(spans: int, *, postgres: bool) -> Executable:
    """Return the query for so many spans; one part each, since SQLite seeks by level and time only without OR."""
    given = bindparam("numbers", type_=ARRAY(Integer) if postgres else Text())
    each = func.unnest(given).column_valued() if postgres else func.json_each(given).table_valued("value").c.value
    numbers = select(each)
    parts = [
        select(*SUMS.key, SUMS.summary).where(
            rollup.c.series_id.in_(numbers),
            rollup.c.level == bindparam(f"level_{i}"),
            rollup.c.bucket >= bindparam(f"first_{i}"),
            rollup.c.bucket < bindparam(f"last_{i}"),
        )
        for i in range(spans)
    ]
    return union_all(*parts)


def extent(connection: Connection, numbers: Sequence[int], level: int) -> tuple[int, int] | None:
    """Return the beginnings of the first and the last bucket of some series at a level."""
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
    """Return all rollups of a model by series, level and bucket; late labels, which are in them already, are left out."""
    query = (
        select(series, rollup.c.level, rollup.c.bucket, rollup.c.summary)
        .join_from(rollup, series)
        .where(series.c.model_id == model_id, rollup.c.level < LATE_LEVEL)
    )
    return {
        (SeriesKey(row.model_id, row.version, row.calibrator, row.segment), row.level, row.bucket): bytes(row.summary)
        for row in connection.execute(query)
    }


def clear(connection: Connection, model_id: int) -> None:
    """Delete what rolling a model's rows up again gives anew; late labels that wait for the sequential tests stay."""
    numbers = select(series.c.id).where(series.c.model_id == model_id)
    for table in (rollup, clustered):
        connection.execute(delete(table).where(table.c.series_id.in_(numbers), table.c.level < LATE_LEVEL))
    connection.execute(delete(series).where(series.c.model_id == model_id, series.c.segment != ""))


def remove_model(connection: Connection, model_id: int) -> None:
    """Delete all rollups and series of a model."""
    numbers = select(series.c.id).where(series.c.model_id == model_id)
    for table in (clustered, rollup):
        connection.execute(delete(table).where(table.c.series_id.in_(numbers)))
    connection.execute(delete(series).where(series.c.model_id == model_id))
