"""Add matured cohorts and late labels, each once, to the sequential tests of their model version.

The tests of a model have reached one moment of its own time: everything before it has been tested. They advance in short transactions,
each of which moves that moment together with what it changes, so that nothing is ever tested twice.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Final

import numpy as np
from sqlalchemy import Connection

from ..domain.names import CHAMPION
from ..domain.records import HOUR_LEVEL, LATE_LEVEL, LEVEL_STEP, MINUTE_LEVEL
from ..domain.sequential import Basis, VersionEvidence
from ..domain.settings import Model
from ..domain.times import HOUR, floor, moment
from ..stats.cells import Cells, Floats
from ..stats.sequential.betting import SUMS, Entries
from ..stats.sequential.evidence import Clusters, Evidence
from ..stats.summary import PIT_CELLS, Summary, cell_sums, decode_all, encode_all, gather
from ..stats.values import UNREAD, has_values
from ..store import models, rollups, sequential, versions
from ..store.engine import Database
from ..store.lease import hold
from ..store.rollups import Span
from ..store.sequential import Standing
from ..windows import value_maps
from ..windows.clock import clocked
from ..windows.ranges import first_after
from ..windows.sums import readings

log = logging.getLogger(__name__)

STEPS: Final = 200
"""Buckets, and moments of late labels, that one transaction takes at most."""

TWENTIETHS: Final = 20

Read = Callable[[Summary, int | None], Cells]
"""Returns the served cells of a bucket from its sums and its beginning; None stands for late labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A bucket, or the late labels of one moment, to be added to the tests of a version."""

    version: str
    begin: int | None  # of the bucket; None of late labels
    total: Sequence[bytes]
    clusters: Sequence[tuple[int, bytes]]  # the clustered part of it, by cluster; one may come in several parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Testing:
    """The tests of one version within a transaction."""

    evidence: Evidence
    since: int  # predictions from here on count
    shown_since: datetime
    peaked_at: datetime | None  # when the e-value was highest, in event time
    fresh: bool  # started in this transaction


def advanced(evidence: Evidence, step: Step, *, task: str, threshold: float, read: Read) -> Evidence:
    """Return the tests after a step: the events of a cluster bet together, all others alone."""
    _, slots, values = decode_all(step.total)
    _, shared_slots, shared = decode_all([blob for _, blob in step.clusters])
    alone = Summary.of_entries(np.concatenate([slots, shared_slots]), np.concatenate([values, -shared]))
    parts = _merged(step.clusters)
    if task == "regression":
        apart = np.array([_twentieths(Summary.of([blob])) for blob in parts]).reshape(-1, TWENTIETHS)
        return evidence.advanced_pit(_twentieths(alone), apart, threshold=threshold)
    clusters = _read_apart(parts, read, step.begin) if has_values(alone) else _clusters(parts)
    return evidence.advanced(read(alone, step.begin), clusters, threshold=threshold)


def advanced_through(
    evidence: Evidence, steps: Sequence[Step], *, task: str, threshold: float, read: Read
) -> tuple[Evidence, list[Step]]:
    """Return the tests after several steps of one version, and which of them had labels that could be tested.

    Plain steps are added together.
    """
    counted: list[Step] = []
    for plain, some in groupby(steps, key=lambda step: _is_plain(step, task)):
        group = list(some)
        if plain:
            entries = _entries(group)
            evidence = evidence.advanced_through(entries, threshold=threshold)
            counted += [group[row] for row in np.unique(entries.row)]
            continue
        for step in group:
            after = advanced(evidence, step, task=task, threshold=threshold, read=read)
            counted += [step] if after.steps > evidence.steps else []
            evidence = after
    return evidence, counted


def _is_plain(step: Step, task: str) -> bool:
    """Return whether a step has neither clusters nor values to be read as probabilities: its cells are enough."""
    if step.clusters or task == "regression":
        return False
    return task != "confidence" or not has_values(Summary.of(step.total))


def _entries(steps: Sequence[Step]) -> Entries:
    owner = np.repeat(np.arange(len(steps)), [len(step.total) for step in steps])
    row, cell, sums = cell_sums([blob for step in steps for blob in step.total], ("both", "served"), SUMS)
    return Entries.gathered(len(steps), owner[row], cell, sums)


def _merged(clusters: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Return the sum of each cluster."""
    if not clusters:
        return []
    names, places = np.unique(np.array([name for name, _ in clusters], dtype=np.int64), return_inverse=True)
    rows, slots, values = decode_all([blob for _, blob in clusters])
    return encode_all(len(names), *gather(places[rows], slots, values))


