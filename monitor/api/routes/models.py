"""Routes about models: settings, state, removal."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from msgspec.structs import asdict
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import BadInput, Conflict
from ...domain.evaluations import MISCALIBRATED, Evaluation, Verdict
from ...domain.names import check_model_name
from ...domain.quantities import Count, Moment
from ...domain.settings import Model, ModelSettings, Recalibration, Task, check_task_of, settings_from, task_from
from ...domain.times import SECOND, moment, parse_duration
from ...store import alerts, audit, evaluations, events, journal, lease, models, rollups, versions
from ...windows.verdicts import Standing
from .. import settings
from ..answers import answer, described, gives, takes
from ..dependencies import By, Context, ModelName, Now, SentJson, model_named
from ..evaluations import Listed, ListedRegression, listed
from ..freshness import CURRENT
from ..settings import SettingsBody, gives_settings, settings_of
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)


class State(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a model."""

    state: Verdict | Literal["no_data"]
    alerts: Annotated[Count, Meta(description="how many fire now")]
    champion: Annotated[int | None, Meta(description="the calibrator in service; null for none")]
    proposal: Annotated[
        int | None, Meta(description="the calibrator that waits for a person's decision; null for none")
    ]
    predictions: Count
    labelled: Count
    last_event_at: Moment | None
    evaluation: Listed | ListedRegression | None


class Summary(State, frozen=True, kw_only=True):
    """A model in the list, with its state."""

    model: str
    task: Task | None
    recalibration: Recalibration
    created_at: Moment


