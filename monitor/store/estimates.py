"""Stored estimates of windows before their labels came, and the true figures later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select, update

from ..domain.estimates import Estimated, Truth
from ..domain.times import DAY, micros
from .bulk import insert_new
from .documents import decoded, encoded
from .schema import estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate of one window of a model version as a whole."""

    id: int  # 0 before it is stored
    model_id: int
    expected: Estimated
    truth: Truth | None = None  # None until the window has matured

    @property
    def version(self) -> str:
        """The model version."""
        return self.expected.version

    @property
    def window(self) -> str:
        """The length of the window."""
        return self.expected.window

    @property
    def over(self) -> tuple[int, int]:
        """Beginning and end of the window, in microseconds."""
        return micros(self.expected.start), micros(self.expected.end)


def add(connection: Connection, rows: Sequence[Estimate], now: int) -> None:
    """Store estimates; one of the same version, window and end stays as it was first."""
    values = [
        {
            "model_id": row.model_id,
            "version": row.version,
            "window": row.window,
            "end": row.over[1],
            "made_at": now,
            "fields": encoded(row.expected),
        }
        for row in rows
    ]
    insert_new(connection, estimate, values, key=["model_id", "window", "version", "end"])


def windows_at(connection: Connection, model_id: int, end: int) -> set[str]:
    """Return the lengths of windows with an estimate of this end."""
    query = select(estimate.c.window).where(estimate.c.model_id == model_id, estimate.c.end == end)
    return set(connection.execute(query.distinct()).scalars())


def pending(connection: Connection, model_id: int, until: int, limit: int) -> list[Estimate]:
    """Return estimates of windows that ended by a moment and have no truth yet, oldest first."""
    query = select(estimate).where(estimate.c.model_id == model_id, estimate.c.truth.is_(None), estimate.c.end <= until)
    return _read(connection, query.order_by(estimate.c.end, estimate.c.id).limit(limit))


def settle(connection: Connection, truths: Mapping[int, Truth]) -> None:
    """Store the true figures of estimates, by id."""
    for number, truth in truths.items():
        connection.execute(update(estimate).where(estimate.c.id == number).values(truth=encoded(truth)))


def past(connection: Connection, model_id: int, window: str, version: str | None, limit: int) -> list[Estimate]:
    """Return the newest estimates of a window, oldest first; without a version, those of all."""
    query = select(estimate).where(*_of(model_id, window, version))
    return _read(connection, query.order_by(estimate.c.end.desc(), estimate.c.version.desc()).limit(limit))[::-1]


def truths(connection: Connection, model_id: int, window: str, version: str | None) -> list[Truth]:
    """Return the true figures of all stored estimates of a window that have matured."""
    query = select(estimate.c.truth).where(*_of(model_id, window, version), estimate.c.truth.is_not(None))
    return [decoded(text, Truth) for text in connection.execute(query).scalars()]


def current(connection: Connection) -> list[Estimate]:
    """Return the newest estimates of all models that still wait for their labels."""
    newest = select(estimate.c.model_id, func.max(estimate.c.end).label("end")).group_by(estimate.c.model_id).subquery()
    query = select(estimate).join(newest, (newest.c.model_id == estimate.c.model_id) & (newest.c.end == estimate.c.end))
    return _read(connection, query.where(estimate.c.truth.is_(None)).order_by(estimate.c.model_id, estimate.c.id))


def thin(connection: Connection, *, before: int, daily_before: int) -> int:
    """Delete estimates made before `before`, and of those made before `daily_before` and settled all but the first of each day."""
    gone = connection.execute(delete(estimate).where(estimate.c.made_at < before)).rowcount
    repeated = estimate.c.made_at < daily_before, estimate.c.truth.is_not(None), _follows_another()
    return gone + connection.execute(delete(estimate).where(*repeated)).rowcount


def _follows_another() -> ColumnElement[bool]:
    """Return the condition that an earlier estimate of the same window ended on the same day."""
    other = estimate.alias()
    same = [other.c[name] == estimate.c[name] for name in ("model_id", "window", "version")]
    day = other.c.end >= estimate.c.end - estimate.c.end % DAY, other.c.end < estimate.c.end
    return select(other.c.id).where(*same, *day).exists()


def _of(model_id: int, window: str, version: str | None) -> list[ColumnElement[bool]]:
    conditions = [estimate.c.model_id == model_id, estimate.c.window == window]
    return conditions if version is None else [*conditions, estimate.c.version == version]


def _read(connection: Connection, query: Select[Any]) -> list[Estimate]:
    return [_estimate(row) for row in connection.execute(query)]


def _estimate(row: Row[Any]) -> Estimate:
    return Estimate(
        id=row.id,
        model_id=row.model_id,
        expected=decoded(row.fields, Estimated),
        truth=None if row.truth is None else decoded(row.truth, Truth),
    )
