"""Raw scores of a range of time, and their calibrated values, from sums where those suffice, else event by event."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from ..calibrators.families import from_document
from ..domain.records import LabelRow, PredictionRow
from ..domain.settings import Model
from ..stats.cells import CELLS, Floats, Integers
from ..stats.conformal import binary_scores, prediction_sets, vector_scores
from ..stats.impact import View, steps_of
from ..stats.summary import Kind, cell_sums
from ..stats.thresholds import CUTS, Steps
from ..store.calibrators import Calibrator, Fitted, no_calibrator
from ..store.payload import vectors_of
from ..store.rows import judged, scores_of, truth_index
from ..store.standing import standing_labels
from .clock import Clocked
from .rows import Wanted, newest, of_version
from .sums import buckets

Apply = Callable[[Floats], Floats]

MOST_ROWS: Final = 20_000
MOST_NUMBERS: Final = 5_000_000
"""Events that are read one by one at most, and numbers in their vectors, the newest ones."""

BOTH: Final[tuple[Kind, ...]] = ("both",)
RAW: Final[tuple[Kind, ...]] = ("raw",)
STEPS_TO_A_CUT: Final = 60
RESOLUTION: Final = 1e-9
"""The precision of stored scores."""


@dataclass(frozen=True, kw_only=True)
class Cellwise:
    """Raw scores of single probabilities, per bucket of time and cell; arrays of shape (rows,) in the order of time."""

    task: str
    at: Integers
    cell: Integers
    n: Floats  # labelled events
    sy: Floats  # those that came true
    events: Floats  # all events
    total: Floats  # Σ of their scores
    without_raw: int  # events whose raw score is unknown

    @property
    def labelled(self) -> int:
        """The number of labelled events."""
        return round(float(self.n.sum()))

    @property
    def count(self) -> int:
        """The number of events."""
        return round(float(self.events.sum()))

    def view(self, document: Fitted | None) -> View:
        """Return the scores of each cell under a calibrator."""
        apply = applied(document, self.task)
        lower, upper = np.append(0.0, CUTS[:-1]), CUTS
        events, total = self._sums(self.events), self._sums(self.total)
        middle = (lower + upper) / 2
        mean = np.clip(np.where(events > 0, total / np.maximum(events, 1.0), middle), lower, upper)
        width = np.where(upper > lower, upper - lower, 1.0)
        return View(
            lower=np.append(apply(upper[:1]), apply(upper[:-1])),
            upper=apply(upper),
            mean=apply(mean),
            tilt=(mean - middle) / width,
            n=self._sums(self.n),
            sy=self._sums(self.sy),
            events=events,
        )

    def _sums(self, values: Floats) -> Floats:
        return np.bincount(self.cell, weights=values, minlength=CELLS).astype(np.float64)

    def steps(self, view: View, document: Fitted | None) -> Steps | None:
        """Return the steps at which calibrated scores can be cut, None without any."""
        apply = applied(document, self.task)
        exact = apply(np.minimum(CUTS + RESOLUTION, 1.0)) > apply(CUTS)
        return steps_of(view, exact) if exact.any() else None

    def moved(self, threshold: float, before: "Under", after: "Under") -> float | None:
        """Return the threshold that selects the same events after a change of calibrators as this one before, None if there is none."""
        old, new = (applied(side.document, self.task) for side in (before, after))
        in_order = before.view.keeps_order and after.view.keeps_order
        if not in_order or float(old(np.zeros(1))[0]) > threshold:
            return None
        low, high = 0.0, 1.0
        for _ in range(STEPS_TO_A_CUT):
            middle = (low + high) / 2
            low, high = (middle, high) if float(old(np.array([middle]))[0]) <= threshold else (low, middle)
        return float(new(np.array([high if float(old(np.array([high]))[0]) <= threshold else low]))[0])

    def scores(self, document: Fitted | None) -> tuple[Integers, Floats, Floats]:
        """Return the conformal scores of a binary model's right answers, as (time, score, number of events)."""
        view = self.view(document)
        scores, weights = binary_scores(view.lower[self.cell], view.upper[self.cell], self.n, self.sy)
        used = weights > 0
        return np.tile(self.at, 2)[used], scores[used], weights[used]

    def set_size(self, document: Fitted | None, threshold: float, since: int) -> float | None:
        """Return the mean prediction-set size of events since `since`, each cell at its mean score."""
        sizes = prediction_sets(self.view(document).mean, threshold).sum(axis=1)[self.cell]
        chosen = np.where(self.at >= since, self.events, 0.0)
        return float(chosen @ sizes / chosen.sum()) if chosen.sum() > 0 else None


