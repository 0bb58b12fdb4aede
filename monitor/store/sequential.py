"""The stored state of the sequential tests, and the cohorts that wait for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, select, update

from ..domain.sequential import Basis, VersionEvidence
from .bulk import among, upsert
from .documents import decoded, encoded
from .schema import cohort, evidence, progress, rollup, segment_evidence, series

LATE: Final = 0
"""In place of when a cohort is due: labels that came after their cohort was taken."""


class Taken(NamedTuple):
    """The progress of the sequential tests of a model."""

    until: int  # all cohorts due by then have been taken
    takings: int  # transactions so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The tests of one model version, or of one of its segments, as they are stored."""

    version: str
    segment: str = ""  # empty: the version as a whole
    since: int  # predictions from here on count, in event time
    basis: Basis
    evidence: VersionEvidence
    state: bytes  # empty where the tests are to start again


@dataclass(frozen=True, slots=True)
class Waiting:
    """The sums of a bucket of a cohort of one series."""

    series: int
    due: int
    bucket: int
    summary: bytes


def taken(connection: Connection, model_ids: Sequence[int]) -> dict[int, Taken]:
    """Return the progress of the sequential tests of some models."""
    columns = (progress.c.model_id, progress.c.taken_until, progress.c.takings)
    rows = connection.execute(select(*columns).where(progress.c.model_id.in_(model_ids)))
    return {row.model_id: Taken(row.taken_until or 0, row.takings) for row in rows}


def standings(connection: Connection, model_id: int) -> dict[str, Standing]:
    """Return the tests of a model as a whole by version."""
    rows = connection.execute(select(evidence).where(evidence.c.model_id == model_id))
    return {row.version: _standing(row, "") for row in rows}


def segment_standings(connection: Connection, model_id: int) -> dict[tuple[str, str], Standing]:
    """Return the tests of a model's segments by version and segment."""
    rows = connection.execute(select(segment_evidence).where(segment_evidence.c.model_id == model_id))
    return {(row.version, row.segment): _standing(row, row.segment) for row in rows}


def _standing(row: Row[Any], segment: str) -> Standing:
    return Standing(
        version=row.version,
        segment=segment,
        since=row.since,
        basis=decoded(row.basis, Basis),
        evidence=decoded(row.fields, VersionEvidence, version=row.version),
        state=bytes(row.state),
    )


def save(connection: Connection, model_id: int, standing: Sequence[Standing]) -> None:
    """Store the tests of some versions in place of what is stored of them."""
    upsert(connection, evidence, [_row(model_id, tests) for tests in standing])


def save_segments(connection: Connection, model_id: int, standing: Sequence[Standing]) -> None:
    """Store the tests of some segments in place of what is stored of them."""
    upsert(connection, segment_evidence, [{**_row(model_id, test), "segment": test.segment} for test in standing])


def _row(model_id: int, tests: Standing) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "version": tests.version,
        "since": tests.since,
        "basis": encoded(tests.basis),
        "fields": encoded(tests.evidence),
        "state": tests.state,
    }


def newest(connection: Connection, model_id: int | None = None) -> list[tuple[int, VersionEvidence]]:
    """Return what the tests say now, by model and version; those that are to start again say nothing."""
    return _newest(connection, evidence, model_id, ("version",))


def newest_of_segments(connection: Connection, model_id: int | None = None) -> list[tuple[int, VersionEvidence]]:
    """Return what the tests of segments say now, by model, version and segment; those that are to start again say nothing."""
    return _newest(connection, segment_evidence, model_id, ("version", "segment"))


def _newest(
    connection: Connection, table: Table, model_id: int | None, names: Sequence[str]
) -> list[tuple[int, VersionEvidence]]:
    place = (table.c.model_id, *(table.c[name] for name in names))
    query = select(*place, table.c.fields).where(func.length(table.c.state) > 0)
    if model_id is not None:
        query = query.where(table.c.model_id == model_id)
    rows = connection.execute(query.order_by(*place))
    return [(row.model_id, decoded(row.fields, VersionEvidence, version=row.version)) for row in rows]


