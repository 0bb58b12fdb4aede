"""The clothes that numbers and names arrive in: what the client sends is what each means, in every field that holds it."""

import json
import re
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import Client
from monitor.client import agreement
from monitor.client.items import by_class, encode, label, prediction
from monitor.client.plain import plain
from monitor.domain.errors import Unreadable
from monitor.domain.events import PredictionEvent
from monitor.ingest.decode import decode_events

NOBODY = "http://127.0.0.1:9"


class Animal(Enum):
    CAT = "cat"
    NUMBER = 3
    HALF = 0.5
    OF_NUMPY = np.int64(4)


class Grade(IntEnum):
    TWO = 2


class Word(StrEnum):
    DOG = "dog"


def shown(value: Any) -> str:
    """Return a value's text without its address, which would differ between the processes of a run."""
    return re.sub(r" at 0x\w+", "", repr(value))


class Own:
    def __float__(self) -> float:
        return 0.75


class OwnWhole:
    def __index__(self) -> int:
        return 5


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class OwnArray:
    def tolist(self) -> Any:
        return self


NUMBERS = [
    (Decimal("12.50"), 12.5),
    (Decimal(7), 7),
    (Decimal("1E+2"), 100.0),
    (Decimal("0.1"), 0.1),
    (Fraction(1, 4), 0.25),
    (Own(), 0.75),
    (OwnWhole(), 5),
    (Whole(3), 3),
    (Animal.NUMBER, 3),
    (Animal.HALF, 0.5),
    (Animal.OF_NUMPY, 4),
    (Grade.TWO, 2),
    (np.float16(0.1), 0.1),
    (np.float32(3.3), 3.3),
    (np.float64(3.3), 3.3),
    (np.longdouble(0.5), 0.5),
    (np.array(3.3, dtype=np.float32), 3.3),
    (np.array(3.3), 3.3),
    (pd.Series([3.3], dtype="float32").iloc[0], 3.3),
    (pd.array([7], dtype="Int64")[0], 7),
    *[
        (np.dtype(name).type(7), 7)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    ],
]
NAMES = [
    (np.str_("cat"), "cat"),
    (Text("cat"), "cat"),
    (Animal.CAT, "cat"),
    (Word.DOG, "dog"),
    (pd.Categorical(["cat"])[0], "cat"),
    (pd.array(["cat"], dtype="string")[0], "cat"),
]


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(NOBODY, "churn", timeout=0.2)
    yield made
    made.close(timeout=0)


def queued(client: Client) -> list[dict[str, Any]]:
    return [json.loads(item) for item in client._outbox.front(1_000, 1 << 30)]  # noqa: SLF001  nobody listens: all there is is queued


def sent(field: str, value: Any) -> Any:
    """Return a field as it arrives."""
    fields = {"event_id": "e", "model": "m", field: value}
    item = label(**fields) if field == "label" else prediction(timestamp="2026-01-01T00:00:00Z", **fields)
    return json.loads(encode(item))[field]


@pytest.mark.parametrize("field", ["probability", "confidence", "score", "mean", "prediction", "label"])
@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=shown)
def test_a_number_is_sent_as_the_number_it_means(field: str, value: Any, expected: float) -> None:
    assert sent(field, value) == expected
    assert type(sent(field, value)) is type(expected)


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=shown)
def test_a_number_in_a_collection_is_sent_as_the_number_it_means(value: Any, expected: float) -> None:
    for collection in ([value, 1.0], (value, 1.0), deque([value, 1.0])):
        assert sent("probabilities", collection) == [expected, 1.0]
    for mapping in ({"a": value}, OrderedDict(a=value), MappingProxyType({"a": value})):
        assert sent("probabilities", mapping) == {"a": expected}
    assert sent("members", [[value, 1.0]]) == [[expected, 1.0]]


