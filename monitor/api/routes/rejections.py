"""The route of events that did not count."""

from typing import Annotated

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from ...domain.quantities import Count, Moment
from ...domain.times import moment
from ...store import counters, refusals
from ...store.counters import CONFLICTS, REJECTED
from ...store.refusals import KEPT, Refusal
from ..answers import answer, gives
from ..dependencies import Context, ModelName, model_named
from ..freshness import CURRENT
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)


class Rejected(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that did not count."""

    at: Annotated[Moment, Meta(description="when it was received")]
    event_id: Annotated[str | None, Meta(description="null where it had no usable one")]
    code: Annotated[str, Meta(description="the reason in one stable word, by which metrics count")]
    reason: Annotated[str, Meta(description="what is wrong, and what would be right")]


class Tally(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many events have not counted for one reason."""

    code: str
    count: Count


class Rejections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events of a model that did not count: how many, most frequent reason first, and the last of them, newest first."""

    counts: list[Tally]
    rejections: list[Rejected]


@router.get("/{model}/rejections", responses=gives(Rejections), dependencies=[CURRENT])
def list_rejections(context: Context, model: ModelName, limit: Annotated[int, Query(ge=1, le=KEPT)] = KEPT) -> Response:
    """List the last events of a model that did not count: refused on receipt, or in conflict with what is stored.

    Of one request the last twenty are listed, and in all the last two hundred; all are counted.
    """
    with context.database.read() as connection:
        model_id = model_named(connection, model).id
        entries = refusals.newest(connection, model_id, limit)
        numbers = counters.of_model(connection, model_id)
    counts = {label: number for (name, label), number in numbers.items() if name == REJECTED}
    counts |= {f"{kind}_conflict": numbers[name, ""] for kind, name in CONFLICTS.items() if (name, "") in numbers}
    return answer(
        Rejections(
            counts=[Tally(code=code, count=count) for code, count in sorted(counts.items(), key=lambda pair: -pair[1])],
            rejections=[_rejected(entry) for entry in entries],
        )
    )


def _rejected(entry: Refusal) -> Rejected:
    return Rejected(at=moment(entry.received_at), event_id=entry.event_id, code=entry.code, reason=entry.reason)
