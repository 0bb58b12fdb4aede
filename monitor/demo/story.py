"""Healthy traffic, then a failing scanner, and how the system responds, as its API tells it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from .. import Client
from .answers import Alert, Alerts, Audit, Calibrator, Calibrators, Entry, Figures, State
from .digits import CLASSES
from .server import Api, DemoError
from .traffic import SLOWEST_LABEL, Traffic

MODEL: Final = "digits"
ADDRESS: Final = f"/v1/models/{MODEL}"
WINDOW: Final = "6h"
THRESHOLD: Final = 0.05
STEP: Final = timedelta(minutes=30)
HEALTHY_SECONDS: Final = 0.2
FAILING_SECONDS: Final = 0.4
"""Shortest duration of a step, so that it can be watched."""
HEALTHY: Final = timedelta(hours=30)
AFTERWARDS: Final = timedelta(hours=36)
AFTERWARDS_SHUFFLED: Final = timedelta(hours=14)
LAG: Final = timedelta(hours=2)
"""Traffic waits for evaluations that are further behind than this."""
PATIENCE_SECONDS: Final = 60.0


class Reference(Struct, frozen=True, kw_only=True):
    """The period that drift is measured against."""

    start: datetime
    end: datetime


class Thresholds(Struct, frozen=True, kw_only=True):
    """The thresholds of alerts."""

    ece: float = THRESHOLD


class Settings(Struct, frozen=True, kw_only=True):
    """The settings that the demo declares."""

    reference: Reference
    task: str = "multiclass"
    classes: tuple[str, ...] = CLASSES
    label_delay: str = "150m"  # a label comes up to a step later than it is known
    windows: tuple[str, ...] = (WINDOW,)
    minimum_labels: int = 600
    thresholds: Thresholds = Thresholds()
    recalibration: str = "auto"
    stale_after: str = "1h"  # clients look for a new calibrator between two steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The timetable in event time, which ends about now."""

    start: datetime
    shift: datetime
    end: datetime

    @classmethod
    def until(cls, end: datetime, *, shuffled: bool) -> "Plan":
        """Return the timetable that ends at the last whole step before a moment."""
        end = end.replace(minute=end.minute - end.minute % 30, second=0, microsecond=0)
        # On a whole hour: older traffic is kept by the hour.
        shift = (end - (AFTERWARDS_SHUFFLED if shuffled else AFTERWARDS)).replace(minute=0)
        return cls(start=shift - HEALTHY, shift=shift, end=end)

    def settings(self) -> Settings:
        """Return the model's settings: drift is measured against the healthy traffic."""
        return Settings(reference=Reference(start=self.start, end=self.shift))

    def steps(self) -> Iterator[datetime]:
        """Yield the end of each step."""
        now = self.start
        while now < self.end:
            now += STEP
            yield now


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The API's answers at one moment."""

    at: datetime  # event time
    state: State
    figures: Figures  # of served scores, over the newest matured window
    alerts: list[Alert]  # oldest first
    calibrators: list[Calibrator]  # oldest first
    champion: int | None
    audit: list[Entry]  # oldest first

    def calibration_alerts(self, state: str = "firing") -> list[Alert]:
        """Return the changes of calibration alerts to a state."""
        return [alert for alert in self.alerts if alert.kind == "miscalibration" and alert.state == state]

    def entries(self, action: str) -> list[Entry]:
        """Return the audit log's entries of one action."""
        return [entry for entry in self.audit if entry.action == action]

    def refusals(self) -> list[str]:
        """Return the reasons of refused refits."""
        return [entry.detail.reason or "" for entry in self.entries("refuse")]


def look(api: Api, at: datetime) -> Sight:
    """Ask the API for all that is shown."""
    versions = api.get(f"{ADDRESS}/calibrators", Calibrators)
    return Sight(
        at=at,
        state=api.get(ADDRESS, State),
        figures=api.get(f"{ADDRESS}/calibration", Figures, window=WINDOW),
        alerts=api.get(f"{ADDRESS}/alerts", Alerts).alerts[::-1],
        calibrators=versions.calibrators[::-1],
        champion=versions.champion,
        audit=api.get(f"{ADDRESS}/audit", Audit).audit,
    )


class Watcher(Protocol):
    """The audience of the story."""

    def tell(self, at: datetime, what: str, mood: str = "") -> None:
        """Receive an event."""

    def show(self, sight: Sight, plan: Plan) -> None:
        """Receive the state."""


