"""Counters in the database, so that all replicas report the same."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from .bulk import upsert
from .schema import counter


def add(connection: Connection, amounts: Mapping[tuple[str, str], int]) -> None:
    """Add amounts to counters by (name, label); a new counter begins at 0."""
    rows = [{"name": name, "label": label, "value": value} for (name, label), value in sorted(amounts.items()) if value]
    upsert(connection, counter, rows, sums=["value"])


def read(connection: Connection) -> dict[tuple[str, str], int]:
    """Return all counters by (name, label)."""
    return {(row.name, row.label): row.value for row in connection.execute(select(counter))}