@pytest.mark.parametrize("field", ["prediction", "label"])
@pytest.mark.parametrize(("value", "expected"), NAMES, ids=shown)
def test_a_name_is_sent_as_text(field: str, value: Any, expected: str) -> None:
    assert sent(field, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *NAMES,
        (True, "true"),
        (np.False_, "false"),
        (3, "3"),
        (np.int64(3), "3"),
        (np.uint8(3), "3"),
        (Decimal(3), "3"),
        (Animal.NUMBER, "3"),
        (Grade.TWO, "2"),
    ],
    ids=shown,
)
def test_a_key_by_class_is_a_name(client: Client, value: Any, expected: str) -> None:
    for field in ("probabilities", "logits"):
        client.log("e", **{field: {value: 0.25, "other": 0.75}})
    client.log("e", probabilities={"a": 0.5, "b": 0.5}, raw_probabilities={value: 0.25, "other": 0.75})

    vectors = [
        event.get("raw_probabilities") or event.get("probabilities") or event["logits"] for event in queued(client)
    ]
    assert vectors == [{expected: 0.25, "other": 0.75}] * 3


@pytest.mark.parametrize("key", [None, pd.NA, float("nan"), ("a", "b"), 1j], ids=shown)
def test_a_key_that_is_no_name_is_dropped_with_a_reason(
    client: Client, caplog: pytest.LogCaptureFixture, key: Any
) -> None:
    client.log("e", probabilities={key: 0.25, "other": 0.75})

    assert client.stats().dropped == 1
    assert type(key).__name__ in caplog.text


def test_keys_of_one_name_are_dropped(client: Client) -> None:
    twice: Any = {1: 0.25, "1": 0.75}
    client.log("e", probabilities=twice)

    assert client.stats().dropped == 1


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_a_boolean_label_stays_one(value: Any) -> None:
    assert sent("label", value) is bool(value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_narrow_float_is_the_shortest_decimal_that_rounds_to_it(value: float) -> None:
    meant = plain(np.float32(value))

    assert np.float32(meant) == np.float32(value)
    assert len(f"{meant!r}") <= len(f"{value!r}")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_a_decimal_is_the_number_it_states(value: Decimal) -> None:
    assert sent("label", value) == float(value)
    assert plain(value) == float(value)


UNREADABLE = [
    (1j, "complex"),
    (OwnArray(), "OwnArray"),
    (object(), "object"),
    (range, "type"),
    (pd.NA, "label must be finite"),
    (pd.NaT, "label must be finite"),
    (None, "label must be finite"),
    (Decimal("NaN"), "label must be finite"),
    (Decimal("-Infinity"), "label must be finite"),
    (np.float32("nan"), "label must be finite"),
    (np.longdouble("inf"), "label must be finite"),
    (Fraction(10**400), "too large"),
]


@pytest.mark.parametrize(("value", "reason"), UNREADABLE, ids=shown)
def test_what_means_nothing_is_dropped_with_a_reason_that_names_it(
    client: Client, caplog: pytest.LogCaptureFixture, value: Any, reason: str
) -> None:
    client.label("e", value)

    assert client.stats().dropped == 1
    (warning,) = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert reason in warning
    assert "recursion" not in warning


@pytest.mark.parametrize("field", ["probability", "confidence", "prediction", "mean"])
@pytest.mark.parametrize("value", [Decimal("NaN"), pd.NA, float("nan")], ids=shown)
def test_no_number_reaches_the_server_as_what_json_does_not_have(client: Client, field: str, value: Any) -> None:
    client.log("e", **{field: value})

    assert client.stats().dropped == 1


def test_decimals_beside_the_numbers_keep_all_their_digits(client: Client) -> None:
    exact = "0.12345678901234567890123"
    segments: dict[str, Any] = {"plan": Decimal("12.50"), "n": 3}
    client.log("e", probability=0.5, metadata={"price": Decimal(exact)}, segments=segments)
    (item,) = queued(client)

    assert item["metadata"] == {"price": exact}
    assert item["segments"] == {"plan": "12.50", "n": 3}


def test_text_that_reads_like_no_number_is_sent(client: Client) -> None:
    client.log("e", confidence=0.5, prediction="NaN", metadata={"note": "null and Infinity"})

    assert client.stats().dropped == 0


@pytest.mark.parametrize(("value", "expected"), [*NUMBERS, *NAMES], ids=shown)
def test_a_sampled_answer_is_what_it_means(value: Any, expected: Any) -> None:
    assert agreement([value, value, "other"])["prediction"] == expected


@pytest.mark.parametrize("value", [None, pd.NA, True, np.True_, [1], object(), Decimal("NaN")], ids=shown)
def test_a_sampled_answer_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(Unreadable):
        agreement([value, "other"])


class Labelled:
    """A series of another library."""

    def __init__(self, values: list[float], index: list[Any]) -> None:
        self.values, self.index = values, index

    def tolist(self) -> list[float]:
        return self.values


@pytest.mark.parametrize("field", ["probabilities", "logits", "raw_probabilities"])
@pytest.mark.parametrize("series", [pd.Series, Labelled])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["dog", "cat"], {"dog": 0.75, "cat": 0.25}),
        ([1, 0], {"1": 0.75, "0": 0.25}),
        ([True, False], {"true": 0.75, "false": 0.25}),
        ([1.0, 2.0], {"1.0": 0.75, "2.0": 0.25}),
        ([0, 1], [0.75, 0.25]),
    ],
)
def test_a_labelled_series_keeps_its_names(field: str, series: Any, labels: list[Any], expected: Any) -> None:
    made = Client(NOBODY, "churn", timeout=0.2)
    beside = {"probabilities": series([0.5, 0.5], index=labels)} if field == "raw_probabilities" else {}
    made.log("e", **{field: series([0.75, 0.25], index=labels)}, **beside)
    (event,) = queued(made)
    made.close(timeout=0)
    assert event[field] == expected


