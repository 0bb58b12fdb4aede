"""Route about estimates: a window's figures before its labels come, and how often past estimates were right."""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from msgspec.structs import asdict
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.estimates import Estimated, Truth
from ...domain.quantities import Count, Ratio
from ...evaluation.estimates import estimated
from ...store import estimates
from ...store.estimates import Estimate
from ...windows.clock import Clocked, clocked
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named, usable
from ..freshness import CURRENT
from ..strict import StrictRoute
from .calibration import stored_window

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)

ASSUMPTION: Final = "Holds if a confidence is right as often as it was in the window of the map, whatever the mix of confidences is now."
MOST: Final = 50


class EstimateNow(Estimated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The estimate of the newest window, before its labels come."""

    assumption: str


class PastEstimate(Estimated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A past estimate, with the true figures."""

    truth: Annotated[Truth | None, Meta(description="null until the labels have had their time to come")]


class EstimateRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the truth lay inside the interval."""

    judged: Count
    accuracy: Ratio | None
    ece: Ratio | None
    brier: Ratio | None


class EstimateAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The present estimate, past ones with the true figures, and how often they were right."""

    estimate: EstimateNow | None
    record: EstimateRecord
    past: Annotated[list[PastEstimate], Meta(description="the newest 50, oldest first")]


class EstimateQuery(BaseModel):
    """A query for an estimate."""

    window: str | None = Field(default=None, description="one of the model's windows; 24h, or the first, if not given")
    version: str | None = Field(
        default=None, description="a model version; if not given, the estimate is of the one that serves most"
    )


@router.get("/{model}/estimate", responses=gives(EstimateAnswer), dependencies=[CURRENT])
def show_estimate(context: Context, now: Now, model: ModelName, query: Annotated[EstimateQuery, Query()]) -> Response:
    """Return what the labels of the newest window will show, and how often such estimates were right.

    The estimate is computed now; it is null where all labels have had their time to come, and where no earlier window has
    `minimum_labels`. Those of the past were stored once an hour of the model's own time, before the labels came.
    """
    version = usable("version", query.version)
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        window = stored_window(clock, query.window)
        estimate = _now(connection, clock, window, version)
        past = estimates.past(connection, clock.model.id, window, version, MOST)
        truths = estimates.truths(connection, clock.model.id, window, version)
    return answer(
        EstimateAnswer(
            estimate=None if estimate is None else EstimateNow(**asdict(estimate.expected), assumption=ASSUMPTION),
            record=_record(truths),
            past=[PastEstimate(**asdict(one.expected), truth=one.truth) for one in past],
        )
    )


def _now(connection: Connection, clock: Clocked, window: str, version: str | None) -> Estimate | None:
    """Return the estimate of the window that ends now, of the version asked for or of the one with most predictions."""
    end = clock.newest_end
    if end is None or clock.matured_until is None or end <= clock.matured_until:
        return None
    made = [one for one in estimated(connection, clock, [window], end) if version in {None, one.version}]
    return max(made, key=lambda one: one.expected.predictions, default=None)


def _record(truths: Sequence[Truth]) -> EstimateRecord:
    """Return how many estimates could be judged, and of each figure the share whose truth lay inside the interval."""
    inside = [truth.inside for truth in truths if truth.inside is not None]
    return EstimateRecord(
        judged=len(inside),
        accuracy=_share([one.accuracy for one in inside]),
        ece=_share([one.ece for one in inside]),
        brier=_share([one.brier for one in inside]),
    )


def _share(inside: Sequence[bool]) -> float | None:
    return sum(inside) / len(inside) if inside else None
