"""Routes about decisions: what thresholds select, where they should lie, and sets of answers."""

from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import BadInput, Conflict
from ...domain.quantities import Count, Moment, Ratio
from ...domain.settings import Model
from ...domain.times import MINUTE, duration_text, moment
from ...recalibrate.decisions import impacts, last_window
from ...recalibrate.prediction_sets import COVERAGE, ConformalSets, MeasuredCoverage, sets_of
from ...recalibrate.thresholds import (
    CONFIDENCE,
    OF_REGRESSIONS,
    Abstention,
    PrecisionThresholds,
    abstention_of,
    precision_of,
)
from ...stats.cells import Floats
from ...stats.conformal import prediction_sets
from ...store import versions
from ...store.calibrators import Calibrator
from ...store.impact import DecisionImpact
from ...windows.clock import Clocked, clocked
from ...windows.raw_scores import Under, applied, known_of
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named, usable
from ..strict import StrictRoute
from .calibration import Range, range_of, wait_for_roll_up

router = APIRouter(prefix="/v1/models", tags=["decisions"], route_class=StrictRoute)

IDENTITY: Final = frozenset({"identity", "none"})
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
        description="whose scores are meant: a version's number, `champion` (the model's own where there is none), `challenger`, or "
        "`identity` for the model's own (`none` too)",
    )
    precision: Inner | None = Field(default=None, description="the share of what is selected that is to be right")
    risk: Inner | None = Field(default=None, description="the share of answers that may be wrong")
    coverage: Inner = Field(default=COVERAGE, description="how often sets of answers are to hold the right one")
    confidence: Inner = Field(default=CONFIDENCE, description="with which a threshold keeps its word")


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What thresholds select, where they should lie, and sets of answers: of scores as the calibrator would serve them."""

    model: str
    version: str | None
    start: Moment
    end: Moment
    calibrator_version: int | None
    confidence: Ratio
    events: Count
    labelled: Count
    without_raw: Annotated[Count, Meta(description="events left out: only what a calibrator made of them is known")]
    decisions: list[DecisionImpact]
    precision: PrecisionThresholds
    abstention: Abstention
    conformal: ConformalSets


@router.get("/{model}/thresholds", responses=gives(Thresholds))
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
    before, after = Under(known, champion), Under(known, chosen)
    return answer(
        Thresholds(
            model=clock.model.name,
            version=query.version,
            start=moment(start),
            end=moment(end),
            calibrator_version=after.number,
            confidence=query.confidence,
            events=known.count,
            labelled=known.labelled,
            without_raw=known.without_raw,
            decisions=impacts(clock.model, before, after, confidence=query.confidence),
            precision=precision_of(after, wanted=query.precision, confidence=query.confidence),
            abstention=abstention_of(after, risk=query.risk, confidence=query.confidence),
            conformal=sets_of(clock.model, after, coverage=query.coverage),
        )
    )


def _range(query: ThresholdsQuery, clock: Clocked, now: int) -> tuple[int, int]:
    longest = duration_text(clock.model.settings.longest_window)
    window = longest if query.window is query.start is query.end is None else query.window
    return range_of(Range(window=window, start=query.start, end=query.end), clock, clock.matured_until, now)


def _document(connection: Connection, model: Model, which: str) -> Calibrator | None:
    """Return the document of a calibrator, None for no calibrator.

    Raises
    ------
    BadInput
        when it names nothing that there is.

    """
    if which in IDENTITY:
        return None
    aliases = versions.aliases(connection, model.id)
    if which in {versions.CHAMPION, versions.CHALLENGER}:
        number = aliases[which].number if which in aliases else None
        if number is None and which == versions.CHALLENGER:
            raise BadInput("calibrator", which, "there is none now")
    elif which.isascii() and which.isdigit() and len(which) < len(str(LARGEST)):
        number = int(which)
    else:
        raise BadInput("calibrator", which, "must be a version's number, champion, challenger or identity")
    document = None if number is None else versions.document(connection, model.id, number)
    if number is not None and document is None:
        raise BadInput("calibrator", which, "there is no such version")
    return document


_Key = tuple[int, int, int, str | None, float]
"""The model, its revision and when it was made; the hash of its champion; the coverage."""


class SetsOfAMinute:
    """What sets are made with, per model, champion and coverage, each for a minute: to find it takes up to a second."""

    def __init__(self) -> None:
        self._made: dict[_Key, tuple[int, ConformalSets]] = {}

    def sets(
        self, connection: Connection, clock: Clocked, champion: Calibrator | None, coverage: float, now: int
    ) -> ConformalSets:
        """Return the prediction sets of the longest window, at most a minute old."""
        model, sha256 = clock.model, None if champion is None else champion.sha256
        key = (model.id, model.revision, model.created_at, sha256, coverage)
        at, sets = self._made.get(key, (-MINUTE, None))
        if sets is None or not at <= now < at + MINUTE:
            known = known_of(connection, clock, *last_window(clock, now))
            sets = sets_of(clock.model, Under(known, champion), coverage=coverage)
            if len(self._made) >= MOST_KEPT:
                self._made.clear()
            if sets.threshold is not None:
                self._made[key] = (now, sets)
        return sets


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


class PredictedSets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sets of answers, each with the right one in it with the wanted probability."""

    sets: Annotated[list[list[str | int]], Meta(description="class names, or 0 and 1 where a binary model has none")]
    calibrator_version: int | None
    coverage: Ratio
    threshold: Annotated[
        float, Meta(description="an answer is in its set where 1 - its probability as served is at most this")
    ]
    labelled: Annotated[Count, Meta(description="events that the threshold is from")]
    measured_coverage: MeasuredCoverage | None


@router.post("/{model}/predict-set", responses=gives(PredictedSets))
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
        conformal = kept.sets(connection, clock, champion, asked.coverage, now)
    if conformal.threshold is None:
        raise Conflict(conformal.reason or "")
    return answer(
        PredictedSets(
            sets=_sets(clock.model, served, conformal.threshold),
            calibrator_version=None if champion is None else champion.number,
            coverage=asked.coverage,
            threshold=conformal.threshold,
            labelled=conformal.labelled,
            measured_coverage=conformal.measured,
        )
    )


def _served(model: Model, champion: Calibrator | None, asked: PredictSetRequest) -> Floats:
    """Return what the champion makes of the probabilities: of shape (n,) of a binary model, else (n, classes)."""
    if model.task == "regression":
        raise Conflict(OF_REGRESSIONS)
    raw = asked.probabilities
    shape: tuple[int, ...] = (0, len(model.classes or ())) if model.task == "multiclass" else (0,)
    try:
        served = applied(champion, model.task or "binary")(np.array(raw)) if raw else np.zeros(shape)
    except ValueError as error:
        raise BadInput("probabilities", raw[:5], str(error)) from error
    if served.shape[1:] != shape[1:]:
        raise BadInput("probabilities", raw[:5], f"must be of the model's {shape[-1]} classes")
    return served


def _sets(model: Model, served: Floats, threshold: float) -> list[list[str | int]]:
    names: tuple[str | int, ...] = model.classes or (0, 1)
    chosen = prediction_sets(served, threshold)
    return [[name for name, inside in zip(names, row, strict=True) if inside] for row in chosen.tolist()]
