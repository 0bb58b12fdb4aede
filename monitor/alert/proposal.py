"""A calibrator that waits for a person's decision."""

from collections.abc import Iterator
from typing import Final

from ..domain.alerts import MISCALIBRATION, Alarm, Evidence
from ..domain.names import CHALLENGER, CHAMPION, version_name
from ..domain.quantities import Moment
from ..domain.settings import ModelSettings
from ..domain.times import moment
from ..store import alerts, audit, versions
from ..store.audit import Action, Entry
from ..store.versions import Alias
from .kind import Kind, Watch, Watched
from .transitions import Finding

PROPOSAL: Final = "proposal"

ALARM: Final = Alarm(kind=PROPOSAL, window="", version="", segment="")


class ProposalEvidence(Evidence, frozen=True, kw_only=True):
    """The calibrator that waits, or that waited until now."""

    calibrator: int
    method: str | None
    champion: int | None  # in service; null for none
    waits_since: Moment  # in event time
    labels: int | None  # that it was judged on
    held: str | None  # why a guard leaves its promotion to a person


def watched(_settings: ModelSettings) -> Iterator[Watched]:
    """Yield the one alarm, which has no window."""
    yield ALARM.window, ALARM.segment


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield that the version announced last does not wait any more, and the one that waits now; nothing while it is the same."""
    waiting = versions.waiting(watch.connection, [watch.model]).get(watch.model.id)
    number = None if waiting is None else waiting.number
    announced = _announced(watch)
    if announced is not None and announced.calibrator == number:
        return
    if announced is not None:
        yield _over(watch, announced, waiting)
    if waiting is not None and number is not None:
        yield _waits(watch, number, waiting)


def _announced(watch: Watch) -> ProposalEvidence | None:
    """Return what was said of the version whose alarm fires."""
    alert = alerts.newest_of(watch.connection, watch.model.id, ALARM) if watch.fires(ALARM) else None
    return None if alert is None else alert.evidence_as(ProposalEvidence)


def _waits(watch: Watch, number: int, waiting: Alias) -> Finding:
    document = versions.document(watch.connection, watch.model.id, number)
    gate = None if document is None else document.gate
    since = waiting.since if waiting.since_event_time is None else waiting.since_event_time
    held = _held(watch, number)
    why = f" It was not promoted by itself: {held}." if held else ""
    method = "" if document is None else f" ({document.method.replace('_', ' ')})"
    judged = "" if gate is None else f", which passed its gate on {gate.rows:,.0f} held-out labels,"
    evidence = ProposalEvidence(
        calibrator=number,
        method=None if document is None else document.method,
        champion=_champion(watch),
        waits_since=moment(since),
        labels=None if gate is None else round(gate.rows),
        held=held,
    )
    said = version_name(number).capitalize()
    breach, does = _breach(watch)
    rest = f"promote it, or reject it and leave {version_name(evidence.champion)} in service"
    return Finding(
        alarm=ALARM,
        start=since,
        end=since,
        enough=True,
        beyond=True,
        back=False,
        rests=False,
        claim=f"{breach}{said}{method}{judged} {does}waits for you: {rest}.{why}",
        relief="",
        evidence=evidence,
    )


def _breach(watch: Watch) -> tuple[str, str]:
    """Return the miscalibration that an alert is firing on, in words, and what a calibrator that passed its gate does about it."""
    for alarm, _ in watch.firing(MISCALIBRATION):
        alert = alerts.newest_of(watch.connection, watch.model.id, alarm)
        story = None if alert is None else alert.evidence.get("story")
        if alert is not None and story:
            enough = alert.evidence.get("remedy") == "recalibrate"
            return f"{story} ", "repairs it and " if enough else "makes it better and "
    return "", ""


def _held(watch: Watch, number: int) -> str | None:
    """Return why a guard leaves the promotion of a version to a person."""
    steps = audit.entries(watch.connection, watch.model.id)
    proposals = (step.detail for step in reversed(steps) if step.action is Action.PROPOSE)
    return next((detail.held for detail in proposals if detail.number == number), None)


def _champion(watch: Watch) -> int | None:
    champion = versions.aliases(watch.connection, watch.model.id).get(CHAMPION)
    return None if champion is None else champion.number


def _over(watch: Watch, announced: ProposalEvidence, waiting: Alias | None) -> Finding:
    newest = watch.clock.newest_end or watch.now
    end = max(newest, watch.states[ALARM].since)
    said = version_name(announced.calibrator).capitalize()
    return Finding(
        alarm=ALARM,
        start=end,
        end=end,
        enough=True,
        beyond=False,
        back=True,
        anew=False,
        claim="",
        relief=f"{said} does not wait any more: {_outcome(watch, announced.calibrator, waiting)}.",
        evidence=announced,
    )


def _outcome(watch: Watch, number: int, waiting: Alias | None) -> str:
    """Return in words what became of a version that waited."""
    if _champion(watch) == number:
        return "it is in service"
    if waiting is not None:
        return f"{version_name(waiting.number)} waits in its place"
    challenger = versions.aliases(watch.connection, watch.model.id).get(CHALLENGER)
    if challenger is None or challenger.number != number:
        return _ending(watch, number)
    return "it is scored without serving" if challenger.share is None else "it serves a share of traffic first"


def _ending(watch: Watch, number: int) -> str:
    """Return how the life of a version that neither serves nor waits ended, by the last steps of the audit log."""
    steps = audit.entries(watch.connection, watch.model.id)
    ending = next((ENDINGS[step.action] for step in reversed(steps) if _ends(step, number)), None)
    if ending is not None:
        return ending
    after = next((step for step in reversed(steps) if step.action in TAKING_ITS_PLACE), None)
    return "it is gone" if after is None else f"{version_name(after.detail.number)} took its place"


def _ends(step: Entry, number: int) -> bool:
    return step.action in ENDINGS and step.detail.number == number


ENDINGS: Final = {
    Action.REJECT: "it was rejected",
    Action.SHADOW_WORSE: "it was worse than what is served, and is dismissed",
    Action.CANARY_STOP: "as a canary it was no better than what is served, and is dismissed",
    Action.PROMOTE: "it was in service, and another took its place",
    Action.ROLLBACK: "it was in service, and was rolled back",
}
"""What ends the wait of a version, by the step of the audit log."""

TAKING_ITS_PLACE: Final = frozenset({Action.PROPOSE, Action.SHADOW, Action.CANARY})


KIND: Final = Kind(
    name=PROPOSAL,
    sentence="A calibrator waits for a person's decision.",
    watched=watched,
    findings=findings,
    of_model=True,
)
