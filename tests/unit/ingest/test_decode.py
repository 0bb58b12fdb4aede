"""Bodies: cut into items, decoded whole or one by one with the same verdicts, and decompressed within limits."""

import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.errors import BadInput, TooLarge
from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.ingest.decode import MAX_ITEM_BYTES, Decoded, check_all, decode_events, inflate

NOW = datetime(2026, 7, 1, tzinfo=UTC)
GOOD = b'{"type":"label","event_id":"a","model":"m","label":1}'
BAD = b'{"type":"label","event_id":"a","model":"m","label":NaN}'


def as_json(*items: bytes) -> bytes:
    return b'{"events":[' + b",".join(items) + b"]}"


def decoded(body: bytes, content_type: str = "application/json") -> Decoded:
    return decode_events(body, content_type, now=NOW)


def verdicts(body: bytes, content_type: str = "application/json") -> list[tuple[int, str | None]]:
    result = decoded(body, content_type)
    taken = [(index, None) for index in result.indexes]
    return sorted([*taken, *((rejection.index, rejection.code) for rejection in result.rejected)])


def test_events_come_out_as_they_were_sent() -> None:
    prediction = {
        "type": "prediction",
        "event_id": "a",
        "model": "org/m",
        "timestamp": "2026-01-05T13:00:00.25+01:00",
        "probability": 1,
        "segments": {"country": "DE"},
    }
    label = {"type": "label", "event_id": "a", "model": "org/m", "label": "1", "supersedes": True}
    assert decoded(json.dumps({"events": [prediction, label]}).encode()).accepted == [
        PredictionEvent(
            event_id="a",
            model="org/m",
            timestamp=datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC),
            probability=1.0,
            segments={"country": "DE"},
        ),
        LabelEvent(event_id="a", model="org/m", label="1", supersedes=True),
    ]


def test_probability_keeps_every_bit() -> None:
    item = b'{"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","probability":0.1e-3}'
    (event,) = decoded(as_json(item)).accepted
    assert isinstance(event, PredictionEvent)
    assert event.probability == 0.0001


def test_bad_items_leave_their_neighbours_alone() -> None:
    assert verdicts(as_json(GOOD, BAD, GOOD, b"7", GOOD)) == [
        (0, None),
        (1, "not_finite"),
        (2, None),
        (3, "wrong_type"),
        (4, None),
    ]


def test_lines_stand_alone() -> None:
    body = b"\n".join([GOOD, b"", BAD, b" \t", b"{broken", GOOD + b"\r", GOOD + GOOD, b'{"type":', b'"label"}', GOOD])
    assert verdicts(body, "application/x-ndjson; charset=utf-8") == [
        (0, None),
        (1, "not_finite"),
        (2, "not_json"),
        (3, None),
        (4, "not_json"),
        (5, "not_json"),
        (6, "not_json"),
        (7, None),
    ]


def test_lines_may_be_none() -> None:
    assert decoded(b"\n \r\n", "application/x-ndjson").received == 0


