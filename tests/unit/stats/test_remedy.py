"""The rule that names a remedy, on simulated windows whose fault is known."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.stats.cells import Cells
from monitor.stats.remedy import Advice, Amounts, Grounds, of_distributions, of_probabilities

Floats = NDArray[np.float64]
Dice = np.random.Generator
N = 5000
SEEDS = range(12)
GROUNDS = Grounds(minimum=500, threshold=0.05)


def chances(dice: Dice) -> Floats:
    return np.clip(dice.beta(1.5, 1.5, N), 1e-6, 1 - 1e-6)


def drawn(dice: Dice, chance: Floats) -> Floats:
    return (dice.random(len(chance)) < chance).astype(np.float64)


def healthy(dice: Dice) -> Cells:
    p = chances(dice)
    return Cells.from_rows(p, drawn(dice, p))


def too_extreme(dice: Dice) -> Cells:
    truth = chances(dice)
    return Cells.from_rows(expit(2.2 * logit(truth)), drawn(dice, truth))


def more_common(dice: Dice) -> Cells:
    p = chances(dice)
    return Cells.from_rows(p, drawn(dice, expit(logit(p) + 0.7)))


def rarer(dice: Dice) -> Cells:
    p = np.clip(dice.beta(1.5, 1.5, 4 * N), 1e-6, 1 - 1e-6)
    y = drawn(dice, p)
    kept = (y == 0) | (dice.random(len(y)) < 0.4)
    return Cells.from_rows(p[kept][:N], y[kept][:N])


def less_accurate(dice: Dice) -> Cells:
    p = chances(dice)
    return Cells.from_rows(p, drawn(dice, 0.5 + 0.55 * (p - 0.5)))


def shuffled(dice: Dice) -> Cells:
    p = chances(dice)
    return Cells.from_rows(p, dice.permutation(drawn(dice, p)))


def remedies(fault: Callable[[Dice], Cells]) -> list[str]:
    dices = map(np.random.default_rng, SEEDS)
    return [of_probabilities(fault(dice), healthy(dice), GROUNDS, binary=True).remedy for dice in dices]


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [(too_extreme, "recalibrate"), (more_common, "recalibrate"), (rarer, "recalibrate"), (less_accurate, "retrain"),
     (shuffled, "check_labels")],
)  # fmt: skip
def test_each_fault_gets_its_remedy(fault: Callable[[Dice], Cells], remedy: str) -> None:
    assert remedies(fault).count(remedy) >= len(SEEDS) - 1


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_a_higher_base_rate_of_rare_events_is_no_loss_though_brier_scores_rise(shift: float) -> None:
    dice = np.random.default_rng(1)
    p = np.clip(dice.beta(1, 9, N), 1e-6, 1 - 1e-6)
    reference, now = (Cells.from_rows(p, drawn(dice, expit(logit(p) + by))) for by in (0.0, shift))
    assert of_probabilities(now, reference, GROUNDS, binary=True).remedy == "recalibrate"


def test_more_accuracy_lost_than_a_calibrator_repairs_is_said_with_its_figures() -> None:
    dice = np.random.default_rng(1)
    reason = of_probabilities(less_accurate(dice), healthy(dice), GROUNDS, binary=True).reason
    assert "AUC 0." in reason
    assert "The best calibrator would leave a Brier score of 0.2" in reason
    assert "Wrong labels look the same" in reason


def test_a_loss_of_accuracy_is_no_change_of_base_rate_where_p_is_of_the_answer() -> None:
    dice = np.random.default_rng(1)
    p = dice.beta(5, 0.9, N)
    reference, now = (Cells.from_rows(p, drawn(dice, chance)) for chance in (p, p * 0.7))
    assert of_probabilities(now, reference, GROUNDS, binary=False).remedy == "retrain"


def test_a_small_loss_is_nothing_to_retrain_for_however_many_labels_show_it() -> None:
    p = np.repeat([0.2, 0.8], 2)
    counts = {"before": [80_000, 20_000, 20_000, 80_000], "now": [79_700, 20_300, 20_300, 79_700]}
    outcomes = np.array([0, 1, 0, 1])
    before, now = (Cells.from_rows(np.repeat(p, n), np.repeat(outcomes, n)) for n in counts.values())
    assert of_probabilities(now, before, GROUNDS, binary=True).remedy == "recalibrate"


def test_suspects_need_enough_labels_and_no_reference() -> None:
    grounds = Grounds(minimum=500, threshold=0.05, suspects=("Source a is off.", "Late ones are off."))
    nothing = Cells.from_rows([], [])
    assert of_probabilities(nothing, None, grounds, binary=True).remedy == "wait"
    now = healthy(np.random.default_rng(1))
    assert of_probabilities(now, None, grounds, binary=True) == Advice(
        remedy="check_labels", reason="Source a is off. Late ones are off."
    )


@pytest.mark.parametrize(("labels", "reference"), [(400, 5000), (5000, 400), (5000, None)])
def test_too_little_to_compare_is_a_reason_to_wait(labels: int, reference: int | None) -> None:
    dice = np.random.default_rng(1)
    p = dice.random(5000)
    y = drawn(dice, p)
    now = Cells.from_rows(p[:labels], y[:labels])
    before = None if reference is None else Cells.from_rows(p[:reference], y[:reference])
    assert of_probabilities(now, before, GROUNDS, binary=True).remedy == "wait"


def amounts(dice: Dice, *, spread: float, bias: float, stated: float) -> Amounts:
    """Return sums of normal errors, and the CRPS of normal distributions of a stated spread."""
    error = dice.normal(bias, spread, N)
    z = np.abs(error) / stated
    crps = stated * (z * (2 * expit(1.702 * z) - 1) + 0.7979 * np.exp(-z * z / 2) - 0.5642)
    return Amounts(labels=N, crps=crps.sum(), error=error.sum(), absolute_error=np.abs(error).sum())


@pytest.mark.parametrize(
    ("spread", "bias", "stated", "remedy"),
    [
        (1.0, 0.0, 0.4, "recalibrate"),
        (1.0, 1.0, 1.0, "recalibrate"),
        (1.0, 0.0, 3.0, "recalibrate"),
        (1.6, 0.0, 1.0, "retrain"),
    ],
)
def test_bias_and_spread_are_repaired_and_harder_labels_are_not(
    spread: float, bias: float, stated: float, remedy: str
) -> None:
    dice = np.random.default_rng(1)
    before = amounts(dice, spread=1.0, bias=0.0, stated=1.0)
    advice = of_distributions(amounts(dice, spread=spread, bias=bias, stated=stated), before, GROUNDS)
    assert advice.remedy == remedy
    assert "CRPS" in advice.reason


def test_a_regression_waits_for_a_reference() -> None:
    now = amounts(np.random.default_rng(1), spread=1.0, bias=0.0, stated=1.0)
    assert of_distributions(now, None, GROUNDS).remedy == "wait"
