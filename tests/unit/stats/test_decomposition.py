"""Parts of the Brier score add up to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.stats.cells import BIN_COUNTS, Cells
from monitor.stats.decomposition import corp, murphy
from monitor.stats.reliability import Bins, bins_of, distinct
from monitor.stats.scores import brier

confidences = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
windows = st.lists(st.tuples(confidences, st.integers(0, 1)), min_size=1, max_size=40)


def columns(window: list[tuple[float, int]]) -> tuple[list[float], list[int]]:
    return [p for p, _ in window], [y for _, y in window]


@settings(max_examples=100, deadline=None)
@given(window=windows, bins=st.sampled_from(BIN_COUNTS))
def test_murphys_terms_add_up_to_the_brier_score(window: list[tuple[float, int]], bins: int) -> None:
    p, y = columns(window)
    parts = murphy(bins_of(Cells.from_rows(p, y), bins))
    assert parts is not None
    binned = parts.reliability - parts.resolution + parts.uncertainty
    assert np.mean((np.array(p) - y) ** 2) == pytest.approx(
        binned + parts.within_bin_variance - parts.within_bin_covariance, abs=1e-12
    )


@settings(max_examples=100, deadline=None)
@given(window=windows)
def test_corps_terms_add_up_to_the_brier_score(window: list[tuple[float, int]]) -> None:
    cells = Cells.from_rows(*columns(window))
    parts = corp(cells)
    assert parts is not None
    assert brier(cells) == pytest.approx(parts.miscalibration - parts.discrimination + parts.uncertainty, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(window=windows)
def test_corps_parts_of_rows_are_never_negative(window: list[tuple[float, int]]) -> None:
    parts = corp(distinct(*columns(window)))
    assert parts is not None
    assert min(parts.miscalibration, parts.discrimination, parts.uncertainty) >= -1e-12


def test_bins_of_one_value_each_leave_nothing_within() -> None:
    parts = murphy(Bins.from_rows([0.25, 0.25, 0.75], [0, 1, 1], 2))
    assert parts is not None
    assert (parts.within_bin_variance, parts.within_bin_covariance) == (0, 0)


def test_corp_averages_ties_whatever_their_order() -> None:
    # Taken in this order without averaging, PAV would fit the rows perfectly.
    parts = corp(distinct([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1]))
    assert parts is not None
    assert (parts.miscalibration, parts.discrimination) == (0, 0)


def test_nothing_decomposes_into_none() -> None:
    assert murphy(Bins.from_rows([], [], 10)) is None
    assert corp(Cells.from_rows([], [])) is None


@pytest.mark.parametrize("outcome", [0, 1])
def test_one_class_has_no_uncertainty(outcome: int) -> None:
    parts = corp(Cells.from_rows([0.0, 0.3, 1.0], [outcome] * 3))
    assert parts is not None
    assert (parts.uncertainty, parts.discrimination) == (0, 0)
