"""Routes about calibrators: versions, refit, promotion, rollback."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import NotFound
from ...domain.names import CHALLENGER, CHAMPION
from ...domain.settings import Model
from ...recalibrate import manual, registry
from ...recalibrate.difference import Difference, compared
from ...recalibrate.manual import Moved
from ...recalibrate.maps import CalibratorMap, map_of
from ...recalibrate.naming import IDENTITY, calibrator_of, champion_number, named_version, number_of
from ...recalibrate.outcomes import Refitted, Refused
from ...recalibrate.refit import HOLDOUT
from ...recalibrate.registry import Promotion
from ...recalibrate.trials import Trial, ongoing
from ...store import versions
from ...store.calibrators import Calibrator, no_calibrator
from ..answers import answer, described, gives
from ..dependencies import By, Context, ModelName, Now, model_named, usable
from ..etags import answer_unless_known
from ..freshness import CURRENT
from ..paths import Recognised
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)

REASON: Final = "asked for by the API"


class Strict(BaseModel):
    """A body with these fields and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RefitRequest(Strict):
    """A request for a refit."""

    method: str = Field(default="auto", description="`auto` for those that the labels allow, or one family")
    start: str | None = Field(
        default=None,
        description="RFC 3339; if not given, the breach that an alert fires on, or 30 days before the end",
    )
    end: str | None = Field(default=None, description="RFC 3339; the newest matured prediction if not given")
    version: str | None = Field(default=None, description="only predictions of this model version")
    holdout: float = Field(
        default=HOLDOUT, ge=0.0, le=0.9, description="share of the labels, the latest, that the gate judges on; 0: none"
    )
    promote: bool | None = Field(
        default=None, description="true: if the gate passes; false: never; null: as the model's `recalibration` says"
    )
    document: dict[str, Any] | None = Field(
        default=None,
        description="of a calibrator fitted elsewhere, {method, task, parameters}: judged instead of a fit",
    )
    source: Literal["live", "validation"] = Field(
        default="live", description="`validation`: labels of the events sent with `reference: true`, split at random"
    )
    dry_run: bool = Field(default=False, description="fit and judge, register nothing")


class MoveRequest(Strict):
    """A request to promote or roll back."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] = REASON
    dry_run: bool = Field(default=False, description="preview the change only")


class RejectRequest(Strict):
    """A request to reject a version."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] = REASON


VERSION: Final = Recognised("[0-9]+|champion|challenger")
VERSION_OR_IDENTITY: Final = Recognised(f"{VERSION.pattern}|{IDENTITY}")

Number = Annotated[str, Path(description="A version's number."), VERSION]
Which = Annotated[str, Path(description="A version's number, `champion` or `challenger`."), VERSION]
WhichOrIdentity = Annotated[
    str,
    Path(description="A version's number, `champion`, `challenger`, or `identity` for none."),
    VERSION_OR_IDENTITY,
]


