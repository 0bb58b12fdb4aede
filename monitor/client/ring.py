"""Events in a file of fixed size that is mapped into memory, oldest first; whatever ends the process, they stay in the file.

A file is a page with two counters, and a ring of records. `head` and `tail` count the bytes ever appended and removed; a counter modulo
the ring's size is a place in the ring. A record is written first and `head` moved last, by one store of eight bytes, so another process
finds whole records at any moment. Records carry a checksum, since after a power failure the pages of a file may be of different ages.
"""

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

try:
    import fcntl
except ImportError:
    LOCKS = False  # Windows
else:
    LOCKS = True

MAGIC: Final = b"calwatch-spool 1\n"
PAGE: Final = 4096
HEAD, TAIL = 8, 9
"""Places of the counters in the first page, in words of eight bytes."""
HIGHEST: Final = 1 << 62
"""More than the counters of a sound file ever reach."""
RECORD: Final = struct.Struct("<4sII")
PADDING: Final = RECORD.size + 7
BEGIN, SKIP = b"\x02evt", b"\x03end"
"""Marks of a record, and of the unused rest of the ring before its first place."""


class Ring:
    """The mapped file of one process, which holds its lock."""

    def __init__(self, path: Path, handle: int) -> None:
        if os.fstat(handle).st_size <= PAGE or os.pread(handle, len(MAGIC), 0) != MAGIC:
            raise ValueError(f"{path} is no spool")
        self.path = path
        self._handle = handle
        self._map = mmap.mmap(handle, 0)
        self._view = memoryview(self._map)
        self._words = self._view[:PAGE].cast("Q")
        self._size = len(self._map) - PAGE
        self._head, self._tail = self._counters()
        self.count = 0

    @classmethod
    def create(cls, path: Path, size: int) -> Self:
        """Make an empty file with `size` bytes for records, a multiple of 8, all allocated: a full disk shows now, not in a write.

        Raises
        ------
        OSError
            when it cannot be made.

        """
        temporary = path.with_suffix(".tmp")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, handle)
            stack.callback(temporary.unlink, missing_ok=True)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, PAGE + size)
            os.ftruncate(handle, PAGE + size)
            os.pwrite(handle, MAGIC, 0)
            ring = cls(path, handle)
            temporary.rename(path)
            stack.pop_all()
        return ring

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """Open the file of a process that is gone; None if it still runs, or somebody else was faster.

        Raises
        ------
        OSError
            when the file cannot be opened.
        ValueError
            when it is no spool.

        """
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, handle)
            if not _is_left(handle):
                return None
            ring = cls(path, handle)
            stack.pop_all()
        ring.count = sum(1 for _ in ring._walk())
        return ring

    def has_room(self, items: list[bytes]) -> bool:
        """Return whether items can be appended without removing any."""
        sizes = [_padded(len(item)) for item in items]
        unused = max(sizes, default=0)  # before the first place, if one does not fit at the end
        return self._head - self._tail + sum(sizes) + unused <= self._size

    def append(self, item: bytes) -> int:
        """Append an item; return how many of the oldest were removed to make room.

        Raises
        ------
        ValueError
            when the ring is full and the item larger than half of it.

        """
        length = len(item)
        size = (length + PADDING) & ~7
        place, removed = self._head % self._size, 0
        if place + size > self._size or self._head + size - self._tail > self._size:
            place, removed = self._make_room(size)
        begin = PAGE + place
        self._map[begin : begin + RECORD.size + length] = RECORD.pack(BEGIN, length, zlib.crc32(item)) + item
        self.count += 1
        self._head += size
        self._words[HEAD] = self._head
        return removed

    def _make_room(self, size: int) -> tuple[int, int]:
        """Return a place for a record, and how many of the oldest were removed for it."""
        if size > self._size // 2:
            raise ValueError(f"an event of {size} bytes is too large for a spool of {self._size}")
        removed = 0
        while True:
            place = self._head % self._size
            unused = self._size - place if place + size > self._size else 0
            if self._head + unused + size - self._tail <= self._size:
                break
            removed += self._remove_oldest()
        if not unused:
            return place, removed
        if unused >= RECORD.size:
            RECORD.pack_into(self._map, PAGE + place, SKIP, 0, 0)
        self._head += unused  # moved in the file with the record
        return 0, removed

    def _remove_oldest(self) -> int:
        """Remove the oldest item, whether intact or not; return 1, or more if it is not clear where it ends."""
        place = self._tail % self._size
        if self.count > 1 and self._size - place >= RECORD.size:
            mark, length, _ = RECORD.unpack_from(self._map, PAGE + place)
            end = self._tail + _padded(length)
            if mark == BEGIN and end < self._head:
                self.count -= 1
                self._words[TAIL] = self._tail = end
                return 1
        return self.remove(1)

    def front(self, count: int, largest: int) -> list[bytes]:
        """Return the oldest items, at most `count` and `largest` bytes but at least one unless empty."""
        batch: list[bytes] = []
        total = 0
        for begin, length, _ in self._walk():
            total += length
            if len(batch) == count or (batch and total > largest):
                break
            batch.append(self._map[begin : begin + length])
        return batch

    def remove(self, count: int) -> int:
        """Remove the oldest items and return how many there were; what is unreadable before them goes too."""
        if count <= 0:
            return 0
        removed, tail = 0, self._head
        if count < self.count:
            for _, _, tail in self._walk():  # noqa: B007  the end of the last one
                removed += 1
                if removed == count:
                    break
        self.count -= removed
        if tail >= self._head:
            removed, self.count = removed + self.count, 0
            self._rewind()
        else:
            self._words[TAIL] = self._tail = tail
        return removed

    def sync(self) -> None:
        """Write everything to the disk, for the case that the machine fails."""
        os.fsync(self._handle)

    def close(self, *, remove: bool) -> None:
        """Let the file go, and remove it if nobody needs it."""
        if remove:
            with contextlib.suppress(OSError):
                self.path.unlink()
        with contextlib.suppress(BufferError):  # in a forked child, what a thread of its parent was reading
            self._words.release()
            self._view.release()
            self._map.close()
        os.close(self._handle)

    def _counters(self) -> tuple[int, int]:
        """Return head and tail; if they are damaged, those of a full ring, so that all its records are found, old ones too."""
        head, tail = self._words[HEAD], self._words[TAIL]
        is_rewinding = head < tail < head + self._size and tail % self._size == 0
        if (
            max(head, tail) < HIGHEST
            and not head % 8
            and not tail % 8
            and (is_rewinding or 0 <= head - tail <= self._size)
        ):
            return head, tail
        return self._size, 0

    def _rewind(self) -> None:
        """Begin again at the first place while empty, so that few pages of the file are in use."""
        start = -(-self._head // self._size) * self._size
        # The tail first: a process that ends in between leaves a tail beyond the head, which means empty.
        self._words[TAIL] = self._tail = start
        self._words[HEAD] = self._head = start

    def _walk(self) -> Iterator[tuple[int, int, int]]:
        """Yield place, length and end of each intact record, from the oldest; what is damaged is passed over."""
        at, head = self._tail, self._head
        while at < head:
            place = at % self._size
            length = self._intact(place, head - at)
            if length is not None:
                at += _padded(length)
                yield PAGE + place + RECORD.size, length, at
            elif self._size - place < RECORD.size or self._map[PAGE + place : PAGE + place + len(SKIP)] == SKIP:
                at += self._size - place
            else:
                at += self._damaged(place)

    def _intact(self, place: int, most: int) -> int | None:
        """Return the length of the item at a place; None if there is no whole record."""
        if self._size - place < RECORD.size:
            return None
        mark, length, checksum = RECORD.unpack_from(self._map, PAGE + place)
        begin = PAGE + place + RECORD.size
        if mark != BEGIN or _padded(length) > min(most, self._size - place):
            return None
        with self._view[begin : begin + length] as item:
            return int(length) if zlib.crc32(item) == checksum else None

    def _damaged(self, place: int) -> int:
        """Return how many bytes to pass over until something looks like a record, or until the end of the file."""
        begin = PAGE + place
        while (begin := self._map.find(BEGIN, begin + 1)) >= 0:
            if (begin - PAGE) % 8 == 0:
                return begin - PAGE - place
        return self._size - place


def _is_left(handle: int) -> bool:
    """Lock a file and return whether that worked: its process is gone, and nobody else has dealt with it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(handle).st_nlink > 0


def _padded(length: int) -> int:
    """Return the size of a record: they begin at multiples of eight bytes."""
    return (length + PADDING) & ~7
