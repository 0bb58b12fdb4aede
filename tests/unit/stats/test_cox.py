"""Cox's line and the direction of a model's error."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.stats.cells import Cells
from monitor.stats.cox import cox, direction, offset
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


def judged(p: object, y: object, *, binary: bool) -> str:
    cells = Cells.from_rows(np.asarray(p, dtype=float), np.asarray(y, dtype=float))
    return direction(cells, cox(cells), binary=binary)


def test_answers_right_less_often_than_said_are_overconfident() -> None:
    assert judged([0.9] * 200, [0, 1, 1, 1] * 50, binary=False) == "overconfident"


def test_answers_right_more_often_than_said_are_underconfident() -> None:
    assert judged([0.6] * 200, [0, 1, 1, 1] * 50, binary=False) == "underconfident"


def test_both_sides_of_a_half_count_as_answers_of_a_binary_model() -> None:
    p = [0.1] * 200 + [0.9] * 200
    assert judged(p, [0, 0, 0, 1] * 50 + [1, 1, 1, 0] * 50, binary=True) == "overconfident"
    assert judged(p, [0] * 198 + [1] * 2 + [1] * 198 + [0] * 2, binary=True) == "underconfident"


def test_forecasts_all_too_high_are_not_overconfident_on_both_sides() -> None:
    # Too high on both sides of a half: too sure of yes, not sure enough of no.
    p = [0.3] * 500 + [0.7] * 500
    y = [1] * 100 + [0] * 400 + [1] * 300 + [0] * 200
    assert judged(p, y, binary=True) == "none"
    assert judged(p, y, binary=False) == "overconfident"


@pytest.mark.parametrize(("slope", "expected"), [(0.6, "overconfident"), (1.6, "underconfident")])
def test_the_slope_decides_where_the_mean_does_not(slope: float, expected: str) -> None:
    # Symmetric about a half, so that as answers of a top-label model the mean is right.
    assert judged(*simulated(slope, 0.0, 3000, 2), binary=False) == expected
    assert judged(*simulated(slope, 0.0, 3000, 2), binary=True) == expected


@pytest.mark.parametrize("binary", [True, False])
def test_calibrated_forecasts_have_no_direction(binary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    verdicts = [judged(*simulated(1.0, 0.0, 500, seed), binary=binary) for seed in range(100)]
    assert verdicts.count("none") >= 82


def test_certain_answers_that_are_wrong_are_overconfident() -> None:
    assert judged([1.0, 1.0], [1, 0], binary=False) == "overconfident"
    assert judged([1.0, 1.0], [1, 1], binary=False) == "none"
    assert judged([], [], binary=False) == "none"
