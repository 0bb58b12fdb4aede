"""The story: healthy traffic, a failing scanner, and what the system makes of it; read from the API only."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from .. import Client
from .digits import CLASSES
from .server import Api, DemoError
from .traffic import SLOWEST_LABEL, Traffic

MODEL: Final = "digits"
WINDOW: Final = "6h"
THRESHOLD: Final = 0.05
SETTINGS: Final[dict[str, Any]] = {
    "task": "multiclass",
    "classes": list(CLASSES),
    "label_delay": "2h",
    "windows": [WINDOW],
    "minimum_labels": 600,
    "thresholds": {"ece": THRESHOLD},
    "recalibration": "auto",
}
"""What the demo declares; the reference for drift, which depends on when it runs, comes on top."""

STEP: Final = timedelta(minutes=30)
HEALTHY_SECONDS: Final = 0.2
FAILING_SECONDS: Final = 0.4
"""What a step of event time lasts at the least, so that it can be watched."""
HEALTHY: Final = timedelta(hours=30)
AFTERWARDS: Final = timedelta(hours=36)
AFTERWARDS_SHUFFLED: Final = timedelta(hours=14)
LAG: Final = timedelta(hours=2)
"""How far the server's evaluations may be behind before traffic waits for them."""
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When what happens, in event time; the end is about now."""

    start: datetime
    shift: datetime
    end: datetime

    @classmethod
    def until(cls, end: datetime, *, shuffled: bool) -> "Plan":
        """Return the plan that ends at the last whole step before a moment."""
        end = end.replace(minute=end.minute - end.minute % 30, second=0, microsecond=0)
        # On a whole hour: older traffic is kept by the hour.
        shift = (end - (AFTERWARDS_SHUFFLED if shuffled else AFTERWARDS)).replace(minute=0)
        return cls(start=shift - HEALTHY, shift=shift, end=end)

    def settings(self) -> dict[str, Any]:
        """Return what is declared of the model: drift is to be told against the healthy traffic."""
        return SETTINGS | {"reference": {"start": self.start.isoformat(), "end": self.shift.isoformat()}}

    def steps(self) -> Iterator[datetime]:
        """Yield the end of each step."""
        now = self.start
        while now < self.end:
            now += STEP
            yield now


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the API says at one moment."""

    at: datetime  # event time
    state: dict[str, Any]
    figures: dict[str, Any]  # of what was served, over the newest matured window
    alerts: list[dict[str, Any]]  # oldest first
    calibrators: list[dict[str, Any]]  # oldest first
    champion: int | None
    audit: list[dict[str, Any]]  # oldest first

    def alarms(self, state: str = "firing") -> list[dict[str, Any]]:
        """Return the transitions of alarms on calibration to a state."""
        return [each for each in self.alerts if each["kind"] == "miscalibration" and each["state"] == state]

    def entries(self, action: str) -> list[dict[str, Any]]:
        """Return the audit log's entries of one kind."""
        return [each for each in self.audit if each["action"] == action]


def look(api: Api, at: datetime) -> Sight:
    """Ask the API for everything that is shown."""
    of_model = f"/v1/models/{MODEL}"
    calibrators = api.get(f"{of_model}/calibrators")
    return Sight(
        at=at,
        state=api.get(of_model),
        figures=api.get(f"{of_model}/calibration", window=WINDOW),
        alerts=api.get(f"{of_model}/alerts")["alerts"][::-1],
        calibrators=calibrators["calibrators"][::-1],
        champion=calibrators["champion"],
        audit=api.get(f"{of_model}/audit")["audit"],
    )


class Watcher(Protocol):
    """Whoever is shown how the story goes."""

    def tell(self, at: datetime, what: str, mood: str = "") -> None:
        """Take note of an event."""

    def show(self, sight: Sight, plan: Plan) -> None:
        """Take note of how things stand."""


@dataclass(slots=True, kw_only=True)
class Story:
    """Plays traffic against a server and tells what happens."""

    api: Api
    client: Client
    traffic: Traffic
    plan: Plan
    watcher: Watcher
    shuffled: bool
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    _told: set[tuple[Any, ...]] = field(default_factory=set)

    def play(self) -> Sight:
        """Play from beginning to end; return how things stand then.

        Raises
        ------
        DemoError
            when the server does not keep up or answer.

        """
        for until in self.plan.steps():
            began = self.clock()
            self._fail_from_shift(until)
            sight = self.step(until)
            lasts = FAILING_SECONDS if self.traffic.degraded else HEALTHY_SECONDS
            self.pause(max(0.0, began + lasts - self.clock()))
        return sight

    def step(self, until: datetime) -> Sight:
        """Serve traffic until a moment, wait until the server has seen it, and tell what is new."""
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
        while not self._has_seen_all(state := self.api.get(f"/v1/models/{MODEL}"), at):
            if self.clock() > deadline:
                raise DemoError(self._behind(state))
            self.pause(0.05)

    def _behind(self, state: dict[str, Any]) -> str:
        newest = state["evaluation"]
        return (
            f"the server did not catch up within {PATIENCE_SECONDS:g} s: it has rolled up {state['predictions']:,} of "
            f"{self.traffic.predictions:,} predictions and {state['labelled']:,} of {self.traffic.labels:,} labels, and "
            f"evaluated {'nothing' if newest is None else 'until ' + newest['end']}"
        )

    def _has_seen_all(self, state: dict[str, Any], at: datetime) -> bool:
        if (state["predictions"], state["labelled"]) != (self.traffic.predictions, self.traffic.labels):
            return False
        matured, newest = at - SLOWEST_LABEL, state["evaluation"]
        return matured < self.plan.start + LAG or (newest is not None and _time(newest["end"]) >= matured - LAG)

    def _tell_news(self, sight: Sight) -> None:
        if sight.figures["verdict"] == "calibrated" and self._is_new("calibrated"):
            self.watcher.tell(sight.at, f"Calibrated: ECE {sight.figures['ece']:.3f} over {WINDOW}.", "good")
        for number, each in enumerate(sight.alerts):
            if self._is_new("alert", number):
                mood = "good" if each["state"] == "resolved" else "alarm"
                self.watcher.tell(sight.at, f"{_NAMES[each['kind']]} {each['state']}: {_evidence(each)}", mood)
        for each in sight.calibrators:
            if self._is_new("calibrator", each["number"]):
                self.watcher.tell(sight.at, _fitted(each), "good")
        if sight.champion is not None and self._is_new("champion", sight.champion):
            self.watcher.tell(sight.at, f"Calibrator {sight.champion} is promoted.", "good")
        for number, each in enumerate(sight.entries("refuse")):
            if self._is_new("refuse", number):
                self.watcher.tell(sight.at, f"Refit refused: {each['detail']['reason']}.", "shift")
        since = self.traffic.corrected_since
        if since is not None and self._is_new("served"):
            self.watcher.tell(since, "Serving code answers through it from here on.", "good")

    def _is_new(self, *what: Any) -> bool:
        known = what in self._told
        self._told.add(what)
        return not known


