"""Alert: the state of an alarm and what was found now, to a transition or to nothing."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from monitor import windowed
from monitor.errors import LeaseLost, Unavailable
from monitor.figures import Question, evaluation, finite
from monitor.records import Alert, Model, ModelSettings
from monitor.store import alerts, evaluations, models, registry
from monitor.store.engine import Database
from monitor.store.lease import hold
from monitor.times import HOUR, MINUTE, floor, parse_time
from monitor.windowed import Clocked

log = logging.getLogger(__name__)

RESOLVED_SHARE: Final = 0.8
"""An alarm resolves only once what fired it is under this share of its threshold."""

FIRING: Final = "firing"
RESOLVED: Final = "resolved"
MISCALIBRATION: Final = "miscalibration"
SCORE_DRIFT: Final = "score_drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An alarm as it was: whether it fires and since when, in event time."""

    firing: bool
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one window says now."""

    kind: str
    window: str
    version: str
    segment: str
    start: int
    end: int
    enough: bool  # as many labels (of a drift: predictions) as a verdict needs
    value: float | None  # what is compared with the threshold
    threshold: float
    beyond: bool  # the value is above its threshold, and above what chance does
    evidence: dict[str, Any]


def transition(state: State | None, finding: Finding, settings: ModelSettings) -> str | None:
    """Return the state that an alarm changes to, or None while it stays as it is.

    It fires when enough evidence is beyond the threshold, and not within the cooldown after it resolved. It resolves when a
    window that began after it fired has enough evidence and is clearly back under the threshold.
    """
    if finding.value is None or not finding.enough:
        return None
    if state is None or not state.firing:
        rested = state is None or finding.end >= state.since + settings.cooldown
        return FIRING if finding.beyond and rested else None
    back = finding.value < RESOLVED_SHARE * finding.threshold
    return RESOLVED if back and finding.start >= state.since else None


def miscalibration(fields: Mapping[str, Any], window: str, settings: ModelSettings) -> Finding:
    """Return what an evaluation says about the alarm on calibration."""
    bound, threshold = fields["ece_lower_bound"], settings.thresholds["ece"]
    shown = ("ece", "ece_lower_bound", "ece_null_mean", "labelled", "predictions", "direction", "accuracy")
    evidence = {name: fields[name] for name in (*shown, "mean_confidence", "start", "end")}
    return Finding(
        kind=MISCALIBRATION,
        window=window,
        version=fields["version"],
        segment=fields["segment"],
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=fields["verdict"] != "too_few_labels",
        value=bound,
        threshold=threshold,
        beyond=bound is not None and bound > threshold,
        evidence=evidence | {"threshold": threshold, "false_alarm_rate": settings.false_alarm_rate, "policy": "window"},
    )


def score_drift(fields: Mapping[str, Any], window: str) -> Finding:
    """Return what a comparison with the reference says about the alarm on drift."""
    shown = ("psi", "psi_null_95", "psi_null_999", "ks", "ks_null_95", "js", "js_null_95", "predictions")
    evidence = {name: fields.get(name) for name in (*shown, "reference_predictions", "start", "end", "reference_start")}
    return Finding(
        kind=SCORE_DRIFT,
        window=window,
        version=fields["version"],
        segment=fields["segment"],
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=fields["enough"],
        value=fields["psi"],
        threshold=fields["threshold"],
        beyond=fields["drifted"],
        evidence=evidence | {"threshold": fields["threshold"]},
    )


def in_words(model: str, finding: Finding, state: str) -> str:
    """Return a transition as one sentence for a person."""
    where = f"{model} {finding.version}".strip() + (f" ({finding.segment})" if finding.segment else "")
    name = "the lower bound of its ECE" if finding.kind == MISCALIBRATION else "PSI"
    compared = "is above" if state == FIRING else "is back under"
    return f"{where}: {name} over {finding.window}, {finding.value:.3f}, {compared} the threshold {finding.threshold:g}"


def _after(moment: int, clock: Clocked) -> int:
    """Return the first whole minute, or hour where minutes are no longer kept, that begins after a moment."""
    minute = floor(moment, MINUTE) + MINUTE
    return minute if floor(minute, HOUR) >= (clock.progress.minutes_from or 0) else floor(moment, HOUR) + HOUR


def _since_promotion(
    connection: Connection, clock: Clocked, fields: Mapping[str, Any], promoted: int | None
) -> Mapping[str, Any] | None:
    """Return an evaluation as the alarm is to see it: with nothing from before the last promotion; None if nothing is left."""
    start, end = (parse_time(name, fields[name]) for name in ("start", "end"))
    if promoted is None or promoted < start:
        return fields
    start = _after(promoted, clock)
    if start >= end:
        return None
    question = Question(model=clock.model, version=fields["version"], segment="", start=start, end=end)
    summary = windowed.by_place(connection, clock.model, start, end).get((fields["version"], ""))
    return None if summary is None else finite(evaluation(question, summary, None))


def findings(connection: Connection, clock: Clocked) -> list[Finding]:
    """Return what the newest stored figures say about the alarms on each version of a model as a whole."""
    champion = registry.aliases(connection, clock.model.id).get(registry.CHAMPION)
    promoted = None if champion is None else champion.since_event_time
    found = []
    for _, window, fields in evaluations.newest(connection, clock.model.id):
        seen = _since_promotion(connection, clock, fields, promoted) if fields["segment"] == "" else None
        if seen is not None:
            found.append(miscalibration(seen, window, clock.model.settings))
    for _, window, fields in evaluations.newest(connection, clock.model.id, "drift"):
        if fields["segment"] == "":
            found.append(score_drift(fields, window))
    return found


def changes(connection: Connection, clock: Clocked) -> list[Alert]:
    """Return the transitions that a model's alarms make now."""
    states = alerts.states(connection, clock.model.id)
    found = []
    for finding in findings(connection, clock):
        was = states.get((finding.kind, finding.window, finding.version, finding.segment))
        state = None if was is None else State(firing=was[0], since=was[1])
        change = transition(state, finding, clock.model.settings)
        if change is not None:
            summary = in_words(clock.model.name, finding, change)
            found.append(_alert(finding, change, finding.evidence | {"summary": summary}))
    return found + _ended(connection, clock, states)


