"""False discoveries among many hypotheses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from monitor.stats.discovery import e_bh

RATES = st.floats(0.001, 0.5)


@given(st.lists(st.floats(-50, 50), max_size=30), RATES)
def test_e_bh_is_its_definition(log_e: list[float], rate: float) -> None:
    count = len(log_e)
    ordered = sorted(log_e, reverse=True)
    reached = [k for k, e in enumerate(ordered, 1) if math.log(k) + e - math.log(count) >= -math.log(rate) + 1e-12]
    nearly = [k for k, e in enumerate(ordered, 1) if math.log(k) + e - math.log(count) >= -math.log(rate) - 1e-12]
    assert max(reached, default=0) <= e_bh(log_e, rate).sum() <= max(nearly, default=0)


def test_e_bh_by_hand() -> None:
    # K = 4, rate .1: one needs 40, two need 20, three 40/3, four 10.
    assert e_bh(np.log([15, 25, 14, 2]), 0.1).tolist() == [True, True, True, False]
    assert e_bh(np.log([39.9, 19.9, 13.3, 2]), 0.1).tolist() == [False] * 4
    assert e_bh(np.log([40.1, 13, 2, 2]), 0.1).tolist() == [True, False, False, False]


def test_what_is_unknown_is_never_a_discovery_but_counts_as_asked() -> None:
    assert e_bh([math.nan, 100.0, -math.inf, math.inf], 0.01).tolist() == [False, True, False, True]
    assert e_bh([math.log(150)], 0.01).tolist() == [True]
    assert e_bh([math.log(150), math.nan], 0.01).tolist() == [False, False]


def test_of_nothing_nothing_is_discovered() -> None:
    assert e_bh([], 0.1).tolist() == []


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 2.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate is"):
        e_bh([0.5], rate)


def test_false_discoveries_keep_to_the_rate_however_they_depend() -> None:
    # Eight true nulls that share nine tenths of their noise, two false ones four standard deviations off; e = exp(λz - λ²/2).
    dice = np.random.default_rng(7)
    runs, size, rate = 3000, 10, 0.1
    false = np.zeros(runs)
    found = np.zeros(runs)
    for i in range(runs):
        z = math.sqrt(0.9) * dice.standard_normal() + math.sqrt(0.1) * dice.standard_normal(size)
        z[:2] += 4
        flagged = e_bh(3 * z - 4.5, rate)
        false[i] = flagged[2:].sum() / max(1, flagged.sum())
        found[i] = flagged[:2].sum()
    assert false.mean() <= rate
    assert found.mean() > 1
    peeked = norm.sf(dice.standard_normal((runs, size))).min(axis=1) < rate  # the control: each at the rate by itself
    assert peeked.sum() > binom.isf(1e-9, runs, rate)
