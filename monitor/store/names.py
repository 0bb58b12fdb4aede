"""Versions and segment values that have sums of their own, in the order of their first roll-up."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, insert, select

from .schema import named


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One of them."""

    model_id: int
    key: str  # a declared segment, or VERSION
    value: str
    place: int


def among_these(connection: Connection, model_id: int, values: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of some keys and values that have sums of their own."""
    by_key: dict[str, list[str]] = {}
    for key, value in values:
        by_key.setdefault(key, []).append(value)
    return {
        (key, value)
        for key, of_key in by_key.items()
        for first in range(0, len(of_key), _AT_ONCE)
        for value in _found(connection, model_id, key, of_key[first : first + _AT_ONCE])
    }


_AT_ONCE: Final = 10_000
"""Values in one statement; SQLite binds at most 32,766."""


def _found(connection: Connection, model_id: int, key: str, values: Sequence[str]) -> Iterable[str]:
    alike = (named.c.model_id == model_id, named.c.key == key, named.c.value.in_(values))
    return connection.execute(select(named.c.value).where(*alike)).scalars()


def counts(connection: Connection, model_id: int) -> dict[str, int]:
    """Return how many there are of each key."""
    query = select(named.c.key, func.count()).where(named.c.model_id == model_id).group_by(named.c.key)
    return {row[0]: row[1] for row in connection.execute(query)}


def of_model(connection: Connection, model_id: int) -> dict[str, list[str]]:
    """Return all of a model by key, in the order of their first roll-up."""
    query = select(named.c.key, named.c.value).where(named.c.model_id == model_id).order_by(named.c.key, named.c.place)
    found: dict[str, list[str]] = {}
    for key, value in connection.execute(query):
        found.setdefault(key, []).append(value)
    return found


def add(connection: Connection, names: Sequence[Name]) -> None:
    """Add names, which must be new."""
    if names:
        connection.execute(
            insert(named),
            [{"model_id": n.model_id, "key": n.key, "value": n.value, "place": n.place} for n in names],
        )
