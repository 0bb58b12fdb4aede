"""Figures over bins from independent packages, on random and on hostile inputs."""

from fractions import Fraction

import numpy as np
import pytest
from calibration.utils import (
    bin as binned,
)
from calibration.utils import (
    difference_mean,
    get_ece,
    get_ece_em,
    get_equal_prob_bins,
    lower_bound_scaling_ce,
    unbiased_square_ce,
)
from numpy.typing import NDArray
from scipy.stats import chisquare, halfnorm
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss
from statsmodels.stats.proportion import proportion_confint

from monitor.stats.cells import BIN_COUNTS, Cells
from monitor.stats.classwise import class_calibration, classwise_rows, sce
from monitor.stats.decomposition import corp, murphy
from monitor.stats.noise import ece_lower_bound, ece_z, null_ece
from monitor.stats.reliability import (
    Bins,
    ace,
    bins_of,
    debiased_l2_interval,
    debiased_l2_squared,
    distinct,
    ece,
    hosmer_lemeshow,
    mce,
    reliability_points,
    root_mean_square_gap,
)
from monitor.stats.smooth import smooth_ece

Floats = NDArray[np.float64]
Window = tuple[Floats, Floats]
ROUNDING = 1e-12


def groups(window: Window, bins: int = 15) -> list[Floats]:
    """Return the rows (p, y) of each equal-width bin that uncertainty-calibration finds, those of empty bins left out."""
    rows = binned(list(zip(*window, strict=True)), get_equal_prob_bins([], bins))
    return [group for group in rows if len(group)]


@pytest.mark.parametrize("bins", BIN_COUNTS)
def test_ece_is_that_of_uncertainty_calibration(window: Window, bins: int) -> None:
    p, y = window
    peer = get_ece(p, y.astype(int), num_bins=bins)
    assert ece(bins_of(Cells.from_rows(p, y), bins)) == pytest.approx(peer, abs=ROUNDING)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_plain_l2_error_is_that_of_uncertainty_calibration(window: Window, bins: int) -> None:
    p, y = window
    peer = lower_bound_scaling_ce(
        p, y.astype(int), p=2, debias=False, num_bins=bins, binning_scheme=get_equal_prob_bins
    )
    assert root_mean_square_gap(Bins.from_rows(p, y, bins)) == pytest.approx(peer, abs=1e-8)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_debiased_error_is_that_of_uncertainty_calibration(window: Window, bins: int) -> None:
    found = debiased_l2_squared(Bins.from_rows(*window, bins))
    if max(map(len, groups(window, bins))) < 2:
        assert found is None
    else:
        assert found == pytest.approx(unbiased_square_ce(groups(window, bins)), abs=ROUNDING)


@pytest.mark.parametrize("minimum", [1, 2, 30])
def test_mce_is_the_largest_gap_that_uncertainty_calibration_finds(window: Window, minimum: int) -> None:
    gaps = [abs(difference_mean(group)) for group in groups(window) if len(group) >= minimum]
    found = mce(Bins.from_rows(*window, 15), minimum)
    assert found == (pytest.approx(max(gaps), abs=ROUNDING) if gaps else None)


@pytest.mark.parametrize(("n", "bins"), [(2, 2), (15, 15), (300, 10), (1200, 15)])
def test_ace_without_ties_is_that_of_uncertainty_calibration(n: int, bins: int) -> None:
    generator = np.random.default_rng(n)
    p = generator.random(n)
    y = generator.random(n) < p**2
    assert ace(distinct(p, y), bins) == pytest.approx(get_ece_em(p, y.astype(int), num_bins=bins), abs=ROUNDING)


@pytest.mark.parametrize("copies", [1, 2, 40])
def test_ace_of_as_many_values_as_bins_is_that_of_uncertainty_calibration(copies: int) -> None:
    p = np.repeat([0.0, 0.1, 0.25, 0.5, 0.8, 1.0], copies)
    y = np.random.default_rng(copies).integers(0, 2, len(p))
    assert ace(distinct(p, y), 6) == pytest.approx(get_ece_em(p, y, num_bins=6), abs=ROUNDING)


def test_ace_of_ties_is_its_definition_in_exact_fractions(window: Window) -> None:
    p, y = window
    gaps: dict[int, Fraction] = {}
    before = 0
    for value in np.unique(p):
        tied = y[p == value]
        place = min(14, Fraction(15 * (2 * before + len(tied)), 2 * len(p)).__floor__())
        gaps[place] = gaps.get(place, Fraction(0)) + sum(Fraction(float(value)) - int(each) for each in tied)
        before += len(tied)
    expected = float(sum(map(abs, gaps.values())) / len(p))
    assert ace(distinct(p, y)) == pytest.approx(expected, abs=ROUNDING)


def test_hosmer_lemeshow_is_pearsons_statistic_of_scipy(window: Window) -> None:
    found = hosmer_lemeshow(Bins.from_rows(*window, 15))
    means = [group[:, 0].mean() for group in groups(window)]
    if 0.0 in means or 1.0 in means:
        assert found is None
        return
    peer = 0.0
    for group in groups(window):
        expected, seen = group.sum(axis=0)
        peer += chisquare([seen, len(group) - seen], [expected, len(group) - expected]).statistic
    assert found == pytest.approx(peer, rel=1e-9, abs=1e-9)


