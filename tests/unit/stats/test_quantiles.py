"""Quantile calibration from counts of the PIT: its error, a bound that noise does not exceed, and which way it is off."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from monitor.stats.quantiles import (
    direction,
    held,
    pit_bins,
    quantile_ece,
    quantile_ece_lower_bound,
    quantile_ece_null_mean,
    signed_lower_bound,
)

COUNTS = st.lists(st.integers(0, 1000), min_size=20, max_size=20).map(lambda found: np.array(found, dtype=float))


def cells_of(pit, half=None):
    """Return the counts of 200 right-closed cells, all of them and those of the half."""
    place = np.maximum(np.ceil(np.asarray(pit) * 200 - 1e-12).astype(int) - 1, 0)
    chosen = np.arange(len(place)) % 2 == 0 if half is None else half
    return np.stack([np.bincount(place, minlength=200), np.bincount(place, chosen, minlength=200)], axis=1).astype(
        float
    )


def pits(dice, size, spread=1.0, shift=0.0):
    """Return PITs of standard normal forecasts of labels that are wider and shifted."""
    return norm.cdf(dice.normal(shift, spread, size))


@given(COUNTS)
def test_quantile_ece_is_the_mean_gap_over_nineteen_levels(counts):
    if not counts.sum():
        assert quantile_ece(counts) is None
        return
    gaps = [abs(counts[:i].sum() / counts.sum() - i / 20) for i in range(1, 20)]
    assert quantile_ece(counts) == pytest.approx(np.mean(gaps), abs=1e-12)


def test_quantile_ece_of_rows_is_that_of_cells():
    found = pits(np.random.default_rng(3), 997, 1.4, 0.2)
    gaps = [abs((found <= i / 20).mean() - i / 20) for i in range(1, 20)]
    assert quantile_ece(pit_bins(cells_of(found)[:, 0])) == pytest.approx(np.mean(gaps), abs=1e-12)


def test_null_mean_is_what_right_distributions_show():
    dice = np.random.default_rng(4)
    found = [quantile_ece(dice.multinomial(500, np.full(20, 0.05)).astype(float)) for _ in range(4000)]
    assert quantile_ece_null_mean(np.full(20, 25.0)) == pytest.approx(np.mean(found), rel=0.03)
    assert quantile_ece_null_mean(np.zeros(20)) is None


@given(COUNTS, st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=19, max_size=19))
def test_a_signed_sum_never_exceeds_the_error(counts, signs):
    bound = signed_lower_bound(counts, np.array(signs), 0.5)
    if bound is not None:
        assert bound <= quantile_ece(counts) + 1e-12


@pytest.mark.parametrize("usual", [True, False])
def test_the_bound_exceeds_the_truth_as_seldom_as_stated(usual):
    """Of right distributions the truth is 0, of others it is what very many labels show; both must be kept."""
    dice = np.random.default_rng(5)
    spread = 1.0 if usual else 1.3
    truth = 0.0 if usual else quantile_ece(pit_bins(cells_of(pits(dice, 2_000_000, spread))[:, 0]))
    over = sum(
        quantile_ece_lower_bound(cells_of(pits(dice, 600, spread)), cells_of(pits(dice, 600, spread)), alpha=0.05)
        > truth
        for _ in range(1500)
    )
    assert over <= binom.ppf(0.999, 1500, 0.05)


def test_the_bound_finds_what_is_there():
    dice = np.random.default_rng(6)
    now, before = cells_of(pits(dice, 3000, 1.5)), cells_of(pits(dice, 3000, 1.5))
    truth = quantile_ece(pit_bins(now[:, 0]))
    assert 0.6 * truth < quantile_ece_lower_bound(now, before, alpha=0.01) < truth
    assert 0.4 * truth < quantile_ece_lower_bound(now, None, alpha=0.01) < truth


def test_a_previous_window_with_few_labels_does_not_count():
    dice = np.random.default_rng(7)
    now, few = cells_of(pits(dice, 1000, 1.5)), cells_of(pits(dice, 99, 1.5))
    assert quantile_ece_lower_bound(now, few, alpha=0.01) == quantile_ece_lower_bound(now, None, alpha=0.01)


def test_there_is_no_bound_without_labels_outside_the_half():
    assert quantile_ece_lower_bound(np.zeros((200, 2)), None, alpha=0.01) is None
    assert quantile_ece_lower_bound(cells_of([0.1, 0.2], half=np.array([True, True])), None, alpha=0.01) is None


@pytest.mark.parametrize(("spread", "name"), [(1.3, "overconfident"), (0.75, "underconfident"), (1.0, "none")])
def test_direction_says_whether_distributions_are_too_narrow(spread, name):
    pit = norm.cdf(spread * norm.ppf((np.arange(2000) + 0.5) / 2000))
    assert direction(cells_of(pit)[:, 0]) == name


def test_direction_is_significant_as_seldom_as_stated():
    dice = np.random.default_rng(8)
    found = sum(direction(dice.multinomial(400, np.full(200, 1 / 200)).astype(float)) != "none" for _ in range(2000))
    assert binom.ppf(0.0005, 2000, 0.05) <= found <= binom.ppf(0.9995, 2000, 0.05)


def test_direction_of_nothing_is_unknown():
    assert direction(np.zeros(200)) is None


def test_held_bounds_are_exact_binomial_ones():
    stated = np.zeros((1001, 2))
    stated[500], stated[900], stated[990] = [100, 41], [59, 59], [7, 0]
    found = {each.level: each for each in held(stated)}
    assert set(found) == {0.5, 0.9, 0.99}
    half = found[0.5]
    assert half.observed == 0.41
    # At a bound, as much as was seen or more extreme happens in 2.5 of 100 cases.
    assert binom.sf(40, 100, half.low) == pytest.approx(0.025)
    assert binom.cdf(41, 100, half.high) == pytest.approx(0.025)
    assert (found[0.9].high, found[0.99].low) == (1.0, 0.0)
    assert found[0.9].low == pytest.approx(0.025 ** (1 / 59))
