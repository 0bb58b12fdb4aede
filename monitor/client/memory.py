"""A queue of events in memory, which ends with the process."""

from collections import deque
from itertools import islice
from typing import Final

REFUSED: Final = -1
"""Answer of a queue that is full and takes no more."""


class Memory:
    """Encoded events, first in first out, up to a number and a sum of bytes."""

    def __init__(self, *, size: int, largest: int) -> None:
        self._size = size
        self.largest = largest
        self.reset()

    def reset(self) -> None:
        """Be empty, as a forked child must."""
        self._items: deque[bytes] = deque()
        self._bytes = 0

    @property
    def count(self) -> int:
        """Number of waiting events."""
        return len(self._items)

    @property
    def kept(self) -> int:
        """Number of waiting events that outlive the process."""
        return 0

    def has_room(self, items: list[bytes]) -> bool:
        """Return whether events can be appended."""
        fits = self._bytes + sum(map(len, items)) <= self.largest
        return fits and len(self._items) + len(items) <= self._size

    def append(self, item: bytes) -> int:
        """Append an event, or return `REFUSED` if the queue is full."""
        items, size = self._items, self._bytes + len(item)
        if size > self.largest or len(items) >= self._size:
            return REFUSED
        self._bytes = size
        items.append(item)
        return 0

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return the oldest events, at most `count` and `largest` bytes but at least one unless empty."""
        batch = list(islice(self._items, count))
        total = 0
        for position, item in enumerate(batch):
            total += len(item)
            if total > largest and position:
                return batch[:position]
        return batch

    def remove(self, count: int) -> int:
        """Remove the oldest events and return how many there were."""
        removed = min(count, len(self._items))
        for _ in range(removed):
            self._bytes -= len(self._items.popleft())
        return removed

    def clear(self) -> int:
        """Remove the events that would not outlive the process, which are all; return their number."""
        return self.remove(len(self._items))

    def leave(self) -> int:
        """Return how many events the next process will find."""
        return 0
