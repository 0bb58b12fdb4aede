"""A bounded queue of events to be sent, which accounts for every event.

An item stays queued until the server has answered for it, so nothing is lost between the queue and the network, and at any moment
logged = sent + rejected + dropped + queued.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Counts of logged events, `logged` being the sum of the next four, and the state of the calibrator."""

    logged: int  # events and labels given to the client
    sent: int  # stored by the server
    rejected: int  # refused by the server, with a reason
    dropped: int  # given up by the client: queue full, no JSON form, or unsent when closed
    queued: int  # waiting, or under way
    calibrator_version: int | None = None  # number of the champion in service; None: none
    calibrator_age_seconds: float | None = None  # since the server last confirmed the calibrator; None: never
    fetch_failed: int = 0  # fetches of the calibrator without a valid answer
    cache_corrupt: int = 0  # unusable files of the cache: unreadable, or not verified
    cache_unwritten: int = 0  # failed writes of the cache


class Outbox:
    """A bounded queue of encoded events, first in first out; safe to call from any thread."""

    def __init__(self, *, size: int, largest: int, batch_size: int, wake: Callable[[], None]) -> None:
        self._size = size
        self._largest = largest
        self._batch_size = batch_size
        self._wake = wake
        self.reset()

    def reset(self) -> None:
        """Empty the queue and take new locks, as a forked child must: its parent sends the items."""
        # Reentrant, since a signal handler may log while it interrupts a thread in here.
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._logged = self._sent = self._rejected = self._dropped = 0
        self._closed = False
        self._wanted = 0  # a flush waits until this many are settled
        self._flushes = 0
        self._abandoned = False  # the items under way were

    def add(self, item: bytes, wait: float = 0.0) -> bool:
        """Queue an item and return True, or count it as dropped and return False if the queue is full for `wait` seconds."""
        with self._lock:
            is_full = self._is_full_for(item)
            if is_full and wait and len(item) <= self._largest and not self._closed:
                self.hurry()
                is_full = not self._settled.wait_for(lambda: self._closed or not self._is_full_for(item), wait)
            self._logged += 1
            if is_full or self._closed:
                self._dropped += 1
                return False
            self._items.append(item)
            self._bytes += len(item)
            # Only when the batch becomes full: in an outage every further item would wake the sender in vain.
            batch_is_full = len(self._items) == self._batch_size
        if batch_is_full:
            self._wake()
        return True

    def drop(self) -> None:
        """Count an item that cannot be queued as dropped."""
        with self._lock:
            self._logged += 1
            self._dropped += 1

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return the oldest items, at most `count` and `largest` bytes but at least one unless empty; they stay queued."""
        with self._lock:
            self._abandoned = False
            batch = list(islice(self._items, count))
        total = 0
        for position, item in enumerate(batch):
            total += len(item)
            if total > largest and position:
                return batch[:position]
        return batch

    def settle(self, *, sent: int = 0, rejected: int = 0) -> None:
        """Remove the oldest items, for which the server has answered."""
        with self._settled:
            if self._abandoned:
                return  # counted as dropped already
            for _ in range(sent + rejected):
                self._bytes -= len(self._items.popleft())
            self._sent += sent
            self._rejected += rejected
            self._settled.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until all items queued so far are settled; return False after `timeout` seconds."""
        with self._settled:
            target = self.hurry()
            return self._settled.wait_for(lambda: self._out >= target or self._closed, timeout) and self._out >= target

    def hurry(self) -> int:
        """Have all items queued so far sent at once; return how many are out when that is done."""
        with self._lock:
            target = self._out + len(self._items)
            self._wanted = max(self._wanted, target)
            self._flushes += 1
            self._wake()
        return target

    def close(self) -> int:
        """Refuse further items, count the remaining ones as dropped and return their number."""
        with self._settled:
            left = self.abandon()
            self._closed = True
            self._settled.notify_all()
        return left

    def reopen(self) -> None:
        """Take items again after `close`."""
        with self._lock:
            self._closed = False

    def abandon(self) -> int:
        """Count all items as dropped and return their number."""
        with self._settled:
            left = len(self._items)
            self._dropped += left
            self._items.clear()
            self._bytes = self._wanted = 0
            self._abandoned = True
            self._settled.notify_all()
        return left

    def _is_full_for(self, item: bytes) -> bool:
        return len(self._items) >= self._size or self._bytes + len(item) > self._largest

    @property
    def urgent(self) -> bool:
        """Whether items should be sent at once: somebody flushes, or a whole batch is waiting."""
        with self._lock:
            return bool(self._items) and (self._out < self._wanted or len(self._items) >= self._batch_size)

    @property
    def flushes(self) -> int:
        """Number of calls of `flush`."""
        return self._flushes

    @property
    def stats(self) -> Stats:
        """The counts at one moment."""
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
