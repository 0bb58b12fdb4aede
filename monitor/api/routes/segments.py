"""Route about segments: the parts of its traffic in which a model is miscalibrated, whatever the total shows."""

from typing import Annotated

from fastapi import APIRouter, Query
from msgspec import Meta, Struct
from pydantic import BaseModel, Field
from starlette.responses import Response

from ...domain.quantities import Moment
from ...domain.times import moment
from ...windows import segments
from ...windows.clock import clocked
from ...windows.evaluation import Question
from ...windows.segments import SegmentRow
from ...windows.sums import by_place
from ...windows.verdicts import Standing
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named, usable
from ..freshness import CURRENT
from ..strict import StrictRoute
from .calibration import Range, range_of

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)


class Segments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declared segments, worst first."""

    segments: list[SegmentRow]
    false_discovery_rate: Annotated[
        float, Meta(description="of the segments flagged in one look, at most this share is calibrated on average")
    ]
    threshold: Annotated[float, Meta(description="the ECE up to which a segment counts as calibrated")]
    start: Moment
    end: Moment
    matured: bool


class SegmentsQuery(BaseModel):
    """A query about segments, over a window or a range of time."""

    window: str | None = Field(default=None, description="a duration such as 24h, up to 3660d; 24h if nothing is given")
    start: str | None = Field(default=None, description="RFC 3339 with a zone; the range is half-open")
    end: str | None = Field(default=None, description="RFC 3339 with a zone")
    version: str | None = Field(default=None, description="a model version; all of them if not given")


@router.get("/{model}/segments", responses=gives(Segments), dependencies=[CURRENT])
def show_segments(context: Context, now: Now, model: ModelName, query: Annotated[SegmentsQuery, Query()]) -> Response:
    """List declared segments, and pairs of them, worst first.

    A segment is flagged where this range has evidence that its ECE is beyond `threshold`. Of the flagged ones, at most the share
    `false_discovery_rate` is calibrated, on average, however many segments there are. That holds for each look by itself: for a promise
    that holds however often one looks, see the alert `segment` and `segments` in `GET …/evidence`.
    """
    version = usable("version", query.version)
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        asked = Range(window=query.window, start=query.start, end=query.end)
        start, end = range_of(asked, clock, clock.matured_until, now)
        over, before = (start, end), (2 * start - end, start)
        sums = by_place(connection, clock.model, {over, before})
        standing = Standing.read(connection, clock)
    matured = clock.matured_until is not None and min(end, clock.newest_end or end) <= clock.matured_until
    whole = Question(model=clock.model, version=query.version, segment="", start=start, end=end, matured=matured)
    here, earlier = (segments.of_version(clock.model, sums[span], version) for span in (over, before))
    return answer(
        Segments(
            segments=segments.ranked(whole, here, earlier, standing.judged),
            false_discovery_rate=clock.model.settings.false_alarm_rate,
            threshold=segments.threshold(clock.model),
            start=moment(start),
            end=moment(end),
            matured=matured,
        )
    )