def test_reliability_points_are_those_of_scikit_learn_with_the_bounds_of_statsmodels(window: Window) -> None:
    points = [point for point in reliability_points(Bins.from_rows(*window, 4)) if point.count]
    observed, mean = calibration_curve(window[1], window[0], n_bins=4)  # quarters are the same floats everywhere
    assert [point.observed for point in points] == pytest.approx(observed, abs=ROUNDING)
    assert [point.mean_confidence for point in points] == pytest.approx(mean, abs=ROUNDING)
    for point, group in zip(points, groups(window, 4), strict=True):
        bounds = proportion_confint(group[:, 1].sum(), len(group), method="beta")
        assert (point.observed_low, point.observed_high) == pytest.approx(bounds, abs=1e-9)


def test_murphys_terms_are_moments_of_the_bins_of_uncertainty_calibration(window: Window) -> None:
    p, y = window
    parts = murphy(Bins.from_rows(p, y, 15))
    assert parts is not None
    share = np.array([len(group) / len(p) for group in groups(window)])
    gap, rate, spread, together = np.array(
        [
            (difference_mean(group), group[:, 1].mean(), group[:, 0].var(), np.cov(group.T, bias=True)[0, 1])
            for group in groups(window)
        ]
    ).T
    assert parts.reliability == pytest.approx(share @ gap**2, abs=ROUNDING)
    assert parts.resolution == pytest.approx(share @ (rate - y.mean()) ** 2, abs=ROUNDING)
    assert parts.uncertainty == pytest.approx(y.var(), abs=ROUNDING)
    assert parts.within_bin_variance == pytest.approx(share @ spread, abs=ROUNDING)
    assert parts.within_bin_covariance == pytest.approx(2 * share @ together, abs=ROUNDING)
    total = parts.reliability - parts.resolution + parts.uncertainty
    brier = brier_score_loss(y, p, labels=[0, 1], pos_label=1)
    assert total + parts.within_bin_variance - parts.within_bin_covariance == pytest.approx(brier, abs=ROUNDING)


def test_corp_is_that_of_scikit_learns_isotonic_regression(window: Window) -> None:
    p, y = window
    parts = corp(distinct(p, y))
    assert parts is not None
    ranks = np.unique(p, return_inverse=True)[1].astype(float)  # its interpolation does not take values an ulp apart
    recalibrated = IsotonicRegression().fit(ranks, y).predict(ranks)
    left = np.mean((recalibrated - y) ** 2)
    assert parts.miscalibration == pytest.approx(np.mean((p - y) ** 2) - left, abs=1e-9)
    assert parts.discrimination == pytest.approx(y.var() - left, abs=1e-9)
    assert parts.uncertainty == pytest.approx(y.var(), abs=ROUNDING)


def test_sce_is_the_marginal_error_of_uncertainty_calibration(answers: tuple[Floats, NDArray[np.int64]]) -> None:
    p, labels = answers
    peer = get_ece(p, labels, mode="marginal")
    assert sce(classwise_rows(p, labels)) == pytest.approx(peer, abs=ROUNDING)


def test_each_class_has_the_binary_error_of_uncertainty_calibration(answers: tuple[Floats, NDArray[np.int64]]) -> None:
    p, labels = answers
    found = class_calibration(classwise_rows(p, labels), None, bins=15, alpha=0.05)
    peers = [get_ece(p[:, j], (labels == j).astype(int)) for j in range(p.shape[1])]
    assert [each.ece for each in found] == pytest.approx(peers, abs=ROUNDING)


def test_the_top_label_error_is_that_of_uncertainty_calibration(answers: tuple[Floats, NDArray[np.int64]]) -> None:
    p, labels = answers
    right = p.argmax(axis=1) == labels
    assert ece(bins_of(Cells.from_rows(p.max(axis=1), right))) == pytest.approx(get_ece(p, labels), abs=ROUNDING)


def test_the_null_of_ece_is_a_sum_of_scipys_half_normals(window: Window) -> None:
    p, _ = window
    spreads = [np.sqrt((group[:, 0] * (1 - group[:, 0])).sum()) for group in groups(window)]
    mean = sum(halfnorm.mean(scale=spread) for spread in spreads if spread) / len(p)
    variance = sum(halfnorm.var(scale=spread) for spread in spreads if spread) / len(p) ** 2
    bins = Bins.from_rows(*window, 15)
    assert null_ece(bins) == pytest.approx((mean, np.sqrt(variance)), abs=1e-9)
    if variance:
        assert ece_z(bins) == pytest.approx((get_ece(p, window[1].astype(int)) - mean) / np.sqrt(variance), rel=1e-6)
    else:
        assert ece_z(bins) is None


def test_of_nothing_no_figure_is_0_or_nan() -> None:
    cells, bins = Cells.from_rows([], []), Bins.from_rows([], [], 15)
    over_bins = (ece, mce, root_mean_square_gap, debiased_l2_squared, debiased_l2_interval, hosmer_lemeshow, murphy)
    assert [figure(bins) for figure in (*over_bins, null_ece, ece_z)] == [None] * 9
    assert [figure(cells) for figure in (ace, corp, smooth_ece)] == [None] * 3
    assert [ace(distinct([], [])), corp(distinct([], [])), smooth_ece(distinct([], []))] == [None] * 3
    assert ece_lower_bound(bins, bins, alpha=0.05) is None
    assert sce(np.zeros((3, 60, 3))) is None
    assert {point.observed for point in reliability_points(bins)} == {None}
