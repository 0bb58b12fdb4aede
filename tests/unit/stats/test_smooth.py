"""Smooth ECE against a plain sum over all pairs of rows and points, and against what its definition demands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from monitor.stats.alike import known, stacked
from monitor.stats.cells import Cells
from monitor.stats.reliability import distinct
from monitor.stats.smooth import smooth_ece, smooth_eces

Floats = NDArray[np.float64]


def smoothed(p: Floats, y: Floats, width: float, points: int) -> float:
    """Return ∫ abs(Σ(y - p)·K(t, p))/N dt by the midpoint rule, the kernel reflected at both ends, eight times over."""
    t = (np.arange(points) + 0.5) / points
    total = np.zeros(points)
    for mirror in range(-4, 5):
        for side in (1, -1):
            total += norm.pdf(t[:, None], side * p + 2 * mirror, width) @ (y - p)
    return float(np.abs(total).mean() / len(p))


def by_pairs(p: ArrayLike, y: ArrayLike, points: int = 1000) -> float:
    """Return the width that equals the smoothed error at that width."""
    forecasts, outcomes = np.asarray(p, dtype=np.float64), np.asarray(y, dtype=np.float64)

    def gap(width: float) -> float:
        return smoothed(forecasts, outcomes, width, points) - width

    return float(brentq(gap, 5 / points, 1.0001, xtol=1e-8))


HOSTILE = {
    "both wrong ends": ([1.0, 0.0], [0, 1]),
    "one wrong end": ([1.0], [0]),
    "one event": ([0.3], [1]),
    "two events": ([0.2, 0.9], [1, 1]),
    "one class only": ([0.1, 0.5, 0.5, 0.95], [1, 1, 1, 1]),
    "ties": ([0.7] * 6 + [0.2] * 3, [1, 0, 0, 1, 0, 0, 1, 0, 1]),
    "ends and middle": ([0.0, 0.5, 1.0, 1.0], [0, 1, 1, 0]),
}


@pytest.mark.parametrize("rows", HOSTILE.values(), ids=HOSTILE)
def test_smooth_ece_of_hostile_rows_is_that_of_all_pairs(rows: tuple[list[float], list[int]]) -> None:
    assert smooth_ece(distinct(*rows)) == pytest.approx(by_pairs(*rows), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_smooth_ece_of_random_rows_is_that_of_all_pairs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(10, 40))
    p = [generator.random(n), np.round(generator.random(n), 1), generator.beta(9, 0.3, n)][seed % 3]
    y = generator.random(n) < p ** generator.uniform(0.5, 2)
    assert smooth_ece(distinct(p, y)) == pytest.approx(by_pairs(p, y), abs=1e-5)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_smooth_ece_is_a_ratio_between_the_mean_gap_and_the_sum_of_gaps(rows: list[tuple[float, int]]) -> None:
    p, y = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    found = smooth_ece(distinct(p, y))
    assert found is not None
    assert abs((y - p).mean()) - 1e-4 <= found <= np.abs(y - p).mean() + 1e-4


def test_smooth_ece_of_nothing_is_none_and_of_certain_truths_is_0() -> None:
    assert smooth_ece(distinct([], [])) is None
    assert smooth_ece(distinct([0.0, 1.0, 1.0], [0, 1, 1])) == 0.0


def test_windows_together_are_as_each_alone() -> None:
    generator = np.random.default_rng(2)
    windows = []
    for n in (0, 1, 5, 300, 20_000):
        p = generator.beta(5, 0.5, n)
        windows.append(Cells.from_rows(p, generator.random(n) < p))
    together = [known(each) for each in smooth_eces(stacked(windows))]
    assert together == pytest.approx([smooth_ece(each) for each in windows], abs=1e-8)


def test_a_width_far_under_the_first_grid_is_resolved() -> None:
    # Two gaps of 1/1000 of opposite sign, a tenth apart, do not meet at so small a width: the error is all of them.
    p = np.repeat([0.4, 0.5], 1000)
    y = np.concatenate([np.arange(1000) < 401, np.arange(1000) < 499])
    assert smooth_ece(distinct(p, y)) == pytest.approx(0.001, abs=1e-6)


def test_a_model_of_answers_just_under_1_is_not_inflated() -> None:
    # The residuals are known: .0008 of the events are wrong by 1 where nearly nothing was conceded.
    p = np.full(10_000, 1 - 1e-7)
    y = np.ones(10_000)
    y[:8] = 0
    assert smooth_ece(Cells.from_rows(p, y)) == pytest.approx(0.0008 - 1e-7, abs=1e-6)
