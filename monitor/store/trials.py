"""Trials: two calibrators side by side on live labels, as they are stored."""

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select

from .bulk import upsert
from .schema import trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How far the comparison of two calibrators has come."""

    role: str
    number: int | None  # on trial; None: identity
    against: int | None  # what it is compared with
    since: int  # predictions from here on count, in event time
    until: int  # and before here have been taken in
    fields: dict[str, Any]  # what it says
    state: bytes


def of_model(connection: Connection, model_id: int) -> dict[str, Trial]:
    """Return the trials of a model by role."""
    rows = connection.execute(select(trial).where(trial.c.model_id == model_id).order_by(trial.c.role))
    return {
        row.role: Trial(
            role=row.role,
            number=row.number,
            against=row.against,
            since=row.since,
            until=row.until,
            fields=msgspec.json.decode(row.fields),
            state=bytes(row.state),
        )
        for row in rows
    }


def save(connection: Connection, model_id: int, found: Trial) -> None:
    """Store a trial in place of what is stored under its role."""
    row = {
        "model_id": model_id,
        "role": found.role,
        "number": found.number,
        "against": found.against,
        "since": found.since,
        "until": found.until,
        "fields": msgspec.json.encode(found.fields).decode(),
        "state": found.state,
    }
    upsert(connection, trial, [row])


def forget(connection: Connection, model_id: int, role: str) -> None:
    """Delete a trial."""
    connection.execute(delete(trial).where(trial.c.model_id == model_id, trial.c.role == role))
