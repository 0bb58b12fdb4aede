"""Structured vector scaling: the optimum of its objective, and that it is safe where plain vector scaling is not."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from monitor.calibrators.families import from_document
from monitor.calibrators.structured_vector import StructuredVector
from monitor.calibrators.temperature import Temperature
from monitor.calibrators.vector import Vector

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def normal(logits: Floats) -> Floats:
    """Return the logarithms of the softmax."""
    return np.asarray(logits - logsumexp(logits, axis=1, keepdims=True))


def drawn(rows: int, slopes: Floats, intercepts: Floats, seed: int = 0) -> tuple[Floats, Labels, Floats]:
    """Return what a model says, labels, and their true probabilities."""
    rng = np.random.default_rng(seed)
    classes = len(slopes)
    said = normal(1.5 * rng.normal(size=(rows, classes)) + 3.0 * np.eye(classes)[rng.integers(0, classes, rows)])
    true = normal(said * slopes + intercepts)
    return np.exp(said), (true + rng.gumbel(size=true.shape)).argmax(axis=1), np.exp(true)


def excess(served: Floats, true: Floats) -> float:
    """Return by how much the expected log loss exceeds the least possible one, in nats."""
    return float((true * (np.log(true) - np.log(served))).sum(axis=1).mean())


@pytest.mark.parametrize(("rows", "classes"), [(300, 2), (1_000, 5), (1_000, 20)])
def test_fit_finds_the_optimum_of_the_stated_objective(rows: int, classes: int) -> None:
    rng = np.random.default_rng(1)
    p, y, _ = drawn(rows, rng.uniform(0.5, 1.0, classes), rng.normal(size=classes) / 2.0)
    x = np.log(p) / Temperature(task="multiclass").fit(p, y).temperature_

    def objective(away: Floats) -> tuple[float, Floats]:
        v, b = np.split(away, 2)
        logs = normal((1.0 + v) * x + b)
        excess = np.exp(logs)
        excess[np.arange(rows), y] -= 1.0
        gradient = np.concatenate([(excess * x).mean(axis=0), excess.mean(axis=0)]) + 2.0 * classes / rows * away
        return float(classes / rows * (away @ away) - logs[np.arange(rows), y].mean()), gradient

    peer = minimize(objective, np.zeros(2 * classes), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    v, b = np.split(peer, 2)
    fitted = StructuredVector().fit(p, y)
    temperature = Temperature(task="multiclass").fit(p, y).temperature_
    assert fitted.slopes_ * temperature - 1.0 == pytest.approx(v, abs=1e-6)
    assert fitted.intercepts_ == pytest.approx(b, abs=1e-6)


def test_weights_count_as_labels_in_the_penalty() -> None:
    p, y, _ = drawn(300, np.array([0.5, 1.0, 0.8]), np.array([0.5, 0.0, -0.5]))
    thrice = StructuredVector().fit(p, y, np.full(300, 3.0))
    repeated = StructuredVector().fit(np.repeat(p, 3, axis=0), np.repeat(y, 3))
    assert thrice.slopes_ == pytest.approx(repeated.slopes_, abs=1e-9)
    assert thrice.intercepts_ == pytest.approx(repeated.intercepts_, abs=1e-9)


@pytest.mark.parametrize("classes", [3, 10, 30])
def test_a_thousand_labels_do_little_harm_to_what_is_calibrated(classes: int) -> None:
    harms = []
    for seed in range(3):
        p, y, true = drawn(3_000, np.ones(classes), np.zeros(classes), seed)
        fitted = StructuredVector().fit(p[:1_000], y[:1_000])
        harms.append(excess(fitted.predict_proba(p[1_000:]), true[1_000:]))
    assert np.mean(harms) < 0.012


def test_few_labels_for_many_classes_harm_it_a_third_as_much_as_vector_scaling() -> None:
    p, y, true = drawn(4_000, np.ones(30), np.zeros(30))
    held, free = (family().fit(p[:1_000], y[:1_000]).predict_proba(p[1_000:]) for family in (StructuredVector, Vector))
    assert excess(held, true[1_000:]) < excess(free, true[1_000:]) / 3.0


def test_classes_that_are_off_each_in_its_way_are_repaired_where_a_temperature_can_not() -> None:
    rng = np.random.default_rng(2)
    p, y, true = drawn(5_000, rng.uniform(0.5, 1.1, 10), rng.normal(size=10) / 2.0)
    one = Temperature(task="multiclass").fit(p[:1_000], y[:1_000]).predict_proba(p[1_000:])
    each = StructuredVector().fit(p[:1_000], y[:1_000]).predict_proba(p[1_000:])
    assert excess(each, true[1_000:]) < excess(one, true[1_000:]) / 3.0


def test_answers_change_only_between_classes_about_as_probable() -> None:
    p, y, true = drawn(3_000, np.full(10, 1.0 / 1.5), np.zeros(10))
    served = StructuredVector().fit(p[:1_000], y[:1_000]).predict_proba(p[1_000:])
    rows, before, after = np.arange(2_000), p[1_000:].argmax(axis=1), served.argmax(axis=1)
    assert 0 < (before != after).sum() < 200
    lost = true[1_000:][rows, before] - true[1_000:][rows, after]
    assert lost.mean() < 0.005


def test_a_class_without_labels_keeps_the_common_slope() -> None:
    p, y, _ = drawn(1_000, np.ones(4), np.array([0.0, 0.0, 0.0, -50.0]))
    assert 3 not in y
    fitted = StructuredVector().fit(p, y)
    assert 0.0 < fitted.slopes_[3] < math.inf
    assert fitted.intercepts_[3] == fitted.intercepts_.min()


def test_document_restores_what_was_fitted() -> None:
    p, y, _ = drawn(500, np.array([0.5, 1.0, 0.8]), np.zeros(3))
    fitted = StructuredVector().fit(p, y)
    document = fitted.to_document()
    assert document["method"] == "structured_vector"
    assert sorted(document["parameters"]) == ["intercepts", "slopes"]
    assert from_document(document).predict_proba(p).tolist() == fitted.predict_proba(p).tolist()
