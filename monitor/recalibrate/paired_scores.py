"""Scores of two calibrators on a model's matured labels, step by step, from sums or, where these do not suffice, rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from ..calibrators.distribution_rows import groups, quantiles
from ..calibrators.distributions import WHOLE
from ..calibrators.families import from_document
from ..calibrators.numeric import Objects
from ..domain.records import HOUR_LEVEL, LEVEL_STEP, MINUTE_LEVEL, SeriesKey
from ..domain.settings import Model
from ..domain.times import HOUR, MINUTE, floor
from ..stats.cells import Floats, Integers
from ..stats.sequential.comparison import IN_UNITS, OF_VECTORS, Pairs, widest
from ..stats.sequential.witnesses import LOWER, MIDDLE, UPPER
from ..stats.summary import Kind, cell_sums
from ..store import rollups, sequential
from ..store.calibrators import Fitted
from ..store.rollups import Span
from ..windows.clock import Clocked
from ..windows.samples import Sample, raw_sample

STEPS: Final = 200
"""Buckets read at once."""

ROWS: Final = 50
"""Rows of a step where there are no sums."""

ALONE: Final = -1
"""The cluster of events without one."""

RAW: Final[dict[bool, tuple[Kind, ...]]] = {False: ("both", "raw"), True: ("raw",)}
"""Kinds of the model's raw scores, by whether a calibrator served."""

BOUNDS: Final = {"multiclass": OF_VECTORS, "regression": IN_UNITS}

Map = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Maps:
    """A calibrator and the one that it is compared with, as functions."""

    own: Map
    other: Map
    bound: float  # by how much their scores can differ

    @classmethod
    def of(cls, model: Model, own: Fitted | None, other: Fitted | None) -> "Maps":
        """Return the maps of two calibrators; None stands for no calibrator."""
        maps = _map(own), _map(other)
        if model.task in BOUNDS:
            return cls(*maps, BOUNDS[model.task])
        grid = np.unique(np.concatenate([LOWER, MIDDLE, UPPER]))
        return cls(*maps, widest(maps[0](grid), maps[1](grid)))


def _map(fitted: Fitted | None) -> Map:
    return np.asarray if fitted is None else from_document(fitted.working_part).predict_proba


def border_of(connection: Connection, clock: Clocked) -> int:
    """Return the moment before which a model's labels can be compared; whole hours for rows, since finding them takes a scan.

    Where labels come at once, the newest minute matures while it lasts, and waits until it is over. Where events share clusters it does
    not wait: the sequential tests use it as it is, after which the sums of its clusters are deleted.
    """
    border, by_rows = clock.matured_until or 0, _by_rows(clock.model)
    if by_rows or not _clustered(connection, clock):
        border = min(border, floor(clock.now, MINUTE))
    return floor(border, HOUR) if by_rows or border < (clock.progress.minutes_from or 0) else border


def _clustered(connection: Connection, clock: Clocked) -> bool:
    return sequential.has_clusters(connection, list(_numbers(connection, clock)))


def _numbers(connection: Connection, clock: Clocked) -> dict[int, bool]:
    """Return the series of a model as a whole, each with whether a calibrator served."""
    series = rollups.series_ids(connection, clock.model.id).items()
    return {number: key.calibrator != 0 for key, number in series if _whole(key)}


def _by_rows(model: Model) -> bool:
    return model.task in BOUNDS or model.settings.trusted_sources is not None


def matured_pairs(connection: Connection, clock: Clocked, at: int, maps: Maps) -> tuple[list[Pairs], int]:
    """Return the scores of both maps on the next matured labels, and the moment before which those are.

    Parameters
    ----------
    at : predictions before this have been compared

    """
    border, by_rows = border_of(connection, clock), _by_rows(clock.model)
    if not by_rows and _clustered(connection, clock):
        # The sums of clusters are deleted once the sequential tests have used them.
        at = max(at, clock.progress.consumed_until or 0)
    if border <= at:
        return [], at
    return (_of_rows if by_rows else _of_sums)(connection, clock, at, border, maps)


def _whole(key: SeriesKey) -> bool:
    return key.segment == ""


def _of_rows(connection: Connection, clock: Clocked, at: int, until: int, maps: Maps) -> tuple[list[Pairs], int]:
    """Return steps of rows."""
    sample = raw_sample(connection, clock, at, until, _whole).judging
    if not sample.labels:
        return [], until
    rows = OF_TASK.get(clock.model.task or "", _of_singles)(sample, maps)
    return [rows.part(slice(first, first + ROWS)) for first in range(0, len(rows.n), ROWS)], until


def _of_singles(sample: Sample, maps: Maps) -> Pairs:
    own, other = (np.where(sample.y > 0, 1.0 - p, p) ** 2 for p in (maps.own(sample.x), maps.other(sample.x)))
    return Pairs(sample.weight, own, other)


def _of_vectors(sample: Sample, maps: Maps) -> Pairs:
    return Pairs.of_vectors(sample.y, maps.own(sample.x), maps.other(sample.x))


