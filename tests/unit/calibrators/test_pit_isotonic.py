"""Isotonic PIT: quantiles are served from the levels that labels show them to have, in three forms that agree."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from monitor.calibrators.compiled import compile_distribution, compile_distributions
from monitor.calibrators.distribution_rows import (
    completed_ranks,
    crps,
    distributions,
    drawn_ranks,
    groups,
    objects,
    quantiles,
)
from monitor.calibrators.distributions import SERVED_LEVELS, Distribution, scores
from monitor.calibrators.errors import BadDocument, NotIdentified
from monitor.calibrators.families import from_document, make
from monitor.calibrators.pit_isotonic import KNOTS, PitIsotonic
from monitor.stats.regression import of_quantiles

DOCUMENT = {
    "method": "pit_isotonic",
    "task": "regression",
    "parameters": {"x": [0.001, 0.1, 0.3, 0.3, 0.999], "y": [0.05, 0.2, 0.5, 0.6, 0.9]},
}
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
THOUSANDTHS = (50, 250, 500, 750, 950)


def standard(errors: Any) -> Any:
    """Return standard normal predictions for labels that are these errors."""
    return np.tile([0.0, 1.0], (len(errors), 1)), np.asarray(errors, dtype=float)


def test_the_map_is_the_isotonic_regression_of_frequencies_on_ranks() -> None:
    errors = np.random.default_rng(0).standard_t(3, 999)
    fitted = PitIsotonic().fit(*standard(errors))
    rank = np.sort(norm.cdf(errors))
    theirs = IsotonicRegression().fit(rank, np.arange(1, 1000) / 1000)
    np.testing.assert_allclose(theirs.predict(fitted.x_), KNOTS, atol=1e-12)


def test_a_quantile_is_served_where_that_share_of_labels_lies() -> None:
    dice = np.random.default_rng(1)
    mean, std = dice.normal(0, 50, 20_000), np.exp(dice.normal(0, 1, 20_000))
    y = mean + std * (dice.gamma(2.0, 1.0, 20_000) - 1.0)  # skewed, biased and of another width
    fitted = PitIsotonic().fit(np.column_stack([mean, std])[:10_000], y[:10_000])
    served = fitted.predict_proba(np.column_stack([mean, std])[10_000:])
    (group,) = groups(served)
    assert group.levels == SERVED_LEVELS
    under = (y[10_000:, None] <= group.values).mean(axis=0)
    np.testing.assert_allclose(under, np.array(SERVED_LEVELS) / 1000, atol=0.02)


def test_quantiles_beyond_the_stated_ones_are_where_labels_are() -> None:
    dice = np.random.default_rng(2)
    rows = dice.normal(0, 1, (8_000, 1)) + np.array(scores(THOUSANDTHS))
    y = dice.normal(rows[:, 2], 3.0)  # 30 % of the labels lie beyond the outermost quantiles on either side
    (group,) = groups(PitIsotonic(levels=LEVELS).fit(rows, y).predict_proba(distributions(rows, LEVELS)))
    np.testing.assert_allclose(group.values[0] - rows[0, 2], 3.0 * np.array(scores(THOUSANDTHS)), atol=0.25)


def test_weights_count_rows() -> None:
    X, y = standard(np.random.default_rng(3).normal(0.3, 1.5, 300))
    weight = np.random.default_rng(4).integers(0, 4, 300)
    repeated = PitIsotonic().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(PitIsotonic().fit(X, y, weight).x_, repeated.x_, atol=1e-12)


def test_labels_beyond_all_that_was_held_for_possible_identify_nothing() -> None:
    with pytest.raises(NotIdentified, match="most labels lie beyond"):
        PitIsotonic().fit(*standard([50.0] * 300))
    with pytest.raises(NotIdentified, match="most labels lie beyond"):
        PitIsotonic().fit(*standard([-50.0] * 300))


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"x": [0.1]}, "parameters"),
        ({"x": [0.1], "y": [0.1, 0.2]}, "parameters.y"),
        ({"x": [], "y": []}, "parameters.x"),
        ({"x": [0.2, 0.1], "y": [0.1, 0.2]}, "parameters.x"),
        ({"x": [0.1, 0.2], "y": [0.2, 0.2]}, "parameters.y"),
        ({"x": [0.1, 0.2], "y": [0.0, 0.2]}, "parameters.y"),
        ({"x": [0.1, 0.2], "y": [0.1, 1.0]}, "parameters.y"),
        ({"x": [0.1, 1.2], "y": [0.1, 0.2]}, "parameters.x[1]"),
        ({"x": [0.1, float("nan")], "y": [0.1, 0.2]}, "parameters.x[1]"),
    ],
)
def test_a_document_that_is_no_map_of_levels_is_refused(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(BadDocument) as caught:
        from_document({**DOCUMENT, "parameters": parameters})
    assert caught.value.field == field


def test_a_fitted_one_comes_back_from_its_document() -> None:
    fitted = make("pit_isotonic", task="regression").fit(*standard(np.random.default_rng(5).normal(0, 2, 500)))
    again = from_document(fitted.to_document())
    rows = objects([Distribution((), (1.0, 2.0)), Distribution((100, 900), (1.0, 2.0))])
    assert again.to_document() == fitted.to_document()
    assert again.predict_proba(rows).tolist() == fitted.predict_proba(rows).tolist()


def test_a_map_that_changes_nothing_serves_a_normal_distribution_by_its_quantiles() -> None:
    identity = {**DOCUMENT, "parameters": {"x": list(KNOTS), "y": list(KNOTS)}}
    served = compile_distribution(identity)(Distribution((), (5.0, 2.0)))
    np.testing.assert_allclose(served.values, norm.ppf(np.array(served.levels) / 1000, 5.0, 2.0), rtol=1e-12)
    raw = Distribution(THOUSANDTHS, (-1.0, 0.0, 0.0, 4.0, 5.0))
    np.testing.assert_allclose(compile_distribution(identity)(raw).values, raw.values, atol=1e-12)


quantile_rows = st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5).map(sorted)


@given(st.lists(quantile_rows, min_size=1, max_size=5))
def test_the_three_forms_agree_on_quantiles_which_do_not_fall(rows: list[list[float]]) -> None:
    apply, many = compile_distribution(DOCUMENT), compile_distributions(DOCUMENT)
    served = from_document(DOCUMENT).predict_proba(distributions(rows, LEVELS))
    assert [each.values for each in served] == [apply(Distribution(THOUSANDTHS, tuple(row))).values for row in rows]
    assert all(low <= high for each in served for low, high in pairwise(each.values))
    levels, values = many(THOUSANDTHS, np.array(rows))
    assert (levels, values.tolist()) == (THOUSANDTHS, [list(each.values) for each in served])


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=5))
def test_the_three_forms_agree_on_normal_distributions(rows: list[tuple[float, float]]) -> None:
    apply, many = compile_distribution(DOCUMENT), compile_distributions(DOCUMENT)
    served = from_document(DOCUMENT).predict_proba(np.array(rows))
    assert [each.values for each in served] == [apply(Distribution((), row)).values for row in rows]
    levels, values = many((), np.array(rows))
    assert (levels, values.tolist()) == (SERVED_LEVELS, [list(each.values) for each in served])


@given(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0]), min_size=5, max_size=5).map(sorted), st.floats(-4, 4))
def test_ranks_and_scores_are_those_that_figures_are_of(row: list[float], y: float) -> None:
    for label in (y, *row):
        (group,) = groups(objects([Distribution(THOUSANDTHS, tuple(row), chance=0.3)]))
        expected = of_quantiles(THOUSANDTHS, tuple(row), label, chance=0.3)
        at = np.array([label])
        assert drawn_ranks(group, at)[0] == pytest.approx(expected.pit, abs=1e-12)
        assert crps(group, at)[0] == pytest.approx(expected.crps, abs=1e-12)


@given(st.floats(-5, 5), st.floats(-100, 100), st.floats(0.01, 100))
def test_quantiles_of_a_normal_distribution_are_completed_to_it(z: float, mean: float, std: float) -> None:
    y = np.array([mean + z * std])
    (normal,) = groups(distributions([[mean, std]]))
    assert completed_ranks(normal, y)[0] == pytest.approx(norm.cdf((y[0] - mean) / std), rel=1e-9)
    assert completed_ranks(quantiles(normal), y)[0] == pytest.approx(completed_ranks(normal, y)[0], rel=1e-6)


def test_a_label_among_equal_quantiles_has_a_level_drawn_from_theirs() -> None:
    rows = [Distribution(THOUSANDTHS, (0.0, 0.0, 0.0, 1.0, 2.0), chance=chance) for chance in (0.1, 0.9)]
    (group,) = groups(objects(rows))
    np.testing.assert_allclose(completed_ranks(group, np.zeros(2)), [0.05 + 0.1 * 0.45, 0.05 + 0.9 * 0.45])
    np.testing.assert_allclose(completed_ranks(group, np.array([1.0, 2.0])), [0.75, 0.95], rtol=1e-12)


def test_a_point_is_a_distribution_too() -> None:
    (group,) = groups(objects([Distribution((100, 900), (1.0, 1.0), chance=0.5)] * 3))
    np.testing.assert_allclose(completed_ranks(group, np.array([0.5, 1.0, 1.5])), [0.0, 0.5, 1.0])