def _ended(connection: Connection, clock: Clocked, states: Mapping[alerts.Place, tuple[bool, int]]) -> list[Alert]:
    """Return the ends of alarms on what is not evaluated any more, such as a version that has no traffic."""
    active = {
        (window, fields["version"])
        for kind in ("calibration", "drift")
        for _, window, fields in evaluations.newest(connection, clock.model.id, kind)
    }
    at = clock.matured_until or clock.newest_end or 0
    return [
        Alert(
            at=at,
            kind=kind,
            state=RESOLVED,
            window=window,
            version=version,
            segment=segment,
            evidence={
                "summary": f"{clock.model.name} {version}: {kind} over {window} ends: there is no traffic any more"
            },
        )
        for (kind, window, version, segment), (fires, _) in states.items()
        if fires and (window, version) not in active
    ]


def _alert(finding: Finding, state: str, evidence: dict[str, Any]) -> Alert:
    return Alert(
        at=finding.end,
        kind=finding.kind,
        state=state,
        window=finding.window,
        version=finding.version,
        segment=finding.segment,
        evidence=evidence,
    )


def run_model(database: Database, token: int, model: Model, now: int, *, notify: bool) -> int:
    """Let one model's alarms change where they must; return how many did."""
    with database.read() as connection:
        found = changes(connection, windowed.clocked(connection, model, now))
    if found:
        with database.write(patient=True) as connection:
            hold(connection, token)
            for change in found:
                alerts.record(connection, model.id, change, now=now, notify=notify)
    for change in found:
        log.warning("alert %s: %s", change.state, change.evidence["summary"])
    return len(found)


def run(database: Database, token: int, *, now: Callable[[], int], notify: bool) -> int:
    """Let the alarms of all models change where they must; return how many did.

    Raises
    ------
    LeaseLost
        when another process leads now.

    """
    with database.read() as connection:
        everyone = models.everyone(connection)
    done = 0
    for model in everyone:
        try:
            done += run_model(database, token, model, now(), notify=notify)
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("the alarms of model %s could not be judged", model.name)
    return done
