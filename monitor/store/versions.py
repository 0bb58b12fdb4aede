"""Versions of calibrators, immutable and numbered, and the aliases that say which one serves."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select

from ..domain.names import CHALLENGER, CHAMPION
from ..domain.settings import Model
from .bulk import upsert
from .calibrators import Calibrator, document_of
from .schema import alias, calibrator, model, refit


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """The version that an alias names, and since when."""

    number: int | None  # None: no calibrator
    since: int
    since_event_time: int | None
    share: float | None = None  # of traffic that a challenger serves as a canary; None: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last attempt to refit."""

    attempted_at: int  # in event time
    labels: int  # of the model at that time
    waits_for_person: bool
    reference_labels: int = 0  # of the validation set when a calibrator was last fitted on it


def next_number(connection: Connection, model_id: int) -> int:
    """Return the number of the next version, reserved until this transaction ends."""
    connection.execute(select(model.c.id).where(model.c.id == model_id).with_for_update(key_share=True))
    newest = connection.execute(select(func.max(calibrator.c.number)).where(calibrator.c.model_id == model_id)).scalar()
    return (newest or 0) + 1


def add(connection: Connection, model_id: int, document: Calibrator, now: int) -> None:
    """Store a new version; fail where its number is taken."""
    connection.execute(
        insert(calibrator).values(
            model_id=model_id,
            number=document.number,
            document=msgspec.json.encode(document).decode(),
            created_at=now,
        )
    )


def document(connection: Connection, model_id: int, number: int) -> Calibrator | None:
    """Return a version, None where there is none of this number."""
    text = connection.execute(
        select(calibrator.c.document).where(calibrator.c.model_id == model_id, calibrator.c.number == number)
    ).scalar()
    return None if text is None else document_of(text)


def documents(connection: Connection, model_id: int) -> list[Calibrator]:
    """Return all versions, newest first."""
    query = select(calibrator.c.document).where(calibrator.c.model_id == model_id).order_by(calibrator.c.number.desc())
    return [document_of(text) for text in connection.execute(query).scalars()]


def aliases(connection: Connection, model_id: int) -> dict[str, Alias]:
    """Return a model's aliases by name."""
    rows = connection.execute(select(alias).where(alias.c.model_id == model_id))
    return {row.name: _alias(row) for row in rows}


def champions(connection: Connection) -> dict[int, int]:
    """Return the champion's number by model, for models that have one."""
    rows = connection.execute(
        select(alias.c.model_id, alias.c.number).where(alias.c.name == CHAMPION, alias.c.number.is_not(None))
    )
    return {row[0]: row[1] for row in rows}


def waiting(connection: Connection, known: Iterable[Model]) -> dict[int, Alias]:
    """Return by model the version that waits for a person's decision, for models that have one.

    A challenger does, unless it serves as a canary or its model keeps challengers in the shadow.
    """
    deciding = {model.id for model in known if model.settings.recalibration != "shadow"}
    rows = connection.execute(
        select(alias).where(alias.c.name == CHALLENGER, alias.c.number.is_not(None), alias.c.share.is_(None))
    )
    return {row.model_id: _alias(row) for row in rows if row.model_id in deciding}


def _alias(row: Row[Any]) -> Alias:
    return Alias(number=row.number, since=row.since, since_event_time=row.since_event_time, share=row.share)


def move(connection: Connection, model_id: int, name: str, value: Alias) -> None:
    """Let an alias name a version."""
    upsert(connection, alias, [{"model_id": model_id, "name": name, **asdict(value)}])


def drop(connection: Connection, model_id: int, name: str) -> None:
    """Remove an alias."""
    connection.execute(delete(alias).where(alias.c.model_id == model_id, alias.c.name == name))


def attempt(connection: Connection, model_id: int) -> Attempt | None:
    """Return the last attempt to refit, None before any."""
    row = connection.execute(select(refit).where(refit.c.model_id == model_id)).one_or_none()
    if row is None:
        return None
    return Attempt(**{column.name: getattr(row, column.name) for column in fields(Attempt)})


def note_attempt(connection: Connection, model_id: int, value: Attempt) -> None:
    """Store the last attempt to refit."""
    upsert(connection, refit, [{"model_id": model_id, **asdict(value)}])
