"""Warnings at a limited rate, so that an outage of an hour fills few lines of the log."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LOGGER: Final = logging.getLogger("calwatch.client")


class LimitedWarnings:
    """Writes at most one warning per topic and period, with the number of omitted ones."""

    def __init__(self, period: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(self, topic: str, message: str) -> None:
        """Write a warning unless one on its topic was written in this period; never raise."""
        now = self._clock()
        if now < self._next.get(topic, now):
            self._left_out[topic] = self._left_out.get(topic, 0) + 1
            return
        self._next[topic] = now + self._period
        left_out = self._left_out.pop(topic, 0)
        with suppress(Exception):  # a log handler's failure is not the serving code's
            LOGGER.warning("%s%s", message, f" ({left_out} more like this before)" if left_out else "")


def described(error: BaseException) -> str:
    """Return an error as one bounded line, even if its own text raises."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the error may hold an object whose repr raises
        text = ""
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
