"""Clusters of events that share their luck, each one bet of the sequential tests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from .bulk import among, upsert
from .schema import cluster


class ClusterKey(NamedTuple):
    """A cluster of one model version, or of its events of one segment."""

    model_id: int
    version: str
    segment: str  # empty: all of them
    key: int  # 63 bits of a keyed hash of its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is kept of a cluster."""

    opened: int  # event time of its first prediction
    closes: int  # later events are not bet on
    due: int  # the label delay counts from then on
    summary: bytes  # to be bet on; empty once it was
    rest: bytes  # later events, and labels that came too late: to be learned from
    waits: bool  # whether the tests have anything left to do with it

    def emptied(self) -> "Cluster":
        """Return the cluster after the tests have taken all of it."""
        return replace(self, summary=b"", rest=b"", waits=False)


def of_keys(connection: Connection, keys: Sequence[ClusterKey]) -> dict[ClusterKey, Cluster]:
    """Return the stored ones of some clusters."""
    wanted = set(keys)
    stored: dict[ClusterKey, Cluster] = {}
    for model_id in sorted({key.model_id for key in wanted}):
        numbers = sorted({key.key for key in wanted if key.model_id == model_id})
        query = select(cluster).where(cluster.c.model_id == model_id, among(connection, cluster.c.cluster, numbers))
        stored |= _read(connection, query)
    return {key: row for key, row in stored.items() if key in wanted}


def due(connection: Connection, model_id: int, until: int, most: int) -> dict[ClusterKey, Cluster]:
    """Return the clusters of a model that are due by `until` and wait for the tests, those that opened first."""
    query = select(cluster).where(*_due(model_id, until))
    return _read(
        connection,
        query.order_by(cluster.c.opened, cluster.c.version, cluster.c.segment, cluster.c.cluster).limit(most),
    )


def is_due(connection: Connection, model_id: int, until: int) -> bool:
    """Return whether any cluster of a model is due by `until` and waits for the tests."""
    return newest_due(connection, model_id, until) is not None


def newest_due(connection: Connection, model_id: int, until: int) -> int | None:
    """Return when the newest cluster of a model that is due by `until` and waits for the tests was due."""
    return connection.execute(select(func.max(cluster.c.due)).where(*_due(model_id, until))).scalar()


def _due(model_id: int, until: int) -> tuple[ColumnElement[bool], ...]:
    return cluster.c.model_id == model_id, cluster.c.waits, cluster.c.due <= until


def exist(connection: Connection, model_id: int) -> bool:
    """Return whether a model has clusters."""
    return (
        connection.execute(select(cluster.c.cluster).where(cluster.c.model_id == model_id).limit(1)).first() is not None
    )


def of_model(connection: Connection, model_id: int) -> dict[ClusterKey, Cluster]:
    """Return all clusters of a model."""
    return _read(connection, select(cluster).where(cluster.c.model_id == model_id))


def save(connection: Connection, rows: Mapping[ClusterKey, Cluster]) -> None:
    """Store clusters in place of what is stored of them."""
    upsert(
        connection,
        cluster,
        [
            {
                "model_id": key.model_id,
                "version": key.version,
                "segment": key.segment,
                "cluster": key.key,
                "opened": row.opened,
                "closes": row.closes,
                "due": row.due,
                "summary": row.summary,
                "rest": row.rest,
                "waits": row.waits,
            }
            for key, row in rows.items()
        ],
    )


def forget(connection: Connection, model_id: int, declared: Collection[str]) -> None:
    """Empty the clusters of a model in segments other than the declared ones; they never open again.

    Parameters
    ----------
    declared : keys of segments, and what stands for a class as a whole

    """
    rows = {
        key: row.emptied()
        for key, row in of_model(connection, model_id).items()
        if key.segment and not {key.segment, key.segment.partition(":")[0]} & set(declared)
    }
    save(connection, rows)


def _read(connection: Connection, query: Select[Any]) -> dict[ClusterKey, Cluster]:
    return {
        ClusterKey(row.model_id, row.version, row.segment, row.cluster): Cluster(
            opened=row.opened,
            closes=row.closes,
            due=row.due,
            summary=bytes(row.summary),
            rest=bytes(row.rest),
            waits=row.waits,
        )
        for row in connection.execute(query)
    }
