"""Figures worked by hand or published elsewhere, each with its origin."""

from fractions import Fraction
from math import comb, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.stats.cells import Cells
from monitor.stats.cox import cox, offset
from monitor.stats.decomposition import corp, murphy
from monitor.stats.entries import binary_losses
from monitor.stats.reliability import (
    Bins,
    ace,
    clopper_pearson_upper,
    debiased_l2_squared,
    distinct,
    ece,
    hosmer_lemeshow,
    mce,
    reliability_points,
    root_mean_square_gap,
)
from monitor.stats.scores import brier, spiegelhalter_z
from monitor.stats.smooth import smooth_ece

EXACT = 1e-9
TWELVE_P = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 0.5, 0.9]
TWELVE_Y = [0, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0]


@pytest.fixture
def twelve() -> Bins:
    return Bins.from_rows(TWELVE_P, TWELVE_Y, 5)


@pytest.mark.parametrize("sums", [distinct, Cells.from_rows])
def test_corp_of_six_forecasts_is_as_published(sums: type) -> None:
    # Printed by the R package reliabilitydiag, as model-diagnostics' tests quote it; by hand, pooling gives 1/4 four times, 1, 1.
    parts = corp(sums([0.4, 0.3, 0.2, 0.1, 0.5, 0.9], [0, 0, 0, 1, 1, 1]))
    score = brier(sums([0.4, 0.3, 0.2, 0.1, 0.5, 0.9], [0, 0, 0, 1, 1, 1]))
    assert parts is not None
    assert score == pytest.approx(1.36 / 6, abs=EXACT)
    assert parts.miscalibration == pytest.approx(0.61 / 6, abs=EXACT)
    assert parts.discrimination == pytest.approx(0.125, abs=EXACT)
    assert parts.uncertainty == pytest.approx(0.25, abs=EXACT)


def test_two_tied_values_give_the_gaps_of_two_bins() -> None:
    # Hand-worked: of 4 at .5 one is right, of 5 at .6 four are, so the gaps are .25 and .2.
    p, y = [0.5, 0.5, 0.5, 0.6, 0.5, 0.6, 0.6, 0.6, 0.6], [0, 1, 0, 1, 0, 1, 1, 1, 0]
    bins = Bins.from_rows(p, y, 2)
    assert ece(bins) == pytest.approx(4 / 9 * 0.25 + 5 / 9 * 0.2, abs=EXACT)
    assert root_mean_square_gap(bins) == pytest.approx(sqrt(4 / 9 * 0.0625 + 5 / 9 * 0.04), abs=EXACT)
    assert ace(distinct(p, y), 2) == pytest.approx(4 / 9 * 0.25 + 5 / 9 * 0.2, abs=EXACT)


def test_four_forecasts_in_equal_width_and_equal_mass_bins() -> None:
    # Hand-worked: all four lie in (.5, 1], so 1 of 4 is the gap; by mass the halves are off by 1.3 and .3.
    p, y = [0.6, 0.7, 0.8, 0.9], [0, 0, 1, 1]
    assert ece(Bins.from_rows(p, y, 2)) == pytest.approx(0.25, abs=EXACT)
    assert ace(distinct(p, y), 2) == pytest.approx(0.4, abs=EXACT)
    assert ace(Cells.from_rows(p, y), 2) == pytest.approx(0.4, abs=EXACT)


def test_ace_keeps_tied_confidences_in_one_bin() -> None:
    # Hand-worked: {.7, .75} is off by .55 and {.76, .8, .8} by .36 events of 5. A peer that splits the tie prints .277.
    p, right = [0.7, 0.76, 0.75, 0.8, 0.8], [1, 1, 1, 0, 1]
    assert ace(distinct(p, right), 2) == pytest.approx(0.182, abs=EXACT)
    assert ace(Cells.from_rows(p, right), 2) == pytest.approx(0.182, abs=EXACT)


def test_reliability_points_of_nine_forecasts_in_three_bins() -> None:
    # The example in scikit-learn's documentation of calibration_curve.
    points = reliability_points(
        Bins.from_rows([0.1, 0.2, 0.3, 0.4, 0.65, 0.7, 0.8, 0.9, 1], [0, 0, 0, 0, 1, 1, 1, 1, 1], 3)
    )
    assert [point.observed for point in points] == [0, 0.5, 1]
    assert [point.mean_confidence for point in points] == pytest.approx([0.2, 0.525, 0.85], abs=EXACT)


def test_bins_are_right_closed() -> None:
    # Hand-worked: left-closed bins would give .2167.
    p, y = [0, 0, 0.1, 0.2, 0.3, 0.5, 0.5, 0.7, 0.9, 1, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 0]
    assert ece(Bins.from_rows(p, y, 5)) == pytest.approx(3.2 / 12, abs=EXACT)


def test_twelve_forecasts_have_their_scores() -> None:
    # Worked from the definitions, row by row.
    losses = [binary_losses(p, y)[0] for p, y in zip(TWELVE_P, TWELVE_Y, strict=True)]
    p, y = np.array(TWELVE_P), np.array(TWELVE_Y)
    z = spiegelhalter_z(float(((y - p) * (1 - 2 * p)).sum()), float(((1 - 2 * p) ** 2 * p * (1 - p)).sum()))
    assert brier(Cells.from_rows(p, y)) == pytest.approx(0.2154166667, abs=EXACT)
    assert np.mean(losses) == pytest.approx(0.6296595316, abs=EXACT)
    assert z == pytest.approx(0.9022082392, abs=EXACT)


