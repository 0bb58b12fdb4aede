"""Routes about calibrators: versions, refit, promotion, rollback, application."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from monitor import registry, windowed
from monitor.api.context import Context, JsonObject, model_named
from monitor.calibrators.families import FAMILIES, from_document
from monitor.errors import BadInput, NotFound
from monitor.recalibrate import HOLDOUT, champion_document, conclude, described, refit
from monitor.records import SeriesKey
from monitor.sample import raw_sample
from monitor.store import models
from monitor.store import registry as versions
from monitor.times import DAY, parse_time, rfc3339
from monitor.windows import widened
from monitor.wiring import wall_clock

router = APIRouter(prefix="/v1/models", tags=["calibrators"])

PERSON: Final = "api"
RECENT_DAYS: Final = 30
MAX_PROBABILITIES: Final = 100_000


class RefitRequest(BaseModel):
    """What a refit by hand may say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    method: str = "auto"
    start: str | None = None
    end: str | None = None
    version: str | None = None
    holdout: float = Field(default=HOLDOUT, ge=0.0, le=0.9)
    promote: bool | None = None


@router.get("/{model:path}/calibrators")
def list_calibrators(context: Context, model: str) -> JsonObject:
    """List all versions, newest first, with the aliases."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        aliases = versions.aliases(connection, found.id)
        return {
            "calibrators": versions.documents(connection, found.id),
            **{
                name: aliases[name].number if name in aliases else None
                for name in (versions.CHAMPION, versions.CHALLENGER)
            },
        }


@router.get("/{model:path}/calibrators/{which}")
def show_calibrator(context: Context, model: str, which: str, request: Request) -> Response:
    """Return one version, the champion or the challenger; `If-None-Match` saves the body."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        number = _number(which)
        if number is None:
            alias = versions.aliases(connection, found.id).get(which)
            number = None if alias is None else alias.number
        document = None if number is None else versions.document(connection, found.id, number)
    if document is None:
        raise NotFound(f"model {model!r} has no calibrator {which}")
    tag = f'"{document["sha256"]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return JSONResponse(document, headers=headers)


def _number(which: str) -> int | None:
    if which in {versions.CHAMPION, versions.CHALLENGER}:
        return None
    if not (which.isascii() and which.isdigit() and len(which) <= 9):  # noqa: PLR2004 - what fits an integer column
        raise NotFound(f"there is no calibrator {which!r}: name a number, champion or challenger")
    return int(which)


def _matches(given: str, tag: str) -> bool:
    return given.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in given.split(",")}


@router.post("/{model:path}/calibrators/rollback")
def roll_back(context: Context, model: str) -> JsonObject:
    """Put back what the champion replaced; rolling back the first version leaves identity."""
    now = wall_clock()
    with context.database.write() as connection:
        found = model_named(connection, model)
        progress = models.progress_of(connection, [found.id])[found.id]
        champion = registry.roll_back(connection, found, progress, actor=PERSON, now=now, reason="asked for by the API")
    return {"champion": champion}


@router.post("/{model:path}/calibrators/{number}/promote")
def promote(context: Context, model: str, number: int) -> JsonObject:
    """Put a version in service."""
    now = wall_clock()
    with context.database.write() as connection:
        found = model_named(connection, model)
        progress = models.progress_of(connection, [found.id])[found.id]
        registry.promote(connection, found, number, progress, actor=PERSON, now=now, reason="asked for by the API")
    return {"champion": number}


@router.post("/{model:path}/calibrators")
def refit_now(
    context: Context, model: str, response: Response, asked: Annotated[RefitRequest | None, Body()] = None
) -> JsonObject:
    """Refit on the labelled raw scores of a range, judge on the latest of them, register what passes."""
    request = asked or RefitRequest()
    if request.method != "auto" and request.method not in FAMILIES:
        raise BadInput("method", request.method, f"must be auto or one of {', '.join(FAMILIES)}")
    now = wall_clock()
    with context.database.read() as connection:
        clock = windowed.clocked(connection, model_named(connection, model), now)
        start, end = _range(request, clock, now)
        sample = raw_sample(connection, clock, start, end, _of(request.version))
        incumbent = champion_document(connection, clock.model)
    outcome = refit(clock.model, sample, method=request.method, holdout=request.holdout, incumbent=incumbent)
    outcome = described((start, end), request.version, outcome, request.holdout)
    with context.database.write() as connection:
        answer = conclude(connection, clock, outcome, promote=request.promote, actor=PERSON, now=now)
    response.status_code = 200 if answer["number"] is None else 201
    return answer


def _range(request: RefitRequest, clock: windowed.Clocked, now: int) -> tuple[int, int]:
    """Return the range to fit on: as asked, else the last month of matured predictions."""
    matured = clock.matured_until or now
    end = parse_time("end", request.end) if request.end is not None else matured
    start = parse_time("start", request.start) if request.start is not None else end - RECENT_DAYS * DAY
    if start >= end:
        raise BadInput("start", request.start, "must be before end")
    return widened(start, end, clock.progress.minutes_from)


def _of(version: str | None) -> Any:
    def test(key: SeriesKey) -> bool:
        return key.segment == "" and version in {None, key.version}

    return test


class CalibrateRequest(BaseModel):
    """Raw probabilities: numbers, or for a multiclass model vectors."""

    model_config = ConfigDict(extra="forbid")

    probabilities: list[float] | list[list[float]]


@router.post("/{model:path}/calibrate")
def calibrate(context: Context, model: str, asked: CalibrateRequest) -> JsonObject:
    """Apply the champion; without one, probabilities come back as they are."""
    if len(asked.probabilities) > MAX_PROBABILITIES:
        raise BadInput("probabilities", len(asked.probabilities), f"must be at most {MAX_PROBABILITIES} at once")
    with context.database.read() as connection:
        found = model_named(connection, model)
        document = champion_document(connection, found)
    if not asked.probabilities:
        return {"probabilities": [], "calibrator_version": None if document is None else document["number"]}
    plain = {"method": "identity", "task": _task(found.task, asked), "parameters": {}}
    try:
        served = from_document(document or plain).predict_proba(asked.probabilities)
    except ValueError as error:
        raise BadInput("probabilities", asked.probabilities, str(error)) from error
    return {"probabilities": served.tolist(), "calibrator_version": None if document is None else document["number"]}


def _task(task: str | None, asked: CalibrateRequest) -> str:
    return task or ("multiclass" if isinstance(asked.probabilities[0], list) else "binary")


@router.get("/{model:path}/audit")
def show_audit(context: Context, model: str) -> JsonObject:
    """Return every step of the calibrators' life, oldest first."""
    with context.database.read() as connection:
        found = model_named(connection, model)
        return {"audit": [each | {"at": rfc3339(each["at"])} for each in versions.audited(connection, found.id)]}
