"""What alarms do, in small: the simulations of `make bench`, with room for chance.

Each bound on a count is the binomial quantile that a true rate exceeds once in ten thousand times.
"""

import numpy as np
import pytest
from scipy.stats import binom

from monitor.stats.sequential.guarantee import Deciding
from monitor.stats.sequential.ledger import Ledger
from tests.benchmarks import detectors, guarantees
from tests.benchmarks.alarms import ALPHA, THRESHOLD, clustered, delayed, windows
from tests.benchmarks.streams import POPULATIONS, Population, drawn, temperature
from tests.benchmarks.watch import (
    FAULTS,
    REFERENCES,
    TESTS,
    Fault,
    Tied,
    delays,
    edges,
    found_after,
    lin,
    long,
    rejected,
    sabotaged,
)

SLACK = 1e-4


def at_most(rate: float, tries: int) -> int:
    return int(binom.ppf(1 - SLACK, tries, rate))


def at_least(rate: float, tries: int) -> int:
    return int(binom.ppf(SLACK, tries, rate))


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("labels", [200, 2_000])
def test_no_policy_alarms_about_a_calibrated_model_more_often_than_it_says(population: Population, labels: int) -> None:
    found = windows(population, population.p, labels, 500)
    assert found.window <= at_most(ALPHA, 500)
    assert found.streams <= at_most(ALPHA, 5)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda each: each.name)
def test_nor_about_one_at_the_threshold_where_the_plain_rule_tosses_a_coin(population: Population) -> None:
    found = windows(population, population.edge(THRESHOLD), 1_000, 500)
    assert found.window <= at_most(ALPHA, 500)
    assert found.streams <= at_most(ALPHA, 5)
    assert found.rule >= at_least(0.45, 500)


@pytest.mark.parametrize(("labels", "expected"), [(200, 0.9909), (500, 0.6490), (1_000, 0.0794)])
def test_the_plain_rule_alarms_about_calibrated_models_as_often_as_is_known(labels: int, expected: float) -> None:
    found = windows(POPULATIONS[0], POPULATIONS[0].p, labels, 500)
    assert at_least(expected, 500) <= found.rule <= at_most(expected, 500)


def test_events_that_share_their_luck_make_false_alarms_unless_declared() -> None:
    found = clustered(10, 25)
    assert found.declared <= at_most(ALPHA, 10)
    assert found.undeclared >= 3


def test_positives_that_are_labelled_first_make_false_alarms_unless_days_mature() -> None:
    found = delayed(20, 20)
    assert found.matured <= at_most(ALPHA, 20)
    assert found.window_matured <= at_most(ALPHA, 20)
    assert found.arrival == found.window_arrival == 20


def test_a_drift_to_ten_points_is_found_as_soon_as_known() -> None:
    tests = {name: test for name, test in TESTS.items() if (0.10, name) in REFERENCES}
    found = delays(0.10, tests, runs=20, longest=1_500, windows=())
    for name in tests:
        assert found[name][0] <= 1.3 * REFERENCES[0.10, name]
        assert found[name][1] <= at_most(ALPHA, 20)


@pytest.mark.parametrize(
    ("fault", "calm"),
    [(fault, calm) for fault in FAULTS for calm in fault.references],
    ids=lambda each: each.name if isinstance(each, Fault) else f"{each:,}",
)
def test_a_fault_after_a_short_or_a_long_calm_is_found_as_soon_as_known(fault: Fault, calm: int) -> None:
    delay = found_after(fault, calm, runs=30)
    assert delay[ALPHA] <= 1.05 * fault.references[calm]
    assert delay[ALPHA] <= delay[ALPHA / 4] <= 1.4 * delay[ALPHA]


@pytest.mark.parametrize("limit", [0.05, 0.02])
def test_a_model_whose_error_is_its_limit_is_left_alone_whatever_its_confidences(limit: float) -> None:
    counts = edges(limit, runs=50, labels=20_000, bucket=200)
    assert list(counts) == [population.name for population in POPULATIONS]
    for at_alpha, by_default in counts.values():
        assert by_default <= at_alpha <= at_most(ALPHA, 50)


@pytest.mark.parametrize("decides", guarantees.RULES)
def test_an_alert_is_as_soon_as_its_guarantee_and_its_limit_let_it_be(decides: Deciding) -> None:
    at_most_labels: dict[Deciding, int] = {"log_e": 2_000, "log_sr": 2_500, "log_ratio": 1_125, "log_ratio_sr": 1_400}
    whole, first = guarantees.found_after(decides, 5_000, runs=30)
    assert whole <= at_most_labels[decides]
    assert whole <= first <= 1.4 * whole


