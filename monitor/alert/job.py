"""Alert: the state of an alarm and what was found now, to a transition or to nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from ..domain.records import HOUR_LEVEL, Alert
from ..domain.settings import CLASS, VALIDATION, Model, ModelSettings
from ..domain.times import duration_text, parse_duration, parse_time
from ..stats.summary import Summary
from ..store import alerts, evaluations, rollups, sequential, versions
from ..store.engine import Database
from ..store.lease import hold
from ..windows.clock import Clocked, clocked
from ..windows.ranges import Range, doubled, first_after, widened
from ..windows.scores import FITTED_ON, FIXED, VALIDATED, Question, evaluation, finite
from ..windows.sums import by_place
from . import missing_labels, stale_clients
from .miscalibration import (
    EVEN_ODDS,
    MISCALIBRATION,
    SEQUENTIAL,
    class_finding,
    sequential_finding,
    settled,
    window_finding,
)
from .missing_labels import MISSING_LABELS
from .score_drift import SCORE_DRIFT, drift_finding
from .stale_clients import STALE
from .transitions import FIRING, RESOLVED, Finding, State, in_words, transition

States = Mapping[alerts.Place, State]

Watched = tuple[str, str, str]
"""Kind, window and segment of an alarm."""

_BOUNDS: Final = {"ece_lower_bound": "ece_even_odds_bound", "quantile_ece_lower_bound": "quantile_ece_even_odds_bound"}
"""Bounds that fire alarms, and what those of even odds are called, which end them."""


def watched(settings: ModelSettings) -> set[Watched]:
    """Return which alarms there are on each version, as (kind, window, segment).

    Under either policy single classes are watched by windows, and so are their labels. Scores that are compared with the window
    before differ from them by hour of day and day of week, unless the window is long: without a declared range or validation set only
    the longest one can raise an alarm on drift.
    """
    longest = max(settings.windows, key=lambda window: parse_duration("window", window))
    chosen = isinstance(settings.reference, tuple) or settings.reference == VALIDATION
    drifting = settings.windows if chosen else (longest,)
    whole = (SEQUENTIAL,) if settings.alert_policy == SEQUENTIAL else settings.windows
    return {
        *((MISCALIBRATION, window, "") for window in whole),
        *((MISCALIBRATION, window, CLASS + name) for window in settings.windows for name in settings.class_thresholds),
        *((SCORE_DRIFT, window, "") for window in drifting),
        *((MISSING_LABELS, window, "") for window in settings.windows),
        (STALE, duration_text(settings.stale_after), ""),
    }


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judging:
    """A model whose alarms are judged, and what that needs."""

    connection: Connection
    clock: Clocked
    states: States
    newest: Newest
    promoted: int | None  # when what serves now began to, in event time

    def findings(self, now: int) -> Iterator[Finding]:
        """Yield what there is to say about the alarms on each version of the model as a whole, and on single classes."""
        asked = watched(self.clock.model.settings)
        for window, fields in self.newest.calibration:
            yield from self._windowed(window, fields, asked)
        if (MISCALIBRATION, SEQUENTIAL, "") in asked:
            yield from self._sequential()
        for window, fields in self.newest.drift:
            if (SCORE_DRIFT, window, "") in asked:
                yield drift_finding(fields, window)
        firing = {(window, version): since for window, version, since in self._firing(MISSING_LABELS)}
        yield from missing_labels.findings(self.connection, self.clock, firing, now)
        yield from stale_clients.findings(self.connection, self.clock, self.newest.versions(), now)

    def _firing(self, kind: str) -> Iterator[tuple[str, str, int]]:
        """Yield window, version and beginning of each alarm of a kind that fires on a version as a whole."""
        for (each, window, version, segment), state in self.states.items():
            if state.firing and (each, segment) == (kind, ""):
                yield window, version, state.since

    def _windowed(self, window: str, fields: Mapping[str, Any], asked: set[Watched]) -> Iterator[Finding]:
        """Yield what a window says about the alarms on calibration, of the whole and of single classes."""
        settings = self.clock.model.settings
        for segment in ("", *(CLASS + name for name in settings.class_thresholds)):
            if (MISCALIBRATION, window, segment) not in asked:
                continue
            state = self.states.get((MISCALIBRATION, window, fields["version"], segment))
            if state is not None and state.firing:
                seen = self._settling(fields["version"], _range(fields), state.since)
            else:
                seen = self._seen(fields)
            if seen is not None and not segment:
                yield window_finding(seen, window, settings)
            elif seen is not None:
                yield from (
                    class_finding(seen, found, window, settings)
                    for found in seen.get("classes") or ()
                    if CLASS + found["class"] == segment
                )

    def _sequential(self) -> Iterator[Finding]:
        """Yield what the sequential tests say where their alarm does not fire, and what a window says where it does."""
        name = "quantile ECE" if self.clock.model.task == "regression" else "ECE"
        firing = {version: since for window, version, since in self._firing(MISCALIBRATION) if window == SEQUENTIAL}
        for _, version, fields in sequential.newest(self.connection, self.clock.model.id):
            if version not in firing:
                yield sequential_finding(fields, version, name)
        for version, since in firing.items():
            window, over = self._shortest()
            seen = None if over is None else self._settling(version, over, since)
            if seen is not None:
                yield settled(window_finding(seen, window, self.clock.model.settings))

    def _shortest(self) -> tuple[str, Range | None]:
        """Return the shortest window, and where it lies now."""
        window = min(self.clock.model.settings.windows, key=lambda each: parse_duration("window", each))
        end = self.clock.matured_until
        if end is None:
            return window, None
        return window, widened(end - parse_duration("window", window), end, self.clock.progress.minutes_from)

    def _seen(self, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return an evaluation with nothing in it from before the last promotion; None if nothing is left."""
        start, end = _range(fields)
        earliest = start if self.promoted is None else first_after(self.promoted, self.clock.progress.minutes_from)
        if earliest <= start:
            return fields
        if earliest >= end:
            return None
        over = (earliest, end)
        return _evaluated(self.clock.model, fields["version"], over, self._summaries(fields["version"], [over])[over])

    def _settling(self, version: str, over: Range, since: int) -> Mapping[str, Any] | None:
        """Return an evaluation that can end an alarm: over a window that began after it fired, or as much as there is since a promotion.

        A window with too few labels for a verdict, as a short one is at night, is doubled backwards until it has enough: an alarm of the
        busiest hour would go on until the next one. It carries bounds of even odds as well: with few labels the bound that fires alarms
        is low whatever the truth, and an alarm would end and begin again while nothing has changed.
        """
        kept = self.clock.progress.minutes_from
        fired, repaired = first_after(since - 1, kept), 0 if self.promoted is None else first_after(self.promoted, kept)
        ranges = doubled(*over, max(fired, repaired)) if max(over[0], repaired) >= fired else []
        before = {each: (2 * each[0] - each[1], each[0]) for each in ranges}
        found = self._summaries(version, [*ranges, *before.values()])
        for each in ranges:
            if found[each].labels >= self.clock.model.settings.minimum_labels:
                return _at_even_odds(self.clock.model, version, each, found[each], found[before[each]])
        return None

    def _summaries(self, version: str, ranges: Sequence[Range]) -> dict[Range, Summary]:
        """Return the sums of a version as a whole over some ranges."""
        wide = {each: widened(*each, self.clock.progress.minutes_from) for each in ranges}
        found = by_place(self.connection, self.clock.model, set(wide.values()), "")
        nothing = Summary.of([])
        return {each: found[wide[each]].get((version, ""), nothing) for each in ranges}


