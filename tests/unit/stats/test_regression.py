"""What a label says about a predictive distribution, and what that adds to the sums."""

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import mean_pinball_loss

from monitor.stats import regression
from monitor.stats.quantiles import quantile_ece
from monitor.stats.regression import Measured, chunks, location, median, of_measured, of_normal, of_quantiles
from monitor.stats.summary import AMOUNTS, PIT_CELLS, Summary, amount_slot, pit_slot

AMOUNT = st.floats(-1e60, 1e60)
SPREAD = st.floats(1e-60, 1e60)
LEVELS = st.lists(st.integers(1, 999), min_size=2, max_size=30, unique=True).map(lambda found: tuple(sorted(found)))


def quantiles(draw_levels, numbers):
    return draw_levels, tuple(sorted(numbers[: len(draw_levels)]))


QUANTILES = st.builds(quantiles, LEVELS, st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=30))


@pytest.mark.parametrize(("y", "crps"), [(0.0, 0.2336949773), (1.0, 0.6024413576), (-1.0, 0.6024413576)])
def test_crps_of_a_standard_normal_is_as_tabled(y, crps):
    assert of_normal(0.0, 1.0, y).crps == pytest.approx(crps, abs=5e-11)


@pytest.mark.parametrize(("mean", "std", "y"), [(0.0, 1.0, 0.3), (5.0, 2.0, 11.0), (-3.0, 0.5, -3.0), (2.0, 3.0, -1.0)])
def test_crps_of_a_normal_is_the_integral_that_defines_it(mean, std, y):
    low, high = mean - 12 * std, mean + 12 * std
    integral = (
        quad(lambda x: norm.cdf(x, mean, std) ** 2, low, y)[0] + quad(lambda x: norm.sf(x, mean, std) ** 2, y, high)[0]
    )
    assert of_normal(mean, std, y).crps == pytest.approx(integral, abs=1e-7)


@given(AMOUNT, st.floats(5e-324, 1e60), AMOUNT)
def test_any_normal_gives_figures_that_the_sums_can_hold(mean, std, y):
    found = of_normal(mean, std, y)
    assert 0 <= found.pit <= 1
    assert 0 <= found.crps <= 4e60
    assert 0 <= found.squared_z <= regression.LARGEST_SQUARE
    assert found.error == mean - y


def test_pit_of_a_normal_is_its_distribution_function():
    for z in (-3.0, -0.5, 0.0, 0.1, 2.0):
        assert of_normal(10.0, 2.0, 10.0 + 2.0 * z).pit == pytest.approx(NormalDist().cdf(z), abs=1e-15)


def test_intervals_of_a_normal_are_where_its_quantiles_are():
    for level, width in regression.NORMAL_INTERVALS:
        assert width == pytest.approx(NormalDist().inv_cdf(0.5 + level / 2000), rel=1e-15)
        assert dict(of_normal(1.0, 2.0, 1.0 + 2.0 * width * (1 - 1e-12)).intervals)[level]
        assert not dict(of_normal(1.0, 2.0, 1.0 - 2.0 * width * (1 + 1e-12)).intervals)[level]


@given(QUANTILES, st.floats(-1e6, 1e6))
def test_crps_of_quantiles_is_twice_the_pinball_loss_of_scikit_learn(stated, y):
    levels, values = stated
    losses = [mean_pinball_loss([y], [value], alpha=level / 1000) for level, value in zip(levels, values, strict=True)]
    expected = 2 * float(np.mean(losses))
    assert of_quantiles(levels, values, y, chance=0.5).crps == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_crps_of_many_quantiles_is_nearly_that_of_the_distribution():
    levels = tuple(range(5, 1000, 5))
    values = tuple(norm.ppf(np.array(levels) / 1000).tolist())
    assert of_quantiles(levels, values, 0.7, chance=0.5).crps == pytest.approx(of_normal(0.0, 1.0, 0.7).crps, abs=3e-3)


@pytest.mark.parametrize(
    ("y", "low", "high"),
    [(-5, 0.0, 0.1), (0, 0.0, 0.1), (0.5, 0.1, 0.5), (1, 0.1, 0.5), (1.5, 0.5, 0.6), (2, 0.5, 0.8), (2.5, 0.8, 1.0)],
)
def test_pit_of_quantiles_is_drawn_from_between_the_levels_around_the_label(y, low, high):
    levels, values = (100, 500, 600, 800), (0.0, 1.0, 2.0, 2.0)
    for chance in (1e-9, 0.25, 1.0):
        found = of_quantiles(levels, values, y, chance=chance).pit
        assert found == pytest.approx(low + chance * (high - low))


