"""Judge all alarms of a model: state and present finding of each give a transition, or none."""

from collections.abc import Iterator

from msgspec import structs
from sqlalchemy import Connection

from ..domain.alerts import FIRING, RESOLVED, Alert, Evidence, State
from ..domain.names import CHAMPION
from ..domain.settings import Model, ModelSettings
from ..store import alerts, evaluations, versions
from ..store.engine import Database
from ..store.lease import hold
from ..windows.clock import Clocked, clocked
from .kind import Watch, nothing_else
from .kinds import KINDS
from .transitions import in_words, transition


def watched(settings: ModelSettings) -> set[tuple[str, str, str]]:
    """Return the alarms on each version, as (kind, window, segment)."""
    return {(kind.name, window, segment) for kind in KINDS for window, segment in kind.watched(settings)}


def watch_of(connection: Connection, clock: Clocked, now: int) -> Watch:
    """Return a model with the data that its alarms are judged from."""
    number = clock.model.id
    champion = versions.aliases(connection, number).get(CHAMPION)
    return Watch(
        connection=connection,
        clock=clock,
        now=now,
        states=alerts.states(connection, number),
        evaluations=[(window, newest) for _, window, newest in evaluations.newest(connection, number, segment="")],
        drifts=[(window, newest) for _, window, newest in evaluations.newest_drift(connection, number, segment="")],
        promoted=None if champion is None else champion.since_event_time,
    )


def changes(connection: Connection, clock: Clocked, now: int) -> list[Alert]:
    """Return the transitions that a model's alarms make now."""
    watch = watch_of(connection, clock, now)
    return [*_changed(watch), *_ended(watch)]


def _changed(watch: Watch) -> Iterator[Alert]:
    now = dict(watch.states)
    judged = ((finding, kind.fired) for kind in KINDS for finding in kind.findings(watch))
    for finding, fired in judged:
        state = transition(now.get(finding.alarm), finding, watch.settings)
        if state is not None:
            now[finding.alarm] = State(firing=state == FIRING, since=finding.end)
            told = fired(watch, finding) if state == FIRING else finding
            words = told.claim if state == FIRING else told.relief
            evidence = structs.replace(told.evidence, summary=in_words(watch.model.name, finding.alarm, words))
            yield Alert(at=finding.end, alarm=finding.alarm, state=state, evidence=evidence)


def _ended(watch: Watch) -> Iterator[Alert]:
    """Yield the ends of alarms that are no longer evaluated: on a version without traffic, or a window that was given up."""
    asked, serving = watched(watch.settings), watch.versions()
    of_model = {kind.name for kind in KINDS if kind.of_model}
    for alarm, state in watch.states.items():
        is_watched = (alarm.kind, alarm.window, alarm.segment) in asked
        serves = alarm.version in serving or alarm.kind in of_model
        if state.firing and not (is_watched and serves):
            why = "it is no longer watched" if serves else "this version has no more traffic"
            summary = in_words(watch.model.name, alarm, f"The alert {alarm.kind} over {alarm.window} ends: {why}.")
            at = max(watch.clock.matured_until or watch.clock.newest_end or 0, state.since)
            yield Alert(at=at, alarm=alarm, state=RESOLVED, evidence=Evidence(summary=summary))


def judge_alerts(database: Database, token: int, model: Model, now: int, *, notify: bool) -> list[Alert]:
    """Let one model's alarms change where they must; return the transitions."""
    with database.read() as connection:
        transitions = changes(connection, clocked(connection, model, now), now)
    recorded = {kind.name: kind.recorded for kind in KINDS}
    if transitions:
        with database.write(patient=True) as connection:
            hold(connection, token)
            for change in transitions:
                alerts.record(connection, model.id, change, now=now, notify=notify)
                recorded.get(change.alarm.kind, nothing_else)(connection, model.id, change)
    return transitions
