"""The queue of events to be sent, which accounts for every event.

An item stays queued until the server has answered for it, so nothing is lost between the queue and the network, and at any moment
logged + recovered = sent + rejected + dropped + spooled + queued.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .memory import REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Counts of logged events, and the state of the calibrator; `logged` + `recovered` is the sum of the other counts of events."""

    logged: int  # events and labels given to the client
    sent: int  # stored by the server
    rejected: int  # refused by the server, with a reason
    dropped: int  # given up by the client: queue or spool full, no JSON form, or unsent when closed without a spool
    queued: int  # waiting, or under way
    spooled: int = 0  # left on disk for the next process when the client closed
    recovered: int = 0  # taken over from processes that ended before
    calibrator_version: int | None = None  # number of the champion in service; None: none
    calibrator_age_seconds: float | None = None  # since the server last confirmed the calibrator; None: never
    fetch_failed: int = 0  # fetches of the calibrator without a valid answer
    cache_corrupt: int = 0  # unusable files of the cache: unreadable, or not verified
    cache_unwritten: int = 0  # failed writes of the cache


class Store(Protocol):
    """Where items wait: memory, or a spool."""

    largest: int
    """Most bytes that it ever takes."""

    @property
    def count(self) -> int:
        """Number of waiting items."""

    @property
    def kept(self) -> int:
        """Number of waiting items that outlive the process."""

    def reset(self) -> None:
        """Be empty, as a forked child must."""

    def has_room(self, items: list[bytes]) -> bool:
        """Return whether items can be appended, and none dropped for them."""

    def append(self, item: bytes) -> int:
        """Append an item; return how many of the oldest were dropped for it, or `REFUSED`."""

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return the oldest items."""

    def remove(self, count: int) -> int:
        """Remove the oldest items, of those that `front` returns."""

    def clear(self) -> int:
        """Remove the items that would not outlive the process."""

    def leave(self) -> int:
        """Leave the others to the next process; return their number."""


class Outbox:
    """A queue of encoded events, first in first out; safe to call from any thread."""

    def __init__(self, store: Store, *, batch_size: int, wake: Callable[[], None]) -> None:
        self._store = store
        self._batch_size = batch_size
        self._wake = wake
        self._start()

    def reset(self) -> None:
        """Empty the queue and take new locks, as a forked child must: its parent sends the items."""
        self._store.reset()
        self._start()

    def _start(self) -> None:
        # Reentrant, since a signal handler may log while it interrupts a thread in here; what it logs then waits until that is done.
        self._lock = threading.RLock()
        self._settled = threading.Condition(self._lock)
        self._changing = False
        self._late: deque[bytes] = deque()
        self._sent = self._rejected = self._dropped = self._spooled = self._recovered = 0
        self._under_way = 0  # items that `front` returned last
        self._evicted = 0  # items under way that the store dropped meanwhile, of which the server may know
        self._unanswered = 0  # items that left the queue without the server's answer
        self._closed = False
        self._wanted = 0  # a flush waits until this many have left
        self._flushes = 0

    def add(self, item: bytes, wait: float = 0.0) -> bool:
        """Queue an item and return True, or count it as dropped and return False if the queue takes none.

        While the queue is full, wait for room for so many seconds at most.
        """
        with self._lock:
            if self._changing:
                self._late.append(item)
                return True
            if wait and len(item) <= self._store.largest and not self._has_room_for(item):
                self.hurry()
                self._settled.wait_for(lambda: self._has_room_for(item), wait)
            if self._closed:
                self._dropped += 1
                return False
            taken = self._append(item)
            # Only when the batch becomes full: in an outage every further item would wake the sender in vain.
            if self._store.count == self._batch_size:
                self._wake()
        return taken

    def drop(self) -> None:
        """Count an item that cannot be queued as dropped."""
        with self._lock:
            self._dropped += 1

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return the oldest items, at most `count` and `largest` bytes but at least one unless empty; they stay queued."""
        with self._lock:
            self._give_up_evicted()
            self._under_way = 0
            batch = self._store.front(count, largest)
            if not batch and self._store.count:
                self._lose(self._store.remove(self._store.count))  # they are damaged
            self._under_way = len(batch)
        return batch

    def settle(self, *, sent: int = 0, rejected: int = 0) -> None:
        """Remove the oldest of the items under way, for which the server has answered."""
        with self._settled:
            answered = min(sent + rejected, self._evicted + self._under_way)
            if not answered:
                return  # counted as dropped, or left on disk
            evicted = min(answered, self._evicted)
            self._evicted -= evicted
            self._under_way -= answered - evicted
            self._remove(answered - evicted)
            self._sent += sent
            self._rejected += rejected
            self._settled.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until the server has answered for all items queued so far; return False after `timeout` seconds."""
        with self._settled:
            target, unanswered = self.hurry(), self._unanswered
            self._settled.wait_for(lambda: self._removed >= target or self._closed, timeout)
            return self._removed >= target and self._unanswered == unanswered

    def hurry(self) -> int:
        """Have all items queued so far sent at once; return how many have left the queue when that is done."""
        with self._lock:
            target = self._removed + self._queued
            self._wanted = max(self._wanted, target)
            self._flushes += 1
            self._wake()
        return target

    def close(self) -> int:
        """Refuse further items, leave the remaining ones on disk or count them as dropped; return the number of dropped ones."""
        with self._settled:
            dropped = self.abandon()
            left = self._store.leave()
            self._spooled += left
            self._unanswered += left
            self._closed = True
        return dropped

    def reopen(self) -> None:
        """Take items again after `close`."""
        with self._lock:
            self._closed = False

    def abandon(self) -> int:
        """Count all items that would not outlive the process as dropped and return their number."""
        with self._settled:
            dropped = self._store.clear() + len(self._late)
            self._late.clear()
            self._dropped += dropped
            self._unanswered += dropped
            self._give_up_evicted()
            self._under_way = self._wanted = 0
            if not self._store.kept:
                self._store.leave()
            self._settled.notify_all()
        return dropped

    def recover(self, take_over: Callable[[], int]) -> int:
        """Queue items of ended processes, which `take_over` moves into the store; return their number, 0 once closed."""
        with self._lock:
            if self._closed:
                return 0
            self._changing = True
            try:
                taken = take_over()
            finally:
                self._changing = False
            self._recovered += taken
            self._append_late()
        return taken

    def give_up(self, count: int) -> None:
        """Count items of ended processes as dropped."""
        with self._lock:
            self._recovered += count
            self._dropped += count

    @property
    def closed(self) -> bool:
        """Whether items are refused."""
        return self._closed

    @property
    def urgent(self) -> bool:
        """Whether items should be sent at once: somebody flushes, or a whole batch is waiting."""
        with self._lock:
            waiting = self._store.count
            return bool(waiting) and (self._removed < self._wanted or waiting >= self._batch_size)

    @property
    def flushes(self) -> int:
        """Number of calls of `flush`."""
        return self._flushes

    @property
    def stats(self) -> Stats:
        """The counts at one moment."""
        with self._lock:
            queued = self._queued
            out = self._sent + self._rejected + self._dropped + self._spooled
            return Stats(
                logged=out + queued - self._recovered,
                sent=self._sent,
                rejected=self._rejected,
                dropped=self._dropped,
                queued=queued,
                spooled=self._spooled,
                recovered=self._recovered,
            )

    @property
    def _removed(self) -> int:
        """Number of items that have left the queue."""
        return self._sent + self._rejected + self._unanswered

    @property
    def _queued(self) -> int:
        return self._store.count + self._evicted + len(self._late)

    def _has_room_for(self, item: bytes) -> bool:
        """Return whether there is no need to wait for room."""
        return self._closed or self._store.has_room([item])

    def _append(self, item: bytes) -> bool:
        self._changing = True
        try:
            lost = self._store.append(item)
        finally:
            self._changing = False
        if lost:
            self._lose(lost)
        if self._late:
            self._append_late()
        return lost != REFUSED

    def _append_late(self) -> None:
        while self._late:
            self._append(self._late.popleft())

    def _lose(self, lost: int) -> None:
        """Count what a full store refused, or dropped of its oldest items."""
        if lost == REFUSED:
            self._dropped += 1
            return
        evicted = min(lost, self._under_way)
        self._under_way -= evicted
        self._evicted += evicted
        self._dropped += lost - evicted
        self._unanswered += lost - evicted

    def _give_up_evicted(self) -> None:
        self._dropped += self._evicted
        self._unanswered += self._evicted
        self._evicted = 0

    def _remove(self, count: int) -> None:
        self._changing = True
        try:
            self._store.remove(count)
        finally:
            self._changing = False
        self._append_late()
