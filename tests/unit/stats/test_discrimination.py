"""The area under the ROC curve from cells: its value, its interval, and where there is none."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from monitor.stats.alike import stacked
from monitor.stats.cells import Cells
from monitor.stats.discrimination import auc, aucs

Floats = NDArray[np.float64]


def delong(p: Floats, y: Floats) -> tuple[float, float]:
    """Return the area and DeLong's variance by comparing every pair."""
    above = (p[y == 1][:, None] > p[y == 0]) + 0.5 * (p[y == 1][:, None] == p[y == 0])
    by_one, by_zero = above.mean(axis=1), above.mean(axis=0)
    return above.mean(), by_one.var(ddof=1) / len(by_one) + by_zero.var(ddof=1) / len(by_zero)


def test_area_and_variance_are_those_of_all_pairs_with_ties_counted_half() -> None:
    dice = np.random.default_rng(1)
    p = dice.integers(0, 20, 300) / 20
    y = (dice.random(300) < p).astype(np.float64)
    found = aucs(stacked([Cells.from_rows(p, y)]))
    assert (found.value[0], found.variance[0]) == pytest.approx(delong(p, y))


def test_windows_do_not_mix() -> None:
    windows = [Cells.from_rows([0.1, 0.9], [0, 1]), Cells.from_rows([0.1, 0.9], [1, 0]), Cells.from_rows([0.5], [1])]
    found = aucs(stacked(windows))
    assert found.value.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(found.value[2])


@pytest.mark.parametrize(("p", "y"), [([], []), ([0.2, 0.7], [1, 1]), ([0.2, 0.7], [0, 0])])
def test_without_both_outcomes_there_is_no_area(p: list[float], y: list[int]) -> None:
    assert auc(Cells.from_rows(p, y)) is None


@pytest.mark.parametrize("y", [[0] * 50 + [1] * 50, [1] * 50 + [0] * 50])
def test_a_perfect_order_has_an_interval_within_0_and_1(y: list[int]) -> None:
    value, low, high = auc(Cells.from_rows(np.linspace(0.05, 0.95, 100), y)) or (0.5, 0.5, 0.5)
    assert value in {0.0, 1.0}
    assert 0.0 <= low < high <= 1.0
    assert 0.04 < high - low < 0.08


@pytest.mark.parametrize(
    ("labels", "base", "apart"), [(100, 0.5, 1.0), (1000, 0.02, 1.0), (500, 0.3, 2.5), (200, 0.5, 0.0)]
)
def test_the_interval_holds_the_truth_in_about_95_of_100_windows(labels: int, base: float, apart: float) -> None:
    dice = np.random.default_rng(labels)
    y = (dice.random((400, labels)) < base).astype(np.float64)
    p = expit(dice.normal(size=y.shape) + apart * y)
    found = aucs(stacked([Cells.from_rows(*rows) for rows in zip(p, y, strict=True)]))
    truth = norm.cdf(apart / np.sqrt(2))
    assert 0.91 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.99
