"""Routes about models: settings, state, events, removal."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Body, Query, Response
from sqlalchemy import Connection

from monitor.api.context import Context, JsonObject, model_named
from monitor.declare import as_json, settings_from, task_from
from monitor.errors import BadInput, NotFound
from monitor.records import ConflictRow, LabelRow, Model, ModelSettings, PredictionRow
from monitor.store import alerts, evaluations, events, lease, models, registry, rollups
from monitor.times import parse_duration, rfc3339
from monitor.wiring import wall_clock

router = APIRouter(prefix="/v1/models", tags=["models"])

MAX_NAME: Final = 200
SHOWN: Final = (
    "verdict",
    "labels_needed",
    "direction",
    "start",
    "end",
    "version",
    "predictions",
    "labelled",
    "label_coverage",
    "accuracy",
    "mean_confidence",
    "ece",
    "ece_lower_bound",
    "ece_null_mean",
    "brier",
    "log_loss",
)


@router.get("")
def list_models(context: Context) -> JsonObject:
    """List all models with their state."""
    with context.database.read() as connection:
        return {"models": [_with_state(connection, model) for model in models.everyone(connection)]}


def _with_state(connection: Connection, model: Model) -> JsonObject:
    progress = models.progress_of(connection, [model.id])[model.id]
    champion = registry.aliases(connection, model.id).get(registry.CHAMPION)
    firing = [place for place, (fires, _) in alerts.states(connection, model.id).items() if fires]
    newest = _telling([(w, f) for _, w, f in evaluations.newest(connection, model.id) if f["segment"] == ""])
    return {
        "model": model.name,
        "task": model.task,
        "recalibration": model.settings.recalibration,
        "state": _state(firing, newest),
        "alerts": len(firing),
        "champion": None if champion is None else champion.number,
        "predictions": progress.predictions,
        "labelled": progress.labels,
        "last_event_at": None if progress.watermark is None else rfc3339(progress.watermark),
        "created_at": rfc3339(model.created_at),
        "evaluation": newest,
    }


def _telling(found: Iterable[tuple[str, JsonObject]]) -> JsonObject | None:
    """Return the evaluation that says most about now: the shortest window with a verdict, else the one with most labels."""
    by_length = sorted(found, key=lambda each: parse_duration("window", each[0]))
    judged = [each for each in by_length if each[1]["verdict"] != "too_few_labels"]
    chosen = judged[0] if judged else max(by_length, key=lambda each: each[1]["labelled"], default=None)
    return None if chosen is None else {"window": chosen[0]} | {name: chosen[1][name] for name in SHOWN}


def _state(firing: list[alerts.Place], newest: JsonObject | None) -> str:
    if any(kind == "miscalibration" for kind, *_ in firing):
        return "miscalibrated"
    return "no_data" if newest is None else str(newest["verdict"])


@router.delete("/{model:path}")
def delete_model(
    context: Context, model: str, confirm: Annotated[str, Query(description="the model's name again")] = ""
) -> JsonObject:
    """Delete a model and everything of it."""
    if confirm != model:
        raise BadInput("confirm", confirm, f"must be the model's name, {model!r}: this deletes everything of it")
    with context.database.write() as connection:
        found = model_named(connection, model)
        lease.fence(connection)
        rollups.remove_model(connection, found.id)
        events.remove_model(connection, found.id)
        models.remove(connection, found.id)
    return {"deleted": model}


@router.get("/{model:path}/events/{event_id:path}")
def show_event(context: Context, model: str, event_id: str) -> JsonObject:
    """Say what became of one event."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        ref = (found.id, event_id)
        key = events.event_key(events.hash_key(connection), *ref)
        prediction = events.predictions_of(connection, [key]).get(ref)
        labels = events.labels_of(connection, [key]).get(ref, [])
        conflicts = events.conflicts_of(connection, key, ref)
    if prediction is None and not labels and not conflicts:
        raise NotFound(
            f"model {model!r} has no event {event_id!r}; events are rolled up a moment after they are accepted"
        )
    return {
        "model": model,
        "event_id": event_id,
        "prediction": None if prediction is None else _prediction(prediction),
        "label": _label(labels[-1]) if labels else None,
        "earlier_labels": [_label(row) for row in labels[:-1]],
        "conflicts": [_conflict(row) for row in conflicts],
    }


def _prediction(row: PredictionRow) -> JsonObject:
    kept = {} if row.payload is None else msgspec.msgpack.decode(row.payload)
    return {
        "timestamp": rfc3339(row.at),
        "received_at": rfc3339(row.received_at),
        "rolled_up_at": rfc3339(row.rolled_at),
        "model_version": row.version or None,
        "calibrator_version": row.calibrator,
        "segments": None if row.segments is None else msgspec.json.decode(row.segments),
        "cluster": row.cluster,
        "served": row.p,
        "raw": row.raw,
        "settings_revision": row.revision,
        **kept,
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


@router.get("/{model:path}/alerts")
def list_alerts(context: Context, model: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> JsonObject:
    """List transitions, newest first."""
    with context.database.read() as connection:
        found = alerts.transitions(connection, model_named(connection, model).id, limit)
    return {
        "alerts": [
            {
                "at": rfc3339(each.at),
                "kind": each.kind,
                "state": each.state,
                "window": each.window,
                "version": each.version,
                "segment": each.segment,
                "evidence": each.evidence,
            }
            for each in found
        ]
    }


@router.put("/{model:path}")
def declare_model(
    context: Context, model: str, given: Annotated[dict[str, Any], Body()], response: Response
) -> JsonObject:
    """Declare settings; given ones replace, others stay. Makes the model if there is none yet."""
    _check_name(model)
    with context.database.write() as connection:
        old = models.by_name(connection, model)
        task, classes = task_from(old, given)
        settings = settings_from(old.settings if old else ModelSettings(), given)
        if old is None:
            response.status_code = 201
            old = models.create(connection, model, task=task, classes=classes, settings=settings, now=wall_clock())
        changed = models.change(connection, old, task=task, classes=classes, settings=settings)
    return as_json(changed)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise BadInput("model", name, f"must be 1 to {MAX_NAME} printable characters")


@router.get("/{model:path}")
def show_model(context: Context, model: str) -> JsonObject:
    """Return a model's settings and state."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        return as_json(found) | {
            name: value
            for name, value in _with_state(connection, found).items()
            if name not in {"task", "recalibration"}
        }
