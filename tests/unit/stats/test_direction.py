"""The direction of a model's error."""

from itertools import product
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.domain import evaluations
from monitor.stats.alike import stacked
from monitor.stats.cells import Cells
from monitor.stats.cox import cox, coxes
from monitor.stats.direction import Direction, direction, directions
from tests.benchmarks.directions import CASES, POPULATIONS, RATES, Case, named


def simulated(slope: float, n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    p = expit(generator.normal(0.0, 1.5, n))
    return p, generator.random(n) < expit(slope * logit(p))


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


def test_forecasts_all_too_high_overestimate() -> None:
    # Too high on both sides of a half: too sure of yes, not sure enough of no.
    p = [0.3] * 500 + [0.7] * 500
    y = [1] * 100 + [0] * 400 + [1] * 300 + [0] * 200
    assert judged(p, y, binary=True) == "overestimates"
    assert judged(p, y, binary=False) == "overconfident"


@pytest.mark.parametrize(("slope", "expected"), [(0.6, "overconfident"), (1.6, "underconfident")])
def test_the_slope_decides_where_the_mean_does_not(slope: float, expected: str) -> None:
    # Symmetric about a half, so that as answers of a top-label model the mean is right.
    assert judged(*simulated(slope, 3000, 2), binary=False) == expected
    assert judged(*simulated(slope, 3000, 2), binary=True) == expected


@pytest.mark.parametrize("binary", [True, False])
def test_calibrated_forecasts_have_no_direction(binary: bool) -> None:  # noqa: FBT001 - a parameter of the test
    verdicts = [judged(*simulated(1.0, 500, seed), binary=binary) for seed in range(100)]
    assert verdicts.count("none") >= 82


def test_windows_together_are_as_each_alone() -> None:
    windows = [Cells.from_rows(*simulated(slope, 300, seed)) for seed in range(5) for slope in (0.5, 1.0, 2.0)]
    windows += [Cells.from_rows([], []), Cells.from_rows([0.2, 0.9], [0, 0]), Cells.from_rows([0.7] * 90, [0] * 90)]
    cells = stacked(windows)
    for binary in (True, False):
        together = directions(cells, coxes(cells), binary=binary)
        assert together == [direction(window, cox(window), binary=binary) for window in windows]


@pytest.mark.parametrize("case", [case for case in CASES if case.larger != "none"], ids=lambda case: case.name)
@pytest.mark.parametrize("rate", RATES)
def test_a_shift_and_a_slope_about_the_base_rate_are_told_apart(rate: float, case: Case) -> None:
    for stated, population in product((True, False), POPULATIONS):
        assert named(rate, case, stated=stated, population=population, seeds=5) == 5


@pytest.mark.parametrize(
    ("low", "high", "chance", "word"),
    [
        (0.2, 0.45, 0.5, "underestimates"),
        (0.1, 0.85, 0.9, "underestimates"),
        (0.2, 0.5, 0.2, "overestimates"),
        (0.05, 0.5, 0.1, "overestimates"),
        (0.0, 1.0, 0.5, "overconfident"),
    ],
)
def test_outcomes_that_lie_on_one_side_are_no_fault_of_both_ends(
    low: float, high: float, chance: float, word: str
) -> None:
    # Whatever the model says, the same share happens: the diagram is flat, below the diagonal or above it.
    dice = np.random.default_rng(1)
    assert judged(dice.uniform(low, high, 4000), dice.random(4000) < chance, binary=True) == word


@pytest.mark.parametrize(
    ("p", "y", "word"), [(0.3, 1, "underestimates"), (0.3, 0, "overestimates"), (0.999, 1, "none")]
)
def test_one_confidence_or_one_outcome_is_a_shift(p: float, y: int, word: str) -> None:
    assert judged([p] * 100, [y] * 100, binary=True) == word
    assert judged([p] * 50 + [p - 0.01] * 50, [y] * 100, binary=True) == word
    assert judged([0.9] * 200, [0, 1, 1, 1] * 50, binary=True) == "overestimates"


def test_the_schema_has_the_same_words() -> None:
    assert get_args(Direction) == get_args(evaluations.Direction)


def test_certain_answers_that_are_wrong_are_overconfident() -> None:
    assert judged([1.0, 1.0], [1, 0], binary=False) == "overconfident"
    assert judged([1.0, 1.0], [1, 1], binary=False) == "none"
    assert judged([], [], binary=False) == "none"
