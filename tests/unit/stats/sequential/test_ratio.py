"""The sequential test of observed over expected outcomes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from monitor.stats.cells import Floats
from monitor.stats.sequential.ratio import BEYOND, RUNGS, Outcomes, RatioTest, _payoff
from monitor.stats.sequential.selection import FIELDS, Labelling, doubt_of_ratio
from monitor.stats.sequential.witnesses import BINS
from tests.benchmarks.rare_events import LIMIT, delays, outcomes, peak

FIRES = -np.log(0.01)


def means_of_payoffs(p: Floats, chances: Floats) -> Floats:
    """Return the mean payoff of a step over all outcomes of its events, per limit and alternative."""
    total = np.zeros((1 + len(RUNGS), 2 * len(BEYOND)))
    for y in product([0, 1], repeat=len(p)):
        probability = float(np.prod(np.where(y, chances, 1 - chances)))
        step = Outcomes(labels=len(p), bets=len(p), observed=float(sum(y)), expected=float(p.sum()))
        total += probability * np.exp(_payoff(step, np.concatenate([[LIMIT], RUNGS])))
    return total


@pytest.mark.parametrize(
    "p", [[0.001] * 6, [0.1, 0.4, 0.2, 0.05, 0.6, 0.3], [0.9, 0.8, 1.0, 0.95, 0.7, 0.99], [0.0] * 3]
)
@pytest.mark.parametrize("times", [LIMIT, 1.0, 1 / LIMIT])
def test_no_bet_grows_on_average_on_a_model_within_the_limit(p: list[float], times: float) -> None:
    said = np.array(p)
    assert means_of_payoffs(said, np.minimum(1.0, times * said))[0].max() <= 1 + 1e-12


def test_the_limit_is_of_the_step_whatever_single_confidences_do() -> None:
    said = np.array([0.1, 0.1, 0.2, 0.4])
    swapped = np.array([0.8, 0.0, 0.4, 0.0])  # as many as one and a half times those
    assert means_of_payoffs(said, swapped)[0].max() <= 1 + 1e-12
    assert means_of_payoffs(said, 1.1 * swapped[[0, 2]].repeat(2))[0].max() > 1.05


def test_a_cluster_is_one_outcome_whatever_its_events_share() -> None:
    together = Outcomes(labels=40, bets=4, observed=0.5, expected=0.25)  # of four clusters of ten
    after = RatioTest.begin().advanced(together, limit=LIMIT)
    assert (after.taken, after.log_e) == (
        together,
        RatioTest.begin().advanced(replace(together, labels=4), limit=LIMIT).log_e,
    )


@pytest.mark.parametrize(("stated", "times", "most"), [(1e-4, 7.5, 20_000), (0.01, 2.0, 20_000), (0.01, 0.4, 20_000)])
def test_rare_events_that_happen_otherwise_than_expected_are_found(stated: float, times: float, most: int) -> None:
    assert np.median(delays(stated, times, calm=0, runs=20)[:, 0]) <= most


@pytest.mark.parametrize("times", [1.0, LIMIT, 1 / LIMIT])
@pytest.mark.parametrize("stated", [1e-4, 0.01, 0.3])
def test_a_model_within_the_limit_raises_no_alert(stated: float, times: float) -> None:
    assert max(peak(stated, times, seed=seed, labels=300_000) for seed in range(10)) < FIRES


@pytest.mark.parametrize(("times", "side"), [(3.0, "more"), (0.2, "less"), (1.0, "none")])
def test_it_says_which_way_and_how_far_at_the_least(times: float, side: str) -> None:
    test = RatioTest.begin()
    for _ in range(100):
        test = test.advanced(outcomes(1000, 0.01, 10 * times), limit=LIMIT)
    assert test.side == side
    at_least = test.at_least(0.0025)
    assert at_least is None if side == "none" else at_least is not None and LIMIT <= at_least < max(times, 1 / times)


def test_a_fault_after_a_long_calm_is_found_and_its_peak_stays() -> None:
    test = RatioTest.begin()
    for happened in [10.0] * 500 + [30.0] * 20 + [10.0] * 100:
        test = test.advanced(outcomes(1000, 0.01, happened), limit=LIMIT)
    assert test.peak > FIRES > test.log_e
    assert 500 < test.peaked <= 520
    assert test.stakes == 10 * 619 + 1


def test_stakes_join_before_the_outcomes_that_they_are_placed_on() -> None:
    first = RatioTest.begin().advanced(outcomes(10_000, 0.01, 0.0), limit=LIMIT)
    assert first.stakes == 1
    assert first.advanced(outcomes(10, 0.01, 0.0), limit=LIMIT).stakes == 101


def test_nothing_happens_without_labels() -> None:
    begun = RatioTest.begin()
    assert begun.advanced(Outcomes(labels=0, bets=0, observed=0.0, expected=0.0), limit=LIMIT) is begun
    assert (begun.log_e, begun.peak, begun.stakes, begun.side, begun.at_least(0.01)) == (0.0, 0.0, 0, "none", None)


def seen(
    *, predictions: float, labels: float, happened: float, late: float = 0.0, late_happened: float = 0.0
) -> Labelling:
    """Return which predictions of .001 got a label, in time or too late."""
    p, sums = 0.001, np.zeros((FIELDS, BINS))
    timely = (predictions, predictions * p, labels, labels * p, happened - labels * p, labels * p)
    sums[:, 0] = [*timely, late, late_happened - late * p, late * p, late * p]
    return Labelling(sums)


def test_late_outcomes_that_happen_otherwise_than_timely_ones_hold_the_alert() -> None:
    alike = seen(predictions=30_000, labels=20_000, happened=100, late=10_000, late_happened=50)
    assert "late" not in str(doubt_of_ratio(alike, LIMIT))
    chosen = seen(predictions=30_000, labels=20_000, happened=40, late=2_000, late_happened=50)
    assert "25 times as often as expected among late ones, 2 times among the others" in str(
        doubt_of_ratio(chosen, LIMIT)
    )


def test_late_outcomes_hold_no_alert_that_they_could_not_undo() -> None:
    more = seen(predictions=30_000, labels=29_000, happened=100, late=1_000, late_happened=50)
    assert doubt_of_ratio(more, LIMIT) is None
    less = seen(predictions=300_000, labels=299_990, happened=50, late=1_000, late_happened=50)
    assert doubt_of_ratio(less, LIMIT) is None


def test_missing_labels_hold_the_alert_only_where_they_could_explain_it() -> None:
    assert doubt_of_ratio(seen(predictions=20_000, labels=10_000, happened=80), LIMIT) is None  # 80 of 20 at the most
    assert "50.0 % of matured" in str(doubt_of_ratio(seen(predictions=20_000, labels=10_000, happened=40), LIMIT))
    assert doubt_of_ratio(seen(predictions=20_000, labels=20_000, happened=40), LIMIT) is None
    assert "99.0 % of matured" in str(doubt_of_ratio(seen(predictions=20_000, labels=19_800, happened=1), LIMIT))


def test_an_alert_that_was_held_counts_no_more_once_its_evidence_is_gone() -> None:
    test = RatioTest.begin()
    while test.peak < FIRES:
        test = test.advanced(outcomes(1000, 0.001, 5.0), limit=LIMIT)
        part = seen(predictions=20_000, labels=1000, happened=5)
        test = test.labelled(part, limit=LIMIT, fires_at=FIRES)
    assert test.doubt(LIMIT)
    again = RatioTest.from_bytes(test.to_bytes())
    assert again.doubt(LIMIT) == test.doubt(LIMIT)
    assert again.to_bytes() == test.to_bytes()
    while test.log_e > 0:
        test = test.advanced(outcomes(1000, 0.001, 1.0), limit=LIMIT)
        test = test.labelled(seen(predictions=1000, labels=1000, happened=1), limit=LIMIT, fires_at=FIRES)
    assert (test.peak, test.at_least(0.01), test.doubt(LIMIT)) == (0.0, None, None)


@pytest.mark.parametrize(
    "spoilt", [b"", b"CWOE", RatioTest.begin().to_bytes()[:-1], b"X" + RatioTest.begin().to_bytes()[1:]]
)
def test_other_bytes_are_no_state(spoilt: bytes) -> None:
    with pytest.raises(ValueError, match="are not the state"):
        RatioTest.from_bytes(spoilt)
    later = bytearray(RatioTest.begin().to_bytes())
    later[4] = 99
    with pytest.raises(ValueError, match="format 99"):
        RatioTest.from_bytes(bytes(later))
