"""Settings of models, the revisions of what the roll-up depends on, their progress and delays of labels."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from ..domain.delays import Seen
from ..domain.errors import NotFound
from ..domain.names import name_fault
from ..domain.records import Progress
from ..domain.settings import Model, ModelSettings, Reading, Revision
from .bulk import insert_new, upsert
from .schema import delay, model, progress, revision


def by_name(connection: Connection, name: str, *, lock: bool = False) -> Model | None:
    """Return a model, or None; with `lock`, nobody else changes it or its calibrators until the transaction ends."""
    query = select(model).where(model.c.name == name)
    row = connection.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    return None if row is None else _model(row)


def named(connection: Connection, name: str, *, lock: bool = False) -> Model:
    """Return a model, as `by_name` does.

    Raises
    ------
    NotFound
        when no model has this name.

    """
    stored = None if name_fault(name) else by_name(connection, name, lock=lock)
    if stored is None:
        raise NotFound(f"there is no model {name!r}")
    return stored


def everyone(connection: Connection) -> list[Model]:
    """Return all models by name."""
    return [_model(row) for row in connection.execute(select(model).order_by(model.c.name))]


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, Model]:
    """Return the models with these ids, as far as they exist, by id."""
    return {row.id: _model(row) for row in connection.execute(select(model).where(model.c.id.in_(sorted(ids))))}


def ids_of(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the ids of the models with these names, as far as they exist, by name."""
    query = select(model.c.name, model.c.id).where(model.c.name.in_(sorted(names)))
    return {row.name: row.id for row in connection.execute(query)} if names else {}


def create(
    connection: Connection,
    name: str,
    *,
    task: str | None,
    classes: Sequence[str] | None,
    settings: ModelSettings,
    now: int,
    ordered: bool = True,
) -> Model:
    """Add a model unless its name is taken; return the stored one."""
    row = {
        "name": name,
        "task": task,
        "classes": _json_list(classes),
        "settings": _settings_json(settings),
        "revision": 1,
        "created_at": now,
        "ordered": ordered,
    }
    is_new = insert_new(connection, model, [row], key=["name"]) == 1
    stored = _written(connection, name)
    if is_new:
        _begin(connection, stored)
    return stored


def insert_as(connection: Connection, wanted: Model) -> Model:
    """Add a model with its own id and without events; return the stored model."""
    connection.execute(
        insert(model).values(
            id=wanted.id,
            name=wanted.name,
            task=wanted.task,
            classes=_json_list(wanted.classes),
            settings=_settings_json(wanted.settings),
            revision=wanted.revision,
            created_at=wanted.created_at,
            ordered=wanted.ordered,
        )
    )
    _begin(connection, wanted)
    return _written(connection, wanted.name)


def _begin(connection: Connection, new: Model) -> None:
    """Add what belongs to a new model: no progress yet, and the first revision of its settings."""
    connection.execute(insert(progress).values(model_id=new.id, predictions=0, labels=0))
    _add_revision(connection, new.id, new.revision, new.settings)


def _written(connection: Connection, name: str) -> Model:
    """Return a model that this transaction has written."""
    stored = by_name(connection, name)
    if stored is None:
        raise LookupError(f"model {name} vanished while it was being written")
    return stored


def change(
    connection: Connection,
    old: Model,
    *,
    task: str | None,
    classes: Sequence[str] | None,
    settings: ModelSettings,
    ordered: bool = True,
) -> Model:
    """Store new settings; a change of what the roll-up depends on begins a new revision."""
    read_alike = (old.classes, old.ordered) == (None if classes is None else tuple(classes), ordered)
    same = read_alike and _summed_under(settings) == _summed_under(old.settings)
    number = old.revision if same else old.revision + 1
    if not same:
        _add_revision(connection, old.id, number, settings)
    connection.execute(
        update(model)
        .where(model.c.id == old.id)
        .values(
            task=task,
            classes=_json_list(classes),
            ordered=ordered,
            settings=_settings_json(settings),
            revision=number,
            former=_former_json(old.former if read_alike else (*old.former, old.reading)),
        )
    )
    return _written(connection, old.name)


def _summed_under(settings: ModelSettings) -> tuple[object, ...]:
    """Return the settings that the roll-up depends on."""
    return settings.segments, settings.label_delay, sorted(settings.class_thresholds)


def accept(
    connection: Connection, model_id: int, *, task: str | None, classes: Sequence[str] | None, ordered: bool
) -> None:
    """Note that events of a model are accepted, and set the task and the classes that it lacks."""
    this = model.c.id == model_id
    connection.execute(update(model).where(this).values(accepted=True))
    if task is not None:
        connection.execute(update(model).where(this, model.c.task.is_(None)).values(task=task))
    if classes is not None:
        values = {"classes": _json_list(classes), "ordered": ordered}
        connection.execute(update(model).where(this, model.c.classes.is_(None)).values(**values))


