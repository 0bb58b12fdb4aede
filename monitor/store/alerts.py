"""The present state of alerts, every transition, and the notifications that are due."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from ..domain.alerts import FIRING, RESOLVED, Alarm, Alert, Firing, RecordedAlert, State
from .bulk import upsert
from .documents import encoded
from .schema import alert, alert_state, model, notification


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A notification that is to be sent now."""

    id: str
    model: str
    attempts: int
    alert: RecordedAlert


def states(connection: Connection, model_id: int) -> dict[Alarm, State]:
    """Return the state of each alarm of a model that ever changed."""
    rows = connection.execute(select(alert_state).where(alert_state.c.model_id == model_id))
    return {_alarm(row): State(firing=row.firing, since=row.since) for row in rows}


def firings(connection: Connection, model_id: int, kinds: Collection[str]) -> list[Firing]:
    """Return when the alarms of a model that are of some kinds fired, in the order in which they began."""
    rows = connection.execute(
        select(alert).where(alert.c.model_id == model_id, alert.c.kind.in_(kinds)).order_by(alert.c.id)
    )
    firing: dict[Alarm, Firing] = {}
    ended: list[Firing] = []
    for row in rows:
        transition = _alert(row)
        alarm, before = _alarm(row), firing.pop(_alarm(row), None)
        if transition.state == FIRING:
            since = row.at if before is None else before.since
            firing[alarm] = Firing(alarm=alarm, since=since, segments=transition.named_segments)
        elif before is not None:
            ended.append(replace(before, until=row.at))
    return sorted([*ended, *firing.values()], key=lambda one: one.since)


def firing_now(connection: Connection, kinds: Collection[str]) -> dict[int, list[Firing]]:
    """Return the alarms of some kinds that fire now, by model."""
    query = select(alert_state.c.model_id).where(alert_state.c.firing, alert_state.c.kind.in_(kinds)).distinct()
    return {
        model_id: [firing for firing in firings(connection, model_id, kinds) if firing.until is None]
        for model_id in connection.execute(query).scalars().all()
    }


def known(connection: Connection) -> list[tuple[int, Alarm, bool]]:
    """Return all alarms that ever changed, as (model, alarm, fires)."""
    return [(row.model_id, _alarm(row), row.firing) for row in connection.execute(select(alert_state))]


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(kind=row.kind, window=row.window, version=row.version, segment=row.segment)


def record(connection: Connection, model_id: int, transition: Alert, *, now: int, notify: bool) -> None:
    """Store a transition, the state that it leads to, and the notification that it calls for."""
    place = {"model_id": model_id, **transition.alarm._asdict()}
    evidence = encoded(transition.evidence)
    row = {**place, "state": transition.state, "at": transition.at, "recorded_at": now, "evidence": evidence}
    number = connection.execute(insert(alert).values(row).returning(alert.c.id)).scalar_one()
    upsert(connection, alert_state, [{**place, "firing": transition.state == FIRING, "since": transition.at}])
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


def transitions(connection: Connection, model_id: int, limit: int) -> list[RecordedAlert]:
    """Return a model's transitions, newest first."""
    rows = connection.execute(
        select(alert).where(alert.c.model_id == model_id).order_by(alert.c.id.desc()).limit(limit)
    )
    return [_alert(row) for row in rows]


def newest_of(connection: Connection, model_id: int, alarm: Alarm) -> RecordedAlert | None:
    """Return the newest transition of an alarm, None before the first."""
    same = (alert.c[field] == value for field, value in alarm._asdict().items())
    query = select(alert).where(alert.c.model_id == model_id, *same).order_by(alert.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _alert(row)


def last_end(
    connection: Connection, model_id: int, kind: str, of_versions: Collection[str], before: int, *, segment: str = ""
) -> int | None:
    """Return when an alert of a kind last ended on one of some versions, before a moment; None if none did.

    Parameters
    ----------
    segment : that it was about; empty: the version as a whole

    """
    ended = alert.c.model_id == model_id, alert.c.kind == kind, alert.c.state == RESOLVED, alert.c.segment == segment
    query = select(func.max(alert.c.at)).where(*ended, alert.c.version.in_(of_versions), alert.c.at < before)
    return connection.execute(query).scalar()


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


def _alert(row: Row[Any]) -> RecordedAlert:
    return RecordedAlert(
        at=row.at,
        kind=row.kind,
        state=row.state,
        window=row.window,
        version=row.version,
        segment=row.segment,
        evidence=msgspec.json.decode(row.evidence),
    )