class Calibrators(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All versions, newest first, and those in service."""

    calibrators: list[Calibrator]
    champion: int | None
    challenger: int | None
    promotions: Annotated[list[Promotion], Meta(description="oldest first")]
    trials: list[Trial]


@router.get("/{model}/calibrators", responses=gives(Calibrators), dependencies=[CURRENT])
def list_calibrators(context: Context, model: ModelName) -> Response:
    """List all versions, newest first, with those in service now and before."""
    with context.database.read() as connection:
        declared = model_named(connection, model)
        aliases = versions.aliases(connection, declared.id)
        champion, challenger = (aliases[name].number if name in aliases else None for name in (CHAMPION, CHALLENGER))
        return answer(
            Calibrators(
                calibrators=versions.documents(connection, declared.id),
                champion=champion,
                challenger=challenger,
                promotions=registry.promotions(connection, declared.id),
                trials=ongoing(connection, declared),
            )
        )


@router.get(
    "/{model}/calibrators/{which}",
    responses=gives(Calibrator) | {304: {"description": "it is the one that `If-None-Match` names"}},
)
def show_calibrator(context: Context, model: ModelName, which: Which, request: Request) -> Response:
    """Return one version, the champion or the challenger; `If-None-Match` saves the body."""
    with context.database.read() as connection:
        declared = model_named(connection, model)
        calibrator = _calibrator(connection, declared, which, identity=False)
    return answer_unless_known(request, calibrator.sha256, calibrator)


def _calibrator(connection: Connection, model: Model, which: str, *, identity: bool) -> Calibrator:
    number = named_version(connection, model, which, identity=identity)
    calibrator = calibrator_of(connection, model, number)
    if calibrator is None:
        raise NotFound(f"model {model.name!r} has no calibrator {number}")
    return calibrator


@router.get(
    "/{model}/calibrators/{which}/difference",
    responses=gives(Difference),
    dependencies=[CURRENT],
)
def show_difference(
    context: Context,
    now: Now,
    model: ModelName,
    which: WhichOrIdentity,
    against: Annotated[str, Query(description="what to compare with, named likewise; the champion by default")] = "",
) -> Response:
    """Compare two calibrators: their maps side by side, and the change of recent traffic and decisions."""
    with context.database.read() as connection:
        declared = model_named(connection, model)
        before = named_version(connection, declared, against) if against else champion_number(connection, declared)
        after = named_version(connection, declared, which)
        return answer(compared(connection, declared, before, after, now))


@router.get("/{model}/calibrators/{which}/map", responses=gives(CalibratorMap))
def show_map(context: Context, model: ModelName, which: WhichOrIdentity) -> Response:
    """Return the map of a calibrator as curves to draw."""
    with context.database.read() as connection:
        declared = model_named(connection, model)
        if which == IDENTITY:
            document = no_calibrator(declared.task or "binary")
        else:
            document = _calibrator(connection, declared, which, identity=True)
    return answer(map_of(document, classes=declared.classes))


@router.post("/{model}/calibrators/rollback", responses=gives(Moved), dependencies=[CURRENT])
def roll_back(
    context: Context, caller: By, model: ModelName, asked: Annotated[MoveRequest | None, Body()] = None
) -> Response:
    """Put back what the champion replaced; rolling back the first version leaves identity."""
    request = asked or MoveRequest()
    return answer(
        manual.roll_back(
            context.database, model, actor=caller.name, reason=request.reason, now=caller.now, dry_run=request.dry_run
        )
    )


@router.post("/{model}/calibrators/{number}/reject", responses=gives(Moved), dependencies=[CURRENT])
def reject(
    context: Context,
    caller: By,
    model: ModelName,
    number: Number,
    asked: Annotated[RejectRequest | None, Body()] = None,
) -> Response:
    """Reject a version that waits for a decision, or end its trial; what serves stays.

    The alerts that fire are answered by it: the next refit by itself comes with the next alert. A person can refit,
    or promote it, at any time.
    """
    request, chosen = asked or RejectRequest(), number_of(number)
    return answer(
        manual.reject(context.database, model, chosen, actor=caller.name, reason=request.reason, now=caller.now)
    )


@router.post("/{model}/calibrators/{number}/promote", responses=gives(Moved), dependencies=[CURRENT])
def promote(
    context: Context,
    caller: By,
    model: ModelName,
    number: Number,
    asked: Annotated[MoveRequest | None, Body()] = None,
) -> Response:
    """Put a version in service."""
    request, chosen = asked or MoveRequest(), number_of(number)
    return answer(
        manual.promote(
            context.database,
            model,
            chosen,
            actor=caller.name,
            reason=request.reason,
            now=caller.now,
            dry_run=request.dry_run,
        )
    )


@router.post(
    "/{model}/calibrators",
    responses=gives(Refused, "refused, or a dry run: nothing changed")
    | {201: described(Refitted, description="a new version")},
    dependencies=[CURRENT],
)
def refit_now(
    context: Context, caller: By, model: ModelName, asked: Annotated[RefitRequest | None, Body()] = None
) -> Response:
    """Refit on the labelled raw scores of a range, judge on the latest of them, register what passes."""
    request = asked or RefitRequest()
    usable("version", request.version)
    outcome = manual.refit_now(
        context.database, model, manual.Asked(**request.model_dump()), actor=caller.name, now=caller.now
    )
    return answer(outcome, status=201 if isinstance(outcome, Refitted) else 200)
