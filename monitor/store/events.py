"""Rows of predictions, labels and conflicting events."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, and_, func, insert, not_, select, true

from ..domain.records import ConflictRow, EventRef, LabelRow, PredictionRow
from .bulk import among, append
from .schema import conflict, label, prediction, secret

EVENT_KEY: Final = "event_key"
"""Name of the secret for hashing event ids."""

_PREDICTION_FIELDS: Final = tuple(f.name for f in fields(PredictionRow))
_LABEL_FIELDS: Final = tuple(f.name for f in fields(LabelRow))
_CONFLICT_FIELDS: Final = tuple(f.name for f in fields(ConflictRow))


def hash_key(connection: Connection) -> bytes:
    """Return the secret for hashing event ids, which every migrated database has."""
    return bytes(connection.execute(select(secret.c.value).where(secret.c.name == EVENT_KEY)).scalar_one())


def make_hash_key(connection: Connection) -> None:
    """Create the secret for hashing event ids unless there is one; it keeps outsiders from making ids that collide."""
    if connection.execute(select(secret.c.name).where(secret.c.name == EVENT_KEY)).scalar() is None:
        connection.execute(insert(secret).values(name=EVENT_KEY, value=secrets.token_bytes(32)))


def event_key(secret_key: bytes, model_id: int, event_id: str) -> int:
    """Return the 63-bit key of an event; rows with the same key differ by their event id."""
    digest = hashlib.blake2b(b"%d:%s" % (model_id, event_id.encode()), digest_size=8, key=secret_key).digest()
    return int.from_bytes(digest, "little") >> 1


def predictions_of(connection: Connection, keys: Sequence[int]) -> dict[EventRef, list[PredictionRow]]:
    """Return the stored predictions under these keys, one per version of an event, oldest first."""
    by_event: dict[EventRef, list[PredictionRow]] = {}
    columns = _columns(prediction, _PREDICTION_FIELDS)
    query = select(*columns).where(among(connection, prediction.c.key, keys)).order_by(prediction.c.id)
    for row in map(_prediction, connection.execute(query)):
        by_event.setdefault(row.ref, []).append(row)
    return by_event


def labels_of(connection: Connection, keys: Sequence[int]) -> dict[EventRef, list[LabelRow]]:
    """Return the stored labels under these keys, oldest first."""
    by_event: dict[EventRef, list[LabelRow]] = {}
    query = select(*_columns(label, _LABEL_FIELDS)).where(among(connection, label.c.key, keys)).order_by(label.c.id)
    for row in map(_label, connection.execute(query)):
        by_event.setdefault(row.ref, []).append(row)
    return by_event


def conflicts_of(connection: Connection, key: int, ref: EventRef) -> list[ConflictRow]:
    """Return the conflicts of one event, oldest first."""
    query = (
        select(*_columns(conflict, _CONFLICT_FIELDS))
        .where(conflict.c.key == key, conflict.c.model_id == ref[0], conflict.c.event_id == ref[1])
        .order_by(conflict.c.id)
    )
    return [ConflictRow(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - the public name of a row's mapping


def add_predictions(connection: Connection, rows: Sequence[PredictionRow]) -> None:
    """Append predictions."""
    append(connection, prediction, _PREDICTION_FIELDS, map(attrgetter(*_PREDICTION_FIELDS), rows))


def add_labels(connection: Connection, rows: Sequence[LabelRow]) -> None:
    """Append labels."""
    append(connection, label, _LABEL_FIELDS, map(attrgetter(*_LABEL_FIELDS), rows))


def add_conflicts(connection: Connection, rows: Sequence[ConflictRow]) -> None:
    """Append conflicting events, which do not count."""
    append(connection, conflict, _CONFLICT_FIELDS, map(attrgetter(*_CONFLICT_FIELDS), rows))


def scan(
    connection: Connection, model_id: int, *, chunk: int = 5000, reference: bool | None = False
) -> Iterator[list[PredictionRow]]:
    """Yield a model's predictions in chunks, newest receipt first.

    Parameters
    ----------
    reference : False for traffic, True for the validation set, None for both

    """
    before: int | None = None
    only = {False: not_(prediction.c.reference), True: prediction.c.reference, None: true()}[reference]
    while True:
        query = select(prediction.c.id, *_columns(prediction, _PREDICTION_FIELDS)).where(
            prediction.c.model_id == model_id, only
        )
        if before is not None:
            query = query.where(prediction.c.id < before)
        rows = connection.execute(query.order_by(prediction.c.id.desc()).limit(chunk)).all()
        if not rows:
            return
        before = rows[-1].id
        yield [_prediction(row[1:]) for row in rows]


def reference_rolled_at(connection: Connection, model_id: int) -> int:
    """Return the time of the newest prediction or label of a model's validation set; 0 without one."""
    same = (label.c.key == prediction.c.key, label.c.model_id == model_id, label.c.event_id == prediction.c.event_id)
    query = (
        select(func.max(prediction.c.rolled_at), func.max(label.c.rolled_at))
        .join_from(prediction, label, and_(*same), isouter=True)
        .where(prediction.c.model_id == model_id, prediction.c.reference)
    )
    return max(at or 0 for at in connection.execute(query).one())


def repeated(connection: Connection, model_id: int, most: int) -> list[tuple[str, int]]:
    """Return events with more than one prediction row of a version, and the number of rows; there should be none."""
    query = (
        select(prediction.c.event_id, func.count())
        .where(prediction.c.model_id == model_id)
        .group_by(prediction.c.key, prediction.c.event_id, prediction.c.version)
        .having(func.count() > 1)
        .limit(most)
    )
    return [(name, count) for name, count in connection.execute(query)]


def last_label(connection: Connection) -> int:
    """Return the id of the newest label of any model; 0 without one."""
    return connection.execute(select(func.max(label.c.id))).scalar() or 0


def labels_since(connection: Connection, model_id: int, newest: int) -> bool:
    """Return whether labels of a model have been stored since a label was the newest."""
    query = select(label.c.id).where(label.c.id > newest, label.c.model_id == model_id).order_by(label.c.id).limit(1)
    return connection.execute(query).one_or_none() is not None


def restamp(connection: Connection, model_id: int, revision: int) -> None:
    """Mark all predictions of a model as rolled up under a revision of its settings."""
    other = (prediction.c.model_id == model_id) & (prediction.c.revision != revision)
    connection.execute(prediction.update().where(other).values(revision=revision))


def mark(connection: Connection, rows: Sequence[PredictionRow]) -> None:
    """Store anew what predictions count under as `__other__`."""
    for row in rows:
        same = and_(
            prediction.c.key == row.key,
            prediction.c.model_id == row.model_id,
            prediction.c.event_id == row.event_id,
            prediction.c.version == row.version,
        )
        connection.execute(prediction.update().where(same).values(unnamed=row.unnamed))


def remove_model(connection: Connection, model_id: int) -> None:
    """Delete all event rows of a model."""
    for table in (prediction, label, conflict):
        connection.execute(table.delete().where(table.c.model_id == model_id))


def _columns(table: Any, names: tuple[str, ...]) -> list[Any]:
    return [table.c[name] for name in names]


def _prediction(values: Iterable[Any]) -> PredictionRow:
    return PredictionRow(**dict(zip(_PREDICTION_FIELDS, values, strict=True)))


def _label(values: Iterable[Any]) -> LabelRow:
    return LabelRow(**dict(zip(_LABEL_FIELDS, values, strict=True)))
