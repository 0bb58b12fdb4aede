"""Accepted batches in their order of receipt, until they are rolled up."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select

from ..domain.errors import LeaseLost
from ..domain.refusals import Refusals
from .bulk import among
from .schema import journal, quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One accepted batch."""

    id: int
    received_at: int
    events: int
    rejected: Refusals  # refused items of the same request
    batch: bytes


def append(connection: Connection, rows: Sequence[JournalRow]) -> None:
    """Append batches; the database assigns their ids."""
    connection.execute(
        insert(journal),
        [
            {
                "received_at": row.received_at,
                "events": row.events,
                "rejected": msgspec.json.encode(row.rejected).decode() if row.rejected.counts else None,
                "batch": row.batch,
            }
            for row in rows
        ],
    )


def oldest(connection: Connection, events: int) -> list[JournalRow]:
    """Return the oldest batches of at most `events` events, and at least one batch."""
    sizes = connection.execute(
        select(journal.c.id, journal.c.events).order_by(journal.c.id).limit(max(1, events))
    ).all()
    total = list(accumulate(row.events for row in sizes))
    ids = [row.id for row, so_far in zip(sizes, total, strict=True) if so_far <= events] or [
        row.id for row in sizes[:1]
    ]
    # The batches themselves are read only now: a backlog may not fit in memory.
    query = select(journal).where(among(connection, journal.c.id, ids)).order_by(journal.c.id)
    return [_row(row) for row in connection.execute(query)]


def _row(row: Row[Any]) -> JournalRow:
    return JournalRow(
        id=row.id,
        received_at=row.received_at,
        events=row.events,
        rejected=_refusals(row.rejected),
        batch=bytes(row.batch),
    )


def _refusals(text: str | None) -> Refusals:
    """Return what was refused with a batch; releases up to 0.3.0 wrote an object of numbers by reason."""
    if text is None:
        return Refusals()
    if text.startswith("{"):
        return Refusals([(None, code, count) for code, count in msgspec.json.decode(text, type=dict[str, int]).items()])
    return msgspec.json.decode(text, type=Refusals)


def remove(connection: Connection, rows: Sequence[JournalRow]) -> None:
    """Delete batches that were rolled up.

    Raises
    ------
    LeaseLost
        when some are gone: another process rolled them up.

    """
    ids = [row.id for row in rows]
    removed = connection.execute(delete(journal).where(among(connection, journal.c.id, ids))).rowcount
    if removed != len(rows):
        raise LeaseLost(f"{len(rows) - removed} of {len(rows)} journal rows were gone")


def backlog(connection: Connection) -> tuple[int, int | None]:
    """Return the number of waiting events and the time of the oldest receipt."""
    events, first = connection.execute(
        select(func.coalesce(func.sum(journal.c.events), 0), func.min(journal.c.received_at))
    ).one()
    return int(events), first


class Waiting(NamedTuple):
    """The batches that wait to be rolled up: the ids of the oldest and newest, and the receipt of the oldest."""

    oldest: int
    newest: int
    received_at: int


def waiting(connection: Connection) -> Waiting | None:
    """Return the batches that wait to be rolled up; None without any."""
    newest = select(func.max(journal.c.id)).scalar_subquery()
    query = select(journal.c.id, newest, journal.c.received_at).order_by(journal.c.id).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else Waiting(*row)


def set_aside(connection: Connection, row: JournalRow, reason: str, now: int) -> None:
    """Move a batch that cannot be rolled up to the quarantine, so that it does not block later ones."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in reason[:500])  # Postgres refuses some
    connection.execute(
        insert(quarantine).values(
            received_at=row.received_at, quarantined_at=now, events=row.events, reason=printable, batch=row.batch
        )
    )


def set_aside_count(connection: Connection) -> int:
    """Return the number of events in quarantine."""
    return int(connection.execute(select(func.coalesce(func.sum(quarantine.c.events), 0))).scalar_one())
