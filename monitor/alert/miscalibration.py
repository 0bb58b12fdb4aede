"""Miscalibration: a model's confidence does not mean what it says, by windows, single classes or the sequential test."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

from msgspec import UNSET, UnsetType, field, structs
from sqlalchemy import Connection

from ..domain.alerts import RESOLVED, Alarm, Alert, Evidence
from ..domain.evaluations import TOO_FEW_LABELS, ClassCalibration, Direction, Evaluation, Verdict
from ..domain.quantities import Moment
from ..domain.sequential import VersionEvidence
from ..domain.settings import CLASS, Model, ModelSettings
from ..domain.times import micros, parse_duration, rfc3339
from ..stats.summary import Summary
from ..store import sequential
from ..windows.evaluation import Question, evaluation
from ..windows.ranges import Range, doubled, first_after, widened
from ..windows.sums import by_place
from .kind import Kind, Watch, Watched
from .transitions import Finding, percent

RESOLVED_SHARE: Final = 0.8
"""An alarm resolves only once what fired it is under this share of its threshold."""

EVEN_ODDS: Final = 0.5
"""How often the bound that ends an alarm may exceed the truth."""

MISCALIBRATION: Final = "miscalibration"

WINDOW: Final = "window"

SEQUENTIAL: Final = "sequential"
"""An alert policy; and in place of a window, what the alarm of the sequential test is over."""

_MOST_SHOWN: Final = 300 * math.log(10)
"""Of an e-value; beyond e to the power of it, it is so large that its size says nothing more."""


class WindowEvidence(Evidence, frozen=True, kw_only=True):
    """What a window showed of a model version as a whole; of a regression the quantiles' figures, of other models the rest."""

    policy: Literal["window", "sequential"]
    threshold: float
    false_alarm_rate: float
    ece: float | UnsetType | None = UNSET
    ece_lower_bound: float | UnsetType | None = UNSET
    ece_even_odds_bound: float | UnsetType | None = UNSET
    ece_null_mean: float | UnsetType | None = UNSET
    quantile_ece: float | UnsetType | None = UNSET
    quantile_ece_lower_bound: float | UnsetType | None = UNSET
    quantile_ece_even_odds_bound: float | UnsetType | None = UNSET
    accuracy: float | UnsetType | None = UNSET
    mean_confidence: float | UnsetType | None = UNSET
    labelled: int
    predictions: int
    direction: Direction | None
    start: Moment
    end: Moment


class ClassEvidence(Evidence, frozen=True, kw_only=True):
    """What a window showed of one class."""

    policy: Literal["window"]
    threshold: float
    false_alarm_rate: float
    name: str = field(name="class")
    labelled: int
    positives: int
    mean_probability: float | None
    observed: float | None
    ece: float | None
    ece_lower_bound: float | None
    ece_even_odds_bound: float | UnsetType | None = UNSET
    verdict: Verdict | None
    predictions: int
    start: Moment
    end: Moment


class SequentialEvidence(Evidence, frozen=True, kw_only=True):
    """What the sequential test of a model version said."""

    policy: Literal["sequential"]
    e_value: float
    log_e: float | None
    log_sr: float | None
    log_ratio: float | None
    labels: int
    steps: int
    direction: Direction
    threshold: float
    false_alarm_rate: float
    since: Moment
    until: Moment


