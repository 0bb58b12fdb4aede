"""Routes about calibrators: versions, refit, promotion, rollback, application."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import Response

from monitor import registry, windowed
from monitor.api import shapes
from monitor.api.context import Context, JsonObject, ModelName, Now, answer, model_named, usable
from monitor.api.routes import StrictRoute
from monitor.api.shapes import gives
from monitor.calibrators.families import FAMILIES, from_document
from monitor.errors import BadInput, Conflict, NotFound
from monitor.recalibrate import champion_document, conclude
from monitor.records import Model, SeriesKey
from monitor.refit import HOLDOUT, Outcome, described, refit, refused
from monitor.sample import Sample, raw_sample
from monitor.stats.values import has_scores
from monitor.store import models
from monitor.store import registry as versions
from monitor.times import DAY, parse_bound, rfc3339
from monitor.windows import widened

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)

PERSON: Final = "api"
REASON: Final = "asked for by the API"
ONLY_SCORES: Final = (
    "there are only scores, which are no probabilities: they are read through a line that is fitted once for each model version "
    "(`mapping` of its calibration); a calibrator takes confidences"
)
RECENT_DAYS: Final = 30
MAX_PROBABILITIES: Final = 100_000
LARGEST: Final = 10**9


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


Number = Annotated[str, Path(description="A version's number.")]
Which = Annotated[str, Path(description="A version's number, `champion` or `challenger`.")]


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
    tag = f'"{document["sha256"]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if _matches(",".join(request.headers.getlist("if-none-match")), tag):
        return Response(status_code=304, headers=headers)
    return answer(document, headers=headers)


def _document(connection: Connection, model: Model, which: str) -> JsonObject:
    if which in {versions.CHAMPION, versions.CHALLENGER}:
        alias = versions.aliases(connection, model.id).get(which)
        number = None if alias is None else alias.number
        if number is None:
            raise NotFound(f"model {model.name!r} has no {which}")
    else:
        number = number_of(which)
    document = versions.document(connection, model.id, number)
    if document is None:
        raise NotFound(f"model {model.name!r} has no calibrator {number}")
    return document


def number_of(text: str) -> int:
    """Return the number of a version.

    Raises
    ------
    NotFound
        when nothing can have this number.

    """
    if not (text.isascii() and text.isdigit() and len(text) < len(str(LARGEST)) and text == str(int(text))):
        raise NotFound(f"there is no calibrator {text!r}: name a number, champion or challenger")
    return int(text)


def _matches(given: str, tag: str) -> bool:
    return given.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in given.split(",")}


@router.post("/{model}/calibrators/rollback", responses=gives(shapes.Champion))
def roll_back(context: Context, now: Now, model: ModelName) -> Response:
    """Put back what the champion replaced; rolling back the first version leaves identity."""
    with context.database.write() as connection:
        found = model_named(connection, model, lock=True)
        progress = models.progress_of(connection, [found.id])[found.id]
        champion = registry.roll_back(connection, found, progress, actor=PERSON, now=now, reason=REASON)
    return answer({"champion": champion})


@router.post("/{model}/calibrators/{number}/promote", responses=gives(shapes.Champion))
def promote(context: Context, now: Now, model: ModelName, number: Number) -> Response:
    """Put a version in service."""
    with context.database.write() as connection:
        found = model_named(connection, model, lock=True)
        progress = models.progress_of(connection, [found.id])[found.id]
        chosen = number_of(number)
        registry.promote(connection, found, chosen, progress, actor=PERSON, now=now, reason=REASON)
    return answer({"champion": chosen})


@router.post(
    "/{model}/calibrators",
    responses=gives(shapes.Refused, "refused: nothing changed") | {201: {"model": shapes.Refitted}},
)
def refit_now(
    context: Context, now: Now, model: ModelName, asked: Annotated[RefitRequest | None, Body()] = None
) -> Response:
    """Refit on the labelled raw scores of a range, judge on the latest of them, register what passes."""
    request = asked or RefitRequest()
    if request.method != "auto" and request.method not in FAMILIES:
        raise BadInput("method", request.method, f"must be auto or one of {', '.join(FAMILIES)}")
    wanted = _of(usable("version", request.version))
    with context.database.read() as connection:
        clock = windowed.clocked(connection, model_named(connection, model), now)
        start, end = _range(request, clock, now)
        sample = raw_sample(connection, clock, start, end, wanted)
        incumbent = champion_document(connection, clock.model)
        scores = not sample.labels and has_scores(windowed.of_series(connection, clock.model, start, end, wanted))
    outcome = refused(ONLY_SCORES, sample) if scores else _outcome(request, clock.model, sample, incumbent)
    outcome = described((start, end), request.version, outcome, request.holdout)
    with context.database.write() as connection:
        _unchanged_since(connection, clock.model, incumbent)
        concluded = conclude(connection, clock, outcome, promote=request.promote, actor=PERSON, now=now)
    return answer(concluded, status=200 if concluded["number"] is None else 201)


def _outcome(request: RefitRequest, model: Model, sample: Sample, incumbent: JsonObject | None) -> Outcome:
    try:
        return refit(model, sample, method=request.method, holdout=request.holdout, incumbent=incumbent)
    except BadInput as error:
        if error.field != "holdout":
            raise
        return refused(error.reason, sample)


def _range(request: RefitRequest, clock: windowed.Clocked, now: int) -> tuple[int, int]:
    """Return the range to fit on: as asked, else the last month of matured predictions."""
    matured = clock.matured_until or now
    end = parse_bound("end", request.end) if request.end is not None else matured
    start = parse_bound("start", request.start) if request.start is not None else end - RECENT_DAYS * DAY
    if start >= end:
        raise BadInput("start", request.start, f"must be before the end, {rfc3339(end)}")
    return widened(start, end, clock.progress.minutes_from)


def _of(version: str | None) -> Any:
    def test(key: SeriesKey) -> bool:
        return key.segment == "" and version in {None, key.version}

    return test


def _unchanged_since(connection: Connection, model: Model, incumbent: JsonObject | None) -> None:
    """Lock the model, whose champion must be the one that a candidate was judged against.

    Raises
    ------
    Conflict
        when another one serves now.
    NotFound
        when the model is gone.

    """
    found = model_named(connection, model.name, lock=True)
    if found.id != model.id:
        raise NotFound(f"model {model.name!r} was deleted, and made again, while its calibrator was fitted")
    if champion_document(connection, found) != incumbent:
        raise Conflict("another calibrator was put in service while this one was fitted: ask again")


class CalibrateRequest(Strict):
    """Raw probabilities: numbers, or for a multiclass model vectors."""

    probabilities: list[float] | list[list[float]]


@router.post("/{model}/calibrate", responses=gives(shapes.Calibrated))
def calibrate(context: Context, model: ModelName, asked: CalibrateRequest) -> Response:
    """Apply the champion; without one, probabilities come back as they are."""
    if len(asked.probabilities) > MAX_PROBABILITIES:
        raise BadInput("probabilities", len(asked.probabilities), f"must be at most {MAX_PROBABILITIES} at once")
    with context.database.read() as connection:
        found = model_named(connection, model)
        document = champion_document(connection, found)
    number = None if document is None else document["number"]
    if not asked.probabilities:
        return answer({"probabilities": [], "calibrator_version": number})
    plain = {"method": "identity", "task": _task(found.task, asked), "parameters": {}}
    try:
        served = from_document(document or plain).predict_proba(asked.probabilities)
    except ValueError as error:
        raise BadInput("probabilities", asked.probabilities[:5], str(error)) from error
    return answer({"probabilities": served.tolist(), "calibrator_version": number})


def _task(task: str | None, asked: CalibrateRequest) -> str:
    return task or ("multiclass" if isinstance(asked.probabilities[0], list) else "binary")


@router.get("/{model}/audit", responses=gives(shapes.Audit))
def show_audit(context: Context, model: ModelName) -> Response:
    """Return every step of the calibrators' life, oldest first."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        audit = [each | {"at": rfc3339(each["at"])} for each in versions.audited(connection, found.id)]
    return answer({"audit": audit})
