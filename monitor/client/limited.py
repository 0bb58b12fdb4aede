"""Warnings at a limited rate, so that an outage of an hour fills few lines of the log, and hides no other fault."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

LOGGER: Final = logging.getLogger("calwatch.client")

MOST_KINDS: Final = 100
"""Kinds of fault that are told apart; later ones share the limit of their topic."""


class LimitedWarnings:
    """Writes at most one warning per topic, kind of fault and period, with the number of omitted ones."""

    def __init__(self, period: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def warn(self, topic: str, message: str, kind: str = "") -> None:
        """Write a warning unless one on its topic and of its kind was written in this period; never raise."""
        now, key = self._clock(), (topic, kind)
        if key not in self._next and len(self._next) >= MOST_KINDS:
            key = (topic, "")
        if now < self._next.get(key, now):
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return
        self._next[key] = now + self._period
        left_out = self._left_out.pop(key, 0)
        with suppress(Exception):  # a log handler's failure is not the serving code's
            LOGGER.warning("%s%s", message, f" ({left_out} more like this before)" if left_out else "")

    def fault(self, topic: str, consequence: str, error: BaseException) -> None:
        """Write a warning of a fault; faults that differ only in values are of one kind."""
        text = described(error)
        self.warn(topic, f"{consequence}: {text}", kind=kind_of(text))


def kind_of(text: str) -> str:
    """Return what a message says without its numbers and quoted values.

    >>> kind_of("BadInput: event_id is 'order-7': it must have 1 to 200 characters")
    'BadInput: event_id is #: it must have # to # characters'
    """
    return _VALUES.sub("#", text)


def described(error: BaseException) -> str:
    """Return an error as one bounded line, even if its own text raises."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the error may hold an object whose repr raises
        text = ""
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


_VALUES: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d[\d.e+-]*""")
