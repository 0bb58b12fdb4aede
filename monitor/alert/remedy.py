"""What an alarm on calibration says to do where it fires, and why."""

from dataclasses import replace
from typing import Final

from msgspec import structs

from ..domain.alerts import Evidence
from ..domain.evaluations import Remedy
from ..domain.times import parse_duration
from ..stats.summary import Summary
from ..windows.ranges import widened
from ..windows.remedies import Breach, compared, remedies
from ..windows.sums import by_place
from .kind import Watch
from .transitions import Finding

ACTIONS: Final[dict[Remedy, str]] = {
    "recalibrate": "What to do: put a new calibrator in service.",
    "retrain": "What to do: retrain the model.",
    "check_labels": "What to do: check the labels.",
    "wait": "What to do: wait.",
}


class RemedyEvidence(Evidence, frozen=True, kw_only=True):
    """Evidence of an alarm that says what to do."""

    remedy: Remedy | None = None
    remedy_reason: str | None = None


def with_remedy(watch: Watch, finding: Finding) -> Finding:
    """Return a finding that fires, with what to do about it."""
    evidence: Evidence = finding.evidence
    if not isinstance(evidence, RemedyEvidence):
        return finding
    breach = _breach(watch, finding)
    advice = remedies(watch.connection, watch.clock, [breach])[0]
    action = f"{ACTIONS[advice.remedy]} {advice.reason}"
    # What a model as a whole shows is said in plain words before; of a class its figures come first.
    return replace(
        finding,
        claim=f"{finding.claim} {action}" if finding.alarm.segment else f"{action} {finding.claim}",
        evidence=structs.replace(evidence, remedy=advice.remedy, remedy_reason=advice.reason),
    )


def _breach(watch: Watch, finding: Finding) -> Breach:
    """Return the window that fires an alarm; of a sequential test, the shortest one with enough labels at its highest evidence."""
    version = finding.alarm.version
    ranges = [(finding.start, finding.end)]
    if finding.alarm.window not in watch.settings.windows:  # of the sequential test
        lengths = sorted(parse_duration("window", window) for window in watch.settings.windows)
        ranges = [(finding.end - length, finding.end) for length in lengths]
    wide = [widened(*over, watch.clock.progress.minutes_from) for over in ranges]
    sums = by_place(watch.connection, watch.model, set(wide), "")
    summaries = {over: sums[over].get((version, ""), Summary.of([])) for over in wide}
    minimum = watch.settings.minimum_labels
    over = next((over for over in wide if summaries[over].labels >= minimum), wide[-1])
    return Breach(version=version, segment="", over=over, sums=compared(watch.model, summaries[over]))
