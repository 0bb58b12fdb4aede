"""The same figures from independent packages, on random and on hostile inputs."""

import numpy as np
import pytest
from model_diagnostics.scoring import SquaredError, decompose  # type: ignore[import-untyped] # ships no types
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import beta, binomtest, ks_2samp
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss

from monitor.stats.cells import CELLS, Cells, place
from monitor.stats.cox import cox, offset
from monitor.stats.decomposition import corp
from monitor.stats.drift import score_drift
from monitor.stats.reliability import bins_of, clopper_pearson, distinct, reliability_points
from monitor.stats.scores import accuracy, brier

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def rows(seed: int) -> Rows:
    """Return forecasts of one of four kinds: smooth, tied, piled up at the ends, coarse with certainty."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(5, 3000))
    kinds = [
        generator.random(n),
        np.round(generator.random(n), 1),
        generator.beta(0.2, 0.2, n),
        generator.choice([0.0, 0.25, 0.5, 1.0], n),
    ]
    p = kinds[seed % 4]
    y = (generator.random(n) < 0.1 + 0.8 * p).astype(np.float64)
    y[:2] = 0, 1
    return p, y


@pytest.mark.parametrize("seed", range(12))
def test_brier_and_accuracy_are_scikit_learns(seed: int) -> None:
    p, y = rows(seed)
    cells = Cells.from_rows(p, y)
    assert brier(cells) == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert accuracy(cells, binary=True) == pytest.approx(accuracy_score(y, p > 0.5), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_corp_is_that_of_model_diagnostics(seed: int) -> None:
    p, y = rows(seed)
    peer = decompose(y, p, scoring_function=SquaredError()).row(0, named=True)
    exact, celled = corp(distinct(p, y)), corp(Cells.from_rows(p, y))
    assert exact is not None
    assert celled is not None
    assert exact.miscalibration == pytest.approx(peer["miscalibration"], abs=1e-9)
    assert exact.discrimination == pytest.approx(peer["discrimination"], abs=1e-9)
    assert exact.uncertainty == pytest.approx(peer["uncertainty"], abs=1e-9)
    assert celled.miscalibration == pytest.approx(peer["miscalibration"], abs=0.1 / len(p) + 0.004)


def test_corp_of_hostile_windows_is_that_of_model_diagnostics(window: Rows) -> None:
    p, y = np.round(window[0], 9), window[1]  # of values an ulp apart it makes NaN
    parts = corp(distinct(p, y))
    assert parts is not None
    if len(p) == 1:  # which it refuses: the fit is perfect, and nothing is left to tell apart
        assert parts.miscalibration == pytest.approx((p[0] - y[0]) ** 2, abs=1e-12)
        assert (parts.discrimination, parts.uncertainty) == (0.0, 0.0)
        return
    peer = decompose(y, p, scoring_function=SquaredError()).row(0, named=True)
    assert parts.miscalibration == pytest.approx(peer["miscalibration"], abs=1e-9)
    assert parts.discrimination == pytest.approx(peer["discrimination"], abs=1e-9)
    assert parts.uncertainty == pytest.approx(peer["uncertainty"], abs=1e-9)


def test_corp_over_cells_is_within_a_thousandth_of_the_rows_at_full_size() -> None:
    generator = np.random.default_rng(3)
    p = generator.beta(3, 0.4, 10_000)
    y = generator.random(10_000) < p**1.5
    peer = decompose(y.astype(float), p, scoring_function=SquaredError()).row(0, named=True)
    parts = corp(Cells.from_rows(p, y))
    assert parts is not None
    assert parts.miscalibration == pytest.approx(peer["miscalibration"], abs=1e-3)
    assert parts.discrimination == pytest.approx(peer["discrimination"], abs=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_coxs_line_is_an_unpenalised_logistic_regression(seed: int) -> None:
    p, y = rows(seed)
    x = logit(np.clip(p, 1e-6, 1 - 1e-6))
    peer = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9).fit(x[:, None], y)
    exact, celled = cox(distinct(p, y)), cox(Cells.from_rows(p, y))
    assert exact is not None
    assert celled is not None
    assert (exact.slope, exact.intercept) == pytest.approx((peer.coef_[0, 0], peer.intercept_[0]), abs=2e-5)
    assert (celled.slope, celled.intercept) == pytest.approx((exact.slope, exact.intercept), abs=0.01)


@pytest.mark.parametrize("seed", range(8))
def test_the_offset_balances_outcomes_and_forecasts(seed: int) -> None:
    p, y = rows(seed)
    shift = offset(distinct(p, y))
    assert shift is not None
    moved = 1 / (1 + np.exp(-logit(np.clip(p, 1e-6, 1 - 1e-6)) - shift.intercept))
    assert moved.sum() == pytest.approx(y.sum(), abs=1e-6)


def test_the_reliability_curve_is_scikit_learns_away_from_edges() -> None:
    generator = np.random.default_rng(5)
    p = generator.random(2000)
    y = generator.random(2000) < p
    points = [point for point in reliability_points(bins_of(Cells.from_rows(p, y), 15)) if point.count]
    observed, mean = calibration_curve(y, p, n_bins=15)
    assert [point.observed for point in points] == pytest.approx(observed, abs=1e-12)
    assert [point.mean_confidence for point in points] == pytest.approx(mean, abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (7, 30), (30, 30), (999, 1000), (5, 100_000)])
def test_clopper_pearson_is_scipys(k: int, n: int) -> None:
    low, high = clopper_pearson(k, n)
    peer = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert (float(low), float(high)) == pytest.approx((peer.low, peer.high), abs=1e-9)
    if 0 < k < n:
        assert float(low) == pytest.approx(beta.ppf(0.025, k, n - k + 1), abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_kolmogorov_smirnov_is_scipys_on_tied_confidences(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = np.array([0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 0.99, 1.0])
    before, now = generator.choice(values, 300), generator.choice(values, 170, p=generator.dirichlet(np.ones(8)))
    drift = score_drift(np.bincount(place(before), minlength=CELLS), np.bincount(place(now), minlength=CELLS))
    assert drift is not None
    assert drift.ks == pytest.approx(ks_2samp(before, now).statistic, abs=1e-12)
