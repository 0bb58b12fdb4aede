"""Miscalibration: a model's confidence does not mean what it says, by windows, single classes or the sequential test."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Literal

from msgspec import UNSET, UnsetType, field, structs
from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION, RESOLVED, Alarm, Alert
from ..domain.evaluations import TOO_FEW_LABELS, ClassCalibration, Evaluation, Verdict
from ..domain.quantities import Moment
from ..domain.sequential import ECE, POINTWISE, Deciding, VersionEvidence
from ..domain.setting_types import EVER, Guarantee, PerLabels
from ..domain.settings import CLASS, RATIO, AlertOn, ModelSettings
from ..domain.times import micros, parse_duration
from ..store import ratios, sequential
from ..windows.ranges import Range, widened
from .kind import Kind, Watch, Watched
from .promise import claim, shown
from .ratios import ratio_findings
from .remedy import RemedyEvidence, with_remedy
from .settling import judged_by, settling
from .story import FaultEvidence, told
from .transitions import RESOLVED_SHARE, Finding, percent

WINDOW: Final = "window"

SEQUENTIAL: Final = "sequential"
"""An alert policy; also stands in place of the window of an alarm that the sequential test raised."""


class WindowEvidence(FaultEvidence, frozen=True, kw_only=True):
    """Figures of a window of a model version as a whole: those of quantiles for a regression, the others for other models."""

    policy: Literal["window", "sequential"]
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
    lean: float | UnsetType | None = UNSET
    cox_slope: float | UnsetType | None = UNSET
    start: Moment
    end: Moment

    @property
    def at_least(self) -> float | None:
        """The lower bound of the error."""
        bound = (
            self.ece_lower_bound
            if isinstance(self.quantile_ece_lower_bound, UnsetType)
            else self.quantile_ece_lower_bound
        )
        return None if isinstance(bound, UnsetType) else bound


class ClassEvidence(RemedyEvidence, frozen=True, kw_only=True):
    """Figures of a window for one class."""

    policy: Literal["window", "sequential"]
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


class SequentialEvidence(FaultEvidence, frozen=True, kw_only=True):
    """Results of the sequential test of a model version."""

    policy: Literal["sequential"]
    e_value: float | None  # None under a guarantee per labels, whose statistic is no e-value
    guarantee: Guarantee = EVER
    alert_on: AlertOn = ECE
    decided_by: Deciding = "log_e"
    peak: float | None = None
    fires_at: float | None = None
    log_e: float | None
    log_e_peak: float | None = None
    peaked_at: Moment | None = None
    ece_at_least: float | None = None
    log_sr: float | None
    log_ratio: float | None
    log_ratio_sr: float | None = None
    labels: int
    steps: int
    false_alarm_rate: float
    level: float | None = None  # this test's own share of it
    tested_since: Moment
    until: Moment

    @property
    def at_least(self) -> float | None:
        """What the error has been at the least."""
        return self.ece_at_least

    @property
    def of_each(self) -> bool:
        """Whether the limit is of the error of each confidence, not of the ECE."""
        return self.alert_on == POINTWISE


def window_finding(seen: Evaluation, window: str, settings: ModelSettings, even: Evaluation | None = None) -> Finding:
    """Return the finding of an evaluation about the alarm on a model version as a whole.

    Parameters
    ----------
    even : the same at even odds, given while the alarm fires: its bound ends the alarm, and its labels are enough

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
        lean=figure("lean", UNSET),
        cox_slope=figure("cox_slope", UNSET),
        start=seen.start,
        end=seen.end,
    )
    return _bounded(
        Alarm(MISCALIBRATION, window, seen.version or "", ""),
        seen,
        bound,
        enough=even is not None or seen.has_enough_labels,
        name="Quantile ECE" if of_quantiles else "ECE",
        evidence=evidence,
    )