@pytest.mark.parametrize("body", [b'{"events":[]}', b' {\n"events" : [ ] }\r\n', b'{"\\u0065vents":[]}'])
def test_events_may_be_none(body: bytes) -> None:
    assert decoded(body) == Decoded(received=0, accepted=[], indexes=[], rejected=[])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON: Input data was truncated"),
        (b"nope", "not JSON: invalid character (byte 1)"),
        (b"\xef\xbb\xbf{}", 'must be an object with the one key "events", an array of events'),
        (as_json(GOOD)[:-1], "not JSON: Input data was truncated"),
        (as_json(GOOD) + b"x", "not JSON: trailing characters (byte 67)"),
        (as_json(GOOD + GOOD), "not JSON: expected ',' or ']' (byte 64)"),
        (as_json(GOOD, b""), "not JSON: trailing comma in array (byte 65)"),
        (as_json(b"{]}"), "not JSON: expected '\"' (byte 12)"),
        (as_json(b'{"a'), "not JSON: Input data was truncated"),
        (b"[" * 100_000, "nested too deeply to be read"),
        (b"[" + GOOD + b"]", 'must be an object with the one key "events", an array of events'),
        (b'{"events":{}}', 'must be an object with the one key "events", an array of events'),
        (b'{"event":[]}', 'must be an object with the one key "events", an array of events'),
        (b'{"events":[],"more":1}', 'must be an object with the one key "events", an array of events'),
        (b'{"events":[],"events":[]}', 'must be an object with the one key "events", an array of events'),
    ],
)
def test_unusable_body_is_an_error_of_the_whole(body: bytes, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        decoded(body)
    assert (caught.value.field, caught.value.reason) == ("body", reason)


@pytest.mark.parametrize("item", [GOOD, BAD])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_ten_thousand_events_are_the_most(item: bytes, content_type: str) -> None:
    def body(count: int) -> bytes:
        items = [item] * count
        return as_json(*items) if content_type == "application/json" else b"\n".join(items)

    assert decoded(body(10_000), content_type).received == 10_000
    with pytest.raises(TooLarge, match="at most 10000 events"):
        decoded(body(10_001), content_type)


@pytest.mark.parametrize(
    ("filler", "limit"), [(b"[],", "1000000 objects and arrays"), (b"{},", "1000000 objects and arrays")]
)
def test_nested_things_are_counted_before_they_are_made(filler: bytes, limit: str) -> None:
    with pytest.raises(TooLarge, match=limit):
        decoded(as_json(b"[" + filler * 1_000_000 + b"1]"))


def test_strings_are_counted_before_they_are_scanned() -> None:
    with pytest.raises(TooLarge, match="8000000 strings"):
        decoded(as_json(b"[" + b'"",' * 8_000_001 + b"1]"))


def test_oversized_item_fails_alone() -> None:
    assert verdicts(as_json(GOOD, b'{"a":"' + b"x" * MAX_ITEM_BYTES + b'"}', GOOD)) == [
        (0, None),
        (1, "too_large"),
        (2, None),
    ]


def test_large_body_is_read_item_by_item() -> None:
    padding = b" " * MAX_ITEM_BYTES
    assert verdicts(as_json(GOOD, padding + GOOD, BAD)) == [(0, None), (1, None), (2, "not_finite")]


def test_hostile_number_costs_no_more_than_its_length() -> None:
    digits = b"1" * 1_000_000
    item = b'{"type":"label","event_id":"a","model":"m","label":%s}' % digits
    assert verdicts(as_json(item)) == [(0, "not_finite")]


# Repeated keys


@pytest.mark.parametrize(
    "item",
    [
        GOOD[:-1] + b',"label":1}',
        GOOD[:-1] + b',"label" :1}',
        GOOD[:-1] + b',"label"\n\t:1}',
        GOOD[:-1] + b',"source" :"s","source":":x"}',
        GOOD[:-1] + b',"supersedes":false,"supersedes":true}',
        GOOD[:-1] + b',"source":null,"source":"x"}',
        GOOD[:-1] + b',"source":"x","source":null}',
        GOOD[:-1] + b',"\\u0073ource":"x","source":"x"}',
        GOOD[:-1] + b',"label":1,"source":"\\u003ax"}',
        GOOD[:-1] + b',"label":1,"source":"\\u005c:x"}',
        GOOD[:-1] + b',"label":1,"source":"\\u0022:x"}',
        GOOD[:-1] + b',"label":1,"source":"\\u0020:x"}',
        GOOD[:-1] + b',"label":1,"source":"\\":x"}',
        GOOD[:-1] + b',"label":1,"source":"\\\\":x"}'.replace(b'":x"', b'\\":x"'),
        GOOD[:-1] + b',"timestamp":"2026-01-05T12:00:00+0100","label":1}',
        b'{"type":"label",' + GOOD[1:],
    ],
)
def test_repeated_key_is_seen_through_disguises(item: bytes) -> None:
    assert verdicts(as_json(item)) == [(0, "duplicate_key")]
    assert verdicts(as_json(GOOD, item, GOOD)) == [(0, None), (1, "duplicate_key"), (2, None)]
    assert verdicts(item.replace(b"\n", b" "), "application/x-ndjson") == [(0, "duplicate_key")]


@pytest.mark.parametrize(
    "source", [b":x", b" :x", b"\\u003ax", b'\\":', b"\\\\", b'\\\\\\":\\"', b'a\\":1,\\"a\\":2', b"\\u0022:"]
)
def test_text_that_looks_like_keys_is_no_repeat(source: bytes) -> None:
    assert verdicts(as_json(GOOD[:-1] + b',"source":"' + source + b'"}')) == [(0, None)]


# Checks against settings


class Binary:
    task = "binary"
    classes = None
    ordered = True
    shorter = ()
    normalize = False


def test_check_all_moves_what_disagrees_to_its_place() -> None:
    wrong = GOOD.replace(b'"label":1', b'"label":2')
    checked = check_all(decoded(as_json(BAD, wrong, GOOD, wrong, BAD)), lambda _: Binary())
    assert list(checked.indexes) == [2]
    assert [rejection.index for rejection in checked.rejected] == [0, 1, 3, 4]
    assert checked.rejected[1].code == "unknown_class"
    assert checked.rejected[1].event_id == "a"


def test_check_all_asks_by_model() -> None:
    other = GOOD.replace(b'"m"', b'"other"').replace(b'"label":1', b'"label":2')
    assert check_all(decoded(as_json(GOOD, other)), {"m": Binary()}.get).rejected == []


# The same verdict in any company


KEYS = st.sampled_from(
    [
        *(f'"{field}"' for field in PredictionEvent.__struct_fields__),
        *(f'"{field}"' for field in LabelEvent.__struct_fields__),
        '"type"',
        '"\\u006cabel"',
        '"odd"',
    ]
)
VALUES = st.sampled_from(
    [
        *("0.5", "1", "0", "1.2", "-0.0", "NaN", "Infinity", "1e400", "true", "null", "1" * 400, "[]", "{}", "01"),
        *(
            '"x"',
            '""',
            '":x"',
            '" :x"',
            '"\\u003ax"',
            '"\\":"',
            '"\\ud800"',
            '"\\u0000"',
            '"\\n"',
            '"2026-01-05T12:00:00Z"',
        ),
        *(
            "[0.5,0.5]",
            '{"a":0.5,"b":0.5}',
            '{"a":0.5,"a":0.5}',
            '{"a:b":"c"}',
            '{"a":true,"b":3}',
            '{"a":[{"b":null}]}',
        ),
        *("1e61", "51", "7", '"verbalized"', '"self_consistency"', '"logprob"'),
        *('{"0.1":1,"0.9":2}', '{"0.9":1,"0.1":2}', '{"0.5":1,".5":1}', '{"0.5":1,"x":1}', '{"0.1":1e61,"0.9":2}'),
    ]
)
COLONS = st.sampled_from([":", ":", ":", ": ", " :", "\t: "])
PAIRS = st.builds("{}{}{}".format, KEYS, COLONS, VALUES)
STARTS = st.sampled_from(
    [
        '"type":"label","event_id":"a","model":"m","label":1',
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z"',
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","probability":0.5',
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","probabilities":[0.5,0.5]',
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","confidence":1,"prediction":"a"',
        (
            '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","prediction":"a",'
            '"confidence_source":"self_consistency","agreeing":1'
        ),
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","score":-1.5,"prediction":"a"',
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","mean":1',
        '"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z","quantiles":{"0.1":1,"0.9":2}',
        '"event_id":"a"',
    ]
)
OBJECTS = st.builds(
    lambda start, pairs: f"{{{','.join([start, *pairs])}}}".encode(), STARTS, st.lists(PAIRS, max_size=3)
)
ITEMS = OBJECTS | VALUES.map(str.encode)


@settings(max_examples=400, deadline=None)
@given(st.lists(ITEMS, max_size=6))
def test_verdict_does_not_depend_on_the_company(items: list[bytes]) -> None:
    alone = [decoded(as_json(item)) for item in items]
    together = decoded(as_json(*items))
    assert together.accepted == [event for result in alone for event in result.accepted]
    assert [r.reason for r in together.rejected] == [r.reason for result in alone for r in result.rejected]
    assert list(together.indexes) == [index for index, result in enumerate(alone) if result.accepted]
    in_lines = decoded(b"\n".join(items), "application/x-ndjson")
    assert (in_lines.accepted, in_lines.rejected) == (together.accepted, together.rejected)


@settings(max_examples=400, deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=3))
def test_accepted_events_repeat_no_key(items: list[bytes]) -> None:
    repeats: list[str] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        repeats.extend(key for key, _ in members[len(dict(members)) :])
        return dict(members)

    for index in decoded(as_json(*items)).indexes:
        json.loads(items[index], object_pairs_hook=pairs)
    assert repeats == []


