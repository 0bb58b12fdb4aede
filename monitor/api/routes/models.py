"""Routes about models: settings, state, events, removal."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Body, Query
from msgspec import Struct
from pydantic import WithJsonSchema
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import BadInput, Conflict, NotFound
from ...domain.names import check_model_name, name_fault
from ...domain.records import ConflictRow, LabelRow, PredictionRow
from ...domain.settings import Model, ModelSettings, as_json, settings_from, task_from
from ...domain.times import SECOND, parse_duration, rfc3339
from ...store import alerts, evaluations, events, journal, lease, models, rollups, versions
from ...store.rows import payload_of
from .. import answers, shapes
from ..answers import answer
from ..dependencies import Context, EventId, JsonObject, ModelName, Now, model_named
from ..shapes import gives
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)

SHOWN: Final = (*shapes.Judged.model_fields, "reliability")
SHOWN_OF_REGRESSION: Final = (*shapes.JudgedRegression.model_fields, "pit", "coverage")
"""What of an evaluation stands in the list of models."""

SENT_AS: Final = {"vector": "probabilities", "raw": "raw_probabilities", "answer": "prediction"}
"""What is kept of a prediction, under the names that it was sent under."""

State = Callable[[Model], JsonObject]


@router.get("", responses=gives(shapes.Models))
def list_models(context: Context, now: Now) -> Response:
    """List all models with their state, by name."""
    with context.database.read() as connection:
        known = sorted(models.everyone(connection), key=lambda model: model.name)
        state = _states(connection, known)
        waiting, oldest = journal.backlog(connection)
    lag = 0.0 if oldest is None else max(0.0, (now - oldest) / SECOND)
    listed = [state(model) for model in known]
    return answer({"models": listed, "backlog_events": waiting, "rollup_lag_seconds": lag})


def _states(connection: Connection, known: list[Model]) -> State:
    """Return what tells a model's state, having asked for all of them at once."""
    chosen = known[0].id if len(known) == 1 else None
    progress = models.progress_of(connection, [model.id for model in known])
    champions = versions.champions(connection)
    firing: dict[int, list[str]] = {}
    for model_id, (kind, *_), fires in alerts.known(connection):
        if fires:
            firing.setdefault(model_id, []).append(kind)
    newest: dict[int, list[tuple[str, JsonObject]]] = {}
    for model_id, window, fields in evaluations.overall(connection, chosen):
        newest.setdefault(model_id, []).append((window, fields))

    def state(model: Model) -> JsonObject:
        telling = _telling(newest.get(model.id, ()))
        come = progress[model.id]
        return {
            "model": model.name,
            "task": model.task,
            "recalibration": model.settings.recalibration,
            "state": _state(firing.get(model.id, []), telling),
            "alerts": len(firing.get(model.id, [])),
            "champion": champions.get(model.id),
            "predictions": come.predictions,
            "labelled": come.labels,
            "last_event_at": None if come.watermark is None else rfc3339(come.watermark),
            "created_at": rfc3339(model.created_at),
            "evaluation": telling,
        }

    return state


def _telling(found: Iterable[tuple[str, JsonObject]]) -> JsonObject | None:
    """Return the evaluation that says most about now: the shortest window with a verdict, else the one with most labels."""
    by_length = sorted(found, key=lambda each: parse_duration("window", each[0]))
    judged = [each for each in by_length if each[1]["verdict"] != "too_few_labels"]
    chosen = judged[0] if judged else max(by_length, key=lambda each: each[1]["labelled"], default=None)
    if chosen is None:
        return None
    shown = SHOWN_OF_REGRESSION if "pit" in chosen[1] else SHOWN
    return {"window": chosen[0]} | {name: chosen[1].get(name) for name in shown}


def _state(firing: list[str], newest: JsonObject | None) -> str:
    if "miscalibration" in firing:
        return "miscalibrated"
    return "no_data" if newest is None else str(newest["verdict"])


class Deleted(Struct, forbid_unknown_fields=True):
    """What was deleted."""

    deleted: str


@router.delete("/{model}", responses=answers.gives(Deleted))
def delete_model(
    context: Context, model: ModelName, confirm: Annotated[str, Query(description="the model's name again")] = ""
) -> Response:
    """Delete a model and everything of it."""
    if confirm != model:
        raise BadInput("confirm", confirm, f"must be the model's name, {model!r}: this deletes everything of it")
    with context.database.write() as connection:
        lease.fence(connection)
        found = model_named(connection, model, lock=True)
        rollups.remove_model(connection, found.id)
        events.remove_model(connection, found.id)
        models.remove(connection, found.id)
    context.ingest.directory.forget(model)
    return answer(Deleted(deleted=model))