@dataclass(frozen=True, kw_only=True)
class Eventwise:
    """Raw scores event by event, in the order of time."""

    task: str
    at: Integers  # (n,)
    x: NDArray[np.float64]  # (n,) or (n, K)
    y: Integers  # (n,) outcomes 0 or 1, or class indices; -1 without a label
    without_raw: int

    @property
    def labelled(self) -> int:
        """The number of labelled events."""
        return int((self.y >= 0).sum())

    @property
    def count(self) -> int:
        """The number of events."""
        return len(self.at)

    def view(self, document: Fitted | None) -> View:
        """Return the scores of each event under a calibrator; of vectors, those of their answers."""
        served = self._served(document)
        right = self.y == 1
        if not len(served):
            served = np.zeros(0)  # of vectors of no known length too
        if served.ndim > 1:
            right = served.argmax(axis=1) == self.y
            served = served.max(axis=1)
        known = self.y >= 0
        return View(
            lower=served,
            upper=served,
            mean=served,
            tilt=np.zeros(len(served)),
            n=known.astype(np.float64),
            sy=(right & known).astype(np.float64),
            events=np.ones(len(served)),
        )

    def _served(self, document: Fitted | None) -> Floats:
        return applied(document, self.task)(self.x) if len(self.x) else self.x

    def steps(self, view: View, _document: Fitted | None) -> Steps | None:
        """Return the steps at which calibrated scores can be cut."""
        return steps_of(view)

    def moved(self, threshold: float, before: "Under", after: "Under") -> float | None:
        """Return the threshold that selects as many events after as another one did before, ties aside."""
        chosen = int((before.view.mean > threshold).sum())
        rising = np.sort(after.view.mean)
        if chosen == len(rising):
            return None
        return float(rising[len(rising) - 1 - chosen])

    def scores(self, document: Fitted | None) -> tuple[Integers, Floats, Floats]:
        """Return the conformal scores of right answers, as (time, score, number of events)."""
        known = self.y >= 0
        served, y = self._served(document)[known], self.y[known]
        scores = vector_scores(served, y) if served.ndim > 1 else np.where(y == 1, 1.0 - served, served)
        return self.at[known], scores, np.ones(len(scores))

    def set_size(self, document: Fitted | None, threshold: float, since: int) -> float | None:
        """Return the mean prediction-set size of events since `since`."""
        chosen = self.at >= since
        if not chosen.any():
            return None
        return float(prediction_sets(self._served(document)[chosen], threshold).sum(axis=1).mean())


Known = Cellwise | Eventwise


@dataclass(frozen=True)
class Under:
    """Raw scores of a range under a calibrator."""

    known: Known
    document: Fitted | None  # None: no calibrator

    @cached_property
    def view(self) -> View:
        """The scores."""
        return self.known.view(self.document)

    @cached_property
    def steps(self) -> Steps | None:
        """The steps at which they can be cut."""
        return self.known.steps(self.view, self.document)

    @property
    def number(self) -> int | None:
        """The number of the calibrator."""
        return self.document.number if isinstance(self.document, Calibrator) else None