def window_finding(seen: Evaluation, window: str, settings: ModelSettings, even: Evaluation | None = None) -> Finding:
    """Return what an evaluation says about the alarm on calibration of a model version as a whole.

    Parameters
    ----------
    even : the same at even odds, where the alarm fires: its bound is what ends it, and it is of enough labels

    """
    of_quantiles = seen.error == "quantile_ece"
    bound = seen.error_lower_bound if even is None else even.error_lower_bound
    even_bound = UNSET if even is None else bound
    figure = seen.figures.get
    evidence = WindowEvidence(
        policy=WINDOW,
        threshold=settings.thresholds["ece"],
        false_alarm_rate=settings.false_alarm_rate,
        ece=figure("ece", UNSET),
        ece_lower_bound=figure("ece_lower_bound", UNSET),
        ece_even_odds_bound=UNSET if of_quantiles else even_bound,
        ece_null_mean=figure("ece_null_mean", UNSET),
        quantile_ece=figure("quantile_ece", UNSET),
        quantile_ece_lower_bound=figure("quantile_ece_lower_bound", UNSET),
        quantile_ece_even_odds_bound=even_bound if of_quantiles else UNSET,
        accuracy=figure("accuracy", UNSET),
        mean_confidence=figure("mean_confidence", UNSET),
        labelled=seen.labelled,
        predictions=seen.predictions,
        direction=seen.direction,
        start=seen.start,
        end=seen.end,
    )
    return _bounded(
        Alarm(MISCALIBRATION, window, seen.version or "", ""),
        seen,
        bound,
        enough=even is not None or seen.verdict != TOO_FEW_LABELS,
        name="Quantile ECE" if of_quantiles else "ECE",
        evidence=evidence,
    )


def class_finding(
    seen: Evaluation,
    found: ClassCalibration,
    window: str,
    settings: ModelSettings,
    even: ClassCalibration | None = None,
) -> Finding:
    """Return what an evaluation says about the alarm on one class.

    Parameters
    ----------
    found : what it says of the class
    even : the same at even odds, where the alarm fires: its bound is what ends it, and it is of enough labels

    """
    evidence = ClassEvidence(
        policy=WINDOW,
        threshold=settings.class_thresholds[found.name],
        false_alarm_rate=settings.false_alarm_rate,
        name=found.name,
        labelled=found.labelled,
        positives=found.positives,
        mean_probability=found.mean_probability,
        observed=found.observed,
        ece=found.ece,
        ece_lower_bound=found.ece_lower_bound,
        ece_even_odds_bound=UNSET if even is None else even.ece_lower_bound,
        verdict=found.verdict,
        predictions=seen.predictions,
        start=seen.start,
        end=seen.end,
    )
    return _bounded(
        Alarm(MISCALIBRATION, window, seen.version or "", f"{CLASS}{found.name}"),
        seen,
        found.ece_lower_bound if even is None else even.ece_lower_bound,
        enough=even is not None or found.verdict != TOO_FEW_LABELS,
        name="Class-wise ECE",
        evidence=evidence,
    )


def _bounded(
    alarm: Alarm,
    seen: Evaluation,
    bound: float | None,
    *,
    enough: bool,
    name: str,
    evidence: WindowEvidence | ClassEvidence,
) -> Finding:
    value, threshold, rate = bound or 0.0, evidence.threshold, evidence.false_alarm_rate
    start, end = seen.over
    said = f"{name} over {alarm.window} is"
    return Finding(
        alarm=alarm,
        start=start,
        end=end,
        enough=enough and bound is not None,
        beyond=value > threshold,
        back=value < RESOLVED_SHARE * threshold,
        claim=f"{said} at least {value:.3f} (threshold {threshold:g}). At most {percent(rate)} of windows within the threshold would "
        "show this.",
        relief=f"{said} about {value:.3f}, back under the threshold {threshold:g}.",
        evidence=evidence,
    )


