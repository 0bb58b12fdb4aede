"""What is missing or odd beside an event never sinks it; a byte-order mark sinks no body."""

import codecs
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.api.bodies import parsed
from monitor.domain.events import MAX_ANSWER, MAX_NAME, LabelEvent, PredictionEvent
from monitor.domain.names import shortened
from monitor.ingest.decode import Decoded, decode_events

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
STUB = '"type":"prediction","event_id":"b","model":"m","timestamp":"2026-01-05T12:00:00Z"'
MISSING = ["null", '""', "NaN", "Infinity", "-Infinity"]


def taken(text: str, content_type: str = "application/json") -> Decoded:
    return decode_events(text.encode("utf-8", "surrogatepass"), content_type, now=NOW)


def the_event(fields: str, kind: str = "prediction") -> Any:
    """Return an event that is taken, beside one of the plainest sort."""
    own = '"timestamp":"2026-01-05T12:00:00Z","probability":0.5' if kind == "prediction" else '"label":1'
    plain = f'{{"type":"{kind}","event_id":"a","model":"m",{own}}}'
    odd = f'{{"type":"{kind}","event_id":"b","model":"m",{own},{fields}}}'
    answer = taken(f'{{"events":[{plain},{odd}]}}')
    assert answer.rejected == []
    return answer.accepted[1]


@pytest.mark.parametrize("value", MISSING)
def test_a_segment_without_a_value_is_absent(value: str) -> None:
    assert the_event(f'"segments":{{"country":{value},"tier":"gold"}}').segments == {"tier": "gold"}
    assert the_event(f'"segments":{{"country":{value}}}').segments is None
    assert the_event(f'"segments":{{"country":{value},"tier":{value}}}').segments is None


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize("field", ["cluster", "model_version"])
def test_a_prediction_without_a_value_of_a_side_field_is_taken(field: str, value: str) -> None:
    assert getattr(the_event(f'"{field}":{value}'), field) is None


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize("field", ["source", "model_version"])
def test_a_label_without_a_value_of_a_side_field_is_taken(field: str, value: str) -> None:
    assert getattr(the_event(f'"{field}":{value}', "label"), field) is None


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_what_is_missing_in_metadata_is_null(value: str) -> None:
    assert the_event(f'"metadata":{{"a":[1,{value}],"b":{{"c":{value}}}}}').metadata == {
        "a": [1, None],
        "b": {"c": None},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", "3"), ("3.0", "3"), ("-3.0", "-3"), ("1.5", "1.5"), ("1e300", "1e+300"), ("true", "true"), ('" "', " ")],
)
def test_a_segment_is_text(value: str, expected: str) -> None:
    assert the_event(f'"segments":{{"a":{value}}}').segments == {"a": expected}


@pytest.mark.parametrize("value", ["[]", '{"a":1}'])
def test_a_segment_that_is_no_value_is_refused(value: str) -> None:
    item = f'{{{STUB},"probability":0.5,"segments":{{"a":{value}}}}}'
    (rejection,) = taken(f'{{"events":[{item}]}}').rejected
    assert (rejection.code, rejection.reason.partition(": ")[2]) == (
        "wrong_type",
        "must be a string, a number or a boolean",
    )


def test_a_nan_that_is_no_side_field_is_refused_as_ever() -> None:
    item = f'{{{STUB},"probability":NaN,"segments":{{"a":NaN}}}}'
    (rejection,) = taken(f'{{"events":[{item}]}}').rejected
    assert (rejection.code, rejection.event_id) == ("not_finite", "b")


@given(st.text(alphabet="ab", max_size=60), st.text(alphabet="ab", max_size=60))
def test_a_shortened_text_stays_itself(one: str, other: str) -> None:
    limit = 40
    assert len(shortened(one, limit)) <= limit
    assert (shortened(one, limit) == shortened(other, limit)) == (one == other)
    assert shortened(shortened(one, limit), limit) == shortened(one, limit)


@pytest.mark.parametrize("size", [1, MAX_NAME, MAX_NAME + 1, MAX_ANSWER, MAX_ANSWER + 1, 100_000])
def test_an_answer_and_a_label_of_any_length_are_the_same_text(size: int) -> None:
    text = "x" * size
    fields = {"event_id": "a", "model": "m"}
    prediction = {
        "type": "prediction",
        "timestamp": "2026-01-05T12:00:00Z",
        "confidence": 0.5,
        "prediction": text,
        **fields,
    }
    body = {
        "events": [
            prediction,
            {"type": "label", "label": text, **fields},
            {"type": "label", "label": text + "y", **fields},
        ]
    }
    answer, label, other = taken(json.dumps(body)).accepted
    assert isinstance(answer, PredictionEvent)
    assert isinstance(label, LabelEvent)
    assert isinstance(other, LabelEvent)
    assert answer.prediction == label.label != other.label
    assert len(str(label.label)) == min(size, MAX_ANSWER)


@pytest.mark.parametrize("text", ["two\nlines", "a\ttab", "carriage\r\nreturn"])
def test_a_label_may_have_the_lines_that_an_answer_may_have(text: str) -> None:
    assert (
        taken(json.dumps({"events": [{"type": "label", "event_id": "a", "model": "m", "label": text}]})).rejected == []
    )


@pytest.mark.parametrize("field", ["cluster", "source", "segments"])
def test_a_long_side_field_is_shortened(field: str) -> None:
    text = "x" * 5000
    value = json.dumps({"a": text} if field == "segments" else text)
    event = the_event(f'"{field}":{value}', "label" if field == "source" else "prediction")
    stored = event.segments["a"] if field == "segments" else getattr(event, field)
    assert (len(stored), stored[:100]) == (MAX_NAME, text[:100])


MARKED = [codecs.BOM_UTF8 + b"%s", "utf-16", "utf-16-le", "utf-16-be"]


def marked(text: str, mark: Any) -> bytes:
    if isinstance(mark, bytes):
        return mark % text.encode()
    return {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(mark, b"") + text.encode(mark)


@pytest.mark.parametrize("mark", MARKED)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_json_with_a_byte_order_mark_is_json(mark: Any, content_type: str) -> None:
    item = '{"type":"label","event_id":"ä","model":"m","label":1}'
    text = f'{{"events":[{item},{item}]}}' if content_type == "application/json" else f"{item}\n{item}\n"
    answer = decode_events(marked(text, mark), content_type, now=NOW)
    assert (len(answer.accepted), answer.rejected) == (2, [])


def test_each_line_may_begin_with_a_mark() -> None:
    line = codecs.BOM_UTF8 + b'{"type":"label","event_id":"a","model":"m","label":1}\n'
    assert len(decode_events(line * 3, "application/x-ndjson", now=NOW).accepted) == 3


@pytest.mark.parametrize("mark", MARKED)
def test_settings_with_a_byte_order_mark_are_settings(mark: Any) -> None:
    assert parsed(marked('{"segments": ["ländle"]}', mark)) == {"segments": ["ländle"]}
