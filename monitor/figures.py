"""Figures: sums of a window to scores, intervals and a verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from monitor import regression
from monitor.records import Model
from monitor.stats import cox as line
from monitor.stats import noise, reliability
from monitor.stats import scores as overall
from monitor.stats.cells import Cells, Floats, place
from monitor.stats.decomposition import corp, murphy
from monitor.stats.drift import ClassShift, ScoreDrift, class_shift, score_drift
from monitor.stats.reliability import Bins, bins_of
from monitor.stats.summary import MAX_CLASSES, Scores, Summary
from monitor.stats.values import has_scores, score_counts, value_bins
from monitor.times import rfc3339

DEFAULT_BINS: Final = 15
CALIBRATED: Final = "calibrated"
MISCALIBRATED: Final = "miscalibrated"
TOO_FEW_LABELS: Final = "too_few_labels"
FIXED: Final = "fixed"
FITTED_ON: Final = "champion"
TRAILING: Final = "trailing"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What scores are compared with."""

    kind: str  # fixed: a declared range; champion: what the calibrator in service was fitted on; trailing: the range just before
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
    if question.model.task == "regression":
        return _of_regression(question, summary, previous)
    cells = summary.cells(question.scores)
    bins, before = _bins(question, summary, previous, cells)
    settings = question.model.settings
    found = noise.ece_lower_bound(bins, before, alpha=settings.false_alarm_rate)
    bound = None if found is None else max(found, 0.0)  # nothing was found: the ECE is at least 0
    return {
        **_head(question, summary),
        **_verdict(question.model, int(bins.n.sum()), bound),
        **_figures(question, summary, cells, bins),
        "ece_lower_bound": bound,
        "reliability": [_plain(point) for point in reliability.reliability_points(bins)],
    }


def _of_regression(question: Question, summary: Summary, previous: Summary | None) -> dict[str, Any]:
    found = regression.figures(summary, previous, alpha=question.model.settings.false_alarm_rate)
    verdict = _verdict(question.model, summary.labels, found["quantile_ece_lower_bound"])
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


def _bins(question: Question, summary: Summary, previous: Summary | None, cells: Cells) -> tuple[Bins, Bins | None]:
    """Return the bins of a window and the same ones of the window before it."""
    values = value_bins(summary, question.scores) if question.by_value else None
    if values is not None:
        return values, None if previous is None else value_bins(previous, question.scores, values)
    before = None if previous is None else bins_of(previous.cells(question.scores), question.bins)
    return bins_of(cells, question.bins), before


def _plain(record: Any) -> dict[str, Any]:
    """Return a record of numbers as an object; `asdict` copies deeply, at half the cost of an evaluation."""
    return {name: getattr(record, name) for name in record.__slots__}


def _verdict(model: Model, labelled: int, bound: float | None) -> dict[str, Any]:
    settings = model.settings
    missing = max(0, settings.minimum_labels - labelled)
    if missing or bound is None:
        return {"verdict": TOO_FEW_LABELS, "labels_needed": max(1, missing)}
    broken = bound > settings.thresholds["ece"]
    return {"verdict": MISCALIBRATED if broken else CALIBRATED, "labels_needed": 0}


def _figures(question: Question, summary: Summary, cells: Cells, bins: Bins) -> dict[str, Any]:
    binary = question.model.task == "binary"
    found = line.cox(cells)
    l2_low, l2_high = reliability.debiased_l2_interval(bins) or (None, None)
    null = noise.null_ece(bins)
    figures = {
        "direction": line.direction(cells, found, binary=binary),
        "accuracy": overall.accuracy(cells, binary=binary),
        "mean_confidence": overall.mean_confidence(cells),
        "ece": reliability.ece(bins),
        "ece_null_mean": None if null is None else null[0],
        "ece_z": noise.ece_z(bins),
        "debiased_l2_squared": reliability.debiased_l2_squared(bins),
        "debiased_l2": reliability.debiased_l2(bins),
        "debiased_l2_low": l2_low,
        "debiased_l2_high": l2_high,
        "mce": reliability.mce(bins),
        "ace": reliability.ace(cells, question.bins),
        "sce": None,
        "smooth_ece": None,
        "cox_slope": None if found is None else found.slope,
        "cox_intercept": None if found is None else found.intercept,
        "calibration_in_the_large_z": overall.calibration_in_the_large_z(cells),
        "aurc": None,
    }
    return figures | _losses(question, summary, cells) | _decompositions(cells, bins)


