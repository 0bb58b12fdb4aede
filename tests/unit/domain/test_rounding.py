"""What rounded values mean: corrections depend on the values alone, change little, and change nothing twice."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.rounding import (
    COARSE,
    SINGLE,
    SUM_TOLERANCE,
    SUMMED,
    as_distribution,
    ascending,
    clamped,
    corrections,
    fall_of,
    needs_nothing,
    off_by,
)

NEAR = st.floats(-SINGLE, 1.0 + SINGLE)
SHARES = st.lists(st.floats(0.001, 1.0), min_size=2, max_size=30)


@st.composite
def near_vectors(draw: st.DrawFn) -> list[float]:
    """Return a vector whose sum is within rounding to 16 bits of 1."""
    shares, off = draw(SHARES), draw(st.floats(-COARSE, COARSE))
    return [share / sum(shares) * (1.0 + off) for share in shares]


@given(NEAR)
def test_a_clamped_number_is_a_probability_nearby(p: float) -> None:
    assert 0.0 <= clamped(p) <= 1.0
    assert abs(clamped(p) - p) <= SINGLE * (1.0 + 1e-9)
    assert clamped(clamped(p)) == clamped(p)


@given(st.floats(0.0, 1.0))
def test_a_probability_is_not_touched(p: float) -> None:
    assert clamped(p) == p


@given(near_vectors())
def test_a_vector_is_brought_to_one_only_where_it_is_off(vector: list[float]) -> None:
    meant = as_distribution(vector)

    if abs(sum(vector) - 1.0) <= SUM_TOLERANCE:
        assert meant == vector
    if off_by(vector) > 0.0:
        assert sum(meant) == pytest.approx(1.0, abs=1e-12)
        assert corrections([vector]) == ("normalized",)
    assert as_distribution(meant) == meant
    assert max(abs(now - then) for now, then in zip(meant, vector, strict=True)) <= COARSE * 1.1


@given(st.lists(NEAR, min_size=2, max_size=30))
def test_the_order_of_classes_is_kept(vector: list[float]) -> None:
    if off_by(vector) <= COARSE:
        meant = as_distribution(vector)
        assert all(0.0 <= p <= 1.0 for p in meant)
        places = range(len(vector))
        assert all(meant[i] <= meant[j] for i in places for j in places if vector[i] <= vector[j])


@given(near_vectors())
def test_a_vector_that_needs_nothing_is_read_as_it_was_sent(vector: list[float]) -> None:
    assert needs_nothing(vector) <= (as_distribution(vector) == vector)
    assert needs_nothing(vector) <= (corrections([vector]) == ())


@pytest.mark.parametrize("vector", [[math.nan, 0.5], [math.inf, -math.inf], [2.0, -1.0]])
def test_a_vector_of_no_probabilities_needs_something(vector: list[float]) -> None:
    assert not needs_nothing(vector)


def test_sums_at_the_edge_of_a_thousandth_are_taken_in_any_order() -> None:
    vector = [0.333, 0.333, 0.333]

    assert off_by(vector) == off_by(vector[::-1]) == 0.0
    assert off_by([0.5, 0.5 + SUM_TOLERANCE + 3 * SUMMED]) > 0.0


@given(st.lists(st.floats(-1e60, 1e60), min_size=2, max_size=30))
def test_quantiles_are_sorted_only_where_they_cross_by_rounding(quantiles: list[float]) -> None:
    meant = [*ascending(quantiles)]

    assert meant == (sorted(quantiles) if fall_of(quantiles) <= COARSE else quantiles)
    assert fall_of(sorted(quantiles)) == 0.0
