"""A sequential test of a model version, or of one of its segments, within a transaction."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..domain.sequential import VersionEvidence
from ..domain.times import moment
from ..stats.sequential.evidence import Evidence
from ..stats.sequential.guarantee import fires_for_ever
from ..stats.sequential.spending import level
from .steps import Step

Place = tuple[str, str]
"""A version and a segment of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Testing:
    """A test and what is known of it besides its evidence."""

    version: str
    segment: str = ""  # empty: the version as a whole
    evidence: Evidence
    since: int  # predictions from here on count
    shown_since: datetime
    peaked_at: datetime | None = None  # when the e-value was highest, in event time
    start: int | None = None  # the number of the test among those of its half; None before its first bet
    level: float | None = None  # at which it rejects

    @property
    def place(self) -> Place:
        """Version and segment."""
        return self.version, self.segment

    @property
    def awaits_number(self) -> bool:
        """Whether it has just bet for the first time, whatever came of the bet."""
        return self.start is None and self.evidence.bets > 0

    def numbered(self, start: int, false_alarm_rate: float) -> "Testing":
        """Return the test as the one of this number, with the level that this gets."""
        return replace(self, start=start, level=level(start, false_alarm_rate))

    def counting(self, steps: Iterable[Step]) -> list[Step]:
        """Return the steps of its version and segment whose predictions count."""
        return [step for step in steps if (step.version, step.segment) == self.place and step.begin >= self.since]

    def after(self, evidence: Evidence, counted: Sequence[Step]) -> "Testing":
        """Return the test after some steps, a new peak dated by the one that reached it.

        Parameters
        ----------
        counted : the steps with labels that could be tested

        """
        if evidence.peak <= self.evidence.peak:
            return replace(self, evidence=evidence)
        end = counted[evidence.peaked - self.evidence.steps - 1].end
        return replace(self, evidence=evidence, peaked_at=moment(end))

    def said(self, task: str | None, *, threshold: float, false_alarm_rate: float, until: int) -> VersionEvidence:
        """Return what the test says, its alert being one for ever on the ECE.

        Parameters
        ----------
        until : the moment that the tests reach

        """
        evidence = self.evidence
        return VersionEvidence(
            version=self.version,
            segment=self.segment,
            log_e=finite(evidence.log_e),
            log_e_peak=finite(evidence.peak),
            peak=finite(evidence.peak),
            fires_at=None if self.level is None else fires_for_ever(self.level),
            peaked_at=self.peaked_at,
            log_sr=finite(evidence.log_sr),
            log_ratio=None if task == "regression" else finite(evidence.log_ratio),
            labels=evidence.labels,
            bets=evidence.bets,
            late_labels=evidence.late,
            steps=evidence.steps,
            direction=evidence.leaning(binary=task == "binary"),
            threshold=threshold,
            false_alarm_rate=false_alarm_rate,
            start=self.start,
            level=self.level,
            since=self.shown_since,
            until=moment(until),
        )


def finite(figure: float) -> float | None:
    """Return a figure, None where it is infinite."""
    return figure if math.isfinite(figure) else None
