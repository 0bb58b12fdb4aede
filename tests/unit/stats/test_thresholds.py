"""Thresholds against single events, exact sums, and their promise on scores that break it as soon as they may."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score
from statsmodels.stats.proportion import proportion_confint

from monitor.stats.cells import CELLS, EDGES, place
from monitor.stats.thresholds import (
    CUTS,
    Steps,
    abstention,
    cutoff,
    fewest,
    precision_threshold,
    risk_coverage_rules,
    share_interval,
)
from tests.benchmarks.decisions import precision_promise, risk_promise

PROBABILITIES = st.floats(0, 1) | st.sampled_from(EDGES.tolist())


def steps_of(p, y):
    at = place(p)
    n, sy = (np.bincount(at, weights=each, minlength=CELLS).astype(float) for each in (np.ones(len(p)), y))
    return Steps(upper=CUTS, n=n, sy=sy, events=n, expected=n)


def events(seed, count, places):
    """Return scores, many of them tied and some 0, 1 or an edge, of which most come true where they are high."""
    dice = np.random.default_rng(seed)
    p = dice.choice(np.concatenate([dice.beta(0.5, 0.5, places), dice.choice(EDGES, 3), [0.0, 1.0]]), count)
    chance = np.where(np.abs(p - 0.5) > 0.2, (p > 0.5) * 0.96 + 0.02, 0.5)
    return p, (dice.random(count) < chance).astype(float)


EVENTS = st.builds(events, st.integers(0, 10**6), st.integers(60, 300), st.integers(1, 60))


@given(st.lists(PROBABILITIES, min_size=1, max_size=50))
def test_a_cut_parts_the_cells_exactly(values):
    p = np.array(values)
    above = p[:, None] > CUTS
    assert (above == (place(p)[:, None] > np.arange(CELLS))).all()


@pytest.mark.parametrize(("risk", "delta", "expected"), [(0.05, 0.05, 59), (0.1, 0.05, 29), (0.01, 0.05, 299)])
def test_fewest_is_the_smallest_number_that_can_pass(risk, delta, expected):
    assert fewest(risk, delta) == expected
    assert (1 - risk) ** expected <= delta < (1 - risk) ** (expected - 1)


def tail(errors, events, risk):
    """Return P(Binomial ≤ errors), term by term."""
    return math.fsum(math.comb(events, i) * risk**i * (1 - risk) ** (events - i) for i in range(errors + 1))


def by_hand(n, wrong, risk, delta):
    """Return how many steps pass by testing one after the other from the first that can, as long as they pass."""
    total = errors = 0
    last = None
    for i, (events, failed) in enumerate(zip(n, wrong, strict=True)):
        total, errors = total + events, errors + failed
        if total >= fewest(risk, delta):
            if tail(errors, total, risk) > delta:
                break
            last = i + 1 if events else last
    return last


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.data())
def test_with_one_beginning_prefixes_are_tested_in_turn_until_one_fails(n, data):
    wrong = [data.draw(st.integers(0, min(2, each))) for each in n]
    risk, delta = 0.1, 0.05
    if sum(n) >= 4 * fewest(risk, delta / 2):
        return  # a second beginning
    found = cutoff(n, wrong, risk=risk, confidence=1 - delta)
    assert (None if found is None else found.steps) == by_hand(n, wrong, risk, delta)


@pytest.mark.parametrize(("wrong", "events"), list(enumerate([59, 93, 124, 153, 181])))
def test_so_many_errors_need_as_many_events_as_success_run_plans_say(wrong, events):
    # Of 95 % reliability at 95 % confidence.
    assert cutoff([events], [wrong], risk=0.05, confidence=0.95).labelled == events
    assert cutoff([events - 1], [wrong], risk=0.05, confidence=0.95) is None


def test_later_beginnings_find_what_a_single_error_at_the_start_would_hide():
    n, wrong = [60, 1000, 1000], [4, 0, 400]
    assert by_hand(n, wrong, 0.05, 0.05) is None
    assert cutoff(n, wrong, risk=0.05, confidence=0.95).steps == 2


def test_steps_without_labels_at_the_end_are_left_out():
    found = cutoff([100, 0, 0], [0, 0, 0], risk=0.05, confidence=0.95)
    assert (found.steps, found.labelled, found.wrong) == (1, 100, 0)
    assert cutoff([], [], risk=0.05, confidence=0.95) is None
    assert cutoff([0, 0], [0, 0], risk=0.05, confidence=0.95) is None


def test_the_promise_is_kept_where_every_threshold_would_break_it():
    delta, risk, seeds = 0.1, 0.1, 1000
    dice = np.random.default_rng(1)
    n = dice.multinomial(3000, np.full(40, 1 / 40), size=seeds)
    wrong = dice.binomial(n, risk + 1e-9)
    broken = (
        sum(cutoff(*each, risk=risk, confidence=1 - delta) is not None for each in zip(n, wrong, strict=True)) / seeds
    )
    assert 0.01 < broken <= delta + 2 * math.sqrt(delta * (1 - delta) / seeds)


@pytest.mark.parametrize(("promise", "temperature"), [(precision_promise, 1.0), (risk_promise, 1.5)])
def test_promises_are_kept_on_scores_in_cells(promise, temperature):
    wanted = 0.9 if promise is precision_promise else 0.1
    found = promise("spread out", temperature, 2000, wanted, confidence=0.9, seeds=200)
    assert found.broken <= 0.1
    assert found.with_threshold > 0.9
    assert 0.5 * found.possible < found.volume <= found.possible


@given(EVENTS)
def test_a_threshold_selects_the_events_that_it_counts(sample):
    p, y = sample
    for below in (False, True):
        found = precision_threshold(steps_of(p, y), precision=0.9, confidence=0.9, below=below)
        if found is None:
            continue
        chosen = p <= found.threshold if below else p > found.threshold
        assert (found.labelled, found.selected) == (chosen.sum(), chosen.sum())
        assert found.right == (chosen & (y == (0 if below else 1))).sum()
        assert found.share == pytest.approx(chosen.mean())
        if not below:
            assert found.precision == pytest.approx(precision_score(y, chosen))


@given(EVENTS)
def test_below_is_above_with_all_turned_around(sample):
    p, y = sample
    steps = steps_of(p, y)
    turned = Steps(
        upper=np.arange(CELLS), n=steps.n[::-1], sy=(steps.n - steps.sy)[::-1], events=steps.n[::-1], expected=steps.n
    )
    low = precision_threshold(steps, precision=0.9, confidence=0.9, below=True)
    high = precision_threshold(turned, precision=0.9, confidence=0.9)
    assert (low is None) == (high is None)
    assert low is None or (low.labelled, low.right) == (high.labelled, high.right)


def answers(p, rule):
    ones = p > (math.inf if rule.above is None else rule.above)
    return ones, p <= (-1.0 if rule.below is None else rule.below)


@given(EVENTS, st.booleans())
def test_a_model_that_abstains_answers_the_events_that_are_counted(sample, binary):
    p, y = sample
    rules = risk_coverage_rules(steps_of(p, y), binary=binary)
    found = abstention(steps_of(p, y), binary=binary, risk=0.1, confidence=0.9)
    assert rules[-1].coverage == 1.0
    for rule in [*rules, *([] if found is None else [found])]:
        ones, zeros = answers(p, rule)
        assert not (ones & zeros).any()
        wrong = (ones & (y == 0)).sum() + (zeros & (y == 1)).sum()
        assert (rule.labelled, rule.wrong) == ((ones | zeros).sum(), wrong)
        assert rule.coverage == pytest.approx((ones | zeros).mean())
        assert binary or rule.below is None


def test_risk_and_coverage_are_those_of_the_surest_events():
    dice = np.random.default_rng(2)
    p = dice.random(4000)
    y = (dice.random(4000) < p).astype(float)
    order = np.argsort(-np.abs(p - 0.5))
    wrong = np.cumsum(((p > 0.5) != y)[order])
    for rule in risk_coverage_rules(steps_of(p, y), binary=True):
        rows = rule.labelled
        assert rule.risk == pytest.approx(wrong[rows - 1] / rows, abs=0.01)
    assert risk_coverage_rules(steps_of(np.zeros(0), np.zeros(0)), binary=True) == []


@pytest.mark.parametrize(("right", "trials"), [(0, 10), (10, 10), (3, 7), (999, 1000)])
def test_intervals_are_those_of_clopper_and_pearson(right, trials):
    assert share_interval(right, trials) == pytest.approx(proportion_confint(right, trials, method="beta"), abs=1e-12)
    assert share_interval(0, 0) == (0.0, 1.0)
