"""Predictive distributions, drift and discoveries from independent packages, on random and on hostile inputs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import ecdf, entropy, ks_2samp, norm, wasserstein_distance
from scoringrules import crps_normal, crps_quantile
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from monitor.stats.cells import CELLS, place
from monitor.stats.discovery import e_bh
from monitor.stats.drift import ScoreDrift, class_shift, score_drift
from monitor.stats.quantiles import direction as pit_direction
from monitor.stats.quantiles import held, pit_bins, quantile_ece, quantile_ece_lower_bound, quantile_ece_null_mean
from monitor.stats.regression import of_measured, of_normal, of_quantiles
from monitor.stats.reliability import clopper_pearson, clopper_pearson_upper
from monitor.stats.summary import Summary

Floats = NDArray[np.float64]
ROUNDING = 1e-12

NORMALS = [
    (0.0, 1.0, 0.0),
    (0.0, 1.0, 1.0),
    (5.0, 1e-9, 5.0),
    (5.0, 1e-9, 6.0),
    (-3.0, 1e9, 4.0),
    (0.0, 1.0, 37.0),
    (0.0, 1.0, -37.0),
    (1e12, 1e-3, -1e12),
    *np.random.default_rng(1).normal(0, 5, (40, 3)).__abs__().tolist(),
]


@pytest.mark.parametrize(("mean", "std", "y"), NORMALS)
def test_crps_of_a_normal_is_that_of_scoringrules(mean: float, std: float, y: float) -> None:
    assert of_normal(mean, std, y).crps == pytest.approx(float(crps_normal(y, mean, std)), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("mean", "std", "y"), NORMALS)
def test_pit_and_intervals_of_a_normal_are_those_of_scipy(mean: float, std: float, y: float) -> None:
    found = of_normal(mean, std, y)
    assert found.pit == pytest.approx(norm.cdf(y, mean, std), rel=1e-9, abs=1e-15)
    for level, inside in found.intervals:
        low, high = norm.interval(level / 1000, mean, std)
        assert inside == (low <= y <= high)


def stated_quantiles(seed: int) -> tuple[tuple[int, ...], tuple[float, ...], float]:
    """Return levels, quantiles (some tied) and a label, which is one of them at times."""
    generator = np.random.default_rng(seed)
    levels = np.sort(generator.choice(np.arange(1, 1000), int(generator.integers(2, 40)), replace=False))
    values = np.sort(generator.normal(0, 3, len(levels)))
    if seed % 2:
        values = np.round(values)
    y = float(values[seed % len(values)] if seed % 3 == 0 else generator.normal(0, 4))
    return tuple(levels.tolist()), tuple(values.tolist()), y


@pytest.mark.parametrize("seed", range(24))
def test_crps_of_quantiles_is_that_of_scoringrules(seed: int) -> None:
    levels, values, y = stated_quantiles(seed)
    peer = float(crps_quantile(y, np.array(values), np.array(levels) / 1000))
    assert of_quantiles(levels, values, y, chance=0.5).crps == pytest.approx(peer, abs=ROUNDING)


def pit_sums(labels: Floats) -> Summary:
    """Return the sums of labelled standard normal forecasts, every second one in the half."""
    events = list(range(len(labels)))
    measured = [of_normal(0.0, 1.0, y) for y in labels.tolist()]
    return Summary.of_entries(*of_measured(events, [bool(i % 2) for i in events], measured)[1:])


LABELS = {
    "one": np.array([0.3]),
    "two": np.array([-1.0, 1.0]),
    "tied": np.repeat([-0.5, 0.0, 0.5], 7),
    "certain ends": np.array([-40.0, 40.0, -40.0]),  # the PIT is 0 or 1 exactly
    "right": np.random.default_rng(2).normal(0, 1, 700),
    "too narrow": np.random.default_rng(3).normal(0.3, 1.7, 700),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_quantile_ece_is_that_of_scipys_distribution_function(labels: Floats) -> None:
    levels = np.arange(1, 20) / 20
    pits = np.array([of_normal(0.0, 1.0, y).pit for y in labels.tolist()])
    peer = np.abs(ecdf(pits).cdf.evaluate(levels) - levels).mean()
    assert quantile_ece(pit_bins(pit_sums(labels).pit()[:, 0])) == pytest.approx(peer, abs=ROUNDING)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_coverage_has_the_bounds_of_statsmodels(labels: Floats) -> None:
    found = held(pit_sums(labels).stated("interval"))
    assert [each.level for each in found] == [0.5, 0.8, 0.9, 0.95, 0.99]
    for each in found:
        inside = int((np.abs(labels) <= norm.ppf(0.5 + each.level / 2)).sum())
        assert each.observed == pytest.approx(inside / len(labels), abs=ROUNDING)
        bounds = proportion_confint(inside, len(labels), method="beta")
        assert (each.low, each.high) == pytest.approx(bounds, abs=1e-9)


def test_of_no_labels_distributions_have_no_figures() -> None:
    nothing = pit_sums(np.array([]))
    cells, counts = nothing.pit(), pit_bins(nothing.pit()[:, 0])
    assert [quantile_ece(counts), quantile_ece_null_mean(counts), pit_direction(cells[:, 0])] == [None] * 3
    assert quantile_ece_lower_bound(cells, cells, alpha=0.05) is None
    assert held(nothing.stated("interval")) == []


@pytest.mark.parametrize("n", [1, 2, 3, 59, 100, 100_000])
def test_clopper_pearson_is_that_of_statsmodels(n: int) -> None:
    for k in sorted({0, 1, n // 3, n - 1, n}):
        assert [float(bound) for bound in clopper_pearson(k, n)] == pytest.approx(
            proportion_confint(k, n, method="beta"), abs=1e-9
        )
        one_sided = proportion_confint(k, n, alpha=0.1, method="beta")[1]
        assert float(clopper_pearson_upper(k, n)) == pytest.approx(one_sided, abs=1e-9)


def moved(before: Floats, now: Floats) -> ScoreDrift | None:
    """Return the drift between two samples that are given one by one."""
    counts = [np.bincount(place(p), minlength=CELLS) for p in (before, now)]
    old, new = (np.bincount(place(p), weights=p, minlength=CELLS) for p in (before, now))
    return score_drift(*counts, sums=(old, new))


VALUES = np.array([0.0, 0.05, 0.1, 0.25, 0.5, 0.7, 0.9, 0.99, 0.999, 1.0])


def sampled(seed: int, n: int, m: int) -> tuple[Floats, Floats]:
    """Return two samples of ten values, one in a cell, certainty among them."""
    generator = np.random.default_rng(seed)
    return generator.choice(VALUES, n), generator.choice(VALUES, m, p=generator.dirichlet(np.ones(10)))


SAMPLES = {f"{n} against {m}": sampled(n + m, n, m) for n, m in [(1, 1), (1, 2), (2, 2), (2, 40), (300, 170)]} | {
    "one value": (np.full(5, 0.5), np.full(9, 0.5)),
    "end to end": (np.zeros(30), np.ones(40)),
    "nothing in common": (np.repeat([0.1, 0.2], 20), np.repeat([0.8, 0.9], 30)),
}


@pytest.mark.parametrize(("before", "now"), SAMPLES.values(), ids=SAMPLES)
def test_kolmogorov_smirnov_and_wasserstein_are_those_of_scipy(before: Floats, now: Floats) -> None:
    found = moved(before, now)
    assert found is not None
    assert found.ks == pytest.approx(ks_2samp(before, now).statistic, abs=ROUNDING)
    assert found.wasserstein == pytest.approx(wasserstein_distance(before, now), abs=ROUNDING)


@pytest.mark.parametrize("seed", range(6))
def test_psi_and_jensen_shannon_are_relative_entropies_of_scipy(seed: int) -> None:
    # Four values of unlike frequency in the reference are four bins; half an event is added to each.
    values = np.array([0.0, 0.5, 0.9, 1.0])
    generator = np.random.default_rng(seed)
    before, now = np.repeat(values, [10, 40, 30, 20]), generator.choice(values, [1, 2, 40, 300][seed % 4])
    r, q = (np.array([(sample == value).sum() for value in values]) + 0.5 for sample in (before, now))
    found = moved(before, now)
    assert found is not None
    assert found.psi == pytest.approx(entropy(r, q) + entropy(q, r), abs=ROUNDING)
    assert found.js == pytest.approx(jensenshannon(r, q) ** 2, abs=ROUNDING)


@pytest.mark.parametrize(
    ("before", "now"), [([1, 0, 0], [0, 0, 1]), ([2, 0], [1, 1]), ([500, 300, 200], [9, 1, 0]), ([3], [4])]
)
def test_class_shift_is_the_distance_of_scipy(before: list[int], now: list[int]) -> None:
    found = class_shift(before, now)
    assert found is not None
    seen = np.add(before, now) > 0
    peer = jensenshannon(np.array(before)[seen] + 0.5, np.array(now)[seen] + 0.5) ** 2
    assert found.js == pytest.approx(peer, abs=ROUNDING)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0)])
def test_of_an_empty_sample_no_distance_is_0_or_nan(n: int, m: int) -> None:
    assert moved(np.full(n, 0.5), np.full(m, 0.5)) is None
    assert class_shift([n, 0], [0, m]) is None


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(6))
def test_discoveries_by_e_values_are_those_of_statsmodels_by_their_inverses(seed: int, rate: float) -> None:
    log_e = np.random.default_rng(seed).exponential(3, [1, 2, 20, 200][seed % 4])
    if seed % 2:
        log_e = np.concatenate([np.round(log_e), [0.0, 700.0]])
    peer = multipletests(np.exp(-log_e), alpha=rate, method="fdr_bh")[0]
    assert e_bh(log_e, rate).tolist() == peer.tolist()
