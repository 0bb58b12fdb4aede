"""Observed and expected outcomes."""

import numpy as np
import pytest
from scipy.stats import binom, poisson

from monitor.stats.cells import Cells
from monitor.stats.outcomes import Count, count, expected_for_verdict, interval, intervals


@pytest.mark.parametrize("mean", [0.3, 2.0, 17.0, 300.0])
@pytest.mark.parametrize("alpha", [0.025, 0.01])
def test_each_end_errs_no_more_often_than_stated(mean: float, alpha: float) -> None:
    k = np.arange(2000.0)
    low, high = intervals(k, np.ones_like(k), np.full_like(k, alpha))
    chance = poisson.pmf(k, mean)
    assert chance[low > mean].sum() <= alpha
    assert chance[high < mean].sum() <= alpha


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_outcomes_that_are_not_rare_are_within_it_more_often(p: float) -> None:
    k = np.arange(101.0)
    low, high = intervals(k, np.full_like(k, 100 * p), np.full_like(k, 0.025))
    assert binom.pmf(k, 100, p)[(low > 1) | (high < 1)].sum() <= 0.05


def test_nothing_expected_has_no_ratio() -> None:
    nothing = Count(labels=5, observed=1.0, expected=0.0)
    assert np.isnan([nothing.ratio, *interval(nothing, 0.025)]).all()
    low, high = interval(Count(labels=5, observed=0.0, expected=2.0), 0.05)
    assert (low, high) == (0.0, pytest.approx(-np.log(0.05) / 2))


def test_a_window_counts_its_labelled_events() -> None:
    counted = count(Cells.from_rows([0.1, 0.2, 0.9], [0, 1, 1]))
    assert (counted.labels, counted.observed, counted.expected) == (3, 2.0, pytest.approx(1.2))
    assert counted.ratio == pytest.approx(2 / 1.2)


def test_so_many_expected_outcomes_would_show_the_square_of_the_limit() -> None:
    limit, alpha = 1.5, 0.01
    expected = expected_for_verdict(limit, alpha)
    k = np.arange(1000.0)
    low, _ = intervals(k, np.full_like(k, expected), np.full_like(k, alpha))
    assert poisson.pmf(k, expected * limit**2)[low > limit].sum() > 0.75
    assert poisson.pmf(k, expected * limit)[low > limit].sum() <= alpha
    assert expected_for_verdict(3.0, alpha) < expected < expected_for_verdict(1.2, alpha)