def _of_distributions(sample: Sample, maps: Maps) -> Pairs:
    """Return the scores of distributions by their quantiles at the levels at which each is served."""
    own, other = maps.own(sample.x), maps.other(sample.x)
    scores = np.zeros((3, len(sample.y)))
    for group in groups(sample.x):
        levels, y = quantiles(group).levels, sample.y[group.rows]
        pairs = Pairs.of_quantiles(
            y, np.array(levels) / WHOLE, *(_matrix(served[group.rows], levels) for served in (own, other))
        )
        scores[:, group.rows] = pairs.own, pairs.other, pairs.unit
    return Pairs(sample.weight, scores[0], scores[1], unit=scores[2])


def _matrix(served: Objects, levels: tuple[int, ...]) -> Floats:
    """Return quantiles at some levels, shape (m, levels)."""
    matrix = np.empty((len(served), len(levels)))
    for part in groups(served):
        matrix[part.rows] = quantiles(part).values
    return matrix


OF_TASK: Final[dict[str, Callable[[Sample, Maps], Pairs]]] = {
    "multiclass": _of_vectors,
    "regression": _of_distributions,
}


def _of_sums(connection: Connection, clock: Clocked, at: int, border: int, maps: Maps) -> tuple[list[Pairs], int]:
    series = _numbers(connection, clock)
    span = _next(connection, list(series), clock.progress.minutes_from or 0, at, border)
    if span is None:
        return [], border
    rows = rollups.read(connection, list(series), [span])
    begins = sorted({begin for _, _, begin, _ in rows})
    step = LEVEL_STEP[span.level]
    until = begins[STEPS] if len(begins) > STEPS else span.last
    shared = [
        (series[number], floor(begin, step), cluster, blob)
        for number, begin, cluster, blob in sequential.clusters(
            connection, list(series), Span(MINUTE_LEVEL, span.first, until)
        )
    ]
    total = [(series[number], begin, ALONE, blob) for number, _, begin, blob in rows if begin < until]
    return _steps(_Sums.of(total), _Sums.of(shared), maps), until


def _next(connection: Connection, numbers: Sequence[int], minutes_from: int, at: int, border: int) -> Span | None:
    """Return the next run of matured buckets: hours where minutes are not kept, else minutes."""
    change = min(minutes_from, border)
    for level, first, last in ((HOUR_LEVEL, at, change), (MINUTE_LEVEL, max(at, change), border)):
        begin = sequential.next_bucket(connection, numbers, level, first) if first < last else None
        if begin is not None and begin < last:
            return Span(level, begin, min(begin + STEPS * LEVEL_STEP[level], last))
    return None


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of raw scores per moment, cluster and cell; arrays have shape (m,)."""

    at: Integers
    cluster: Integers
    cell: Integers
    sums: Floats  # n, Σy and Σp; shape (m, 3)

    @classmethod
    def of(cls, stored: Sequence[tuple[bool, int, int, bytes]]) -> "_Sums":
        """Return the sums of encoded buckets, given as (whether a calibrator served, begin, cluster, summary)."""
        parts = []
        for calibrated, kinds in RAW.items():
            some = [(at, cluster, blob) for served, at, cluster, blob in stored if served == calibrated]
            row, cell, sums = cell_sums([blob for *_, blob in some], kinds, ("n", "sy", "sp"))
            named = np.array([(at, cluster) for at, cluster, _ in some], dtype=np.int64).reshape(-1, 2)[row]
            parts.append((named, cell, sums))
        named, cell, sums = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(named[:, 0], named[:, 1], cell, sums)

    def less(self, others: "_Sums") -> "_Sums":
        """Return the sums of events outside clusters."""
        return _Sums(
            np.concatenate([self.at, others.at]),
            np.full(len(self.at) + len(others.at), ALONE),
            np.concatenate([self.cell, others.cell]),
            np.concatenate([self.sums, -others.sums]),
        )

    def gathered(self) -> "_Sums":
        """Return the sums per moment, cluster and cell, those without labels left out."""
        keys = np.stack([self.at, self.cluster, self.cell], axis=1)
        named, place = np.unique(keys, axis=0, return_inverse=True)
        sums = np.zeros((len(named), self.sums.shape[1]))
        np.add.at(sums, place.ravel(), self.sums)
        labelled = sums[:, 0] > 0
        at, cluster, cell = named[labelled].T
        return _Sums(at, cluster, cell, sums[labelled])


def _steps(total: _Sums, shared: _Sums, maps: Maps) -> list[Pairs]:
    """Return a step for each moment, of events without a cluster and of clusters."""
    parts = [total.less(shared).gathered(), shared.gathered()]
    at, cluster = (np.concatenate([getattr(part, name) for part in parts]) for name in ("at", "cluster"))
    n, sy, sp = np.concatenate([part.sums for part in parts]).T
    if not len(n):
        return []
    p = np.clip(sp / n, 0.0, 1.0)
    order = np.argsort(at, kind="stable")
    columns = [column[order] for column in (n, sy, maps.own(p), maps.other(p), cluster)]
    cuts = [0, *(np.flatnonzero(np.diff(at[order])) + 1).tolist(), len(at)]
    return [Pairs.of_cells(*(column[first:last] for column in columns)) for first, last in pairwise(cuts)]
