"""Tests of observed over expected outcomes, which advance with those of a model's versions where the threshold `ratio` is set."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from ..domain.evaluations import Direction
from ..domain.sequential import RatioBasis, RatioEvidence
from ..domain.settings import RATIO, Model
from ..domain.times import moment
from ..stats.sequential.guarantee import fires_for_ever
from ..stats.sequential.ratio import Outcomes, RatioTest, Side
from ..stats.sequential.spending import level
from ..stats.summary import cell_sums
from ..stats.values import UNREAD
from ..store import ratios
from ..store.ratios import RatioStanding
from ..windows import value_maps
from .steps import Step, labelling
from .testing import finite

DIRECTIONS: dict[Side, Direction] = {"more": "underestimates", "less": "overestimates", "none": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Testing:
    """A test within a transaction."""

    version: str
    test: RatioTest
    since: int  # predictions from here on count
    shown_since: datetime
    peaked_at: datetime | None = None
    start: int | None = None  # its number among the tests of all versions; None before its first bet
    level: float | None = None

    @property
    def fires_at(self) -> float | None:
        """The log e-value that raises its alert; None before the first bet."""
        return None if self.level is None else fires_for_ever(self.level)

    def counting(self, steps: Iterable[Step]) -> list[Step]:
        """Return the steps of its version as a whole whose predictions count."""
        return [
            step for step in steps if (step.version, step.segment) == (self.version, "") and step.begin >= self.since
        ]


class RatioTests:
    """The tests of a model's versions within a transaction.

    A test starts with the first labelled cohort after the threshold was set, again after a promotion, a change of its basis, or the end
    of its alert.
    """

    def __init__(self, connection: Connection, model: Model, *, promoted: int | None, starts: int) -> None:
        self.connection = connection
        self.model = model
        self.limit = model.settings.thresholds.get(RATIO) if model.task == "binary" else None
        self.promoted = promoted
        self.starts = starts  # tests of versions that have bet so far
        self.stored = ratios.standings(connection, model.id)

    @property
    def basis(self) -> RatioBasis | None:
        """What the tests depend on; None where nothing is to be tested."""
        rate = self.model.settings.false_alarm_rate
        if self.limit is None:
            return None
        return RatioBasis(ratio=self.limit, false_alarm_rate=rate, promoted=self.promoted)

    def stand(self, versions: Collection[str]) -> bool:
        """Return whether the tests of all versions go on as they are."""
        if self.limit is None:
            return not any(test.state for test in self.stored.values())
        same = all(test.basis == self.basis and test.state for test in self.stored.values())
        return same and self.stored.keys() >= set(versions)

    def advance(
        self, steps: Sequence[Step], late: Sequence[Step], *, since: Mapping[str, int], reached: int, until: int
    ) -> None:
        """Test the steps of each version, and store its test.

        Parameters
        ----------
        steps, late : of all versions and segments
        since : since when predictions served as they are now count, by version
        reached, until : the moments that the tests had reached before, and reach now

        """
        basis = self.basis
        if basis is None:
            ratios.stop(self.connection, self.model.id)
            return
        tests = [
            self._resumed(version, basis, first, reached=reached, steps=steps)
            for version, first in sorted(since.items())
        ]
        after = [self._after(test, test.counting(steps), test.counting(late), basis.ratio) for test in tests]
        ratios.save(self.connection, self.model.id, [self._standing(test, basis, until) for test in after])

    def _resumed(self, version: str, basis: RatioBasis, first: int, *, reached: int, steps: Sequence[Step]) -> _Testing:
        stored = self.stored.get(version)
        test = None if stored is None or stored.basis != basis else _test_of(stored)
        if stored is None or test is None:
            begin = max(first, 0 if stored is None else stored.since)
            fresh = _Testing(version=version, test=RatioTest.begin(), since=begin, shown_since=moment(begin))
            shown = max(reached, min((step.begin for step in fresh.counting(steps)), default=begin))
            return replace(fresh, shown_since=moment(shown))
        said = stored.evidence
        return _Testing(
            version=version,
            test=test,
            since=stored.since,
            shown_since=said.since,
            peaked_at=said.peaked_at,
            start=said.start,
            level=said.level,
        )

    def _after(self, before: _Testing, steps: Sequence[Step], late: Sequence[Step], limit: float) -> _Testing:
        test, peaked_at = before.test, before.peaked_at
        for step in steps:
            earlier, test = test.peak, test.advanced(outcomes(step), limit=limit)
            peaked_at = moment(step.end) if test.peak > earlier else peaked_at
        testing = self._numbered(replace(before, test=test, peaked_at=peaked_at))
        seen = labelling(steps, late, task="binary", read=value_maps.reader(UNREAD))
        if seen is None or testing.fires_at is None:
            return testing
        judged = testing.test.labelled(seen, limit=limit, fires_at=testing.fires_at)
        forgotten = judged.peak < testing.test.peak
        return replace(testing, test=judged, peaked_at=None if forgotten else peaked_at)

    def _numbered(self, testing: _Testing) -> _Testing:
        """Return a test with the number and the level that it gets with its first bet, whatever came of the bet."""
        if testing.start is not None or not testing.test.steps:
            return testing
        self.starts += 1
        return replace(testing, start=self.starts, level=level(self.starts, self.model.settings.false_alarm_rate))

    def _standing(self, testing: _Testing, basis: RatioBasis, until: int) -> RatioStanding:
        test = testing.test
        held_because = test.doubt(basis.ratio)
        said = RatioEvidence(
            version=testing.version,
            threshold=basis.ratio,
            log_e=finite(test.log_e),
            log_e_peak=test.peak,
            fires_at=testing.fires_at,
            peaked_at=testing.peaked_at,
            observed=test.taken.observed,
            expected=test.taken.expected,
            off_by_at_least=None if testing.level is None else test.at_least(testing.level),
            direction=DIRECTIONS[test.side],
            labels=test.taken.labels,
            bets=test.taken.bets,
            steps=test.steps,
            held=held_because is not None,
            held_because=held_because,
            false_alarm_rate=basis.false_alarm_rate,
            start=testing.start,
            level=testing.level,
            since=testing.shown_since,
            until=moment(until),
        )
        return RatioStanding(
            version=testing.version, since=testing.since, basis=basis, evidence=said, state=test.to_bytes()
        )


def _test_of(stored: RatioStanding) -> RatioTest | None:
    """Return the stored test; None where it is to start again, or is one of a release with another test."""
    try:
        return RatioTest.from_bytes(stored.state) if stored.state else None
    except ValueError:
        return None


def outcomes(step: Step) -> Outcomes:
    """Return the outcomes of a step of a binary model, a cluster being one: the mean of its own."""
    _, _, singles = cell_sums(step.singles, ("both", "served"), ("n", "sy", "sp"))
    cluster, _, sums = cell_sums(step.clusters, ("both", "served"), ("n", "sy", "sp"))
    n, sy, sp = (np.bincount(cluster, column, len(step.clusters)) for column in sums.T)
    labels, observed, expected = singles.sum(axis=0).tolist() if len(singles) else (0.0, 0.0, 0.0)
    told = n > 0
    return Outcomes(
        labels=round(labels + n.sum()),
        bets=round(labels + told.sum()),
        observed=observed + float((sy[told] / n[told]).sum()),
        expected=expected + float((sp[told] / n[told]).sum()),
    )