def applied(document: Fitted | None, task: str) -> Apply:
    """Return the map of a calibrator from raw to served scores; identity without one."""
    return from_document((document or no_calibrator(task)).working_part).predict_proba


def known_of(connection: Connection, clock: Clocked, start: int, end: int, version: str | None = None) -> Known:
    """Return the raw scores of a model over a range, of one of its versions or of all.

    The newest events one by one, where calibrators take vectors and where only some sources of labels are trusted, which sums do not
    keep; sums elsewhere.
    """
    wanted = of_version(version)
    if clock.model.task == "multiclass" or clock.model.settings.trusted_sources is not None:
        return _eventwise(connection, clock.model, start, end, wanted)
    return _cellwise(connection, clock, start, end, wanted)


def _cellwise(connection: Connection, clock: Clocked, start: int, end: int, wanted: Wanted) -> Cellwise:
    stored = buckets(connection, clock, start, end, wanted)
    plain = [(begin, blob) for key, begin, blob in stored if key.calibrator == 0]
    calibrated = [(begin, blob) for key, begin, blob in stored if key.calibrator != 0]
    # Under a calibrator, an event without a raw score has only the calibrated one.
    parts = [_cells(plain, (*BOTH, *RAW)), _cells(calibrated, RAW)]
    at, cell, sums = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(at, kind="stable")
    n, sy, en, esp = sums[order].T
    return Cellwise(
        task=clock.model.task or "binary",
        at=at[order],
        cell=cell[order],
        n=n,
        sy=sy,
        events=en,
        total=esp,
        without_raw=round(float(_cells(calibrated, BOTH)[2][:, 2].sum())),
    )


def _cells(stored: Sequence[tuple[int, bytes]], kinds: Collection[Kind]) -> tuple[Integers, Integers, Floats]:
    rows, cells, sums = cell_sums([blob for _, blob in stored], kinds, ("n", "sy", "en", "esp"))
    return np.array([begin for begin, _ in stored], dtype=np.int64)[rows], cells, sums


def _eventwise(connection: Connection, model: Model, start: int, end: int, wanted: Wanted) -> Eventwise:
    most = min(MOST_ROWS, MOST_NUMBERS // max(1, len(model.classes or ())))
    scored: list[tuple[int, float | list[float], int]] = []
    without_raw = 0
    for rows in newest(connection, model.id, start, end, wanted):
        raw = [row for row in rows if row.calibrator is None or row.raw is not None]
        without_raw += len(rows) - len(raw)
        scored += _scored(model, raw, standing_labels(connection, model, raw))
        if len(scored) >= most:
            break
    scored = sorted(scored[:most], key=lambda entry: entry[0])
    shape = (len(scored), len(model.classes or ())) if model.task == "multiclass" else (len(scored),)
    return Eventwise(
        task=model.task or "binary",
        at=np.array([at for at, _, _ in scored], dtype=np.int64),
        x=np.array([x for _, x, _ in scored], dtype=np.float64).reshape(shape),
        y=np.array([y for _, _, y in scored], dtype=np.int64),
        without_raw=without_raw,
    )


def _scored(
    model: Model, rows: Sequence[PredictionRow], labels: Sequence[LabelRow | None]
) -> list[tuple[int, float | list[float], int]]:
    scored: list[tuple[int, float | list[float], int]] = []
    sources = model.settings.trusted_sources
    for row, stored in zip(rows, labels, strict=True):
        label = None if stored is not None and sources is not None and stored.source not in sources else stored
        if model.task == "multiclass":
            truth = None if label is None else truth_index(model, row, label.label)
            scored.append((row.at, vectors_of(row, model.classes)[1], -1 if truth is None else truth))
        else:
            kind = "both" if row.raw is None else "raw"
            outcomes = [] if label is None else judged(model, row, label.label)
            y = next((outcome for name, _, outcome, *_ in outcomes if name == kind), -1)
            scored += [(row.at, p, y) for name, p in scores_of(model, row) if name == kind]
    return scored
