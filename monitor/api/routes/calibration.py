"""Routes about figures: one evaluation now, their history, drift."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from msgspec import Meta, Struct, structs
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from ...domain.drift import Drift
from ...domain.errors import BadInput
from ...domain.evaluations import Evaluation, Flag
from ...domain.names import name_fault
from ...domain.quantities import Ratio
from ...domain.records import SeriesKey
from ...domain.sequential import RatioEvidence, VersionEvidence
from ...domain.settings import RATIO, Model
from ...domain.times import DAY, SECOND, parse_bound, parse_duration, parse_span
from ...evaluation.job import reference_of
from ...stats.cells import BIN_COUNTS
from ...stats.sequential.spending import spent
from ...stats.summary import Summary
from ...store import evaluations, mappings, models, ratios, rollups, sequential
from ...windows import baseline, segments
from ...windows.clock import Clocked, clocked
from ...windows.drift import drift
from ...windows.evaluation import DEFAULT_BINS, Question, evaluation
from ...windows.onset import dated
from ...windows.ranges import widened
from ...windows.remedies import Breach, is_pending, remedies, with_remedy
from ...windows.rows import Wanted
from ...windows.sums import by_place, of_series
from ...windows.value_maps import mapping_of
from ...windows.verdicts import Standing
from ..answers import answer, gives
from ..dependencies import Context, ModelName, Now, model_named, usable
from ..evaluations import METRICS, EvaluationAnswer, History, RegressionEvaluation, shown
from ..freshness import CURRENT
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)

DEFAULT_WINDOW: Final = "24h"
HISTORY_DAYS: Final = 7
KEEPS_UP: Final = 5 * SECOND
PATIENCE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05
_LOST_PLUS: Final = re.compile(r"(:[0-9]{2}(?:\.[0-9]+)?) ([0-9]{2}:[0-9]{2})$")


class Range(BaseModel):
    """A window that ends at the newest prediction that counts, or a range from start to end."""

    window: str | None = Field(default=None, description="a duration such as 24h, up to 3660d; 24h if nothing is given")
    start: str | None = Field(default=None, description="RFC 3339 with a zone; the range is half-open")
    end: str | None = Field(default=None, description="RFC 3339 with a zone")
    version: str | None = Field(default=None, description="a model version; all of them if not given")
    segment: str = Field(default="", description="`key:value`; the model as a whole if not given")


class CalibrationQuery(Range):
    """A query for an evaluation."""

    bins: int | None = Field(
        default=None,
        description="10, 12, 15, 20 or 30 bins of equal width; if not given 15, or one per distinct value where all are verbalised",
    )
    scores: Literal["served", "raw"] = Field(default="served", description="as served, or as the model gave them")


class HistoryQuery(Range):
    """A query for stored evaluations."""

    window: str | None = Field(default=None, description="one of the model's windows")
    metric: str | None = Field(default=None, description="only this field of each evaluation")
    limit: Annotated[int, Query(ge=1, le=20_000)] = 5000


def time_of(field: str, text: str) -> int:
    """Return a time from a query, in which a + that was not encoded has become a space."""
    return parse_bound(field, _LOST_PLUS.sub(r"\1+\2", text))


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
        start, end = time_of("start", query.start), time_of("end", query.end)
        if start >= end:
            raise BadInput("end", query.end, "must be after start")
    else:
        end = newest if newest is not None else now
        start = end - parse_span("window", DEFAULT_WINDOW if query.window is None else query.window)
        if start >= end:
            raise BadInput("window", query.window, "must be longer than 0s")
    return widened(start, end, clock.progress.minutes_from)


@router.get("/{model}/calibration", responses=gives(EvaluationAnswer | RegressionEvaluation), dependencies=[CURRENT])
def show_calibration(
    context: Context, now: Now, model: ModelName, query: Annotated[CalibrationQuery, Query()]
) -> Response:
    """Compute one evaluation now.

    A window ends at the newest prediction whose label has had its time to come. Ranges are widened to whole minutes, or
    to whole hours where minutes are no longer kept; the answer carries the widened range.
    """
    if query.bins not in {None, *BIN_COUNTS}:
        raise BadInput("bins", query.bins, f"must be one of {', '.join(map(str, BIN_COUNTS))}")
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        start, end = range_of(query, clock, clock.matured_until, now)
        wanted = _wanted(connection, query, clock)
        summary = of_series(connection, clock.model, start, end, wanted)
        before = of_series(connection, clock.model, start - (end - start), start, wanted)
        calibrated = _calibrated(connection, query, clock, (start, end), wanted)
        if clock.model.task == "regression":
            _check_uncalibrated(calibrated)
        maps = mappings.of_model(connection, clock.model.id)
        question = replace(
            _question(query, clock, start, end),
            scores=query.scores,
            bins=query.bins or DEFAULT_BINS,
            by_value=query.bins is None,
            watched=not calibrated.events,
        )
        evaluated = _judged(connection, clock, question, evaluation(question, summary, before))
        evaluated = _with_remedy(connection, clock, evaluated, summary)
        evaluated = dated(connection, clock, evaluated, wanted)
    return answer(shown(evaluated, mapping_of(maps, query.version)))


def _judged(connection: Connection, clock: Clocked, question: Question, evaluated: Evaluation) -> Evaluation:
    """Return an evaluation with the verdict that alerts, tests and flags make of it, where it is of what was served."""
    if not question.watched:
        return evaluated
    flagged = structs.replace(evaluated, flag=_flag(connection, question))
    return structs.replace(Standing.read(connection, clock).judged(flagged), flag=None)


def _with_remedy(connection: Connection, clock: Clocked, evaluated: Evaluation, summary: Summary) -> Evaluation:
    if not is_pending(evaluated):
        return evaluated
    breach = Breach.of(clock.model, evaluated, summary)
    return with_remedy(evaluated, remedies(connection, clock, [breach])[0])


def _flag(connection: Connection, question: Question) -> Flag | None:
    """Return the flag of a declared segment, among all segments of its window; None for other windows."""
    if not segments.declared(question.model, question.segment):
        return None
    now, before = (question.start, question.end), (2 * question.start - question.end, question.start)
    sums = by_place(connection, question.model, {now, before})
    here, earlier = (segments.of_version(question.model, sums[over], question.version) for over in (now, before))
    return segments.flag_of(question.model, question.segment, here, earlier)


def _wanted(connection: Connection, query: Range, clock: Clocked) -> Callable[[SeriesKey], bool]:
    version, segment = usable("version", query.version), _segment(connection, query.segment, clock)

    def test(key: SeriesKey) -> bool:
        return key.segment == segment and version in {None, key.version}

    return test


def _under_calibrators(wanted: Callable[[SeriesKey], bool]) -> Callable[[SeriesKey], bool]:
    return lambda key: key.calibrator != 0 and wanted(key)


def _calibrated(
    connection: Connection, query: CalibrationQuery, clock: Clocked, over: tuple[int, int], wanted: Wanted
) -> Summary:
    """Return the sums of what a calibrator served, where raw scores are asked for: where there are none, they were served."""
    if query.scores == "served":
        return Summary.of([])
    return of_series(connection, clock.model, *over, _under_calibrators(wanted))


def _check_uncalibrated(calibrated: Summary) -> None:
    """Refuse figures of raw distributions where a calibrator served: raw distributions are not summed then.

    Raises
    ------
    BadInput
        when any was calibrated.

    """
    if calibrated.events:
        raise BadInput(
            "scores",
            "raw",
            f"must be served: in this range {calibrated.events} distributions were calibrated, and figures are of what was served",
        )


def _segment(connection: Connection, segment: str, clock: Clocked) -> str:
    """Return a segment that was asked for; its key must be declared, or have been."""
    key, _, value = segment.partition(":")
    if not segment or (key in clock.model.settings.segments and name_fault(value) is None):
        return segment
    if any(series.segment == segment for series in rollups.series_ids(connection, clock.model.id)):
        return segment
    declared = ", ".join(clock.model.settings.segments) or "none"
    raise BadInput("segment", segment, f"must be a declared segment and a value, as in key:value; declared: {declared}")


def _question(query: Range, clock: Clocked, start: int, end: int) -> Question:
    matured = clock.matured_until is not None and min(end, clock.newest_end or end) <= clock.matured_until
    return Question(
        model=clock.model, version=query.version, segment=query.segment, start=start, end=end, matured=matured
    )


@router.get("/{model}/drift", responses=gives(Drift), dependencies=[CURRENT])
def show_drift(context: Context, now: Now, model: ModelName, query: Annotated[Range, Query()]) -> Response:
    """Compare raw scores with the reference now; a window ends at the newest prediction, since no label is needed."""
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        start, end = range_of(query, clock, clock.newest_end, now)
        wanted = _wanted(connection, query, clock)
        reference = reference_of(clock, start, end)
        current = of_series(connection, clock.model, start, end, wanted)
        before = of_series(connection, clock.model, reference.start, reference.end, wanted)
        validated = _validated(connection, clock, query, (start, end))
    reference, before = baseline.compared_with(clock, validated, reference, before)
    return answer(drift(_question(query, clock, start, end), current, before, reference))


def _validated(
    connection: Connection, clock: Clocked, query: Range, over: tuple[int, int]
) -> baseline.Validation | None:
    """Return the validation set of the version that is asked for, or of all that served in a range if each of them has one."""
    parts = baseline.of_versions(connection, clock.model) if baseline.may_be_reference(clock) else {}
    if query.segment or not parts:
        return None
    if query.version is not None:
        return parts.get(query.version)
    served = {version for version, _ in by_place(connection, clock.model, {over}, "")[over]} or parts.keys()
    return baseline.together([parts[name] for name in served]) if served <= parts.keys() else None


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sequential tests of a model, by version, and how much of its false-alarm rate they have used up."""

    evidence: list[VersionEvidence]
    segments: Annotated[
        list[VersionEvidence],
        Meta(description="the tests of declared segments; `ece_at_least` is of versions as a whole only"),
    ]
    classes: Annotated[
        list[VersionEvidence],
        Meta(description="the tests of classes with thresholds of their own, with `class=NAME` as `segment`"),
    ]
    ratios: Annotated[
        list[RatioEvidence], Meta(description="the tests of the threshold `ratio`, of observed over expected outcomes")
    ]
    false_alarm_rate: Annotated[
        Ratio, Meta(description="of all tests of the model together, however long it is watched")
    ]
    spent: Annotated[
        Ratio,
        Meta(description="sum of the levels of all tests that have bet so far, at the present `false_alarm_rate`"),
    ]


