"""Labelled raw scores to fit and judge calibrators on: cells where they are enough, rows where a vector is needed."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from monitor.calibrators.rows import rows_of_cells
from monitor.errors import BadInput
from monitor.outcomes import standing, truth_index, vectors_of
from monitor.records import Model, PredictionRow, SeriesKey
from monitor.stats.noise import signed_sum_lower_bound
from monitor.stats.summary import Kind, cell_sums
from monitor.store import events
from monitor.times import MINUTE
from monitor.windowed import Clocked, buckets

MOST_ROWS: Final = 50_000
"""Vectors that a fit reads at the most: the newest ones."""

BINS: Final = 15
FEWEST_SINCE: Final = 100
"""Labels from which on one can say that something began."""

INTERVAL: Final = 3.84
"""What twice the log likelihood falls by at the ends of a 95 % interval."""

AHEAD: Final = 5 * MINUTE
"""How far an event's time may lie ahead of its receipt."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """Weighted rows in the order of time."""

    x: Array  # (n,) confidences or (n, K) vectors, raw
    y: Array  # (n,) outcomes 0 or 1, or class indices
    weight: Array  # (n,) events that a row stands for
    at: Array  # (n,) beginning of the row's bucket, or its time, in microseconds

    @property
    def labels(self) -> int:
        """How many labelled events the rows stand for."""
        return round(float(self.weight.sum()))

    @property
    def right(self) -> int:
        """How many of them have y = 1; of vectors, the right answer."""
        outcome = self.y if self.x.ndim == 1 else self.x.argmax(axis=1) == self.y
        return round(float(self.weight @ outcome))

    def part(self, chosen: Array) -> "Sample":
        """Return the chosen rows."""
        return Sample(self.x[chosen], self.y[chosen], self.weight[chosen], self.at[chosen])

    def since(self, moment: int) -> "Sample":
        """Return the rows from a moment on."""
        return self.part(self.at >= moment)

    def split(self, holdout: float) -> tuple["Sample", "Sample"]:
        """Return an earlier part to fit on and a later one, of about the given share, to judge on.

        Raises
        ------
        BadInput
            when the labels share so few moments that no cut comes near that share.

        """
        moments, first = np.unique(self.at, return_index=True)
        before = np.concatenate([[0.0], np.cumsum(self.weight)])[first]
        share = 1.0 - before / self.weight.sum()
        best = int(np.argmin(np.abs(share - holdout)))
        if not holdout / 2 <= share[best] <= (1 + holdout) / 2:
            raise BadInput(
                "holdout",
                holdout,
                f"the labels fall into {len(moments)} bucket(s) of time, too few to hold out the latest {holdout:.0%}",
            )
        later = self.at >= moments[best]
        return self.part(~later), self.part(later)