@pytest.mark.parametrize("decides", ["log_sr", "log_ratio_sr"])
def test_the_delay_of_a_guarantee_per_labels_does_not_grow_with_calm(decides: Deciding) -> None:
    soon, late = (guarantees.found_after(decides, calm, runs=30)[0] for calm in (5_000, 100_000))
    assert late <= 1.1 * soon


@pytest.mark.parametrize("decides", guarantees.RULES)
def test_no_guarantee_lets_a_model_within_its_limit_be_alerted(decides: Deciding) -> None:
    for population in POPULATIONS:
        alarmed = guarantees.false_alarms(decides, population, runs=50, labels=20_000, step=200)
        assert alarmed.sum() <= at_most(ALPHA, 50)


def test_a_new_mix_of_traffic_is_no_alarm_and_a_bias_is_found() -> None:
    scenes = {scene.name: scene for scene in detectors.SCENES}
    for scene in scenes.values():
        at = detectors.watched(*scene.streams(10), THRESHOLD, ALPHA)
        verdict = detectors.Verdict.of(at, scene.change)
        assert verdict.early <= at_most(ALPHA, 10)
        assert verdict.detected == 10 if scene.wrong else verdict.detected <= at_most(ALPHA, 10)
    assert sorted(scene.wrong for scene in scenes.values()) == [False] * 3 + [True] * 3


def test_looking_often_is_free_for_the_tests_and_not_for_bets_that_see_their_own_step() -> None:
    found = long(20, 12_000, 300)
    for count in (found.calibrated, found.strict, found.ratio, found.edge):
        assert count <= at_most(ALPHA, 20)
    assert found.own_step == 20


@pytest.mark.parametrize(("threshold", "own"), [(0.05, False), (0.02, False), (0.02, True)])
def test_steps_over_tied_confidences_are_those_over_their_entries(threshold: float, own: bool) -> None:  # noqa: FBT001 - pytest
    dice = np.random.default_rng(8)
    for population in POPULATIONS:
        quick, plain = Ledger.begin(3), Ledger.begin(3)
        for labels in (3, 40, 500):
            counts = drawn(dice, population.p, population.edge(0.1), runs=3, labels=labels)
            quick = Tied(population.p, threshold, own=own)(quick, counts)
            plain = (sabotaged if own else lin)(threshold)(plain, counts.entries())
        for name in Ledger.__slots__:
            assert getattr(quick, name) == pytest.approx(getattr(plain, name))


def test_looking_often_is_not_free_for_a_z_test_of_fixed_size() -> None:
    dice, p = np.random.default_rng(5), POPULATIONS[0].p
    total = drawn(dice, p, p, runs=300, labels=300)
    ever = once = rejected(total)
    for _ in range(60):
        total += drawn(dice, p, p, runs=300, labels=300)
        ever = ever | rejected(total)
    assert once.sum() <= at_most(ALPHA, 300) < ever.sum()


def test_drawn_events_are_calibrated_or_off_by_the_gap() -> None:
    dice = np.random.default_rng(6)
    for population in POPULATIONS:
        for chance in (population.p, population.edge(THRESHOLD)):
            found = drawn(dice, population.p, chance, runs=20, labels=50_000)
            gap = np.abs(found.sy.sum((0, 1)) / found.n.sum((0, 1)) - population.p)
            assert gap.mean() == pytest.approx(np.abs(chance - population.p).mean(), abs=0.004)
            assert found.n.sum(axis=(0, 2)).tolist() == [50_000] * 20
            bins = found.bins()[3]
            assert (bins.n.sum(), bins.sy.sum()) == (50_000, found.sy[:, 3].sum())
            entries = found.entries()
            assert entries.n.sum() == 20 * 50_000
            assert entries.sp.sum() == pytest.approx(sum(each.sp.sum() for each in found.bins()))


def test_temperatures_make_the_ece_that_is_asked_for() -> None:
    factors = [temperature(ece) for ece in (0.05, 0.10, 0.15)]
    assert factors == sorted(factors, reverse=True)
    p = np.random.default_rng(7).random(400_000)
    off = 1 / (1 + ((1 - p) / p) ** factors[1])
    assert np.abs(off - p).mean() == pytest.approx(0.10, abs=1e-3)