def sequential_finding(test: VersionEvidence, name: str = "ECE") -> Finding:
    """Return what the sequential test of a model version says about the alarm on its calibration.

    Parameters
    ----------
    test : as it stands
    name : what its threshold is of

    """
    rate, threshold, log_e = test.false_alarm_rate, test.threshold, test.log_e or 0.0
    claim = (
        f"{name} is above {threshold:g}: {test.labels:,} labels since {rfc3339(micros(test.since))} gave an e-value of {e_value(log_e)} "
        f"(it fires at {1 / rate:.6g}). A model within the threshold reaches that with probability at most {percent(rate)}, however long "
        "it is watched."
    )
    return Finding(
        alarm=Alarm(MISCALIBRATION, SEQUENTIAL, test.version, ""),
        start=micros(test.since),
        end=micros(test.until),
        enough=True,
        beyond=log_e >= -math.log(rate),
        back=False,  # a test says when there is something, never that there is nothing
        claim=claim,
        relief="",
        evidence=SequentialEvidence(
            policy=SEQUENTIAL,
            e_value=math.exp(min(log_e, _MOST_SHOWN)),
            log_e=test.log_e,
            log_sr=test.log_sr,
            log_ratio=test.log_ratio,
            labels=test.labels,
            steps=test.steps,
            direction=test.direction,
            threshold=threshold,
            false_alarm_rate=rate,
            since=test.since,
            until=test.until,
        ),
    )


def e_value(log_e: float) -> str:
    """Return an e-value in words.

    >>> e_value(4.88), e_value(20.0), e_value(1e4)
    ('132', '4.85e+08', 'over 1e+300')
    """
    return f"over {math.exp(_MOST_SHOWN):.0e}" if log_e > _MOST_SHOWN else f"{math.exp(log_e):.3g}"


def settled(finding: Finding) -> Finding:
    """Return what a window says about the end of an alarm that the sequential test raised."""
    return replace(
        finding,
        alarm=finding.alarm._replace(window=SEQUENTIAL),
        beyond=False,
        claim="",
        relief=f"{finding.relief} The sequential test starts again.",
        evidence=structs.replace(finding.evidence, policy=SEQUENTIAL),
    )


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield what is watched: the whole by windows or by the sequential test; single classes by windows under either policy."""
    for window in (SEQUENTIAL,) if settings.alert_policy == SEQUENTIAL else settings.windows:
        yield window, ""
    for window in settings.windows:
        for name in settings.class_thresholds:
            yield window, CLASS + name


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield what the newest windows and the sequential tests say about the alarms on calibration."""
    asked = set(watched(watch.settings))
    for window, seen in watch.evaluations:
        if (window, "") in asked:
            yield from _of_whole(watch, window, seen)
        for name in watch.settings.class_thresholds:
            yield from _of_class(watch, window, seen, name)
    if (SEQUENTIAL, "") in asked:
        yield from _of_tests(watch)


def _of_whole(watch: Watch, window: str, newest: Evaluation) -> Iterator[Finding]:
    seen, even = _seen(watch, Alarm(MISCALIBRATION, window, newest.version or "", ""), newest)
    if seen is not None:
        yield window_finding(seen, window, watch.settings, even)


def _of_class(watch: Watch, window: str, newest: Evaluation, name: str) -> Iterator[Finding]:
    seen, even = _seen(watch, Alarm(MISCALIBRATION, window, newest.version or "", CLASS + name), newest)
    found, at_even_odds = _class_of(seen, name), _class_of(even, name)
    if seen is not None and found is not None:
        yield class_finding(seen, found, window, watch.settings, at_even_odds)


def _class_of(seen: Evaluation | None, name: str) -> ClassCalibration | None:
    classes = () if seen is None or seen.curves is None else seen.curves.classes
    return next((found for found in classes if found.name == name), None)


def _of_tests(watch: Watch) -> Iterator[Finding]:
    """Yield what the sequential tests say where their alarm does not fire, and what a window says where it does."""
    name = "Quantile ECE" if watch.model.task == "regression" else "ECE"
    firing = {alarm.version: since for alarm, since in watch.firing(MISCALIBRATION) if alarm.window == SEQUENTIAL}
    for _, test in sequential.newest(watch.connection, watch.model.id):
        if test.version not in firing:
            yield sequential_finding(test, name)
    for version, since in firing.items():
        window, over = _shortest(watch)
        if over is not None:
            seen, even = _settling(watch, version, over, since)
            if seen is not None:
                yield settled(window_finding(seen, window, watch.settings, even))


