"""Route about thresholds on served scores: what they select, and where they should be."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.errors import BadInput
from ...domain.names import CHALLENGER, CHAMPION
from ...domain.quantities import Count, Moment, Ratio
from ...domain.settings import Model
from ...domain.times import duration_text, moment
from ...recalibrate.decisions import impacts
from ...recalibrate.prediction_sets import COVERAGE, ConformalSets, sets_of
from ...recalibrate.thresholds import (
    CONFIDENCE,
    Abstention,
    PrecisionThresholds,
    abstention_of,
    precision_of,
)
from ...store import versions
from ...store.calibrators import Calibrator
from ...store.impact import DecisionImpact
from ...windows.clock import Clocked, clocked
from ...windows.raw_scores import Under, known_of
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named, usable
from ..freshness import CURRENT
from ..strict import StrictRoute
from .calibration import Range, range_of

router = APIRouter(prefix="/v1/models", tags=["decisions"], route_class=StrictRoute)

IDENTITY: Final = frozenset({"identity", "none"})
LARGEST: Final = 10**9

Inner = Annotated[float, Field(ge=1e-6, le=1 - 1e-6, allow_inf_nan=False)]


class ThresholdsQuery(BaseModel):
    """A query about thresholds."""

    window: str | None = Field(
        default=None, description="a duration such as 7d, up to 3660d; the longest of the model's windows if not given"
    )
    start: str | None = Field(default=None, description="RFC 3339 with a zone; the range is half-open")
    end: str | None = Field(default=None, description="RFC 3339 with a zone")
    version: str | None = Field(default=None, description="a model version; all of them if not given")
    calibrator: str = Field(
        default=CHAMPION,
        description="whose scores: a version's number, `champion` (raw scores where there is none), `challenger`, or `identity` (also "
        "`none`) for raw scores",
    )
    precision: Inner | None = Field(default=None, description="wanted share of right ones among what is selected")
    risk: Inner | None = Field(default=None, description="largest share of wrong answers")
    coverage: Inner = Field(default=COVERAGE, description="wanted share of prediction sets with the right answer")
    confidence: Inner = Field(default=CONFIDENCE, description="with which a threshold gives the precision or risk")


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds on scores as a calibrator would serve them: declared ones, recommended ones, and prediction sets."""

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


@router.get("/{model}/thresholds", responses=gives(Thresholds), dependencies=[CURRENT])
def show_thresholds(
    context: Context, now: Now, model: ModelName, query: Annotated[ThresholdsQuery, Query()]
) -> Response:
    """Return what declared thresholds select before and after a calibrator serves, and where thresholds should be.

    All figures are of the raw scores of a window, mapped through the calibrator. A window ends at the newest prediction whose label
    has had its time to come. For models of several classes, and where only some sources of labels are trusted, the newest 20,000
    events of the window count.
    """
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        start, end = _range(query, clock, now)
        champion = _calibrator(connection, clock.model, CHAMPION)
        chosen = _calibrator(connection, clock.model, query.calibrator)
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


def _calibrator(connection: Connection, model: Model, which: str) -> Calibrator | None:
    """Return a version by its name, None for no calibrator.

    Raises
    ------
    BadInput
        for an unknown version.

    """
    if which in IDENTITY:
        return None
    aliases = versions.aliases(connection, model.id)
    if which in {CHAMPION, CHALLENGER}:
        number = aliases[which].number if which in aliases else None
        if number is None and which == CHALLENGER:
            raise BadInput("calibrator", which, "there is none now")
    elif which.isascii() and which.isdigit() and len(which) < len(str(LARGEST)):
        number = int(which)
    else:
        raise BadInput("calibrator", which, "must be a version's number, champion, challenger or identity")
    calibrator = None if number is None else versions.document(connection, model.id, number)
    if number is not None and calibrator is None:
        raise BadInput("calibrator", which, "there is no such version")
    return calibrator
