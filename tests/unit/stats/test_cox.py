"""Cox's line, and what shift and slope alone explain."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from monitor.stats.alike import stacked
from monitor.stats.cells import Cells
from monitor.stats.cox import cox, offset, parts
from monitor.stats.reliability import distinct


def simulated(
    slope: float, intercept: float, n: int = 4000, seed: int = 0, middle: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    p = expit(generator.normal(middle, 1.5, n))
    return p, generator.random(n) < expit(intercept + slope * logit(p))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.3), (2.0, -1.0), (-0.7, 0.0)])
def test_cox_finds_the_line_that_made_the_outcomes(slope: float, intercept: float) -> None:
    line = cox(Cells.from_rows(*simulated(slope, intercept)))
    assert line is not None
    assert abs(line.slope - slope) < 4 * line.slope_error
    assert abs(line.intercept - intercept) < 4 * line.intercept_error


def test_standard_errors_are_the_spread_of_the_estimates() -> None:
    # Away from a half, so that the errors of slope and intercept go together.
    windows = [Cells.from_rows(*simulated(1.0, 0.5, 400, seed, middle=1.0)) for seed in range(300)]
    lines, shifts = [cox(window) for window in windows], [offset(window) for window in windows]
    found = np.array([(line.slope, line.intercept, line.slope_error, line.intercept_error) for line in lines if line])
    moved = np.array([(shift.intercept, shift.intercept_error) for shift in shifts if shift])
    assert found[:, :2].std(axis=0) == pytest.approx(found[:, 2:].mean(axis=0), rel=0.15)
    assert moved[:, 0].std() == pytest.approx(moved[:, 1].mean(), rel=0.15)


def test_cells_lose_almost_nothing_of_the_rows() -> None:
    p, y = simulated(0.6, 0.2)
    celled, exact = cox(Cells.from_rows(p, y)), cox(distinct(p, y))
    assert celled is not None
    assert exact is not None
    assert (exact.slope, exact.intercept) == pytest.approx((celled.slope, celled.intercept), abs=2e-3)


def test_gradients_vanish_at_the_line() -> None:
    p, y = simulated(0.6, 0.2)
    line = cox(distinct(p, y))
    assert line is not None
    x = logit(p)
    residual = y - expit(line.intercept + line.slope * x)
    assert abs(residual.sum()) < 1e-7
    assert abs((residual * x).sum()) < 1e-7


@pytest.mark.parametrize("sums", [distinct, Cells.from_rows])
@pytest.mark.parametrize(
    ("p", "y"),
    [
        ([], []),
        ([0.5], [1]),
        ([0.2, 0.8], [0, 0]),
        ([0.2, 0.8], [1, 1]),
        ([0.3, 0.3, 0.3], [0, 1, 1]),
        ([0.2, 0.3, 0.7, 0.8], [0, 0, 1, 1]),
        ([0.2, 0.3, 0.7, 0.8], [1, 1, 0, 0]),
        ([0.2, 0.5, 0.5, 0.8], [0, 0, 1, 1]),
        ([0.0, 0.0, 1.0], [0, 1, 1]),
    ],
)
def test_separated_outcomes_have_no_line(sums: type, p: list[float], y: list[int]) -> None:
    assert cox(sums(p, y)) is None


@pytest.mark.parametrize(("p", "y"), [([], []), ([0.2, 0.8], [0, 0]), ([0.2], [1])])
def test_one_outcome_has_no_offset(p: list[float], y: list[int]) -> None:
    assert offset(Cells.from_rows(p, y)) is None


@pytest.mark.parametrize("seed", range(30))
def test_hostile_windows_give_a_finite_line_or_none(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(2, 12))
    p = generator.choice([0.0, 1e-300, 1e-7, 0.3, 0.5, 0.5000001, 1 - 1e-9, 1.0], n)
    cells = Cells.from_rows(p, generator.integers(0, 2, n))
    line, shift = cox(cells), offset(cells)
    assert line is None or math.isfinite(line.slope + line.intercept + line.slope_error + line.intercept_error)
    assert shift is None or math.isfinite(shift.intercept + shift.intercept_error)


def test_a_near_separation_is_still_solved() -> None:
    p = [0.1] * 1000 + [0.9] * 1000
    y = [1] + [0] * 999 + [1] * 999 + [0]
    line = cox(Cells.from_rows(p, y))
    assert line is not None
    assert line.slope == pytest.approx(math.log(999) / math.log(9), abs=1e-9)


def test_parts_are_those_of_the_likelihood() -> None:
    windows = [distinct(*simulated(0.6, 0.4, 500, seed)) for seed in range(3)]
    empty = replace(windows[0], **{name: np.zeros(len(windows[0].n)) for name in ("n", "sy", "sp", "spp", "spy")})
    cells = stacked([*windows, empty])
    explained = parts(cells, np.array([0, 2]), np.array([-1.0, 0.5]))
    for number, (seed, middle) in enumerate([(0, -1.0), (2, 0.5)]):
        p, y = simulated(0.6, 0.4, 500, seed)
        x, side = logit(p), 2 * y - 1.0

        def lost(log_odds, side=side):
            return float(np.logaddexp(0, -side * log_odds).sum())

        shift = minimize_scalar(lambda a, x=x: lost(x + a))
        slope = minimize_scalar(lambda s, x=x, middle=middle: lost(middle + s * (x - middle)))
        assert explained.by_shift[number] == pytest.approx(lost(x) - shift.fun, abs=1e-6)
        assert explained.by_slope[number] == pytest.approx(lost(x) - slope.fun, abs=1e-6)
        assert explained.slope[number] == pytest.approx(slope.x, abs=1e-5)


def test_parts_of_one_outcome_are_as_good_as_whole() -> None:
    cells = stacked([Cells.from_rows([0.2, 0.4], [0, 0])])
    explained = parts(cells, np.array([0]), np.array([-3.0]))
    assert explained.by_shift[0] == pytest.approx(-math.log(0.8 * 0.6), abs=1e-9)
    assert explained.slope[0] < -10
