"""Take matured cohorts and clusters, each once, into the sequential tests of their model version.

A cohort matures once the label delay has passed since its predictions were made and received. The tests of a model have reached one moment:
all cohorts due by it have been taken. They advance in short transactions, each of which moves that moment together with what it changes, so
that nothing is ever tested twice. Labels that come after their cohort was taken only teach.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, TypedDict

from msgspec import structs
from sqlalchemy import Connection

from ..domain.cohorts import end_of
from ..domain.names import CHAMPION
from ..domain.records import HOUR_LEVEL, MINUTE_LEVEL
from ..domain.sequential import ECE, Basis
from ..domain.settings import Model
from ..domain.times import MINUTE, floor, moment, rfc3339
from ..stats.sequential.evidence import Evidence
from ..stats.sequential.stored import decoded, encoded
from ..stats.values import UNREAD
from ..store import audit, clusters, models, rollups, sequential, versions
from ..store.clusters import Cluster
from ..store.engine import Database
from ..store.lease import hold
from ..store.sequential import Standing, Waiting
from ..windows import segments, value_maps
from ..windows.clock import due_until
from ..windows.ranges import first_after
from ..windows.sums import readings
from .ratios import RatioTests
from .rule import decides, fires_at
from .segments import SegmentTests
from .steps import Step, advanced_through, labelling, taught
from .testing import Place, Testing, finite

STEPS: Final = 200
"""Buckets that one transaction takes at most."""


def resumed(stored: Standing | None, basis: Basis, *, first: int, promoted: int) -> tuple[Evidence, int, bool]:
    """Return the tests of a version, since when predictions count, and whether they go on from what is stored.

    Tests start again after a promotion or a rollback, with predictions from then on; and after a change of their basis. What has been
    taken once is never taken again.

    Parameters
    ----------
    first : since when predictions of a new version count
    promoted : since when predictions may have been served by the calibrator in service

    """
    if stored is None:
        return Evidence.begin(), max(first, promoted), False
    if stored.basis.promoted != basis.promoted:
        return Evidence.begin(), max(stored.since, promoted), False
    if not stored.state or stored.basis != basis:
        return Evidence.begin(), stored.since, False
    evidence = _evidence_of(stored)
    return (evidence or Evidence.begin()), stored.since, evidence is not None


def _evidence_of(stored: Standing) -> Evidence | None:
    """Return the stored tests; None where they are those of a release with other tests."""
    try:
        return decoded(stored.state)
    except ValueError:
        return None


class _Limits(TypedDict):
    threshold: float
    limit: float  # the value of the figure that decides which raises an alert


class Taking:
    """One transaction of a model's tests: it takes what is next, and stores the tests with the moment that they have reached.

    First the moment moves. From then on the roll-up adds nothing to the cohorts that were due by it, so that they can be tested in several
    transactions, in the order of event time, and deleted as they are.
    """

    def __init__(self, connection: Connection, model: Model, until: int, now: int) -> None:
        self.connection = connection
        self.model = model
        self.now = now
        self.readings = readings(connection, model)
        self.progress = models.progress_of(connection, [model.id])[model.id]
        self.starts = self.progress.starts
        self.stored = sequential.standings(connection, model.id)
        ids = rollups.series_ids(connection, model.id)
        self.version_of = {number: key.version for key, number in ids.items() if not key.segment}
        in_order = dict.fromkeys(self.version_of[number] for number in sorted(self.version_of))
        self.place = {version: k for k, version in enumerate(in_order, start=1)}  # by first appearance
        self.tested = {
            number: (key.version, key.segment)
            for key, number in ids.items()
            if not key.segment or segments.has_test(model, key.segment)
        }
        self.numbers = list(ids.values())
        self.before = self.progress.taken_until or 0
        self.until = self._reached(until)

    def _reached(self, until: int) -> int:
        """Return the moment that the tests reach: when the newest of what is due by `until` was.

        No later one, so that a clock that is ahead for a while takes nothing that does not exist yet.
        """
        if until <= self.before:
            return self.before
        newest = max(
            sequential.newest_due(self.connection, self.numbers, until) or 0,
            clusters.newest_due(self.connection, self.model.id, until) or 0,
        )
        starts = self.progress.taken_until is None and bool(self.numbers)
        return until if starts and not newest else max(self.before, newest)

    def is_due(self) -> bool:
        """Return whether there is anything to test or to learn from, or tests to start."""
        if self.until > self.before or not self._stands():
            return True
        waits = sequential.is_due(self.connection, self.numbers, sequential.LATE - 1, self.before)
        return waits or clusters.is_due(self.connection, self.model.id, self.before)

    def _stands(self) -> bool:
        """Return whether the tests of all versions go on as they are."""
        basis, versions_seen = self._basis(), set(self.version_of.values())
        same = all(standing.basis == basis and standing.state for standing in self.stored.values())
        if not self.numbers or self.progress.taken_until is None:
            return True
        ratios = RatioTests(self.connection, self.model, promoted=basis.promoted, starts=self.starts)
        return same and self.stored.keys() >= versions_seen and ratios.stand(versions_seen)

    def go(self) -> tuple[int, bool]:
        """Test what is next; return the number of steps, and whether there is more."""
        basis = self._basis()
        before = self._testing(basis)
        steps, late, more = self._next()
        after = {
            version: self._after(testing, testing.counting(steps), testing.counting(late), basis)
            for version, testing in before.items()
        }
        self._audit(before)
        self._test_ratios(basis, before, steps, late)
        segment_starts = self._test_segments(basis, before, steps, late)
        sequential.save(self.connection, self.model.id, [self._standing(testing, basis) for testing in after.values()])
        models.took(self.connection, self.model.id, self.until, starts=self.starts, segment_starts=segment_starts)
        return sum(after[version].evidence.steps - testing.evidence.steps for version, testing in before.items()), more

    def _test_segments(
        self, basis: Basis, wholes: Mapping[str, Testing], steps: Iterable[Step], late: Iterable[Step]
    ) -> int:
        """Advance the tests of declared segments by the same steps; return how many have started so far."""
        tests = SegmentTests(self.connection, self.model, basis, self.progress.segment_starts)
        tests.advance(
            _by_segment(steps),
            _by_segment(late),
            since={version: testing.since for version, testing in wholes.items()},
            readings=self.readings,
            until=self.until,
        )
        return tests.starts

    def _test_ratios(
        self, basis: Basis, wholes: Mapping[str, Testing], steps: Sequence[Step], late: Sequence[Step]
    ) -> None:
        """Advance the tests of observed over expected outcomes by the same steps; they are numbered among those of versions."""
        tests = RatioTests(self.connection, self.model, promoted=basis.promoted, starts=self.starts)
        since = {version: testing.since for version, testing in wholes.items()}
        tests.advance(steps, late, since=since, reached=self.before, until=self.until)
        self.starts = tests.starts

    def _audit(self, testing: Mapping[str, Testing]) -> None:
        """Log that the tests of another release were not taken over."""
        fresh = (self.stored.get(version) for version, test in testing.items() if not test.evidence.steps)
        if any(stored is not None and stored.state and _evidence_of(stored) is None for stored in fresh):
            reason = (
                "This release has other sequential tests than the one before, whose evidence is not taken over: they begin anew, with "
                f"predictions received after {rfc3339(self.before)}."
            )
            action, detail = audit.Action.TESTS_BEGIN, audit.Detail(reason=reason)
            audit.log(self.connection, self.model.id, at=self.now, actor=audit.ACTOR, action=action, detail=detail)

    def _basis(self) -> Basis:
        settings = self.model.settings
        champion = versions.aliases(self.connection, self.model.id).get(CHAMPION)
        return Basis(
            ece=settings.thresholds["ece"],
            false_alarm_rate=settings.false_alarm_rate,
            task=self.model.task,
            promoted=None if champion is None else champion.since_event_time,
            guarantee=settings.guarantee,
            alert_on=ECE if self.model.task == "regression" else settings.alert_on,
        )

    def _testing(self, basis: Basis) -> dict[str, Testing]:
        first = min((standing.since for standing in self.stored.values()), default=0)
        promoted = 0 if basis.promoted is None else first_after(basis.promoted, self.progress.minutes_from)
        testing = {}
        for version in sorted(set(self.version_of.values())):
            stored = self.stored.get(version)
            evidence, since, goes_on = resumed(stored, basis, first=first, promoted=promoted)
            before = stored.evidence if stored is not None and goes_on else None
            testing[version] = Testing(
                version=version,
                evidence=evidence,
                since=since,
                shown_since=self._shown(version, since) if before is None else before.since,
                peaked_at=None if before is None else before.peaked_at,
                start=None if before is None else before.start,
                level=None if before is None else before.level,
            )
        return testing

    def _shown(self, version: str, since: int) -> datetime:
        """Return since when predictions count; where all do, the time of the first one."""
        if version in self.stored:  # what was taken before is not taken again
            return moment(max(since, self.before))
        numbers = [number for number, name in self.version_of.items() if name == version]
        hour = sequential.next_bucket(self.connection, numbers, HOUR_LEVEL, 0) or 0
        minutes = hour >= (self.progress.minutes_from or 0)
        begin = sequential.next_bucket(self.connection, numbers, MINUTE_LEVEL, 0) if minutes else hour
        return moment(since or begin or hour)

    def _next(self) -> tuple[list[Step], list[Step], bool]:
        """Return the next steps, what is to be learned from after them, and whether there is more; they wait no more from then on."""
        gathered = clusters.due(self.connection, self.model.id, self.until, STEPS + 1)
        begins = [
            *sequential.due_buckets(self.connection, self.numbers, self.until, STEPS + 1),
            *(floor(cluster.opened, MINUTE) for cluster in gathered.values()),
        ]
        next_begins = sorted(set(begins))[:STEPS]
        more = len(set(begins)) > STEPS or len(gathered) > STEPS
        steps, late = _Steps(), _Steps()
        if next_begins:
            last = min(next_begins[-1], max(begins) if len(gathered) <= STEPS else begins[-1])
            taken = {key: cluster for key, cluster in gathered.items() if floor(cluster.opened, MINUTE) <= last}
            for waiting in sequential.due(self.connection, self.numbers, self.until, last):
                self._add(steps, waiting)
            for key, cluster in taken.items():
                if not key.segment or segments.has_test(self.model, key.segment):
                    steps.add_cluster((key.version, key.segment), cluster, cluster.summary)
                    late.add_cluster((key.version, key.segment), cluster, cluster.rest)
            sequential.forget_due(self.connection, self.numbers, self.until, last)
            clusters.save(self.connection, {key: cluster.emptied() for key, cluster in taken.items()})
        if not more:
            for waiting in sequential.late(self.connection, self.numbers):
                self._add(late, waiting)
            sequential.forget_late(self.connection, self.numbers)
        return steps.in_order(), late.in_order(), more

    def _after(self, before: Testing, steps: Sequence[Step], late: Sequence[Step], basis: Basis) -> Testing:
        return self._judged(self._numbered(self._advanced(before, steps, late, basis), basis), steps, late, basis)

    def _add(self, steps: "_Steps", waiting: Waiting) -> None:
        """Add sums to the steps of their version and segment; those of segments that are declared no more are left out."""
        if waiting.series in self.tested:
            steps.add(self.tested[waiting.series], waiting)

    def _advanced(self, before: Testing, steps: Sequence[Step], late: Sequence[Step], basis: Basis) -> Testing:
        """Return the tests of a version after some steps, and after what only teaches."""
        task, read = self.model.task or "", value_maps.reader(self.readings.get(before.version, UNREAD))
        evidence, counted = advanced_through(
            before.evidence, steps, task=task, threshold=basis.ece, decides=decides(basis), read=read
        )
        for step in late:
            evidence = taught(evidence, step, task=task, read=read)
        return before.after(evidence, counted)

    def _numbered(self, testing: Testing, basis: Basis) -> Testing:
        """Return a test with the number and the level that it gets with its first bet."""
        if not testing.awaits_number:
            return testing
        self.starts += 1
        return testing.numbered(self.starts, basis.false_alarm_rate)

    def _judged(self, testing: Testing, steps: Sequence[Step], late: Sequence[Step], basis: Basis) -> Testing:
        """Return a test after it is known which predictions of some steps had a label in time."""
        read = value_maps.reader(self.readings.get(testing.version, UNREAD))
        seen = labelling(steps, late, task=self.model.task or "", read=read)
        if seen is None:
            return testing
        evidence = testing.evidence.labelled(seen, **self._limits(testing, basis), decides=decides(basis))
        forgotten = evidence.peak < testing.evidence.peak
        return replace(testing, evidence=evidence, peaked_at=None if forgotten else testing.peaked_at)

    def _limits(self, testing: Testing, basis: Basis) -> _Limits:
        limit = self._fires_at(testing, basis)
        return _Limits(threshold=basis.ece, limit=math.inf if limit is None else limit)

    def _fires_at(self, testing: Testing, basis: Basis) -> float | None:
        return fires_at(basis.guarantee, level=testing.level, place=self.place[testing.version])

    def _standing(self, testing: Testing, basis: Basis) -> Standing:
        evidence, figure, task = testing.evidence, decides(basis), self.model.task
        held_because = evidence.doubt(threshold=basis.ece)
        said = structs.replace(
            testing.said(task, threshold=basis.ece, false_alarm_rate=basis.false_alarm_rate, until=self.until),
            log_e_peak=finite(evidence.peak) if figure == "log_e" else None,
            guarantee=basis.guarantee,
            alert_on=basis.alert_on,
            decided_by=figure,
            fires_at=self._fires_at(testing, basis),
            ece_at_least=None if testing.level is None else evidence.at_least.bound(testing.level),
            log_ratio_sr=None if task == "regression" else finite(evidence.log_ratio_sr),
            held=held_because is not None,
            held_because=held_because,
            coverage=evidence.holding.labelling.coverage,
            timely_gap=evidence.holding.labelling.timely_gap,
            late_gap=evidence.holding.labelling.late_gap,
        )
        state = encoded(evidence)
        return Standing(version=testing.version, since=testing.since, basis=basis, evidence=said, state=state)


class _Steps:
    """Steps by version, segment and beginning, gathered from their parts."""

    def __init__(self) -> None:
        self._steps: dict[tuple[Place, int], Step] = {}

    def add(self, place: Place, waiting: Waiting) -> None:
        self._step(place, waiting.bucket, end_of(waiting.bucket, waiting.due)).singles.append(waiting.summary)

    def add_cluster(self, place: Place, cluster: Cluster, sums: bytes) -> None:
        if sums:
            begin = floor(cluster.opened, MINUTE)
            self._step(place, begin, begin + MINUTE).clusters.append(sums)

    def _step(self, place: Place, begin: int, end: int) -> Step:
        version, segment = place
        return self._steps.setdefault((place, begin), Step(version=version, segment=segment, begin=begin, end=end))

    def in_order(self) -> list[Step]:
        return [self._steps[place] for place in sorted(self._steps)]


def _by_segment(steps: Iterable[Step]) -> dict[Place, list[Step]]:
    """Return the steps of segments by version and segment."""
    of_segments: dict[Place, list[Step]] = {}
    for step in steps:
        if step.segment:
            of_segments.setdefault((step.version, step.segment), []).append(step)
    return of_segments


def advance_tests(database: Database, token: int, model: Model, now: int) -> int:
    """Test everything of one model that has matured, and learn from all late labels; return the number of steps."""
    with database.read() as connection:
        until = due_until(connection, model, now)
        if model.task is None or until is None:
            return 0
        more = Taking(connection, model, until, now).is_due()
    steps = 0
    while more:
        with database.write(patient=True) as connection:
            hold(connection, token)
            taken, more = Taking(connection, model, until, now).go()
        steps += taken
    return steps
