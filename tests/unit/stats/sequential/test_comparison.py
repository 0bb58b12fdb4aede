"""Which of two maps is worse: a test that may be looked at after every label."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from monitor.stats.cells import CELLS, Floats, place
from monitor.stats.sequential.comparison import (
    IN_UNITS,
    OF_VECTORS,
    SHARES,
    Comparison,
    Pairs,
    labels_to_verdict,
    widest,
)
from tests.benchmarks.rollback import ALPHA, STEP, Scene, false_rollbacks, reversals

SLACK = 1e-4


def at_most(rate: float, tries: int) -> int:
    return int(binom.ppf(1 - SLACK, tries, rate))


def at_least(rate: float, tries: int) -> int:
    return int(binom.ppf(SLACK, tries, rate))


def cells_of(p: Floats, y: Floats, maps: tuple[object, object]) -> Pairs:
    """Return the scores of both maps from the sums of events in cells."""
    cell = place(p)
    n, sy, sp = (np.bincount(cell, each, CELLS) for each in (np.ones_like(p), y, p))
    used = n > 0
    mean = sp[used] / n[used]
    return Pairs.of_cells(n[used], sy[used], *(each(mean) for each in maps))  # type: ignore[operator]


def sharper(p: Floats) -> Floats:
    found: Floats = expit(2.0 * logit(p))
    return found


def same(p: Floats) -> Floats:
    return p


def test_nothing_is_sure_before_any_label() -> None:
    begun = Comparison.begin()
    assert (0.0, 0.0, "undecided", None) == (begun.log_worse, begun.log_better, begun.verdict(0.01), begun.score)
    nothing = Pairs.of_cells(*(np.zeros(0) for _ in range(4)))
    assert begun.advanced(nothing, 1.0) is begun


def test_a_step_pays_what_the_bets_say() -> None:
    """One event, p = .5 made .9 by the map on trial and left by the other, y = 0: D = .25 - .81 = -.56, and no difference is wider."""
    bound = widest(np.array([0.9]), np.array([0.5]))
    assert bound == pytest.approx(0.56)
    found = Comparison.begin().advanced(
        Pairs.of_cells(np.ones(1), np.zeros(1), np.array([0.9]), np.array([0.5])), bound
    )
    assert found.log_worse == pytest.approx(np.log(0.5 * np.mean(1 + SHARES) + 0.5))
    assert found.log_better == pytest.approx(np.log(0.5 * np.mean(1 - SHARES) + 0.5))


def test_one_map_is_worse_when_the_other_is_better() -> None:
    dice = np.random.default_rng(0)
    p = dice.uniform(0.02, 0.98, 3000)
    y = (dice.random(3000) < p).astype(float)
    one = other = Comparison.begin()
    for some in np.split(np.arange(3000), 30):
        bound = widest(sharper(p), p)
        one = one.advanced(cells_of(p[some], y[some], (sharper, same)), bound)
        other = other.advanced(cells_of(p[some], y[some], (same, sharper)), bound)
    assert ("worse", "better") == (one.verdict(ALPHA), other.verdict(ALPHA))
    assert one.log_worse == pytest.approx(other.log_better)
    assert one.score == pytest.approx(other.score_other)


def test_equal_maps_are_never_told_apart() -> None:
    step = Pairs.of_cells(np.full(3, 900.0), np.array([0.0, 450.0, 900.0]), np.full(3, 0.5), np.full(3, 0.5))
    found = Comparison.begin().advanced(step, widest(np.full(3, 0.5), np.full(3, 0.5)))
    assert (0.0, 0.0) == (pytest.approx(found.log_worse), pytest.approx(found.log_better))


def test_cells_say_what_rows_say() -> None:
    dice = np.random.default_rng(1)
    p = dice.random(200_000)
    y = (dice.random(200_000) < p**1.3).astype(float)
    exact = ((sharper(p) - y) ** 2).mean() - ((p - y) ** 2).mean()
    summed = cells_of(p, y, (sharper, same))
    assert abs(summed.n @ (summed.own - summed.other) / summed.n.sum() - exact) < 1e-4


def test_the_score_of_a_vector_is_the_sum_over_its_classes() -> None:
    own, other = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.1, 0.8]])
    step = Pairs.of_vectors(np.array([1]), own, other)
    assert [pytest.approx(0.49 + 0.64 + 0.01), pytest.approx(0.01 + 0.81 + 0.64)] == [step.own[0], step.other[0]]
    assert np.abs(step.own - step.other).max() <= OF_VECTORS


def test_the_score_of_a_distribution_is_its_pinball_loss_in_units_of_what_it_can_change_by() -> None:
    dice = np.random.default_rng(2)
    level = np.arange(1, 10) / 10
    own, other = np.sort(dice.normal(size=(500, 9))), np.sort(dice.normal(size=(500, 9)))
    y = 3.0 * dice.normal(size=500)
    step = Pairs.of_quantiles(y, level, own, other)
    first = [
        np.mean([2 * (t * (v - q) if v > q else (1 - t) * (q - v)) for q, t in zip(row, level, strict=True)])
        for row, v in zip(own, y, strict=True)
    ]
    assert step.own == pytest.approx(np.array(first))
    assert step.unit is not None
    gain = np.abs(step.own - step.other) / step.unit
    assert gain.max() <= IN_UNITS
    assert gain.max() > 0.5
    found = Comparison.begin().advanced(step, IN_UNITS)
    assert found.wealth[0] == pytest.approx(
        np.log(0.5) + np.log1p(SHARES[:, np.newaxis] * (step.own - step.other) / step.unit).sum(axis=1)
    )


def test_events_that_share_their_luck_count_as_one() -> None:
    """Ten clusters of a hundred equal events weigh what ten events weigh."""
    n, sy, own, other = np.full(10, 100.0), np.full(10, 100.0), np.full(10, 0.2), np.full(10, 0.6)
    shared = Comparison.begin().advanced(Pairs.of_cells(n, sy, own, other, np.arange(10)), 1.0)
    alone = Comparison.begin().advanced(Pairs.of_cells(n, sy, own, other, np.full(10, -1)), 1.0)
    ten = Comparison.begin().advanced(Pairs.of_cells(n / 100, sy / 100, own, other), 1.0)
    assert shared.log_worse == pytest.approx(ten.log_worse)
    assert shared.log_worse < alone.log_worse
    assert shared.labels == 1000


def test_a_state_that_was_stored_goes_on_as_if_it_had_not_been() -> None:
    step = Pairs.of_cells(np.array([700.0]), np.array([200.0]), np.array([0.3]), np.array([0.5]))
    before = Comparison.begin().advanced(step, 0.3)
    again = Comparison.from_bytes(before.to_bytes())
    assert again.to_bytes() == before.to_bytes()
    assert again.advanced(step, 0.3).to_bytes() == before.advanced(step, 0.3).to_bytes()


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b"XX" + b[2:], lambda b: b[:4] + b"\x09" + b[5:]])
def test_a_state_that_is_none_is_refused(spoil: object) -> None:
    with pytest.raises(ValueError, match="not the state"):
        Comparison.from_bytes(spoil(Comparison.begin().to_bytes()))  # type: ignore[operator]


def test_a_state_with_impossible_figures_is_refused() -> None:
    blob = Comparison.begin().to_bytes()
    with pytest.raises(ValueError, match="none arrives at"):
        Comparison.from_bytes(blob[:-8] + np.array([-1.0]).tobytes())


@pytest.mark.parametrize(("ece", "before"), [(0.10, 0), (0.10, 2_000), (0.17, 2_000)])
def test_a_drift_that_reverses_is_found_within_the_delay_that_is_promised(ece: float, before: int) -> None:
    scene = Scene(ece=ece, before=before)
    found = reversals(scene, runs=40, longest=round(4 * scene.promised), seed=3)
    assert found.early == 0
    assert (found.delays <= scene.promised + STEP).sum() >= at_least(0.5, 40)
    assert (found.delays <= 2 * scene.promised + STEP).sum() >= at_least(0.95, 40)


@pytest.mark.parametrize("drifted", [1.0, 0.5])
def test_a_champion_that_is_no_worse_is_hardly_ever_taken_back_however_long_one_looks(drifted: float) -> None:
    """All drift stays, or half of it is gone and both maps are equally good: the edge of what is promised."""
    assert false_rollbacks(Scene(ece=0.10, left=drifted), runs=40, labels=10_000, seed=4) <= at_most(ALPHA, 40)


def test_the_labels_that_a_verdict_takes_follow_from_how_evidence_grew() -> None:
    border = -math.log(0.01)
    assert labels_to_verdict(1000, border / 2, 0.01) == 1000
    assert labels_to_verdict(1000, border / 4, 0.01) == 3000
    assert labels_to_verdict(1000, border, 0.01) == 0
    assert labels_to_verdict(1000, 0.9, 0.01) is None
