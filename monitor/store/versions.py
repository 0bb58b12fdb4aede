"""The registry of calibrators: immutable numbered versions, and aliases that move."""

from dataclasses import asdict, dataclass, fields
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from .bulk import upsert
from .calibrators import Calibrator, document_of
from .schema import alias, calibrator, model, refit

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """Which version an alias names, and since when."""

    number: int | None  # None: identity
    since: int
    since_event_time: int | None
    share: float | None = None  # of traffic that a challenger serves as a canary; None: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The last attempt to refit."""

    attempted_at: int  # in event time
    labels: int  # how many the model had
    waits_for_person: bool
    reference_labels: int = 0  # how many the validation set had when a calibrator was fitted on it


def next_number(connection: Connection, model_id: int) -> int:
    """Return the number that the next version gets, which nobody else gets before this transaction ends."""
    connection.execute(select(model.c.id).where(model.c.id == model_id).with_for_update(key_share=True))
    newest = connection.execute(select(func.max(calibrator.c.number)).where(calibrator.c.model_id == model_id)).scalar()
    return (newest or 0) + 1


def add(connection: Connection, model_id: int, document: Calibrator, now: int) -> None:
    """Store a new version; a number that is taken fails."""
    connection.execute(
        insert(calibrator).values(
            model_id=model_id,
            number=document.number,
            document=msgspec.json.encode(document).decode(),
            created_at=now,
        )
    )


def document(connection: Connection, model_id: int, number: int) -> Calibrator | None:
    """Return a version's document, or None."""
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
    return {
        row.name: Alias(number=row.number, since=row.since, since_event_time=row.since_event_time, share=row.share)
        for row in rows
    }


def champions(connection: Connection) -> dict[int, int]:
    """Return the champion's number of every model that has one."""
    rows = connection.execute(
        select(alias.c.model_id, alias.c.number).where(alias.c.name == CHAMPION, alias.c.number.is_not(None))
    )
    return {row[0]: row[1] for row in rows}


def move(connection: Connection, model_id: int, name: str, value: Alias) -> None:
    """Let an alias name a version."""
    upsert(connection, alias, [{"model_id": model_id, "name": name, **asdict(value)}])


def drop(connection: Connection, model_id: int, name: str) -> None:
    """Take an alias away."""
    connection.execute(delete(alias).where(alias.c.model_id == model_id, alias.c.name == name))


def attempt(connection: Connection, model_id: int) -> Attempt | None:
    """Return the last attempt to refit, or None."""
    row = connection.execute(select(refit).where(refit.c.model_id == model_id)).one_or_none()
    if row is None:
        return None
    return Attempt(**{column.name: getattr(row, column.name) for column in fields(Attempt)})


def note_attempt(connection: Connection, model_id: int, value: Attempt) -> None:
    """Store the last attempt to refit."""
    upsert(connection, refit, [{"model_id": model_id, **asdict(value)}])
