"""Routes about decisions: what thresholds select, where they should lie, and sets of answers."""

from typing import Annotated, Any, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import BadInput, Conflict
from ...domain.settings import Model
from ...domain.times import MINUTE, duration_text, rfc3339
from ...recalibrate import decisions
from ...recalibrate.decisions import CONFIDENCE, COVERAGE
from ...stats.cells import Floats
from ...stats.conformal import prediction_sets
from ...store import versions
from ...windows.clock import Clocked, clocked
from ...windows.raw_scores import Under, applied, known_of
from .. import shapes
from ..answers import answer
from ..dependencies import Context, JsonObject, ModelName, Now, model_named, usable
from ..shapes import gives
from ..strict import StrictRoute
from .calibration import Range, range_of, wait_for_roll_up

router = APIRouter(prefix="/v1/models", tags=["decisions"], route_class=StrictRoute)

NONE: Final = "none"
LARGEST: Final = 10**9
MOST_KEPT: Final = 1000
MAX_PROBABILITIES: Final = 100_000

Inner = Annotated[float, Field(ge=1e-6, le=1 - 1e-6, allow_inf_nan=False)]


class ThresholdsQuery(BaseModel):
    """What thresholds are asked for."""

    window: str | None = Field(
        default=None, description="a duration such as 7d, up to 3660d; the longest of the model's windows if not given"
    )
    start: str | None = Field(default=None, description="RFC 3339 with a zone; the range is half-open")
    end: str | None = Field(default=None, description="RFC 3339 with a zone")
    version: str | None = Field(default=None, description="a model version; all of them if not given")
    calibrator: str = Field(
        default=versions.CHAMPION,
        description="whose scores are meant: a version's number, `champion` (none, where there is none), `challenger`, or `none`",
    )
    precision: Inner | None = Field(default=None, description="the share of what is selected that is to be right")
    risk: Inner | None = Field(default=None, description="the share of answers that may be wrong")
    coverage: Inner = Field(default=COVERAGE, description="how often sets of answers are to hold the right one")
    confidence: Inner = Field(default=CONFIDENCE, description="with which a threshold keeps its word")


@router.get("/{model}/thresholds", responses=gives(shapes.Thresholds))
def show_thresholds(
    context: Context, now: Now, model: ModelName, query: Annotated[ThresholdsQuery, Query()]
) -> Response:
    """Say what declared thresholds select before and after a calibrator serves, and where thresholds should lie.

    All is of raw scores of a window mapped through the calibrator, so that it fits what it would serve. A window ends at the
    newest prediction whose label has had its time to come. Of models of several classes, and where only some sources of labels
    are trusted, the newest 20,000 events of the window count.
    """
    wait_for_roll_up(context.database, now)
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        start, end = _range(query, clock, now)
        champion = _document(connection, clock.model, versions.CHAMPION)
        chosen = _document(connection, clock.model, query.calibrator)
        known = known_of(connection, clock, start, end, usable("version", query.version))
    return answer(
        {
            "model": clock.model.name,
            "version": query.version,
            "start": rfc3339(start),
            "end": rfc3339(end),
            "calibrator_version": None if chosen is None else chosen["number"],
            "confidence": query.confidence,
            "events": known.count,
            "labelled": known.labelled,
            "without_raw": known.without_raw,
            **decisions.described(
                clock.model,
                Under(known, champion),
                Under(known, chosen),
                precision=query.precision,
                risk=query.risk,
                coverage=query.coverage,
                confidence=query.confidence,
            ),
        }
    )


def _range(query: ThresholdsQuery, clock: Clocked, now: int) -> tuple[int, int]:
    longest = duration_text(clock.model.settings.longest_window)
    window = longest if query.window is query.start is query.end is None else query.window
    return range_of(Range(window=window, start=query.start, end=query.end), clock, clock.matured_until, now)


