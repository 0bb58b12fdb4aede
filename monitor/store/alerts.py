"""Alerts: their present state, every transition, and the notifications that are due."""

import uuid
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from ..domain.records import Alert
from .bulk import upsert
from .schema import alert, alert_state, model, notification

Place = tuple[str, str, str, str]
"""Kind, window, version and segment: what has a state of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A notification that is to be sent now."""

    id: str
    model: str
    attempts: int
    alert: Alert


def states(connection: Connection, model_id: int) -> dict[Place, tuple[bool, int]]:
    """Return whether each alarm of a model fires, and since when."""
    rows = connection.execute(select(alert_state).where(alert_state.c.model_id == model_id))
    return {(row.kind, row.window, row.version, row.segment): (row.firing, row.since) for row in rows}


def known(connection: Connection) -> list[tuple[int, Place, bool]]:
    """Return all alarms that ever changed, as (model, place, fires)."""
    rows = connection.execute(select(alert_state))
    return [(row.model_id, (row.kind, row.window, row.version, row.segment), row.firing) for row in rows]


def record(connection: Connection, model_id: int, transition: Alert, *, now: int, notify: bool) -> None:
    """Store a transition, the state that it leads to, and the notification that it calls for."""
    place = {
        "model_id": model_id,
        "kind": transition.kind,
        "window": transition.window,
        "version": transition.version,
        "segment": transition.segment,
    }
    evidence = msgspec.json.encode(transition.evidence).decode()
    row = {**place, "state": transition.state, "at": transition.at, "recorded_at": now, "evidence": evidence}
    number = connection.execute(insert(alert).values(row).returning(alert.c.id)).scalar_one()
    upsert(connection, alert_state, [{**place, "firing": transition.state == "firing", "since": transition.at}])
    if notify:
        _queue(connection, number, now)


def _queue(connection: Connection, alert_id: int, now: int) -> None:
    connection.execute(
        insert(notification).values(
            id=str(uuid.uuid4()),
            alert_id=alert_id,
            attempts=0,
            next_at=now,
            delivered_at=None,
            given_up=False,
            error=None,
        )
    )


def transitions(connection: Connection, model_id: int, limit: int) -> list[Alert]:
    """Return a model's transitions, newest first."""
    rows = connection.execute(
        select(alert).where(alert.c.model_id == model_id).order_by(alert.c.id.desc()).limit(limit)
    )
    return [_alert(row) for row in rows]


def due(connection: Connection, now: int, limit: int = 20) -> list[Due]:
    """Return notifications whose time has come, oldest first."""
    query = (
        select(notification.c.id.label("notice"), notification.c.attempts, model.c.name, *alert.c)
        .join(alert, alert.c.id == notification.c.alert_id)
        .join(model, model.c.id == alert.c.model_id)
        .where(notification.c.delivered_at.is_(None), notification.c.given_up.is_(False), notification.c.next_at <= now)
        .order_by(notification.c.next_at)
        .limit(limit)
    )
    return [
        Due(id=row.notice, model=row.name, attempts=row.attempts, alert=_alert(row))
        for row in connection.execute(query)
    ]


def delivered(connection: Connection, notice: str, now: int) -> None:
    """Note that a notification arrived."""
    connection.execute(
        update(notification)
        .where(notification.c.id == notice)
        .values(delivered_at=now, attempts=notification.c.attempts + 1, error=None)
    )


def failed(connection: Connection, notice: str, *, next_at: int, error: str, give_up: bool) -> None:
    """Note that a notification did not arrive."""
    connection.execute(
        update(notification)
        .where(notification.c.id == notice)
        .values(next_at=next_at, attempts=notification.c.attempts + 1, error=error[:500], given_up=give_up)
    )


def _alert(row: Any) -> Alert:
    return Alert(
        at=row.at,
        kind=row.kind,
        state=row.state,
        window=row.window,
        version=row.version,
        segment=row.segment,
        evidence=msgspec.json.decode(row.evidence),
    )
