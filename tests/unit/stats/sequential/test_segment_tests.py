"""Tests of a model's segments at the levels that they are given: who is named, and who is not."""

import numpy as np

from tests.benchmarks.segment_alerts import reached

DAY = 24 * 60


def test_two_segments_off_in_opposite_directions_are_named_and_no_other() -> None:
    flags = reached((0.08, -0.08, 0.0, 0.0), range(6), minutes=DAY)
    assert flags[:, :2].all()
    assert not flags[:, 2:].any()


def test_segments_at_their_threshold_are_never_named() -> None:
    assert not reached((0.02, -0.02, 0.0), range(10), labels=2_000, minutes=DAY).any()


def test_a_segment_of_few_labels_is_not_named_by_chance() -> None:
    flags = reached((0.0,) * 10, range(10), labels=100, minutes=DAY)
    np.testing.assert_array_equal(flags, np.zeros((10, 10), dtype=bool))
