"""Figures: sums of a window to scores, intervals and a verdict."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..domain.settings import Model
from ..domain.times import rfc3339
from ..stats import cox, noise, reliability, scores, selective
from ..stats.alike import ratio, rows, stacked
from ..stats.cells import Cells, Floats, place
from ..stats.classwise import ClassCalibration, class_calibration, sce
from ..stats.cox import coxes
from ..stats.decomposition import corps, murphies
from ..stats.drift import ClassShift, ScoreDrift, class_shift, score_drift
from ..stats.reliability import Bins, bins_of, emptied
from ..stats.smooth import smooth_eces
from ..stats.summary import LOSSES, MAX_CLASSES, Scores, Summary, cells_of
from ..stats.values import has_scores, score_counts, value_bins
from . import regression

DEFAULT_BINS: Final = 15
AT_ONCE: Final = 128
"""Windows computed together; each takes about 200 kB meanwhile."""

CALIBRATED: Final = "calibrated"
MISCALIBRATED: Final = "miscalibrated"
TOO_FEW_LABELS: Final = "too_few_labels"
FIXED: Final = "fixed"
FITTED_ON: Final = "champion"
TRAILING: Final = "trailing"
VALIDATED: Final = "validation"
MIDDLE_CELL: Final = int(place([0.5])[0])
"""The last cell of probabilities that are at most .5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be evaluated: a range that was widened, of one version (None: all) and segment."""

    model: Model
    version: str | None
    segment: str
    start: int
    end: int
    scores: Scores = "served"
    bins: int = DEFAULT_BINS
    by_value: bool = True  # where all confidences are verbalised, each distinct value is a bin
    matured: bool = True


Asked = tuple[Question, Summary, Summary | None]
"""A question, the sums of its window, and those of the equally long window just before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What scores are compared with."""

    kind: str  # fixed: a declared range; champion: what serves was fitted on; validation: its set; trailing: the range just before
    start: int
    end: int


def evaluation(question: Question, summary: Summary, previous: Summary | None) -> dict[str, Any]:
    """Return every figure of a window; what can't be computed is None.

    Parameters
    ----------
    question : what the summary is of
    summary : sums of the window
    previous : sums of the equally long window just before; its signs sharpen the lower bound

    """
    return evaluations_of([(question, summary, previous)])[0]


def evaluations_of(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """Return `evaluation` of many windows, at a fraction of the cost: what costs most is found for all of them together."""
    windows = [_window(*each) for each in asked if each[0].model.task != "regression"]
    judged = iter(_together(windows))
    return [_of_regression(*each) if each[0].model.task == "regression" else next(judged) for each in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A window of probabilities."""

    question: Question
    summary: Summary
    previous: Summary
    values: Bins | None  # where each distinct value is a bin

    @property
    def alike(self) -> tuple[bool, Scores, int, int]:
        """What must agree between windows that are computed together."""
        asked = self.question
        return asked.model.task == "binary", asked.scores, asked.bins, 0 if self.values is None else len(self.values.n)


def _window(question: Question, summary: Summary, previous: Summary | None) -> _Window:
    values = value_bins(summary, question.scores) if question.by_value else None
    return _Window(question=question, summary=summary, previous=previous or Summary.of([]), values=values)


def _together(windows: Sequence[_Window]) -> list[dict[str, Any]]:
    """Return the evaluations of windows in their order, those that are alike computed together."""
    groups: dict[Any, list[int]] = {}
    for number, window in enumerate(windows):
        groups.setdefault(window.alike, []).append(number)
    found: dict[int, dict[str, Any]] = {}
    for numbers in groups.values():
        for first in range(0, len(numbers), AT_ONCE):
            some = numbers[first : first + AT_ONCE]
            found |= zip(some, _alike([windows[each] for each in some]), strict=True)
    return [found[each] for each in range(len(windows))]


def _alike(windows: Sequence[_Window]) -> Iterator[dict[str, Any]]:
    """Yield the evaluations of windows that are alike."""
    binary, served_or_raw, count, _ = windows[0].alike
    cells = cells_of([window.summary for window in windows], served_or_raw)
    bins, before = _bins(windows, cells)
    answers = scores.folded(cells) if binary else cells
    alphas = np.array([window.question.model.settings.false_alarm_rate for window in windows])
    bounds, margins = noise.ece_lower_bounds(bins, before, alphas)
    lines, ranked = coxes(cells), selective.rankings(cells, binary=binary)
    found = {
        "judged": bins.n.sum(axis=-1).astype(np.int64),
        "margin": margins,
        "direction": cox.directions(answers, lines),
        "accuracy": scores.accuracies(answers),
        **_figures(cells, bins, count),
        "cox_slope": [None if each is None else each.slope for each in lines],
        "cox_intercept": [None if each is None else each.intercept for each in lines],
        **_losses(windows, cells.n.sum(axis=-1)),
        **_decompositions(cells, bins),
        "ece_lower_bound": np.maximum(bounds, 0.0),  # nothing was found: the ECE is at least 0
        "reliability": reliability.reliability_diagrams(bins),
        "aurc": selective.aurcs(ranked),
        "risk_coverage": selective.risk_coverages(ranked),
    }
    return map(_evaluation, windows, rows(found))


