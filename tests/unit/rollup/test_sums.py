import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.records import DAY_LEVEL, HOUR_LEVEL, MINUTE_LEVEL, LabelRow, PredictionRow
from monitor.domain.settings import Model, ModelSettings, Revision
from monitor.domain.times import DAY, HOUR, MINUTE
from monitor.rollup.join import Change
from monitor.rollup.sums import entries_of, merged, series_of, sums_of
from monitor.stats.entries import added, expanded
from monitor.stats.summary import (
    LIMIT,
    ONE,
    SLOTS,
    Summary,
    cell_slot,
    class_slot,
    decode,
    decode_all,
    encode,
    encode_all,
    gather,
    kind_base,
    loss_slot,
    slot_name,
    total_slot,
)

MODEL = Model(
    id=7, name="m", task="binary", classes=None, settings=ModelSettings(), revision=1, created_at=0
)  # fmt: skip
REVISIONS = {(7, 1): Revision(number=1, segments=("country", "tier"), label_delay=HOUR)}
AT = 20_000 * DAY + 5 * HOUR + 17 * MINUTE + 1234


def prediction(p: float = 0.7, **changed: object) -> PredictionRow:
    values = {
        "key": 2, "model_id": 7, "event_id": "e", "at": AT, "received_at": AT, "rolled_at": AT, "version": "1",
        "calibrator": None, "segments": None, "cluster": None, "p": p, "raw": None, "payload": None, "digest": 0,
        "revision": 1,
    }  # fmt: skip
    return PredictionRow(**{**values, **changed})


def label(value: str = "1", **changed: object) -> LabelRow:
    values = {
        "key": 2, "model_id": 7, "event_id": "e", "label": value, "at": None, "received_at": AT, "rolled_at": AT,
        "source": None, "supersedes": False,
    }  # fmt: skip
    return LabelRow(**{**values, **changed})


def sums(*changes: Change, minutes_from: int = 0) -> dict[tuple[str, int, int], dict[str, int]]:
    """Return the sums of changes by segment, level and beginning; slots by name."""
    found = sums_of(changes, entries_of(changes, {7: MODEL}, REVISIONS, {}), REVISIONS, {7: minutes_from})
    named = {}
    for (place, level, start), blob in zip(found.targets, merged(found, {}), strict=True):
        slots, values = decode(blob)
        named[found.series[place].segment, level, start] = {
            slot_name(slot): value for slot, value in zip(slots.tolist(), values.tolist(), strict=True)
        }
    return named


def arrays(entries: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.array(column, dtype=np.int64) for column in zip(*entries, strict=True))  # type: ignore[return-value]


ENTRIES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, SLOTS - 1), st.integers(-(2**40), 2**40)), min_size=1, max_size=60
)


@given(ENTRIES)
def test_gather_adds_what_shares_row_and_slot(entries):
    expected: Counter[tuple[int, int]] = Counter()
    for row, slot, value in entries:
        expected[row, slot] += value
    rows, slots, values = gather(*arrays(entries))
    found = dict(zip(zip(rows.tolist(), slots.tolist(), strict=True), values.tolist(), strict=True))
    assert found == {place: value for place, value in expected.items() if value}
    assert list(found) == sorted(found)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_gather_gives_the_same_in_any_order(entries, dice):
    shuffled = dice.sample(entries, len(entries))
    for one, other in zip(gather(*arrays(entries)), gather(*arrays(shuffled)), strict=True):
        assert one.tolist() == other.tolist()


