"""Scores of two calibrators on a model's matured labels, step by step, from sums or, where these do not suffice, rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from ..store import clusters, rollups, sequential
from ..store.calibrators import Fitted
from ..store.rollups import Span
from ..windows.clock import Clocked
from ..windows.samples import Sample, row_sample

STEPS: Final = 200
"""Buckets read at once."""

ROWS: Final = 50
"""Rows of a step where there are no sums."""

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

    Where labels come at once, the newest minute matures while it lasts, and waits until it is over.
    """
    border, by_rows = min(clock.matured_until or 0, floor(clock.now, MINUTE)), _by_rows(connection, clock.model)
    return floor(border, HOUR) if by_rows or border < (clock.progress.minutes_from or 0) else border


def _by_rows(connection: Connection, model: Model) -> bool:
    """Return whether a model's sums do not suffice: they know neither vectors, nor the sources of labels, nor clusters."""
    return model.task in BOUNDS or model.settings.trusted_sources is not None or clusters.exist(connection, model.id)


def matured_pairs(connection: Connection, clock: Clocked, at: int, maps: Maps) -> tuple[list[Pairs], int]:
    """Return the scores of both maps on the next matured labels, and the moment before which those are.

    Parameters
    ----------
    at : predictions before this have been compared

    """
    border = border_of(connection, clock)
    if border <= at:
        return [], at
    by_rows = _by_rows(connection, clock.model)
    return (_of_rows if by_rows else _of_sums)(connection, clock, at, border, maps)


def _whole(key: SeriesKey) -> bool:
    return key.segment == ""


def _of_rows(connection: Connection, clock: Clocked, at: int, until: int, maps: Maps) -> tuple[list[Pairs], int]:
    """Return steps of rows: events that share a cluster within an hour are in one step, and bet together."""
    sample = row_sample(connection, clock.model, at, until, _whole).judging
    if not sample.labels:
        return [], until
    rows = OF_TASK.get(clock.model.task or "", _of_singles)(sample, maps)
    if sample.cluster is None or (sample.cluster < 0).all():
        return [rows.part(slice(first, first + ROWS)) for first in range(0, len(rows.n), ROWS)], until
    shared = replace(rows, cluster=sample.cluster)
    cuts = [0, *(np.flatnonzero(np.diff(sample.at // HOUR)) + 1).tolist(), len(rows.n)]
    return [shared.part(slice(first, last)) for first, last in pairwise(cuts)], until


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
    series = {
        n: key.calibrator != 0 for key, n in rollups.series_ids(connection, clock.model.id).items() if _whole(key)
    }
    span = _next(connection, list(series), clock.progress.minutes_from or 0, at, border)
    if span is None:
        return [], border
    rows = rollups.read(connection, list(series), [span])
    begins = sorted({begin for _, _, begin, _ in rows})
    until = begins[STEPS] if len(begins) > STEPS else span.last
    return _steps([(series[number], begin, blob) for number, _, begin, blob in rows if begin < until], maps), until


def _next(connection: Connection, numbers: Sequence[int], minutes_from: int, at: int, border: int) -> Span | None:
    """Return the next run of matured buckets: hours where minutes are not kept, else minutes."""
    change = min(minutes_from, border)
    for level, first, last in ((HOUR_LEVEL, at, change), (MINUTE_LEVEL, max(at, change), border)):
        begin = sequential.next_bucket(connection, numbers, level, first) if first < last else None
        if begin is not None and begin < last:
            return Span(level, begin, min(begin + STEPS * LEVEL_STEP[level], last))
    return None


def _steps(stored: Sequence[tuple[bool, int, bytes]], maps: Maps) -> list[Pairs]:
    """Return a step for each moment of encoded sums, given as (whether a calibrator served, begin, summary)."""
    keys, parts = [np.zeros((0, 2), dtype=np.int64)], [np.zeros((0, 3))]
    for calibrated, kinds in RAW.items():
        some = [(at, blob) for served, at, blob in stored if served == calibrated]
        row, cell, sums = cell_sums([blob for _, blob in some], kinds, ("n", "sy", "sp"))
        keys.append(np.stack([np.array([at for at, _ in some], dtype=np.int64)[row], cell], axis=1))
        parts.append(sums)
    moments, place = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    total = np.zeros((len(moments), 3))
    np.add.at(total, place.ravel(), np.concatenate(parts))
    labelled = total[:, 0] > 0
    return _pairs(moments[labelled, 0], total[labelled], maps)


def _pairs(at: Integers, sums: Floats, maps: Maps) -> list[Pairs]:
    """Return the scores of cells in the order of time, a step for each moment.

    Parameters
    ----------
    at : moment of each cell; shape (m,)
    sums : n, Σy and Σp; shape (m, 3)

    """
    if not len(at):
        return []
    n, sy, sp = sums.T
    p = np.clip(sp / n, 0.0, 1.0)
    own, other = maps.own(p), maps.other(p)
    cuts = pairwise([0, *(np.flatnonzero(np.diff(at)) + 1).tolist(), len(at)])
    return [Pairs.of_cells(n[a:b], sy[a:b], own[a:b], other[a:b]) for a, b in cuts]