def restart(connection: Connection, model_id: int, version: str, since: int) -> None:
    """Let the tests of a version begin afresh with predictions from a moment of event time on that were not taken yet."""
    same = (evidence.c.model_id == model_id, evidence.c.version == version)
    before = connection.execute(select(evidence.c.since).where(*same)).scalar()
    if before is not None:
        connection.execute(update(evidence).where(*same).values(since=max(before, since), state=b""))


def restart_segments(
    connection: Connection, model_id: int, version: str, segments: Collection[str], since: int
) -> None:
    """Let the tests of some segments of a version begin afresh, as `restart`."""
    stored = segment_standings(connection, model_id)
    places = [(version, segment) for segment in segments if (version, segment) in stored]
    again = [replace(stored[place], since=max(stored[place].since, since), state=b"") for place in places]
    save_segments(connection, model_id, again)


def is_due(connection: Connection, numbers: Sequence[int], after: int, until: int) -> bool:
    """Return whether cohorts of some series are due within (after, until]."""
    due = (cohort.c.due > after, cohort.c.due <= until)
    query = select(cohort.c.series_id).where(among(connection, cohort.c.series_id, numbers), *due)
    return connection.execute(query.limit(1)).first() is not None


def newest_due(connection: Connection, numbers: Sequence[int], until: int) -> int | None:
    """Return when the newest cohort of some series that is due by `until` was due."""
    return connection.execute(select(func.max(cohort.c.due)).where(*_due(connection, numbers, until))).scalar()


def due_buckets(connection: Connection, numbers: Sequence[int], until: int, most: int) -> list[int]:
    """Return the beginnings of the earliest buckets of some series that are due by `until`, in their order."""
    query = select(cohort.c.bucket).where(*_due(connection, numbers, until)).distinct().order_by(cohort.c.bucket)
    return list(connection.execute(query.limit(most)).scalars())


def due(connection: Connection, numbers: Sequence[int], until: int, last: int) -> list[Waiting]:
    """Return the sums of some series that are due by `until`, of buckets that begin no later than `last`, in the order of event time."""
    query = select(cohort).where(*_due(connection, numbers, until), cohort.c.bucket <= last)
    rows = connection.execute(query.order_by(cohort.c.bucket, cohort.c.series_id, cohort.c.due))
    return [Waiting(number, due, bucket, bytes(blob)) for number, due, bucket, blob in rows]


def forget_due(connection: Connection, numbers: Sequence[int], until: int, last: int) -> None:
    """Delete what `due` returns."""
    connection.execute(delete(cohort).where(*_due(connection, numbers, until), cohort.c.bucket <= last))


def late(connection: Connection, numbers: Sequence[int]) -> list[Waiting]:
    """Return the sums of labels of some series that came too late, in the order of event time."""
    rows = connection.execute(select(cohort).where(*_late(connection, numbers)).order_by(cohort.c.bucket))
    return [Waiting(number, due, bucket, bytes(blob)) for number, due, bucket, blob in rows]


def forget_late(connection: Connection, numbers: Sequence[int]) -> None:
    """Delete what `late` returns."""
    connection.execute(delete(cohort).where(*_late(connection, numbers)))


def _due(connection: Connection, numbers: Sequence[int], until: int) -> tuple[ColumnElement[bool], ...]:
    return among(connection, cohort.c.series_id, numbers), cohort.c.due > LATE, cohort.c.due <= until


def _late(connection: Connection, numbers: Sequence[int]) -> tuple[Any, ...]:
    return among(connection, cohort.c.series_id, numbers), cohort.c.due == LATE


def next_bucket(connection: Connection, numbers: Sequence[int], level: int, first: int) -> int | None:
    """Return the beginning of the first bucket of some series at a level that is not before a moment."""
    chosen = select(series.c.id).where(among(connection, series.c.id, numbers)).subquery()
    of_one = (
        select(func.min(rollup.c.bucket))
        .where(rollup.c.series_id == chosen.c.id, rollup.c.level == level, rollup.c.bucket >= first)
        .scalar_subquery()
    )
    begins = select(of_one.label("begin")).select_from(chosen).subquery()
    return connection.execute(select(func.min(begins.c.begin))).scalar()
