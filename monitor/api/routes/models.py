"""Routes about models: settings, state, removal."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from msgspec.structs import asdict
from sqlalchemy import Connection
from starlette.responses import Response

from ...calibrators.ladder import PER_CLASS
from ...domain.errors import BadInput, Conflict
from ...domain.evaluations import MISCALIBRATED, Evaluation, Verdict
from ...domain.names import check_model_name, version_name
from ...domain.quantities import Count, Moment
from ...domain.settings import (
    CLASSES,
    Model,
    ModelSettings,
    Recalibration,
    Task,
    check_task_of,
    settings_from,
    task_from,
)
from ...domain.times import SECOND, moment, parse_duration
from ...rollup.rebuild import sum_again
from ...store import alerts, audit, counters, evaluations, events, journal, lease, models, rollups, versions
from ...windows.undeclared import Undeclared, undeclared
from ...windows.verdicts import Standing
from .. import settings
from ..answers import answer, described, gives, takes
from ..dependencies import By, Context, ModelName, Now, SentJson, model_named
from ..evaluations import Listed, ListedRegression, listed
from ..freshness import CURRENT
from ..settings import SettingsBody, gives_settings, settings_of
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)

MOST_SUMMED_AGAIN = 100_000
"""Predictions of a model up to which a declaration may sum them again, which takes some seconds."""


class Corrected(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many predictions were read as what they mean, since rounding had put them out of place; stored as they were sent."""

    clamped: Annotated[Count, Meta(description="probabilities outside 0 to 1")] = 0
    normalized: Annotated[Count, Meta(description="vectors brought to the sum 1, under `normalize`")] = 0
    sorted: Annotated[Count, Meta(description="quantiles that crossed")] = 0


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
    corrected: Corrected
    undeclared: Undeclared
    unnamed: Annotated[
        dict[str, Count],
        Meta(
            description="predictions that count as `__other__`, since the model has more versions, or a declared segment more values, "
            "than its settings give sums of their own: by `version` or `segment NAME`"
        ),
    ]
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
    corrected, names = counters.corrected(connection), counters.undeclared(connection)
    unnamed = counters.unnamed(connection)
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
            corrected=Corrected(**corrected.get(model.id, {})),
            undeclared=undeclared(names.get(model.id, {}), model.classes or ()),
            unnamed=unnamed.get(model.id, {}),
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
        known = models.by_name(connection, model)
        status = 201 if known is None else 200
        if known is None:
            task, classes, chosen = _declared(None, declaration)
            models.create(connection, model, task=task, classes=classes, settings=chosen, now=now)
        elif not known.ordered and _names_classes(declaration):
            lease.fence(connection)  # before the model is locked, as everywhere
        old = model_named(connection, model, lock=True)  # another request may have been first
        task, classes, chosen = _declared(old, declaration)
        ordered = old.ordered or _names_classes(declaration)
        _keep_meaning(old, classes)
        changed = models.change(connection, old, task=task, classes=classes, settings=chosen, ordered=ordered)
        if changed.shorter != old.shorter:
            _must_fit(connection, changed)
        if ordered and not old.ordered:
            _sum_again(connection, changed, was=old.classes)
    context.ingest.directory.forget(model)
    return answer(settings.ModelSettings(**settings_of(changed)), status=status)


def _keep_meaning(old: Model, classes: tuple[str, ...] | None) -> None:
    """Refuse to name the classes of a binary model that has accepted events: their label 1 may mean either class."""
    if old.task == "binary" and old.classes is None and classes is not None and old.accepted:
        raise Conflict(
            f"model {old.name} has events whose labels were read as 0 and 1; its classes can no longer be named. "
            "Delete the model or use another name."
        )


def _must_fit(connection: Connection, model: Model) -> None:
    """Refuse to extend classes while a calibrator serves, or waits to, that was fitted for each of the former ones."""
    for alias, held in versions.aliases(connection, model.id).items():
        document = None if held.number is None else versions.document(connection, model.id, held.number)
        if document is not None and document.method in PER_CLASS:
            raise Conflict(
                f"{version_name(document.number)}, the {alias} of model {model.name}, has parameters for each of its classes and none for"
                " further ones: roll it back or reject it first."
            )


def _sum_again(connection: Connection, model: Model, was: tuple[str, ...] | None) -> None:
    """Sum the events of a model again whose classes came by name and now have an order: sums are by place.

    Rows that are too many keep their reading where the declared order is the sorted one.
    """
    predictions = models.progress_of(connection, [model.id])[model.id].predictions
    if predictions > MOST_SUMMED_AGAIN and model.classes == was:
        return
    if predictions > MOST_SUMMED_AGAIN:
        raise Conflict(
            f"model {model.name} has {predictions} predictions, summed in the sorted order of its classes; more than "
            f"{MOST_SUMMED_AGAIN} are not summed again. Declare them in sorted order, delete the model, or use another name."
        )
    fitted = [document.number for document in versions.documents(connection, model.id) if document.method in PER_CLASS]
    if fitted and model.classes != was:
        raise Conflict(
            f"{version_name(fitted[-1])} of model {model.name} was fitted for each class in their sorted order. Declare them in that"
            " order, delete the model, or use another name."
        )
    sum_again(connection, model)


def _names_classes(declaration: Mapping[str, object]) -> bool:
    return declaration.get(CLASSES.name) is not None


def _declared(
    old: Model | None, declaration: Mapping[str, object]
) -> tuple[str | None, tuple[str, ...] | None, ModelSettings]:
    task, classes = task_from(old, declaration)
    chosen = settings_from(old.settings if old else ModelSettings(), declaration)
    check_task_of(declaration, task, chosen, classes)
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
