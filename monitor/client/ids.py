"""Time-ordered event ids: UUIDs of version 7 (RFC 9562, method 3 of section 6.2), which Python 3.11 lacks."""

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

VERSION: Final = 0x7000
VARIANT: Final = 1 << 63
RANDOM_BITS: Final = 62

EventId = str | UUID | int
"""What an event may be named by."""


class TimeOrderedIds:
    """Makes ids that sort by the time of their creation, across all threads of the process."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Take a new seed, as a forked child must."""
        # Not secrets.randbits: its system call costs more than the rest of the id.
        self._random = random.Random(os.urandom(32))  # noqa: S311  an id is no secret
        self._lock = threading.RLock()
        self._last = 0

    def new(self) -> str:
        """Return a new id.

        Its first 60 bits are the time in ticks of 1/4096 ms, at least one more than in the id before, so that ids stay in order
        when the clock stops or steps back; the rest is random.
        """
        ticks = (self._clock() << 12) // 1_000_000
        with self._lock:
            if ticks <= self._last:
                ticks = self._last + 1
            self._last = ticks
        high = (ticks >> 12) << 16 | VERSION | ticks & 0xFFF
        digits = (high << 64 | VARIANT | self._random.getrandbits(RANDOM_BITS)).to_bytes(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
