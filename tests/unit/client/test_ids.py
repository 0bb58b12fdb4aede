import threading
import time
import uuid

from monitor.client.ids import TimeOrderedIds


def test_new_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(TimeOrderedIds().new())

    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_new_carries_the_time_in_milliseconds() -> None:
    made = uuid.UUID(TimeOrderedIds(clock=lambda: 1_700_000_000_123_999_999).new())

    assert made.int >> 80 == 1_700_000_000_123


def test_new_is_ordered_while_the_clock_stands_still_and_steps_back() -> None:
    times = iter([2_000_000] * 10_000 + [1_000_000] * 10)
    ids = TimeOrderedIds(clock=lambda: next(times))

    made = [ids.new() for _ in range(10_010)]

    assert made == sorted(set(made))


def test_new_is_unique_and_ordered_across_threads() -> None:
    ids = TimeOrderedIds()
    made: list[list[str]] = [[] for _ in range(8)]

    def make(mine: list[str]) -> None:
        mine.extend(ids.new() for _ in range(5_000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({one for mine in made for one in mine}) == 40_000
    assert all(mine == sorted(mine) for mine in made)


def test_new_sorts_by_time_across_generators() -> None:
    earlier = TimeOrderedIds().new()
    time.sleep(0.002)

    assert earlier < TimeOrderedIds().new()


def test_reset_draws_another_seed() -> None:
    ids = TimeOrderedIds(clock=lambda: 0)
    drawn = set()
    for _ in range(100):
        ids.reset()
        drawn.add(ids.new())

    assert len(drawn) == 100
