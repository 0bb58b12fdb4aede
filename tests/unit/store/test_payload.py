"""The payload of a prediction row: stored as sent, by name, without what was not sent."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from monitor.calibrators.distributions import Distribution
from monitor.domain.errors import Corrupt
from monitor.domain.events import PredictionEvent
from monitor.domain.records import PredictionRow
from monitor.store.payload import (
    confidences,
    distributions_of,
    payload_of,
    vectors_of,
    with_distributions,
    with_vectors,
)

CLASSES = ("cat", "dog")
WHEN = datetime(2026, 1, 5, tzinfo=UTC)


def event(**fields: Any) -> PredictionEvent:
    return PredictionEvent(event_id="e", model="m", timestamp=WHEN, **fields)


def row(payload: bytes | None, raw: float | None = None) -> PredictionRow:
    return PredictionRow(
        key=6, model_id=1, event_id="e", at=0, received_at=0, rolled_at=0, version="", calibrator=None, segments=None,
        cluster=None, p=0.5, raw=raw, payload=payload, digest=0, revision=1,
    )  # fmt: skip


def stored(**fields: Any) -> Any:
    payload = confidences(event(**fields), CLASSES)[2]
    return None if payload is None else msgspec.msgpack.decode(payload)


def test_payload_of_a_probability_is_none_or_its_metadata_and_members() -> None:
    assert stored(probability=0.25) is None
    assert stored(probability=0.25, metadata={}) == {"metadata": {}}
    assert stored(probability=0.25, members=[0.25, 0.5], metadata={"a": [1, None, {"b": "c"}]}) == {
        "metadata": {"a": [1, None, {"b": "c"}]},
        "members": [0.25, 0.5],
    }


@pytest.mark.parametrize("answer", ["Paris", 42, 4.5, ""])
def test_payload_of_an_answer_keeps_its_type(answer: str | float) -> None:
    assert stored(confidence=0.5, prediction=answer) == {"answer": answer}
    assert type(stored(confidence=0.5, prediction=answer)["answer"]) is type(answer)


def test_payload_of_an_answer_says_where_its_confidence_comes_from() -> None:
    sent = {"confidence_source": "self_consistency", "agreeing": 0, "samples": 5}
    assert stored(confidence=0.0, prediction="a", **sent) == {"answer": "a", **sent}
    assert stored(score=-3.5, prediction="a") == {"answer": "a", "score": -3.5}


def test_payload_of_vectors_keeps_them_as_sent() -> None:
    by_class = {"dog": 0.75, "cat": 0.25}
    assert stored(logits=[0.5, -1.0]) == {"logits": [0.5, -1.0]}
    assert stored(probabilities=by_class) == {"vector": by_class}
    assert stored(probabilities=[0.5, 0.5], raw_probabilities=by_class) == {"vector": [0.5, 0.5], "raw": by_class}


def test_payload_of_a_regression_keeps_quantiles_by_their_own_names() -> None:
    assert stored(mean=1.0, std=2.0, raw_mean=0.5, raw_std=1.0) == {
        "mean": 1.0, "std": 2.0, "raw_mean": 0.5, "raw_std": 1.0,
    }  # fmt: skip
    assert stored(quantiles={".9": 3.0, "0.1": 1.0}) == {"quantiles": {".9": 3.0, "0.1": 1.0}}


def test_confidences_are_of_the_served_and_the_raw_form() -> None:
    assert confidences(event(probability=0.25, raw_probability=0.5), None)[:2] == (0.25, 0.5)
    assert confidences(event(probabilities={"dog": 0.75, "cat": 0.25}), CLASSES)[:2] == (0.75, None)
    assert confidences(event(score=2.0, prediction="a"), None)[:2] == (0.0, None)
    assert confidences(event(quantiles={"0.9": 3.0, "0.1": 1.0}, raw_mean=4.0, raw_std=1.0), None)[:2] == (2.0, 4.0)


def test_a_vector_of_another_length_than_the_classes_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="a vector has 3 values, but its model has 2 classes"):
        confidences(event(probabilities=[0.5, 0.25, 0.25]), CLASSES)


def test_bytes_that_are_no_payload_are_corrupt() -> None:
    with pytest.raises(Corrupt, match="the payload of event e does not decode"):
        payload_of(row(b"\x81\xa5score\xa1x"))


def test_vectors_are_replaced_and_the_rest_stays() -> None:
    before = row(confidences(event(logits=[0.0, 1.0], metadata={"a": 1}), CLASSES)[2])
    served = with_vectors(before, [0.25, 0.75], [0.5, 0.5])
    assert msgspec.msgpack.decode(served) == {"metadata": {"a": 1}, "vector": [0.25, 0.75], "raw": [0.5, 0.5]}
    assert vectors_of(row(served), CLASSES) == ([0.25, 0.75], [0.5, 0.5])
    assert vectors_of(row(with_vectors(before, [0.25, 0.75], None)), CLASSES) == ([0.25, 0.75], [0.25, 0.75])


def test_distributions_are_replaced_and_the_rest_stays() -> None:
    before = row(confidences(event(mean=1.0, std=2.0, metadata={"a": 1}), None)[2])
    served, raw = Distribution((50, 975), (1.0, 3.0)), Distribution((), (1.0, 2.0))
    payload = with_distributions(before, served, raw)
    assert msgspec.msgpack.decode(payload) == {
        "metadata": {"a": 1}, "quantiles": {"0.05": 1.0, "0.975": 3.0}, "raw_mean": 1.0, "raw_std": 2.0,
    }  # fmt: skip
    both = distributions_of(replace(before, payload=payload, raw=1.0))
    assert [(one.levels, one.values) for one in both] == [(served.levels, served.values), ((), (1.0, 2.0))]