@pytest.mark.parametrize("sums", [distinct, Cells.from_rows])
def test_twelve_forecasts_have_coxs_line(sums: type) -> None:
    # A logistic regression of y on logit p, as by any statistical package.
    line, shift = cox(sums(TWELVE_P, TWELVE_Y)), offset(sums(TWELVE_P, TWELVE_Y))
    assert line is not None
    assert shift is not None
    assert (line.intercept, line.slope) == pytest.approx((0.28932481, 0.58365784), abs=1e-8)
    assert shift.intercept == pytest.approx(0.3002879910, abs=EXACT)


def test_twelve_forecasts_have_their_binned_errors(twelve: Bins) -> None:
    # Worked from the definitions, row by row, over 5 bins.
    assert ece(twelve) == pytest.approx(0.2, abs=EXACT)
    assert mce(twelve, minimum=1) == pytest.approx(0.3, abs=EXACT)
    assert root_mean_square_gap(twelve) == pytest.approx(0.2094967515, abs=EXACT)
    assert debiased_l2_squared(twelve) == pytest.approx(-0.0533333333, abs=EXACT)
    assert hosmer_lemeshow(twelve) == pytest.approx(3.6084656085, abs=EXACT)


def test_twelve_forecasts_have_murphys_terms(twelve: Bins) -> None:
    # Worked from the definitions, row by row, over 5 bins.
    parts = murphy(twelve)
    assert parts is not None
    assert parts.reliability == pytest.approx(0.0438888889, abs=EXACT)
    assert parts.resolution == pytest.approx(0.0902777778, abs=EXACT)
    assert parts.uncertainty == pytest.approx(0.2430555556, abs=EXACT)
    assert parts.within_bin_variance == pytest.approx(0.0020833333, abs=EXACT)
    assert parts.within_bin_covariance == pytest.approx(-0.0166666667, abs=EXACT)


@pytest.mark.parametrize("sums", [distinct, Cells.from_rows])
def test_twelve_forecasts_have_corps_terms(sums: type) -> None:
    # Worked with pool-adjacent-violators over the rows.
    parts = corp(sums(TWELVE_P, TWELVE_Y))
    assert parts is not None
    assert (parts.miscalibration, parts.discrimination) == pytest.approx((0.0556944444, 0.0833333333), abs=EXACT)


@pytest.mark.parametrize("sums", [distinct, Cells.from_rows])
def test_twelve_forecasts_have_their_smooth_ece(sums: type) -> None:
    # The solution of smECE(h) = h, by the midpoint rule over 200,000 points and bisection. The program of the paper's authors prints
    # .1252448852: it stops at h = 129/1024, where the integral is .1251956, and counts the ends of its grid in full.
    assert smooth_ece(sums(TWELVE_P, TWELVE_Y)) == pytest.approx(0.1254522544, abs=1e-7)
    assert smooth_ece(sums(TWELVE_P, TWELVE_Y)) == pytest.approx(0.1252448852, abs=2.5e-4)


@pytest.mark.parametrize(
    ("k", "n", "expected", "published"),
    [(2, 100, 0.0616192004, 0.0616191992), (0, 59, 0.0495076099, 0.0495076099)],
)
def test_clopper_pearson_upper_bound_is_the_rate_that_makes_so_few_unlikely(
    k: int, n: int, expected: float, published: float
) -> None:
    # By the defining equation, in exact fractions. The first figure is published as .0616191992, which is off in its 9th decimal:
    # at that rate two or fewer of a hundred happen in .0500000046 of cases.
    bound = float(clopper_pearson_upper(k, n))
    assert bound == pytest.approx(expected, abs=1e-10)
    assert bound == pytest.approx(_solved(k, n), abs=1e-12)
    assert bound == pytest.approx(published, abs=2e-9)


def _solved(k: int, n: int) -> float:
    low, high = Fraction(0), Fraction(1)
    for _ in range(45):
        middle = (low + high) / 2
        few = sum(comb(n, i) * middle**i * (1 - middle) ** (n - i) for i in range(k + 1))
        low, high = (middle, high) if few > Fraction(1, 20) else (low, middle)
    return float(low)


UNIFORM = [(100, 10, 0.100, 0.162), (100, 15, 0.121, 0.183), (1000, 10, 0.032, 0.052), (1000, 15, 0.039, 0.058)]


@pytest.mark.parametrize(("n", "bins", "mean", "tail"), UNIFORM)
def test_a_calibrated_model_shows_the_known_ece(n: int, bins: int, mean: float, tail: float) -> None:
    # Means and 99th percentiles of 10,000 simulated windows of uniform confidences; here of 600.
    seen = _calibrated_eces(n, bins, windows=600)
    assert seen.mean() == pytest.approx(mean, rel=0.05)
    assert np.quantile(seen, 0.99) == pytest.approx(tail, rel=0.12)


@pytest.mark.parametrize(("n", "share"), [(200, 0.9909), (500, 0.6490), (1000, 0.0794)])
def test_a_bare_threshold_on_ece_alarms_on_a_calibrated_model(n: int, share: float) -> None:
    # Of 10,000 simulated windows 9,909, 6,490 and 794 had an ECE over .05 at 15 bins.
    assert (_calibrated_eces(n, 15, windows=600) > 0.05).mean() == pytest.approx(share, abs=0.06)


def _calibrated_eces(n: int, bins: int, windows: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(n + bins)
    p = generator.random((windows, n))
    y = generator.random((windows, n)) < p
    return np.array([ece(Bins.from_rows(*window, bins)) for window in zip(p, y, strict=True)], dtype=np.float64)
