"""Calibrators against scikit-learn, betacal, uncertainty-calibration and SciPy, on random and on hostile rows.

Where a fit is refused the peer must agree that nothing there is to be fitted.
"""

from typing import Any

import numpy as np
import pytest
from betacal import BetaCalibration
from calibration import PlattBinnerCalibrator
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression, minimize, minimize_scalar
from scipy.special import expit
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from monitor.calibrators.beta import Beta
from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.families import FAMILIES, from_document, make
from monitor.calibrators.isotonic import Isotonic
from monitor.calibrators.platt import Platt
from monitor.calibrators.quadratic import QuadraticLogit
from monitor.calibrators.rows import logit, rows_of_cells
from monitor.calibrators.scaling_binning import ScalingBinning
from monitor.calibrators.temperature import Temperature

Floats = NDArray[np.float64]
Window = tuple[Floats, Floats]
BINARY = [method for method, estimator in FAMILIES.items() if "binary" in estimator.family.tasks]
WEIGHTS: dict[str, list[float]] = {"alike": [1.0], "tiny and huge": [1e-6, 1.0, 7.0, 1e4]}


@pytest.fixture(params=WEIGHTS)
def weighted(request: pytest.FixtureRequest, window: Window) -> tuple[Floats, Floats, Floats]:
    """Give every window with every kind of weights."""
    p, y = window
    return p, y, np.random.default_rng(0).choice(WEIGHTS[request.param], len(p))


def fitted_or_none(family: Any, *rows: Floats) -> Any:
    try:
        return family.fit(*rows)
    except NotIdentified:
        return None


def smoothed(y: Floats, weight: Floats) -> Floats:
    ones = weight @ y
    return np.where(y > 0, (ones + 1) / (ones + 2), 1 / (weight.sum() - ones + 2))


def bounded(features: Floats, y: Floats, weight: Floats) -> float:
    """Return the least smoothed log loss that SciPy finds with coefficients which are not negative."""
    target, share = smoothed(y, weight), weight / weight.sum()

    def loss(at: Floats) -> tuple[float, Floats]:
        z = features @ at[:-1] + at[-1]
        gap = share * (expit(z) - target)
        return float(share @ (np.logaddexp(0, z) - target * z)), np.append(features.T @ gap, gap.sum())

    bounds = [(0, None)] * features.shape[1] + [(None, None)]
    starts = (np.append(np.full(features.shape[1], start), 0.0) for start in (0.0, 1.0))
    options = {"ftol": 1e-16, "gtol": 1e-12, "maxiter": 2_000}
    return min(
        minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).fun for start in starts
    )


def loss_of(fitted: Any, p: Floats, y: Floats, weight: Floats) -> float:
    """Return the smoothed log loss of a map."""
    q, target = fitted.predict_proba(p), smoothed(y, weight)
    with np.errstate(divide="ignore"):
        return float(weight / weight.sum() @ -(target * np.log(q) + (1 - target) * np.log1p(-q)))


def test_temperature_is_that_of_scipy(weighted: tuple[Floats, Floats, Floats]) -> None:
    p, y, weight = weighted
    margin, share = logit(p) * (2 * y - 1), weight / weight.sum()

    def slope(u: float) -> float:
        return float(-share @ (margin * expit(-np.exp(u) * margin)))

    def loss(u: float) -> float:
        return float(share @ np.logaddexp(0, -np.exp(u) * margin))

    fitted = fitted_or_none(Temperature(), p, y, weight)
    low, high = np.log(1e-3), np.log(1e3)
    if fitted is None:
        assert len(set(y)) == 1 or slope(low) >= 0 or slope(high) <= 0
        return
    assert np.log(1 / fitted.temperature_) == pytest.approx(brentq(slope, low, high, xtol=1e-12), abs=1e-6)
    peer = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    assert loss(np.log(1 / fitted.temperature_)) <= peer.fun + 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_temperature_of_many_rows_is_that_of_scipy_to_the_sixth_digit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 2.0, 50_000)
    p, y = expit(scores), (rng.random(50_000) < expit(scores / (1.0 + seed))).astype(float)
    margin = logit(p) * (2 * y - 1)
    peer = minimize_scalar(
        lambda t: np.logaddexp(0, -margin / t).mean(), bounds=(0.1, 20), method="bounded", options={"xatol": 1e-9}
    )
    assert Temperature().fit(p, y).temperature_ == pytest.approx(peer.x, abs=1e-6)


def test_platt_is_logistic_regression_on_smoothed_targets(weighted: tuple[Floats, Floats, Floats]) -> None:
    p, y, weight = weighted
    fitted = fitted_or_none(Platt(), p, y, weight)
    if len(set(y)) == 1 or len(set(logit(p))) == 1:
        assert fitted is None
        return
    target = smoothed(y, weight)
    peer = LogisticRegression(C=np.inf, tol=1e-13, solver="newton-cholesky", max_iter=1_000)
    twice = np.append(logit(p), logit(p))[:, None]
    share = np.append(target * weight, (1 - target) * weight) / weight.sum()
    peer.fit(twice, np.repeat([1, 0], len(p)), sample_weight=share)
    if fitted is None:
        assert peer.coef_[0, 0] <= 1e-6
    else:
        assert fitted.predict_proba(p) == pytest.approx(peer.predict_proba(logit(p)[:, None])[:, 1], abs=1e-5)


def test_platt_is_the_sigmoid_calibration_of_scikit_learn(window: Window) -> None:
    p, y = window
    fitted = fitted_or_none(Platt(), p, y)
    if fitted is None:
        return  # said above; its peer gives falling maps
    peer = _SigmoidCalibration().fit(logit(p), y)
    assert fitted.predict_proba(p) == pytest.approx(peer.predict(logit(p)), abs=2e-3)