def test_a_series_sorted_by_score_is_told_from_an_array() -> None:
    scores = pd.Series([0.1, 0.7, 0.2], index=["cat", "dog", "owl"]).sort_values(ascending=False)
    assert by_class(scores) == {"dog": 0.7, "owl": 0.2, "cat": 0.1}


def test_a_series_that_has_a_label_twice_is_dropped(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.log("e", probabilities=pd.Series([0.5, 0.5], index=["a", "a"]))
    assert client.stats().dropped == 1
    assert "the same label" in caplog.text


def test_a_labelled_series_is_calibrated_by_name(client: Client) -> None:
    scores = pd.Series([0.75, 0.25], index=["dog", "cat"])
    assert client.calibrate(scores) == {"dog": 0.75, "cat": 0.25}
    assert client.calibrate(pd.Series([0.75, 0.25], index=[7, 3])).tolist() == [0.75, 0.25]
    event_id = client.log(probabilities=client.calibrated(scores))
    (event,) = queued(client)
    assert (event["event_id"], event["probabilities"]) == (event_id, {"dog": 0.75, "cat": 0.25})


MASKED = [1.0, float("-inf"), 0.5]


@pytest.mark.parametrize(
    "logits",
    [
        MASKED,
        tuple(MASKED),
        np.array(MASKED),
        np.array(MASKED, dtype=np.float32),
        dict(zip("abc", MASKED, strict=True)),
    ],
    ids=lambda logits: type(logits).__name__,
)
def test_the_logit_of_a_masked_class_arrives(client: Client, logits: Any) -> None:
    client.log("e", logits=logits, metadata={"note": None})
    (item,) = client._outbox.front(1_000, 1 << 30)  # noqa: SLF001  nobody listens: all there is is queued
    found = decode_events(item, "application/x-ndjson", now=datetime.now(UTC))

    assert found.rejected == []
    (event,) = found.accepted
    assert isinstance(event, PredictionEvent)
    assert event.logits == (logits if isinstance(logits, dict) else MASKED)


@pytest.mark.parametrize("logits", [[1.0, float("nan")], [1.0, float("inf")], [float("-inf"), None]])
def test_logits_that_are_no_numbers_are_dropped(client: Client, logits: Any) -> None:
    client.log("e", logits=logits)

    assert client.stats().dropped == 1