@dataclass(slots=True, kw_only=True)
class Story:
    """Plays traffic against a server and tells its audience the events."""

    api: Api
    client: Client
    traffic: Traffic
    plan: Plan
    watcher: Watcher
    shuffled: bool
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _told: set[tuple[str, int]] = field(default_factory=set)

    def play(self) -> Sight:
        """Play from beginning to end and return the final state.

        Raises
        ------
        DemoError
            when the server does not answer, or falls behind.

        """
        for until in self.plan.steps():
            began = self.clock()
            self._fail_from_shift(until)
            sight = self.step(until)
            lasts = FAILING_SECONDS if self.traffic.degraded else HEALTHY_SECONDS
            self.pause(max(0.0, began + lasts - self.clock()))
        return sight

    def step(self, until: datetime) -> Sight:
        """Serve traffic until a moment, which is the server's time then, wait for the server, and tell the news."""
        self.api.set_time(until)
        self.traffic.advance(until)
        if not self.client.flush(PATIENCE_SECONDS):
            raise DemoError(f"events could not be delivered: {self.client.stats()}")
        self._wait_for_server(until)
        sight = look(self.api, until)
        self._tell_news(sight)
        self.watcher.show(sight, self.plan)
        return sight

    def _fail_from_shift(self, until: datetime) -> None:
        if until <= self.plan.shift or self.traffic.degraded:
            return
        self.traffic.degraded = True
        self.traffic.shuffled = self.shuffled
        self.watcher.tell(self.plan.shift, "The scanner fails: images come turned, blurred and noisy.", "shift")
        if self.shuffled:
            self.watcher.tell(self.plan.shift, "And labels are shuffled: they end up at other images.", "shift")

    def _wait_for_server(self, at: datetime) -> None:
        deadline = self.clock() + PATIENCE_SECONDS
        while not self._has_seen_all(state := self.api.get(ADDRESS, State), at):
            if self.clock() > deadline:
                raise DemoError(self._behind(state))
            self.pause(0.05)

    def _behind(self, state: State) -> str:
        newest = state.evaluation
        return (
            f"the server did not catch up within {PATIENCE_SECONDS:g} s: it has rolled up {state.predictions:,} of "
            f"{self.traffic.predictions:,} predictions and {state.labelled:,} of {self.traffic.labels:,} labels, and "
            f"evaluated {'nothing' if newest is None else f'until {newest.end.isoformat()}'}"
        )

    def _has_seen_all(self, state: State, at: datetime) -> bool:
        if (state.predictions, state.labelled) != (self.traffic.predictions, self.traffic.labels):
            return False
        matured, newest = at - SLOWEST_LABEL, state.evaluation
        return matured < self.plan.start + LAG or (newest is not None and newest.end >= matured - LAG)

    def _tell_news(self, sight: Sight) -> None:
        if sight.figures.verdict == "calibrated" and self._is_new("calibrated"):
            self.watcher.tell(sight.at, f"Calibrated: ECE {sight.figures.ece:.3f} over {WINDOW}.", "good")
        for number, alert in enumerate(sight.alerts):
            if self._is_new("alert", number):
                mood = "good" if alert.state == "resolved" else "bad"
                self.watcher.tell(sight.at, f"{_name(alert)} {alert.state}: {_evidence(alert)}", mood)
        for calibrator in sight.calibrators:
            if self._is_new("calibrator", calibrator.number):
                self.watcher.tell(sight.at, _fitted(calibrator), "good")
        if sight.champion is not None and self._is_new("champion", sight.champion):
            self.watcher.tell(sight.at, f"Calibrator {sight.champion} is promoted.", "good")
        for number, reason in enumerate(sight.refusals()):
            if self._is_new("refuse", number):
                self.watcher.tell(sight.at, f"Refit refused: {reason}.", "shift")
        since = self.traffic.corrected_since
        if since is not None and self._is_new("served"):
            self.watcher.tell(since, "Serving code answers through it from here on.", "good")

    def _is_new(self, event: str, number: int = 0) -> bool:
        known = (event, number) in self._told
        self._told.add((event, number))
        return not known


AFTER_PROMOTION: Final = 2
"""The place of that period among those that are compared."""

ADVICE: Final = {"retrain": "retrain the model", "check_labels": "check the labels"}
_NAMES: Final = {"miscalibration": "Alarm on calibration", "score_drift": "Alarm on score drift"}


def _name(alert: Alert) -> str:
    return _NAMES.get(alert.kind, f"Alert {alert.kind.replace('_', ' ')}")


def _evidence(alert: Alert) -> str:
    evidence = alert.evidence
    if alert.kind != "miscalibration" or evidence.ece is None:
        return evidence.summary
    return (
        f"{evidence.summary} {evidence.labelled:,} labels, ECE {evidence.ece:.3f}, {evidence.direction}: "
        f"confidence {evidence.mean_confidence:.0%}, right {evidence.accuracy:.0%}."
    )