@pytest.mark.parametrize("family", [Beta, QuadraticLogit])
def test_curve_is_as_good_as_scipys_bounded_one(family: Any, weighted: tuple[Floats, Floats, Floats]) -> None:
    p, y, weight = weighted
    if len(set(y)) == 1:
        assert fitted_or_none(family(), p, y, weight) is None
        return
    clipped, score = np.clip(p, 1e-6, 1 - 1e-6), logit(p)
    low, high = score.min(), score.max()
    features = {
        Beta: np.column_stack([np.log(clipped), -np.log1p(-clipped)]),
        QuadraticLogit: np.column_stack([high * score - score**2 / 2, score**2 / 2 - low * score]) / (1 + high - low),
    }[family]
    fitted, best = fitted_or_none(family(), p, y, weight), bounded(features, y, weight)
    if fitted is None:
        share = weight / weight.sum()
        rate = share @ smoothed(y, weight)
        constant = -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate))
        assert best >= constant - 1e-9 or low == high
    else:
        assert loss_of(fitted, p, y, weight) <= best + 1e-9


@pytest.mark.parametrize("seed", range(2))
def test_beta_is_betacals_where_that_is_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(0.8, 1.5, 30_000)
    z = (0.5 + seed) * np.log(p) - (1.5 - seed / 2) * np.log1p(-p) + 0.2
    y = (rng.random(30_000) < expit(z)).astype(float)
    peer, fitted = BetaCalibration().fit(p, y), Beta().fit(p, y)
    a, b, _ = peer.calibrator_.map_
    # Smoothed targets, which betacal has not, and its stopping rule.
    assert (fitted.a_, fitted.b_) == pytest.approx((a, b), abs=0.01)
    assert fitted.predict_proba(p) == pytest.approx(peer.predict(p), abs=1e-3)


def test_beta_refuses_the_falling_map_that_betacal_gives() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2_000)
    y = (rng.random(2_000) < 1 - p).astype(float)
    a, b, _ = BetaCalibration().fit(p, y).calibrator_.map_
    assert min(a, b) < 0
    with pytest.raises(NotIdentified, match="higher scores are not more often right"):
        Beta().fit(p, y)


def test_isotonic_blocks_are_those_of_scikit_learn_and_scipy(weighted: tuple[Floats, Floats, Floats]) -> None:
    p, y, weight = weighted
    fitted = fitted_or_none(Isotonic(), p, y, weight)
    if len(set(y)) == 1:
        assert fitted is None
        return
    p = np.round(p, 12)  # scikit-learn merges floats that are nearly equal by a rule of its own
    fitted, edge = Isotonic().fit(p, y, weight), 1 / (weight.sum() + 2)
    peer = IsotonicRegression().fit(p, y, weight)
    assert fitted.y_ == pytest.approx(np.clip(peer.predict(fitted.x_), edge, 1 - edge), abs=1e-9)
    value, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weights=weight)
    rates = isotonic_regression(np.bincount(place, weights=weight * y) / mass, weights=mass).x
    assert set(np.round(fitted.y_, 9)) == set(np.round(np.clip(rates, edge, 1 - edge), 9))
    assert value[0] <= fitted.x_[0] <= fitted.x_[-1] <= value[-1]


@pytest.mark.parametrize("seed", range(3))
def test_scaling_binning_is_its_authors(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 1.5, 6_000)
    p, y = expit(scores), (rng.random(6_000) < expit(0.6 * scores + 0.3)).astype(float)
    peer = PlattBinnerCalibrator(6_000, 15)
    peer.train_calibration(p, y)
    # Smoothed targets, which the authors do not use.
    assert ScalingBinning(bins=15).fit(p, y).predict_proba(p) == pytest.approx(peer.calibrate(p), abs=5e-4)


def test_fit_is_refused_or_a_sound_map(weighted: tuple[Floats, Floats, Floats]) -> None:
    for method in BINARY:
        fitted = fitted_or_none(make(method, task="binary"), *weighted)
        if fitted is None:
            continue
        served = from_document(fitted.to_document()).predict_proba(np.linspace(0, 1, 1_001))
        assert ((served >= 0) & (served <= 1)).all(), method
        assert np.diff(served).min() >= -1e-12, method


CELL_ERRORS = {
    "temperature": 1e-3,
    "platt": 1e-3,
    "beta": 2e-3,
    "quadratic_logit": 2e-3,
    "scaling_binning": 5e-3,
    "isotonic": 1e-2,
}
"""How far a map from a thousand cells may be from that of the rows, at the rows; of isotonic and of steps on average."""


@pytest.mark.parametrize("method", CELL_ERRORS)
@pytest.mark.parametrize("kind", ["smooth", "piled up at the ends"])
def test_map_from_cells_is_that_of_rows_within_the_stated_error(method: str, kind: str) -> None:
    rng = np.random.default_rng(5)
    p = rng.random(20_000) if kind == "smooth" else rng.beta(0.3, 0.3, 20_000)
    y = (rng.random(20_000) < expit(0.7 * logit(p) + 0.2)).astype(float)
    place = np.minimum((p * 1000).astype(int), 999)
    sums = [np.bincount(place, weights=w, minlength=1000) for w in (np.ones_like(p), y, p, p * y)]
    cells, whole = make(method, task="binary").fit(*rows_of_cells(*sums)), make(method, task="binary").fit(p, y)
    error = np.abs(cells.predict_proba(p) - whole.predict_proba(p))
    steps = method in {"isotonic", "scaling_binning"}
    assert (error.mean() if steps else error.max()) <= CELL_ERRORS[method]
