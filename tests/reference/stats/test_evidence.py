"""Sequential tests against figures worked by hand, and against the same tests over rows, one event at a time."""

import numpy as np
import pytest
from scipy.special import logsumexp

from monitor.stats.cells import Cells, place
from monitor.stats.sequential.betting import Entries, log_factors, ratios
from monitor.stats.sequential.evidence import Evidence
from monitor.stats.sequential.guarantee import Deciding
from monitor.stats.sequential.witnesses import BIN_OF_CELL, FIXED, LINES, LOWER, MEMORIES, PRIOR, SHARES, SIDES, UPPER

EXACT = 1e-9
FIRST = 1 - 1 / np.log2(3)
"""The first stake."""


def test_three_overconfident_events_pay_as_published() -> None:
    # By hand: (1 + .4·.88)(1 + .4·(-.22))(1 + .4·.68) = 1.352 · .912 · 1.272. A stake of .4 on d(y - p) - δ is a share of .4/(1 - .4·δ).
    share = 0.4 / (1 - 0.4 * 0.02)
    entries = Entries.of(Cells.from_rows([0.9, 0.8, 0.7], [0, 1, 0]))
    paid = log_factors(entries, np.full(3, -1.0), np.array([[share]])).sum() - 3 * np.log1p(share * 0.02)
    assert np.exp(paid) == pytest.approx(1.568406528, abs=EXACT)
    # And the test's own bet, of a share of .4 with its charge: (1 + .4·.9)(1 - .4·.2)(1 + .4·.7)/1.008³.
    evidence = Evidence.begin().advanced(Cells.from_rows([0.9, 0.8, 0.7], [0, 1, 0]), threshold=0.02)
    witness, at = SIDES.tolist().index([-1, -1]), SHARES.tolist().index(0.4)
    expected = 1.36 * 0.92 * 1.28 / 1.008**3
    assert np.exp(evidence.ledger.wealth[0, witness, at]) / FIRST == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize(("y", "expected"), [(0, 0.4 / 0.22), (1, 0.6 / 0.78)])
def test_a_likelihood_ratio_pays_as_published(y: int, expected: float) -> None:
    # By hand: q = .6 against p̃ = .78, the nearest to it within .02 of .8.
    one, zero = ratios(np.array(0.6), np.array(0.8), np.array(0.8), 0.02)
    assert np.exp(one if y else zero) == pytest.approx(expected, abs=EXACT)
    assert round(expected, 7) == {0: 1.8181818, 1: 0.7692308}[y]


def inside(p: float, margin: float) -> float:
    """Return a probability, moved so that it has some distance from 0 and from 1."""
    return min(max(p, margin), 1 - margin)


def of_rows(
    p: np.ndarray, y: np.ndarray, step: int, threshold: float, margin: float = 0.02
) -> tuple[float, float, float, float]:
    """Return E-lin and E-LR, each with its Shiryaev-Roberts form, from the definitions, one event at a time."""
    experts = [(witness, share) for witness in range(len(FIXED) + 2 * len(MEMORIES)) for share in SHARES]
    wealth, roberts = np.zeros(len(experts)), np.zeros(len(experts))
    ratio, ratio_roberts = np.zeros(len(LINES)), np.zeros(len(LINES))
    gaps, variances = np.zeros((len(MEMORIES), 20)), np.zeros((len(MEMORIES), 20))
    placed, left = 0, 1.0
    for first in range(0, len(p), step):
        due = first // 250 + 1
        stake, fresh = left - 1 / np.log2(due + 2), max(due - max(placed, 1), 0)
        placed, left = due, 1 / np.log2(due + 2)
        events = list(zip(p[first : first + step], y[first : first + step], strict=True))
        z = np.divide(gaps, np.sqrt(variances), out=np.zeros_like(gaps), where=variances > 0)
        learned = np.concatenate([np.sign(gaps), np.clip(z / 2, -1, 1)])
        for i, (witness, share) in enumerate(experts):
            e = 1.0
            for confidence, outcome in events:
                cell = int(place([confidence])[0])
                d = FIXED[witness, cell] if witness < len(FIXED) else learned[witness - len(FIXED), BIN_OF_CELL[cell]]
                e *= (1 + share * d * (outcome - confidence)) / (1 + share * threshold)
            wealth[i], roberts[i] = e * (wealth[i] + stake), e * (roberts[i] + fresh)
        for i, (a, b) in enumerate(LINES):
            e = 1.0
            for confidence, outcome in events:
                cell = int(place([confidence])[0])
                middle = inside((LOWER[cell] + UPPER[cell]) / 2, 1e-6)
                q = inside(1 / (1 + np.exp(-(a + b * np.log(middle / (1 - middle))))), 1e-3)
                near = inside(min(max(q, LOWER[cell] - margin), UPPER[cell] + margin), 1e-3)
                e *= q / near if outcome else (1 - q) / (1 - near)
            ratio[i], ratio_roberts[i] = e * (ratio[i] + stake), e * (ratio_roberts[i] + fresh)
        kept = np.exp(-len(events) / MEMORIES)[:, None]
        gaps, variances = gaps * kept, variances * kept
        for confidence, outcome in events:
            bin_of = BIN_OF_CELL[int(place([confidence])[0])]
            gaps[:, bin_of] += outcome - confidence
            variances[:, bin_of] += confidence * (1 - confidence)
    prior = PRIOR.ravel()
    with np.errstate(divide="ignore"):  # too few labels for the Shiryaev-Roberts form to have a stake
        ratios_held = float(np.log(ratio.mean() + left)), float(np.log(ratio_roberts.mean()))
        return float(np.log(prior @ wealth + left)), float(np.log(prior @ roberts)), *ratios_held


