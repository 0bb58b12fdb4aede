"""Replays of policies: which run, how far they are, and what came of those of the last week."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from ..domain.errors import Conflict
from ..domain.times import SECOND
from .engine import database_micros
from .schema import model, replay

State = Literal["running", "done", "failed", "cancelled"]

SILENT: Final = 120 * SECOND
"""A replay of which nothing was heard for so long has no process any more."""

ENDED: Final = "the process that ran it ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One of them."""

    id: int
    state: State
    policy: Mapping[str, object]  # as it was sent
    done: int  # steps
    total: int  # 0 while the history is read
    created_at: int
    finished_at: int | None
    reason: str | None  # of a failure
    result: bytes | None  # JSON


def begin(connection: Connection, model_id: int, policy: Mapping[str, object], now: int) -> int:
    """Add a replay and return its number.

    Raises
    ------
    Conflict
        while another one of the model runs.

    """
    connection.execute(select(model.c.id).where(model.c.id == model_id).with_for_update())
    heard = database_micros(connection)
    _end_silent(connection, model_id, heard, now)
    running = connection.execute(select(replay.c.id).where(replay.c.model_id == model_id, _runs())).scalar()
    if running is not None:
        raise Conflict(f"replay {running} of this model is running: wait for it, or cancel it")
    values = {"model_id": model_id, "state": "running", "policy": _json(policy), "created_at": now, "heard_at": heard}
    number: int = connection.execute(insert(replay).values(**values).returning(replay.c.id)).scalar_one()
    return number


def advance(connection: Connection, number: int, done: int, total: int) -> bool:
    """Note how far a replay is; return whether it still is to run."""
    heard = database_micros(connection)
    changed = connection.execute(
        update(replay).where(replay.c.id == number, _runs()).values(done=done, total=total, heard_at=heard)
    )
    return changed.rowcount == 1


def finish(connection: Connection, number: int, result: bytes, now: int) -> None:
    """Store what came of a replay, unless it was cancelled."""
    _end(connection, replay.c.id == number, now, state="done", result=result.decode(), done=replay.c.total)


def fail(connection: Connection, number: int, reason: str, now: int) -> None:
    """Store why there is no result, unless it was cancelled."""
    _end(connection, replay.c.id == number, now, state="failed", reason=reason)


def cancel(connection: Connection, number: int, now: int) -> bool:
    """Cancel a replay; return whether it was running."""
    return _end(connection, replay.c.id == number, now, state="cancelled") == 1


def of_model(connection: Connection, model_id: int, now: int) -> list[Replay]:
    """Return the replays of a model, newest first, without their results."""
    columns = [column for column in replay.columns if column.name != "result"]
    query = select(*columns).where(replay.c.model_id == model_id).order_by(replay.c.id.desc())
    heard = database_micros(connection)
    return [_replay(row, None, heard, now) for row in connection.execute(query)]


def one(connection: Connection, model_id: int, number: int, now: int) -> Replay | None:
    """Return a replay of a model; None if there is none of that number."""
    row = connection.execute(select(replay).where(replay.c.model_id == model_id, replay.c.id == number)).one_or_none()
    if row is None:
        return None
    return _replay(row, None if row.result is None else row.result.encode(), database_micros(connection), now)


def thin(connection: Connection, before: int) -> int:
    """Delete replays that began before a time."""
    return connection.execute(delete(replay).where(replay.c.created_at < before)).rowcount


def _runs() -> ColumnElement[bool]:
    return replay.c.state == "running"


def _end(connection: Connection, which: ColumnElement[bool], now: int, **values: Any) -> int:
    return connection.execute(update(replay).where(which, _runs()).values(finished_at=now, **values)).rowcount


def _end_silent(connection: Connection, model_id: int, heard: int, now: int) -> None:
    silent = (replay.c.model_id == model_id) & (replay.c.heard_at < heard - SILENT)
    _end(connection, silent, now, state="failed", reason=ENDED)


def _replay(row: Row[Any], result: bytes | None, heard: int, now: int) -> Replay:
    is_silent = row.state == "running" and row.heard_at < heard - SILENT
    return Replay(
        id=row.id,
        state="failed" if is_silent else row.state,
        policy=msgspec.json.decode(row.policy),
        done=row.done,
        total=row.total,
        created_at=row.created_at,
        finished_at=now if is_silent else row.finished_at,
        reason=ENDED if is_silent else row.reason,
        result=result,
    )


def _json(policy: Mapping[str, object]) -> str:
    return msgspec.json.encode(policy).decode()
