"""Platt: the published figure, the stationary point, and what scikit-learn finds."""

from typing import Any, Self

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.logistic import fit_line
from monitor.calibrators.numeric import Floats
from monitor.calibrators.platt import Platt
from monitor.calibrators.rows import logit, rows_of_cells


class Scores(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier whose score is its input."""

    def fit(self, X: Floats, y: Floats) -> Self:  # noqa: ARG002  scikit-learn's signature
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X: Floats) -> Floats:
        return X[:, 0]

    def predict(self, X: Floats) -> Floats:
        return np.asarray(self.decision_function(X).argmax(axis=-1))


def rows(slope: float, intercept: float, n: int = 20_000, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.5, 1.5, n)
    return expit(scores), (rng.uniform(size=n) < expit(slope * scores + intercept)).astype(int)


def smoothed(y: Floats) -> Floats:
    positive, negative = y.sum(), (1 - y).sum()
    return np.asarray(np.where(y > 0, (positive + 1) / (positive + 2), 1 / (negative + 2)))


def test_platt_reproduces_the_figure_of_libsvm() -> None:
    # LibSVM prints A and B of 1/(1 + exp(A·f + B)) and stops at a gradient of 1e-5, hence the tolerance.
    line = fit_line(np.array([5.0, -4.0, 1.0]), np.array([1.0, 0.0, 0.0]), np.ones(3))
    assert -line.slope == pytest.approx(-0.20261354391, abs=2e-6)
    assert -line.intercept == pytest.approx(0.65236314980, abs=2e-5)


def test_platt_leaves_no_gradient_in_the_smoothed_log_loss() -> None:
    p, y = rows(0.5, -1.0, n=500)
    fitted, target = Platt().fit(p, y), smoothed(y)
    gap = fitted.predict_proba(p) - target
    assert gap.sum() == pytest.approx(0.0, abs=1e-9)
    assert (gap * logit(p)).sum() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, 1.0), (2.5, -2.0)])
def test_platt_line_comes_back(slope: float, intercept: float) -> None:
    fitted = Platt().fit(*rows(slope, intercept))
    assert fitted.slope_ == pytest.approx(slope, rel=0.06)
    assert fitted.intercept_ == pytest.approx(intercept, abs=0.12)


def test_platt_agrees_with_scikit_learn_sigmoid() -> None:
    p, y = rows(0.6, 0.7, n=2_000)
    scores = logit(p)[:, None]
    peer = CalibratedClassifierCV(FrozenEstimator(Scores().fit(scores, y)), method="sigmoid").fit(scores, y)
    assert Platt().fit(p, y).predict_proba(p) == pytest.approx(peer.predict_proba(scores)[:, 1], abs=1e-5)


def test_platt_agrees_with_unpenalised_logistic_regression_on_the_smoothed_targets() -> None:
    p, y = rows(0.6, 0.7, n=500)
    target, scores = smoothed(y), np.concatenate([logit(p), logit(p)])[:, None]
    peer = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky")
    peer.fit(scores, np.repeat([1, 0], len(p)), sample_weight=np.concatenate([target, 1 - target]))
    fitted = Platt().fit(p, y)
    assert fitted.slope_ == pytest.approx(peer.coef_[0, 0], abs=1e-7)
    assert fitted.intercept_ == pytest.approx(peer.intercept_[0], abs=1e-7)


def test_platt_weights_count_rows() -> None:
    p, y = rows(0.5, 0.2, n=1_000)
    weight = np.random.default_rng(2).integers(0, 4, 1_000)
    weighted, repeated = Platt().fit(p, y, weight), Platt().fit(np.repeat(p, weight), np.repeat(y, weight))
    assert weighted.slope_ == pytest.approx(repeated.slope_, rel=1e-9)
    assert weighted.intercept_ == pytest.approx(repeated.intercept_, rel=1e-9)


def test_platt_from_fine_cells_is_within_004_of_the_rows() -> None:
    p, y = rows(0.5, 0.2)
    place = np.minimum((p * 1000).astype(int), 999)
    sums = [np.bincount(place, weights=w, minlength=1000) for w in (np.ones_like(p), y, p, p * y)]
    cells, whole = Platt().fit(*rows_of_cells(*sums)), Platt().fit(p, y)
    assert cells.slope_ == pytest.approx(whole.slope_, abs=0.004)
    assert cells.intercept_ == pytest.approx(whole.intercept_, abs=0.004)


def test_platt_settles_where_scores_separate_the_outcomes() -> None:
    fitted = Platt().fit([0.0, 0.1, 0.9, 1.0], [0, 0, 1, 1])
    assert fitted.slope_ > 0.0
    assert fitted.predict_proba([0.0]) > 0.0


@pytest.mark.parametrize(
    ("p", "y", "weight"),
    [
        ([0.42, 1e-300], [1, 0], [9_126, 25]),
        ([0.0, 0.15], [0, 1], [4_742, 2_000_000]),
        ([0.846, 0.818, 1.0], [1, 0, 1], [51_000, 664, 5_637]),
        ([1.0, 0.5, 0.5, 0.84], [1, 1, 1, 0], [39_364, 1, 14, 1]),
    ],
)
def test_platt_settles_where_nearly_all_weight_lies_on_one_side(
    p: list[Any], y: list[Any], weight: list[float]
) -> None:
    ones, zeros = np.dot(weight, y), np.dot(weight, 1 - np.array(y))
    target = np.where(np.array(y) > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    line = fit_line(logit(np.array(p)), np.array(y, dtype=float), np.array(weight, dtype=float))
    gap = np.array(weight) * (expit(line.slope * logit(np.array(p)) + line.intercept) - target)
    assert gap.sum() == pytest.approx(0.0, abs=1e-6)
    assert (gap * logit(np.array(p))).sum() == pytest.approx(0.0, abs=1e-6)


def test_platt_settles_far_from_its_start() -> None:
    line = fit_line(np.array([-1e6, 1.0, 2.0, 3.0] * 50), np.array([0.0, 0.0, 1.0, 1.0] * 50), np.ones(200))
    assert np.isfinite(line).all()


@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        ([0.2, 0.3, 0.4], [0, 0, 0], "all labels are 0"),
        ([0.3, 0.3, 0.3], [0, 1, 0], "all scores are the same"),
        ([1.0, 1.0, 1.0 - 1e-9], [0, 1, 0], "all scores are the same"),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], "slope is -"),
        ([0.5, 0.5 + 2e-9] * 50_000, [0, 1] * 50_000, "run away"),
    ],
)
def test_platt_line_that_rows_do_not_determine_is_not_identified(p: list[Any], y: list[Any], why: str) -> None:
    with pytest.raises(NotIdentified, match=why):
        Platt().fit(p, y)


def test_platt_document_restores_the_same_map() -> None:
    p, y = rows(0.5, 0.2, n=500)
    fitted = Platt(task="confidence").fit(p, y)
    document = fitted.to_document()
    assert document["parameters"] == {"slope": fitted.slope_, "intercept": fitted.intercept_}
    assert (Platt.from_document(document).predict_proba(p) == fitted.predict_proba(p)).all()
