"""Temperature: known temperatures come back, and scikit-learn finds the same."""

import math
from typing import Any, Self

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.numeric import Floats
from monitor.calibrators.rows import logit, rows_of_cells
from monitor.calibrators.temperature import Temperature


class Scores(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose scores are its inputs."""

    def fit(self, X: Floats, y: Floats) -> Self:  # noqa: ARG002  scikit-learn's signature
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X: Floats) -> Floats:
        return X[:, 0] if X.shape[1] == 1 else X

    def predict(self, X: Floats) -> Floats:
        return np.asarray(self.decision_function(X).argmax(axis=-1))


def binary_rows(temperature: float, n: int = 20_000, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 2.0, n)
    return expit(scores), (rng.uniform(size=n) < expit(scores / temperature)).astype(int)


def vector_rows(temperature: float, n: int = 20_000, classes: int = 5, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, (n, classes))
    true = softmax(logits / temperature, axis=1)
    return logits, (rng.uniform(size=(n, 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5, 4.0])
def test_temperature_of_binary_rows_comes_back(temperature: float) -> None:
    p, y = binary_rows(temperature)
    assert Temperature().fit(p, y).temperature_ == pytest.approx(temperature, rel=0.06)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_of_vectors_comes_back(temperature: float) -> None:
    logits, y = vector_rows(temperature)
    fitted = Temperature(task="multiclass").fit(softmax(logits, axis=1), y)
    assert fitted.temperature_ == pytest.approx(temperature, rel=0.04)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_temperature_of_confidences_comes_back_when_the_rest_is_uniform(classes: int) -> None:
    rng = np.random.default_rng(1)
    scores = np.abs(rng.normal(2.0, 2.0, 40_000))
    rest = math.log(classes - 1)
    confidence, true = expit(scores - rest), expit(scores / 1.7 - rest)
    y = rng.uniform(size=40_000) < true
    fitted = Temperature(task="confidence", classes=classes).fit(confidence, y)
    assert fitted.temperature_ == pytest.approx(1.7, rel=0.04)
    assert fitted.predict_proba(confidence) == pytest.approx(true, abs=0.01)


def test_temperature_of_two_class_confidences_is_the_binary_one() -> None:
    p, y = binary_rows(2.0, n=2_000)
    binary, confidence = Temperature().fit(p, y), Temperature(task="confidence", classes=2).fit(p, y)
    assert binary.temperature_ == confidence.temperature_
    assert binary.predict_proba(p) == pytest.approx(confidence.predict_proba(p), abs=1e-15)


def test_temperature_of_confidences_agrees_with_the_vectors_they_stand_for() -> None:
    confidence, classes = np.array([0.3, 0.6, 0.95]), 4
    vectors = np.column_stack([confidence, *[(1.0 - confidence) / (classes - 1)] * (classes - 1)])
    top, whole = Temperature(task="confidence", classes=classes), Temperature(task="multiclass")
    top.temperature_ = whole.temperature_ = 2.5
    assert top.predict_proba(confidence) == pytest.approx(whole.predict_proba(vectors)[:, 0], abs=1e-12)


def test_temperature_agrees_with_scikit_learn_on_vectors() -> None:
    logits, y = vector_rows(1.6, n=3_000)
    peer = CalibratedClassifierCV(FrozenEstimator(Scores().fit(logits, y)), method="temperature").fit(logits, y)
    ours = Temperature(task="multiclass", logits=True).fit(logits, y)
    assert ours.predict_proba(logits) == pytest.approx(peer.predict_proba(logits), abs=1e-6)


def test_temperature_agrees_with_scikit_learn_on_binary_rows() -> None:
    p, y = binary_rows(1.6, n=3_000)
    half = logit(p)[:, None] / 2.0  # scikit-learn makes (-score, score) of it
    peer = CalibratedClassifierCV(FrozenEstimator(Scores().fit(half, y)), method="temperature").fit(half, y)
    assert Temperature().fit(p, y).predict_proba(p) == pytest.approx(peer.predict_proba(half)[:, 1], abs=1e-6)


def test_temperature_leaves_no_slope_in_the_log_loss() -> None:
    p, y = binary_rows(3.0, n=5_000)
    scores = logit(p)
    beta = 1.0 / Temperature().fit(p, y).temperature_
    assert np.mean((expit(beta * scores) - y) * scores) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("rows", "classes"), [(500, 2), (3_999, 3), (4_000, 3), (10_001, 7), (700, 300)])
def test_temperature_of_vectors_is_the_optimum_that_scipy_finds(rows: int, classes: int) -> None:
    logits, y = vector_rows(1.7, rows, classes)
    p = softmax(logits, axis=1)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, rows)
    scores = np.log(np.maximum(p, 1e-15))

    def slope(beta: float) -> float:
        return float(weight @ ((softmax(beta * scores, axis=1) * scores).sum(axis=1) - scores[np.arange(rows), y]))

    best = brentq(slope, 0.1, 10.0, xtol=1e-14)
    assert Temperature(task="multiclass").fit(p, y, weight).temperature_ == pytest.approx(1.0 / best, rel=1e-9)


def test_temperature_of_logits_is_that_of_their_probabilities() -> None:
    logits, y = vector_rows(1.3, n=2_000)
    from_logits = Temperature(task="multiclass", logits=True).fit(logits + 100.0, y)
    from_probabilities = Temperature(task="multiclass").fit(softmax(logits, axis=1), y)
    assert from_logits.temperature_ == pytest.approx(from_probabilities.temperature_, rel=1e-6)


def test_temperature_weights_count_rows() -> None:
    p, y = binary_rows(1.5, n=1_000)
    weight = np.random.default_rng(2).integers(0, 4, 1_000)
    weighted, repeated = Temperature().fit(p, y, weight), Temperature().fit(np.repeat(p, weight), np.repeat(y, weight))
    assert weighted.temperature_ == pytest.approx(repeated.temperature_, rel=1e-9)


def test_temperature_from_fine_cells_is_that_of_the_rows() -> None:
    p, y = binary_rows(1.5)
    place = np.minimum((p * 1000).astype(int), 999)
    sums = [np.bincount(place, weights=w, minlength=1000) for w in (np.ones_like(p), y, p, p * y)]
    cells, rows = Temperature().fit(*rows_of_cells(*sums)), Temperature().fit(p, y)
    assert cells.temperature_ == pytest.approx(rows.temperature_, rel=0.004)


def test_temperature_rows_of_vectors_sum_to_one_and_keep_their_answer() -> None:
    logits, _ = vector_rows(1.0, n=500)
    fitted = Temperature(task="multiclass", logits=True)
    fitted.temperature_ = 7.0
    calibrated = fitted.predict_proba(logits)
    assert calibrated.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert (calibrated.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_temperature_takes_logits_further_apart_than_any_float() -> None:
    fitted = Temperature(task="multiclass", logits=True)
    fitted.temperature_ = 1000.0
    assert fitted.predict_proba([[1.7e308, -1.7e308, 0.0]]).tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        ([0.9, 0.8, 0.2], [1, 1, 1], "all labels"),
        ([0.9, 0.8, 0.2], [1, 1, 0], "separate"),
        ([0.9, 0.8, 0.2], [0, 0, 1], "say nothing"),
        ([0.5, 0.5, 0.5], [0, 0, 1], "say nothing"),
        ([0.0, 1.0, 1.0], [1, 0, 1], "say nothing"),
        ([], [], "no rows"),
    ],
)
def test_temperature_that_runs_away_is_not_identified(p: list[Any], y: list[Any], why: str) -> None:
    with pytest.raises(NotIdentified, match=why):
        Temperature().fit(p, y)


def test_temperature_of_vectors_that_runs_away_is_not_identified() -> None:
    with pytest.raises(NotIdentified, match="separate"):
        Temperature(task="multiclass").fit([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], [0, 1])
    with pytest.raises(NotIdentified, match="say nothing"):
        Temperature(task="multiclass").fit([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], [2, 0])


def test_temperature_settles_where_probabilities_are_zero_and_one() -> None:
    p, y = binary_rows(2.0, n=5_000)
    fitted = Temperature().fit(np.round(p, 1), y)
    assert 2.0 < fitted.temperature_ < 10.0
    assert np.isfinite(fitted.predict_proba([0.0, 1.0])).all()


@pytest.mark.parametrize("classes", [None, 1])
def test_temperature_of_confidences_needs_the_number_of_classes(classes: int | None) -> None:
    with pytest.raises(ValueError, match="classes is"):
        Temperature(task="confidence", classes=classes).fit([0.9, 0.5], [1, 0])


def test_temperature_document_restores_the_same_map() -> None:
    p, y = binary_rows(2.0, n=1_000)
    fitted = Temperature(task="confidence", classes=10).fit(p, y)
    document = fitted.to_document()
    assert document == {
        "method": "temperature",
        "task": "confidence",
        "parameters": {"temperature": fitted.temperature_, "classes": 10},
    }
    assert (Temperature.from_document(document).predict_proba(p) == fitted.predict_proba(p)).all()