def test_the_tests_from_sums_are_those_from_rows() -> None:
    dice = np.random.default_rng(13)
    p = np.round(dice.uniform(0.05, 0.95, 600), 1)  # few values, so that the bound from sums is exact
    y = (dice.random(600) < 0.5 + 0.5 * (p - 0.5)).astype(float)
    evidence = Evidence.begin()
    for first in range(0, 600, 150):
        evidence = evidence.advanced(Cells.from_rows(p[first : first + 150], y[first : first + 150]), threshold=0.05)
    found = (evidence.log_e, evidence.log_sr, evidence.log_ratio, evidence.log_ratio_sr)
    assert found == pytest.approx(of_rows(p, y, 150, 0.05), abs=1e-9)


@pytest.mark.parametrize("decides", ["log_ratio", "log_ratio_sr"])
def test_a_likelihood_ratio_that_decides_has_the_threshold_as_its_margin(decides: Deciding) -> None:
    dice = np.random.default_rng(15)
    p = np.round(dice.uniform(0.05, 0.95, 600), 1)
    y = (dice.random(600) < 0.5 + 0.4 * (p - 0.5)).astype(float)
    evidence = Evidence.begin()
    for first in range(0, 600, 150):
        step = Cells.from_rows(p[first : first + 150], y[first : first + 150])
        evidence = evidence.advanced(step, threshold=0.05, decides=decides)
    found = (evidence.log_e, evidence.log_sr, evidence.log_ratio, evidence.log_ratio_sr)
    assert found == pytest.approx(of_rows(p, y, 150, 0.05, margin=0.05), abs=1e-9)
    assert evidence.peak == pytest.approx(getattr(evidence, decides)) != pytest.approx(evidence.log_e)


def test_the_tests_from_sums_fall_short_of_those_from_rows_by_little() -> None:
    dice = np.random.default_rng(14)
    p = dice.random(600)
    y = (dice.random(600) < 0.5 + 0.3 * (p - 0.5)).astype(float)
    evidence = Evidence.begin()
    for first in range(0, 600, 150):
        evidence = evidence.advanced(Cells.from_rows(p[first : first + 150], y[first : first + 150]), threshold=0.05)
    exact, roberts, *_ = of_rows(p, y, 150, 0.05)
    assert exact - 600 * 2e-5 < evidence.log_e <= exact
    assert roberts - 600 * 2e-5 < evidence.log_sr <= roberts


def test_the_tests_of_hostile_events_never_exceed_those_from_rows(window: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = window[0][:120], window[1][:120]
    evidence = Evidence.begin()
    for first in range(0, len(p), 40):
        evidence = evidence.advanced(Cells.from_rows(p[first : first + 40], y[first : first + 40]), threshold=0.05)
    exact, roberts, ratio, _ = of_rows(p, y, 40, 0.05)
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
    assert evidence.log_e == pytest.approx(float(logsumexp(evidence.ledger.wealth[0] + np.log(PRIOR))))