def class_finding(
    seen: Evaluation,
    calibration: ClassCalibration,
    window: str,
    settings: ModelSettings,
    even: ClassCalibration | None = None,
) -> Finding:
    """Return the finding of an evaluation about the alarm on one class.

    Parameters
    ----------
    calibration : of the class, from that evaluation
    even : the same at even odds, given while the alarm fires: its bound ends the alarm, and its labels are enough

    """
    evidence = ClassEvidence(
        policy=WINDOW,
        threshold=settings.class_thresholds[calibration.name],
        false_alarm_rate=settings.false_alarm_rate,
        name=calibration.name,
        labelled=calibration.labelled,
        positives=calibration.positives,
        mean_probability=calibration.mean_probability,
        observed=calibration.observed,
        ece=calibration.ece,
        ece_lower_bound=calibration.ece_lower_bound,
        ece_even_odds_bound=UNSET if even is None else even.ece_lower_bound,
        verdict=calibration.verdict,
        predictions=seen.predictions,
        start=seen.start,
        end=seen.end,
    )
    return _bounded(
        Alarm(MISCALIBRATION, window, seen.version or "", f"{CLASS}{calibration.name}"),
        seen,
        calibration.ece_lower_bound if even is None else even.ece_lower_bound,
        enough=even is not None or _has_enough_labels(calibration, settings),
        name="Class-wise ECE",
        evidence=evidence,
    )


def _has_enough_labels(calibration: ClassCalibration, settings: ModelSettings) -> bool:
    return calibration.verdict != TOO_FEW_LABELS and calibration.labelled >= settings.minimum_labels


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
    """Return the finding of the sequential test of a model version about the alarm on its calibration.

    Parameters
    ----------
    test : as it stands
    name : what its threshold is of

    """
    reached = test.until if test.peaked_at is None else test.peaked_at
    return Finding(
        alarm=Alarm(MISCALIBRATION, SEQUENTIAL, test.version, test.segment),
        start=micros(test.since),
        end=micros(reached),
        enough=True,
        beyond=test.highest >= test.limit and not test.held,
        back=False,  # a test says when there is something, never that there is nothing
        claim=claim(test, name),
        relief="",
        evidence=SequentialEvidence(
            policy=SEQUENTIAL,
            e_value=None if isinstance(test.guarantee, PerLabels) else shown(test.highest),
            guarantee=test.guarantee,
            alert_on=test.alert_on,
            decided_by=test.decided_by,
            peak=test.highest,
            fires_at=test.limit,
            log_e=test.log_e,
            log_e_peak=test.log_e_peak,
            peaked_at=test.peaked_at,
            ece_at_least=test.ece_at_least,
            log_sr=test.log_sr,
            log_ratio=test.log_ratio,
            log_ratio_sr=test.log_ratio_sr,
            labels=test.labels,
            steps=test.steps,
            direction=test.direction,
            threshold=test.threshold,
            false_alarm_rate=test.false_alarm_rate,
            level=test.level,
            tested_since=test.since,
            until=test.until,
        ),
    )


def settled(finding: Finding) -> Finding:
    """Return the finding of a window about an alarm that the sequential test raised: the window can only end it."""
    return replace(
        finding,
        alarm=finding.alarm._replace(window=SEQUENTIAL),
        beyond=False,
        claim="",
        relief=f"{finding.relief} The sequential test starts again.",
        evidence=structs.replace(finding.evidence, policy=SEQUENTIAL),
    )


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield what is watched: the whole and single classes, by windows or by sequential tests."""
    for window in (SEQUENTIAL,) if settings.alert_policy == SEQUENTIAL else settings.windows:
        yield window, ""
        for name in settings.class_thresholds:
            yield window, CLASS + name
    if RATIO in settings.thresholds:
        yield RATIO, ""


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield the findings on calibration of the newest windows and the sequential tests."""
    asked = set(watched(watch.settings))
    for window, seen in watch.evaluations:
        if (window, "") in asked:
            yield from _of_whole(watch, window, seen)
            for name in watch.settings.class_thresholds:
                yield from _of_class(watch, window, seen, name)
    if (SEQUENTIAL, "") in asked:
        yield from _of_tests(watch)
    yield from ratio_findings(watch)


def _of_whole(watch: Watch, window: str, newest: Evaluation) -> Iterator[Finding]:
    seen, even = judged_by(watch, Alarm(MISCALIBRATION, window, newest.version or "", ""), newest)
    if seen is not None:
        yield window_finding(seen, window, watch.settings, even)


