"""Variance scaling: the width that labels have, in three forms that agree."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scoringrules import crps_normal

from monitor.calibrators.compiled import compile_distribution, compile_distributions
from monitor.calibrators.distribution_rows import distributions, groups, middles, objects
from monitor.calibrators.distributions import Distribution, median
from monitor.calibrators.errors import BadDocument, NotIdentified
from monitor.calibrators.families import from_document, make
from monitor.calibrators.variance_scaling import VarianceScaling
from monitor.stats import regression

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
DOCUMENT = {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 1.7}}


def normals(seed: int, n: int, width: float) -> tuple[Any, Any]:
    """Return means and standard deviations, and labels whose own are `width` times as large."""
    dice = np.random.default_rng(seed)
    stated = np.column_stack([dice.normal(0, 100, n), np.exp(dice.normal(0, 2, n))])
    return stated, dice.normal(stated[:, 0], width * stated[:, 1])


def test_the_factor_minimises_the_crps_in_units_of_what_was_stated() -> None:
    stated, y = normals(0, 800, 1.6)
    z = (y - stated[:, 0]) / stated[:, 1]
    best = minimize_scalar(lambda s: crps_normal(z, 0.0, s).mean(), bounds=(0.1, 10.0), method="bounded")
    assert VarianceScaling().fit(stated, y).scale_ == pytest.approx(best.x, rel=1e-4)


@pytest.mark.parametrize("width", [0.2, 1.0, 30.0])
def test_the_factor_is_that_of_normal_errors(width: float) -> None:
    n = 10_000
    found = VarianceScaling().fit(*normals(1, n, width)).scale_ / width
    assert abs(math.log(found)) < 4 * math.sqrt(0.619 / n)  # 1.24 times the variance of the maximum of the likelihood


def test_the_factor_of_quantiles_is_that_of_normal_errors() -> None:
    stated, y = normals(2, 6_000, 1.5)
    z = np.array([-1.6448536, -0.6744898, 0.0, 0.6744898, 1.6448536])
    quantiles = stated[:, :1] + stated[:, 1:] * z
    assert VarianceScaling(levels=LEVELS).fit(quantiles, y).scale_ == pytest.approx(1.5, rel=0.05)


def test_one_wrong_label_moves_the_factor_hardly() -> None:
    stated, y = normals(3, 1_000, 1.0)
    before = VarianceScaling().fit(stated, y).scale_
    y[0] = 1e9
    assert VarianceScaling().fit(stated, y).scale_ == pytest.approx(before, rel=0.005)
    assert math.sqrt((((y - stated[:, 0]) / stated[:, 1]) ** 2).mean()) > 1e6


def test_weights_count_rows() -> None:
    stated, y = normals(4, 300, 1.3)
    weight = np.random.default_rng(5).integers(0, 4, 300)
    repeated = VarianceScaling().fit(np.repeat(stated, weight, axis=0), np.repeat(y, weight))
    assert VarianceScaling().fit(stated, y, weight).scale_ == pytest.approx(repeated.scale_, rel=1e-12)


def test_both_forms_are_fitted_together() -> None:
    stated, y = normals(6, 4_000, 2.0)
    rows = distributions(stated)
    z = np.array([-1.2815516, 0.0, 1.2815516])
    mixed = objects(
        row if i % 2 else Distribution((100, 500, 900), tuple(row.values[0] + row.values[1] * z))
        for i, row in enumerate(rows)
    )
    assert VarianceScaling().fit(mixed, y).scale_ == pytest.approx(2.0, rel=0.08)


@pytest.mark.parametrize(
    ("X", "y", "why"),
    [
        ([[0.0, 1.0]], [1e9], "more than 1000 times farther"),
        ([[0.0, 1.0]], [0.0], "more than 1000 times closer"),
        ([[0.0, 1.0]], [1.0, 2.0], "y has shape"),
        ([[0.0, 1.0]], [math.nan], "not finite"),
        ([[0.0, 0.0]], [1.0], "standard deviation above 0"),
        ([[0.0, math.inf]], [1.0], "must be finite"),
        ([[0.0, 1.0, 2.0]], [1.0], "shape \\(n, 2\\)"),
        ([0.5], [1.0], "shape \\(n, 2\\)"),
        (["a"], [1.0], "not an array of numbers"),
    ],
)
def test_fit_names_what_is_wrong(X: Any, y: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        VarianceScaling().fit(X, y)


def test_quantiles_without_any_width_identify_nothing() -> None:
    with pytest.raises(NotIdentified, match="no width"):
        VarianceScaling(levels=(0.1, 0.9)).fit([[1.0, 1.0]] * 5, [0.0, 1.0, 2.0, 3.0, 4.0])
    with pytest.raises(NotIdentified, match="no rows"):
        VarianceScaling().fit([[0.0, 1.0]], [1.0], [0.0])


@pytest.mark.parametrize("parameters", [{}, {"scale": 0.0}, {"scale": 1e4}, {"scale": "2"}, {"scale": 2.0, "shift": 0}])
def test_a_document_with_other_parameters_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(BadDocument):
        from_document({**DOCUMENT, "parameters": parameters})
    with pytest.raises(BadDocument):
        from_document({**DOCUMENT, "task": "binary"})


def test_a_fitted_one_comes_back_from_its_document() -> None:
    fitted = make("variance_scaling", task="regression").fit(*normals(7, 500, 1.2))
    again = from_document(fitted.to_document())
    rows = distributions([[1.0, 2.0]])
    assert again.to_document() == fitted.to_document()
    assert again.predict_proba(rows)[0] == fitted.predict_proba(rows)[0]


quantile_rows = st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5).map(sorted)


@given(st.lists(quantile_rows, min_size=1, max_size=5), st.floats(0.01, 100))
def test_medians_stay_and_quantiles_do_not_fall(rows: list[list[float]], scale: float) -> None:
    document = {**DOCUMENT, "parameters": {"scale": scale}}
    given_rows = distributions(rows, LEVELS)
    for before, after in zip(given_rows, from_document(document).predict_proba(given_rows), strict=True):
        assert after.location == before.location
        assert all(low <= high for low, high in pairwise(after.values))


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6)), min_size=1, max_size=5))
def test_the_three_forms_agree_on_normal_distributions(rows: list[tuple[float, float]]) -> None:
    apply, many = compile_distribution(DOCUMENT), compile_distributions(DOCUMENT)
    served = from_document(DOCUMENT).predict_proba(np.array(rows))
    assert [each.values for each in served] == [apply(Distribution((), row)).values for row in rows]
    assert many((), np.array(rows))[1].tolist() == [list(each.values) for each in served]


@given(st.lists(quantile_rows, min_size=1, max_size=5))
def test_the_three_forms_agree_on_quantiles(rows: list[list[float]]) -> None:
    levels = (50, 250, 500, 750, 950)
    apply, many = compile_distribution(DOCUMENT), compile_distributions(DOCUMENT)
    served = from_document(DOCUMENT).predict_proba(distributions(rows, LEVELS))
    assert [each.values for each in served] == [apply(Distribution(levels, tuple(row))).values for row in rows]
    assert many(levels, np.array(rows))[1].tolist() == [list(each.values) for each in served]


@pytest.mark.parametrize("levels", [(250, 750), (100, 400, 600), (500, 900), (600, 900), (10, 20, 30)])
def test_the_median_is_the_one_that_figures_are_of(levels: tuple[int, ...]) -> None:
    values = tuple(float(level**1.5) for level in levels)
    assert median(levels, values) == pytest.approx(regression.median(levels, values), rel=1e-12)
    (group,) = groups(objects([Distribution(levels, values)]))
    assert middles(group).tolist() == [median(levels, values)]


@pytest.mark.parametrize(
    ("levels", "values", "why"),
    [
        ((), (1.0,), "mean and a standard deviation"),
        ((), (1.0, -1.0), "mean and a standard deviation"),
        ((), (math.nan, 1.0), "finite"),
        ((500,), (1.0,), "two or more"),
        ((100, 900), (1.0,), "as many of each"),
        ((900, 100), (1.0, 2.0), "must rise"),
        ((0, 900), (1.0, 2.0), "must rise"),
        ((100, 1000), (1.0, 2.0), "must rise"),
        ((100, 900), (2.0, 1.0), "must not fall"),
    ],
)
def test_what_is_no_distribution_is_refused(levels: tuple[int, ...], values: tuple[float, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Distribution(levels, values)
    if len(levels) != 1 and len(levels or (0, 0)) == len(values):
        with pytest.raises(ValueError, match=r"must|two or more"):
            compile_distributions(DOCUMENT)(levels, np.array([values]))
