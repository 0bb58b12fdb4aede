"""Ranges of time as runs of stored buckets."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP, MINUTE_LEVEL, Progress
from monitor.domain.times import DAY, HOUR, MINUTE
from monitor.store.rollups import Span
from monitor.windows.ranges import first_after, learned_delay, matured_until, merged, spans, widened

minutes = st.integers(0, 5 * DAY // MINUTE)


def covered(parts: list[Span]) -> list[tuple[int, int]]:
    """Return every bucket of some spans."""
    return [(part.level, at) for part in parts for at in range(part.first, part.last, LEVEL_STEP[part.level])]


@given(st.tuples(minutes, minutes).map(sorted))
def test_spans_cover_a_range_once(pair: list[int]) -> None:
    start, end = (each * MINUTE for each in pair)
    found = sorted((at, at + LEVEL_STEP[level]) for level, at in covered(spans(start, end)))
    edges = [start, *(last for _, last in found)]
    assert [first for first, _ in found] == edges[:-1]
    assert edges[-1] == end


@given(st.lists(st.tuples(minutes, minutes).map(sorted), max_size=6))
def test_merged_spans_cover_the_same_buckets_each_once(pairs: list[list[int]]) -> None:
    parts = [part for start, end in pairs for part in spans(start * MINUTE, end * MINUTE)]
    found = covered(merged(parts))
    assert len(set(found)) == len(found)
    assert set(found) == set(covered(parts))


def test_first_after_is_a_whole_bucket_that_began_later() -> None:
    assert first_after(HOUR, None) == HOUR + MINUTE
    assert first_after(HOUR + MINUTE + 1, HOUR) == HOUR + 2 * MINUTE
    assert first_after(HOUR + MINUTE + 1, 2 * HOUR) == 2 * HOUR
    assert first_after(2 * HOUR - 1, 2 * HOUR) == 2 * HOUR


@given(minutes, st.sampled_from([0, DAY, 2 * DAY]))
def test_first_after_needs_no_widening(minute: int, kept_from: int) -> None:
    first = first_after(minute * MINUTE + 7, kept_from)
    assert widened(first, first + DAY, kept_from)[0] == first


def test_learned_delay_is_what_nearly_all_labels_took() -> None:
    assert learned_delay({0: 99, 40: 1}, []) < learned_delay({0: 90, 40: 10}, [])
    assert learned_delay({}, []) == 0


def test_traffic_matures_as_its_own_time_goes_on_and_wholly_once_it_has_ended() -> None:
    progress = Progress(watermark=2 * DAY, newest_prediction=2 * DAY, received_at=2 * DAY, minutes_from=0)
    assert matured_until(progress, HOUR, 2 * DAY) == 2 * DAY - HOUR
    assert matured_until(progress, HOUR, 2 * DAY + HOUR) == 2 * DAY + MINUTE
    assert matured_until(Progress(), HOUR, 2 * DAY) is None


def test_levels_are_minutes_hours_and_days() -> None:
    assert [part.level for part in spans(HOUR - MINUTE, 3 * DAY)] == [DAY_LEVEL, HOUR_LEVEL, MINUTE_LEVEL]