def _fitted(calibrator: Calibrator) -> str:
    numbers = [f"{name} {value:.3g}" for name, value in calibrator.parameters.items() if isinstance(value, float)]
    method = " ".join([calibrator.method.replace("_", " "), *([f"({', '.join(numbers)})"] if numbers else [])])
    source = calibrator.fitted_from
    return (
        f"Calibrator {calibrator.number}: {method}, fitted on {source.labels:,} labels, judged on "
        f"{source.holdout_labels:,} later ones. The gate: {calibrator.gate.reason}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A range of event time with its figures; None where it is empty."""

    name: str
    figures: Figures | None


def periods(api: Api, plan: Plan, sight: Sight, corrected_since: datetime | None) -> list[Period]:
    """Return the figures before the shift, after it and after the promotion, the last also of raw scores."""
    matured = sight.at - SLOWEST_LABEL
    first = matured if corrected_since is None else corrected_since
    broken_until = first.replace(minute=0, second=0, microsecond=0)
    repaired_from = broken_until + timedelta(hours=1)
    compared = [
        _period(api, "before the shift", plan.start, plan.shift),
        _period(api, "after it, as it came", plan.shift, broken_until),
    ]
    if corrected_since is not None:
        compared.append(_period(api, "after the promotion", repaired_from, matured))
        compared.append(_period(api, "  had nothing been done", repaired_from, matured, scores="raw"))
    return compared


def _period(api: Api, name: str, start: datetime, end: datetime, scores: str = "served") -> Period:
    if start >= end:
        return Period(name=name, figures=None)
    asked = {"start": start.astimezone(UTC).isoformat(), "end": end.astimezone(UTC).isoformat(), "scores": scores}
    return Period(name=name, figures=api.get(f"{ADDRESS}/calibration", Figures, **asked))


def what_is_left(sight: Sight, compared: list[Period]) -> str | None:
    """Return what no calibrator repairs and what to do about it, as the last alert said; None where a calibrator was enough."""
    told = [alert.evidence for alert in sight.calibration_alerts() if alert.evidence.remedy is not None]
    if not told or told[-1].remedy == "recalibrate":
        return None
    right_in = [None if period.figures is None else period.figures.accuracy for period in compared]
    before, after = (right_in[0], right_in[AFTER_PROMOTION]) if len(right_in) > AFTER_PROMOTION else (None, None)
    right = (
        ""
        if before is None or after is None
        else f" Answers are right {after:.0%} of the time, before the shift {before:.0%}."
    )
    advice = ADVICE.get(told[-1].remedy or "", "wait")
    why = f"As the alert said: {told[-1].remedy_reason}"
    return f"A calibrator makes confidences honest, not the model better.{right} What to do: {advice}. {why}"


def missing(sight: Sight, compared: list[Period], plan: Plan) -> list[str]:
    """Return the failures among: an alert after the shift, a promotion by `auto`, ECE back under its threshold."""
    lacks = _missing_alert(sight, plan)
    promoted_by_itself = any(entry.actor == "calwatch" for entry in sight.entries("promote"))
    if sight.champion is None or not promoted_by_itself:
        refusals = sight.refusals()
        why = f"; refits were refused: {'; '.join(refusals)}" if refusals else ""
        return [*lacks, f"no calibrator was promoted by `auto`{why}"]
    broken, repaired = (None if period.figures is None else period.figures.ece for period in compared[1:3])
    if repaired is None:
        return [*lacks, "nothing that was served after the promotion has matured"]
    if repaired >= THRESHOLD:
        lacks.append(f"ECE after the promotion is {repaired:.3f}, not under the threshold {THRESHOLD:g}")
    if broken is not None and repaired >= broken:
        lacks.append(f"ECE did not come down: {broken:.3f} before the promotion, {repaired:.3f} after")
    return lacks


def missing_of_refusal(sight: Sight, plan: Plan) -> list[str]:
    """Return the failures, where labels are shuffled, among: an alert, a refit refused with a reason, no promotion."""
    lacks = _missing_alert(sight, plan)
    if not any(sight.refusals()):
        lacks.append("no refit was refused")
    if sight.champion is not None or sight.calibrators:
        lacks.append("a calibrator was registered although the labels are shuffled")
    return lacks


def _missing_alert(sight: Sight, plan: Plan) -> list[str]:
    fired = [alert.at for alert in sight.calibration_alerts()]
    if not fired:
        return ["no alert on calibration fired"]
    if min(fired) <= plan.shift:
        return [f"an alert on calibration fired at {min(fired):%b %d %H:%M}, before the shift"]
    return []
