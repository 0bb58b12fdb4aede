"""Drift of confidences, and how much of it is chance."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from monitor.stats.cells import CELLS, place
from monitor.stats.drift import ScoreDrift, score_drift

RUNS = 1500


def counts(p: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(place(p), minlength=CELLS)


def drift_of(reference: object, current: object) -> ScoreDrift:
    found = score_drift(np.asarray(reference), np.asarray(current))
    assert found is not None
    return found


def test_psi_and_js_are_their_formulas() -> None:
    # Ten cells of equal mass are the ten bins; half is added to each count.
    before, now = np.full(10, 20), np.array([5, 5, 10, 10, 20, 20, 20, 30, 40, 40])
    r, q = (before + 0.5) / 205, (now + 0.5) / 205
    drift = drift_of(before, now)
    assert drift.psi == pytest.approx(
        math.fsum((b - a) * math.log(b / a) for a, b in zip(r, q, strict=True)), abs=1e-12
    )
    assert drift.js == pytest.approx(jensenshannon(r, q) ** 2, abs=1e-12)
    assert drift.ks == pytest.approx(np.abs(np.cumsum(before) - np.cumsum(now)).max() / 200, abs=1e-12)
    assert (drift.n, drift.m) == (200, 200)


def test_equal_samples_have_not_drifted() -> None:
    sample = counts(np.random.default_rng(1).random(1000))
    drift = drift_of(sample, sample)
    assert (drift.psi, drift.ks, drift.js) == (0, 0, 0)
    assert not drift.drifted(0.0)


def null_distributions() -> dict[str, NDArray[np.float64]]:
    generator = np.random.default_rng(2)
    n = 50_000
    return {
        "uniform": generator.random(n),
        "top-label": generator.beta(8, 0.3, n),
        "tied": generator.choice([0.5, 0.7, 0.8, 0.9, 0.95, 1.0], n, p=[0.02, 0.08, 0.2, 0.4, 0.25, 0.05]),
        "piled up": np.where(generator.random(n) < 0.9, 1.0, generator.random(n)),
    }


@pytest.mark.parametrize(("n", "m"), [(300, 300), (20_000, 200), (2000, 2000)])
@pytest.mark.parametrize("name", list(null_distributions()))
def test_null_quantiles_are_reached_as_often_as_they_say(name: str, n: int, m: int) -> None:
    generator = np.random.default_rng(n + m)
    shares = counts(null_distributions()[name]) / 50_000
    pairs = zip(generator.multinomial(n, shares, RUNS), generator.multinomial(m, shares, RUNS), strict=True)
    drifts = [drift_of(before, now) for before, now in pairs]
    psi, js, ks, rare = (
        np.mean([getattr(drift, figure) > getattr(drift, bound) for drift in drifts])
        for figure, bound in [
            ("psi", "psi_null_95"),
            ("js", "js_null_95"),
            ("ks", "ks_null_95"),
            ("psi", "psi_null_999"),
        ]
    )
    assert 0.03 < psi < 0.075
    assert 0.03 < js < 0.075
    assert ks < 0.065
    assert rare <= 0.005


def test_a_shift_is_drift() -> None:
    generator = np.random.default_rng(3)
    drift = drift_of(counts(generator.random(2000)), counts(generator.beta(2, 1, 2000)))
    assert drift.drifted(0.2)
    assert not drift.drifted(5.0)
    assert drift.ks > drift.ks_null_95
    assert drift.js > drift.js_null_95


def test_a_large_psi_of_few_events_is_not_drift() -> None:
    generator = np.random.default_rng(4)
    drifts = [drift_of(counts(generator.random(40)), counts(generator.random(40))) for _ in range(200)]
    assert sum(drift.psi > 0.2 for drift in drifts) > 100
    assert sum(drift.drifted(0.2) for drift in drifts) <= 2


def test_a_reference_of_one_value_still_shows_a_move() -> None:
    before = counts(np.full(500, 0.9))
    assert drift_of(before, counts(np.full(500, 0.5))).drifted(0.2)
    assert drift_of(before, counts(np.full(500, 0.99))).drifted(0.2)
    assert not drift_of(before, counts(np.full(500, 0.9))).drifted(0.0)


def test_degrees_of_freedom_follow_the_bins_that_ties_leave() -> None:
    # Two values make two bins: one degree, whose 95 % quantile is 1.96².
    drift = drift_of([50, 0, 50], [50, 0, 50])
    assert drift.psi_null_95 == pytest.approx(1.959963984540054**2 * 0.02, abs=1e-12)


@pytest.mark.parametrize(("before", "now"), [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([0, 0], [0, 0])])
def test_an_empty_sample_has_no_drift(before: list[int], now: list[int]) -> None:
    assert score_drift(before, now) is None


@pytest.mark.parametrize(
    ("before", "now"), [([1, 0], [0, 1]), ([1, 0], [1, 0]), ([0, 1], [10**9, 0]), ([1] * 402, [1] + [0] * 401)]
)
def test_hostile_samples_give_finite_figures(before: list[int], now: list[int]) -> None:
    drift = drift_of(before, now)
    assert all(math.isfinite(getattr(drift, name)) for name in ScoreDrift.__slots__)
    assert 0 <= drift.ks_null_95 <= 1
