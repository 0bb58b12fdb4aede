"""Sequential tests of a model's declared segments and of classes with thresholds, which advance with those of its versions."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from msgspec import structs
from sqlalchemy import Connection

from ..domain.sequential import Basis
from ..domain.settings import CLASS, Model
from ..domain.times import moment
from ..stats.sequential.evidence import Evidence
from ..stats.sequential.guarantee import fires_for_ever
from ..stats.sequential.selection import Labelling
from ..stats.sequential.stored import decoded, encoded
from ..stats.values import UNREAD, Reading
from ..store import sequential
from ..store.sequential import Standing
from ..windows import segments, value_maps
from .steps import Step, advanced_side_by_side, labelling, taught
from .testing import Place, Testing


class SegmentTests:
    """The tests of a model's segments within a transaction; a class with a threshold stands in place of one.

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
        after: list[Testing] = []
        for limit, some in groupby(sorted(places, key=self._limit), key=self._limit):
            after += self._advanced(list(some), steps, late, since=since, readings=readings, limit=limit)
        first = {place: own[0].begin for place, own in steps.items() if own}
        numbered = [self._judged(test, steps, late, readings) for test in self._numbered(after, first)]
        self._save(numbered, until)

    def _limit(self, place: Place) -> float:
        return segments.tested_up_to(self.model, place[1])

    def _advanced(
        self,
        places: Sequence[Place],
        steps: Mapping[Place, Sequence[Step]],
        late: Mapping[Place, Sequence[Step]],
        *,
        since: Mapping[str, int],
        readings: Mapping[str, Reading],
        limit: float,
    ) -> list[Testing]:
        """Return the tests of some segments that have the same threshold after their steps, and what they learn from late labels."""
        tests = [self._resumed(place, steps.get(place, ()), since[place[0]]) for place in places]
        reads = [value_maps.reader(readings.get(version, UNREAD)) for version, _ in places]
        tested = advanced_side_by_side(
            [test.evidence for test in tests],
            [test.counting(steps.get(test.place, ())) for test in tests],
            task=self.model.task or "",
            threshold=limit,
            reads=reads,
        )
        after = [test.after(*result) for test, result in zip(tests, tested, strict=True)]
        for i, test in enumerate(after):
            for step in test.counting(late.get(test.place, ())):
                evidence = taught(after[i].evidence, step, task=self.model.task or "", read=reads[i])
                after[i] = replace(after[i], evidence=evidence)
        return after

    def _judged(
        self,
        test: Testing,
        steps: Mapping[Place, Sequence[Step]],
        late: Mapping[Place, Sequence[Step]],
        readings: Mapping[str, Reading],
    ) -> Testing:
        """Return a test after it is known which of its predictions had a label in time."""
        if test.level is None:
            return test
        limit, seen = fires_for_ever(test.level), Labelling.begin()
        if test.evidence.is_won_by_labels(limit):  # seldom: most segments are calm, and what they saw is forgotten
            of_class, own = (
                test.segment.startswith(CLASS),
                (test.counting(some.get(test.place, ())) for some in (steps, late)),
            )
            reading = UNREAD if of_class else readings.get(test.version, UNREAD)
            task = "binary" if of_class else self.model.task or ""
            seen = labelling(*own, task=task, read=value_maps.reader(reading)) or seen
        evidence = test.evidence.labelled(seen, threshold=self._limit(test.place), limit=limit)
        forgotten = evidence.peak < test.evidence.peak
        return replace(test, evidence=evidence, peaked_at=None if forgotten else test.peaked_at)

    def _basis(self, segment: str) -> Basis:
        """Return what the test of a segment depends on: of a class its own threshold."""
        return structs.replace(self.basis, ece=self._limit(("", segment))) if segment.startswith(CLASS) else self.basis

    def _resumed(self, place: Place, steps: Sequence[Step], since: int) -> Testing:
        stored, (version, segment) = self.stored.get(place), place
        evidence = None if stored is None or stored.basis != self._basis(segment) else _evidence_of(stored)
        if stored is None or evidence is None:
            first = max(since, stored.since if stored is not None else 0)
            shown = min((step.begin for step in steps if step.begin >= first), default=first)
            return Testing(
                version=version, segment=segment, evidence=Evidence.begin(), since=first, shown_since=moment(shown)
            )
        said = stored.evidence
        return Testing(
            version=version, segment=segment, evidence=evidence, since=stored.since, shown_since=said.since,
            peaked_at=said.peaked_at, start=said.start, level=said.level,
        )  # fmt: skip

    def _numbered(self, tests: Sequence[Testing], first: Mapping[Place, int]) -> list[Testing]:
        """Return the tests, each with the number and the level that it gets with its first bet."""
        numbered = []
        for test in sorted(tests, key=lambda test: (first.get(test.place, 0), test.place)):
            self.starts += test.awaits_number
            numbered.append(test.numbered(self.starts, self.basis.false_alarm_rate) if test.awaits_number else test)
        return numbered

    def _save(self, tests: Sequence[Testing], until: int) -> None:
        """Store the tests, and of all others whether they have to start again."""
        tested = {test.place for test in tests}
        void = [
            replace(stored, state=b"")
            for place, stored in self.stored.items()
            if place not in tested and stored.state and not self._stands(stored)
        ]
        standing = [self._standing(test, until) for test in tests]
        sequential.save_segments(self.connection, self.model.id, [*standing, *void])

    def _stands(self, stored: Standing) -> bool:
        """Return whether a test goes on as it is."""
        return not segments.has_test(self.model, stored.segment) or stored.basis == self._basis(stored.segment)

    def _standing(self, test: Testing, until: int) -> Standing:
        limit, of_class = self._limit(test.place), test.segment.startswith(CLASS)
        said = test.said(
            "binary" if of_class else self.model.task,
            threshold=limit,
            false_alarm_rate=self.basis.false_alarm_rate,
            until=until,
        )
        held_because = test.evidence.doubt(threshold=limit)
        said = structs.replace(said, held=held_because is not None, held_because=held_because)
        state = zlib.compress(encoded(test.evidence), 1)
        return Standing(
            version=test.version,
            segment=test.segment,
            since=test.since,
            basis=self._basis(test.segment),
            evidence=said,
            state=state,
        )


def _evidence_of(stored: Standing) -> Evidence | None:
    """Return the stored test; None where it is to start again, or is one of a release with other tests."""
    try:
        return decoded(zlib.decompress(stored.state)) if stored.state else None
    except (ValueError, zlib.error):
        return None
