"""Routes about figures: one evaluation now, their history, drift."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from monitor import windowed
from monitor.api.context import Context, JsonObject, model_named
from monitor.errors import BadInput
from monitor.evaluate import reference_of
from monitor.figures import Question, drift, evaluation, finite
from monitor.records import SeriesKey
from monitor.stats.cells import BIN_COUNTS
from monitor.store import evaluations
from monitor.times import DAY, parse_duration, parse_time
from monitor.windowed import Clocked
from monitor.windows import widened
from monitor.wiring import wall_clock

router = APIRouter(prefix="/v1/models", tags=["figures"])

DEFAULT_WINDOW: Final = "24h"
HISTORY_DAYS: Final = 7


class Range(BaseModel):
    """A window that ends at the newest matured prediction, or a range from start to end."""

    model_config = ConfigDict(extra="forbid")

    window: str | None = None
    start: str | None = None
    end: str | None = None
    version: str | None = None
    segment: str = ""


class CalibrationQuery(Range):
    """What an evaluation is asked for."""

    bins: int = 15
    scores: Literal["served", "raw"] = "served"


class HistoryQuery(Range):
    """What stored evaluations are asked for."""

    metric: str | None = None
    limit: Annotated[int, Query(ge=1, le=20_000)] = 5000


def range_of(query: Range, clock: Clocked, newest: int | None, now: int) -> tuple[int, int]:
    """Return the range that a query means, widened to what is stored.

    Raises
    ------
    BadInput
        when it names both or half a range, or one that is empty.

    """
    if query.window is not None and (query.start is not None or query.end is not None):
        raise BadInput("window", query.window, "give either window or start and end")
    if (query.start is None) != (query.end is None):
        raise BadInput("start" if query.start is None else "end", None, "start and end go together")
    if query.start is not None and query.end is not None:
        start, end = parse_time("start", query.start), parse_time("end", query.end)
        if start >= end:
            raise BadInput("end", query.end, "must be after start")
    else:
        end = newest if newest is not None else now
        start = end - parse_duration("window", query.window or DEFAULT_WINDOW)
        if start >= end:
            raise BadInput("window", query.window, "must be longer than 0s")
    return widened(start, end, clock.progress.minutes_from)


@router.get("/{model:path}/calibration")
def show_calibration(context: Context, model: str, query: Annotated[CalibrationQuery, Query()]) -> JsonObject:
    """Compute one evaluation now."""
    if query.bins not in BIN_COUNTS:
        raise BadInput("bins", query.bins, f"must be one of {', '.join(map(str, BIN_COUNTS))}")
    now = wall_clock()
    with context.database.read() as connection:
        clock = windowed.clocked(connection, model_named(connection, model), now)
        start, end = range_of(query, clock, clock.matured_until, now)
        wanted = _wanted(query)
        summary = windowed.of_series(connection, clock.model, start, end, wanted)
        before = windowed.of_series(connection, clock.model, start - (end - start), start, wanted)
    question = _question(query, clock, start, end, bins=query.bins, scores=query.scores)
    return finite(evaluation(question, summary, before))


def _wanted(query: Range) -> Any:
    def test(key: SeriesKey) -> bool:
        return key.segment == query.segment and query.version in {None, key.version}

    return test


def _question(query: Range, clock: Clocked, start: int, end: int, **more: Any) -> Question:
    matured = clock.matured_until is not None and end <= clock.matured_until
    return Question(
        model=clock.model, version=query.version, segment=query.segment, start=start, end=end, matured=matured, **more
    )


@router.get("/{model:path}/drift")
def show_drift(context: Context, model: str, query: Annotated[Range, Query()]) -> JsonObject:
    """Compare raw scores with the reference now."""
    now = wall_clock()
    with context.database.read() as connection:
        clock = windowed.clocked(connection, model_named(connection, model), now)
        start, end = range_of(query, clock, clock.newest_end, now)
        first, last = reference_of(clock, start, end)
        current = windowed.of_series(connection, clock.model, start, end, _wanted(query))
        reference = windowed.of_series(connection, clock.model, first, last, _wanted(query))
    return finite(drift(_question(query, clock, start, end), current, reference, (first, last)))


@router.get("/{model:path}/history")
def show_history(context: Context, model: str, query: Annotated[HistoryQuery, Query()]) -> JsonObject:
    """Return stored evaluations of a window that ended between start and end, oldest first."""
    now = wall_clock()
    with context.database.read() as connection:
        clock = windowed.clocked(connection, model_named(connection, model), now)
        end = parse_time("end", query.end) if query.end else clock.matured_until or now
        start = parse_time("start", query.start) if query.start else end - HISTORY_DAYS * DAY
        found = evaluations.history(
            connection,
            clock.model.id,
            window=_stored_window(clock, query.window),
            segment=query.segment,
            version=query.version,
            start=start,
            end=end,
            limit=query.limit,
        )
    if query.metric is None:
        return {"evaluations": found}
    if found and query.metric not in found[0]:
        raise BadInput("metric", query.metric, f"there is no such field; there are {', '.join(found[0])}")
    return {"evaluations": [{"end": each["end"], query.metric: each[query.metric]} for each in found]}


def _stored_window(clock: Clocked, window: str | None) -> str:
    stored = clock.model.settings.windows
    if window is None:
        return DEFAULT_WINDOW if DEFAULT_WINDOW in stored else stored[0]
    wanted = parse_duration("window", window)
    for each in stored:
        if parse_duration("window", each) == wanted:
            return each
    raise BadInput("window", window, f"is not evaluated on a schedule; the model's windows are {', '.join(stored)}")
