"""What is said of a window: classes, the risk-coverage curve, and verdicts that a breach could have broken."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from monitor.domain.evaluations import RiskPoint
from monitor.domain.settings import Model, ModelSettings
from monitor.stats import entries
from monitor.stats.cells import Cells
from monitor.stats.classwise import classwise_rows
from monitor.stats.classwise import sce as sce_of
from monitor.stats.entries import Scored
from monitor.stats.reliability import distinct
from monitor.stats.selective import aurc, ranking
from monitor.stats.smooth import smooth_ece
from monitor.stats.summary import Summary
from monitor.windows.evaluation import Question, evaluation, evaluations_of
from monitor.windows.scores import FIGURES

Floats = NDArray[np.float64]
CLASSES = ("cat", "dog", "eel")


def model(task: str, **settings: Any) -> Model:
    classes = CLASSES if task == "multiclass" else None
    return Model(
        id=1, name="m", task=task, classes=classes, settings=ModelSettings(**settings), revision=1, created_at=0
    )


def question(of: Model, **fields: Any) -> Question:
    return Question(model=of, version=None, segment="", start=0, end=3_600_000_000, **fields)


def summed(p: Floats, y: NDArray[np.int64], *more: entries.Entries) -> Summary:
    """Return the sums of confidences and outcomes, every second event in the half."""
    events = list(range(len(p)))
    scored = [
        Scored(i, i % 2 == 1, "both", float(p[i]), int(y[i]), *entries.binary_losses(float(p[i]), int(y[i])))
        for i in events
    ]
    counts = [entries.of_counts(events, name) for name in ("events", "labels")]
    arrivals = entries.of_arrivals(events, ["both"] * len(p), p.tolist())
    _, slots, values = entries.joined([*counts, arrivals, entries.of_outcomes(scored), *more])
    return Summary.of_entries(slots, values)


def binary(seed: int, n: int, power: float = 1.0) -> Summary:
    dice = np.random.default_rng(seed)
    p = dice.random(n)
    return summed(p, (dice.random(n) < p**power).astype(np.int64))


def vectors(seed: int, n: int, power: float = 1.0) -> tuple[Floats, NDArray[np.int64], Summary]:
    dice = np.random.default_rng(seed)
    p = dice.dirichlet(np.full(3, 0.7), n)
    truth = p**power / (p**power).sum(axis=1, keepdims=True)
    labels = (truth.cumsum(axis=1) < dice.random(n)[:, None]).sum(axis=1)
    classwise = entries.of_classes(list(range(n)), p.tolist(), labels.tolist())
    return p, labels, summed(p.max(axis=1), (p.argmax(axis=1) == labels).astype(np.int64), classwise)


def test_every_class_is_listed_with_its_own_calibration() -> None:
    p, labels, now = vectors(1, 900, 0.4)
    _, _, before = vectors(2, 900, 0.4)
    found = evaluation(question(model("multiclass", class_thresholds={"dog": 0.02, "eel": 0.9})), now, before)
    classes = found.curves.classes
    assert [each.name for each in classes] == list(CLASSES)
    assert found.figures["sce"] == pytest.approx(np.mean([each.ece for each in classes]), abs=1e-12)
    assert found.figures["sce"] == pytest.approx(sce_of(classwise_rows(p, labels)), abs=1e-8)
    assert [each.positives for each in classes] == np.bincount(labels, minlength=3).tolist()
    assert [each.threshold for each in classes] == [None, 0.02, 0.9]
    assert [each.verdict for each in classes] == [None, "suspect", "calibrated"]
    assert min(each.ece_lower_bound for each in classes) > 0.02


def test_classes_with_thresholds_share_the_false_alarm_rate() -> None:
    _, _, now = vectors(1, 900, 0.4)
    alone, shared = (
        evaluation(question(model("multiclass", class_thresholds=thresholds)), now, now).curves.classes[0]
        for thresholds in ({"cat": 0.1}, {"cat": 0.1, "dog": 0.1})
    )
    assert shared.ece_lower_bound < alone.ece_lower_bound


def test_without_labels_before_a_class_has_no_verdict() -> None:
    _, _, now = vectors(1, 900, 0.4)
    found = evaluation(question(model("multiclass", class_thresholds={"dog": 0.02})), now, None).curves.classes[1]
    assert (found.ece_lower_bound, found.verdict) == (None, "too_few_labels")


@pytest.mark.parametrize("bins", [10, 12, 15, 20, 30])
def test_sce_is_over_the_bins_that_were_asked_for(bins: int) -> None:
    p, labels, now = vectors(3, 300)
    found = evaluation(question(model("multiclass"), bins=bins), now, None)
    assert found.figures["sce"] == pytest.approx(sce_of(classwise_rows(p, labels), bins), abs=1e-8)


def test_no_classes_are_kept_of_raw_scores_or_of_other_tasks() -> None:
    _, _, now = vectors(1, 100)
    for asked in (question(model("multiclass"), scores="raw"), question(model("confidence"))):
        found = evaluation(asked, now, None)
        assert (found.figures["sce"], found.curves.classes) == (None, ())


def test_curve_and_area_are_of_the_answers_of_a_binary_model() -> None:
    dice = np.random.default_rng(4)
    p = dice.random(500)
    y = (dice.random(500) < p).astype(np.int64)
    found = evaluation(question(model("binary")), summed(p, y), None)
    answers = distinct(np.maximum(p, 1 - p), (p > 0.5) == y)
    assert found.figures["aurc"] == pytest.approx(aurc(ranking(answers, binary=False)), abs=1e-4)
    assert len(found.curves.risk_coverage) == 20
    assert found.curves.risk_coverage[-1] == RiskPoint(coverage=1.0, risk=pytest.approx(1 - found.figures["accuracy"]))
    assert found.figures["smooth_ece"] == pytest.approx(smooth_ece(Cells.from_rows(p, y)), abs=1e-6)


def test_a_calibrated_verdict_needs_labels_that_would_have_shown_a_breach() -> None:
    few, enough = (
        evaluation(question(model("binary", minimum_labels=200)), binary(5, n), binary(6, n)) for n in (300, 600)
    )
    assert (few.verdict, enough.verdict, enough.labels_needed) == ("too_few_labels", "calibrated", 0)
    assert 100 <= few.labels_needed <= 250
    assert 300 + few.labels_needed <= 600


def test_as_many_labels_as_were_missing_bring_a_verdict() -> None:
    alone = model("binary", minimum_labels=100)
    first = evaluation(question(alone), binary(7, 250), None)
    assert first.verdict == "too_few_labels"
    total = 250 + first.labels_needed
    assert evaluation(question(alone), binary(7, int(total * 1.05)), None).verdict == "calibrated"
    assert evaluation(question(alone), binary(7, int(total * 0.9)), None).verdict == "too_few_labels"


def test_a_breach_needs_no_more_than_the_minimum() -> None:
    settings = model("binary", minimum_labels=200)
    found = evaluation(question(settings), binary(8, 200, 4.0), binary(9, 200, 4.0))
    assert (found.verdict, found.labels_needed) == ("suspect", 0)
    few = evaluation(question(settings), binary(8, 199, 4.0), binary(9, 200, 4.0))
    assert (few.verdict, few.labels_needed, few.has_enough_labels) == ("suspect", 1, False)


def test_a_breach_that_no_alert_watches_is_a_verdict() -> None:
    settings = model("binary", minimum_labels=200)
    found = evaluation(question(settings, watched=False), binary(8, 200, 4.0), binary(9, 200, 4.0))
    assert (found.verdict, found.labels_needed) == ("miscalibrated", 0)
    few = evaluation(question(settings, watched=False), binary(8, 199, 4.0), binary(9, 200, 4.0))
    assert (few.verdict, few.labels_needed) == ("too_few_labels", 1)


def test_windows_together_are_evaluated_as_each_alone() -> None:
    asked = [
        (question(model("binary")), binary(1, 700), binary(2, 700)),
        (question(model("binary")), Summary.of([]), None),
        (question(model("confidence"), bins=10), binary(3, 5), None),
        (question(model("multiclass")), vectors(4, 200)[2], None),
        (question(model("binary"), bins=30), binary(5, 90), binary(6, 1)),
    ]
    for together, each in zip(evaluations_of(asked), asked, strict=True):
        alone = evaluation(*each)
        assert together.figures == pytest.approx(alone.figures, abs=1e-8)
        assert list(together.figures) == [figure.name for figure in FIGURES]
        numbers = replace(alone, figures={}, curves=None)
        assert replace(together, figures={}, curves=None) == numbers
        assert [each.count for each in together.curves.reliability] == [each.count for each in alone.curves.reliability]
