"""The routes of replays: other settings over stored history."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path
from msgspec import Meta, Struct
from msgspec.structs import asdict
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import Conflict, NotFound
from ...domain.quantities import Count, Moment
from ...domain.times import moment
from ...runtime.replay import plan_of
from ...runtime.replay_outcome import ReplayOutcome
from ...store import replays
from ...store.replays import Replay
from ..alerts import AlertAnswer
from ..answers import answer, gives, takes
from ..dependencies import Context, ModelName, Now, Running, SentJson, model_named
from ..freshness import CURRENT
from ..settings import takes_settings
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)

Number = Annotated[int, Path(description="The replay's number.", ge=1, le=2**31 - 1)]


@takes_settings
class ReplayBody(Struct, frozen=True, kw_only=True):
    """Settings to be tried, any subset over those in force, and over what."""

    start: Annotated[str | None, Meta(description="RFC 3339; the beginning of the history if not given")] = None
    end: Annotated[str | None, Meta(description="RFC 3339; the end of the history if not given")] = None
    step: Annotated[
        str | None,
        Meta(description="event time between evaluations, at least 1m; if not given, 1h, or what gives 2,000 steps"),
    ] = None


class Replayed(ReplayOutcome, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy would have done, newest first."""

    alerts: tuple[AlertAnswer, ...]


class Begun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replay that runs."""

    id: int


class Progress(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a replay is."""

    done: Annotated[Count, Meta(description="steps")]
    total: Annotated[Count, Meta(description="0 while the history is read")]


class ReplayState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replay, without what came of it."""

    id: int
    state: Literal["running", "done", "failed", "cancelled"]
    progress: Progress
    policy: Annotated[dict[str, Any], Meta(description="as it was sent")]
    created_at: Moment
    finished_at: Moment | None
    reason: Annotated[str | None, Meta(description="of a failure")]


class ReplayAnswer(ReplayState, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replay, with what came of it."""

    result: Annotated[Replayed | None, Meta(description="null unless it is done")]


class ReplayList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The replays of a model within the last week, newest first."""

    replays: list[ReplayState]


@router.post(
    "/{model}/replay",
    status_code=202,
    responses=gives(Begun, "it runs", 202),
    openapi_extra=takes(ReplayBody),
    dependencies=[CURRENT],
)
def replay_policy(context: Context, running: Running, model: ModelName, policy: SentJson) -> Response:
    """Replay thresholds, tests and recalibration under other settings over stored history; nothing stored changes.

    Answers at once; `GET /v1/models/{model}/replays/{number}` says how far it is, and what came of it. One at a time for each model.
    Labels are known at their own time; one without a time when the label delay has passed since its prediction. Alerts,
    promotions and rollbacks are in event time, newest first.
    """
    with context.database.read() as connection:
        declared = model_named(connection, model)
    return answer(Begun(id=running.start(declared, plan_of(declared, policy), policy)), status=202)


@router.get("/{model}/replays", responses=gives(ReplayList))
def list_replays(context: Context, now: Now, model: ModelName) -> Response:
    """List the replays of the last week, newest first."""
    with context.database.read() as connection:
        listed = replays.of_model(connection, model_named(connection, model).id, now)
    return answer(ReplayList(replays=[_state(one) for one in listed]))


@router.get("/{model}/replays/{number}", responses=gives(ReplayAnswer))
def get_replay(context: Context, now: Now, model: ModelName, number: Number) -> Response:
    """Tell how far a replay is, and what came of it once it is done."""
    with context.database.read() as connection:
        found = _found(connection, model, number, now)
    result = None if found.result is None else msgspec.Raw(found.result)
    return answer({**asdict(_state(found)), "result": result})


@router.delete("/{model}/replays/{number}", responses=gives(ReplayState))
def cancel_replay(context: Context, now: Now, model: ModelName, number: Number) -> Response:
    """Cancel a replay that runs."""
    with context.database.write() as connection:
        found = _found(connection, model, number, now)
        if not replays.cancel(connection, number, now):
            raise Conflict(f"replay {number} does not run: it is {found.state}")
        found = _found(connection, model, number, now)
    return answer(_state(found))


def _found(connection: Connection, model: str, number: int, now: int) -> Replay:
    found = replays.one(connection, model_named(connection, model).id, number, now)
    if found is None:
        raise NotFound(f"there is no replay {number} of model {model}; those of the last week are kept")
    return found


def _state(found: Replay) -> ReplayState:
    return ReplayState(
        id=found.id,
        state=found.state,
        progress=Progress(done=found.done, total=found.total),
        policy=dict(found.policy),
        created_at=moment(found.created_at),
        finished_at=None if found.finished_at is None else moment(found.finished_at),
        reason=found.reason,
    )
