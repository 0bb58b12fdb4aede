"""Sequential tests of a model's declared segments, which advance with those of its versions."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from ..domain.sequential import Basis
from ..domain.settings import Model
from ..domain.times import moment
from ..stats.sequential.evidence import Evidence
from ..stats.sequential.stored import decoded, encoded
from ..stats.values import UNREAD, Reading
from ..store import sequential
from ..store.sequential import Standing
from ..windows import segments, value_maps
from .steps import Step, advanced_side_by_side, taught
from .testing import Place, Testing


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
            [test.counting(steps.get(test.place, ())) for test in tests],
            task=self.model.task or "",
            threshold=segments.threshold(self.model),
            reads=reads,
        )
        after = [test.after(*result) for test, result in zip(tests, tested, strict=True)]
        for i, test in enumerate(after):
            for step in test.counting(late.get(test.place, ())):
                evidence = taught(after[i].evidence, step, task=self.model.task or "", read=reads[i])
                after[i] = replace(after[i], evidence=evidence)
        self._save(self._numbered(after, {place: own[0].begin for place, own in steps.items() if own}), until)

    def _resumed(self, place: Place, steps: Sequence[Step], since: int) -> Testing:
        stored, (version, segment) = self.stored.get(place), place
        evidence = None if stored is None or stored.basis != self.basis else _evidence_of(stored)
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
            if place not in tested and stored.state and stored.basis != self.basis
        ]
        standing = [self._standing(test, until) for test in tests]
        sequential.save_segments(self.connection, self.model.id, [*standing, *void])

    def _standing(self, test: Testing, until: int) -> Standing:
        said = test.said(
            self.model.task,
            threshold=segments.threshold(self.model),
            false_alarm_rate=self.basis.false_alarm_rate,
            until=until,
        )
        state = zlib.compress(encoded(test.evidence), 1)
        return Standing(
            version=test.version, segment=test.segment, since=test.since, basis=self.basis, evidence=said, state=state
        )


def _evidence_of(stored: Standing) -> Evidence | None:
    """Return the stored test; None where it is to start again, or is one of a release with other tests."""
    try:
        return decoded(zlib.decompress(stored.state)) if stored.state else None
    except (ValueError, zlib.error):
        return None