def _losses(question: Question, summary: Summary, cells: Cells) -> dict[str, Any]:
    scores = question.scores
    count = float(cells.n.sum())  # less than there are labels where some values can't be read yet
    return {
        "brier": summary.loss(scores, "brier") / count if count else None,
        "log_loss": summary.loss(scores, "log_loss") / count if count else None,
        "log_loss_clipped": int(summary.loss(scores, "clipped")),
        "spiegelhalter_z": overall.spiegelhalter_z(
            summary.loss(scores, "spiegelhalter_numerator"), summary.loss(scores, "spiegelhalter_denominator")
        ),
    }


def _decompositions(cells: Cells, bins: Bins) -> dict[str, Any]:
    terms, parts = murphy(bins), corp(cells)
    return {
        "brier_reliability": None if terms is None else terms.reliability,
        "brier_resolution": None if terms is None else terms.resolution,
        "brier_uncertainty": None if terms is None else terms.uncertainty,
        "brier_within_bin_variance": None if terms is None else terms.within_bin_variance,
        "brier_within_bin_covariance": None if terms is None else terms.within_bin_covariance,
        "corp_miscalibration": None if parts is None else parts.miscalibration,
        "corp_discrimination": None if parts is None else parts.discrimination,
    }


def drift(question: Question, current: Summary, before: Summary, reference: Reference) -> dict[str, Any]:
    """Return score drift of raw scores against a reference; raw, since a promotion moves the served ones by design."""
    found = _score_drift(question.model, before, current)
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
        "class_shift": _class_shift(question.model, before, current, enough=enough),
        "threshold": settings.thresholds["psi"],
        "enough": enough,
        "drifted": found is not None and enough and found.drifted(settings.thresholds["psi"]),
    }


def _score_drift(model: Model, before: Summary, current: Summary) -> ScoreDrift | None:
    """Return how far scores have moved: confidences, of regression where predictions lie, and scores that are no probability."""
    if model.task == "regression":
        return score_drift(before.locations(), current.locations())
    old, new = before.cells("raw"), current.cells("raw")
    if has_scores(before) or has_scores(current):
        return score_drift(np.append(old.en, score_counts(before)), np.append(new.en, score_counts(current)))
    return score_drift(old.en, new.en, sums=(old.esp, new.esp))


def _class_shift(model: Model, before: Summary, current: Summary, *, enough: bool) -> dict[str, Any] | None:
    """Return how the mix of answers moved; None where answers are no classes, or were not counted for all predictions."""
    names, *counted = _answers(model, before, current)
    found: ClassShift | None = None
    if all(counts.sum() == each.events for counts, each in zip(counted, (before, current), strict=True)):
        found = class_shift(*counted)
    if found is None:
        return None
    shares = zip(names, found.reference.tolist(), found.current.tolist(), strict=True)
    return {
        "classes": [{"class": name, "reference": old, "current": new} for name, old, new in shares],
        "js": found.js,
        "js_null_95": found.js_null_95,
        "js_null_999": found.js_null_999,
        "shifted": enough and found.shifted(model.settings.thresholds["psi"]),
    }


def _answers(model: Model, before: Summary, current: Summary) -> tuple[Sequence[str], Floats, Floats]:
    """Return the names of the classes and how often each was the answer; the answer of a binary model is 1 above .5."""
    if model.task == "binary":
        names = model.classes or ("0", "1")
        return names, _sides(before), _sides(current)
    names = model.classes if model.task == "multiclass" and model.classes and len(model.classes) <= MAX_CLASSES else ()
    return names, before.predicted(len(names)), current.predicted(len(names))


def _sides(summary: Summary) -> Floats:
    """Return how many raw scores are at most .5, and how many above it."""
    events = summary.cells("raw").en
    at_most = events[: int(place([0.5])[0]) + 1].sum()
    return np.array([at_most, events.sum() - at_most])


def finite(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with whatever is not finite as None; a figure that can't be computed is never NaN."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()}