_NAMES: Final = {"miscalibration": "Alarm on calibration", "score_drift": "Alarm on score drift"}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _evidence(alert: dict[str, Any]) -> str:
    evidence = alert["evidence"]
    if alert["kind"] != "miscalibration" or "ece" not in evidence:
        return f"{evidence['summary']}."
    return (
        f"{evidence['summary']} (ECE {evidence['ece']:.3f}, {evidence['direction']}, {evidence['labelled']:,} labels: "
        f"confidence {evidence['mean_confidence']:.0%}, right {evidence['accuracy']:.0%})."
    )


def _fitted(document: dict[str, Any]) -> str:
    numbers = [f"{name} {value:.3g}" for name, value in document["parameters"].items() if isinstance(value, float)]
    named = " ".join([document["method"].replace("_", " "), *([f"({', '.join(numbers)})"] if numbers else [])])
    source = document["fitted_from"]
    return (
        f"Calibrator {document['number']}: {named}, fitted on {source['labels']:,} labels, judged on "
        f"{source['holdout_labels']:,} later ones. The gate: {document['gate']['reason']}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of event time with its figures; none where it is empty."""

    name: str
    figures: dict[str, Any] | None


def periods(api: Api, plan: Plan, sight: Sight, corrected_since: datetime | None) -> list[Period]:
    """Return the figures before the shift, after it, and after the promotion; the last also as they were without it."""
    matured = sight.at - SLOWEST_LABEL
    first = matured if corrected_since is None else corrected_since
    broken_until = first.replace(minute=0, second=0, microsecond=0)
    repaired_from = broken_until + timedelta(hours=1)
    found = [
        _period(api, "before the shift", plan.start, plan.shift),
        _period(api, "after it, as it came", plan.shift, broken_until),
    ]
    if corrected_since is not None:
        found.append(_period(api, "after the promotion", repaired_from, matured))
        found.append(_period(api, "  had nothing been done", repaired_from, matured, scores="raw"))
    return found


def _period(api: Api, name: str, start: datetime, end: datetime, scores: str = "served") -> Period:
    if start >= end:
        return Period(name=name, figures=None)
    asked = {"start": start.astimezone(UTC).isoformat(), "end": end.astimezone(UTC).isoformat(), "scores": scores}
    return Period(name=name, figures=api.get(f"/v1/models/{MODEL}/calibration", **asked))


def missing(sight: Sight, found: list[Period], plan: Plan) -> list[str]:
    """Return what did not happen of: an alarm after the shift, a promotion by `auto`, ECE back under its threshold."""
    lacks = _missing_alarm(sight, plan)
    by_itself = [each for each in sight.entries("promote") if each["actor"] == "calwatch"]
    if sight.champion is None or not by_itself:
        refusals = [each["detail"]["reason"] for each in sight.entries("refuse")]
        why = f"; refits were refused: {'; '.join(refusals)}" if refusals else ""
        return [*lacks, f"no calibrator was promoted by `auto`{why}"]
    broken, repaired = found[1].figures, found[2].figures
    if not repaired or repaired["ece"] is None:
        return [*lacks, "nothing that was served after the promotion has matured"]
    if repaired["ece"] >= THRESHOLD:
        lacks.append(f"ECE after the promotion is {repaired['ece']:.3f}, not under the threshold {THRESHOLD:g}")
    if broken and broken["ece"] is not None and repaired["ece"] >= broken["ece"]:
        lacks.append(f"ECE did not come down: {broken['ece']:.3f} before the promotion, {repaired['ece']:.3f} after")
    return lacks


def missing_of_refusal(sight: Sight, plan: Plan) -> list[str]:
    """Return what did not happen, where labels are shuffled, of: an alarm, a refit refused with a reason, no promotion."""
    lacks = _missing_alarm(sight, plan)
    if not any(each["detail"]["reason"] for each in sight.entries("refuse")):
        lacks.append("no refit was refused")
    if sight.champion is not None or sight.calibrators:
        lacks.append("a calibrator was registered although the labels are shuffled")
    return lacks


def _missing_alarm(sight: Sight, plan: Plan) -> list[str]:
    fired = [_time(each["at"]) for each in sight.alarms()]
    if not fired:
        return ["no alarm on calibration fired"]
    if min(fired) <= plan.shift:
        return [f"an alarm on calibration fired at {min(fired):%b %d %H:%M}, before the shift"]
    return []
