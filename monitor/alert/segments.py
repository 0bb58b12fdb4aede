"""Segments whose confidence does not mean what it says, each by a sequential test of its own; one alarm of a version names them all."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import Connection

from ..domain.alerts import RESOLVED, SEGMENT, Alarm, Alert, Evidence
from ..domain.evaluations import Direction, Evaluation
from ..domain.faults import direction_words
from ..domain.quantities import Moment
from ..domain.segments import readable
from ..domain.sequential import VersionEvidence
from ..domain.settings import CLASS, ModelSettings
from ..domain.times import micros
from ..store import alerts, evaluations, sequential
from ..windows import segments
from .kind import Kind, Watch, Watched
from .promise import shown
from .settling import settling
from .transitions import RESOLVED_SHARE, Finding, percent
from .windows import SEQUENTIAL, shortest_window


class SegmentFault(Struct, frozen=True, kw_only=True):
    """The test of a segment that the alarm names, or named."""

    segment: str
    direction: Direction | None
    ece: float | None  # of the newest window, of a regression that of the quantiles; null: too few labels
    e_value: float
    log_e_peak: float | None
    level: float | None
    labels: int
    peaked_at: Moment | None
    tested_since: Moment


class SegmentsEvidence(Evidence, frozen=True, kw_only=True):
    """Segments that are off, and what their tests say."""

    policy: Literal["sequential"] = "sequential"
    segments: list[SegmentFault]
    threshold: float
    false_alarm_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The windows that show that all named segments are back."""

    start: int
    end: int
    errors: dict[str, float | None]


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield the one alarm of each version of a model with declared segments, under either policy."""
    if settings.segments:
        yield SEQUENTIAL, ""


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield the segments that are off of each version whose alarm does not name them all, and that they are back where it does."""
    if not watch.settings.segments:
        return
    firing = {alarm.version: since for alarm, since in watch.firing(SEGMENT)}
    off = _off(sequential.newest_of_segments(watch.connection, watch.model.id), watch)
    # Labels chosen by outcome speak against segments as they do against the whole.
    held = {test.version for _, test in sequential.newest(watch.connection, watch.model.id) if test.held}
    for version, tests in off.items():
        if version not in firing and version not in held:
            yield _fires(watch, version, tests)
    for version, since in firing.items():
        tests, named = off.get(version, []), _named(watch, version)
        if version not in held and not {test.segment for test in tests} <= named:
            yield _fires(watch, version, tests)
        else:
            over = _over(watch, version, named, since)
            if over is not None:
                yield _ends(watch, version, tests, over)


def _off(tests: Iterable[tuple[int, VersionEvidence]], watch: Watch) -> dict[str, list[VersionEvidence]]:
    """Return the tests of declared segments that have reached their limit and are not held, by version, the strongest first."""
    by_version: dict[str, list[VersionEvidence]] = {}
    for _, test in tests:
        if test.highest >= test.limit and not test.held and segments.declared(watch.model, test.segment):
            by_version.setdefault(test.version, []).append(test)
    return {version: sorted(own, key=lambda test: -test.highest) for version, own in by_version.items()}


def _alarm(version: str) -> Alarm:
    return Alarm(SEGMENT, SEQUENTIAL, version, "")


def _named(watch: Watch, version: str) -> set[str]:
    """Return the segments that the firing alarm named, as far as they are still declared."""
    alert = alerts.newest_of(watch.connection, watch.model.id, _alarm(version))
    named = () if alert is None else alert.evidence_as(SegmentsEvidence).segments
    return {fault.segment for fault in named if segments.declared(watch.model, fault.segment)}


