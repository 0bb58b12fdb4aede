"""The stored state of the sequential tests, and the labels that wait for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from ..domain.records import LATE_LEVEL
from ..domain.sequential import Basis, VersionEvidence
from . import rollups
from .bulk import among, upsert
from .documents import decoded, encoded
from .rollups import Span
from .schema import clustered, evidence, progress, rollup, series


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the sequential tests of a model have taken in, and what they leave out."""

    until: int | None  # all predictions before this, with the labels that they had then; None: nothing yet
    since: Mapping[str, int]  # model version -> earlier predictions don't count

    def beginning(self, version: str) -> int:
        """Return from when on predictions of a version count; of one that is not known yet, as of the first one."""
        return self.since.get(version, min(self.since.values(), default=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The tests of one model version as they are stored."""

    version: str
    since: int  # predictions from here on count, in event time
    until: int  # and those before here have been tested
    basis: Basis
    evidence: VersionEvidence
    state: bytes  # empty where the tests are to start again


def taken(connection: Connection, model_ids: Sequence[int]) -> dict[int, Taken]:
    """Return what the sequential tests of some models have taken in."""
    query = (
        select(progress.c.model_id, progress.c.consumed_until, evidence.c.version, evidence.c.since)
        .join_from(progress, evidence, progress.c.model_id == evidence.c.model_id, isouter=True)
        .where(progress.c.model_id.in_(model_ids))
    )
    until: dict[int, int | None] = {}
    since: dict[int, dict[str, int]] = {}
    for row in connection.execute(query):
        until[row.model_id] = row.consumed_until
        found = since.setdefault(row.model_id, {})
        if row.version is not None:
            found[row.version] = row.since
    return {model_id: Taken(until=until[model_id], since=since[model_id]) for model_id in until}


def standings(connection: Connection, model_id: int) -> dict[str, Standing]:
    """Return the tests of a model by version."""
    rows = connection.execute(select(evidence).where(evidence.c.model_id == model_id))
    return {
        row.version: Standing(
            version=row.version,
            since=row.since,
            until=row.until,
            basis=decoded(row.basis, Basis),
            evidence=decoded(row.fields, VersionEvidence, version=row.version),
            state=bytes(row.state),
        )
        for row in rows
    }


def save(connection: Connection, model_id: int, found: Sequence[Standing]) -> None:
    """Store the tests of some versions in place of what is stored of them."""
    upsert(
        connection,
        evidence,
        [
            {
                "model_id": model_id,
                "version": each.version,
                "since": each.since,
                "until": each.until,
                "basis": encoded(each.basis),
                "fields": encoded(each.evidence),
                "state": each.state,
            }
            for each in found
        ],
    )


def newest(connection: Connection, model_id: int | None = None) -> list[tuple[int, VersionEvidence]]:
    """Return what the tests say now, by model and version; those that are to start again say nothing."""
    query = select(evidence.c.model_id, evidence.c.version, evidence.c.fields).where(func.length(evidence.c.state) > 0)
    if model_id is not None:
        query = query.where(evidence.c.model_id == model_id)
    rows = connection.execute(query.order_by(evidence.c.model_id, evidence.c.version))
    return [(row.model_id, decoded(row.fields, VersionEvidence, version=row.version)) for row in rows]


def restart(connection: Connection, model_id: int, version: str, since: int) -> None:
    """Let the tests of a version begin afresh with predictions from a moment of event time on.

    What they have taken in already is not taken in again: of predictions from before then only labels that come from now on count.
    """
    same = (evidence.c.model_id == model_id, evidence.c.version == version)
    before = connection.execute(select(evidence.c.since).where(*same)).scalar()
    if before is not None:
        connection.execute(update(evidence).where(*same).values(since=max(before, since), state=b""))
        leave_out(connection, model_id, version)


def leave_out(connection: Connection, model_id: int, version: str) -> None:
    """Forget the late labels of a version that wait for the tests."""
    numbers = select(series.c.id).where(
        series.c.model_id == model_id, series.c.version == version, series.c.segment == ""
    )
    for table in (rollup, clustered):
        connection.execute(delete(table).where(table.c.series_id.in_(numbers), table.c.level == LATE_LEVEL))


def late(connection: Connection, numbers: Sequence[int], most: int) -> list[tuple[int, int, bytes]]:
    """Return the oldest late labels of some series, of so many moments at most, as (series, when, sum) in the order of time."""
    waiting = (among(connection, rollup.c.series_id, numbers), rollup.c.level == LATE_LEVEL)
    moments = select(rollup.c.bucket).where(*waiting).distinct().order_by(rollup.c.bucket).limit(most).subquery()
    border = connection.execute(select(func.max(moments.c.bucket))).scalar()
    if border is None:
        return []
    rows = connection.execute(
        select(rollup.c.series_id, rollup.c.bucket, rollup.c.summary)
        .where(*waiting, rollup.c.bucket <= border)
        .order_by(rollup.c.bucket, rollup.c.series_id)
    )
    return [(number, bucket, bytes(blob)) for number, bucket, blob in rows]


def clusters(connection: Connection, numbers: Sequence[int], span: Span) -> list[tuple[int, int, int, bytes]]:
    """Return the sums of clusters of some series within a span of minutes or late labels, as (series, beginning, cluster, sum)."""
    rows = connection.execute(
        select(*rollups.CLUSTERS.table.columns)
        .where(among(connection, clustered.c.series_id, numbers), *_within(span))
        .order_by(clustered.c.bucket, clustered.c.series_id, clustered.c.cluster)
    )
    return [(row.series_id, row.bucket, row.cluster, bytes(row.summary)) for row in rows]


def has_clusters(connection: Connection, numbers: Sequence[int]) -> bool:
    """Return whether sums of clusters of some series wait."""
    wait = select(clustered.c.series_id).where(among(connection, clustered.c.series_id, numbers)).limit(1)
    return connection.execute(wait).first() is not None


def forget_clusters(connection: Connection, numbers: Sequence[int], span: Span) -> None:
    """Delete the sums of clusters of some series within a span."""
    connection.execute(delete(clustered).where(among(connection, clustered.c.series_id, numbers), *_within(span)))


def _within(span: Span) -> tuple[Any, ...]:
    return clustered.c.level == span.level, clustered.c.bucket >= span.first, clustered.c.bucket < span.last


def next_bucket(connection: Connection, numbers: Sequence[int], level: int, first: int) -> int | None:
    """Return the beginning of the first bucket of some series at a level that is not before a moment."""
    each = select(series.c.id).where(among(connection, series.c.id, numbers)).subquery()
    of_one = (
        select(func.min(rollup.c.bucket))
        .where(rollup.c.series_id == each.c.id, rollup.c.level == level, rollup.c.bucket >= first)
        .scalar_subquery()
    )
    begins = select(of_one.label("begin")).select_from(each).subquery()
    return connection.execute(select(func.min(begins.c.begin))).scalar()
