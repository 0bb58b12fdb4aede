"""Rows: what every family refuses, in one place."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.families import FAMILIES, make
from monitor.calibrators.rows import rows_of_cells

METHODS = sorted(method for method, estimator in FAMILIES.items() if "binary" in estimator.family.tasks)
NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("p", "y", "weight", "why"),
    [
        ([0.5, NAN], [0, 1], None, r"X\[1\] is nan"),
        ([0.5, 1.5], [0, 1], None, r"X\[1\] is 1.5"),
        ([0.5, -1e-5], [0, 1], None, r"X\[1\] is -1e-05"),
        ([[0.5, 0.5]], [0], None, "X has shape"),
        (0.5, [0], None, "X has shape"),
        (["high", "low"], [0, 1], None, "X is not an array of numbers"),
        ([0.5, 1j], [0, 1], None, "X is not an array of numbers"),
        ([0.5, 10**400], [0, 1], None, "X is not an array of numbers"),
        ([0.5, 0.6], [0, 2], None, "y holds values"),
        ([0.5, 0.6], [0, NAN], None, "y holds values"),
        ([0.5, 0.6], [0, 0.5], None, "y holds values"),
        ([0.5, 0.6], [0, 1, 1], None, "y has shape"),
        ([0.5, 0.6], [0, 1], [1.0], "sample_weight has shape"),
        ([0.5, 0.6], [0, 1], [1.0, -1.0], "sample_weight holds"),
        ([0.5, 0.6], [0, 1], [1.0, INFINITY], "sample_weight holds"),
    ],
)
def test_fit_names_what_is_wrong_with_the_rows(
    method: str, p: list[Any], y: list[Any], weight: list[float] | None, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        make(method, task="binary").fit(p, y, weight)


@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        (np.array([0.5, 0.6 + 1j]), [0, 1], "X holds complex numbers"),
        (csr_array([[0.5], [0.6]]), [0, 1], "X is a sparse array"),
        ([0.5, 0.6], None, "Platt requires y"),
    ],
)
def test_fit_names_what_other_estimators_may_take(p: Any, y: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make("platt", task="binary").fit(p, y)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("p", "y", "weight"), [([], [], None), ([0.2, 0.8], [1, 1], None), ([0.2, 0.8], [0, 1], [1, 0]), ([0.2], [1], [0])]
)
def test_fit_needs_rows_of_both_outcomes(method: str, p: list[Any], y: list[Any], weight: list[float] | None) -> None:
    with pytest.raises(NotIdentified):
        make(method, task="binary").fit(p, y, weight)


@pytest.mark.parametrize("method", ["identity", "temperature"])
@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        ([[0.5, 0.6], [0.1, 0.9]], [0, 1], r"X\[0\] sums to 1.1"),
        ([[0.5, NAN], [0.1, 0.9]], [0, 1], r"X\[0, 1\] is nan"),
        ([[1.0], [1.0]], [0, 0], "X has shape"),
        ([0.5, 0.5], [0, 1], "X has shape"),
        ([[0.5, 0.5], [0.1, 0.9]], [0, 2], "y holds values"),
        ([[0.5, 0.5], [0.1, 0.9]], [0, -1], "y holds values"),
        ([[0.5, 0.5], [0.1, 0.9]], [0, 0.5], "y holds values"),
    ],
)
def test_fit_names_what_is_wrong_with_vectors(method: str, p: list[Any], y: list[Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make(method, task="multiclass").fit(p, y)


def test_fit_takes_no_infinite_logits() -> None:
    with pytest.raises(ValueError, match="not finite"):
        make("temperature", task="multiclass", logits=True).fit([[INFINITY, 0.0], [0.0, 1.0]], [0, 1])


@pytest.mark.parametrize("method", METHODS)
def test_predict_proba_takes_no_nan_and_may_take_nothing(method: str) -> None:
    fitted = make(method, task="binary").fit([0.2, 0.3, 0.4, 0.6, 0.7, 0.8], [0, 0, 1, 0, 1, 1])
    assert fitted.predict_proba([]).shape == (0,)
    with pytest.raises(ValueError, match=r"X\[0\] is nan"):
        fitted.predict_proba([NAN])


@pytest.mark.parametrize("method", METHODS)
def test_fit_changes_neither_its_input_nor_its_settings(method: str) -> None:
    p, y = np.array([0.2, 0.3, 0.4, 0.6, 0.7, 0.8]), np.array([0, 0, 1, 0, 1, 1])
    unfitted = make(method, task="binary")
    before = dict(vars(unfitted))
    fitted = unfitted.fit(p, y)
    assert fitted is unfitted
    assert p.tolist() == [0.2, 0.3, 0.4, 0.6, 0.7, 0.8]
    assert all(name in before or name.endswith("_") for name in vars(fitted))
    assert {name: vars(fitted)[name] for name in before} == before


def test_rows_of_cells_keep_every_sum() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.uniform(size=1_000), rng.integers(0, 2, 1_000)
    place = (p * 20).astype(int)
    n, sy, sp, spy = (np.bincount(place, weights=w, minlength=25) for w in (np.ones(1_000), y, p, p * y))
    mean, outcome, weight = rows_of_cells(n, sy, sp, spy)
    assert len(mean) == 40
    assert weight.sum() == 1_000
    assert weight @ mean == pytest.approx(p.sum())
    assert weight @ outcome == y.sum()
    assert weight @ (mean * outcome) == pytest.approx((p * y).sum())


@pytest.mark.parametrize(
    ("method", "task", "why"),
    [
        ("magic", "binary", "method is"),
        ("platt", "magic", "task is"),
        ("platt", "regression", "platt calibrates binary and confidence"),
        ("platt", "multiclass", "platt calibrates binary and confidence"),
        ("isotonic", "multiclass", "isotonic calibrates binary and confidence"),
    ],
)
def test_make_names_what_does_not_go_together(method: str, task: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make(method, task=task)


@pytest.mark.parametrize("task", ["binary", "confidence"])
def test_make_takes_logits_of_vectors_only(task: str) -> None:
    with pytest.raises(ValueError, match="logits go with"):
        make("temperature", task=task, logits=True)
