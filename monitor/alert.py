"""Alert: the state of an alarm and what was found now, to a transition or to nothing."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from monitor import windowed
from monitor.each import each_model
from monitor.figures import FITTED_ON, FIXED, TOO_FEW_LABELS, Question, evaluation, finite
from monitor.records import HOUR_LEVEL, Alert, Model, ModelSettings
from monitor.stats.noise import ece_lower_bound
from monitor.stats.reliability import Bins, bins_of
from monitor.stats.summary import Summary
from monitor.store import alerts, evaluations, registry, rollups
from monitor.store.engine import Database
from monitor.store.lease import hold
from monitor.times import parse_duration, parse_time
from monitor.windowed import Clocked, Range
from monitor.windows import first_after, widened

log = logging.getLogger(__name__)

RESOLVED_SHARE: Final = 0.8
"""An alarm resolves only once what fired it is under this share of its threshold."""

EVEN_ODDS: Final = 0.5
"""How often the bound that ends an alarm may exceed the truth."""

SETTLED_BY: Final = "ece_even_odds_bound"

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
    value: float | None  # what is compared with the threshold: of calibration, a bound that chance alone seldom exceeds
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
    bound, threshold = fields.get(SETTLED_BY, fields["ece_lower_bound"]), settings.thresholds["ece"]
    shown = ("ece", "ece_lower_bound", SETTLED_BY, "ece_null_mean", "labelled", "predictions", "direction", "accuracy")
    evidence = {name: fields[name] for name in (*shown, "mean_confidence", "start", "end") if name in fields}
    return Finding(
        kind=MISCALIBRATION,
        window=window,
        version=fields["version"],
        segment=fields["segment"],
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=fields["verdict"] != TOO_FEW_LABELS,
        value=bound,
        threshold=threshold,
        beyond=bound is not None and bound > threshold,
        evidence=evidence | {"threshold": threshold, "false_alarm_rate": settings.false_alarm_rate, "policy": "window"},
    )


def score_drift(fields: Mapping[str, Any], window: str) -> Finding:
    """Return what a comparison with the reference says about the alarm on drift."""
    shown = ("psi", "psi_null_95", "psi_null_999", "ks", "ks_null_95", "js", "js_null_95", "predictions")
    about = ("reference_predictions", "start", "end", "reference_start", "reference_kind")
    evidence = {name: fields.get(name) for name in (*shown, *about)}
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
    name = "a lower bound of its ECE" if finding.kind == MISCALIBRATION else "PSI"
    compared = "is above" if state == FIRING else "is back under"
    return f"{where}: {name} over {finding.window}, {finding.value:.3f}, {compared} the threshold {finding.threshold:g}"


def _seen(
    connection: Connection, clock: Clocked, fields: Mapping[str, Any], promoted: int | None
) -> Mapping[str, Any] | None:
    """Return an evaluation with nothing in it from before the last promotion; None if nothing is left."""
    start, end = _range(fields)
    earliest = start if promoted is None else first_after(promoted, clock.progress.minutes_from)
    if earliest <= start:
        return fields
    if earliest >= end:
        return None
    over = (earliest, end)
    return _evaluated(clock, fields["version"], over, _summaries(connection, clock, fields["version"], [over])[over])


def _settling(
    connection: Connection, clock: Clocked, fields: Mapping[str, Any], promoted: int | None, since: int
) -> Mapping[str, Any] | None:
    """Return an evaluation that can end an alarm: over a window that began after it fired, or as much as there is since a promotion.

    A window with too few labels for a verdict, as a short one is at night, is doubled backwards until it has enough: an alarm of the
    busiest hour would go on until the next one. It carries one more bound, of even odds: with few labels the bound that fires alarms is
    low whatever the truth, and an alarm would end and begin again while nothing has changed.
    """
    start, end = _range(fields)
    kept = clock.progress.minutes_from
    fired, repaired = first_after(since - 1, kept), 0 if promoted is None else first_after(promoted, kept)
    ranges = _doubled(start, end, max(fired, repaired)) if max(start, repaired) >= fired else []
    before = {each: (2 * each[0] - each[1], each[0]) for each in ranges}
    found = _summaries(connection, clock, fields["version"], [*ranges, *before.values()])
    for each in ranges:
        now = found[each]
        if now.labels >= clock.model.settings.minimum_labels:
            bound = ece_lower_bound(_bins(now), _bins(found[before[each]]), alpha=EVEN_ODDS)
            return {**_evaluated(clock, fields["version"], each, now), SETTLED_BY: bound}
    return None


def _doubled(start: int, end: int, earliest: int) -> list[Range]:
    """Return a range and ever longer ones with the same end, none of them from before a moment."""
    found = []
    length = end - start
    while earliest < end:
        found.append((max(end - length, earliest), end))
        if end - length <= earliest:
            break
        length *= 2
    return found


def _range(fields: Mapping[str, Any]) -> Range:
    return parse_time("start", fields["start"]), parse_time("end", fields["end"])


def _bins(summary: Summary) -> Bins:
    return bins_of(summary.cells("served"))


def _summaries(connection: Connection, clock: Clocked, version: str, ranges: Sequence[Range]) -> dict[Range, Summary]:
    """Return the sums of a version as a whole over some ranges."""
    wide = {each: widened(*each, clock.progress.minutes_from) for each in ranges}
    found = windowed.by_place(connection, clock.model, set(wide.values()), "")
    nothing = Summary.of([])
    return {each: found[wide[each]].get((version, ""), nothing) for each in ranges}


def _evaluated(clock: Clocked, version: str, over: Range, summary: Summary) -> dict[str, Any]:
    question = Question(model=clock.model, version=version, segment="", start=over[0], end=over[1])
    return finite(evaluation(question, summary, None))


def _watched(settings: ModelSettings) -> set[tuple[str, str]]:
    """Return which kinds of alarm there are on which windows.

    Scores that are compared with the window before differ from them by hour of day and day of week, unless the window is long:
    without a declared reference only the longest one can raise an alarm on drift.
    """
    longest = max(settings.windows, key=lambda window: parse_duration("window", window))
    drifting = settings.windows if isinstance(settings.reference, tuple) else (longest,)
    return {(MISCALIBRATION, window) for window in settings.windows} | {(SCORE_DRIFT, window) for window in drifting}


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest stored figures of each version as a whole, with the window."""

    calibration: list[tuple[str, dict[str, Any]]]
    drift: list[tuple[str, dict[str, Any]]]

    @classmethod
    def of(cls, connection: Connection, model_id: int) -> "Newest":
        """Read them."""
        return cls(
            *(
                [(window, fields) for _, window, fields in evaluations.newest(connection, model_id, kind, segment="")]
                for kind in ("calibration", "drift")
            )
        )

    def versions(self) -> set[str]:
        """Return the versions that have traffic."""
        return {fields["version"] for _, fields in [*self.calibration, *self.drift]}