def _twentieths(summary: Summary) -> Floats:
    counts: Floats = summary.pit()[:, 0].reshape(TWENTIETHS, PIT_CELLS // TWENTIETHS).sum(axis=1)
    return counts


def _clusters(parts: Sequence[bytes]) -> Clusters | None:
    if not parts:
        return None
    cluster, cell, sums = cell_sums(parts, ("both", "served"), ("n", "sy", "sp"))
    return Clusters(cluster, cell, *np.ascontiguousarray(sums.T))


def _read_apart(parts: Sequence[bytes], read: Read, begin: int | None) -> Clusters | None:
    """Return the sums of clusters whose values must be read as probabilities first."""
    if not parts:
        return None
    apart = [read(Summary.of([blob]), begin) for blob in parts]
    n, sy, sp = (np.array([getattr(cells, name) for cells in apart]) for name in ("n", "sy", "sp"))
    cluster, cell = np.nonzero(n)
    return Clusters(cluster, cell, n[cluster, cell], sy[cluster, cell], sp[cluster, cell])


def resumed(stored: Standing | None, basis: Basis, *, at: int, first: int, promoted: int) -> tuple[Evidence, int, bool]:
    """Return the tests of a version to continue, since when predictions count, and whether waiting late labels are dropped.

    Tests start again after a promotion or a rollback, with predictions from then on; and after a change of their basis, with predictions
    that have not been tested yet.

    Parameters
    ----------
    at : the moment that the tests of the model have reached
    first : since when predictions of a new version count
    promoted : since when predictions may have been served by the calibrator in service

    """
    if stored is None:
        return Evidence.begin(), max(first, promoted), False
    if stored.basis.promoted != basis.promoted:
        return Evidence.begin(), max(stored.since, promoted), True
    if not stored.state:
        return Evidence.begin(), stored.since, False
    try:
        evidence = Evidence.from_bytes(stored.state)
    except ValueError as error:
        log.warning("the sequential tests of version %r start again: %s", stored.version, error)
        return Evidence.begin(), max(stored.since, at), True
    if stored.basis == basis:
        return evidence, stored.since, False
    return Evidence.begin(), max(stored.since, at) if evidence.labels else stored.since, bool(evidence.labels)


class _Taking:
    """One transaction of a model's tests: it reads what is next, adds it, and stores the tests with the moment that they have reached."""

    def __init__(self, connection: Connection, model: Model, matured: int) -> None:
        self.connection = connection
        self.model = model
        self.readings = readings(connection, model)
        self.progress = models.progress_of(connection, [model.id])[model.id]
        self.matured = matured if matured >= (self.progress.minutes_from or 0) else floor(matured, HOUR)
        ids = rollups.series_ids(connection, model.id)
        self.version_of = {number: key.version for key, number in ids.items() if not key.segment}
        self.numbers = list(self.version_of)

    def is_due(self) -> bool:
        """Return whether there is anything to test, or tests to start."""
        at, basis = self.progress.consumed_until, self._basis()
        stored = sequential.standings(self.connection, self.model.id)
        same = all(each.basis == basis and each.state for each in stored.values())
        standing = at is not None and at >= self.matured and same and stored.keys() >= set(self.version_of.values())
        return not standing or bool(sequential.late(self.connection, self.numbers, 1))

    def go(self) -> tuple[int, bool]:
        """Test what is next; return the number of steps, and whether there is more."""
        basis = self._basis()
        testing = self._testing(basis)
        late, waiting, more = self._late()
        buckets, until = self._buckets(testing)
        moved = until != self.progress.consumed_until
        counted = 0
        for version, steps in _by_version((*late, *buckets)).items():
            before = testing[version]
            testing[version] = self._advanced(version, before, steps, until)
            counted += testing[version].evidence.steps - before.evidence.steps
        if moved or late or any(each.fresh for each in testing.values()):
            sequential.save(
                self.connection, self.model.id, [self._standing(*each, basis, until) for each in testing.items()]
            )
        if late:
            rollups.prune(self.connection, self.numbers, LATE_LEVEL, waiting.last)
            sequential.forget_clusters(self.connection, self.numbers, waiting)
        if moved:
            sequential.forget_clusters(self.connection, self.numbers, Span(MINUTE_LEVEL, 0, until))
            models.consumed(self.connection, self.model.id, until)
        return counted, more or until < self.matured

    def _basis(self) -> Basis:
        settings = self.model.settings
        champion = versions.aliases(self.connection, self.model.id).get(CHAMPION)
        return Basis(
            ece=settings.thresholds["ece"],
            false_alarm_rate=settings.false_alarm_rate,
            task=self.model.task,
            promoted=None if champion is None else champion.since_event_time,
        )

    def _testing(self, basis: Basis) -> dict[str, Testing]:
        stored = sequential.standings(self.connection, self.model.id)
        at = self.progress.consumed_until
        first = min((each.since for each in stored.values()), default=at or 0)
        promoted = 0 if basis.promoted is None else first_after(basis.promoted, self.progress.minutes_from)
        found = {}
        for version in sorted(set(self.version_of.values())):
            before = stored.get(version)
            evidence, since, leaves = resumed(before, basis, at=at or 0, first=first, promoted=promoted)
            if leaves or not stored:
                sequential.leave_out(self.connection, self.model.id, version)
            goes_on = before is not None and before.state and before.basis == basis and not leaves
            shown = before.evidence.since if before is not None and goes_on else self._shown(version, since)
            peaked_at = before.evidence.peaked_at if before is not None and goes_on else None
            found[version] = Testing(
                evidence=evidence, since=since, shown_since=shown, peaked_at=peaked_at, fresh=not goes_on
            )
        return found

    def _shown(self, version: str, since: int) -> datetime:
        """Return since when predictions count; where all do, the time of the first one."""
        numbers = [number for number, each in self.version_of.items() if each == version]
        hour = sequential.next_bucket(self.connection, numbers, HOUR_LEVEL, 0) or 0
        minutes = hour >= (self.progress.minutes_from or 0)
        begin = sequential.next_bucket(self.connection, numbers, MINUTE_LEVEL, 0) if minutes else hour
        return moment(since or begin or hour)

    def _late(self) -> tuple[list[Step], Span, bool]:
        """Return the steps of the oldest late labels, their span, and whether there may be more."""
        rows = sequential.late(self.connection, self.numbers, STEPS)
        if not rows:
            return [], Span(LATE_LEVEL, 0, 0), False
        span = Span(LATE_LEVEL, rows[0][1], rows[-1][1] + 1)
        apart = sequential.clusters(self.connection, self.numbers, span)
        return self._steps(rows, apart, late=True), span, len({begin for _, begin, _ in rows}) == STEPS

    def _buckets(self, testing: Mapping[str, Testing]) -> tuple[list[Step], int]:
        """Return the steps of the next matured buckets, and the moment that the tests reach by them."""
        at = self.progress.consumed_until or 0
        span = self._next(at) if at < self.matured else None
        if span is None:
            return [], max(at, self.matured)
        rows = sorted(rollups.read(self.connection, self.numbers, [span]), key=lambda row: (row[2], row[0]))
        begins = sorted({(begin, self.version_of[number]) for number, _, begin, _ in rows})
        step = LEVEL_STEP[span.level]
        last = max(begins[STEPS][0], span.first + step) if len(begins) > STEPS else span.last
        apart = [
            (number, floor(begin, step), cluster, blob)
            for number, begin, cluster, blob in sequential.clusters(
                self.connection, self.numbers, Span(MINUTE_LEVEL, span.first, last)
            )
        ]
        found = self._steps([(number, begin, blob) for number, _, begin, blob in rows if begin < last], apart)
        return [each for each in found if (each.begin or 0) >= testing[each.version].since], last

    def _next(self, at: int) -> Span | None:
        """Return the next matured buckets: minutes where they are kept, hours elsewhere."""
        border = min(self.progress.minutes_from or 0, self.matured)
        for level, first, last in ((HOUR_LEVEL, at, border), (MINUTE_LEVEL, max(at, border), self.matured)):
            begin = sequential.next_bucket(self.connection, self.numbers, level, first) if first < last else None
            if begin is not None and begin < last:
                return Span(level, begin, min(begin + STEPS * LEVEL_STEP[level], last))
        return None

    def _steps(
        self,
        rows: Iterable[tuple[int, int, bytes]],
        apart: Iterable[tuple[int, int, int, bytes]],
        *,
        late: bool = False,
    ) -> list[Step]:
        """Return sums by time and version."""
        total: dict[tuple[int, str], list[bytes]] = {}
        clusters: dict[tuple[int, str], list[tuple[int, bytes]]] = {}
        for number, begin, blob in rows:
            total.setdefault((begin, self.version_of[number]), []).append(blob)
        for number, begin, cluster, blob in apart:
            clusters.setdefault((begin, self.version_of[number]), []).append((cluster, blob))
        return [
            Step(
                version=version, begin=None if late else begin, total=blobs, clusters=clusters.get((begin, version), [])
            )
            for (begin, version), blobs in sorted(total.items())
        ]

    def _advanced(self, version: str, before: Testing, steps: Sequence[Step], until: int) -> Testing:
        """Return the tests of a version after some steps, up to a moment of event time."""
        evidence, counted = advanced_through(
            before.evidence,
            steps,
            task=self.model.task or "",
            threshold=self.model.settings.thresholds["ece"],
            read=value_maps.reader(self.readings.get(version, UNREAD)),
        )
        if evidence.peak <= before.evidence.peak:
            return replace(before, evidence=evidence)
        begin = counted[evidence.peaked - before.evidence.steps - 1].begin
        return replace(before, evidence=evidence, peaked_at=moment(until if begin is None else self._end(begin)))

    def _end(self, begin: int) -> int:
        """Return where a bucket ends: an hour where minutes are not kept any more, else a minute."""
        hourly = begin < (self.progress.minutes_from or 0)
        return begin + LEVEL_STEP[HOUR_LEVEL if hourly else MINUTE_LEVEL]

    def _standing(self, version: str, testing: Testing, basis: Basis, until: int) -> Standing:
        evidence = testing.evidence
        said = VersionEvidence(
            version=version,
            log_e=_finite(evidence.log_e),
            log_e_peak=_finite(evidence.peak),
            peaked_at=testing.peaked_at,
            ece_at_least=evidence.at_least.bound(basis.false_alarm_rate),
            log_sr=_finite(evidence.log_sr),
            log_ratio=None if self.model.task == "regression" else _finite(evidence.log_ratio),
            labels=evidence.labels,
            steps=evidence.steps,
            direction=evidence.leaning(binary=self.model.task == "binary"),
            threshold=basis.ece,
            false_alarm_rate=basis.false_alarm_rate,
            since=testing.shown_since,
            until=moment(until),
        )
        return Standing(
            version=version, since=testing.since, until=until, basis=basis, evidence=said, state=evidence.to_bytes()
        )


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _by_version(steps: Iterable[Step]) -> dict[str, list[Step]]:
    by_version: dict[str, list[Step]] = {}
    for step in steps:
        by_version.setdefault(step.version, []).append(step)
    return by_version


def advance_tests(database: Database, token: int, model: Model, now: int) -> int:
    """Test everything of one model that has matured, and all late labels; return the number of steps."""
    with database.read() as connection:
        matured = clocked(connection, model, now).matured_until
        if model.task is None or matured is None:
            return 0
        more = _Taking(connection, model, matured).is_due()
    steps = 0
    while more:
        with database.write(patient=True) as connection:
            hold(connection, token)
            taken, more = _Taking(connection, model, matured).go()
        steps += taken
    return steps