def test_pit_of_right_quantiles_is_uniform_whatever_lies_between_them():
    dice = np.random.default_rng(1)
    levels, values = (100, 500, 900), tuple(np.log(1 / (1 - np.array([0.1, 0.5, 0.9]))).tolist())
    draws = zip(dice.exponential(size=20_000), dice.random(20_000), strict=True)
    found = [of_quantiles(levels, values, y, chance=chance).pit for y, chance in draws]
    counts = np.histogram(found, bins=20, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-squared with 19 degrees, 99.9 %


def test_interpolation_between_right_quantiles_would_make_them_look_wrong():
    levels, labels = (100, 500, 900), norm.ppf((np.arange(4_000) + 0.5) / 4_000)
    values = tuple(norm.ppf(np.array(levels) / 1000).tolist())
    chances = np.random.default_rng(2).random(4_000)
    drawn = [of_quantiles(levels, values, y, chance=chance).pit for y, chance in zip(labels, chances, strict=True)]
    between = (labels > values[0]) & (labels < values[-1])
    interpolated = np.where(between, np.interp(labels, values, np.array(levels) / 1000), drawn)
    errors = [quantile_ece(np.histogram(pit, bins=20, range=(0, 1))[0]) for pit in (interpolated, drawn)]
    assert errors == [pytest.approx(0.021, abs=3e-3), pytest.approx(0, abs=6e-3)]


def test_pairs_of_levels_are_closed_central_intervals():
    levels, values = (50, 250, 400, 500, 750, 950), (-2.0, -1.0, -0.3, 0.0, 1.0, 2.0)
    assert of_quantiles(levels, values, 1.0, chance=0.5).intervals == ((900, True), (500, True))
    assert of_quantiles(levels, values, 1.0000001, chance=0.5).intervals == ((900, True), (500, False))
    assert of_quantiles(levels, values, -2.0000001, chance=0.5).intervals == ((900, False), (500, False))


def test_a_quantile_holds_where_the_label_is_at_or_under_it():
    assert of_quantiles((100, 500), (1.0, 2.0), 1.0, chance=0.5).quantiles == ((100, True), (500, True))
    assert of_quantiles((100, 500), (1.0, 2.0), 1.5, chance=0.5).quantiles == ((100, False), (500, True))


@given(QUANTILES)
def test_median_lies_between_its_neighbours(stated):
    levels, values = stated
    assert values[0] <= median(levels, values) <= values[-1]
    if 500 in levels:
        assert median(levels, values) == values[levels.index(500)]


# Exact sums


def whole(value: float) -> int:
    """Return an amount as a multiple of 2⁻²⁷², in plain integers."""
    return round(Fraction(value) * 2**272)


@given(st.lists(st.floats(-1e80, 1e80) | st.floats(-1e-60, 1e-60) | st.floats(-10, 10), max_size=20))
def test_chunks_add_up_to_the_amounts_exactly(values):
    places, numbers, parts = chunks(values)
    for place, value in enumerate(values):
        chosen = places == place
        total = sum(int(part) << 32 * int(number) for part, number in zip(parts[chosen], numbers[chosen], strict=True))
        assert total == whole(value)
    assert (np.abs(parts) < 2**32).all()
    assert (numbers < 17).all()


@given(st.lists(AMOUNT | st.floats(-10, 10), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_sum_of_amounts_is_exact_in_any_order(values, dice):
    shuffled = dice.sample(values, len(values))
    assert summed(values) == summed(shuffled) == float(sum(map(Fraction, map(rounded, values))))


def rounded(value: float) -> Fraction:
    return Fraction(whole(value), 2**272)


def summed(values):
    _, numbers, parts = chunks(values)
    return Summary.of_entries(numbers + amount_slot("error", 0), parts).amount("error")


def test_a_sum_that_cancels_leaves_what_is_small():
    assert summed([1e60, 1e-9, -1e60]) == float(rounded(1e-9))
    assert math.fsum([1e60, 1e-9, -1e60]) == 1e-9


def test_a_summary_without_amounts_sums_to_nothing():
    assert Summary.of([]).amount("crps") == 0.0


# Locations


@given(st.floats(-1e60, 1e60), st.floats(-1e60, 1e60))
def test_locations_are_in_the_order_of_values(one, other):
    low, high = location(sorted([one, other])).tolist()
    assert 0 <= low <= high <= 8192


@given(st.floats(1e-7, 1e12))
def test_locations_tell_a_thirtieth_apart(value):
    first, second = location([value, value * 32 / 31]).tolist()
    assert first < second
    assert [8192 - each for each in location([-value, -value * 32 / 31]).tolist()] == [first, second]


# Entries


def test_an_event_adds_its_pit_what_it_stated_and_its_amounts():
    rows, slots, values = of_measured([7], [True], [of_normal(0.0, 1.0, 1.0)])
    assert set(rows.tolist()) == {7}
    summary = Summary.of_entries(slots, values)
    pit = summary.pit()
    assert pit.sum(axis=0).tolist() == [1, 1]
    assert pit[168].tolist() == [1, 1]  # .8413 lies in (.84, .845]
    stated = summary.stated("interval")
    assert {level: stated[level].tolist() for level in np.flatnonzero(stated[:, 0])} == {
        500: [1, 0], 800: [1, 1], 900: [1, 1], 950: [1, 1], 990: [1, 1],
    }  # fmt: skip
    assert not summary.stated("quantile").any()
    found = {name: summary.amount(name) for name in AMOUNTS}
    assert found == pytest.approx({"crps": 0.6024413576, "error": -1, "absolute_error": 1, "squared_z": 1}, abs=1e-10)


@pytest.mark.parametrize(("pit", "cell"), [(0.0, 0), (0.005, 0), (0.0050001, 1), (0.05, 9), (0.5, 99), (1.0, 199)])
def test_cells_of_the_pit_are_right_closed(pit, cell):
    measured = Measured(pit=pit, crps=1.0, error=0.0, squared_z=None, intervals=(), quantiles=())
    _, slots, _ = of_measured([0], [False], [measured])
    assert [slot for slot in slots.tolist() if pit_slot(0, "n") <= slot <= pit_slot(PIT_CELLS - 1, "hn")] == [
        pit_slot(cell, "n")
    ]
