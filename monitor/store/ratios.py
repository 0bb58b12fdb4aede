"""The stored state of the tests of observed over expected outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from ..domain.sequential import RatioBasis, RatioEvidence
from .bulk import upsert
from .documents import decoded, encoded
from .schema import ratio_evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioStanding:
    """The test of one model version, as it is stored."""

    version: str
    since: int  # predictions from here on count, in event time
    basis: RatioBasis
    evidence: RatioEvidence
    state: bytes  # empty where the test is to start again


def standings(connection: Connection, model_id: int) -> dict[str, RatioStanding]:
    """Return the tests of a model by version."""
    rows = connection.execute(select(ratio_evidence).where(ratio_evidence.c.model_id == model_id))
    return {
        row.version: RatioStanding(
            version=row.version,
            since=row.since,
            basis=decoded(row.basis, RatioBasis),
            evidence=decoded(row.fields, RatioEvidence),
            state=bytes(row.state),
        )
        for row in rows
    }


def save(connection: Connection, model_id: int, standing: Sequence[RatioStanding]) -> None:
    """Store the tests of some versions in place of what is stored of them."""
    rows = [
        {
            "model_id": model_id,
            "version": test.version,
            "since": test.since,
            "basis": encoded(test.basis),
            "fields": encoded(test.evidence),
            "state": test.state,
        }
        for test in standing
    ]
    upsert(connection, ratio_evidence, rows)


def newest(connection: Connection, model_id: int | None = None) -> list[tuple[int, RatioEvidence]]:
    """Return what the tests say now, by model and version; those that are to start again say nothing."""
    place = (ratio_evidence.c.model_id, ratio_evidence.c.version)
    query = select(*place, ratio_evidence.c.fields).where(func.length(ratio_evidence.c.state) > 0)
    if model_id is not None:
        query = query.where(ratio_evidence.c.model_id == model_id)
    rows = connection.execute(query.order_by(*place))
    return [(row.model_id, decoded(row.fields, RatioEvidence)) for row in rows]


def restart(connection: Connection, model_id: int, version: str, since: int) -> None:
    """Let the test of a version begin afresh with predictions from a moment of event time on that were not taken yet."""
    same = (ratio_evidence.c.model_id == model_id, ratio_evidence.c.version == version)
    before = connection.execute(select(ratio_evidence.c.since).where(*same)).scalar()
    if before is not None:
        connection.execute(update(ratio_evidence).where(*same).values(since=max(before, since), state=b""))


def stop(connection: Connection, model_id: int) -> None:
    """Let the tests of a model say nothing more, and begin afresh if they are wanted again."""
    connection.execute(update(ratio_evidence).where(ratio_evidence.c.model_id == model_id).values(state=b""))