def raw_sample(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> Sample:
    """Return the labelled raw scores of the wanted series over a range."""
    if clock.model.task == "multiclass":
        return _of_rows(connection, clock.model, start, end, wanted)
    return _of_cells(connection, clock, start, end, wanted)


def _of_cells(
    connection: Connection, clock: Clocked, start: int, end: int, wanted: Callable[[SeriesKey], bool]
) -> Sample:
    stored = buckets(connection, clock, start, end, wanted)
    # Under a calibrator, an event without a raw score says only what the calibrator made of it.
    kinds: dict[bool, tuple[Kind, ...]] = {False: ("both", "raw"), True: ("raw",)}
    parts = [
        _raw_cells([(begin, blob) for key, begin, blob in stored if (key.calibrator != 0) == calibrated], wanted_kinds)
        for calibrated, wanted_kinds in kinds.items()
    ]
    both = joined(parts)
    return both.part(np.argsort(both.at, kind="stable"))


def _raw_cells(stored: Sequence[tuple[int, bytes]], kinds: Collection[Kind]) -> Sample:
    rows, _, sums = cell_sums([blob for _, blob in stored], kinds, ("n", "sy", "sp", "spy"))
    at = np.array([begin for begin, _ in stored], dtype=np.int64)[rows]
    n, sy, _, _ = sums.T
    p, y, weight = rows_of_cells(*sums.T)
    return Sample(p, y, weight, np.concatenate([at[sy > 0], at[n - sy > 0]]))


def _of_rows(connection: Connection, model: Model, start: int, end: int, wanted: Callable[[SeriesKey], bool]) -> Sample:
    found: list[tuple[int, list[float], int]] = []
    for chunk in events.scan(connection, model.id):
        rows = [row for _, row in chunk if start <= row.at < end and wanted(_series(row))]
        found += _labelled(connection, model, rows)
        if len(found) >= MOST_ROWS or chunk[-1][1].received_at < start - AHEAD:
            break
    found = sorted(found[:MOST_ROWS])
    if not found:
        return Sample(np.zeros((0, len(model.classes or ()))), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    at, x, y = zip(*found, strict=True)
    return Sample(np.array(x), np.array(y, dtype=np.int64), np.ones(len(y)), np.array(at, dtype=np.int64))


def _labelled(connection: Connection, model: Model, rows: list[PredictionRow]) -> list[tuple[int, list[float], int]]:
    labels = events.labels_of(connection, [row.key for row in rows])
    found = []
    for row in rows:
        label = standing(model, labels.get((row.model_id, row.event_id), ()))
        truth = None if label is None else truth_index(model, label.label)
        if truth is not None and _has_raw(row):
            found.append((row.at, vectors_of(row, model.classes)[1], truth))
    return found


def _has_raw(row: PredictionRow) -> bool:
    """Return whether the model's own vector is known: under a calibrator, only where it was sent beside the served one."""
    return row.calibrator is None or row.raw is not None


def _series(row: PredictionRow) -> SeriesKey:
    return SeriesKey(row.model_id, row.version, row.calibrator or 0, "")


def joined(parts: Sequence[Sample]) -> Sample:
    """Return the rows of samples of one kind, at least one, one after the other."""
    return Sample(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.at for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Gaps:
    """How far confidences and outcomes of a sample are apart, per moment and bin of confidence."""

    at: Array  # (moments,) ascending
    n: Array  # (moments, bins) labelled events
    sy: Array  # (moments, bins) Σ outcomes
    sp: Array  # (moments, bins) Σ confidences
    variance: Array  # (moments, bins) Σ p(1 - p)

    @classmethod
    def of(cls, sample: Sample, served: Array) -> "Gaps":
        """Return the gaps of what would have been served for a sample's rows: confidences (n,) or vectors (n, K)."""
        p, right = served, sample.y
        if served.ndim > 1:
            answer = served.argmax(axis=1)
            p, right = served[np.arange(len(served)), answer], answer == sample.y
        at, moment = np.unique(sample.at, return_inverse=True)
        bins = np.maximum(np.searchsorted(np.arange(BINS + 1) / BINS, p, side="left") - 1, 0)
        place, shape = moment * BINS + bins, (len(at), BINS)
        return cls(
            at,
            *(
                np.bincount(place, weights=sample.weight * each, minlength=len(at) * BINS).reshape(shape)
                for each in (1.0, right, p, p * (1.0 - p))
            ),
        )

    def since(self, moment: int) -> "Gaps":
        """Return the gaps from a moment on."""
        later = self.at >= moment
        return Gaps(*(getattr(self, name)[later] for name in self.__slots__))


def onset(gaps: Gaps) -> int:
    """Return the latest moment at which what is off now can have begun: everything from there on is of one kind, as far as one can say.

    Before the change the gaps of the bins are noise around 0 and after it around values of their own, so that twice the log likelihood of
    a change at t is Σ G²/V over bins, plus a constant, G = Σ(p - y) and V = Σp(1 - p) from t on. The answer is the end of its 95 %
    interval, since labels from before the change harm a fit and a few lost ones do not. A fault from the start begins at the first moment.
    Hinkley 1970 (doi:10.1093/biomet/57.1.1).

    Examples
    --------
    >>> at = np.arange(4000)
    >>> p = np.full(4000, 0.8)
    >>> y = (at % 10 < np.where(at < 3000, 8, 6)).astype(float)
    >>> sample = Sample(p, y, np.ones(4000), at)
    >>> 2950 < onset(Gaps.of(sample, p)) < 3100
    True

    """
    gap, variance, labels = (
        np.cumsum(each[::-1], axis=0)[::-1] for each in (gaps.sp - gaps.sy, gaps.variance, gaps.n.sum(axis=1))
    )
    likelihood = np.where(variance > 0, gap**2 / np.where(variance > 0, variance, 1.0), 0.0).sum(axis=1)
    likelihood[1:][labels[1:] < FEWEST_SINCE] = 0.0
    return int(gaps.at[np.flatnonzero(likelihood >= likelihood.max() - INTERVAL)[-1]])


def lower_bound(gaps: Gaps, alpha: float) -> float | None:
    """Return a lower bound of the expected calibration error: signs from every second moment, bound over the others.

    None where there are no two moments.
    """
    half, rest = slice(0, None, 2), slice(1, None, 2)
    sign = np.sign((gaps.sp - gaps.sy)[half].sum(axis=0))
    n, sy, sp = (each[rest].sum(axis=0) for each in (gaps.n, gaps.sy, gaps.sp))
    return signed_sum_lower_bound(n, sy, sp, sign, alpha)
