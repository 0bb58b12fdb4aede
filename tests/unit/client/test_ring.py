"""The mapped file: a queue like any other, which outlives its process and takes no harm from what lies on a disk."""

import os
import random
import signal
import sys
import time
from collections import deque
from pathlib import Path

import pytest

from monitor.client.ring import PAGE, Ring

SIZE = 4096


def made(path: Path, size: int = SIZE) -> Ring:
    return Ring.create(path / "a.spool", size)


def everything(ring: Ring) -> list[bytes]:
    return ring.front(1_000_000, 1 << 40)


def reopened(ring: Ring) -> Ring:
    """Return what the next process finds in a file."""
    ring.close(remove=False)
    return adopted(ring.path)


def adopted(path: Path) -> Ring:
    ring = Ring.adopt(path)
    assert ring is not None
    return ring


@pytest.mark.parametrize("seed", range(30))
def test_it_is_a_queue_that_drops_the_oldest(tmp_path: Path, seed: int) -> None:
    dice, ring, expected = random.Random(seed), made(tmp_path), deque[bytes]()
    for number in range(600):
        chance = dice.random()
        if chance < 0.6:
            item = b"%d " % number + b"x" * dice.choice([0, 1, 7, 8, 100, 500, 2000])
            for _ in range(ring.append(item)):
                expected.popleft()
            expected.append(item)
        elif chance < 0.8:
            count = dice.randrange(6)
            assert ring.remove(count) == min(count, len(expected))
            for _ in range(min(count, len(expected))):
                expected.popleft()
        elif chance < 0.83:
            ring = reopened(ring)
        count, largest = dice.randrange(1, 9), dice.choice([1, 200, 10_000])
        front = ring.front(count, largest)
        assert front == list(expected)[: len(front)]
        assert bool(front) == bool(expected)
        assert len(front) == 1 or sum(map(len, front)) <= largest
        assert ring.count == len(expected)
    assert everything(ring) == list(expected)


def test_it_uses_few_pages_while_it_is_emptied_in_time(tmp_path: Path) -> None:
    ring = made(tmp_path, 1 << 20)
    for number in range(1000):
        ring.append(b"%d" % number * 50)
        ring.remove(1)
    ring.close(remove=False)
    content = ring.path.read_bytes()

    assert content[PAGE + 1024 :] == bytes(len(content) - PAGE - 1024)


def test_room_is_told_exactly_enough(tmp_path: Path) -> None:
    for seed in range(50):
        dice, ring = random.Random(seed), made(tmp_path)
        for _ in range(dice.randrange(40)):
            ring.append(b"x" * dice.randrange(300))
            ring.remove(dice.randrange(2))
        items = [b"y" * dice.randrange(300) for _ in range(dice.randrange(20))]
        if ring.has_room(items):
            assert [ring.append(item) for item in items] == [0] * len(items)
        ring.close(remove=True)


def test_an_item_larger_than_the_ring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too large for a spool"):
        made(tmp_path).append(b"x" * 5000)


def test_a_file_in_use_is_nobody_elses(tmp_path: Path) -> None:
    ring = made(tmp_path)
    assert Ring.adopt(ring.path) is None
    ring.close(remove=False)
    assert adopted(ring.path).count == 0


def test_a_file_is_private_and_wholly_allocated(tmp_path: Path) -> None:
    status = made(tmp_path, 1 << 20).path.stat()

    assert status.st_mode & 0o777 == 0o600
    assert status.st_blocks * 512 >= 1 << 20


def test_a_full_disk_shows_when_the_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Errno"):
        made(tmp_path, 1 << 60)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"x" * 10_000, b"calwatch-spool 1\n"])
def test_a_foreign_file_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.spool"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no spool"):
        Ring.adopt(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("seed", range(40))
def test_damage_costs_no_other_event(tmp_path: Path, seed: int) -> None:
    dice, ring = random.Random(seed), made(tmp_path, 1 << 16)
    for number in range(dice.randrange(900)):
        ring.append(b"%06d" % number * dice.randrange(1, 20))
    items = everything(ring)
    begin = PAGE + dice.randrange(1 << 16)
    ring.close(remove=False)
    with ring.path.open("r+b") as file:
        file.seek(begin)
        file.write(os.urandom(dice.choice([1, 8, 100])))
    ring = adopted(ring.path)
    left = everything(ring)

    assert set(left) <= set(items)
    assert len(items) - len(left) <= 10  # 100 bytes touch that many of the smallest at most
    assert ring.count == len(left)
    assert ring.remove(len(left)) == len(left)
    assert everything(ring) == []
    ring.append(b"again")
    assert everything(ring) == [b"again"]


@pytest.mark.parametrize("place", [64, 72])
@pytest.mark.parametrize("value", [1, 7777, SIZE * 8, (1 << 62) + 8, (1 << 64) - 8])
def test_damaged_counters_cost_no_event(tmp_path: Path, place: int, value: int) -> None:
    ring = made(tmp_path)
    items = [b"%06d" % number for number in range(20)]
    for item in items:
        ring.append(item)
    ring.close(remove=False)
    with ring.path.open("r+b") as file:
        file.seek(place)
        file.write(value.to_bytes(8, sys.byteorder))
    ring = adopted(ring.path)

    assert everything(ring) == items
    assert ring.remove(20) == 20


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_leaves_whole_items(tmp_path: Path, seed: int) -> None:
    noted, note = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        ring = made(tmp_path, 1 << 16)
        for number in range(1_000_000):
            ring.append(b"%08d" % number * (1 + number % 30))
            os.write(note, b"%08d" % number)
    os.close(note)
    path, last = tmp_path / "a.spool", b""
    deadline = time.monotonic() + 0.05 + seed * 0.02
    while time.monotonic() < deadline:
        last = (last + os.read(noted, 65_536))[-8:]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(noted, 65_536):
        last = (last + more)[-8:]
    os.close(noted)
    numbers = [int(item[:8]) for item in everything(adopted(path))]

    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] - int(last) in {0, 1}