def _bins(windows: Sequence[_Window], cells: Cells) -> tuple[Bins, Bins]:
    """Return the bins of windows and the same ones of the windows before them."""
    _, scores, count, valued = windows[0].alike
    if not valued:
        return bins_of(cells, count), bins_of(cells_of([window.previous for window in windows], scores), count)
    now = [window.values for window in windows if window.values is not None]
    before = [value_bins(each.previous, scores, bins) or emptied(bins) for each, bins in zip(windows, now, strict=True)]
    return stacked(now), stacked(before)


def _evaluation(window: _Window, found: dict[str, Any]) -> dict[str, Any]:
    judged, margin = found.pop("judged"), found.pop("margin")
    return {
        **_head(window.question, window.summary),
        **_verdict(window.question.model, judged, found["ece_lower_bound"], margin),
        **found,
        **_classwise(window),
    }


def _of_regression(question: Question, summary: Summary, previous: Summary | None) -> dict[str, Any]:
    found = regression.figures(summary, previous, alpha=question.model.settings.false_alarm_rate)
    verdict = _verdict(question.model, summary.labels, found["quantile_ece_lower_bound"], 0.0)
    return _head(question, summary) | verdict | found


def _head(question: Question, summary: Summary) -> dict[str, Any]:
    return {
        "model": question.model.name,
        "version": question.version,
        "segment": question.segment,
        "start": rfc3339(question.start),
        "end": rfc3339(question.end),
        "scores": question.scores,
        "predictions": summary.events,
        "labelled": summary.labels,
        "label_coverage": summary.labels / summary.events if summary.events else None,
        "matured": question.matured,
    }


def _verdict(model: Model, labelled: int, bound: float | None, margin: float | None) -> dict[str, Any]:
    """Return what is said of a model whose ECE is at least `bound`; "calibrated" only where a breach would have shown."""
    settings = model.settings
    verdict, needed = _judged(labelled, bound, margin, settings.thresholds["ece"], settings.minimum_labels)
    return {"verdict": verdict, "labels_needed": needed}


def _judged(
    labelled: int, bound: float | None, margin: float | None, threshold: float, minimum: int
) -> tuple[str, int]:
    if bound is not None and labelled >= minimum and bound > threshold:
        return MISCALIBRATED, 0
    needed = noise.labels_for_verdict(labelled, None if bound is None else margin, threshold=threshold, minimum=minimum)
    return (TOO_FEW_LABELS, needed) if needed else (CALIBRATED, 0)


def _figures(cells: Cells, bins: Bins, count: int) -> dict[str, Floats]:
    """Return the calibration errors of each window, and what they are compared with."""
    low, high = reliability.debiased_l2_intervals(bins)
    return {
        "mean_confidence": scores.mean_confidences(cells),
        "ece": reliability.eces(bins),
        "ece_null_mean": noise.null_eces(bins)[0],
        "ece_z": noise.ece_zs(bins),
        "debiased_l2_squared": reliability.debiased_l2_squares(bins),
        "debiased_l2": reliability.debiased_l2s(bins),
        "debiased_l2_low": low,
        "debiased_l2_high": high,
        "mce": reliability.mces(bins),
        "ace": reliability.aces(cells, count),
        "smooth_ece": smooth_eces(cells),
        "calibration_in_the_large_z": scores.calibration_in_the_large_zs(cells),
    }


def _decompositions(cells: Cells, bins: Bins) -> dict[str, Floats]:
    parts = corps(cells)
    return {
        **{f"brier_{name}": term for name, term in murphies(bins).items()},
        "corp_miscalibration": parts["miscalibration"],
        "corp_discrimination": parts["discrimination"],
    }


def _classwise(window: _Window) -> dict[str, Any]:
    """Return the SCE and each class's calibration; of a model with too many classes, and of raw scores, no sums are kept."""
    question, names = window.question, window.question.model.classes or ()
    if question.model.task != "multiclass" or question.scores != "served" or not 0 < len(names) <= MAX_CLASSES:
        return {"sce": None, "classes": []}
    cells = window.summary.classwise(len(names))
    before = None if window.previous is None else window.previous.classwise(len(names))
    found = class_calibration(cells, before, bins=question.bins, alpha=_class_alpha(question.model))
    return {
        "sce": sce(cells, question.bins),
        "classes": [_of_class(question.model, name, each) for name, each in zip(names, found, strict=True)],
    }


