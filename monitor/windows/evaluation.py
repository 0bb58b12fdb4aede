"""Sums of windows to figures, what is drawn of them, and a verdict."""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from msgspec import convert, structs

from ..domain.evaluations import (
    CALIBRATED,
    OFF,
    TOO_FEW_LABELS,
    Bin,
    ClassCalibration,
    Curves,
    Evaluation,
    Figures,
    Levels,
    RiskPoint,
    Verdict,
)
from ..domain.settings import RATIO, Model
from ..domain.times import moment
from ..domain.verdicts import verdict_of
from ..stats import classwise, noise, reliability, selective
from ..stats.alike import stacked
from ..stats.cells import Cells, Floats
from ..stats.direction import Direction, directions
from ..stats.outcomes import expected_for_verdict
from ..stats.reliability import Bins, bins_of, emptied
from ..stats.remedy import NOT_COMPARED, WAIT
from ..stats.summary import LOSSES, MAX_CLASSES, Scores, Summary, cells_of
from ..stats.values import value_bins
from . import regression, scores
from .figures import computed

DEFAULT_BINS: Final = 15

MOST_NEEDED: Final = 1e9
"""Labels that are said to be needed at most."""

AT_ONCE: Final = 128
"""Windows computed together; each takes about 200 kB meanwhile."""


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
    watched: bool = True  # by alerts, as what was served is, so that its lower bound alone is no verdict


class Asked(NamedTuple):
    """A question, the sums of its window, and those of the equally long window just before, whose signs sharpen the lower bound."""

    question: Question
    summary: Summary
    previous: Summary | None


def evaluation(question: Question, summary: Summary, previous: Summary | None) -> Evaluation:
    """Return every figure of a window.

    Parameters
    ----------
    question : what the summary is of
    summary : sums of the window
    previous : sums of the equally long window just before; its signs sharpen the lower bound

    """
    return evaluations_of([Asked(question, summary, previous)])[0]


