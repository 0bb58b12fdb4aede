"""Numbers written in other ways than the decoder takes are the numbers they mean; all else is refused as before."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.events import decimal
from monitor.ingest.decode import Decoded, decode_events

NOW = datetime(2026, 7, 1, tzinfo=UTC)

WRITTEN = [
    ("12.50", 12.5),
    ("0.1", 0.1),
    ("-3", -3),
    ("+3", 3),
    ("1e-3", 0.001),
    (".5", 0.5),
    ("5.", 5),
    ("1" * 9, 111_111_111),
]
NO_NUMBERS = [
    "",
    " ",
    "half",
    "nan",
    "NaN",
    "inf",
    "Infinity",
    "1e999",
    "0x10",
    "1_000",
    "1,5",
    "1 2",
    "50%",
    "--1",
    "1e",
    ".",
    "٣",
    True,
    None,
    [0.5],
    {},
]


def decoded(*items: dict[str, Any]) -> Decoded:
    return decode_events(json.dumps({"events": items}).encode(), "application/json", now=NOW)


def prediction(**fields: Any) -> dict[str, Any]:
    at = "2026-01-05T12:00:00Z"
    return {"type": "prediction", "event_id": "a", "model": "m", "timestamp": at, **fields}


FORMS: list[tuple[Any, ...]] = [
    (lambda x: {"score": x, "prediction": "a"},),
    (lambda x: {"mean": x, "std": 1},),
    (lambda x: {"mean": 1, "std": 1, "raw_mean": x, "raw_std": 1, "calibrator_version": 1},),
    (lambda x: {"logits": [x, 1.0]},),
    (lambda x: {"logits": {"cat": x, "dog": 1.0}},),
]


@pytest.mark.parametrize(("form",), FORMS)  # noqa: PT006  a function is no list of names
@pytest.mark.parametrize(("text", "number"), WRITTEN)
def test_a_number_in_decimal_text_is_that_number(form: Any, text: str, number: float) -> None:
    written, plain = decoded(prediction(**form(text))), decoded(prediction(**form(number)))

    assert plain.rejected == []
    assert written == plain


RATIOS = [
    {"probability": "0.25"},
    {"probability": 0.5, "raw_probability": "0.25", "calibrator_version": "3"},
    {"probabilities": ["0.25", 0.75]},
    {"probabilities": {"cat": "0.25", "dog": "0.75"}},
    {"probabilities": [0.5, 0.5], "raw_probabilities": ["0.25", "0.75"]},
    {"confidence": "0.25", "prediction": "x"},
    {"confidence": 0.5, "raw_confidence": "0.25", "prediction": "x"},
    {"prediction": "x", "confidence_source": "self_consistency", "agreeing": "3", "samples": 5.0},
    {"prediction": "x", "confidence_source": "self_consistency", "agreeing": 3.0, "samples": "5.0"},
    {"quantiles": {"0.1": "1.5", "0.9": 2}},
    {"mean": 1, "std": "1.5"},
    {"members": ["0.25", "0.75"]},
    {"members": [["0.25", 0.75], [0.5, "0.5"]]},
]


def with_numbers(value: Any) -> Any:
    """Return fields with decimal text as numbers, by the standard library alone."""
    if isinstance(value, dict):
        return {key: with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_numbers(inner) for inner in value]
    if isinstance(value, str) and value[0].isdigit():
        return int(float(value)) if float(value).is_integer() else float(value)
    return int(value) if value == 5.0 else 3 if value == 3.0 else value


@pytest.mark.parametrize("fields", RATIOS, ids=str)
def test_every_field_takes_its_number_as_text(fields: dict[str, Any]) -> None:
    written, plain = decoded(prediction(**fields)), decoded(prediction(**with_numbers(fields)))

    assert plain.rejected == []
    assert written == plain


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused_beside_good_items(value: Any) -> None:
    found = decoded(prediction(mean=value, std=1), prediction(probability="0.5"))

    assert [rejection.index for rejection in found.rejected] == [0]
    assert "mean" in found.rejected[0].reason or "no score" in found.rejected[0].reason


@pytest.mark.parametrize("field", ["prediction", "label", "event_id", "model_version", "cluster"])
def test_text_that_is_no_number_field_stays_text(field: str) -> None:
    label = {"type": "label", "event_id": "a", "model": "m", "label": "x"}
    item = (
        label | {"label": "12.50"}
        if field == "label"
        else prediction(**{"confidence": "0.5", "prediction": "x", field: "12.50"})
    )
    (event,) = decoded(item).accepted

    assert getattr(event, field) == "12.50"


def test_the_reason_is_of_what_is_wrong_not_of_a_number_as_text() -> None:
    (refused,) = decoded(prediction(probability="0.5", cluster=7)).rejected

    assert refused.reason == "cluster is 7: must be a string"


def test_a_ratio_as_text_is_held_to_its_range() -> None:
    (refused,) = decoded(prediction(probability="1.5")).rejected

    assert (refused.code, refused.reason) == ("out_of_range", "probability is 1.5: must be between 0 and 1")


def test_a_repeated_key_is_refused_beside_a_number_as_text() -> None:
    item = json.dumps(prediction(probability="0.5"))[:-1] + ',"probability":"0.6"}'
    found = decode_events(f'{{"events":[{item}]}}'.encode(), "application/json", now=NOW)

    assert [rejection.code for rejection in found.rejected] == ["duplicate_key"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_from_its_text(number: float) -> None:
    assert decimal(repr(number)) == number


@given(st.text(max_size=12))
def test_what_is_read_from_text_is_what_python_reads(text: str) -> None:
    number = decimal(text)

    assert number is None or number == float(text)
