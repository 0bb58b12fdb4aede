"""Settings of a model."""

from monitor.domain.settings import ModelSettings
from monitor.domain.times import DAY


def test_the_longest_window_is_told_by_its_length_not_by_its_place():
    assert ModelSettings(windows=("90m", "2d", "24h")).longest_window == 2 * DAY