@router.get("/{model}/events/{event_id}", responses=gives(shapes.EventAnswer))
def show_event(context: Context, model: ModelName, event_id: EventId) -> Response:
    """Say what became of one event."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        ref = (found.id, event_id)
        if name_fault(event_id) is not None:
            raise NotFound(f"model {model!r} has no event {event_id!r}")
        key = events.event_key(events.hash_key(connection), *ref)
        prediction = events.predictions_of(connection, [key]).get(ref)
        labels = events.labels_of(connection, [key]).get(ref, [])
        conflicts = events.conflicts_of(connection, key, ref)
    if prediction is None and not labels and not conflicts:
        raise NotFound(
            f"model {model!r} has no event {event_id!r}; events are rolled up a moment after they are accepted"
        )
    return answer(
        {
            "model": model,
            "event_id": event_id,
            "prediction": None if prediction is None else _prediction(prediction),
            "label": _label(labels[-1]) if labels else None,
            "earlier_labels": [_label(row) for row in labels[:-1]],
            "conflicts": [_conflict(row) for row in conflicts],
        }
    )


def _prediction(row: PredictionRow) -> JsonObject:
    kept = payload_of(row)
    return {
        "timestamp": rfc3339(row.at),
        "received_at": rfc3339(row.received_at),
        "rolled_up_at": rfc3339(row.rolled_at),
        "model_version": row.version or None,
        "calibrator_version": row.calibrator,
        "segments": None if row.segments is None else msgspec.json.decode(row.segments),
        "cluster": row.cluster,
        "served": None if "score" in kept else row.p,
        "raw": row.raw,
        "settings_revision": row.revision,
        **({"reference": True} if row.reference else {}),
        **{SENT_AS.get(name, name): value for name, value in kept.items()},
    }


def _label(row: LabelRow) -> JsonObject:
    return {
        "label": msgspec.json.decode(row.label),
        "timestamp": None if row.at is None else rfc3339(row.at),
        "received_at": rfc3339(row.received_at),
        "rolled_up_at": rfc3339(row.rolled_at),
        "source": row.source,
        "supersedes": row.supersedes,
    }


def _conflict(row: ConflictRow) -> JsonObject:
    return {"kind": row.kind, "received_at": rfc3339(row.received_at), "content": msgspec.json.decode(row.content)}


@router.get("/{model}/alerts", responses=gives(shapes.Alerts))
def list_alerts(context: Context, model: ModelName, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> Response:
    """List transitions, newest first."""
    with context.database.read() as connection:
        found = alerts.transitions(connection, model_named(connection, model).id, limit)
    return answer({"alerts": [each.as_json() for each in found]})


Given = Annotated[dict[str, Any], Body(), WithJsonSchema(shapes.SettingsBody.model_json_schema())]


@router.put(
    "/{model}", responses=gives(shapes.ModelSettings) | {201: {"model": shapes.ModelSettings, "description": "made"}}
)
def declare_model(context: Context, now: Now, model: ModelName, given: Given) -> Response:
    """Declare settings; given ones replace, others stay. Makes the model if there is none yet."""
    check_model_name(model)
    with context.database.write() as connection:
        old = models.by_name(connection, model, lock=True)
        status = 201 if old is None else 200
        if old is None:
            task, classes, settings = _declared(None, given)
            models.create(connection, model, task=task, classes=classes, settings=settings, now=now)
            old = model_named(connection, model, lock=True)  # another request may have been first
        task, classes, settings = _declared(old, given)
        _keep_meaning(connection, old, classes)
        changed = models.change(connection, old, task=task, classes=classes, settings=settings)
    context.ingest.directory.forget(model)
    return answer(as_json(changed), status=status)


def _keep_meaning(connection: Connection, old: Model, classes: tuple[str, ...] | None) -> None:
    """Refuse to name the classes of a binary model that has events: a label 1 may have meant the other one."""
    seen = models.progress_of(connection, [old.id])[old.id]
    if (
        old.task == "binary"
        and old.classes is None
        and classes is not None
        and (seen.predictions or rollups.reference_series(connection, old.id))
    ):
        raise Conflict(
            f"model {old.name} has events whose labels were read as 0 and 1; its classes can't be named any more. "
            "Delete the model or use another name."
        )


def _declared(old: Model | None, given: JsonObject) -> tuple[str | None, tuple[str, ...] | None, ModelSettings]:
    task, classes = task_from(old, given)
    return task, classes, settings_from(old.settings if old else ModelSettings(), given)


@router.get("/{model}", responses=gives(shapes.ModelAnswer))
def show_model(context: Context, model: ModelName) -> Response:
    """Return a model's settings and state."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        state = _states(connection, [found])(found)
        model_versions = _versions(connection, found)
    return answer({**state, **as_json(found), "versions": model_versions})


def _versions(connection: Connection, model: Model) -> list[str]:
    """Return the versions that events named, those first seen last in front."""
    first: dict[str, int] = {}
    for key, number in rollups.series_ids(connection, model.id).items():
        if key.version:
            first[key.version] = min(number, first.get(key.version, number))
    return sorted(first, key=lambda version: first[version], reverse=True)
