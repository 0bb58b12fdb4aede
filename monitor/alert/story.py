"""What an alarm on calibration says first where it fires: which way, since when, how bad, for whom, and what waits for a person."""

from dataclasses import replace

from msgspec import structs

from ..domain.alerts import Evidence
from ..domain.evaluations import Direction, Evaluation
from ..domain.faults import Fault, Since, sentence
from ..domain.names import version_name
from ..domain.quantities import Moment
from ..domain.settings import CLASS
from ..domain.times import moment, parse_duration
from ..stats.summary import MAX_CLASSES
from ..store import evaluations, versions
from ..windows.onset import since_of
from ..windows.rows import of_version
from .kind import Watch
from .remedy import RemedyEvidence
from .transitions import Finding


class FaultEvidence(RemedyEvidence, frozen=True, kw_only=True):
    """Evidence of a fault of a model version as a whole."""

    direction: Direction | None = None
    threshold: float
    since: Moment | None = None  # when the fault began
    since_low: Moment | None = None  # 95 % interval; null: it may be as old as the first label, or older
    since_high: Moment | None = None
    worst_segment: str | None = None  # of the flagged ones
    calibrator_waiting: int | None = None  # for a person's decision
    story: str | None = None  # all of that in one sentence

    @property
    def at_least(self) -> float | None:
        """What the error is at the least; None: nothing can be said."""
        return None

    @property
    def error(self) -> str | None:
        """What has a limit, in words, where it is not the error of the task."""
        return None

    @property
    def of_each(self) -> bool:
        """Whether the limit is of the error of each confidence, not of the ECE."""
        return False


def told(watch: Watch, finding: Finding) -> Finding:
    """Return a finding that fires, its figures after what they mean."""
    evidence: Evidence = finding.evidence
    if not isinstance(evidence, FaultEvidence):
        return finding
    of_class, waiting = finding.alarm.segment.removeprefix(CLASS) or None, _waiting(watch)
    since = _since(watch, finding, of_class)
    worst = "" if of_class else _worst(watch, finding.alarm.version)
    fault = _fault(watch, evidence, worst, since, of_class=of_class is not None)
    story = sentence(fault)
    proposal = "" if waiting is None else f" {version_name(waiting).capitalize()} waits for you."
    return replace(
        finding,
        claim=f"{story}{proposal} {finding.claim}",
        evidence=structs.replace(
            evidence,
            since=None if since is None else moment(since.at),
            since_low=None if since is None or since.low is None else moment(since.low),
            since_high=None if since is None else moment(since.high),
            worst_segment=worst or None,
            calibrator_waiting=waiting,
            story=story,
        ),
    )


def _since(watch: Watch, finding: Finding, of_class: str | None) -> Since | None:
    if of_class is not None and len(watch.model.classes or ()) > MAX_CLASSES:
        return None  # of so many classes no sums are kept
    wanted = of_version(finding.alarm.version)
    return since_of(watch.connection, watch.clock, wanted, until=finding.end, of_class=of_class)


def _fault(watch: Watch, evidence: FaultEvidence, worst: str, since: Since | None, *, of_class: bool) -> Fault:
    known = evidence.at_least
    at_least = known if known is not None and known > evidence.threshold else None
    return Fault(
        task="binary" if of_class else watch.model.task,  # whether it is this class
        direction=evidence.direction,
        since=since,
        error=evidence.error or _error(watch.model.task, of_each=evidence.of_each and at_least is None),
        at_least=at_least,
        limit=evidence.threshold,
        worst=worst,
    )


def _error(task: str | None, *, of_each: bool) -> str:
    if of_each:
        return "Error of some confidences"
    return "Quantile ECE" if task == "regression" else "ECE"


def _waiting(watch: Watch) -> int | None:
    """Return the calibrator that waits for a person's decision."""
    waiting = versions.waiting(watch.connection, [watch.model]).get(watch.model.id)
    return None if waiting is None else waiting.number


def _worst(watch: Watch, version: str) -> str:
    """Return the flagged segment of a version whose error is largest at the least, over the shortest window that flags any; or nothing."""
    flagged: dict[str, list[Evaluation]] = {}
    for _, window, evaluation in evaluations.newest(watch.connection, watch.model.id):
        if evaluation.flag is not None and evaluation.flag.flagged and (evaluation.version or "") == version:
            flagged.setdefault(window, []).append(evaluation)
    if not flagged:
        return ""
    shortest = min(flagged, key=lambda window: parse_duration("window", window))
    return max(flagged[shortest], key=lambda evaluation: evaluation.error_lower_bound or 0.0).segment
