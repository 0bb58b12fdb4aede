"""A strict client, for tests of serving code: bad input raises where it is logged. Nobody listens at the address."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from monitor import Client, agreement
from monitor.client.strict import check
from monitor.domain.errors import BadInput
from monitor.ingest.decode import decode_events

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def strict() -> Iterator[Client]:
    made = Client(NOBODY, "churn", timeout=0.1, strict=True)
    yield made
    made.close(timeout=0)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"probability": 1.7}, r"probability is 1.7: expected `float` <= 1.0"),
    ({"probability": "high"}, "probability is 'high': expected `float"),
    ({"probability": float("nan")}, "probability must be finite"),
    ({"probabilities": [0.5, 1.5]}, r"probabilities is \[0.5, 1.5\]"),
    ({"probabilities": [1.0]}, "length >= 2"),
    ({}, "event is None: it must have exactly one of probability, probabilities"),
    ({"probability": 0.5, "confidence": 0.5, "prediction": "a"}, "event is 'probability and confidence'"),
    ({"mean": 1.0, "std": 0.0}, "std is 0.0"),
    ({"probability": 0.5, "metadata": object()}, "object is no number, text, or collection of them"),
    ({"probability": 0.5, "segments": {"a": [1]}}, "segments"),
    ({"probability": 0.5, "timestamp": datetime(2026, 1, 1)}, "timestamp"),  # noqa: DTZ001 - no zone
    ({"probability": 0.5, "timestamp": "yesterday"}, "timestamp is 'yesterday'"),
    ({"confidence": 0.5, "prediction": "a", "confidence_source": "guess"}, "confidence_source is 'guess'"),
    ({"event_id": "x" * 201, "probability": 0.5}, "event_id has 201 characters"),
    ({"event_id": b"a", "probability": 0.5}, "event_id"),
]


@pytest.mark.parametrize(("fields", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_prediction_raises_and_is_counted(strict: Client, fields: dict[str, Any], reason: str):
    with pytest.raises(BadInput, match=reason):
        strict.log(**fields)
    assert (strict.stats().logged, strict.stats().dropped) == (1, 1)


@pytest.mark.parametrize("label", [None, float("nan"), [1], object(), ""], ids=range(5))
def test_a_bad_label_raises(strict: Client, label: Any):
    with pytest.raises(BadInput):
        strict.label("a", label)


def test_a_long_label_is_taken_as_the_server_takes_it(strict: Client):
    strict.label("a", "x" * 5_000)
    assert strict.stats().queued == 1


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), "high", None], ids=repr)
def test_what_would_be_served_uncalibrated_raises(tmp_path: Any, value: Any):
    from monitor.calibrators.document import seal  # noqa: PLC0415

    fitted = {"method": "platt", "task": "binary", "parameters": {"slope": 0.7, "intercept": -0.3}}
    sealed = seal(fitted, model="churn", number=3, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z")
    (tmp_path / "document.json").write_bytes(msgspec.json.encode(sealed))
    client = Client(NOBODY, "churn", timeout=0.1, bootstrap=tmp_path / "document.json", strict=True)
    for call in (client.calibrate, client.calibrated):
        with pytest.raises(BadInput, match="uncalibrated"):
            call(value)
    client.close(timeout=0)


GOOD: list[dict[str, Any]] = [
    {"probability": 0.5, "raw_probability": 0.25, "calibrator_version": 1, "segments": {"a": 1, "b": True, "c": "x"}},
    {"probabilities": {"a": 0.25, "b": 0.75}},
    {"logits": [0.5, -3.0], "metadata": {"a": [1, None]}},
    {"confidence": 0.5, "prediction": "x", "cluster": "c"},
    {"score": -3.5, "prediction": 7},
    dict(agreement(["a", "a", "b"])),
    {"members": [0.5, 1.0]},
    {"mean": 1, "std": 2, "raw_mean": 1.5, "raw_std": 2},
    {"quantiles": {0.1: 1, 0.9: 2}, "timestamp": datetime.now(UTC) - timedelta(days=3)},
]


@pytest.mark.parametrize("fields", GOOD, ids=range(len(GOOD)))
def test_a_good_prediction_is_logged_as_by_any_client(strict: Client, fields: dict[str, Any]):
    strict.label(strict.log(**fields), 1)
    assert (strict.stats().queued, strict.stats().dropped) == (2, 0)


EDGES: list[dict[str, Any]] = [
    {"probability": 1.0 + 1e-7},
    {"probability": -1e-7},
    {"probability": "0.5"},
    {"probability": Decimal("0.5")},
    {"probability": Fraction(1, 2)},
    {"probability": True},
    {"probabilities": [0.5, 0.5 + 5e-4]},
    {"logits": [0.5, float("-inf")]},
    {"probabilities": {True: 0.5, False: 0.5}},
    {"mean": "12.50", "std": Decimal("0.1")},
    {"prediction": 7, "confidence": "0.5"},
    {"prediction": True, "confidence": 0.5},
    {"prediction": "x" * 3_000, "confidence": 0.5},
    {"probability": 0.5, "segments": {"a": None, "b": float("nan"), "c": ""}},
    {"probability": 0.5, "calibrator_version": 3.0, "raw_probability": 0.5},
    {"probability": 0.5, "cluster": None},
    {"agreeing": 2.0, "samples": 3.0, "prediction": "a", "confidence_source": "self_consistency"},
    {"quantiles": {0.5: 1.0, 0.1: 1.0 + 1e-9}},
]
ANY: list[dict[str, Any]] = [*GOOD, *EDGES, *(fields for fields, _ in BAD)]


@pytest.mark.parametrize("fields", ANY, ids=range(len(ANY)))
def test_strictness_refuses_nothing_that_the_server_takes(fields: dict[str, Any]):
    client = Client(NOBODY, "churn", timeout=0.1)
    client.log(**fields)
    for item in client._outbox.front(1, 1 << 30):  # noqa: SLF001 - nobody listens
        taken = not decode_events(item, "application/x-ndjson", now=datetime.now(UTC)).rejected
        try:
            check(item)
        except BadInput:
            assert not taken
    client.close(timeout=0)


def test_a_full_queue_is_no_bad_input():
    client = Client(NOBODY, "churn", timeout=0.1, strict=True, queue_size=1)
    client.log(probability=0.5)
    client.log(probability=0.5)
    assert client.stats().dropped == 1
    client.close(timeout=0)
