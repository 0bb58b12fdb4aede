"""What waits to be sent: a bounded queue which accounts for everything that was ever handed to it.

An item stays in the queue until the server has answered for it, so nothing is lost between the queue and the wire, and at any moment
logged = sent + rejected + dropped + queued.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What became of everything that was logged, `logged` being the sum of the next four; and how the calibrator fares."""

    logged: int  # events and labels handed to the client
    sent: int  # committed by the server
    rejected: int  # refused by the server, with a reason
    dropped: int  # given up by the client: queue full, no JSON form, or unsent at close
    queued: int  # waiting, or on the way
    calibrator_version: int | None = None  # number of the champion in force; None: none is
    calibrator_age_seconds: float | None = (
        None  # since the server last said that this is what serves; None: it never has
    )
    fetch_failed: int = 0  # times that it did not say what serves
    cache_corrupt: int = 0  # files of the cache that were not used: unreadable, or not verified
    cache_unwritten: int = 0  # times that the cache could not be written


class Outbox:
    """A bounded queue of encoded events, first in first out; every method may be called from any thread."""

    def __init__(self, *, size: int, largest: int, batch_size: int, wake: Callable[[], None]) -> None:
        self._size = size
        self._largest = largest
        self._batch_size = batch_size
        self._wake = wake
        self.reset()

    def reset(self) -> None:
        """Start empty, with locks of its own: a forked child's parent still has the items and sends them."""
        # Reentrant, since a signal handler may log while the thread that it interrupted is in here.
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._logged = self._sent = self._rejected = self._dropped = 0
        self._closed = False
        self._wanted = 0  # somebody waits until this many have been settled
        self._flushes = 0

    def add(self, item: bytes) -> bool:
        """Queue an item and return True, or count it as dropped and return False when there is no room."""
        with self._lock:
            self._logged += 1
            if self._closed or len(self._items) >= self._size or self._bytes + len(item) > self._largest:
                self._dropped += 1
                return False
            self._items.append(item)
            self._bytes += len(item)
            # Only when the batch becomes full: in an outage each further item would wake the sender for nothing.
            batch_is_full = len(self._items) == self._batch_size
        if batch_is_full:
            self._wake()
        return True

    def drop(self) -> None:
        """Count an item that can't be queued."""
        with self._lock:
            self._logged += 1
            self._dropped += 1

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return up to that many of the oldest items, and at least one unless empty, within that many bytes; they stay queued."""
        with self._lock:
            batch = list(islice(self._items, count))
        total = 0
        for position, item in enumerate(batch):
            total += len(item)
            if total > largest and position:
                return batch[:position]
        return batch

    def settle(self, *, sent: int = 0, rejected: int = 0) -> None:
        """Remove the oldest items, which the server has answered for."""
        with self._settled:
            if self._closed:
                return  # counted as dropped already
            for _ in range(sent + rejected):
                self._bytes -= len(self._items.popleft())
            self._sent += sent
            self._rejected += rejected
            self._settled.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued so far is settled, for a bounded time; return whether it is."""
        with self._settled:
            target = self._out + len(self._items)
            self._wanted = max(self._wanted, target)
            self._flushes += 1
            self._wake()
            return self._settled.wait_for(lambda: self._out >= target or self._closed, timeout) and self._out >= target

    def close(self) -> int:
        """Take no more items, count those left as dropped and return how many they were."""
        with self._settled:
            left = 0 if self._closed else len(self._items)
            self._dropped += left
            self._items.clear()
            self._bytes = 0
            self._closed = True
            self._settled.notify_all()
        return left

    @property
    def urgent(self) -> bool:
        """Whether items should go now rather than wait for company: somebody flushes, or a whole batch is there."""
        with self._lock:
            return bool(self._items) and (self._out < self._wanted or len(self._items) >= self._batch_size)

    @property
    def flushes(self) -> int:
        """How often somebody asked for everything to be sent now."""
        return self._flushes

    @property
    def stats(self) -> Stats:
        """The counts, taken at one moment."""
        with self._lock:
            return Stats(
                logged=self._logged,
                sent=self._sent,
                rejected=self._rejected,
                dropped=self._dropped,
                queued=len(self._items),
            )

    @property
    def _out(self) -> int:
        return self._sent + self._rejected
