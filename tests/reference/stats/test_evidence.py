"""Sequential tests against figures worked by hand, and against the same tests over rows, one event at a time."""

import numpy as np
import pytest
from scipy.special import logsumexp

from monitor.stats.cells import Cells, place
from monitor.stats.sequential.betting import SHARES, ratios
from monitor.stats.sequential.evidence import Evidence
from monitor.stats.sequential.witnesses import BIN_OF_CELL, FIXED, LINES, LOWER, MEMORIES, SIDES, UPPER

EXACT = 1e-9


def test_three_overconfident_events_pay_as_published() -> None:
    # By hand: (1 + .4·.88)(1 + .4·(-.22))(1 + .4·.68) = 1.352 · .912 · 1.272.
    evidence = Evidence.begin().advanced(Cells.from_rows([0.9, 0.8, 0.7], [0, 1, 0]), threshold=0.02)
    witness, share = SIDES.tolist().index([-1, -1]), SHARES.tolist().index(0.4)
    assert 2 * np.exp(evidence.ledger.wealth[0, witness, share]) == pytest.approx(1.568406528, abs=EXACT)


@pytest.mark.parametrize(("y", "expected"), [(0, 0.4 / 0.22), (1, 0.6 / 0.78)])
def test_a_likelihood_ratio_pays_as_published(y: int, expected: float) -> None:
    # By hand: q = .6 against p̃ = .78, the nearest to it within .02 of .8.
    one, zero = ratios(np.array(0.6), np.array(0.8), np.array(0.8), 0.02)
    assert np.exp(one if y else zero) == pytest.approx(expected, abs=EXACT)
    assert round(expected, 7) == {0: 1.8181818, 1: 0.7692308}[y]


def inside(p: float, margin: float) -> float:
    """Return a probability, moved so that it has some distance from 0 and from 1."""
    return min(max(p, margin), 1 - margin)


def of_rows(p: np.ndarray, y: np.ndarray, step: int, threshold: float) -> tuple[float, float, float]:
    """Return E-lin, its Shiryaev-Roberts form and E-LR, from the definitions, one event at a time."""
    experts = [(witness, share) for witness in range(len(FIXED) + len(MEMORIES)) for share in SHARES]
    wealth, roberts, ratio = np.zeros(len(experts)), np.zeros(len(experts)), np.zeros(len(LINES))
    gaps = np.zeros((len(MEMORIES), 20))
    steps = range(0, len(p), step)
    for t, first in enumerate(steps, 1):
        events = list(zip(p[first : first + step], y[first : first + step], strict=True))
        signs, stake = np.sign(gaps), 1 / (t * (t + 1))
        for i, (witness, share) in enumerate(experts):
            e = 1.0
            for confidence, outcome in events:
                cell = int(place([confidence])[0])
                d = FIXED[witness, cell] if witness < len(FIXED) else signs[witness - len(FIXED), BIN_OF_CELL[cell]]
                e *= 1 + share * (d * (outcome - confidence) - threshold)
            wealth[i], roberts[i] = e * (wealth[i] + stake), e * (roberts[i] + 1)
        for i, (a, b) in enumerate(LINES):
            e = 1.0
            for confidence, outcome in events:
                cell = int(place([confidence])[0])
                middle = inside((LOWER[cell] + UPPER[cell]) / 2, 1e-6)
                q = inside(1 / (1 + np.exp(-(a + b * np.log(middle / (1 - middle))))), 1e-3)
                near = inside(min(max(q, LOWER[cell] - 0.02), UPPER[cell] + 0.02), 1e-3)
                e *= q / near if outcome else (1 - q) / (1 - near)
            ratio[i] = e * (ratio[i] + stake)
        gaps *= np.exp(-len(events) / MEMORIES)[:, None]
        for confidence, outcome in events:
            gaps[:, BIN_OF_CELL[int(place([confidence])[0])]] += outcome - confidence
    left = 1 / (len(steps) + 1)
    return np.log(wealth.mean() + left), np.log(roberts.mean()), np.log(ratio.mean() + left)


def test_the_tests_from_sums_are_those_from_rows() -> None:
    dice = np.random.default_rng(13)
    p = np.round(dice.uniform(0.05, 0.95, 160), 1)  # few values, so that the bound from sums is exact
    y = (dice.random(160) < 0.5 + 0.5 * (p - 0.5)).astype(float)
    evidence = Evidence.begin()
    for first in range(0, 160, 40):
        evidence = evidence.advanced(Cells.from_rows(p[first : first + 40], y[first : first + 40]), threshold=0.05)
    found = (evidence.log_e, evidence.log_sr, evidence.log_ratio)
    assert found == pytest.approx(of_rows(p, y, 40, 0.05), abs=1e-9)


def test_the_tests_from_sums_fall_short_of_those_from_rows_by_little() -> None:
    dice = np.random.default_rng(14)
    p = dice.random(160)
    y = (dice.random(160) < 0.5 + 0.3 * (p - 0.5)).astype(float)
    evidence = Evidence.begin()
    for first in range(0, 160, 40):
        evidence = evidence.advanced(Cells.from_rows(p[first : first + 40], y[first : first + 40]), threshold=0.05)
    exact, roberts, _ = of_rows(p, y, 40, 0.05)
    assert exact - 160 * 2e-5 < evidence.log_e <= exact
    assert roberts - 160 * 2e-5 < evidence.log_sr <= roberts


def test_the_tests_of_hostile_events_never_exceed_those_from_rows(window: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = window[0][:120], window[1][:120]
    evidence = Evidence.begin()
    for first in range(0, len(p), 40):
        evidence = evidence.advanced(Cells.from_rows(p[first : first + 40], y[first : first + 40]), threshold=0.05)
    exact, roberts, ratio = of_rows(p, y, 40, 0.05)
    assert evidence.log_e <= exact + EXACT
    assert evidence.log_sr <= roberts + EXACT
    assert evidence.log_ratio == pytest.approx(ratio, abs=EXACT)
    if len(np.unique(p)) == len(np.unique(place(p))):  # one value in each cell leaves nothing to bound
        assert (evidence.log_e, evidence.log_sr) == pytest.approx((exact, roberts), abs=EXACT)


def test_a_step_without_events_is_none() -> None:
    begun = Evidence.begin().advanced(Cells.from_rows([0.3, 1.0], [1, 0]), threshold=0.05)
    assert begun.advanced(Cells.from_rows([], []), threshold=0.05) == begun


def test_wealth_is_kept_in_logs() -> None:
    evidence = Evidence.begin()
    for _ in range(60):
        evidence = evidence.advanced(Cells.from_rows([0.95] * 400, [0] * 400), threshold=0.05)
    assert evidence.log_e > 10_000
    assert evidence.log_e == pytest.approx(
        float(logsumexp(evidence.ledger.wealth[0]) - np.log(evidence.ledger.wealth.size))
    )