@given(ENTRIES, ENTRIES)
def test_added_parts_are_all_their_entries_gathered(one, other):
    whole = gather(*arrays([*one, *other]))
    for sums, same in zip(added(gather(*arrays(one)), gather(*arrays(other))), whole, strict=True):
        assert sums.tolist() == same.tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_gather_refuses_a_sum_that_a_bucket_cannot_hold(sign):
    half = sign * (LIMIT // 2)
    assert gather(*arrays([(0, 5, half), (0, 5, half - sign * 1024)]))[2].tolist() == [2 * half - sign * 1024]
    with pytest.raises(OverflowError, match="64-bit"):
        gather(*arrays([(0, 5, half), (0, 5, half)]))


def test_gather_notices_a_sum_that_wraps_around_to_a_small_one():
    with pytest.raises(OverflowError, match="64-bit"):
        gather(*arrays([(0, 5, LIMIT - 1)] * 4 + [(0, 5, 4)]))


def test_a_bucket_holds_a_hundred_million_confident_answers_all_of_them_wrong():
    changes = [Change(prediction(p), True, None, label("0")) for p in (1.0, 0.9999, 0.97, 0.9)]
    found = sums_of(changes, entries_of(changes, {7: MODEL}, REVISIONS, {}), REVISIONS, {7: 2**60})
    slots, values = decode(merged(found, {})[0])
    expected = dict(zip(slots.tolist(), values.tolist(), strict=True))
    events = 4
    while events < 10**8:
        _, slots, values = gather(np.zeros(2 * len(slots), dtype=np.int64), *(np.tile(a, 2) for a in (slots, values)))
        events *= 2
        expected = {slot: 2 * value for slot, value in expected.items()}
        slots, values = decode(encode(slots, values))
    assert dict(zip(slots.tolist(), values.tolist(), strict=True)) == expected
    assert Summary.of([encode(slots, values)]).events == events
    assert Summary.of([encode(slots, values)]).loss("served", "clipped") == events / 4


def test_doubling_on_ends_in_an_error_and_never_in_a_wrong_sum():
    slots, values = np.array([total_slot("events")]), np.array([1])
    reached = 1
    with pytest.raises(OverflowError):  # noqa: PT012 - the loop is what must end
        while True:
            _, slots, values = gather(np.zeros(2, dtype=np.int64), np.tile(slots, 2), np.tile(values, 2))
            reached *= 2
            assert values.tolist() == [reached]
    assert reached == LIMIT // 2


@given(ENTRIES)
def test_summaries_encode_and_decode_together_as_they_do_one_by_one(entries):
    rows, slots, values = gather(*arrays(entries))
    blobs = encode_all(7, rows, slots, values)
    assert blobs == [encode(slots[rows == i], values[rows == i]) for i in range(7)]
    for one, other in zip(decode_all(blobs), (rows, slots, values), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    "blob",
    [b"\x00", encode(np.array([3, 3]), np.array([1, 1])), encode(np.array([SLOTS]), np.array([1]))],
    ids=["cut short", "a slot twice", "no such slot"],
)
def test_bytes_that_are_no_summary_are_refused(blob):
    with pytest.raises(ValueError, match="summary"):
        decode(blob)
    with pytest.raises(ValueError, match="summary"):
        decode_all([b"", blob])


def test_every_slot_has_a_name_of_its_own():
    named = [slot_name(slot) for slot in range(SLOTS)]
    assert len(set(named)) == SLOTS
    assert named[total_slot("late")] == "late"
    assert named[loss_slot("raw", "brier")] == "raw brier"
    assert named[cell_slot("both", 0, "n")] == "both cell [0, 0] n"
    assert named[class_slot(99, 59, "sy")] == "class 99 sixtieth 59 sy"


def test_entries_are_repeated_once_per_target():
    entries = arrays([(0, 10, 1), (2, 11, 2), (0, 12, 3)])
    rows, slots, values = expanded(entries, np.array([2, 1, 1]), np.array([5, 6, 7, 8]))
    assert list(zip(rows.tolist(), slots.tolist(), values.tolist(), strict=True)) == [
        (5, 10, 1), (6, 10, 1), (8, 11, 2), (5, 12, 3), (6, 12, 3),
    ]  # fmt: skip


def test_an_event_counts_as_a_whole_and_in_each_declared_segment():
    row = prediction(segments='{"tier":"gold","plan":"x"}', calibrator=3)
    assert [key.segment for key in series_of(row, REVISIONS[7, 1])] == ["", "tier:gold"]
    assert {key.calibrator for key in series_of(row, REVISIONS[7, 1])} == {3}


def test_minutes_are_summed_from_where_they_are_kept_on():
    minute, hour, day = AT - AT % MINUTE, AT - AT % HOUR, AT - AT % DAY
    change = Change(prediction(), True, None, None)
    assert set(sums(change)) == {("", MINUTE_LEVEL, minute), ("", HOUR_LEVEL, hour), ("", DAY_LEVEL, day)}
    assert set(sums(change, minutes_from=AT + 1)) == {("", HOUR_LEVEL, hour), ("", DAY_LEVEL, day)}


def test_every_level_holds_the_same_total():
    dice = random.Random(3)
    changes = [
        Change(prediction(dice.random(), at=AT - dice.randrange(3 * DAY)), True, None, dice.choice([None, label()]))
        for _ in range(200)
    ]
    totals: dict[int, Counter[str]] = {level: Counter() for level in (MINUTE_LEVEL, HOUR_LEVEL, DAY_LEVEL)}
    for (_, level, _), slots in sums(*changes).items():
        totals[level].update(slots)
    assert totals[MINUTE_LEVEL] == totals[HOUR_LEVEL] == totals[DAY_LEVEL]
    assert totals[DAY_LEVEL]["events"] == 200


def test_an_hour_joins_events_with_and_without_minutes():
    old = Change(prediction(at=AT), True, None, None)
    new = Change(prediction(at=AT + MINUTE), True, None, None)
    found = sums(old, new, minutes_from=AT + 1)
    assert found["", HOUR_LEVEL, AT - AT % HOUR]["events"] == 2
    assert [slots["events"] for (_, level, _), slots in found.items() if level == MINUTE_LEVEL] == [1]


def test_the_sums_of_one_event_are_the_ones_of_its_definition():
    found = sums(Change(prediction(0.75, key=3), True, None, label("0", at=AT + HOUR + 1)))
    expected = {
        "events": 1, "labels": 1, "late": 1,
        "both log_loss": round(1.3862943611198906 * ONE), "both brier": round(0.5625 * ONE),
        "both spiegelhalter_numerator": round(0.375 * ONE), "both spiegelhalter_denominator": round(0.046875 * ONE),
    }  # fmt: skip
    slots = found["", DAY_LEVEL, AT - AT % DAY]
    assert {name: value for name, value in slots.items() if "cell" not in name} == expected
    cells = {name.rpartition(" ")[2]: value for name, value in slots.items() if "cell" in name}
    assert cells == {
        "n": 1, "sp": round(0.75 * ONE), "spp": round(0.5625 * ONE), "en": 1, "esp": round(0.75 * ONE),
        "hn": 1, "hsp": round(0.75 * ONE),
    }  # fmt: skip


def test_a_corrected_label_takes_back_exactly_what_it_added():
    row = prediction(0.1234567891, key=5, raw=0.2)
    first = sums(Change(row, True, None, label("1")))
    corrected = sums(Change(row, False, label("1"), label("0")))
    for bucket, slots in sums(Change(row, True, None, label("0"))).items():
        total = Counter(first[bucket])
        total.update(corrected[bucket])
        assert {name: value for name, value in total.items() if value} == slots


def test_served_and_raw_scores_have_slots_of_their_own():
    slots = sums(Change(prediction(0.7, raw=0.9), True, None, label()))["", DAY_LEVEL, AT - AT % DAY]
    assert {name.split()[0] for name in slots if "cell" in name} == {"served", "raw"}
    assert kind_base("raw") - kind_base("served") == kind_base("served") - kind_base("both")


def test_merging_adds_to_what_is_stored_and_empties_what_cancels():
    row = prediction()
    added = Change(row, False, None, label())
    taken = Change(row, False, label(), None)
    there = sums_of([added], entries_of([added], {7: MODEL}, REVISIONS, {}), REVISIONS, {7: 0})
    stored = dict(zip(there.targets, merged(there, {}), strict=True))
    gone = sums_of([taken], entries_of([taken], {7: MODEL}, REVISIONS, {}), REVISIONS, {7: 0})
    assert merged(gone, stored) == [b"", b"", b""]
    twice = merged(there, stored)
    assert [decode(blob)[1].tolist() for blob in twice] == [
        [2 * value for value in decode(blob)[1].tolist()] for blob in stored.values()
    ]