@router.get("/{model}/evidence", responses=gives(Evidence), dependencies=[CURRENT])
def show_evidence(context: Context, model: ModelName) -> Response:
    """Return what the sequential tests of each model version say now."""
    with context.database.read() as connection:
        stored = model_named(connection, model)
        tests = sequential.newest(connection, stored.id)
        of_segments = sequential.newest_of_segments(connection, stored.id)
        of_ratios = ratios.newest(connection, stored.id) if RATIO in stored.settings.thresholds else []
        progress = models.progress_of(connection, [stored.id])[stored.id]
    rate = stored.settings.false_alarm_rate
    return answer(
        Evidence(
            evidence=[test for _, test in tests],
            segments=[test for _, test in of_segments if segments.declared(stored, test.segment)],
            classes=[test for _, test in of_segments if _is_of_class(stored, test.segment)],
            ratios=[test for _, test in of_ratios],
            false_alarm_rate=rate,
            spent=spent(progress.starts, rate) + spent(progress.segment_starts, rate),
        )
    )


def _is_of_class(model: Model, segment: str) -> bool:
    return segments.has_test(model, segment) and not segments.declared(model, segment)


@router.get("/{model}/history", responses=gives(History), dependencies=[CURRENT])
def show_history(context: Context, now: Now, model: ModelName, query: Annotated[HistoryQuery, Query()]) -> Response:
    """Return stored evaluations of a window that ended between start and end, oldest first.

    Without start and end, those of the last seven days of the model's own time. Of more than `limit`, the newest.
    """
    if query.metric is not None and query.metric not in METRICS:
        raise BadInput("metric", query.metric, f"there is no such field; there are {', '.join(METRICS)}")
    with context.database.read() as connection:
        clock = clocked(connection, model_named(connection, model), now)
        start, end = _past(query, clock.matured_until or now)
        stored = evaluations.history(
            connection,
            clock.model.id,
            window=stored_window(clock, query.window),
            segment=_segment(connection, query.segment, clock),
            version=usable("version", query.version),
            start=start,
            end=end,
            limit=query.limit,
        )
        standing = Standing.read(connection, clock)
    rows = [standing.remembered(evaluation).as_json() for evaluation in stored]
    if query.metric is None:
        return answer({"evaluations": rows})
    return answer({"evaluations": [{"end": row["end"], query.metric: row.get(query.metric)} for row in rows]})


def _past(query: Range, newest: int) -> tuple[int, int]:
    end = time_of("end", query.end) if query.end is not None else newest
    start = time_of("start", query.start) if query.start is not None else end - HISTORY_DAYS * DAY
    if start > end:
        raise BadInput("start", query.start, "must not be after end")
    return start, end


def stored_window(clock: Clocked, window: str | None) -> str:
    """Return one of the model's windows, under the name that it was declared by.

    Raises
    ------
    BadInput
        when it has no such window.

    """
    stored = clock.model.settings.windows
    if window is None:
        return DEFAULT_WINDOW if DEFAULT_WINDOW in stored else stored[0]
    wanted = parse_duration("window", window)
    for declared in stored:
        if parse_duration("window", declared) == wanted:
            return declared
    raise BadInput("window", window, f"is not evaluated on a schedule; the model's windows are {', '.join(stored)}")
