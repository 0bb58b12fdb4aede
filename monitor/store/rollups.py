"""Rollups: one encoded summary per series, level and time bucket."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.records import SeriesKey
from monitor.store.bulk import among, append
from monitor.store.schema import rollup, series

Bucket = tuple[int, int, int]
"""A series' id, a level and a bucket's beginning."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of buckets of one level: first inclusive, last exclusive."""

    level: int
    first: int
    last: int


def series_ids(connection: Connection, model_id: int) -> dict[SeriesKey, int]:
    """Return all series of a model."""
    rows = connection.execute(select(series).where(series.c.model_id == model_id))
    return {SeriesKey(row.model_id, row.version, row.calibrator, row.segment): row.id for row in rows}


def add_series(connection: Connection, key: SeriesKey) -> int:
    """Add a series and return its id."""
    statement = insert(series).values(
        model_id=key.model_id, version=key.version, calibrator=key.calibrator, segment=key.segment
    )
    return int(connection.execute(statement.returning(series.c.id)).scalar_one())


def fetch(connection: Connection, buckets: Iterable[Bucket]) -> dict[Bucket, bytes]:
    """Return the stored summaries of these buckets."""
    wanted: dict[tuple[int, int], list[int]] = {}
    for number, level, start in buckets:
        wanted.setdefault((number, level), []).append(start)
    found: dict[Bucket, bytes] = {}
    for (number, level), starts in wanted.items():
        query = select(rollup.c.bucket, rollup.c.summary).where(
            rollup.c.series_id == number, rollup.c.level == level, among(connection, rollup.c.bucket, starts)
        )
        for start, summary in connection.execute(query):
            found[number, level, start] = bytes(summary)
    return found


def replace(connection: Connection, summaries: Mapping[Bucket, bytes], known: Mapping[Bucket, bytes]) -> None:
    """Store summaries in place of those known; an empty one is removed."""
    _remove(connection, [bucket for bucket, blob in summaries.items() if not blob and bucket in known])
    fresh = [(*bucket, blob) for bucket, blob in summaries.items() if blob and bucket not in known]
    append(connection, rollup, ("series_id", "level", "bucket", "summary"), fresh)
    changed = [
        {"series_id": number, "level": level, "bucket": start, "summary": blob}
        for (number, level, start), blob in summaries.items()
        if blob and (number, level, start) in known
    ]
    if changed:
        build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = build(rollup)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["series_id", "level", "bucket"], set_={"summary": statement.excluded.summary}
            ),
            changed,
        )


def _remove(connection: Connection, buckets: Sequence[Bucket]) -> None:
    for number, level, start in buckets:
        connection.execute(
            delete(rollup).where(rollup.c.series_id == number, rollup.c.level == level, rollup.c.bucket == start)
        )


def read_buckets(connection: Connection, numbers: Sequence[int], spans: Sequence[Span]) -> list[tuple[int, int, bytes]]:
    """Return beginning, level and summary of some series within spans, in the order of time."""
    if not numbers or not spans:
        return []
    query = (
        select(rollup.c.bucket, rollup.c.level, rollup.c.summary)
        .where(among(connection, rollup.c.series_id, numbers), _within(spans))
        .order_by(rollup.c.bucket)
    )
    return [(row.bucket, row.level, bytes(row.summary)) for row in connection.execute(query)]


def read_each(connection: Connection, numbers: Sequence[int], spans: Sequence[Span]) -> list[tuple[int, bytes]]:
    """Return (series id, summary) of some series within spans."""
    if not numbers or not spans:
        return []
    query = select(rollup.c.series_id, rollup.c.summary).where(
        among(connection, rollup.c.series_id, numbers), _within(spans)
    )
    return [(row[0], bytes(row[1])) for row in connection.execute(query)]


def _within(spans: Sequence[Span]) -> ColumnElement[bool]:
    return or_(*(and_(rollup.c.level == s.level, rollup.c.bucket >= s.first, rollup.c.bucket < s.last) for s in spans))


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


def remove_model(connection: Connection, model_id: int) -> None:
    """Delete all rollups and series of a model."""
    numbers = select(series.c.id).where(series.c.model_id == model_id)
    connection.execute(delete(rollup).where(rollup.c.series_id.in_(numbers)))
    connection.execute(delete(series).where(series.c.model_id == model_id))
