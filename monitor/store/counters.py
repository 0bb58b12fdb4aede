"""Counters in the database, so that all replicas report the same."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, delete, select

from ..domain.records import VERSION, ConflictKind
from .bulk import upsert
from .schema import counter, model_counter

REJECTED: Final = "events_rejected"
CORRECTED: Final = "events_corrected"
UNDECLARED: Final = "undeclared_labels"
"""Counter, by name, of the labels that count and are of a class that had never been declared."""
UNNAMED: Final = "events_unnamed"
"""Counter of the predictions whose version, or value of a declared segment, has no sums of its own; see `unnamed_label`."""
OTHER_NAMES: Final = ""
"""In place of a name: of all names that are not counted apart."""

CONFLICTS: Final[Mapping[ConflictKind, str]] = {"prediction": "prediction_conflicts", "label": "label_conflicts"}
"""Counters of conflicts; labels that say nothing count as rejected."""


def add(connection: Connection, amounts: Mapping[tuple[str, str], int]) -> None:
    """Add amounts to counters by (name, label); a new counter begins at 0."""
    rows = [{"name": name, "label": label, "value": value} for (name, label), value in sorted(amounts.items()) if value]
    upsert(connection, counter, rows, sums=["value"])


def add_by_model(connection: Connection, amounts: Mapping[tuple[int, str, str], int]) -> None:
    """Add amounts to counters by (model, name, label)."""
    rows = [
        {"model_id": model_id, "name": name, "label": label, "value": value}
        for (model_id, name, label), value in sorted(amounts.items())
        if value
    ]
    upsert(connection, model_counter, rows, sums=["value"])


def of_model(connection: Connection, model_id: int) -> dict[tuple[str, str], int]:
    """Return the counters of a model by (name, label)."""
    rows = connection.execute(select(model_counter).where(model_counter.c.model_id == model_id))
    return {(row.name, row.label): row.value for row in rows}


def by_model(connection: Connection) -> dict[tuple[int, str, str], int]:
    """Return all counters of models by (model, name, label)."""
    return {(row.model_id, row.name, row.label): row.value for row in connection.execute(select(model_counter))}


def read(connection: Connection) -> dict[tuple[str, str], int]:
    """Return all counters by (name, label)."""
    return {(row.name, row.label): row.value for row in connection.execute(select(counter))}


def undeclared(connection: Connection) -> dict[int, dict[str, int]]:
    """Return the numbers of labels of classes that were never declared, by model and name, the most frequent first."""
    numbers: dict[int, dict[str, int]] = defaultdict(dict)
    counts = model_counter.c.value
    query = select(model_counter).where(model_counter.c.name == UNDECLARED, counts > 0)
    for row in connection.execute(query.order_by(counts.desc(), model_counter.c.label)):
        numbers[row.model_id][row.label] = row.value
    return numbers


def unnamed_label(key: str) -> str:
    """Return the label under which events without a name of a key are counted: of the version, or of a declared segment."""
    return "version" if key == VERSION else f"segment {key}"


def forget_of_rows(connection: Connection, model_id: int) -> None:
    """Delete the counters of a model that follow from its rows, before they are counted again."""
    followed = (model_counter.c.model_id == model_id, model_counter.c.name.in_((UNDECLARED, UNNAMED)))
    connection.execute(delete(model_counter).where(*followed))


def corrected(connection: Connection) -> dict[int, dict[str, int]]:
    """Return the numbers of corrected predictions by model and correction."""
    return _by_model_and_label(connection, CORRECTED)


def unnamed(connection: Connection) -> dict[int, dict[str, int]]:
    """Return the numbers of predictions that count as `__other__`, by model and what has no sums of its own."""
    return _by_model_and_label(connection, UNNAMED)


def _by_model_and_label(connection: Connection, name: str) -> dict[int, dict[str, int]]:
    numbers: dict[int, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(select(model_counter).where(model_counter.c.name == name)):
        numbers[row.model_id][row.label] = row.value
    return numbers
