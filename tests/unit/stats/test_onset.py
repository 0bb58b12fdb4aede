"""When a miscalibration began: for refits, and for people with an interval."""

import numpy as np
import pytest
from scipy.special import expit, logit

from monitor.stats.cells import Floats
from monitor.stats.onset import Gaps, latest_onset, lower_bound, onset

BROKEN = 0.4
"""Log odds of outcomes are this share of those of the scores: an ECE of .12."""

LIMIT = 0.05
RUNS = 200


def decided(random: np.random.Generator, count: int) -> Floats:
    return np.clip(random.beta(0.5, 0.5, count), 0.005, 0.995)


def gaps(random: np.random.Generator, p: Floats, chance: Floats, *, step: int = 1) -> Gaps:
    """Return the gaps of events whose outcome is 1 with a chance, so many of them per moment."""
    y = (random.uniform(size=len(p)) < chance).astype(np.float64)
    return Gaps.of(np.arange(len(p)) // step * step, p, y, np.ones(len(p)))


def test_lower_bound_holds_for_a_calibrated_sample() -> None:
    random = np.random.default_rng(9)
    bounds = []
    for _ in range(300):
        p = decided(random, 400)
        bounds.append(lower_bound(gaps(random, p, p, step=4), 0.05))
    assert sum(bound is not None and bound > 0 for bound in bounds) <= 30


def broken_at(random: np.random.Generator, change: int, *, step: int = 1) -> Gaps:
    p = decided(random, 4000)
    return gaps(random, p, expit(np.where(np.arange(4000) < change, 1.0, BROKEN) * logit(p)), step=step)


def test_latest_onset_is_seldom_before_the_change() -> None:
    random = np.random.default_rng(10)
    dated = [latest_onset(broken_at(random, 2800)) for _ in range(RUNS)]
    assert sum(at < 2700 for at in dated) <= 10
    assert sum(at > 3100 for at in dated) <= 10


@pytest.mark.parametrize("change", [1013, 2000, 3404])
def test_onset_of_an_abrupt_fault_lies_within_its_interval(change: int) -> None:
    random = np.random.default_rng(change)
    found = [onset(broken_at(random, change, step=20), LIMIT) for _ in range(RUNS)]
    held = [one is not None and one.low is not None and one.low <= change <= one.high for one in found]
    assert sum(held) >= 0.97 * RUNS
    widths = [one.high - (one.low or 0.0) for one in found if one is not None]
    assert np.median(widths) < 300


def test_onset_of_a_fault_from_the_start_may_lie_before() -> None:
    random = np.random.default_rng(11)
    found = [onset(broken_at(random, 0, step=20), LIMIT) for _ in range(RUNS)]
    assert sum(one is not None and one.low is None for one in found) >= 0.85 * RUNS
    assert all(one is not None and (one.low or 0.0) < 200 for one in found)


def test_onset_of_a_gradual_fault_is_when_the_error_crossed_the_limit() -> None:
    random = np.random.default_rng(12)
    growth = np.clip(np.arange(6000) - 2000, 0, None) * 0.15 / 4000  # over the limit from 3333 on
    found = []
    for _ in range(RUNS):
        p = random.uniform(0.3, 0.9, 6000)
        found.append(onset(gaps(random, p, p - growth, step=20), LIMIT))
    gradual = [one for one in found if one is not None and one.gradual]
    assert len(gradual) >= 0.6 * RUNS
    assert sum(one.low is not None and one.low <= 3333 <= one.high for one in found if one is not None) >= 0.95 * RUNS
    assert abs(np.median([one.at for one in gradual]) - 3333) < 150


def test_onset_in_ranks_of_a_regression_is_dated_too() -> None:
    random = np.random.default_rng(13)
    hits = random.multinomial(40, np.full(20, 0.05), 100).astype(np.float64)
    hits[60:] = random.multinomial(40, np.repeat([0.1, 0.025, 0.1], [5, 10, 5]) / 1.25, 40)
    found = onset(Gaps.of_ranks(np.arange(100), hits), LIMIT)
    assert found is not None
    assert found.low is not None
    assert found.low <= 60 <= found.high


def test_onset_of_nothing_is_none() -> None:
    nothing = np.zeros((3, 15))
    assert onset(Gaps(np.arange(3), nothing, nothing, nothing, nothing, np.zeros(3)), LIMIT) is None


def test_onset_of_a_single_moment_is_that_or_before() -> None:
    found = onset(Gaps.of(np.zeros(400), np.full(400, 0.9), np.arange(400) % 2.0, np.ones(400)), LIMIT)
    assert found is not None
    assert (found.at, found.low, found.high, found.gradual) == (0.0, None, 0.0, False)
