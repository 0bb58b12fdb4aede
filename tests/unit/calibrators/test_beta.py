"""Beta calibration: known curves come back, the best one is found, and it never falls."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from monitor.calibrators.beta import Beta
from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.numeric import Floats
from monitor.calibrators.platt import Platt
from monitor.calibrators.rows import rows_of_cells


def rows(a: float, b: float, c: float, n: int = 20_000, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(size=n)
    return p, (rng.uniform(size=n) < expit(a * np.log(p) - b * np.log1p(-p) + c)).astype(int)


@pytest.mark.parametrize(("a", "b", "c"), [(1.0, 1.0, 0.0), (0.4, 1.5, 0.3), (2.0, 0.5, -0.5)])
def test_beta_curve_comes_back(a: float, b: float, c: float) -> None:
    fitted = Beta().fit(*rows(a, b, c))
    assert (fitted.a_, fitted.b_, fitted.c_) == pytest.approx((a, b, c), abs=0.15)


def test_beta_leaves_no_gradient_in_the_smoothed_log_loss() -> None:
    p, y = rows(0.4, 1.5, 0.3, n=500)
    positive = y.sum()
    target = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (500 - positive + 2))
    gap = Beta().fit(p, y).predict_proba(p) - target
    assert [gap.sum(), gap @ np.log(p), gap @ np.log1p(-p)] == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize(("a", "b", "zero"), [(0.0, 1.5, "a_"), (1.5, 0.0, "b_")])
def test_beta_coefficient_that_would_be_negative_is_zero(a: float, b: float, zero: str) -> None:
    p, y = rows(a, b, 0.0, n=400, seed=2 if a else 3)
    falling = np.append(p, [0.001] * 9 if zero == "a_" else [0.999] * 9)
    outcome = np.append(y, [1] * 9 if zero == "a_" else [0] * 9)
    fitted = Beta().fit(falling, outcome)
    assert getattr(fitted, zero) == 0.0
    assert np.diff(fitted.predict_proba(np.linspace(0.0, 1.0, 501))).min() >= 0.0


def test_beta_of_symmetric_rows_is_platts_line() -> None:
    p, y = rows(0.6, 0.6, 0.0, n=2_000)
    both, outcome = np.append(p, 1.0 - p), np.append(y, 1 - y)
    beta, platt = Beta().fit(both, outcome), Platt().fit(both, outcome)
    assert (beta.a_, beta.b_, beta.c_) == pytest.approx((platt.slope_, platt.slope_, 0.0), abs=1e-6)


def test_beta_weights_count_rows() -> None:
    p, y = rows(0.5, 1.2, 0.2, n=1_000)
    weight = np.random.default_rng(2).integers(0, 4, 1_000)
    weighted, repeated = Beta().fit(p, y, weight), Beta().fit(np.repeat(p, weight), np.repeat(y, weight))
    assert (weighted.a_, weighted.b_, weighted.c_) == pytest.approx((repeated.a_, repeated.b_, repeated.c_), rel=1e-8)


def test_beta_from_fine_cells_is_within_01_of_the_rows() -> None:
    p, y = rows(0.5, 1.2, 0.2)
    place = np.minimum((p * 1000).astype(int), 999)
    sums = [np.bincount(place, weights=w, minlength=1000) for w in (np.ones_like(p), y, p, p * y)]
    cells, whole = Beta().fit(*rows_of_cells(*sums)), Beta().fit(p, y)
    assert (cells.a_, cells.b_, cells.c_) == pytest.approx((whole.a_, whole.b_, whole.c_), abs=0.01)
    grid = np.linspace(0.0, 1.0, 101)
    assert cells.predict_proba(grid) == pytest.approx(whole.predict_proba(grid), abs=0.002)


def test_beta_settles_where_scores_separate_the_outcomes() -> None:
    fitted = Beta().fit([0.0, 0.1, 0.3, 0.8, 0.9, 1.0], [0, 0, 0, 1, 1, 1])
    assert 0.0 < fitted.predict_proba([0.0])[0] < 0.2
    assert 0.8 < fitted.predict_proba([1.0])[0] < 1.0


def test_beta_takes_two_different_scores() -> None:
    fitted = Beta().fit([0.2] * 10 + [0.8] * 10, [0] * 7 + [1] * 3 + [0] * 4 + [1] * 6)
    # Smoothed targets of 9 ones and 11 zeros: 10/11 and 1/13.
    assert fitted.predict_proba([0.2, 0.8]) == pytest.approx([0.7 / 13 + 3 / 11, 0.4 / 13 + 6 / 11], abs=1e-9)


@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        ([0.2, 0.3, 0.4], [0, 0, 0], "all labels are 0"),
        ([0.3, 0.3, 0.3], [0, 1, 0], "all scores are the same"),
        ([1.0, 1.0, 1.0 - 1e-9], [0, 1, 0], "all scores are the same"),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], "higher scores are not more often right"),
        ([0.5, 0.5 + 2e-9] * 50_000, [0, 1] * 50_000, "run away"),
    ],
)
def test_beta_curve_that_rows_do_not_determine_is_not_identified(p: list[Any], y: list[Any], why: str) -> None:
    with pytest.raises(NotIdentified, match=why):
        Beta().fit(p, y)