@settings(max_examples=400, deadline=None)
@given(OBJECTS)
def test_every_refusal_is_explained(item: bytes) -> None:
    assert not [r for r in decoded(as_json(item)).rejected if "can't be read" in r.reason]


@settings(max_examples=40, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_whole_decoding_and_item_by_item_agree(items: list[bytes]) -> None:
    spread_out = as_json(b" " * MAX_ITEM_BYTES, *items).replace(b",", b"", 1)
    assert decoded(spread_out) == decoded(as_json(*items))


BODIES = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [b'{"events":[', b"]}", b",", GOOD, BAD, b'"', b"{", b"}", b"[", b"]", b":", b"\\", b"\n", b"\xff", b"1"]
    ),
    max_size=14,
).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(BODIES | BODIES.map(lambda inner: b'{"events":[' + inner + b"]}"), st.sampled_from(["", "application/x-ndjson"]))
def test_any_body_is_decoded_or_refused_in_order(body: bytes, content_type: str) -> None:
    try:
        result = decoded(body, content_type)
    except (BadInput, TooLarge) as error:
        str(error).encode()
        return
    assert sorted([*result.indexes, *(r.index for r in result.rejected)]) == list(range(result.received))
    for rejection in result.rejected:
        f"{rejection.reason}{rejection.event_id}".encode()


