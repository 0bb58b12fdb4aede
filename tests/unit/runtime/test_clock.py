"""The server's time follows a file where one is set."""

import pytest

from monitor.domain.errors import ConfigError
from monitor.domain.times import HOUR
from monitor.runtime.clock import clock_of, wall_clock


def test_without_a_file_it_is_the_wall_clock(tmp_path):
    assert clock_of("") is wall_clock
    before = wall_clock()
    assert before <= clock_of(str(tmp_path / "none"))() <= wall_clock()


def test_a_file_sets_it_and_the_wall_clock_comes_back_when_it_is_gone(tmp_path):
    file = tmp_path / "clock"
    now = clock_of(str(file))
    file.write_text("2026-01-05T12:00:00Z\n")
    noon = now()
    assert noon == now() == 1_767_614_400_000_000
    file.write_text("2026-01-05T13:00:00+00:00")
    assert now() == noon + HOUR
    file.unlink()
    assert now() > noon + HOUR


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"noon",
        b"2026-01-05T12:00:00",
        b"1767614400",
        b"1960-01-01T00:00:00Z",
        b"9999-12-31T23:59:59Z",
        b"\xff\xfe",
    ],
)
def test_a_file_without_a_time_that_events_can_have_is_refused_by_name(tmp_path, text):
    file = tmp_path / "clock"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match="CALWATCH_CLOCK_FILE"):
        clock_of(str(file))()