def _range(fields: Mapping[str, Any]) -> Range:
    return parse_time("start", fields["start"]), parse_time("end", fields["end"])


def _evaluated(
    model: Model, version: str, over: Range, summary: Summary, previous: Summary | None = None
) -> dict[str, Any]:
    question = Question(model=model, version=version, segment="", start=over[0], end=over[1])
    return finite(evaluation(question, summary, previous))


def _at_even_odds(model: Model, version: str, over: Range, summary: Summary, previous: Summary) -> dict[str, Any]:
    """Return an evaluation with one more bound beside each that fires alarms: one that the truth is as often above as under."""
    fields = _evaluated(model, version, over, summary)
    even = replace(model, settings=replace(model.settings, false_alarm_rate=EVEN_ODDS, class_thresholds={}))
    found = _evaluated(even, version, over, summary, previous)
    more = {name: found[bound] for bound, name in _BOUNDS.items() if bound in found}
    classes = [
        {**one, "ece_even_odds_bound": other["ece_lower_bound"]}
        for one, other in zip(fields.get("classes") or (), found.get("classes") or (), strict=True)
    ]
    return {**fields, **more, **({"classes": classes} if classes else {})}


def changes(connection: Connection, clock: Clocked, now: int) -> list[Alert]:
    """Return the transitions that a model's alarms make now."""
    known = alerts.states(connection, clock.model.id).items()
    states = {place: State(firing=fires, since=since) for place, (fires, since) in known}
    champion = versions.aliases(connection, clock.model.id).get(versions.CHAMPION)
    newest = Newest.of(connection, clock.model.id)
    promoted = None if champion is None else champion.since_event_time
    judging = _Judging(connection=connection, clock=clock, states=states, newest=newest, promoted=promoted)
    found = []
    for finding in judging.findings(now):
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

    A reference that a person declared or sent, or that the champion was fitted on, is whole as it is.
    """
    if finding.evidence["reference_kind"] in (FIXED, FITTED_ON, VALIDATED):
        return True
    numbers = list(rollups.series_ids(connection, clock.model.id).values())
    extent = rollups.extent(connection, numbers, HOUR_LEVEL)
    began = parse_time("reference_start", finding.evidence["reference_start"])
    return extent is not None and extent[0] <= began


def _ended(clock: Clocked, serving: set[str], states: States) -> list[Alert]:
    """Return the ends of alarms on what is not evaluated any more: a version without traffic, a window that was given up."""
    asked = watched(clock.model.settings)
    found = []
    for place, state in states.items():
        kind, window, version, segment = place
        if state.firing and not ((kind, window, segment) in asked and version in serving):
            why = "is not watched any more" if version in serving else "has no traffic any more"
            of = f" of {segment}" if segment else ""
            summary = f"{clock.model.name} {version}".strip() + f": {kind}{of} over {window} ends: it {why}"
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


def judge_alerts(database: Database, token: int, model: Model, now: int, *, notify: bool) -> list[Alert]:
    """Let one model's alarms change where they must; return the transitions."""
    with database.read() as connection:
        found = changes(connection, clocked(connection, model, now), now)
    if found:
        with database.write(patient=True) as connection:
            hold(connection, token)
            for change in found:
                alerts.record(connection, model.id, change, now=now, notify=notify)
                if (change.window, change.state) == (SEQUENTIAL, RESOLVED):
                    sequential.restart(connection, model.id, change.version, change.at)
    return found
