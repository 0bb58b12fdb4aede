"""Scores of a window as a whole."""

import math

import numpy as np
import pytest

from monitor.stats.cells import Cells
from monitor.stats.scores import accuracy, brier, calibration_in_the_large_z, folded, mean_confidence, spiegelhalter_z


def test_scores_of_merged_cells_are_those_of_all_rows() -> None:
    generator = np.random.default_rng(1)
    p = generator.integers(0, 2**20 + 1, 500) / 2**20
    y = generator.integers(0, 2, 500)
    merged = Cells.from_rows(p[:123], y[:123]) + Cells.from_rows(p[123:], y[123:])
    assert float(np.mean((p - y) ** 2)) == pytest.approx(brier(merged), abs=1e-12)
    assert float(np.mean(p)) == pytest.approx(mean_confidence(merged), abs=1e-12)
    assert float(np.mean((p > 0.5) == y)) == accuracy(merged, binary=True)
    assert float(np.mean(y)) == accuracy(merged, binary=False)
    assert float((y - p).sum() / np.sqrt((p * (1 - p)).sum())) == pytest.approx(calibration_in_the_large_z(merged))


def test_folding_is_that_of_the_rows() -> None:
    generator = np.random.default_rng(2)
    p = np.concatenate([generator.random(300), [0.0, 0.5, 1.0, math.nextafter(0.5, 0), math.nextafter(0.5, 1)]])
    y = generator.integers(0, 2, len(p))
    turned, direct = folded(Cells.from_rows(p, y)), Cells.from_rows(np.where(p > 0.5, p, 1 - p), (p > 0.5) == y)
    for name in Cells.__slots__:
        assert getattr(direct, name).sum() == pytest.approx(getattr(turned, name).sum(), abs=1e-10), name


def test_a_half_counts_as_the_answer_no() -> None:
    assert accuracy(Cells.from_rows([0.5, 0.5, 0.5], [0, 0, 1]), binary=True) == pytest.approx(2 / 3)


def test_an_empty_window_has_no_scores() -> None:
    empty = Cells.from_rows([], [])
    assert [
        brier(empty),
        mean_confidence(empty),
        accuracy(empty, binary=True),
        accuracy(empty, binary=False),
    ] == [None] * 4
    assert calibration_in_the_large_z(empty) is None
    assert spiegelhalter_z(0.0, 0.0) is None


def test_certain_forecasts_have_no_z() -> None:
    assert calibration_in_the_large_z(Cells.from_rows([0.0, 1.0, 1.0], [0, 1, 0])) is None
    assert spiegelhalter_z(1.0, 0.0) is None


def test_z_of_calibrated_windows_is_standard() -> None:
    generator = np.random.default_rng(3)
    p = generator.random((400, 300))
    found = [calibration_in_the_large_z(Cells.from_rows(row, generator.random(300) < row)) for row in p]
    assert np.std(np.array(found, dtype=float)) == pytest.approx(1, abs=0.12)
    assert abs(np.mean(np.array(found, dtype=float))) < 0.2
