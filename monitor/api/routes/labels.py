"""Route about labels: how long they take, how many predictions have theirs, and whether early ones are like late ones."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.delays import Seen
from ...domain.errors import BadInput
from ...domain.quantities import Count, Moment, Ratio
from ...domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP
from ...domain.times import DAY, SECOND, ceil, duration_text, floor, moment, parse_span
from ...stats.maturity import Arrivals, GapDifference
from ...store import coverage, models
from ...store.coverage import Totals
from ...store.rollups import Span
from ...windows.clock import Clocked, aged, clocked
from ...windows.delays import early_and_late, learned, median, quantile
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named
from ..freshness import CURRENT
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)

DEFAULT_WINDOW: Final = "7d"
LONGEST: Final = 366 * DAY
BY_HOUR: Final = 2 * DAY
"""Cohorts of windows up to this long are hours, of longer ones days."""

QUANTILES: Final = (0.5, 0.9, 0.99)


class Delay(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long it takes until a share of the labels has come; null while there are none."""

    share: Annotated[Ratio, Meta(description="of the labels")]
    observed: Annotated[
        str | None, Meta(description="of the labels seen so far: too short while predictions are young")
    ]
    estimated: Annotated[
        str | None, Meta(description="of the labels that ever come, with what is still unlabelled accounted for")
    ]


class EarlyLate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mean of outcome less confidence of labels that came within the median delay, and of those that came later."""

    within: Annotated[str, Meta(description="the median delay of the labels seen so far")]
    early: float
    late: float
    difference: Annotated[float, Meta(description="early less late")]
    low: Annotated[float, Meta(description="95 % interval of the difference")]
    high: float
    z: float | None


class Cohort(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Predictions of an hour or a day, and how many of them are labelled."""

    start: Moment
    end: Moment
    predictions: Count
    labelled: Count
    label_coverage: Ratio | None
    late: Annotated[Count, Meta(description="labels that came later than declared, by their own time")]
    matured: Annotated[bool, Meta(description="the labels of all these predictions have had their time to come")]


class Labels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delay and coverage of labels."""

    model: str
    label_delay: str
    learned: Annotated[bool, Meta(description="from what was seen; else the delay is declared")]
    matured_until: Annotated[
        Moment | None, Meta(description="the labels of earlier predictions have had their time to come")
    ]
    delays: list[Delay]
    labels_seen: Annotated[Count, Meta(description="first labels that delays are known of")]
    share_never: Annotated[
        Ratio | None,
        Meta(description="estimated share of predictions that are never labelled, as far as can be seen yet"),
    ]
    early_late: Annotated[
        EarlyLate | None, Meta(description="null without labels on either side, and where there are no confidences")
    ]
    warning: Annotated[str | None, Meta(description="early labels are not like late ones")]
    cohorts: Annotated[list[Cohort], Meta(description="oldest first; those without predictions are left out")]


class LabelsQuery(BaseModel):
    """A query about labels."""

    window: str = Field(
        default=DEFAULT_WINDOW, description="how far back cohorts are listed, by hour up to 48h, by day up to 366d"
    )


@router.get("/{model}/labels", responses=gives(Labels), dependencies=[CURRENT])
def show_labels(context: Context, now: Now, model: ModelName, query: Annotated[LabelsQuery, Query()]) -> Response:
    """Return how long labels take, whether early ones are like late ones, and how many predictions of each cohort have theirs.

    The delay is estimated with what is still unlabelled counted for as long as it was watched; that of the labels seen so far is too
    short while predictions are young. A cohort is an hour or a day of predictions, until its labels have had their time provisional.
    """
    length = parse_span("window", query.window)
    if not 0 < length <= LONGEST:
        raise BadInput("window", query.window, "must be longer than 0s and at most 366d")
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        seen = models.seen_delays(connection, clock.model.id)
        ages = aged(connection, clock.model, clock.progress, seen, now)
        cohorts = _cohorts(connection, clock, length)
    counts = {bucket: labels.count for bucket, labels in seen.items()}
    arrivals, gap = learned(counts, ages), early_and_late(seen)
    return answer(
        Labels(
            model=clock.model.name,
            label_delay=_text(clock.delay),
            learned=clock.model.settings.label_delay is None,
            matured_until=None if clock.matured_until is None else moment(clock.matured_until),
            delays=_delays(counts, arrivals),
            labels_seen=sum(counts.values()),
            share_never=1 - arrivals.ever if counts else None,
            early_late=None if gap is None else _early_late(gap, seen),
            warning=_warning(gap, seen),
            cohorts=cohorts,
        )
    )


def _text(delay: float) -> str:
    """Return a delay in words, in whole seconds."""
    return duration_text(ceil(round(delay), SECOND))


def _known(delay: float | None) -> str | None:
    return None if delay is None else _text(delay)


def _delays(counts: dict[int, int], arrivals: Arrivals) -> list[Delay]:
    return [
        Delay(share=share, observed=_known(quantile(counts, share)), estimated=_known(arrivals.quantile(share)))
        for share in QUANTILES
    ]


def _early_late(gap: GapDifference, seen: dict[int, Seen]) -> EarlyLate:
    return EarlyLate(
        within=_text(median(seen) or 0),
        early=gap.early,
        late=gap.late,
        difference=gap.difference,
        low=gap.low,
        high=gap.high,
        z=gap.z,
    )


def _warning(gap: GapDifference | None, seen: dict[int, Seen]) -> str | None:
    if gap is None or not gap.warns:
        return None
    return (
        f"labels that come within {_text(median(seen) or 0)} are not like later ones: outcome less confidence is {gap.early:+.3f} on "
        f"average among them, {gap.late:+.3f} among later ones (95 % interval of the difference {gap.low:+.3f} to {gap.high:+.3f}); "
        f"figures of predictions whose labels are still coming lean towards the early ones"
    )


def _cohorts(connection: Connection, clock: Clocked, length: int) -> list[Cohort]:
    """Return the cohorts of a model as a whole that have predictions, oldest first."""
    if clock.newest_end is None:
        return []
    level = HOUR_LEVEL if length <= BY_HOUR else DAY_LEVEL
    step = LEVEL_STEP[level]
    span = Span(level, max(0, floor(clock.newest_end - length, step)), ceil(clock.newest_end, step))
    parts: dict[int, list[Totals]] = {}
    for totals in coverage.totals(connection, clock.model.id, [span]):
        parts.setdefault(totals.begin, []).append(totals)
    return [_cohort(clock, begin, begin + step, parts[begin]) for begin in sorted(parts)]


def _cohort(clock: Clocked, start: int, end: int, parts: list[Totals]) -> Cohort:
    predictions, labelled = sum(part.predictions for part in parts), sum(part.labelled for part in parts)
    last = min(end, clock.newest_end or end)
    return Cohort(
        start=moment(start),
        end=moment(end),
        predictions=predictions,
        labelled=labelled,
        label_coverage=labelled / predictions if predictions else None,
        late=sum(part.late for part in parts),
        matured=clock.matured_until is not None and last <= clock.matured_until,
    )
