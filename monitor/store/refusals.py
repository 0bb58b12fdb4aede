"""The last events of each model that did not count, with reasons."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection, delete, select

from .bulk import append
from .schema import refusal

KEPT: Final = 200
"""Entries kept per model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event that did not count."""

    model_id: int
    received_at: int
    event_id: str | None
    code: str
    reason: str


_FIELDS: Final = tuple(f.name for f in fields(Refusal))


def add(connection: Connection, entries: Sequence[Refusal]) -> None:
    """Append entries, oldest first, and delete what is too old to be kept."""
    by_model: dict[int, list[Refusal]] = defaultdict(list)
    for entry in entries:
        by_model[entry.model_id].append(entry)
    for model_id, own in by_model.items():
        append(connection, refusal, _FIELDS, map(attrgetter(*_FIELDS), own[-KEPT:]))
        _prune(connection, model_id)


def _prune(connection: Connection, model_id: int) -> None:
    of_model = refusal.c.model_id == model_id
    oldest_kept = select(refusal.c.id).where(of_model).order_by(refusal.c.id.desc()).offset(KEPT - 1).limit(1)
    connection.execute(delete(refusal).where(of_model, refusal.c.id < oldest_kept.scalar_subquery()))


def newest(connection: Connection, model_id: int, limit: int) -> list[Refusal]:
    """Return the last entries of a model, newest first."""
    query = select(*(refusal.c[name] for name in _FIELDS)).where(refusal.c.model_id == model_id)
    return [
        Refusal(**row._mapping)  # noqa: SLF001 - the public name of a row's mapping
        for row in connection.execute(query.order_by(refusal.c.id.desc()).limit(limit))
    ]
