"""Drift of raw scores from a reference; served scores are not compared, since each promotion moves them by design."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..domain.drift import ClassShare, ClassShift, Drift, ReferenceKind
from ..domain.settings import Model
from ..domain.times import moment
from ..stats import moves
from ..stats.cells import Floats, place
from ..stats.drift import ScoreDrift, class_shift, score_drift
from ..stats.summary import MAX_CLASSES, Summary
from ..stats.values import has_scores, score_counts
from .evaluation import Question

MIDDLE_CELL: Final = int(place([0.5])[0])
"""The last cell of probabilities that are at most .5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The range that scores are compared with."""

    kind: ReferenceKind  # fixed: a declared range; champion: what serves was fitted on; validation: its set; trailing: just before
    start: int
    end: int


def drift(question: Question, current: Summary, before: Summary, reference: Reference) -> Drift:
    """Return score drift of a window against a reference.

    Parameters
    ----------
    question : what is asked
    current, before : sums of the window and of the reference
    reference : what the latter are of

    """
    old, new = _Arrived.of(before), _Arrived.of(current)
    distance = _score_drift(question.model, old, new)
    settings = question.model.settings
    threshold = settings.thresholds["psi"]
    enough = min(current.events, before.events) >= settings.minimum_labels
    return Drift(
        model=question.model.name,
        version=question.version,
        segment=question.segment,
        start=moment(question.start),
        end=moment(question.end),
        reference_kind=reference.kind,
        reference_start=moment(reference.start),
        reference_end=moment(reference.end),
        scores="raw",
        predictions=current.events,
        reference_predictions=before.events,
        psi=None if distance is None else distance.psi,
        psi_null_95=None if distance is None else distance.psi_null_95,
        psi_null_999=None if distance is None else distance.psi_null_999,
        ks=None if distance is None else distance.ks,
        ks_null_95=None if distance is None else distance.ks_null_95,
        js=None if distance is None else distance.js,
        js_null_95=None if distance is None else distance.js_null_95,
        wasserstein=None if distance is None else distance.wasserstein,
        wasserstein_null_95=None if distance is None else distance.wasserstein_null_95,
        relative_move=None if distance is None or distance.move is None else distance.move.distance,
        least_move=None if distance is None or distance.move is None else distance.move.least,
        class_shift=_class_shift(question.model, old, new, enough=enough and _may_shift(question.model, distance)),
        threshold=threshold,
        enough=enough,
        drifted=distance is not None and enough and distance.drifted(threshold),
    )


@dataclass(frozen=True, slots=True)
class _Arrived:
    """Counts and sums of predictions by cell of their raw score, labelled or not, with the summary that they are from."""

    summary: Summary
    count: Floats
    total: Floats

    @classmethod
    def of(cls, summary: Summary) -> "_Arrived":
        cells = summary.cells("raw")
        return cls(summary, cells.en, cells.esp)

    def sides(self) -> Floats:
        """Return how many scores are at most .5, and how many above it."""
        at_most = self.count[: MIDDLE_CELL + 1].sum()
        return np.array([at_most, self.count.sum() - at_most])


def _score_drift(model: Model, old: _Arrived, new: _Arrived) -> ScoreDrift | None:
    """Return how far scores have moved: confidences, of regression where predictions lie, and scores that are no probability."""
    if model.task == "regression":
        then, now = old.summary.locations(), new.summary.locations()
        return score_drift(then, now, move=moves.of_locations((then, now)))
    if has_scores(old.summary) or has_scores(new.summary):
        scores = score_counts(old.summary), score_counts(new.summary)
        then, now = np.append(old.count, scores[0]), np.append(new.count, scores[1])
        return score_drift(then, now, move=moves.of_scores(scores, ((old.count, new.count), (old.total, new.total))))
    return score_drift(old.count, new.count, sums=(old.total, new.total))


def _may_shift(model: Model, distance: ScoreDrift | None) -> bool:
    """Tell whether scores moved by more than rounding, by which a binary model's answer may change at .5."""
    return model.task != "binary" or distance is None or distance.move is None or distance.move.counts


def _class_shift(model: Model, old: _Arrived, new: _Arrived, *, enough: bool) -> ClassShift | None:
    """Return how the mix of answers moved; None where answers are no classes, or were not counted for all predictions."""
    names, *counted = _answers(model, old, new)
    if any(counts.sum() != side.summary.events for counts, side in zip(counted, (old, new), strict=True)):
        return None
    shift = class_shift(*counted)
    if shift is None:
        return None
    shares = zip(names, shift.reference.tolist(), shift.current.tolist(), strict=True)
    return ClassShift(
        classes=tuple(ClassShare(name=name, reference=then, current=now) for name, then, now in shares),
        js=shift.js,
        js_null_95=shift.js_null_95,
        js_null_999=shift.js_null_999,
        shifted=enough and shift.shifted(model.settings.thresholds["psi"]),
    )


def _answers(model: Model, old: _Arrived, new: _Arrived) -> tuple[Sequence[str], Floats, Floats]:
    """Return the names of the classes and how often each was the answer; the answer of a binary model is 1 above .5."""
    if model.task == "binary":
        names = model.classes or ("0", "1")
        return names, old.sides(), new.sides()
    names = model.classes if model.task == "multiclass" and model.classes and len(model.classes) <= MAX_CLASSES else ()
    return names, old.summary.predicted(len(names)), new.summary.predicted(len(names))