def remove(connection: Connection, model_id: int) -> None:
    """Delete a model and the rows that refer to it by foreign key."""
    connection.execute(delete(model).where(model.c.id == model_id))


def revisions(connection: Connection, model_ids: Sequence[int]) -> dict[tuple[int, int], Revision]:
    """Return all revisions of these models by (model, number)."""
    rows = connection.execute(select(revision).where(revision.c.model_id.in_(model_ids)))
    return {
        (row.model_id, row.number): Revision(
            number=row.number,
            segments=tuple(msgspec.json.decode(row.segments, type=list[str])),
            label_delay=row.label_delay,
            classes=tuple(msgspec.json.decode(row.classes, type=list[str])),
        )
        for row in rows
    }


def progress_of(connection: Connection, model_ids: Sequence[int]) -> dict[int, Progress]:
    """Return the progress of these models, by id."""
    rows = connection.execute(select(progress).where(progress.c.model_id.in_(model_ids)))
    return {
        row.model_id: Progress(
            watermark=row.watermark,
            newest_prediction=row.newest_prediction,
            received_at=row.received_at,
            minutes_from=row.minutes_from,
            predictions=row.predictions,
            labels=row.labels,
            taken_until=row.taken_until,
            takings=row.takings,
            starts=row.starts,
            segment_starts=row.segment_starts,
        )
        for row in rows
    }


def save_progress(connection: Connection, model_id: int, state: Progress) -> None:
    """Store the progress of a model, except that of its sequential tests, which `took` stores."""
    values = {
        name: value
        for name, value in asdict(state).items()
        if name not in {"taken_until", "takings", "starts", "segment_starts"}
    }
    connection.execute(update(progress).where(progress.c.model_id == model_id).values(**values))


def took(connection: Connection, model_id: int, until: int | None, *, starts: int, segment_starts: int) -> None:
    """Store that the sequential tests of a model have taken all cohorts due by `until`, in one more transaction.

    Parameters
    ----------
    starts : tests of whole versions that have started so far
    segment_starts : those of segments

    """
    connection.execute(
        update(progress)
        .where(progress.c.model_id == model_id)
        .values(taken_until=until, takings=progress.c.takings + 1, starts=starts, segment_starts=segment_starts)
    )


def add_delays(connection: Connection, seen: Mapping[tuple[int, int], Seen]) -> None:
    """Add counts and sums of first labels by (model, bucket of delay)."""
    rows = [
        {
            "model_id": model_id,
            "bucket": bucket,
            "count": labels.count,
            "sy": labels.sy,
            "sp": labels.sp,
            "variance": labels.squares,
        }
        for (model_id, bucket), labels in sorted(seen.items(), key=itemgetter(0))
    ]
    upsert(connection, delay, rows, sums=["count", "sy", "sp", "variance"])


def delays(connection: Connection, model_id: int) -> dict[int, int]:
    """Return the number of first labels by bucket of delay."""
    rows = connection.execute(select(delay.c.bucket, delay.c.count).where(delay.c.model_id == model_id))
    return {row[0]: row[1] for row in rows}


def seen_delays(connection: Connection, model_id: int) -> dict[int, Seen]:
    """Return counts and sums of first labels by bucket of delay."""
    columns = (delay.c.bucket, delay.c["count"], delay.c.sy, delay.c.sp, delay.c.variance)
    rows = connection.execute(select(*columns).where(delay.c.model_id == model_id))
    return {bucket: Seen(count=n, sy=sy, sp=sp, squares=squares) for bucket, n, sy, sp, squares in rows}


def _add_revision(connection: Connection, model_id: int, number: int, settings: ModelSettings) -> None:
    connection.execute(
        insert(revision).values(
            model_id=model_id,
            number=number,
            segments=_json_list(settings.segments),
            label_delay=settings.label_delay,
            classes=_json_list(sorted(settings.class_thresholds)),
        )
    )


def _model(row: Row[Any]) -> Model:
    classes = None if row.classes is None else tuple(msgspec.json.decode(row.classes, type=list[str]))
    return Model(
        id=row.id,
        name=row.name,
        task=row.task,
        classes=classes,
        settings=msgspec.json.decode(row.settings, type=ModelSettings),
        revision=row.revision,
        created_at=row.created_at,
        ordered=row.ordered,
        accepted=row.accepted,
        former=msgspec.json.decode(row.former, type=tuple[Reading, ...]),
    )


def _former_json(readings: Sequence[Reading]) -> str:
    return msgspec.json.encode(readings).decode()


def _settings_json(settings: ModelSettings) -> str:
    return msgspec.json.encode(settings).decode()


def _json_list(items: Sequence[str] | None) -> str | None:
    return None if items is None else msgspec.json.encode(list(items)).decode()