def _class_alpha(model: Model) -> float:
    """Return how often the bound of one class may err: classes with thresholds share the model's false-alarm rate."""
    return model.settings.false_alarm_rate / max(1, len(model.settings.class_thresholds))


def _of_class(model: Model, name: str, found: ClassCalibration) -> dict[str, Any]:
    threshold = model.settings.class_thresholds.get(name)
    bound = None if found.ece_lower_bound is None else max(found.ece_lower_bound, 0.0)
    verdict = None
    if threshold is not None:
        verdict, _ = _judged(found.labelled, bound, found.margin, threshold, model.settings.minimum_labels)
    return {
        "class": name,
        "labelled": found.labelled,
        "positives": found.positives,
        "mean_probability": found.mean_probability,
        "observed": found.observed,
        "ece": found.ece,
        "ece_lower_bound": bound,
        "threshold": threshold,
        "verdict": verdict,
    }


def _losses(windows: Sequence[_Window], labelled: Floats) -> dict[str, Floats]:
    """Return losses per event that is in the cells: less than there are labels where some values can't be read yet."""
    sums = np.stack([window.summary.losses(window.question.scores) for window in windows], axis=1)
    found = dict(zip(LOSSES, sums, strict=True))
    return {
        "brier": ratio(found["brier"], labelled),
        "log_loss": ratio(found["log_loss"], labelled),
        "log_loss_clipped": found["clipped"].astype(np.int64),
        "spiegelhalter_z": scores.standardised(found["spiegelhalter_numerator"], found["spiegelhalter_denominator"]),
    }


def drift(question: Question, current: Summary, before: Summary, reference: Reference) -> dict[str, Any]:
    """Return score drift of raw scores against a reference; raw, since a promotion moves the served ones by design."""
    old, new = _Arrived.of(before), _Arrived.of(current)
    found = _score_drift(question.model, old, new)
    settings = question.model.settings
    enough = min(current.events, before.events) >= settings.minimum_labels
    fields = [name for name in ScoreDrift.__slots__ if name not in {"n", "m"}]
    figures = {name: None if found is None else getattr(found, name) for name in fields}
    return {
        "model": question.model.name,
        "version": question.version,
        "segment": question.segment,
        "start": rfc3339(question.start),
        "end": rfc3339(question.end),
        "reference_kind": reference.kind,
        "reference_start": rfc3339(reference.start),
        "reference_end": rfc3339(reference.end),
        "scores": "raw",
        "predictions": current.events,
        "reference_predictions": before.events,
        **figures,
        "class_shift": _class_shift(question.model, old, new, enough=enough),
        "threshold": settings.thresholds["psi"],
        "enough": enough,
        "drifted": found is not None and enough and found.drifted(settings.thresholds["psi"]),
    }


@dataclass(frozen=True, slots=True)
class _Arrived:
    """What predictions add to sums, in cells of their raw scores, and the sums themselves."""

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
        return score_drift(old.summary.locations(), new.summary.locations())
    if has_scores(old.summary) or has_scores(new.summary):
        then, now = (np.append(each.count, score_counts(each.summary)) for each in (old, new))
        return score_drift(then, now)
    return score_drift(old.count, new.count, sums=(old.total, new.total))


def _class_shift(model: Model, old: _Arrived, new: _Arrived, *, enough: bool) -> dict[str, Any] | None:
    """Return how the mix of answers moved; None where answers are no classes, or were not counted for all predictions."""
    names, *counted = _answers(model, old, new)
    found: ClassShift | None = None
    if all(counts.sum() == each.summary.events for counts, each in zip(counted, (old, new), strict=True)):
        found = class_shift(*counted)
    if found is None:
        return None
    shares = zip(names, found.reference.tolist(), found.current.tolist(), strict=True)
    return {
        "classes": [{"class": name, "reference": then, "current": now} for name, then, now in shares],
        "js": found.js,
        "js_null_95": found.js_null_95,
        "js_null_999": found.js_null_999,
        "shifted": enough and found.shifted(model.settings.thresholds["psi"]),
    }


def _answers(model: Model, old: _Arrived, new: _Arrived) -> tuple[Sequence[str], Floats, Floats]:
    """Return the names of the classes and how often each was the answer; the answer of a binary model is 1 above .5."""
    if model.task == "binary":
        names = model.classes or ("0", "1")
        return names, old.sides(), new.sides()
    names = model.classes if model.task == "multiclass" and model.classes and len(model.classes) <= MAX_CLASSES else ()
    return names, old.summary.predicted(len(names)), new.summary.predicted(len(names))


def finite(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with whatever is not finite as None; a figure that can't be computed is never NaN."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