def _fires(watch: Watch, version: str, tests: Collection[VersionEvidence]) -> Finding:
    evidence = _evidence(watch, tests, _errors(watch, version))
    rate = watch.settings.false_alarm_rate
    reached = max(micros(test.until if test.peaked_at is None else test.peaked_at) for test in tests)
    said = "; ".join(_words(watch.model.task, fault) for fault in evidence.segments)
    name = "segment is" if len(tests) == 1 else "segments are"
    return Finding(
        alarm=_alarm(version),
        start=min(micros(test.since) for test in tests),
        end=reached,
        enough=True,
        beyond=True,
        back=False,
        grows=True,
        claim=f"{len(tests)} {name} off by more than {evidence.threshold:g}: {said}. Errors of segments can cancel, and the whole "
        f"look calibrated. A model whose segments are all within that ever raises this alert with probability at most {percent(rate / 2)}.",
        relief="",
        evidence=evidence,
    )


def _words(task: str | None, fault: SegmentFault) -> str:
    words = direction_words(task, fault.direction)
    error = "" if fault.ece is None else f", ECE about {fault.ece:.3f}"
    return f"{readable(fault.segment)} {words[0].lower()}{words[1:]}{error}"


def _evidence(watch: Watch, tests: Collection[VersionEvidence], errors: dict[str, float | None]) -> SegmentsEvidence:
    faults = [
        SegmentFault(
            segment=test.segment,
            direction=test.direction,
            ece=errors.get(test.segment),
            e_value=shown(test.highest),
            log_e_peak=test.log_e_peak,
            level=test.level,
            labels=test.labels,
            peaked_at=test.peaked_at,
            tested_since=test.since,
        )
        for test in tests
    ]
    return SegmentsEvidence(
        segments=faults,
        threshold=segments.threshold(watch.model),
        false_alarm_rate=watch.settings.false_alarm_rate,
    )


def _errors(watch: Watch, version: str) -> dict[str, float | None]:
    """Return the ECE of each segment of a version over the newest shortest window."""
    window, _ = shortest_window(watch)
    return {
        evaluation.segment: evaluation.figures.get(evaluation.error)
        for _, length, evaluation in evaluations.newest(watch.connection, watch.model.id)
        if length == window and (evaluation.version or "") == version
    }


def _over(watch: Watch, version: str, named: Collection[str], since: int) -> _End | None:
    """Return the windows that end an alarm, of each segment one that began after it fired and is clearly back by its bound at even odds."""
    _, newest = shortest_window(watch)
    if newest is None:
        return None
    judged: dict[str, Evaluation] = {}
    for segment in sorted(named):
        _, even = settling(watch, version, newest, since, segment)
        bound = None if even is None else even.error_lower_bound
        if even is None or bound is None or bound >= RESOLVED_SHARE * segments.threshold(watch.model):
            return None
        judged[segment] = even
    ranges = [even.over for even in judged.values()] or [newest]
    errors = {segment: even.error_lower_bound for segment, even in judged.items()}
    return _End(start=min(start for start, _ in ranges), end=max(end for _, end in ranges), errors=errors)


def _ends(watch: Watch, version: str, tests: Collection[VersionEvidence], over: _End) -> Finding:
    said = ", ".join(f"{readable(segment)} about {error or 0.0:.3f}" for segment, error in over.errors.items())
    relief = f"The ECE of the segments is back under the threshold {segments.threshold(watch.model):g}: {said}. Their tests start again."
    return Finding(
        alarm=_alarm(version),
        start=over.start,
        end=over.end,
        enough=True,
        beyond=False,
        back=True,
        claim="",
        relief=relief if over.errors else "Its segments are no longer declared.",
        evidence=_evidence(watch, tests, over.errors),
    )


def _start_tests_again(connection: Connection, model_id: int, alert: Alert) -> None:
    if alert.state != RESOLVED:
        return
    tests = sequential.newest_of_segments(connection, model_id)
    own = [test for _, test in tests if test.version == alert.alarm.version and not test.segment.startswith(CLASS)]
    off = [test.segment for test in own if test.highest >= test.limit and not test.held]
    sequential.restart_segments(connection, model_id, alert.alarm.version, off, alert.at)


KIND: Final = Kind(
    name=SEGMENT,
    sentence="The confidence of declared segments does not mean what it says, by a sequential test of each; the evidence names them.",
    watched=watched,
    findings=findings,
    recorded=_start_tests_again,
)
