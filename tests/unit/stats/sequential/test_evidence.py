"""Sequential tests of calibration: what bets pay, what they hold, and that they can't win where the null holds."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import logsumexp

from monitor.stats.cells import CELLS, Cells, place
from monitor.stats.sequential import betting
from monitor.stats.sequential.at_least import RUNGS
from monitor.stats.sequential.betting import (
    SUMS,
    Entries,
    linear_clustered,
    log_factors,
    ratio,
    ratio_clustered,
    unseen,
)
from monitor.stats.sequential.evidence import Clusters, Evidence
from monitor.stats.sequential.guarantee import STAKE_LABELS, Deciding
from monitor.stats.sequential.ledger import Ledger, cash
from monitor.stats.sequential.stored import decoded, encoded
from monitor.stats.sequential.window import window_e_value
from monitor.stats.sequential.witnesses import (
    BIN_OF_CELL,
    BINS,
    FIXED,
    LINES,
    LOWER,
    PRIOR,
    SHARES,
    SIDES,
    UPPER,
    WITNESSES,
    pit_witnesses,
    soft,
)
from tests.benchmarks.streams import rows
from tests.benchmarks.watch import sabotaged

Floats = NDArray[np.float64]
NOTHING = Cells.from_rows([], [])
LEARNED = 3
SIGNED, SOFT = slice(len(FIXED), len(FIXED) + LEARNED), slice(len(FIXED) + LEARNED, WITNESSES)
FIRST = 1 - 1 / np.log2(3)
"""The first stake."""

confidences = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 0.999, 1e-9]))
events = st.lists(st.tuples(confidences, st.integers(0, 1)), min_size=1, max_size=40)
thresholds = st.sampled_from([0.0, 0.02, 0.05, 0.3, 0.9])


def split(pairs: list[tuple[float, int]]) -> tuple[Floats, Floats]:
    return np.array([p for p, _ in pairs]), np.array([float(y) for _, y in pairs])


def of_rows(p: Floats, y: Floats, d: Floats, share: float, threshold: float) -> float:
    return float((np.log1p(share * d * (y - p)) - np.log1p(share * threshold)).sum())


def factor(gap: float, threshold: float, share: Floats | float = 0.4) -> Floats:
    """Return what a bet pays on one event with d(y - p) = gap."""
    return np.asarray((1 + share * gap) / (1 + share * threshold))


def charged(paid: Floats, bets: int, threshold: float) -> Floats:
    return paid - betting.charge(np.array(float(bets)), threshold)[0]


def one_cluster(p: Floats, y: Floats, name: int = 7) -> Clusters:
    return Clusters(np.full(len(p), name), place(p), np.ones(len(p)), y, p)


def joined(*parts: Clusters) -> Clusters:
    return Clusters(*(np.concatenate([getattr(part, name) for part in parts]) for name in Clusters.__slots__))


def wealth(evidence: Evidence) -> Floats:
    return np.exp(evidence.ledger.wealth[0])


# What a bet pays.


@given(events, thresholds, st.sampled_from([-1.0, -0.4, 0.0, 0.3, 1.0]))
def test_the_payoff_from_sums_is_never_above_that_of_the_events(
    pairs: list[tuple[float, int]], threshold: float, sign: float
) -> None:
    p, y = split(pairs)
    entries = Entries.of(Cells.from_rows(p, y))
    for share in SHARES:
        paid = log_factors(entries, np.full(len(entries.cell), sign), np.array([[share]])).sum()
        found = paid - len(p) * np.log1p(share * threshold)
        exact = of_rows(p, y, np.full(len(p), sign), share, threshold)
        assert found <= exact + 1e-9
        assert found >= exact - 0.01 * len(p)


@pytest.mark.parametrize(("sign", "spread_out"), [(-1.0, 1.0), (1.0, 0.0)])
def test_the_spread_is_charged_to_the_outcome_that_may_have_it(sign: float, spread_out: float) -> None:
    # One outcome's confidences lie at both ends of a cell, the other's all at one end.
    cell = place([0.49])[0]
    low, high = np.nextafter(LOWER[cell], 1), UPPER[cell]
    p = np.concatenate([np.repeat([low, high], 50), np.full(100, high)])
    y = np.repeat([spread_out, 1 - spread_out], 100)
    found = log_factors(Entries.of(Cells.from_rows(p, y)), np.array([sign]), np.array([[0.7]])).item()
    exact = of_rows(p, y, np.full(200, sign), 0.7, 0.0)
    assert exact - 0.001 < found <= exact


def test_the_payoff_from_sums_is_close_to_that_of_the_events() -> None:
    dice = np.random.default_rng(1)
    p = dice.random(5000)
    y = (dice.random(5000) < p).astype(float)
    entries = Entries.of(Cells.from_rows(p, y))
    for share, sign in product(SHARES, (-1.0, 1.0)):
        lost = of_rows(p, y, np.full(5000, sign), share, 0.0)
        lost -= float(log_factors(entries, np.full(len(entries.cell), sign), np.array([[share]])).sum())
        assert 0 < lost / 5000 < 2e-5


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.07, 0.5, 0.93, 1.0]), st.integers(0, 1)), min_size=1, max_size=30))
def test_the_payoff_of_tied_confidences_is_exact(pairs: list[tuple[float, int]]) -> None:
    p, y = split(pairs)
    entries = Entries.of(Cells.from_rows(p, y))
    found = log_factors(entries, np.full(len(entries.cell), -1.0), np.array([[0.7]])).sum()
    assert found == pytest.approx(of_rows(p, y, np.full(len(p), -1.0), 0.7, 0.0), abs=1e-9)


@given(events, thresholds)
def test_the_payoff_without_squares_is_never_above_that_of_the_events(
    pairs: list[tuple[float, int]], threshold: float
) -> None:
    p, y = split(pairs)
    cells = Cells.from_rows(p, y)
    sign = np.where(np.arange(BINS) % 3 == 0, -1.0, 1.0)
    found = charged(unseen(cells.n, cells.sy, cells.sp, sign), len(p), threshold)
    d = sign[BIN_OF_CELL[place(p)]]
    exact = [of_rows(p, y, d, share, threshold) for share in SHARES]
    assert (found <= np.array(exact) + 1e-9).all()
    assert (found >= np.array(exact) - 0.02 * len(p)).all()


def test_bets_are_the_patterns_the_temperatures_and_the_learned_signs() -> None:
    dice = np.random.default_rng(2)
    p, y = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.93, 1.0]), np.array([0.0, 1, 0, 1, 1, 0, 1])
    learned = dice.integers(-1, 2, (1, LEARNED, BINS)).astype(float)
    paid = charged(betting.linear(Entries.of(Cells.from_rows(p, y)), learned)[0], len(p), 0.02)
    at = place(p)
    witnesses = [*FIXED[:, at], *learned[0][:, BIN_OF_CELL[at]]]
    expected = [[of_rows(p, y, d, share, 0.02) for share in SHARES] for d in witnesses]
    assert paid == pytest.approx(np.array(expected), abs=1e-12)


def test_fixed_witnesses_take_every_pair_of_sides_and_both_temperatures() -> None:
    low, high = place([0.2])[0], place([0.8])[0]
    assert {(a, b) for a, b in SIDES} == set(product((-1, 0, 1), repeat=2)) - {(0, 0)}
    assert FIXED[:8, [low, high]].tolist() == SIDES.tolist()
    assert np.array_equal(FIXED[8], -FIXED[9])
    assert (FIXED[8, low], FIXED[8, high], FIXED[9, 0], FIXED[9, -1]) == (1, -1, -1, 1)
    assert np.abs(FIXED).max() == 1


def test_rows_are_computed_side_by_side() -> None:
    dice = np.random.default_rng(3)
    p, y = dice.random((3, 40)), dice.integers(0, 2, (3, 40)).astype(float)
    single = [Entries.of(Cells.from_rows(a, b)) for a, b in zip(p, y, strict=True)]
    single.insert(1, Entries.of(NOTHING))
    together = Entries(
        rows=4,
        row=np.repeat(np.arange(4), [len(each.cell) for each in single]),
        **{
            name: np.concatenate([getattr(each, name) for each in single])
            for name in ("cell", "n", "sy", "sp", "spp", "spy")
        },
    )
    learned = dice.integers(-1, 2, (4, LEARNED, BINS)).astype(float)
    found, paid = betting.linear(together, learned), ratio(together, 0.02)
    for i, each in enumerate(single):
        assert found[i] == pytest.approx(betting.linear(each, learned[i : i + 1])[0])
        assert paid[i] == pytest.approx(ratio(each, 0.02)[0])


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.5, 1.0])
def test_no_bet_can_lose_everything(threshold: float) -> None:
    worst = Cells.from_rows([0.0, 1.0], [1, 0])
    evidence = Evidence.begin()
    for _ in range(STAKE_LABELS // 4 + 10):
        evidence = evidence.advanced(worst, threshold=threshold)
        evidence = evidence.advanced(Cells.from_rows([0.0, 1.0], [0, 1]), threshold=threshold)
    assert np.isfinite(evidence.ledger.wealth).all()
    assert np.isfinite([evidence.log_e, evidence.log_sr, evidence.log_ratio]).all()


# What the tests hold.


def test_a_stake_joins_for_every_250_labels_and_each_is_smaller() -> None:
    # Witness (-1, -1), share .4, δ = .02. (.9, 0) pays (1 + .4·.9)/1.008, (.8, 1) pays (1 - .4·.2)/1.008.
    expert = (int(np.flatnonzero((SIDES == -1).all(axis=1))[0]), 3)
    first = Evidence.begin().advanced(Cells.from_rows([0.9], [0]), threshold=0.02)
    second = first.advanced(Cells.from_rows([0.8], [1]), threshold=0.02)
    assert wealth(first)[expert] == pytest.approx(factor(0.9, 0.02) * FIRST)
    assert wealth(second)[expert] == pytest.approx(factor(-0.2, 0.02) * factor(0.9, 0.02) * FIRST)
    assert np.exp(second.ledger.roberts[0])[expert] == 0  # its first stake joins after 250 labels
    many = second.advanced(Cells.from_rows([0.5] * 500, [0, 1] * 250), threshold=0.02)
    last = many.advanced(Cells.from_rows([0.9], [0]), threshold=0.02)
    assert last.ledger.stakes.tolist() == [3]
    later = 1 / np.log2(3) - 1 / np.log2(5)
    assert wealth(last)[expert] == pytest.approx(factor(0.9, 0.02) * (wealth(many)[expert] + later))
    assert np.exp(last.ledger.roberts[0])[expert] == pytest.approx(factor(0.9, 0.02) * 2)


def test_the_highest_value_is_of_the_figure_that_decides() -> None:
    wrong, right = Cells.from_rows([0.9] * 300, [1, 0] * 150), Cells.from_rows([0.9] * 3000, [1] * 2700 + [0] * 300)
    for decides in get_args(Deciding):
        reached = [Evidence.begin()]
        for step in (wrong, wrong, right):
            reached.append(reached[-1].advanced(step, threshold=0.05, decides=decides))
        values = [getattr(evidence, decides) for evidence in reached]
        assert (reached[-1].peak, reached[-1].peaked) == (values[2], 2)
        assert values[2] > max(values[1], values[3], 0)


def test_a_shiryaev_roberts_form_exceeds_its_stakes_by_no_more_than_chance() -> None:
    dice, runs = np.random.default_rng(16), 4_000
    ledger, p = Ledger.begin(runs), np.full((runs, 50), 0.5)
    for _ in range(20):
        y = (dice.random(p.shape) < 0.5).astype(float)
        ledger = ledger.advanced(rows(p, y), 0.0)
    placed = 1_000 // STAKE_LABELS - 1  # one more joins with the next label
    for figure in (ledger.log_sr, ledger.log_ratio_sr):
        mean, error = np.exp(figure).mean(), np.exp(figure).std() / np.sqrt(runs)
        assert mean <= placed + 4 * error


def test_stakes_and_cash_are_one_together() -> None:
    stakes = np.arange(1_000_000)
    assert (np.diff(cash(stakes)) < 0).all()
    assert (-np.diff(cash(stakes))).sum() + cash(stakes)[-1] == pytest.approx(1)
    assert cash(np.array([0])).tolist() == [1.0]


def test_experts_share_every_stake() -> None:
    assert PRIOR.shape == (WITNESSES, len(SHARES))
    assert PRIOR.sum() == pytest.approx(1)
    assert (PRIOR > 0).all()


def test_the_figures_are_means_over_experts() -> None:
    evidence = Evidence.begin()
    for p, y, count in ((0.9, 0, 1), (0.3, 1, 1), (0.6, 1, 300), (0.5, 0, 1)):
        evidence = evidence.advanced(Cells.from_rows([p] * count, [y] * count), threshold=0.02)
    left = 1 / np.log2(4)
    assert np.exp(evidence.log_e) == pytest.approx((PRIOR * wealth(evidence)).sum() + left)
    assert np.exp(evidence.log_ratio) == pytest.approx(np.exp(evidence.ledger.ratios[0]).mean() + left)
    assert np.exp(evidence.log_sr) == pytest.approx((PRIOR * np.exp(evidence.ledger.roberts[0])).sum())


def test_the_highest_value_is_kept_with_the_step_that_reached_it() -> None:
    off, calm = Cells.from_rows([0.9] * 200, [1, 0] * 100), Cells.from_rows([0.9] * 2000, [1] * 1800 + [0] * 200)
    evidence = Evidence.begin()
    values = []
    for step in (calm, off, off, calm, calm):
        evidence = evidence.advanced(step, threshold=0.05)
        values.append(evidence.log_e)
    assert values[-1] < values[2] - 10
    assert (evidence.peak, evidence.peaked) == (pytest.approx(max(values)), 3)


def test_the_ece_has_been_at_least_the_largest_rung_that_was_rejected() -> None:
    off = Cells.from_rows([0.9] * 400, [1] * 300 + [0] * 100)  # off by .15
    evidence = Evidence.begin()
    assert evidence.at_least.bound(0.01) is None
    for _ in range(10):
        evidence = evidence.advanced(off, threshold=0.05)
    assert evidence.at_least.bound(0.01) == 0.1
    assert evidence.at_least.bound(1e-12) <= 0.1
    assert (np.diff(evidence.at_least.peaks) <= 1e-9).all()  # the nulls lie in one another
    place_of = RUNGS.tolist().index(0.05)
    np.testing.assert_allclose(evidence.at_least.wealth[place_of], evidence.ledger.wealth[0])


def test_nothing_is_held_before_the_first_step() -> None:
    begun = Evidence.begin()
    assert (begun.labels, begun.steps, begun.log_e, begun.log_ratio, begun.leaning(binary=True)) == (
        0,
        0,
        0.0,
        0.0,
        "none",
    )
    assert begun.log_sr == -np.inf


def test_a_step_without_labels_is_no_step() -> None:
    begun = Evidence.begin().advanced(Cells.from_rows([0.9], [0]), threshold=0.05)
    no_clusters = Clusters(*(np.zeros(0, dtype=kind) for kind in (int, int, float, float, float)))
    assert begun.advanced(NOTHING, threshold=0.05) is begun
    assert begun.advanced(NOTHING, no_clusters, threshold=0.05) is begun
    pit = Evidence.begin().advanced_pit(np.eye(BINS)[0], threshold=0.05)
    assert pit.advanced_pit(np.zeros(BINS), np.zeros((3, BINS)), threshold=0.05) is pit


def test_a_stream_without_labels_waits_while_others_take_a_step() -> None:
    entries = Entries.of(Cells.from_rows([0.9], [0]))
    both = Entries(rows=2, **{name: getattr(entries, name) for name in Entries.__slots__ if name != "rows"})
    ledger = Ledger.begin(2).advanced(both, 0.05).advanced(both, 0.05)
    assert ledger.steps.tolist() == [2, 0]
    assert ledger.labels.tolist() == [2, 0]
    assert ledger.log_e.tolist()[1] == 0.0


def test_learned_witnesses_bet_on_what_earlier_steps_showed() -> None:
    first = Evidence.begin().advanced(Cells.from_rows([0.93, 0.13], [0, 1]), threshold=0.02)
    assert wealth(first)[len(FIXED) :] == pytest.approx(
        factor(0.0, 0.02, SHARES) ** 2 * FIRST * np.ones((2 * LEARNED, 1))
    )
    second = first.advanced(Cells.from_rows([0.92, 0.14, 0.6], [0, 1, 1]), threshold=0.02)
    paid = factor(0.92, 0.02, SHARES) * factor(0.86, 0.02, SHARES) * factor(0.0, 0.02, SHARES)
    assert wealth(second)[SIGNED] == pytest.approx(paid * wealth(first)[SIGNED], rel=1e-6)


def test_soft_witnesses_take_a_side_in_proportion_to_its_z_score() -> None:
    # Ten of p = .93, nine of which came true: a gap of -.3 against a deviation of sqrt(10·.93·.07) = .807, so z = -.372.
    first = Evidence.begin().advanced(Cells.from_rows([0.93] * 10, [1] * 9 + [0]), threshold=0.02)
    d = -0.3 / np.sqrt(0.651) / 2
    assert first.ledger.soft[0, :, 18] == pytest.approx(d)
    second = first.advanced(Cells.from_rows([0.92], [0]), threshold=0.02)
    assert wealth(second)[SOFT] == pytest.approx(factor(-d * 0.92, 0.02, SHARES) * wealth(first)[SOFT], rel=1e-6)
    assert soft(np.array([5.0, -9.0, 0.0]), np.array([1.0, 1.0, 0.0])).tolist() == [1.0, -1.0, 0.0]


def test_learned_witnesses_forget_at_their_rates() -> None:
    first = Evidence.begin().advanced(Cells.from_rows([0.93] * 10, [0] * 10), threshold=0.02)
    second = first.advanced(Cells.from_rows([0.5] * 500, [0, 1] * 250), threshold=0.02)
    assert second.ledger.gaps[0, :, 18] == pytest.approx(-9.3 * np.exp([-500 / 500, -500 / 2000, 0]))


def test_the_likelihood_ratio_takes_the_smaller_of_its_margin_and_the_threshold() -> None:
    cells = Cells.from_rows([0.8, 0.8, 0.3], [0, 1, 0])
    held = {
        threshold: Evidence.begin().advanced(cells, threshold=threshold).ledger.ratios
        for threshold in (0.01, 0.02, 0.2)
    }
    assert held[0.02] == pytest.approx(held[0.2])
    assert held[0.01] != pytest.approx(held[0.02])
    assert held[0.01] == pytest.approx(ratio(Entries.of(cells), 0.01) + np.log(FIRST))


def test_the_likelihood_ratio_is_its_formula() -> None:
    p, y = 0.41, np.array([1.0, 0.0, 0.0])
    cell = place([p])[0]
    found = ratio(Entries.of(Cells.from_rows(np.full(3, p), y)), 0.02)[0]
    middle = (LOWER[cell] + UPPER[cell]) / 2
    for (a, b), value in zip(LINES, found, strict=True):
        q = 1 / (1 + np.exp(-(a + b * np.log(middle / (1 - middle)))))
        near = min(max(q, LOWER[cell] - 0.02), UPPER[cell] + 0.02)
        assert value == pytest.approx(np.log(q / near) + 2 * np.log((1 - q) / (1 - near)))


# Clusters.


def test_a_cluster_pays_the_average_of_its_events() -> None:
    # Witness (-1, -1): the mean of d(y - p) of (.9, 0), (.8, 1) is (.9 - .2)/2 = .35; share .4, δ = .02.
    expert = (int(np.flatnonzero((SIDES == -1).all(axis=1))[0]), 3)
    paid = linear_clustered(one_cluster(np.array([0.9, 0.8]), np.array([0.0, 1.0])), np.zeros((LEARNED, BINS)))
    paid = charged(paid, 1, 0.02)
    assert np.exp(paid[expert]) == pytest.approx(factor(0.35, 0.02))


def test_clusters_multiply_in_any_order() -> None:
    dice = np.random.default_rng(4)
    signs = dice.integers(-1, 2, (LEARNED, BINS)).astype(float)
    parts = [
        one_cluster(dice.random(size), dice.integers(0, 2, size).astype(float), -name)
        for name, size in enumerate((4, 1, 3))
    ]
    whole = joined(*parts)
    mixed = Clusters(*_shuffled(whole, dice.permutation(8)))
    assert linear_clustered(mixed, signs) == pytest.approx(sum(linear_clustered(part, signs) for part in parts))
    assert ratio_clustered(mixed, 0.02) == pytest.approx(sum(ratio_clustered(part, 0.02) for part in parts))


def _shuffled(clusters: Clusters, order: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    return (getattr(clusters, name)[order] for name in Clusters.__slots__)


def test_clusters_of_one_event_are_events() -> None:
    p, y = np.array([0.9, 0.2, 0.2, 0.7]), np.array([0.0, 0, 1, 1])
    start = Evidence.begin().advanced(Cells.from_rows([0.95, 0.22], [0, 1]), threshold=0.05)
    singles = Clusters(np.arange(4), place(p), np.ones(4), y, p)
    apart = start.advanced(NOTHING, singles, threshold=0.05)
    free = start.advanced(Cells.from_rows(p, y), threshold=0.05)
    half = start.advanced(
        Cells.from_rows(p[:2], y[:2]),
        joined(*(one_cluster(p[i : i + 1], y[i : i + 1], i) for i in (2, 3))),
        threshold=0.05,
    )
    for other in (apart, half):
        assert other.labels == free.labels
        assert other.ledger.wealth == pytest.approx(free.ledger.wealth)
        assert other.ledger.ratios == pytest.approx(free.ledger.ratios)
        assert other.ledger.gaps == pytest.approx(free.ledger.gaps)


def test_a_cluster_of_equal_events_counts_once() -> None:
    p, y = np.full(20, 0.9), np.zeros(20)
    shared = Evidence.begin().advanced(NOTHING, one_cluster(p, y), threshold=0.05)
    single = Evidence.begin().advanced(Cells.from_rows([0.9], [0]), threshold=0.05)
    assert shared.ledger.wealth == pytest.approx(single.ledger.wealth)
    assert (shared.labels, single.labels) == (20, 1)


# Where the null holds, no bet wins on average: all outcomes, weighted by their chance.

Step = Callable[[Ledger, Entries], Ledger]
EVENTS = 12
OUTCOMES = np.array(list(product((0.0, 1.0), repeat=EVENTS)))


def step(threshold: float) -> Step:
    return lambda ledger, entries: ledger.advanced(entries, threshold)


def mean_held(p: Floats, chance: Floats, take: Step, size: int = 3) -> tuple[float, float]:
    """Return the mean of both processes over all outcomes of twelve events, taken in steps of so many."""
    ledger = Ledger.begin(len(OUTCOMES))
    for first in range(0, EVENTS, size):
        part = slice(first, first + size)
        ledger = take(ledger, rows(np.tile(p[part], (len(OUTCOMES), 1)), OUTCOMES[:, part]))
    weight = np.where(OUTCOMES == 1, chance, 1 - chance).prod(axis=1)
    return float(weight @ np.exp(ledger.log_e)), float(weight @ np.exp(ledger.log_ratio))


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_bets_do_not_win_on_average_at_the_edge_of_the_null(threshold: float, seed: int) -> None:
    dice = np.random.default_rng(seed)
    p = dice.uniform(threshold, 1 - threshold, EVENTS)
    chance = p + threshold * dice.choice([-1, 1], EVENTS)
    assert 0.3 < mean_held(p, chance, step(threshold))[0] <= 1 + 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_likelihood_ratios_do_not_win_on_average_within_their_margin(seed: int) -> None:
    dice = np.random.default_rng(seed)
    p = dice.uniform(0.02, 0.98, EVENTS)
    chance = p + dice.uniform(-0.02, 0.02, EVENTS)
    assert 0.3 < mean_held(p, chance, step(0.05))[1] <= 1 + 1e-9


@pytest.mark.parametrize("size", [1, 4])
def test_bets_that_see_their_own_step_would_win_on_average(size: int) -> None:
    p = np.full(EVENTS, 0.5)
    assert mean_held(p, p, sabotaged(0.02), size)[0] > 1.02
    assert mean_held(p, p, step(0.02), size)[0] <= 1


def test_an_ece_within_the_threshold_does_not_win_though_some_confidences_are_off_by_more() -> None:
    # Half the events are off by .1, half by 0, so that the ECE is .05; which comes next is chance.
    p, chance = np.array([0.3, 0.8]), np.array([0.3, 0.7])
    cases = np.array(list(product((0, 1), repeat=8)))
    which, y = cases[:, :4], cases[:, 4:].astype(float)
    ledger = Ledger.begin(len(cases))
    for i in range(4):
        ledger = ledger.advanced(rows(p[which[:, [i]]], y[:, [i]]), 0.05)
    weight = np.where(y == 1, chance[which], 1 - chance[which]).prod(axis=1) / 16
    assert 0.8 < float(weight @ np.exp(ledger.log_e)) <= 1 + 1e-9


def test_a_cluster_whose_events_share_one_draw_does_not_win_on_average() -> None:
    # y = 1 where U <= p with one U for all, so that each event by itself is calibrated.
    p = np.array([0.2, 0.4, 0.6, 0.7])
    edges = np.concatenate([[0.0], p, [1.0]])
    clustered, free = 0.0, 0.0
    for i, j in product(range(5), repeat=2):
        share = (edges[i + 1] - edges[i]) * (edges[j + 1] - edges[j])
        told, blind = Evidence.begin(), Evidence.begin()
        for draw in ((edges[i] + edges[i + 1]) / 2, (edges[j] + edges[j + 1]) / 2):
            y = (draw <= p).astype(float)
            told = told.advanced(NOTHING, one_cluster(p, y), threshold=0.0)
            blind = blind.advanced(Cells.from_rows(p, y), threshold=0.0)
        clustered += share * np.exp(told.log_e)
        free += share * np.exp(blind.log_e)
    assert clustered <= 1 + 1e-9
    assert free > 1.01


@pytest.mark.parametrize("given_before", [False, True])
def test_a_windows_e_value_does_not_exceed_one_on_average_at_the_edge_of_the_null(*, given_before: bool) -> None:
    p, half = np.array([0.3, 0.3, 0.6, 0.6, 0.9, 0.9, 0.3, 0.6]), np.array([0, 1] * 4)
    chance = p + 0.1 * np.array([1, 1, -1, -1, -1, -1, 1, -1])
    before = Cells.from_rows([0.3, 0.6, 0.9], [1, 0, 0]) if given_before else None
    held = 0.0
    for outcome in product((0.0, 1.0), repeat=8):
        y = np.array(outcome)
        value = window_e_value(Cells.from_rows(p, y, half), before, threshold=0.1)
        held += np.prod(np.where(y == 1, chance, 1 - chance)) * np.exp(value)
    assert 0.5 < held <= 1 + 1e-9


# Windows.


def test_a_windows_e_value_is_the_average_of_all_bets() -> None:
    # Tied confidences, so that every bound is exact.
    p, y, half = np.array([0.0, 1.0, 0.0, 1.0, 1.0]), np.array([0.0, 0, 1, 1, 0]), np.array([1, 1, 0, 0, 0])
    before = Cells.from_rows([0.0, 1.0], [1, 0])
    at = place(p)
    of_before = np.where(p == 1, -1.0, 1.0)
    of_half, of_rest = np.where(p == 1, -1.0, 0.0), np.where(p == 1, -1.0, 1.0)
    bets = [(d, np.ones(5, dtype=bool)) for d in [*FIXED[:, at], of_before]]
    bets += [(of_half, half == 0), (of_rest, half == 1)]
    every = [of_rows(p[on], y[on], d[on], share, 0.02) for d, on in bets for share in SHARES]
    found = window_e_value(Cells.from_rows(p, y, half), before, threshold=0.02)
    assert found == pytest.approx(logsumexp(every) - np.log(len(every)))


def test_a_window_without_labels_says_nothing() -> None:
    assert window_e_value(NOTHING, None, threshold=0.05) == 0.0
    assert window_e_value(NOTHING, NOTHING, threshold=0.05) == 0.0


def test_a_windows_random_half_finds_a_fault_of_any_shape() -> None:
    dice = np.random.default_rng(5)
    p = dice.random(3000)
    wave = 0.1 * np.where(np.ceil(p * BINS) % 4 < 2, 1, -1)
    off = (dice.random(3000) < np.clip(p + wave, 0, 1)).astype(float)
    calm = (dice.random(3000) < p).astype(float)
    half = dice.integers(0, 2, 3000)
    assert window_e_value(Cells.from_rows(p, off, half), None, threshold=0.02) > np.log(1000)
    assert window_e_value(Cells.from_rows(p, calm, half), None, threshold=0.02) < 0


# Regression.


def test_pit_witnesses_are_means_over_levels() -> None:
    learned = np.random.default_rng(6).integers(-1, 2, (2, BINS - 1)).astype(float)
    found = pit_witnesses(learned)
    levels = np.arange(1, BINS) / BINS
    for twentieth in (0, 3, 9, 10, 19):
        u = (twentieth + 0.5) / BINS
        assert found[10:, twentieth] == pytest.approx(((u <= levels) - levels) @ learned.T / 19)
        both = ((u <= levels) - levels).mean()
        assert found[int(np.flatnonzero((SIDES == 1).all(axis=1))[0]), twentieth] == pytest.approx(both)
    assert np.abs(found).max() <= 1


def test_a_step_of_regression_is_its_formula() -> None:
    counts = np.random.default_rng(7).integers(0, 4, BINS).astype(float)
    shared = np.zeros((2, BINS))
    shared[0, [0, 19]], shared[1, 4] = (2, 1), 3
    evidence = Evidence.begin().advanced_pit(counts, shared, threshold=0.05)
    says = pit_witnesses(np.zeros((LEARNED, BINS - 1)))
    for witness, share in ((1, 0), (4, 3), (8, 4)):
        expected = (counts * np.log(factor(says[witness], 0.05, SHARES[share]))).sum()
        expected += np.log(factor((2 * says[witness, 0] + says[witness, 19]) / 3, 0.05, SHARES[share]))
        expected += np.log(factor(says[witness, 4], 0.05, SHARES[share]))
        assert wealth(evidence)[witness, share] == pytest.approx(np.exp(expected) * FIRST)
    assert evidence.labels == counts.sum() + 6
    assert evidence.log_ratio == pytest.approx(0)
    assert evidence.bets == counts.sum() + 2
    assert evidence.ledger.gaps[0, 2, 0] == pytest.approx(counts[0] + 2 / 3 - 0.05 * evidence.bets)


def test_regression_does_not_win_on_average_at_the_edge_of_the_null() -> None:
    # Labels in the outer or the middle half of the forecast: P(PIT <= q) - q is .4·q up to .25 and falls back to 0 at .5, and so on.
    chance = np.where((np.arange(BINS) < 5) | (np.arange(BINS) >= 15), 0.07, 0.03)
    gap = np.abs(np.cumsum(chance)[:-1] - np.arange(1, BINS) / BINS).mean()
    held = 0.0
    for u in product((0, 5, 10, 15), repeat=4):
        evidence = Evidence.begin()
        for each in u:
            evidence = evidence.advanced_pit(np.repeat(np.eye(4)[each // 5], 5) / 5, threshold=gap)
        held += np.prod([5 * chance[each] for each in u]) * np.exp(evidence.log_e)
    assert 0.5 < held <= 1 + 1e-9


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(0.6, 0.6, "overconfident"), (2, 2, "underconfident"), (2, 1, "none")]
)
def test_regression_says_too_narrow_too_wide_or_shifted(a: float, b: float, expected: str) -> None:
    dice = np.random.default_rng(8)
    evidence = Evidence.begin()
    for _ in range(60):
        counts = np.histogram(dice.beta(a, b, 50), BINS, (0, 1))[0].astype(float)
        evidence = evidence.advanced_pit(counts, threshold=0.02)
    assert evidence.log_e > np.log(100)
    assert evidence.leaning(binary=True) == expected


# Directions.


def directed(p: Floats, chance: Floats, *, binary: bool = True) -> str:
    dice = np.random.default_rng(9)
    evidence = Evidence.begin()
    for _ in range(40):
        evidence = evidence.advanced(Cells.from_rows(p, dice.random(len(p)) < chance), threshold=0.05)
    return evidence.leaning(binary=binary)


def test_the_direction_is_that_of_the_leading_bet() -> None:
    p = np.linspace(0.01, 0.99, 50)
    assert directed(p, 0.5 + 0.6 * (p - 0.5)) == "overconfident"
    assert directed(p, np.clip(0.5 + 1.6 * (p - 0.5), 0, 1)) == "underconfident"
    assert directed(p, p) == "none"
    assert directed(np.full(50, 0.9), np.full(50, 0.75)) == "overestimates"
    assert directed(np.full(50, 0.1), np.full(50, 0.3)) == "underestimates"
    assert directed(np.full(50, 0.3), np.full(50, 0.1)) == "overestimates"
    assert directed(np.full(50, 0.3), np.full(50, 0.1), binary=False) == "overconfident"
    assert directed(np.full(50, 0.1), np.full(50, 0.3), binary=False) == "underconfident"
    assert directed(p, np.clip(p - 0.15, 0, 1)) == "overestimates"
    rare = np.linspace(0.005, 0.2, 50)
    for factor, name in ((0.5, "overestimates"), (2.0, "underestimates")):
        assert directed(rare, factor * rare) == name
    assert directed(p, np.clip(p - 0.15, 0, 1), binary=False) == "overconfident"


def test_learned_bets_have_the_direction_of_what_they_learned() -> None:
    p = np.concatenate([np.full(20, 0.52), np.full(40, 0.97)])
    chance = np.concatenate([np.full(20, 0.72), np.full(40, 0.77)])
    dice = np.random.default_rng(10)
    evidence = Evidence.begin()
    for _ in range(40):
        evidence = evidence.advanced(Cells.from_rows(p, dice.random(60) < chance), threshold=0.02)
    assert int(np.argmax(logsumexp(evidence.ledger.wealth[0], axis=1))) >= len(FIXED)
    assert evidence.leaning(binary=True) == "overconfident"


# Stored states.


@pytest.fixture(params=["none", "cells", "pit"])
def held(request: pytest.FixtureRequest) -> Evidence:
    begun = Evidence.begin()
    if request.param == "none":
        return begun
    if request.param == "pit":
        return begun.advanced_pit(np.arange(BINS) * 1.0, threshold=0.05)
    return begun.advanced(Cells.from_rows([0.9, 0.0, 1.0], [0, 1, 1]), threshold=0.05)


def test_a_stored_state_goes_on_where_it_was(held: Evidence) -> None:
    back = decoded(encoded(held))
    assert encoded(back) == encoded(held)
    assert (back.kind, back.labels, back.steps) == (held.kind, held.labels, held.steps)
    step = Cells.from_rows([0.8, 0.85], [0, 1])
    if held.kind != "pit":
        assert encoded(back.advanced(step, threshold=0.05)) == encoded(held.advanced(step, threshold=0.05))


def test_foreign_bytes_are_refused(held: Evidence) -> None:
    blob = encoded(held)
    spoilt = [b"", blob[:-1], blob + b"\0", b"X" + blob[1:], blob[:4] + b"\1" + blob[5:], blob[:6] + b"\x09" + blob[7:]]
    spoilt += [blob[:-8] + np.array([value]).tobytes() for value in (np.nan, np.inf, -np.inf)]
    # labels, bets, steps, stakes, after how many steps it peaked, late labels
    counts = [
        [-1, 0, 0, 0, 0, 0],
        [3, 3, 1, 0, 0, 0],
        [3, 3, 1, 9, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [3, 4, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, -1],
    ]
    spoilt += [blob[:8] + np.array(some).tobytes() + blob[56:] for some in counts]
    spoilt += [blob[:56] + np.array([np.inf]).tobytes() + blob[64:]]
    for each in spoilt:
        with pytest.raises(ValueError, match="state of"):
            decoded(each)


@given(st.binary(max_size=3000))
def test_any_bytes_are_refused_or_read(blob: bytes) -> None:
    with pytest.raises(ValueError, match="state of"):
        decoded(blob)


def test_confidences_and_regression_do_not_mix() -> None:
    step, counts = Cells.from_rows([0.9], [0]), np.eye(BINS)[0]
    with pytest.raises(ValueError, match="so far is of pit"):
        Evidence.begin().advanced_pit(counts, threshold=0.05).advanced(step, threshold=0.05)
    with pytest.raises(ValueError, match="so far is of cells"):
        Evidence.begin().advanced(step, threshold=0.05).advanced_pit(counts, threshold=0.05)


def test_every_cell_lies_in_its_range() -> None:
    assert len(LOWER) == len(UPPER) == CELLS
    p = np.random.default_rng(11).random(1000)
    assert (LOWER[place(p)] < p).all()
    assert (p <= UPPER[place(p)]).all()
    assert (LOWER[0], UPPER[0], LOWER[-1], UPPER[-1]) == (0, 0, 1, 1)


def test_evidence_through_several_steps_is_that_of_each_in_turn():
    random = np.random.default_rng(3)
    steps = []
    for count in random.integers(0, 40, 60):
        p = random.uniform(size=count)
        steps.append(Cells.from_rows(p, random.uniform(size=count) < p**1.5))
    one = Evidence.begin()
    for step in steps:
        one = one.advanced(step, threshold=0.02)
    each = [Entries.of(step) for step in steps]
    together = Entries.gathered(
        len(steps),
        np.repeat(np.arange(len(steps)), [len(found.n) for found in each]),
        np.concatenate([found.cell for found in each]),
        np.concatenate([np.stack([getattr(found, name) for name in SUMS], axis=1) for found in each]),
    )
    found = Evidence.begin().advanced_through(together, threshold=0.02)
    np.testing.assert_allclose(one.at_least.wealth, found.at_least.wealth, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.at_least.peaks, found.at_least.peaks, rtol=1e-12, atol=1e-12)
    for name in Ledger.__slots__:
        np.testing.assert_allclose(getattr(one.ledger, name), getattr(found.ledger, name), rtol=1e-12, atol=1e-12)
    assert (one.steps, one.labels) == (found.steps, found.labels)
    assert found.steps == sum(step.n.sum() > 0 for step in steps)
