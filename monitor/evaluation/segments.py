"""Sequential tests of a model's declared segments, which advance with those of its versions."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from ..domain.sequential import Basis, VersionEvidence
from ..domain.settings import Model
from ..domain.times import moment
from ..stats.sequential.evidence import Evidence
from ..stats.sequential.spending import level
from ..stats.values import UNREAD, Reading
from ..store import sequential
from ..store.sequential import Standing
from ..windows import segments, value_maps
from .steps import Step, advanced_side_by_side, taught

Place = tuple[str, str]
"""A version and a segment of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTest:
    """The test of one segment within a transaction."""

    place: Place
    evidence: Evidence
    since: int  # predictions from here on count
    shown_since: datetime
    peaked_at: datetime | None  # when the e-value was highest, in event time
    start: int | None  # the number of the test among those of segments; None before its first bet
    level: float | None  # at which it rejects


class SegmentTests:
    """The tests of a model's segments within a transaction.

    A test of a segment starts with its first labelled cohort, again after a promotion, a change of its basis or the end of an alert that
    named it.
    """

    def __init__(self, connection: Connection, model: Model, basis: Basis, starts: int) -> None:
        self.connection = connection
        self.model = model
        self.basis = basis
        self.starts = starts  # tests of segments that have bet so far
        self.stored = sequential.segment_standings(connection, model.id)

    def advance(
        self,
        steps: Mapping[Place, Sequence[Step]],
        late: Mapping[Place, Sequence[Step]],
        *,
        since: Mapping[str, int],
        readings: Mapping[str, Reading],
        until: int,
    ) -> None:
        """Test the steps of each segment, learn from what came late, and store all tests that this changes.

        Parameters
        ----------
        steps, late : of declared segments
        since : since when predictions count, by version
        readings : how values are read as probabilities, by version
        until : the moment that the tests reach

        """
        places = sorted(place for place in {*steps, *late} if place[0] in since)
        tests = [self._resumed(place, steps.get(place, ()), since[place[0]]) for place in places]
        reads = [value_maps.reader(readings.get(version, UNREAD)) for version, _ in places]
        tested = advanced_side_by_side(
            [test.evidence for test in tests],
            [_counting(steps.get(test.place, ()), test) for test in tests],
            task=self.model.task or "",
            threshold=segments.threshold(self.model),
            reads=reads,
        )
        after = [_after(test, *result) for test, result in zip(tests, tested, strict=True)]
        for i, test in enumerate(after):
            for step in _counting(late.get(test.place, ()), test):
                evidence = taught(after[i].evidence, step, task=self.model.task or "", read=reads[i])
                after[i] = replace(after[i], evidence=evidence)
        self._save(self._numbered(after, {place: own[0].begin for place, own in steps.items() if own}), until)

    def _resumed(self, place: Place, steps: Sequence[Step], since: int) -> SegmentTest:
        stored = self.stored.get(place)
        evidence = None if stored is None or stored.basis != self.basis else _evidence_of(stored)
        if stored is None or evidence is None:
            first = max(since, stored.since if stored is not None else 0)
            begins = [step.begin for step in steps if step.begin >= first]
            return SegmentTest(
                place=place, evidence=Evidence.begin(), since=first, shown_since=moment(min(begins, default=first)),
                peaked_at=None, start=None, level=None,
            )  # fmt: skip
        said = stored.evidence
        return SegmentTest(
            place=place, evidence=evidence, since=stored.since, shown_since=said.since,
            peaked_at=said.peaked_at, start=said.start, level=said.level,
        )  # fmt: skip

    def _numbered(self, tests: Sequence[SegmentTest], first: Mapping[Place, int]) -> list[SegmentTest]:
        """Return the tests, each with the number and the level that it gets with its first bet, whatever the bet won."""
        numbered = []
        for test in sorted(tests, key=lambda test: (first.get(test.place, 0), test.place)):
            if test.start is None and test.evidence.bets:
                self.starts += 1
                share = level(self.starts, self.basis.false_alarm_rate)
                numbered.append(replace(test, start=self.starts, level=share))
            else:
                numbered.append(test)
        return numbered

    def _save(self, tests: Sequence[SegmentTest], until: int) -> None:
        """Store the tests, and of all others whether they have to start again."""
        tested = {test.place for test in tests}
        void = [
            replace(stored, state=b"")
            for place, stored in self.stored.items()
            if place not in tested and stored.state and stored.basis != self.basis
        ]
        standing = [self._standing(test, until) for test in tests]
        sequential.save_segments(self.connection, self.model.id, [*standing, *void])

    def _standing(self, test: SegmentTest, until: int) -> Standing:
        evidence, (version, segment) = test.evidence, test.place
        said = VersionEvidence(
            version=version,
            segment=segment,
            log_e=_finite(evidence.log_e),
            log_e_peak=_finite(evidence.peak),
            peak=_finite(evidence.peak),
            fires_at=None if test.level is None else -math.log(test.level),
            peaked_at=test.peaked_at,
            log_sr=_finite(evidence.log_sr),
            log_ratio=None if self.model.task == "regression" else _finite(evidence.log_ratio),
            labels=evidence.labels,
            bets=evidence.bets,
            late_labels=evidence.late,
            steps=evidence.steps,
            direction=evidence.leaning(binary=self.model.task == "binary"),
            threshold=segments.threshold(self.model),
            false_alarm_rate=self.basis.false_alarm_rate,
            start=test.start,
            level=test.level,
            since=test.shown_since,
            until=moment(until),
        )
        state = zlib.compress(evidence.to_bytes(), 1)
        return Standing(
            version=version, segment=segment, since=test.since, basis=self.basis, evidence=said, state=state
        )


def _after(test: SegmentTest, evidence: Evidence, counted: Sequence[Step]) -> SegmentTest:
    if evidence.peak <= test.evidence.peak:
        return replace(test, evidence=evidence)
    end = counted[evidence.peaked - test.evidence.steps - 1].end
    return replace(test, evidence=evidence, peaked_at=moment(end))


def _counting(steps: Sequence[Step], test: SegmentTest) -> list[Step]:
    """Return the steps whose predictions count."""
    return [step for step in steps if step.begin >= test.since]


def _evidence_of(stored: Standing) -> Evidence | None:
    """Return the stored test; None where it is to start again, or is one of a release with other tests."""
    try:
        return Evidence.from_bytes(zlib.decompress(stored.state)) if stored.state else None
    except (ValueError, zlib.error):
        return None


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None