def evaluations_of(asked: Sequence[Asked]) -> list[Evaluation]:
    """Return `evaluation` of many windows, at a fraction of the cost: what costs most is found for all of them together."""
    groups: dict[Hashable, list[int]] = {}
    windows = [_window(one) for one in asked]
    for number, window in enumerate(windows):
        groups.setdefault(window.shape, []).append(number)
    evaluated: dict[int, Evaluation] = {}
    for numbers in groups.values():
        for first in range(0, len(numbers), AT_ONCE):
            some = numbers[first : first + AT_ONCE]
            evaluated |= zip(some, _alike([windows[number] for number in some]), strict=True)
    return [evaluated[number] for number in range(len(windows))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A window that is to be evaluated."""

    question: Question
    summary: Summary
    previous: Summary | None
    values: Bins | None  # where each distinct value is a bin

    @property
    def shape(self) -> Hashable:
        """What must agree between windows that are computed together."""
        question = self.question
        return question.model.task, question.scores, question.bins, 0 if self.values is None else len(self.values.n)

    @property
    def false_alarm_rate(self) -> float:
        """How often the lower bound may exceed the truth."""
        return self.question.model.settings.false_alarm_rate


def _window(asked: Asked) -> _Window:
    question, summary, previous = asked
    takes_values = question.by_value and question.model.task != "regression"
    values = value_bins(summary, question.scores) if takes_values else None
    return _Window(question=question, summary=summary, previous=previous, values=values)


def _alike(windows: Sequence[_Window]) -> Iterator[Evaluation]:
    """Return the evaluations of windows of one shape."""
    return _of_distributions(windows) if windows[0].question.model.task == "regression" else _of_probabilities(windows)


def _of_distributions(windows: Sequence[_Window]) -> Iterator[Evaluation]:
    batch = regression.Batch(
        windows=[window.summary for window in windows],
        before=[window.previous for window in windows],
        alphas=[window.false_alarm_rate for window in windows],
    )
    columns = computed(regression.FIGURES, batch), batch.directions(), batch.levels()
    for window, figures, direction, levels in zip(windows, *columns, strict=True):
        labelled, bound = window.summary.labels, figures["quantile_ece_lower_bound"]
        yield _evaluation(window, figures, direction, _verdict(window, labelled, bound, 0.0), levels=levels)


def _of_probabilities(windows: Sequence[_Window]) -> Iterator[Evaluation]:
    batch = _batch(windows)
    columns = (
        computed(scores.FIGURES, batch),
        directions(batch.cells, batch.lines, binary=batch.binary),
        batch.bins.n.sum(axis=-1).astype(np.int64).tolist(),
        batch.bounds[1].tolist(),
        _curves(windows, batch),
    )
    for window, figures, direction, labelled, margin, curves in zip(windows, *columns, strict=True):
        verdict = _counted(window, figures, _verdict(window, labelled, figures["ece_lower_bound"], margin))
        yield structs.replace(
            _evaluation(window, figures, direction, verdict, curves=curves), threshold_hint=_hint(window, figures)
        )


def _counted(window: _Window, figures: Figures, verdict: tuple[Verdict, int]) -> tuple[Verdict, int]:
    """Return a verdict, not "calibrated" where too few outcomes were expected to show that they happen otherwise."""
    question = window.question
    limit, mean = question.model.settings.thresholds.get(RATIO), figures["mean_confidence"]
    if verdict[0] != CALIBRATED or limit is None or not mean or question.segment or question.model.task != "binary":
        return verdict
    low, high = figures["observed_over_expected_low"], figures["observed_over_expected_high"]
    if low is not None and high is not None and (low > limit or high < 1 / limit):
        return verdict
    wanted = min(expected_for_verdict(limit, window.false_alarm_rate) / mean, MOST_NEEDED)
    needed = math.ceil(wanted) - window.summary.labels
    return (TOO_FEW_LABELS, needed) if needed > 0 else verdict


def _hint(window: _Window, figures: Figures) -> str | None:
    """Return that no ECE could reach the threshold, so rare are the outcomes of a binary model; None elsewhere."""
    settings, mean, lean = window.question.model.settings, figures["mean_confidence"], figures["lean"]
    few = window.summary.labels < settings.minimum_labels
    if mean is None or lean is None or few or window.question.model.task != "binary" or RATIO in settings.thresholds:
        return None
    most, threshold = 2 * mean - lean, settings.thresholds["ece"]
    if not 0 < most <= threshold:
        return None
    return (
        f"Outcomes are so rare here that no ECE could exceed {most:.2g}: the threshold {threshold:g} can't be reached. "
        "Set `thresholds.ratio`, a limit of observed over expected outcomes, to be alerted when they happen more or less often than stated."
    )


def _evaluation(
    window: _Window,
    figures: Figures,
    direction: Direction | None,
    verdict: tuple[Verdict, int],
    *,
    curves: Curves | None = None,
    levels: Levels | None = None,
) -> Evaluation:
    question, summary = window.question, window.summary
    return Evaluation(
        model=question.model.name,
        version=question.version,
        segment=question.segment,
        start=moment(question.start),
        end=moment(question.end),
        scores=question.scores,
        predictions=summary.events,
        labelled=summary.labels,
        undeclared_labels=summary.undeclared,
        label_coverage=summary.labels / summary.events if summary.events else None,
        matured=question.matured,
        verdict=verdict[0],
        labels_needed=verdict[1],
        remedy=WAIT if verdict[0] in OFF else None,
        remedy_reason=NOT_COMPARED if verdict[0] in OFF else None,
        direction=direction,
        figures=figures,
        curves=curves,
        levels=levels,
    )


def _batch(windows: Sequence[_Window]) -> scores.Batch:
    question, summaries = windows[0].question, [window.summary for window in windows]
    cells = cells_of(summaries, question.scores)
    bins, before = _bins(windows, cells)
    losses = np.stack([summary.losses(question.scores) for summary in summaries], axis=1)
    return scores.Batch(
        binary=question.model.task == "binary",
        bin_count=question.bins,
        alphas=np.array([window.false_alarm_rate for window in windows]),
        cells=cells,
        bins=bins,
        before=before,
        losses=dict(zip(LOSSES, losses, strict=True)),
        undeclared=np.array([summary.undeclared for summary in summaries], dtype=np.float64),
        classes=[_classes(window.question, window.summary) for window in windows],
    )


def _bins(windows: Sequence[_Window], cells: Cells) -> tuple[Bins, Bins]:
    """Return the bins of windows and the same ones of the windows before them."""
    question, nothing = windows[0].question, Summary.of([])
    before = [window.previous or nothing for window in windows]
    if not (windows[0].values is not None and len(windows[0].values.n)):
        return bins_of(cells, question.bins), bins_of(cells_of(before, question.scores), question.bins)
    now = [window.values for window in windows if window.values is not None]
    same = zip(before, now, strict=True)
    return stacked(now), stacked([value_bins(past, question.scores, bins) or emptied(bins) for past, bins in same])


def _classes(question: Question, summary: Summary) -> Floats | None:
    """Return the classwise sums of a window; of a model with too many classes, and of raw scores, none are kept."""
    count = len(question.model.classes or ())
    kept = question.model.task == "multiclass" and question.scores == "served" and 0 < count <= MAX_CLASSES
    return summary.classwise(count) if kept else None


def _verdict(window: _Window, labelled: int, bound: float | None, margin: float | None) -> tuple[Verdict, int]:
    settings = window.question.model.settings
    threshold, minimum = settings.thresholds["ece"], settings.minimum_labels
    return judged(labelled, bound, margin, threshold=threshold, minimum=minimum, watched=window.question.watched)


def judged(
    labelled: int, bound: float | None, margin: float | None, *, threshold: float, minimum: int, watched: bool = True
) -> tuple[Verdict, int]:
    """Return the verdict on a window before its alerts are heard, and how many labels it needs for one by itself.

    Parameters
    ----------
    labelled : labels of the window
    bound : lower bound of its error, None where there is none
    margin : how far that bound lies under the true error at even odds; "calibrated" only where a breach would have shown
    threshold : of the error
    minimum : labels that any verdict needs
    watched : whether alerts decide about it; elsewhere the bound does

    """
    over, needed = bound is not None and bound > threshold, max(0, minimum - labelled)
    if not over:
        known = None if bound is None else margin
        needed = noise.labels_for_verdict(labelled, known, threshold=threshold, minimum=minimum)
    decided = over and not needed and not watched
    return verdict_of(fires=decided, suspicious=False, over=over and watched, labels_needed=needed), needed


def _curves(windows: Sequence[_Window], batch: scores.Batch) -> Iterator[Curves]:
    """Yield what is drawn of each window."""
    drawn = reliability.reliability_diagrams(batch.bins), selective.risk_coverages(batch.ranking), batch.classes
    for window, points, curve, classes in zip(windows, *drawn, strict=True):
        yield Curves(
            reliability=tuple(convert(point, Bin, from_attributes=True) for point in points),
            risk_coverage=tuple(RiskPoint(**point._asdict()) for point in curve),
            classes=() if classes is None else tuple(_by_class(window, classes)),
        )


def _by_class(window: _Window, sums: Floats) -> Iterator[ClassCalibration]:
    question, names = window.question, window.question.model.classes or ()
    before = (window.previous or Summary.of([])).classwise(len(names))
    alpha = _class_alpha(question.model)
    calibrations = classwise.class_calibration(sums, before, bins=question.bins, alpha=alpha)
    for name, calibration in zip(names, calibrations, strict=True):
        yield _of_class(question.model, name, calibration)


def _class_alpha(model: Model) -> float:
    """Return how often the bound of one class may err: classes with thresholds share the model's false-alarm rate."""
    return model.settings.false_alarm_rate / max(1, len(model.settings.class_thresholds))


def _of_class(model: Model, name: str, calibration: classwise.ClassCalibration) -> ClassCalibration:
    settings, labelled, bound = model.settings, calibration.labelled, calibration.ece_lower_bound
    threshold, least = settings.class_thresholds.get(name), None if bound is None else max(bound, 0.0)
    verdict: Verdict | None = None
    if threshold is not None:
        minimum = settings.minimum_labels
        verdict, _ = judged(labelled, least, calibration.margin, threshold=threshold, minimum=minimum)
    return ClassCalibration(
        name=name,
        labelled=labelled,
        positives=calibration.positives,
        mean_probability=calibration.mean_probability,
        observed=calibration.observed,
        ece=calibration.ece,
        ece_lower_bound=least,
        threshold=threshold,
        verdict=verdict,
    )