class Models(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All models, and how far the roll-up is."""

    models: list[Summary]
    backlog_events: Annotated[Count, Meta(description="events that are stored and not rolled up yet")]
    rollup_lag_seconds: Annotated[float, Meta(description="the age of the oldest of them")]


StateOf = Callable[[Model], State]


@router.get("", responses=gives(Models), dependencies=[CURRENT])
def list_models(context: Context, now: Now) -> Response:
    """List all models with their state, by name."""
    with context.database.read() as connection:
        known = sorted(models.everyone(connection), key=lambda model: model.name)
        state_of = _states(connection, known)
        waiting, oldest = journal.backlog(connection)
    lag = 0.0 if oldest is None else max(0.0, (now - oldest) / SECOND)
    summaries = [_summary(model, state_of(model)) for model in known]
    return answer(Models(models=summaries, backlog_events=waiting, rollup_lag_seconds=lag))


def _summary(model: Model, state: State) -> Summary:
    return Summary(
        **asdict(state),
        model=model.name,
        task=model.task,
        recalibration=model.settings.recalibration,
        created_at=moment(model.created_at),
    )


def _states(connection: Connection, known: list[Model]) -> StateOf:
    """Return a getter for the state of each of some models, which are all looked up at once."""
    chosen = known[0].id if len(known) == 1 else None
    progress = models.progress_of(connection, [model.id for model in known])
    champions = versions.champions(connection)
    waiting = versions.waiting(connection, known)
    firing: dict[int, list[str]] = {}
    for model_id, (kind, *_), fires in alerts.known(connection):
        if fires:
            firing.setdefault(model_id, []).append(kind)
    standings = Standing.now(connection, known)
    newest: dict[int, list[tuple[str, Evaluation]]] = {}
    for model_id, window, evaluation in evaluations.overall(connection, chosen):
        if model_id in standings:
            newest.setdefault(model_id, []).append((window, standings[model_id].judged(evaluation)))

    def state_of(model: Model) -> State:
        evaluation = _most_telling(newest.get(model.id, ()))
        reached = progress[model.id]
        return State(
            state=_state(standings[model.id], evaluation),
            alerts=len(firing.get(model.id, [])),
            champion=champions.get(model.id),
            proposal=waiting[model.id].number if model.id in waiting else None,
            predictions=reached.predictions,
            labelled=reached.labels,
            last_event_at=None if reached.watermark is None else moment(reached.watermark),
            evaluation=evaluation,
        )

    return state_of


def _most_telling(newest: Iterable[tuple[str, Evaluation]]) -> Listed | ListedRegression | None:
    """Return the most informative newest evaluation: of the shortest window with a verdict, else of the one with most labels."""
    by_length = sorted(newest, key=lambda pair: parse_duration("window", pair[0]))
    judged = [pair for pair in by_length if pair[1].has_enough_labels]
    chosen = judged[0] if judged else max(by_length, key=lambda pair: pair[1].labelled, default=None)
    return None if chosen is None else listed(*chosen)


def _state(standing: Standing, newest: Listed | ListedRegression | None) -> Verdict | Literal["no_data"]:
    if newest is None:
        return MISCALIBRATED if standing.firings else "no_data"
    return newest.verdict


class Deleted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was deleted."""

    deleted: str


@router.delete("/{model}", responses=gives(Deleted))
def delete_model(
    context: Context,
    model: ModelName,
    by: By,
    confirm: Annotated[str, Query(description="the model's name again")] = "",
) -> Response:
    """Delete a model with all its data but its audit log."""
    if confirm != model:
        raise BadInput("confirm", confirm, f"must be the model's name, {model!r}, since this deletes all its data")
    with context.database.write() as connection:
        lease.fence(connection)
        declared = model_named(connection, model, lock=True)
        rollups.remove_model(connection, declared.id)
        events.remove_model(connection, declared.id)
        audit.log(connection, declared.id, at=by.now, actor=by.name, action=audit.Action.DELETE, detail=audit.Detail())
        models.remove(connection, declared.id)
    context.ingest.directory.forget(model)
    return answer(Deleted(deleted=model))


@router.put(
    "/{model}",
    responses=gives(settings.ModelSettings) | {201: described(settings.ModelSettings, description="made")},
    openapi_extra=takes(SettingsBody),
)
def declare_model(context: Context, now: Now, model: ModelName, declaration: SentJson) -> Response:
    """Declare settings: those in the body replace the present ones, others stay. Creates the model if it does not exist."""
    check_model_name(model)
    with context.database.write() as connection:
        old = models.by_name(connection, model, lock=True)
        status = 201 if old is None else 200
        if old is None:
            task, classes, chosen = _declared(None, declaration)
            models.create(connection, model, task=task, classes=classes, settings=chosen, now=now)
            old = model_named(connection, model, lock=True)  # another request may have been first
        task, classes, chosen = _declared(old, declaration)
        _keep_meaning(connection, old, classes)
        changed = models.change(connection, old, task=task, classes=classes, settings=chosen)
    context.ingest.directory.forget(model)
    return answer(settings.ModelSettings(**settings_of(changed)), status=status)


def _keep_meaning(connection: Connection, old: Model, classes: tuple[str, ...] | None) -> None:
    """Refuse to name the classes of a binary model that has events: their label 1 may mean either class."""
    seen = models.progress_of(connection, [old.id])[old.id]
    if (
        old.task == "binary"
        and old.classes is None
        and classes is not None
        and (seen.predictions or rollups.reference_series(connection, old.id))
    ):
        raise Conflict(
            f"model {old.name} has events whose labels were read as 0 and 1; its classes can no longer be named. "
            "Delete the model or use another name."
        )


def _declared(
    old: Model | None, declaration: Mapping[str, object]
) -> tuple[str | None, tuple[str, ...] | None, ModelSettings]:
    task, classes = task_from(old, declaration)
    chosen = settings_from(old.settings if old else ModelSettings(), declaration)
    check_task_of(declaration, task, chosen)
    return task, classes, chosen


@gives_settings
class ModelAnswer(State, frozen=True, kw_only=True):
    """A model's settings and state."""

    versions: Annotated[list[str], Meta(description="model versions that events named, the newest first")]


@router.get("/{model}", responses=gives(ModelAnswer), dependencies=[CURRENT])
def show_model(context: Context, model: ModelName) -> Response:
    """Return a model's settings and state."""
    with context.database.read() as connection:
        declared = model_named(connection, model)
        state = _states(connection, [declared])(declared)
        named = _versions(connection, declared)
    return answer(ModelAnswer(**asdict(state), **settings_of(declared), versions=named))


def _versions(connection: Connection, model: Model) -> list[str]:
    """Return the versions that events named, the newest first."""
    first: dict[str, int] = {}
    for key, number in rollups.series_ids(connection, model.id).items():
        if key.version:
            first[key.version] = min(number, first.get(key.version, number))
    return sorted(first, key=lambda version: first[version], reverse=True)
