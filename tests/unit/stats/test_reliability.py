"""Bins, gaps, reliability points and the debiased error."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.stats.cells import BIN_COUNTS, Cells
from monitor.stats.reliability import (
    Bins,
    ace,
    bins_of,
    clopper_pearson,
    clopper_pearson_upper,
    debiased_l2,
    debiased_l2_interval,
    debiased_l2_squared,
    distinct,
    ece,
    equal_mass,
    hosmer_lemeshow,
    mce,
    reliability_points,
    root_mean_square_gap,
)

Rows = tuple[list[float], list[int]]
EDGES = sorted({i / bins for bins in BIN_COUNTS for i in range(bins + 1)} | {i / 60 for i in range(61)})
AROUND_EDGES = sorted({math.nextafter(e, d) for e in EDGES for d in (0.0, 1.0)} | set(EDGES))

confidences = st.one_of(st.floats(0, 1), st.sampled_from(AROUND_EDGES), st.sampled_from([0.0, 0.5, 1.0]))
outcomes = st.integers(0, 1)
windows = st.lists(st.tuples(confidences, outcomes), max_size=40)
# Multiples of 2⁻²⁰ sum without rounding, in any order.
exact_windows = st.lists(st.tuples(st.integers(0, 2**20).map(lambda i: i / 2**20), outcomes), max_size=40)


def columns(window: list[tuple[float, int]]) -> Rows:
    return [p for p, _ in window], [y for _, y in window]


def plain_ece(p: list[float], y: list[int], bins: int) -> float | None:
    """Return the ECE row by row, from the definition."""
    edges = [i / bins for i in range(bins + 1)]
    gaps = [0.0] * bins
    for confidence, outcome in zip(p, y, strict=True):
        place = next(b for b in range(bins) if confidence <= edges[b + 1])
        gaps[place] += confidence - outcome
    return math.fsum(map(abs, gaps)) / len(p) if p else None


@pytest.mark.parametrize("bins", BIN_COUNTS)
def test_ece_from_cells_is_that_of_the_rows_on_every_edge(bins: int) -> None:
    generator = np.random.default_rng(bins)
    p = AROUND_EDGES * 3
    y = [int(v) for v in generator.integers(0, 2, len(p))]
    expected = plain_ece(p, y, bins)
    assert expected == pytest.approx(ece(bins_of(Cells.from_rows(p, y), bins)), abs=1e-12)
    assert expected == pytest.approx(ece(Bins.from_rows(p, y, bins)), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(window=windows, bins=st.sampled_from(BIN_COUNTS))
def test_ece_from_cells_is_that_of_the_rows(window: list[tuple[float, int]], bins: int) -> None:
    p, y = columns(window)
    assert ece(bins_of(Cells.from_rows(p, y), bins)) == pytest.approx(plain_ece(p, y, bins), abs=1e-12)


@pytest.mark.parametrize("bins", BIN_COUNTS)
def test_bins_from_cells_are_bins_from_rows(bins: int) -> None:
    generator = np.random.default_rng(1)
    p = np.concatenate([generator.random(500), AROUND_EDGES])
    y = generator.integers(0, 2, len(p))
    half = generator.random(len(p)) < 0.5
    summed, direct = bins_of(Cells.from_rows(p, y, half), bins), Bins.from_rows(p, y, bins, half)
    for name in Bins.__slots__:
        np.testing.assert_allclose(getattr(summed, name), getattr(direct, name), atol=1e-11, err_msg=name)


def test_bins_that_are_no_unions_of_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="bins is 7"):
        bins_of(Cells.from_rows([0.5], [1]), 7)


@settings(max_examples=60, deadline=None)
@given(first=exact_windows, second=exact_windows, bins=st.sampled_from(BIN_COUNTS))
def test_figures_of_merged_cells_are_those_of_all_rows(
    first: list[tuple[float, int]], second: list[tuple[float, int]], bins: int
) -> None:
    merged = Cells.from_rows(*columns(first)) + Cells.from_rows(*columns(second))
    whole = Cells.from_rows(*columns(first + second))
    assert figures(whole, bins) == figures(merged, bins)


def figures(cells: Cells, bins: int) -> list[float | None]:
    binned = bins_of(cells, bins)
    measures = (ece, debiased_l2_squared, debiased_l2, root_mean_square_gap)
    return [*(measure(binned) for measure in measures), mce(binned, 2), ace(cells, bins)]


HOSTILE: list[Rows] = [
    ([], []),
    ([0.5], [1]),
    ([0.0], [1]),
    ([1.0], [0]),
    ([0.0, 1.0], [0, 1]),
    ([0.0, 1.0], [1, 0]),
    ([0.3, 0.3], [0, 1]),
    ([1.0] * 50, [1] * 50),
    ([0.0] * 50, [1] * 50),
    ([0.2, 0.9, 0.9], [1, 1, 1]),
    ([1e-300, 5e-324, 1 - 1e-16], [1, 0, 0]),
]


@pytest.mark.parametrize("window", HOSTILE)
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_hostile_windows_give_finite_figures_or_none(window: Rows, bins: int) -> None:
    binned = Bins.from_rows(*window, bins)
    interval = debiased_l2_interval(binned)
    measures = (ece, mce, debiased_l2_squared, debiased_l2, root_mean_square_gap, hosmer_lemeshow)
    found = [*(measure(binned) for measure in measures), ace(Cells.from_rows(*window)), *(interval or ())]
    assert all(figure is None or math.isfinite(figure) for figure in found)
    assert all(figure is None or -1 <= figure <= 1 for figure in [*found[:5], *found[6:]])


def test_an_empty_window_has_no_figures() -> None:
    cells, binned = Cells.from_rows([], []), Bins.from_rows([], [], 10)
    assert figures(cells, 10) == [None] * 6
    assert debiased_l2_interval(binned) is None
    assert hosmer_lemeshow(binned) is None


def test_mce_passes_over_bins_with_few_events() -> None:
    binned = Bins.from_rows([0.2] * 29 + [0.7] * 30, [1] * 29 + [1] * 15 + [0] * 15, 10)
    assert mce(binned) == pytest.approx(0.2)
    assert mce(binned, 29) == pytest.approx(0.8)


def test_debiased_error_needs_two_events_in_a_bin() -> None:
    assert debiased_l2_squared(Bins.from_rows([0.2, 0.7], [0, 1], 10)) is None


def test_debiased_error_counts_single_events_in_n_only() -> None:
    # Hand-worked: bin one has 2·(.25 - .5)² - 2·.25/1 = -.375; the single event adds 1 to N and nothing above.
    binned = Bins.from_rows([0.25, 0.25, 0.75], [0, 1, 0], 2)
    assert debiased_l2_squared(binned) == pytest.approx(-0.375 / 3)
    assert debiased_l2(binned) == 0


def test_debiased_error_averages_to_the_truth() -> None:
    generator = np.random.default_rng(7)
    p = generator.random(300)
    truth = np.clip(p + 0.1, 0, 1)
    estimates = [debiased_l2_squared(Bins.from_rows(p, generator.random(300) < truth, 10)) for _ in range(800)]
    assert np.mean(np.array(estimates, dtype=float)) == pytest.approx(squared_error(p, truth, 10), abs=5e-4)


def squared_error(p: NDArray[np.float64], truth: NDArray[np.float64], bins: int) -> float:
    """Return the squared L2 error between forecasts and the chances behind the outcomes."""
    expected = Bins.from_rows(p, truth, bins)
    return float(((expected.sp - expected.sy) ** 2 / np.maximum(expected.n, 1)).sum() / len(p))


@pytest.mark.parametrize("power", [1.0, 1.3])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(power: float) -> None:
    generator = np.random.default_rng(int(power * 10))
    missed = 0
    for _ in range(200):
        p = generator.random(500)
        truth = p**power
        interval = debiased_l2_interval(Bins.from_rows(p, generator.random(500) < truth, 10))
        assert interval is not None
        missed += not interval[0] <= math.sqrt(squared_error(p, truth, 10)) <= interval[1]
    assert missed <= 18


def test_the_interval_holds_the_estimate_and_is_repeatable() -> None:
    generator = np.random.default_rng(2)
    p = generator.random(400)
    binned = Bins.from_rows(p, generator.random(400) < p**2, 15)
    first, estimate = debiased_l2_interval(binned), debiased_l2(binned)
    assert first is not None
    assert estimate is not None
    assert first[0] < estimate < first[1]
    assert first == debiased_l2_interval(binned)


def test_equal_mass_bins_keep_the_order_and_hold_equal_shares() -> None:
    place = equal_mass(np.ones(1000), 10)
    assert np.bincount(place).tolist() == [100] * 10
    assert all(before <= after for before, after in pairwise(place.tolist()))


def test_a_group_goes_where_the_middle_of_its_mass_lies() -> None:
    assert equal_mass([1, 8, 1], 10).tolist() == [0, 5, 9]
    assert equal_mass([3, 0, 1], 2).tolist() == [0, 1, 1]


def test_ace_from_cells_is_close_to_that_of_the_rows() -> None:
    generator = np.random.default_rng(9)
    p = generator.random(5000)
    y = generator.random(5000) < p**1.4
    assert ace(Cells.from_rows(p, y)) == pytest.approx(ace(distinct(p, y)), abs=3e-3)


def test_distinct_keeps_the_halves_apart() -> None:
    cells = distinct([0.5, 0.5, 0.25], [1, 1, 0])
    assert [0.0, 1.0] == cells.hn.tolist() == cells.hsy.tolist()
    assert cells.hsp.tolist() == [0.0, 0.5]


def test_points_of_empty_bins_have_no_figures() -> None:
    points = reliability_points(Bins.from_rows([0.1, 0.9, 0.9], [0, 1, 1], 3))
    assert [point.count for point in points] == [1, 0, 2]
    middle = points[1]
    assert (middle.mean_confidence, middle.observed, middle.observed_low, middle.observed_high) == (None,) * 4
    assert (points[2].observed, points[2].observed_high) == (1.0, 1.0)
    assert points[2].observed_low == pytest.approx(0.025 ** (1 / 2))


def test_clopper_pearson_without_trials_says_nothing() -> None:
    assert tuple(float(bound) for bound in clopper_pearson(0, 0)) == (0.0, 1.0)
    assert float(clopper_pearson_upper(0, 0)) == 1.0