def _document(connection: Connection, model: Model, which: str) -> JsonObject | None:
    """Return the document of a calibrator, None for identity.

    Raises
    ------
    BadInput
        when it names nothing that there is.

    """
    if which == NONE:
        return None
    aliases = versions.aliases(connection, model.id)
    if which in {versions.CHAMPION, versions.CHALLENGER}:
        number = aliases[which].number if which in aliases else None
        if number is None and which == versions.CHALLENGER:
            raise BadInput("calibrator", which, "there is none now")
    elif which.isascii() and which.isdigit() and len(which) < len(str(LARGEST)):
        number = int(which)
    else:
        raise BadInput("calibrator", which, "must be a version's number, champion, challenger or none")
    document = None if number is None else versions.document(connection, model.id, number)
    if number is not None and document is None:
        raise BadInput("calibrator", which, "there is no such version")
    return document


class SetsOfAMinute:
    """What sets are made with, per model, champion and coverage, each for a minute: to find it takes up to a second."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], tuple[int, JsonObject]] = {}

    def sets(
        self, connection: Connection, clock: Clocked, champion: JsonObject | None, coverage: float, now: int
    ) -> JsonObject:
        """Return what `decisions.sets_of` does for the longest window, at most a minute old."""
        key = (
            clock.model.id,
            clock.model.revision,
            clock.model.created_at,
            None if champion is None else champion["sha256"],
            coverage,
        )
        at, found = self._found.get(key, (-MINUTE, {}))
        if not at <= now < at + MINUTE:
            known = known_of(connection, clock, *decisions.last_window(clock, now))
            found = decisions.sets_of(clock.model, Under(known, champion), coverage=coverage)
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            if found["threshold"] is not None:
                self._found[key] = (now, found)
        return found


def kept(request: Request) -> SetsOfAMinute:
    """Return what this application keeps of sets."""
    state = request.app.state
    if not hasattr(state, "sets"):
        state.sets = SetsOfAMinute()
    found: SetsOfAMinute = state.sets
    return found


Kept = Annotated[SetsOfAMinute, Depends(kept)]


class PredictSetRequest(BaseModel):
    """Raw probabilities: numbers, or for a multiclass model vectors."""

    model_config = ConfigDict(extra="forbid", strict=True)

    probabilities: list[float] | list[list[float]]
    coverage: Inner = Field(default=COVERAGE, description="how often the sets are to hold the right answer")


@router.post("/{model}/predict-set", responses=gives(shapes.PredictedSets))
def predict_sets(context: Context, kept: Kept, now: Now, model: ModelName, asked: PredictSetRequest) -> Response:
    """Return for each event the answers among which the right one is, with the wanted probability.

    Probabilities are raw, and mapped through the champion. The threshold is from the labels of the longest of the model's windows,
    found anew once a minute; it is also among its thresholds, for sets that are made where the model serves.
    """
    if len(asked.probabilities) > MAX_PROBABILITIES:
        raise BadInput("probabilities", len(asked.probabilities), f"must be at most {MAX_PROBABILITIES} at once")
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        champion = _document(connection, clock.model, versions.CHAMPION)
        served = _served(clock.model, champion, asked)
        found = kept.sets(connection, clock, champion, asked.coverage, now)
    if found["threshold"] is None:
        raise Conflict(found["reason"])
    return answer(
        {
            "sets": _sets(clock.model, served, found["threshold"]),
            "calibrator_version": None if champion is None else champion["number"],
            "coverage": asked.coverage,
            "threshold": found["threshold"],
            "labelled": found["labelled"],
            "measured_coverage": found["measured"],
        }
    )


def _served(model: Model, champion: JsonObject | None, asked: PredictSetRequest) -> Floats:
    """Return what the champion makes of the probabilities: of shape (n,) of a binary model, else (n, classes)."""
    if model.task == "regression":
        raise Conflict(decisions.OF_REGRESSIONS)
    raw = asked.probabilities
    shape: tuple[int, ...] = (0, len(model.classes or ())) if model.task == "multiclass" else (0,)
    try:
        served = applied(champion, model.task or "binary")(np.array(raw)) if raw else np.zeros(shape)
    except ValueError as error:
        raise BadInput("probabilities", raw[:5], str(error)) from error
    if served.shape[1:] != shape[1:]:
        raise BadInput("probabilities", raw[:5], f"must be of the model's {shape[-1]} classes")
    return served


def _sets(model: Model, served: Floats, threshold: float) -> list[list[Any]]:
    names: tuple[Any, ...] = model.classes or (0, 1)
    chosen = prediction_sets(served, threshold)
    return [[name for name, inside in zip(names, row, strict=True) if inside] for row in chosen.tolist()]
