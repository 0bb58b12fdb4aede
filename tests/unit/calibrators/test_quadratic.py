"""Quadratic logit: known parabolas come back, and only the side that rises is used."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.numeric import Floats
from monitor.calibrators.parameters import HIGHEST, LOWEST
from monitor.calibrators.platt import Platt
from monitor.calibrators.quadratic import QuadraticLogit, rising_side
from monitor.calibrators.rows import logit, rows_of_cells


def rows(square: float, slope: float, intercept: float, n: int = 20_000, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    score = rng.uniform(-4.0, 4.0, n)
    return expit(score), (rng.uniform(size=n) < expit((square * score + slope) * score + intercept)).astype(int)


@pytest.mark.parametrize("parabola", [(0.0, 1.0, 0.0), (0.1, 1.2, -0.5), (-0.08, 0.9, 0.4)])
def test_parabola_comes_back(parabola: tuple[float, float, float]) -> None:
    fitted = QuadraticLogit().fit(*rows(*parabola))
    assert fitted.square_ == pytest.approx(parabola[0], abs=0.03)
    assert fitted.slope_ == pytest.approx(parabola[1], abs=0.08)
    assert fitted.intercept_ == pytest.approx(parabola[2], abs=0.12)


def test_parabola_leaves_no_gradient_in_the_smoothed_log_loss() -> None:
    p, y = rows(0.05, 1.0, 0.2, n=500)
    positive = y.sum()
    target = np.where(y > 0, (positive + 1) / (positive + 2), 1 / (500 - positive + 2))
    gap = QuadraticLogit().fit(p, y).predict_proba(p) - target
    assert [gap.sum(), gap @ logit(p), gap @ logit(p) ** 2] == pytest.approx([0.0, 0.0, 0.0], abs=1e-8)


def test_parabola_that_would_turn_among_the_rows_turns_at_their_end() -> None:
    rng = np.random.default_rng(1)
    score = np.sort(rng.uniform(-2.0, 2.0, 4_000))
    y = rng.uniform(size=4_000) < expit(0.5 * (score + 1.0) ** 2 - 1.0)  # falls below -1
    fitted = QuadraticLogit().fit(expit(score), y)
    assert -fitted.slope_ / (2.0 * fitted.square_) == pytest.approx(score[0], abs=1e-9)
    below = fitted.predict_proba([0.0, expit(score[0])])
    assert below[0] == pytest.approx(below[1], abs=1e-12)


@given(st.floats(-1.0, 1.0), st.floats(-5.0, 5.0))
@settings(max_examples=200, deadline=None)
def test_rising_side_is_where_the_derivative_is_positive(square: float, slope: float) -> None:
    low, high = rising_side(square, slope)
    grid = np.linspace(LOWEST, HIGHEST, 301)
    derivative = 2.0 * square * logit(grid) + slope
    inside = (grid > low + 1e-9) & (grid < high - 1e-9)
    assert (derivative[inside] >= 0.0).all()
    assert (derivative[(grid < low - 1e-9) | (grid > high + 1e-9)] <= 0.0).all()


def test_parabola_of_symmetric_rows_is_platts_line() -> None:
    p, y = rows(0.0, 0.6, 0.0, n=2_000)
    both, outcome = np.append(p, 1.0 - p), np.append(y, 1 - y)
    parabola, platt = QuadraticLogit().fit(both, outcome), Platt().fit(both, outcome)
    assert (parabola.square_, parabola.slope_) == pytest.approx((0.0, platt.slope_), abs=1e-7)


def test_parabola_weights_count_rows() -> None:
    p, y = rows(0.05, 0.8, 0.2, n=1_000)
    weight = np.random.default_rng(2).integers(1, 4, 1_000)
    weighted = QuadraticLogit().fit(p, y, weight).to_document()["parameters"]
    repeated = QuadraticLogit().fit(np.repeat(p, weight), np.repeat(y, weight)).to_document()["parameters"]
    assert weighted == pytest.approx(repeated, rel=1e-7)


def test_parabola_from_fine_cells_is_within_01_of_the_rows() -> None:
    p, y = rows(0.05, 0.8, 0.2)
    place = np.minimum((p * 1000).astype(int), 999)
    sums = [np.bincount(place, weights=w, minlength=1000) for w in (np.ones_like(p), y, p, p * y)]
    cells, whole = QuadraticLogit().fit(*rows_of_cells(*sums)), QuadraticLogit().fit(p, y)
    assert cells.to_document()["parameters"] == pytest.approx(whole.to_document()["parameters"], abs=0.01)
    grid = np.linspace(0.0, 1.0, 101)
    assert cells.predict_proba(grid) == pytest.approx(whole.predict_proba(grid), abs=0.002)


@pytest.mark.parametrize(
    ("p", "y", "why"),
    [
        ([0.2, 0.3, 0.4], [0, 0, 0], "all labels are 0"),
        ([0.3, 0.3, 0.3], [0, 1, 0], "all scores are the same"),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], "higher scores are not more often right"),
        ([0.5, 0.5 + 2e-9] * 50_000, [0, 1] * 50_000, "run away|all scores are the same"),
    ],
)
def test_parabola_that_rows_do_not_determine_is_not_identified(p: list[Any], y: list[Any], why: str) -> None:
    with pytest.raises(NotIdentified, match=why):
        QuadraticLogit().fit(p, y)
