"""The server's time: the wall clock, or one that a file sets, so that history can be played faster than it happened."""

import time
from collections.abc import Callable
from pathlib import Path

from ..domain.errors import BadInput, ConfigError
from ..domain.times import parse_bound

Clock = Callable[[], int]
"""Returns the time in microseconds since 1970."""


def wall_clock() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def clock_of(path: str) -> Clock:
    """Return a clock that shows the RFC 3339 time in a file, and the wall clock's while there is no file; without a path, the wall clock.

    Raises
    ------
    ConfigError
        from the clock, when the file holds no time, or one that events cannot have.

    """
    if not path:
        return wall_clock
    file = Path(path)

    def set_by_file() -> int:
        try:
            text = file.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return wall_clock()
        try:
            return parse_bound("CALWATCH_CLOCK_FILE", text)
        except BadInput as error:
            raise ConfigError(f"the file of CALWATCH_CLOCK_FILE holds no time: {error}") from None

    return set_by_file