def _shortest(watch: Watch) -> tuple[str, Range | None]:
    """Return the shortest window, and where it lies now."""
    window = min(watch.settings.windows, key=lambda each: parse_duration("window", each))
    end = watch.clock.matured_until
    if end is None:
        return window, None
    return window, widened(end - parse_duration("window", window), end, watch.clock.progress.minutes_from)


Seen = tuple[Evaluation | None, Evaluation | None]
"""What an alarm is judged by, None where there is nothing; and the same at even odds, where the alarm fires."""


def _seen(watch: Watch, alarm: Alarm, newest: Evaluation) -> Seen:
    """Return what an alarm is judged by."""
    state = watch.states.get(alarm)
    if state is not None and state.firing:
        return _settling(watch, alarm.version, newest.over, state.since)
    return _since_promotion(watch, newest), None


def _since_promotion(watch: Watch, newest: Evaluation) -> Evaluation | None:
    """Return an evaluation with nothing in it from before the last promotion; None if nothing is left."""
    start, end = newest.over
    earliest = start if watch.promoted is None else first_after(watch.promoted, watch.clock.progress.minutes_from)
    if earliest <= start:
        return newest
    if earliest >= end:
        return None
    version, over = newest.version or "", (earliest, end)
    return _evaluated(watch.model, version, over, _summaries(watch, version, [over])[over])


def _settling(watch: Watch, version: str, over: Range, since: int) -> Seen:
    """Return what can end an alarm: a window that began after it fired, or as much as there is since a promotion.

    A window with too few labels for a verdict, as a short one is at night, is doubled backwards until it has enough: an alarm of the
    busiest hour would go on until the next one. It is evaluated at even odds as well: with few labels the bound that fires alarms
    is low whatever the truth, and an alarm would end and begin again while nothing has changed.
    """
    kept, minimum = watch.clock.progress.minutes_from, watch.settings.minimum_labels
    fired, repaired = first_after(since - 1, kept), 0 if watch.promoted is None else first_after(watch.promoted, kept)
    ranges = doubled(*over, max(fired, repaired)) if max(over[0], repaired) >= fired else []
    before = {each: (2 * each[0] - each[1], each[0]) for each in ranges}
    sums = _summaries(watch, version, [*ranges, *before.values()])
    for each in ranges:
        if sums[each].labels >= minimum:
            seen = _evaluated(watch.model, version, each, sums[each])
            return seen, _evaluated(_at_even_odds(watch.model), version, each, sums[each], sums[before[each]])
    return None, None


def _at_even_odds(model: Model) -> Model:
    """Return a model whose bounds the truth is as often above as under."""
    return replace(model, settings=replace(model.settings, false_alarm_rate=EVEN_ODDS, class_thresholds={}))


def _evaluated(
    model: Model, version: str, over: Range, summary: Summary, previous: Summary | None = None
) -> Evaluation:
    question = Question(model=model, version=version, segment="", start=over[0], end=over[1])
    return evaluation(question, summary, previous)


def _summaries(watch: Watch, version: str, ranges: Sequence[Range]) -> dict[Range, Summary]:
    """Return the sums of a version as a whole over some ranges."""
    wide = {over: widened(*over, watch.clock.progress.minutes_from) for over in ranges}
    sums = by_place(watch.connection, watch.model, set(wide.values()), "")
    nothing = Summary.of([])
    return {over: sums[wide[over]].get((version, ""), nothing) for over in ranges}


def _start_test_again(connection: Connection, model_id: int, alert: Alert) -> None:
    if (alert.alarm.window, alert.state) == (SEQUENTIAL, RESOLVED):
        sequential.restart(connection, model_id, alert.alarm.version, alert.at)


KIND: Final = Kind(
    name=MISCALIBRATION,
    sentence="Confidence does not mean what it says: the ECE is surely above the threshold `ece`, or that of a class above its own.",
    watched=watched,
    findings=findings,
    recorded=_start_test_again,
)
