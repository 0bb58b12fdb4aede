"""Warnings at a limited rate: an outage of an hour is a few lines in the log of serving code, not a million."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LOGGER: Final = logging.getLogger("monitor.client")


class LimitedWarnings:
    """Writes at most one warning of each kind in a period, with the number of those it left out."""

    def __init__(self, period: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warn(self, kind: str, message: str) -> None:
        """Write a warning unless one of its kind was written a short time ago; never raise."""
        now = self._clock()
        if now < self._next.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._next[kind] = now + self._period
        left_out = self._left_out.pop(kind, 0)
        with suppress(Exception):  # a log handler's failure is not the serving code's
            LOGGER.warning("%s%s", message, f" ({left_out} more like this before)" if left_out else "")


def described(error: BaseException) -> str:
    """Return an error as one bounded line, even if its own text can't be made."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the error may hold an object whose repr raises
        text = ""
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
