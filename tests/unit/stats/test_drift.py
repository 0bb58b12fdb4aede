"""Drift of confidences, and how much of it is chance."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, wasserstein_distance

from monitor.stats.cells import CELLS, Floats, place
from monitor.stats.drift import ScoreDrift, class_shift, score_drift

RUNS = 400
RARELY = 0.001


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


@pytest.mark.parametrize(("n", "m"), [(50, 50), (20_000, 200), (2000, 2000)])
@pytest.mark.parametrize("name", list(null_distributions()))
def test_null_quantiles_are_reached_as_often_as_they_say(name: str, n: int, m: int) -> None:
    generator = np.random.default_rng(n + m)
    p = null_distributions()[name]
    events, within = counts(p), np.bincount(place(p), weights=p, minlength=CELLS)
    means = within / np.maximum(events, 1)
    pairs = zip(
        generator.multinomial(n, events / 50_000, RUNS), generator.multinomial(m, events / 50_000, RUNS), strict=True
    )
    drifts = [score_drift(before, now, sums=(before * means, now * means)) for before, now in pairs]
    for figure in ("psi", "js", "ks", "wasserstein"):
        beyond = sum(getattr(drift, figure) > getattr(drift, f"{figure}_null_95") for drift in drifts)
        assert binom.ppf(RARELY, RUNS, 0.02) <= beyond <= binom.isf(RARELY, RUNS, 0.07), figure
    rare = sum(drift.psi > drift.psi_null_999 for drift in drifts if drift is not None)
    assert rare <= binom.isf(RARELY, RUNS, 0.003)


def moved_by(before: Floats, now: Floats) -> ScoreDrift:
    """Return the drift between two samples that are given one by one."""
    sums = tuple(np.bincount(place(p), weights=p, minlength=CELLS) for p in (before, now))
    found = score_drift(counts(before), counts(now), sums=(sums[0], sums[1]))
    assert found is not None
    return found


@pytest.mark.parametrize("name", list(null_distributions()))
@pytest.mark.parametrize("size", [1, 2, 40, 3000])
def test_wasserstein_is_that_of_the_rows(name: str, size: int) -> None:
    before = null_distributions()[name][:size]
    for now in (before**1.2, before**3, 1 - before, null_distributions()[name][size : 3 * size]):
        expected = wasserstein_distance(before, now)
        assert moved_by(before, now).wasserstein == pytest.approx(expected, abs=0.003)
        assert moved_by(now, before).wasserstein == pytest.approx(expected, abs=0.003)


def test_wasserstein_sees_a_move_within_a_cell() -> None:
    assert place([0.984]) == place([0.985])
    drift = moved_by(np.full(4000, 0.984), np.full(4000, 0.985))
    assert (drift.psi, drift.ks) == (0, 0)
    assert drift.wasserstein == pytest.approx(0.001, abs=1e-12)
    assert drift.wasserstein_null_95 is not None
    assert drift.wasserstein > drift.wasserstein_null_95


def test_without_sums_there_is_no_wasserstein_distance() -> None:
    drift = drift_of([5, 5], [4, 6])
    assert (drift.wasserstein, drift.wasserstein_null_95) == (None, None)


def test_null_quantiles_are_the_same_at_each_call() -> None:
    sample = null_distributions()["uniform"]
    one, other = (moved_by(sample[:500], sample[500:900]) for _ in range(2))
    assert one == other


def test_null_of_ks_and_wasserstein_are_those_of_the_continuous_bridge() -> None:
    # Kolmogorov 1.3581; Johnson & Killeen 1983 (doi:10.2307/2288198) for the area under the bridge, .5821 at 95 %.
    drift = moved_by(null_distributions()["uniform"][:20_000], null_distributions()["uniform"][20_000:40_000])
    assert drift.ks_null_95 / 0.01 == pytest.approx(1.3581, rel=0.06)
    assert drift.wasserstein_null_95 / 0.01 == pytest.approx(0.5821, rel=0.04)


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
    figures = [getattr(drift, name) for name in ScoreDrift.__slots__ if not name.startswith(("wasserstein", "move"))]
    assert all(math.isfinite(figure) for figure in figures)
    assert 0 <= drift.ks_null_95 <= 1


def test_class_shift_is_its_formula() -> None:
    before, now = np.array([50, 30, 0, 20]), np.array([20, 50, 0, 130])
    shift = class_shift(before, now)
    assert shift is not None
    assert (shift.reference.tolist(), shift.current.tolist()) == ([0.5, 0.3, 0, 0.2], [0.1, 0.25, 0, 0.65])
    r, q = (np.array([50, 30, 20]) + 0.5) / 101.5, (np.array([20, 50, 130]) + 0.5) / 201.5
    assert shift.js == pytest.approx(jensenshannon(r, q) ** 2, abs=1e-12)
    scale = 100 / 100.75**2 + 200 / 200.75**2
    assert shift.js_null_95 == pytest.approx(5.991464547107979 * scale / 8, abs=1e-12)
    assert shift.js_null_999 == pytest.approx(13.815510557964274 * scale / 8, abs=1e-12)
    assert shift.shifted(0.2)


def test_a_mix_of_answers_that_hardly_moved_is_no_shift_however_sure_it_is() -> None:
    shift = class_shift([500_000, 500_000], [510_000, 490_000])
    assert shift is not None
    assert shift.js > shift.js_null_999
    assert not shift.shifted(0.2)


@pytest.mark.parametrize(
    ("classes", "n", "m"), [(2, 50, 50), (10, 500, 500), (10, 20_000, 300), (100, 100_000, 20_000)]
)
def test_a_mix_of_answers_shifts_by_chance_as_seldom_as_it_says(classes: int, n: int, m: int) -> None:
    generator = np.random.default_rng(classes)
    shares = np.full(classes, 1 / classes)
    runs = 2000
    pairs = zip(generator.multinomial(n, shares, runs), generator.multinomial(m, shares, runs), strict=True)
    shifts = [class_shift(before, now) for before, now in pairs]
    beyond, rare = (sum(each.js > getattr(each, name) for each in shifts) for name in ("js_null_95", "js_null_999"))
    assert binom.ppf(RARELY, runs, 0.04) <= beyond <= binom.isf(RARELY, runs, 0.06)
    assert rare <= binom.isf(RARELY, runs, 0.002)


@pytest.mark.parametrize(("before", "now"), [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([], [])])
def test_an_empty_mix_has_no_shift(before: list[int], now: list[int]) -> None:
    assert class_shift(before, now) is None


def test_a_model_that_always_answers_the_same_has_not_shifted() -> None:
    shift = class_shift([0, 70], [0, 30])
    assert shift is not None
    assert (shift.js, shift.js_null_95, shift.shifted(0.2)) == (0, 0, False)
