"""How a model's false-alarm rate is spent over its tests."""

import numpy as np
import pytest

from monitor.stats.sequential.spending import level, spent


def test_levels_of_both_halves_sum_to_the_rate() -> None:
    levels = [level(start, 0.01) for start in range(1, 10_001)]
    assert 0.00999 < 2 * sum(levels) < 0.01
    assert spent(10_000, 0.01) == pytest.approx(sum(levels))


def test_first_tests_get_most() -> None:
    assert np.log(1 / level(1, 0.01)) == pytest.approx(np.log(400))
    assert [0.01 / level(start, 0.01) for start in (1, 2, 5, 200)] == pytest.approx([4, 12, 60, 80_400])


def test_nothing_is_spent_before_a_test_has_started() -> None:
    assert spent(0, 0.01) == 0
    with pytest.raises(ValueError, match="counted from 1, not 0"):
        level(0, 0.01)
