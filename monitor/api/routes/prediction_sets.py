"""Route about prediction sets of single events."""

from typing import Annotated, Final, NamedTuple

import numpy as np
from fastapi import APIRouter, Request
from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import BadInput, Conflict
from ...domain.quantities import Count, Ratio
from ...domain.settings import Model
from ...domain.times import MINUTE, SECOND
from ...recalibrate.decisions import last_window
from ...recalibrate.job import champion_document
from ...recalibrate.prediction_sets import COVERAGE, ConformalSets, MeasuredCoverage, sets_of
from ...recalibrate.thresholds import OF_REGRESSIONS
from ...stats.cells import Floats
from ...stats.conformal import prediction_sets
from ...store.calibrators import Calibrator
from ...store.events import labels_since, last_label
from ...windows.clock import Clocked, clocked
from ...windows.raw_scores import Under, applied, known_of
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named
from ..freshness import CURRENT, mark_stale
from ..strict import StrictRoute
from .thresholds import Inner

router = APIRouter(prefix="/v1/models", tags=["decisions"], route_class=StrictRoute)

MOST_KEPT: Final = 1000
AT_LEAST: Final = 5 * SECOND
MAX_PROBABILITIES: Final = 100_000

_Key = tuple[int, int, int, str | None, float]
"""The model, its revision and when it was made; the hash of its champion; the coverage."""


class _Made(NamedTuple):
    """Prediction sets, when they were computed, and the newest label then."""

    at: int
    newest_label: int
    sets: ConformalSets


class SetsOfAMinute:
    """Thresholds of prediction sets per model, champion and coverage: to compute one takes up to a second.

    Each is kept for a minute, or until the next label of the model, but for at least a few seconds.
    """

    def __init__(self) -> None:
        self._made: dict[_Key, _Made] = {}

    def sets(
        self, connection: Connection, clock: Clocked, champion: Calibrator | None, coverage: float, now: int
    ) -> tuple[ConformalSets, bool]:
        """Return the prediction sets of the longest window, and whether labels have come since they were computed."""
        model, sha256 = clock.model, None if champion is None else champion.sha256
        key = (model.id, model.revision, model.created_at, sha256, coverage)
        made = self._made.get(key)
        if made is not None and made.at <= now < made.at + MINUTE:
            is_stale = labels_since(connection, model.id, made.newest_label)
            if not is_stale or now < made.at + AT_LEAST:
                return made.sets, is_stale
        newest_label = last_label(connection)
        known = known_of(connection, clock, *last_window(clock, now))
        sets = sets_of(clock.model, Under(known, champion), coverage=coverage)
        if len(self._made) >= MOST_KEPT:
            self._made.clear()
        if sets.threshold is not None:
            self._made[key] = _Made(now, newest_label, sets)
        return sets, False


def kept(request: Request) -> SetsOfAMinute:
    """Return the thresholds that this application keeps."""
    state = request.app.state
    if not hasattr(state, "sets"):
        state.sets = SetsOfAMinute()
    sets: SetsOfAMinute = state.sets
    return sets


class PredictSetRequest(BaseModel):
    """Raw probabilities: numbers, or for a multiclass model vectors."""

    model_config = ConfigDict(extra="forbid", strict=True)

    probabilities: list[float] | list[list[float]]
    coverage: Inner = Field(default=COVERAGE, description="wanted share of sets with the right answer")


class PredictedSets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prediction sets, each of which holds the right answer with the wanted probability."""

    sets: Annotated[list[list[str | int]], Meta(description="class names, or 0 and 1 where a binary model has none")]
    calibrator_version: int | None
    coverage: Ratio
    threshold: Annotated[
        float, Meta(description="an answer is in its set where 1 - its probability as served is at most this")
    ]
    labelled: Annotated[Count, Meta(description="events that the threshold is from")]
    measured_coverage: MeasuredCoverage | None


@router.post("/{model}/predict-set", responses=gives(PredictedSets), dependencies=[CURRENT])
def predict_sets(request: Request, context: Context, now: Now, model: ModelName, asked: PredictSetRequest) -> Response:
    """Return for each event a set of answers that holds the right one with the wanted probability.

    Probabilities are raw, and mapped through the champion. The threshold is from the labels of the model's longest window, computed
    again after new labels, at most every five seconds; it is also among its thresholds, for sets that are made where the model serves.
    """
    if len(asked.probabilities) > MAX_PROBABILITIES:
        raise BadInput("probabilities", len(asked.probabilities), f"must be at most {MAX_PROBABILITIES} at once")
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        champion = champion_document(connection, clock.model)
        served = _served(clock.model, champion, asked)
        conformal, is_stale = kept(request).sets(connection, clock, champion, asked.coverage, now)
    mark_stale(request, is_stale=is_stale)
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
    """Return the probabilities as the champion serves them, shape (n,) for a binary model, else (n, classes)."""
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
