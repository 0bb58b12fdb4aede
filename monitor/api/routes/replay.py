"""The route that replays other settings over stored history."""

import threading
from typing import Annotated, Final

from fastapi import APIRouter
from msgspec import Meta, Struct
from starlette.responses import Response

from ...domain.errors import Unavailable
from ...runtime.replay import history, plan_of, replay_history
from ...runtime.replay_outcome import ReplayOutcome
from ..alerts import AlertAnswer
from ..answers import answer, gives, takes
from ..dependencies import Context, ModelName, Now, SentJson, model_named
from ..freshness import CURRENT
from ..settings import takes_settings
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)

RETRY_SECONDS: Final = 10.0

TURN: Final = threading.Lock()
"""A replay takes a whole core, so a process runs one at a time."""


@takes_settings
class ReplayBody(Struct, frozen=True, kw_only=True):
    """Settings to be tried, any subset over those in force, and over what."""

    start: Annotated[str | None, Meta(description="RFC 3339; the beginning of the history if not given")] = None
    end: Annotated[str | None, Meta(description="RFC 3339; the end of the history if not given")] = None
    step: Annotated[str, Meta(description="event time between evaluations, at least 1m")] = "1h"


class Replayed(ReplayOutcome, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy would have done, newest first."""

    alerts: tuple[AlertAnswer, ...]


@router.post("/{model}/replay", responses=gives(Replayed), openapi_extra=takes(ReplayBody), dependencies=[CURRENT])
def replay_policy(context: Context, now: Now, model: ModelName, policy: SentJson) -> Response:
    """Replay thresholds, tests and recalibration under other settings over stored history; nothing stored changes.

    Labels are known at their own time; one without a time when the label delay has passed since its prediction. Alerts,
    promotions and rollbacks are in event time, newest first.
    """
    if not TURN.acquire(blocking=False):
        raise Unavailable("another replay is running", retry_after=RETRY_SECONDS)
    try:
        with context.database.read() as connection:
            declared = model_named(connection, model)
            plan = plan_of(declared, policy)
            past = history(connection, declared, plan, now)
        return answer(replay_history(declared, plan, past))
    finally:
        TURN.release()
