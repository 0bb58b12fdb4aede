"""A queue of events on disk, which outlives the process: a folder with one file per process, and those of processes that are gone.

A process that logs takes over the events of those that ended before it, so that each is sent by somebody. One that dies while it takes
over leaves events in two files; the server counts an event once by its id.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..domain.errors import BadInput
from .limited import LimitedWarnings, described
from .memory import Memory
from .ring import LOCKS, Ring

SMALLEST: Final = 4 << 20
"""Fewest bytes of a spool: room for a few events of the largest size."""
CHUNK: Final = 1000
"""Events that are taken over at a time, while `log` waits."""
CHUNK_BYTES: Final = 1 << 20
ABANDONED: Final = 60.0
"""Seconds after which a file that is being made has lost its maker, and between two tries to make one."""


class Spool:
    """The files of one client; where none can be made, events wait in memory as without a spool."""

    def __init__(self, folder: Path, *, name: str, largest: int, instead: Memory, warnings: LimitedWarnings) -> None:
        self._folder = folder
        self._name = name
        self.largest = largest & ~7
        self._memory = instead
        self._warnings = warnings
        self._ring: Ring | None = None
        self._gone: Ring | None = None
        self._not_before = 0.0
        if not LOCKS:
            raise BadInput("spool", str(folder), "it needs a system that locks files, as POSIX does")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise BadInput("spool", str(folder), f"it must be a directory that can be made: {error}") from error

    def reset(self) -> None:
        """Let go the files of the parent, as a forked child must: it makes its own."""
        for ring in (self._ring, self._gone):
            if ring is not None:
                ring.close(remove=False)
        self._ring = self._gone = None
        self._not_before = 0.0
        self._memory.reset()

    @property
    def count(self) -> int:
        """Number of waiting events."""
        return self._memory.count + self.kept

    @property
    def kept(self) -> int:
        """Number of waiting events that outlive the process."""
        return 0 if self._ring is None else self._ring.count

    def has_room(self, items: list[bytes]) -> bool:
        """Return whether events can be appended, and none dropped for them."""
        return (self._ring or self._own() or self._memory).has_room(items)

    def append(self, item: bytes) -> int:
        """Append an event; return how many of the oldest were dropped for it."""
        return (self._ring or self._own() or self._memory).append(item)

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return the oldest events, at most `count` and `largest` bytes but at least one unless empty."""
        return self._first.front(count, largest)

    def remove(self, count: int) -> int:
        """Remove the oldest events, of those that `front` returns, and return how many there were."""
        return self._first.remove(count)

    def clear(self) -> int:
        """Remove the events that would not outlive the process; return their number."""
        return self._memory.clear()

    def leave(self) -> int:
        """Leave the file to the next process, or remove it if empty; return how many events are left in it."""
        ring, self._ring = self._ring, None
        if ring is None:
            return 0
        ring.close(remove=not ring.count)
        return ring.count

    def sync(self) -> None:
        """Write the file to the disk, so that it survives a failure of the machine."""
        if self._ring is not None:
            self._ring.sync()

    def search(self) -> bool:
        """Look for the file of a process that is gone, unless one is at hand; return whether there is any."""
        self._gone = self._gone or self._found()
        return self._gone is not None

    def thin(self) -> int:
        """Drop the file at hand if there is a newer one, so that ended processes take no more room than one; return its events."""
        newer = None if self._gone is None else self._found()
        if self._gone is None or newer is None:
            return 0
        dropped, gone, self._gone = self._gone.count, self._gone, newer
        gone.close(remove=True)
        self._warnings.warn("thin", f"{dropped} events of a process that ended are dropped: the spool is full")
        return dropped

    def let_go(self) -> None:
        """Leave the file at hand to others."""
        gone, self._gone = self._gone, None
        if gone is not None:
            gone.close(remove=False)

    def take_over(self) -> int:
        """Move events of the file at hand into the own one; return their number, 0 if there is no room."""
        ring, gone = self._ring or self._own(), self._gone
        if ring is None or gone is None:
            return 0
        items = gone.front(CHUNK, CHUNK_BYTES)
        if not ring.has_room(items):
            return 0
        for item in items:
            ring.append(item)
        gone.remove(len(items))
        if not gone.count:
            gone.close(remove=True)
            self._gone = None
        return len(items)

    @property
    def _first(self) -> Memory | Ring:
        """The queue to send from: what waits in memory is lost with the process, so it goes first."""
        return self._memory if self._memory.count or self._ring is None else self._ring

    def _own(self) -> Ring | None:
        """Make the file of this process; without one, try again after a while."""
        if time.monotonic() < self._not_before:
            return None
        path = self._folder / f"{self._name}-{os.getpid()}-{os.urandom(4).hex()}.spool"
        try:
            self._ring = Ring.create(path, self.largest)
        except OSError as error:
            self._not_before = time.monotonic() + ABANDONED
            self._warnings.warn("spool", f"events wait in memory, not on disk: {described(error)}")
        return self._ring

    def _found(self) -> Ring | None:
        """Return the oldest file of a process that is gone, other than the one at hand."""
        for path in sorted(self._folder.glob(f"{self._name}-*"), key=_age):
            try:
                gone = self._adopted(path)
            except (OSError, ValueError) as error:
                self._warnings.warn(f"spool {path}", f"{path} is not read: {described(error)}")
                continue
            if gone is not None:
                return gone
        return None

    def _adopted(self, path: Path) -> Ring | None:
        """Return the file of a process that is gone; remove it if there is nothing in it."""
        if path.suffix != ".spool":
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)
            return None
        gone = Ring.adopt(path)
        if gone is None or gone.count:
            return gone
        gone.close(remove=True)
        return None


def _age(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