def findings(
    connection: Connection, clock: Clocked, newest: Newest, states: Mapping[alerts.Place, State]
) -> list[Finding]:
    """Return what the newest figures say about the alarms on each version of a model as a whole."""
    settings = clock.model.settings
    watched = _watched(settings)
    champion = registry.aliases(connection, clock.model.id).get(registry.CHAMPION)
    promoted = None if champion is None else champion.since_event_time
    found = []
    for window, fields in newest.calibration:
        state = states.get((MISCALIBRATION, window, fields["version"], ""))
        if state is not None and state.firing:
            seen = _settling(connection, clock, fields, promoted, state.since)
        else:
            seen = _seen(connection, clock, fields, promoted)
        if seen is not None:
            found.append(miscalibration(seen, window, settings))
    found += [score_drift(fields, window) for window, fields in newest.drift]
    return [each for each in found if (each.kind, each.window) in watched]


def changes(connection: Connection, clock: Clocked) -> list[Alert]:
    """Return the transitions that a model's alarms make now."""
    states = {
        place: State(firing=fires, since=since)
        for place, (fires, since) in alerts.states(connection, clock.model.id).items()
    }
    newest = Newest.of(connection, clock.model.id)
    found = []
    for finding in findings(connection, clock, newest, states):
        state = states.get((finding.kind, finding.window, finding.version, finding.segment))
        change = transition(state, finding, clock.model.settings)
        if change == FIRING and finding.kind == SCORE_DRIFT and not _has_whole_reference(connection, clock, finding):
            continue
        if change is not None:
            summary = in_words(clock.model.name, finding, change)
            found.append(_alert(finding, change, finding.evidence | {"summary": summary}))
    return found + _ended(clock, newest.versions(), states)


def _has_whole_reference(connection: Connection, clock: Clocked, finding: Finding) -> bool:
    """Return whether the model served already when the reference began; a night is no reference for a week.

    A reference that a person declared, or that the champion was fitted on, is whole as it is.
    """
    if finding.evidence["reference_kind"] in (FIXED, FITTED_ON):
        return True
    numbers = list(rollups.series_ids(connection, clock.model.id).values())
    extent = rollups.extent(connection, numbers, HOUR_LEVEL)
    began = parse_time("reference_start", finding.evidence["reference_start"])
    return extent is not None and extent[0] <= began


def _ended(clock: Clocked, serving: set[str], states: Mapping[alerts.Place, State]) -> list[Alert]:
    """Return the ends of alarms on what is not evaluated any more: a version without traffic, a window that was given up."""
    watched = _watched(clock.model.settings)
    found = []
    for place, state in states.items():
        kind, window, version, segment = place
        if state.firing and not ((kind, window) in watched and version in serving):
            why = "is not watched any more" if version in serving else "has no traffic any more"
            summary = f"{clock.model.name} {version}".strip() + f": {kind} over {window} ends: it {why}"
            at = max(clock.matured_until or clock.newest_end or 0, state.since)
            evidence = {"summary": summary}
            found.append(
                Alert(
                    at=at, kind=kind, state=RESOLVED, window=window, version=version, segment=segment, evidence=evidence
                )
            )
    return found


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


def step(database: Database, token: int, model: Model, now: int, *, notify: bool) -> list[Alert]:
    """Let one model's alarms change where they must; return the transitions."""
    with database.read() as connection:
        found = changes(connection, windowed.clocked(connection, model, now))
    if found:
        with database.write(patient=True) as connection:
            hold(connection, token)
            for change in found:
                alerts.record(connection, model.id, change, now=now, notify=notify)
    return found


def run_model(database: Database, token: int, model: Model, now: int, *, notify: bool) -> int:
    """Let one model's alarms change where they must, and say so in the log; return how many did."""
    found = step(database, token, model, now, notify=notify)
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
    return each_model(
        database, lambda model: run_model(database, token, model, now(), notify=notify), "judging the alarms of"
    )
