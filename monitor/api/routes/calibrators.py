"""Routes about calibrators: versions, refit, promotion, rollback, application."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection
from starlette.responses import Response

from ...calibrators.families import from_document
from ...domain.errors import BadInput, NotFound
from ...domain.settings import Model
from ...recalibrate import manual, registry
from ...recalibrate.difference import Difference
from ...recalibrate.job import champion_document
from ...recalibrate.manual import Moved
from ...recalibrate.maps import CalibratorMap, map_of
from ...recalibrate.refit import HOLDOUT
from ...recalibrate.trials import shown
from ...store import audit, versions
from .. import answers, shapes
from ..answers import answer
from ..dependencies import By, Context, JsonObject, ModelName, Now, model_named, usable
from ..etags import answer_unless_known
from ..paths import Recognised
from ..shapes import gives
from ..strict import StrictRoute
from .distributions import calibrated, check_kind

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)

REASON: Final = "asked for by the API"
MAX_PROBABILITIES: Final = 100_000


class Strict(BaseModel):
    """A body with these fields and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RefitRequest(Strict):
    """What a refit by hand may say."""

    method: str = Field(default="auto", description="`auto` for those that the labels allow, or one family")
    start: str | None = Field(default=None, description="RFC 3339; 30 days before the end if not given")
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
    """What a promotion or a rollback by hand may say."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] = REASON
    dry_run: bool = Field(default=False, description="say what would change, and change nothing")


VERSION: Final = Recognised("[0-9]+|champion|challenger|identity")

Number = Annotated[str, Path(description="A version's number."), VERSION]
Which = Annotated[str, Path(description="A version's number, `champion` or `challenger`."), VERSION]
WhichOrIdentity = Annotated[
    str, Path(description="A version's number, `champion`, `challenger`, or `identity` for none."), VERSION
]


@router.get("/{model}/calibrators", responses=gives(shapes.Calibrators))
def list_calibrators(context: Context, model: ModelName) -> Response:
    """List all versions, newest first, with what is in service and what was."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        aliases = versions.aliases(connection, found.id)
        return answer(
            {
                "calibrators": versions.documents(connection, found.id),
                **{
                    name: aliases[name].number if name in aliases else None
                    for name in (versions.CHAMPION, versions.CHALLENGER)
                },
                "promotions": [
                    {"at": at, "number": number} for at, number in registry.promotions(connection, found.id)
                ],
                "trials": shown(connection, found),
            }
        )


@router.get(
    "/{model}/calibrators/{which}",
    responses=gives(shapes.Calibrator) | {304: {"description": "it is the one that `If-None-Match` names"}},
)
def show_calibrator(context: Context, model: ModelName, which: Which, request: Request) -> Response:
    """Return one version, the champion or the challenger; `If-None-Match` saves the body."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        document = _document(connection, found, which)
    return answer_unless_known(request, document["sha256"], document)


def _document(connection: Connection, model: Model, which: str) -> JsonObject:
    number = manual.number_of(which) if which == manual.IDENTITY else manual.named_version(connection, model, which)
    document = None if number is None else versions.document(connection, model.id, number)
    if document is None:
        raise NotFound(f"model {model.name!r} has no calibrator {number}")
    return document


@router.get(
    "/{model}/calibrators/{which}/difference",
    responses=answers.gives(Difference),
)
def show_difference(
    context: Context,
    now: Now,
    model: ModelName,
    which: WhichOrIdentity,
    against: Annotated[str, Query(description="what to compare with, named likewise; the champion by default")] = "",
) -> Response:
    """Compare two calibrators: their maps side by side, what the second changes about recent traffic and decisions."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        before = manual.named_version(connection, found, against) if against else manual.serving(connection, found)
        after = manual.named_version(connection, found, which)
        return answer(manual.compared(connection, found, before, after, now))


@router.get("/{model}/calibrators/{which}/map", responses=answers.gives(CalibratorMap))
def show_map(context: Context, model: ModelName, which: WhichOrIdentity) -> Response:
    """Return the curve of a calibrator to draw: what it serves for each raw probability, or stated level of a regression."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        document = plain(found.task or "binary") if which == manual.IDENTITY else _document(connection, found, which)
    return answer(map_of(document, classes=found.classes))


@router.post("/{model}/calibrators/rollback", responses=answers.gives(Moved))
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


@router.post("/{model}/calibrators/{number}/promote", responses=answers.gives(Moved))
def promote(
    context: Context,
    caller: By,
    model: ModelName,
    number: Number,
    asked: Annotated[MoveRequest | None, Body()] = None,
) -> Response:
    """Put a version in service."""
    request, chosen = asked or MoveRequest(), manual.number_of(number)
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
    responses=gives(shapes.Refused, "refused, or a dry run: nothing changed") | {201: {"model": shapes.Refitted}},
)
def refit_now(
    context: Context, caller: By, model: ModelName, asked: Annotated[RefitRequest | None, Body()] = None
) -> Response:
    """Refit on the labelled raw scores of a range, judge on the latest of them, register what passes."""
    request = asked or RefitRequest()
    usable("version", request.version)
    concluded = manual.refit_now(
        context.database, model, manual.Asked(**request.model_dump()), actor=caller.name, now=caller.now
    )
    return answer(concluded, status=200 if concluded["number"] is None else 201)


class CalibrateRequest(Strict):
    """Raw probabilities: numbers, or for a multiclass model vectors; or of a regression raw distributions."""

    probabilities: list[float] | list[list[float]] | None = None
    distributions: list[dict[str, Any]] | None = Field(
        default=None, description="each {mean, std} or {quantiles: {level: value}}"
    )


@router.post("/{model}/calibrate", responses=gives(shapes.Calibrated | shapes.CalibratedDistributions))
def calibrate(context: Context, model: ModelName, asked: CalibrateRequest) -> Response:
    """Apply the champion; without one, probabilities or distributions come back as they are."""
    probabilities = asked.probabilities or []
    if len(probabilities) > MAX_PROBABILITIES:
        raise BadInput("probabilities", len(probabilities), f"must be at most {MAX_PROBABILITIES} at once")
    with context.database.read() as connection:
        found = model_named(connection, model)
        document = champion_document(connection, found)
    number = None if document is None else document["number"]
    check_kind(found, probabilities=asked.probabilities is not None, distributions=asked.distributions is not None)
    if asked.distributions is not None:
        return answer({"distributions": calibrated(document, asked.distributions), "calibrator_version": number})
    if not probabilities:
        return answer({"probabilities": [], "calibrator_version": number})
    try:
        served = from_document(document or plain(_task(found.task, probabilities))).predict_proba(probabilities)
    except ValueError as error:
        raise BadInput("probabilities", probabilities[:5], str(error)) from error
    return answer({"probabilities": served.tolist(), "calibrator_version": number})


def plain(task: str) -> JsonObject:
    """Return the document of no calibrator."""
    return {"method": "identity", "task": task, "parameters": {}}


def _task(task: str | None, probabilities: list[float] | list[list[float]]) -> str:
    return task or ("multiclass" if isinstance(probabilities[0], list) else "binary")


class Audit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All steps, oldest first."""

    audit: list[audit.Entry]


@router.get("/{model}/audit", responses=answers.gives(Audit))
def show_audit(context: Context, model: ModelName) -> Response:
    """Return every step of the calibrators' life, oldest first."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        return answer(Audit(audit=audit.entries(connection, found.id)))