def _of_class(watch: Watch, window: str, newest: Evaluation, name: str) -> Iterator[Finding]:
    seen, even = judged_by(watch, Alarm(MISCALIBRATION, window, newest.version or "", CLASS + name), newest)
    calibration, at_even_odds = _class_of(seen, name), _class_of(even, name)
    if seen is not None and calibration is not None:
        yield class_finding(seen, calibration, window, watch.settings, at_even_odds)


def _class_of(seen: Evaluation | None, name: str) -> ClassCalibration | None:
    classes = () if seen is None or seen.curves is None else seen.curves.classes
    return next((calibration for calibration in classes if calibration.name == name), None)


def _of_tests(watch: Watch) -> Iterator[Finding]:
    """Yield the findings of the sequential tests whose alarm does not fire, and of a window where it does."""
    yield from _of_class_tests(watch)
    name = "Quantile ECE" if watch.model.task == "regression" else "ECE"
    firing = {alarm.version: since for alarm, since in watch.firing(MISCALIBRATION) if alarm.window == SEQUENTIAL}
    for _, test in sequential.newest(watch.connection, watch.model.id):
        if test.version not in firing:
            yield sequential_finding(test, name)
    for version, since in firing.items():
        window, over = shortest_window(watch)
        if over is not None:
            seen, even = settling(watch, version, over, since)
            if seen is not None:
                yield settled(window_finding(seen, window, watch.settings, even))


def _of_class_tests(watch: Watch) -> Iterator[Finding]:
    """Yield the same of classes with thresholds."""
    for _, test in sequential.newest_of_segments(watch.connection, watch.model.id):
        name, alarm = test.segment.removeprefix(CLASS), Alarm(MISCALIBRATION, SEQUENTIAL, test.version, test.segment)
        if not test.segment.startswith(CLASS) or name not in watch.settings.class_thresholds:
            continue
        if watch.fires(alarm):
            yield from _settling_class(watch, alarm, name)
        else:
            yield sequential_finding(test, f"The ECE of class {name}")


def _settling_class(watch: Watch, alarm: Alarm, name: str) -> Iterator[Finding]:
    """Yield the finding of a window about the alarm of a class that fires."""
    window, over = shortest_window(watch)
    if over is None:
        return
    seen, even = settling(watch, alarm.version, over, watch.states[alarm].since)
    calibration, at_even_odds = _class_of(seen, name), _class_of(even, name)
    if seen is not None and calibration is not None and at_even_odds is not None:
        yield settled(class_finding(seen, calibration, window, watch.settings, at_even_odds))


def shortest_window(watch: Watch) -> tuple[str, Range | None]:
    """Return the shortest window, and where it lies now."""
    window = min(watch.settings.windows, key=lambda length: parse_duration("window", length))
    end = watch.clock.matured_until
    if end is None:
        return window, None
    return window, widened(end - parse_duration("window", window), end, watch.clock.progress.minutes_from)


def _explained(watch: Watch, finding: Finding) -> Finding:
    """Return a finding that fires: what it means and what to do before its figures."""
    return told(watch, with_remedy(watch, finding))


def _start_test_again(connection: Connection, model_id: int, alert: Alert) -> None:
    of_class = [alert.alarm.segment] if alert.alarm.segment else []
    if alert.state == RESOLVED and alert.alarm.window == SEQUENTIAL and of_class:
        sequential.restart_segments(connection, model_id, alert.alarm.version, of_class, alert.at)
    elif alert.state == RESOLVED and alert.alarm.window == SEQUENTIAL:
        sequential.restart(connection, model_id, alert.alarm.version, alert.at)
    if alert.state == RESOLVED and alert.alarm.window == RATIO:
        ratios.restart(connection, model_id, alert.alarm.version, alert.at)


KIND: Final = Kind(
    name=MISCALIBRATION,
    sentence="Confidence does not mean what it says: the ECE is significantly above the threshold `ece`, or that of a class above its own.",
    watched=watched,
    findings=findings,
    fired=_explained,
    recorded=_start_test_again,
)