# Decompression


def test_inflate_returns_what_was_compressed() -> None:
    assert inflate(gzip.compress(GOOD, mtime=0)) == GOOD


def test_inflate_takes_several_members() -> None:
    assert inflate(gzip.compress(GOOD, mtime=0) + gzip.compress(b"") + gzip.compress(BAD)) == GOOD + BAD


def test_inflate_reads_members_across_chunks() -> None:
    noise = bytes(zlib.crc32(i.to_bytes(4)) % 251 for i in range(200_000))
    assert inflate(gzip.compress(noise, mtime=0) * 3) == noise * 3


def test_inflate_stops_at_its_limit() -> None:
    assert inflate(gzip.compress(b"x" * 1000, mtime=0), 1000) == b"x" * 1000
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"x" * 1001, mtime=0), 1000)
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"x" * 600, mtime=0) * 2, 1000)


def test_inflate_of_a_bomb_stops_early() -> None:
    bomb = zlib.compressobj(9, wbits=31)
    body = b"".join(bomb.compress(bytes(2**20)) for _ in range(40)) + bomb.flush()
    with pytest.raises(TooLarge):
        inflate(body, 2**20)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not gzip",
        gzip.compress(GOOD, mtime=0)[:-1],
        gzip.compress(GOOD, mtime=0)[:-9],
        gzip.compress(GOOD, mtime=0) + b"x",
        gzip.compress(GOOD, mtime=0) + b"\0\0",
        gzip.compress(GOOD, mtime=0)[:-8] + bytes(8),
        zlib.compress(GOOD),
        gzip.compress(b"", mtime=0) * 10_001,
    ],
)
def test_inflate_refuses_what_is_not_whole_gzip(body: bytes) -> None:
    with pytest.raises(BadInput):
        inflate(body)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_inflate_notices_a_flipped_byte(data: st.DataObject) -> None:
    body = bytearray(gzip.compress(GOOD, mtime=0))
    # The header's time, flags and system (bytes 4 to 9) are not covered by the checksum.
    place = data.draw(st.integers(0, 3) | st.integers(10, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    try:
        assert inflate(bytes(body)) == GOOD
    except BadInput:
        return
