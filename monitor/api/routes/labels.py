"""Route about labels: how long they take, how many predictions have theirs, and whether early ones are like late ones."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.delays import Seen
from ...domain.errors import BadInput
from ...domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP
from ...domain.times import DAY, SECOND, ceil, duration_text, floor, parse_span, rfc3339
from ...stats.maturity import Arrivals, GapDifference
from ...store import coverage, models
from ...store.coverage import Totals
from ...store.rollups import Span
from ...windows.clock import Clocked, aged, clocked
from ...windows.delays import early_and_late, learned, median, quantile
from ..answers import answer
from ..dependencies import Context, ModelName, Now, model_named
from ..shapes import Labels, gives
from ..strict import StrictRoute
from .calibration import wait_for_roll_up

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)

DEFAULT_WINDOW: Final = "7d"
LONGEST: Final = 366 * DAY
BY_HOUR: Final = 2 * DAY
"""Cohorts of windows up to this long are hours, of longer ones days."""

QUANTILES: Final = (0.5, 0.9, 0.99)


class LabelsQuery(BaseModel):
    """What is asked about labels."""

    window: str = Field(
        default=DEFAULT_WINDOW, description="how far back cohorts are listed, by hour up to 48h, by day up to 366d"
    )


@router.get("/{model}/labels", responses=gives(Labels))
def show_labels(context: Context, now: Now, model: ModelName, query: Annotated[LabelsQuery, Query()]) -> Response:
    """Return how long labels take, whether early ones are like late ones, and how many predictions of each cohort have theirs.

    The delay is estimated with what is still unlabelled counted for as long as it was watched; that of the labels seen so far is too
    short while predictions are young. A cohort is an hour or a day of predictions, until its labels have had their time provisional.
    """
    length = parse_span("window", query.window)
    if not 0 < length <= LONGEST:
        raise BadInput("window", query.window, "must be longer than 0s and at most 366d")
    wait_for_roll_up(context.database, now)
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        seen = models.seen_delays(connection, clock.model.id)
        ages = aged(connection, clock.model, clock.progress, seen, now)
        cohorts = _cohorts(connection, clock, length)
    counts = {bucket: each.count for bucket, each in seen.items()}
    found = early_and_late(seen)
    return answer(
        {
            "model": clock.model.name,
            "label_delay": _text(clock.delay),
            "learned": clock.model.settings.label_delay is None,
            "matured_until": None if clock.matured_until is None else rfc3339(clock.matured_until),
            **_delays(counts, learned(counts, ages)),
            "early_late": None if found is None else _early_late(found, seen),
            "warning": _warning(found, seen),
            "cohorts": cohorts,
        }
    )


def _text(delay: float | None) -> str | None:
    """Return a delay in words, in whole seconds."""
    return None if delay is None else duration_text(ceil(round(delay), SECOND))


def _delays(counts: dict[int, int], found: Arrivals) -> dict[str, Any]:
    return {
        "delays": [
            {"share": part, "observed": _text(quantile(counts, part)), "estimated": _text(found.quantile(part))}
            for part in QUANTILES
        ],
        "labels_seen": sum(counts.values()),
        "share_never": 1 - found.ever if counts else None,
    }


def _early_late(found: GapDifference, seen: dict[int, Seen]) -> dict[str, Any]:
    named = ("early", "late", "difference", "low", "high", "z")
    return {"within": _text(median(seen)), **{name: getattr(found, name) for name in named}}


def _warning(found: GapDifference | None, seen: dict[int, Seen]) -> str | None:
    if found is None or not found.warns:
        return None
    return (
        f"labels that come within {_text(median(seen))} are not like later ones: outcome less confidence is {found.early:+.3f} on average "
        f"among them, {found.late:+.3f} among later ones (95 % interval of the difference {found.low:+.3f} to {found.high:+.3f}); figures "
        f"of predictions whose labels are still coming lean towards the early ones"
    )


def _cohorts(connection: Connection, clock: Clocked, length: int) -> list[dict[str, Any]]:
    """Return the cohorts of a model as a whole that have predictions, oldest first."""
    if clock.newest_end is None:
        return []
    level = HOUR_LEVEL if length <= BY_HOUR else DAY_LEVEL
    step = LEVEL_STEP[level]
    span = Span(level, max(0, floor(clock.newest_end - length, step)), ceil(clock.newest_end, step))
    found: dict[int, list[Totals]] = {}
    for each in coverage.totals(connection, clock.model.id, [span]):
        found.setdefault(each.begin, []).append(each)
    return [_cohort(clock, begin, begin + step, found[begin]) for begin in sorted(found)]


def _cohort(clock: Clocked, start: int, end: int, parts: list[Totals]) -> dict[str, Any]:
    predictions, labelled = sum(each.predictions for each in parts), sum(each.labelled for each in parts)
    last = min(end, clock.newest_end or end)
    return {
        "start": rfc3339(start),
        "end": rfc3339(end),
        "predictions": predictions,
        "labelled": labelled,
        "label_coverage": labelled / predictions if predictions else None,
        "late": sum(each.late for each in parts),
        "matured": clock.matured_until is not None and last <= clock.matured_until,
    }
