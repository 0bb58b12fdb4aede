"""What log and label queue, and that nothing whatever makes them raise or wait. Nobody listens at the address."""

import copy
import json
import os
import pickle
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor import Client
from monitor.client import Calibrated, Stats, average
from monitor.client.limited import MOST_KINDS, LimitedWarnings
from monitor.domain import events
from monitor.domain.errors import BadInput
from monitor.ingest.decode import decode_events
from tests.unit.client.processes import forked

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(NOBODY, "churn", timeout=0.2)
    yield made
    made.close(timeout=0)


def queued(client: Client) -> list[dict[str, Any]]:
    return [json.loads(item) for item in waiting(client)]


def waiting(client: Client) -> list[bytes]:
    return client._outbox.front(1_000, 1 << 30)  # noqa: SLF001  nobody listens, so all there is to see is the queue


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__


class OwnArray:
    def tolist(self) -> Any:
        return self


def recursive() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


UNUSABLE = {
    "nothing": {"probability": None, "metadata": Hostile()},
    "nan": {"probability": float("nan")},
    "infinity": {"probability": float("inf")},
    "nan in a list": {"probabilities": [0.5, float("nan")]},
    "nan in an object": {"probabilities": {"a": 0.5, "b": float("nan")}},
    "nan in an array": {"logits": np.array([0.1, np.nan])},
    "nan as raw": {"probability": 0.5, "raw_probability": float("nan")},
    "nan as a score": {"score": float("nan"), "prediction": "x"},
    "infinite spread": {"mean": 0.5, "std": float("inf")},
    "nan as a mean": {"mean": np.float32("nan"), "std": 1},
    "nan among quantiles": {"quantiles": {0.1: 0.5, 0.9: float("nan")}},
    "quantiles without levels": {"quantiles": [0.5, 0.6]},
    "level twice": {"quantiles": {0.5: 1, "0.5": 1}},
    "level of no kind": {"quantiles": {None: 1, 0.5: 1}},
    "hostile quantiles": {"quantiles": Hostile()},
    "nan among members": {"probability": 0.5, "members": [0.5, float("nan")]},
    "nan in a member": {"probabilities": [0.5, 0.5], "members": np.array([[0.5, 0.5], [0.5, np.nan]])},
    "object": {"probability": object()},
    "hostile": {"probability": Hostile()},
    "array of itself": {"probability": OwnArray()},
    "recursive": {"metadata": recursive()},
    "lone surrogate": {"probability": 0.5, "cluster": "\ud800"},
    "huge": {"probability": 0.5, "metadata": {"text": "x" * 2_000_000}},
    "id of a bool": {"event_id": True, "probability": 0.5},
    "id of a float": {"event_id": 0.5, "probability": 0.5},
    "hostile id": {"event_id": Hostile(), "probability": 0.5},
    "empty id": {"event_id": "", "probability": 0.5},
    "long id": {"event_id": "x" * 201, "probability": 0.5},
    "id with a lone surrogate": {"event_id": "\udfff", "probability": 0.5},
}


@pytest.mark.parametrize("fields", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_log_counts_as_dropped_what_has_no_json(client: Client, fields: dict[str, Any]) -> None:
    assert isinstance(client.log(**fields), str)
    assert client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=1, queued=0)


@pytest.mark.parametrize("label", [None, float("nan"), Hostile(), object(), "\ud800", recursive()], ids=range(6))
def test_label_counts_as_dropped_what_has_no_json(client: Client, label: Any) -> None:
    client.label("a", label)

    assert client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=1, queued=0)


@pytest.mark.parametrize("event_id", ["", None, Hostile(), "x" * 201, b"a", ["a"]], ids=range(6))
def test_label_counts_as_dropped_an_unusable_id(client: Client, event_id: Any) -> None:
    client.label(event_id, 1)

    assert client.stats().dropped == 1


def test_log_survives_a_log_handler_that_raises(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("monitor.client.limited.LOGGER.warning", fail)
    client.log(probability=float("nan"))

    assert client.stats().dropped == 1


def test_log_warns_once_in_a_while(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        client.log(probability=float("nan"))

    warnings = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(warnings) == 1
    assert "probability must be finite" in warnings[0]


def test_log_makes_a_time_ordered_id_and_stamps_the_time(client: Client) -> None:
    before = datetime.now(UTC)
    event_id = client.log(probability=0.25)
    (event,) = queued(client)

    assert event == {
        "type": "prediction",
        "event_id": event_id,
        "model": "churn",
        "timestamp": event["timestamp"],
        "probability": 0.25,
    }
    assert before <= datetime.fromisoformat(event["timestamp"]) <= datetime.now(UTC)
    assert uuid.UUID(event_id).version == 7


def test_log_sends_what_it_is_given() -> None:
    with Client(NOBODY, "a/b", model_version="7", timeout=0.2) as client:
        at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
        client.log(
            "e",
            confidence=0.7,
            prediction="cat",
            timestamp=at,
            segments={"country": "CH"},
            cluster="u1",
            metadata={"null": None},
            raw_confidence=0.9,
            calibrator_version=3,
        )
        client.label("e", "dog", timestamp=at, source="audit", supersedes=True)
        prediction, label = queued(client)
        client.close(timeout=0)

    assert prediction == {
        "type": "prediction",
        "event_id": "e",
        "model": "a/b",
        "model_version": "7",
        "timestamp": "2026-03-01T12:00:00.123456+02:00",
        "confidence": 0.7,
        "prediction": "cat",
        "segments": {"country": "CH"},
        "cluster": "u1",
        "metadata": {"null": None},
        "raw_confidence": 0.9,
        "calibrator_version": 3,
    }
    assert label == {
        "type": "label",
        "event_id": "e",
        "model": "a/b",
        "label": "dog",
        "timestamp": "2026-03-01T12:00:00.123456+02:00",
        "source": "audit",
        "supersedes": True,
    }


NUMPY = [
    ({"probability": np.float64(0.5)}, {"probability": 0.5}),
    ({"probability": np.float32(0.5)}, {"probability": 0.5}),
    ({"probability": np.array(0.5)}, {"probability": 0.5}),
    ({"mean": np.float32(0.5), "std": np.array(2)}, {"mean": 0.5, "std": 2}),
    ({"quantiles": {0.1 + 0.2: np.float64(1), np.float64(0.9): 2}}, {"quantiles": {"0.3": 1.0, "0.9": 2}}),
    ({"quantiles": {"0.30": 1, "0.9": 2}}, {"quantiles": {"0.30": 1, "0.9": 2}}),
    ({"score": np.float32(-3.5), "prediction": "x"}, {"score": -3.5, "prediction": "x"}),
    (
        {"prediction": "x", "confidence_source": "self_consistency", "agreeing": np.int64(3), "samples": 5},
        {"prediction": "x", "confidence_source": "self_consistency", "agreeing": 3, "samples": 5},
    ),
    ({"probabilities": np.array([0.25, 0.75])}, {"probabilities": [0.25, 0.75]}),
    ({"probabilities": {"a": np.float64(0.25), "b": 0.75}}, {"probabilities": {"a": 0.25, "b": 0.75}}),
    ({"probability": 0.5, "members": [np.float64(0.25), 0.75]}, {"members": [0.25, 0.75]}),
    ({"members": np.array([[0.25, 0.75], [0.5, 0.5]])}, {"members": [[0.25, 0.75], [0.5, 0.5]]}),
    ({"segments": {"n": np.int64(3), "s": np.str_("x")}}, {"segments": {"n": 3, "s": "x"}}),
]


@pytest.mark.parametrize(("given", "expected"), NUMPY)
def test_log_takes_numpy_values(client: Client, given: dict[str, Any], expected: dict[str, Any]) -> None:
    client.log("a", **given)

    assert expected.items() <= queued(client)[0].items()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (7, "7"),
        (np.int64(7), "7"),
        (np.str_("a"), "a"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("x" * 200, "x" * 200),
    ],
)
def test_log_and_label_give_an_id_the_same_text(client: Client, given: Any, expected: str) -> None:
    assert client.log(given, probability=0.5) == expected
    client.label(given, np.bool_(True))

    assert [event["event_id"] for event in queued(client)] == [expected, expected]
    assert queued(client)[1]["label"] is True


def test_log_is_not_affected_by_what_the_caller_changes_afterwards(client: Client) -> None:
    segments, scores = {"country": "CH"}, np.array([0.25, 0.75])
    client.log("a", probabilities=scores, segments=segments)
    segments["country"], scores[0] = "DE", 0.0

    assert queued(client)[0]["segments"] == {"country": "CH"}
    assert queued(client)[0]["probabilities"] == [0.25, 0.75]


def test_log_takes_a_calibrated_value_apart(client: Client) -> None:
    client.log("a", probability=Calibrated(0.6, 0.9, 3))
    client.log("b", probabilities=Calibrated([0.6, 0.4], [0.9, 0.1], 3))
    client.log("c", confidence=Calibrated(0.6, 0.9, 3), prediction="x")
    client.log("d", probability=Calibrated(0.9, 0.9, None))
    one, two, three, four = queued(client)

    assert (one["probability"], one["raw_probability"], one["calibrator_version"]) == (0.6, 0.9, 3)
    assert (two["probabilities"], two["raw_probabilities"], two["calibrator_version"]) == ([0.6, 0.4], [0.9, 0.1], 3)
    assert (three["confidence"], three["raw_confidence"], three["calibrator_version"]) == (0.6, 0.9, 3)
    assert four.keys() & {"raw_probability", "calibrator_version"} == set()


def test_log_puts_the_members_of_an_ensemble_beside_what_was_served(client: Client) -> None:
    said = [[0.5, 0.5], [1.0, 0.0]]
    client.log("a", probabilities=Calibrated([0.6, 0.4], average(said), 3), members=said)
    client.log("b", probability=Calibrated(0.75, average([0.5, 1.0]), None), members=np.array([0.5, 1.0]))
    client.log("c", members=[0.5, 1.0])
    found = decode_events(b"\n".join(waiting(client)), "application/x-ndjson", now=datetime.now(UTC))

    assert found.rejected == []
    calibrated, plain, bare = (event for event in found.accepted if isinstance(event, events.PredictionEvent))
    assert (calibrated.probabilities, calibrated.raw_probabilities) == ([0.6, 0.4], [0.75, 0.25])
    assert (calibrated.members, calibrated.calibrator_version) == (said, 3)
    assert (plain.probability, plain.raw_probability, plain.members) == (0.75, None, [0.5, 1.0])
    assert bare.probability == 0.75


def test_log_says_only_of_the_validation_set_that_it_is_that(client: Client) -> None:
    client.log("a", probability=0.5, reference=True)
    client.log("b", probability=0.5)
    assert [item.get("reference") for item in queued(client)] == [True, None]


def test_log_makes_what_the_api_decodes(client: Client) -> None:
    client.log(probability=0.5, segments={"a": "b"}, raw_probability=0.4, calibrator_version=1)
    client.log(logits=[0.5, -3.0], metadata={"a": [1, None]})
    client.log(confidence=0.5, prediction="x", cluster="c")
    client.label("a", 1, source="x", supersedes=True)

    decode = msgspec.json.Decoder(events.Event).decode
    assert [decode(item).model for item in waiting(client)] == ["churn"] * 4


def test_log_drops_and_counts_when_the_queue_is_full() -> None:
    with Client(NOBODY, "churn", queue_size=10, timeout=0.2) as client:
        for i in range(25):
            client.log(f"e{i}", probability=0.5)
        assert client.stats() == Stats(logged=25, sent=0, rejected=0, dropped=15, queued=10)
        assert [event["event_id"] for event in queued(client)] == [f"e{i}" for i in range(10)]
        client.close(timeout=0)
        assert client.stats() == Stats(logged=25, sent=0, rejected=0, dropped=25, queued=0)


def test_log_drops_and_counts_when_the_queue_holds_too_many_bytes() -> None:
    with Client(NOBODY, "churn", queue_bytes=10_000, timeout=0.2) as client:
        for _ in range(20):
            client.log(probability=0.5, metadata={"text": "x" * 1_000})
        assert client.stats() == Stats(logged=20, sent=0, rejected=0, dropped=12, queued=8)
        client.close(timeout=0)


def test_log_after_close_is_dropped(client: Client) -> None:
    client.close(timeout=0)
    client.log(probability=0.5)

    assert client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=1, queued=0)


def test_log_does_not_wait_for_a_server_that_is_away(client: Client) -> None:
    started = time.perf_counter()
    for _ in range(5_000):
        client.log(probability=0.5)

    assert time.perf_counter() - started < 1.0  # some 0.03 s on an idle core
    assert client.stats().logged == 5_000


def test_log_counts_everything_across_threads(client: Client) -> None:
    def work() -> None:
        for i in range(1_000):
            client.log(probability=float("nan") if i % 10 == 0 else 0.5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert client.stats() == Stats(logged=8_000, sent=0, rejected=0, dropped=800, queued=7_200)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no interval timers")
def test_log_in_a_signal_handler_does_not_block_the_thread_that_it_interrupts(client: Client) -> None:
    interruptions = 0

    def handle(*_: Any) -> None:
        nonlocal interruptions
        interruptions += 1
        client.log(probability=0.5)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(20_000):
            client.log(probability=0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert interruptions > 10
    assert client.stats().logged == 20_000 + interruptions


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_leaves_the_child_an_empty_queue_and_free_locks() -> None:
    with Client(NOBODY, "churn", timeout=0.2) as client:
        stop = threading.Event()

        def hammer() -> None:
            while not stop.is_set():
                client.log(probability=0.5)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        codes = [forked(lambda: child_counts_from_zero(client)) for _ in range(10)]
        stop.set()
        for thread in threads:
            thread.join()
        client.close(timeout=0)

    assert codes == [0] * 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_makes_the_childs_ids_differ_from_its_parents(client: Client) -> None:
    read, write = os.pipe()
    assert forked(lambda: os.write(write, client.log(probability=0.5).encode()) == 36) == 0
    theirs, ours = os.read(read, 100).decode(), client.log(probability=0.5)
    os.close(read)
    os.close(write)

    assert theirs[19:] != ours[19:]  # the random part


def child_counts_from_zero(client: Client) -> bool:
    client.log("only", probability=0.5)
    sends = any(thread.name == "calwatch-client" for thread in threading.enumerate())
    return sends and client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=0, queued=1)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"url": "calwatch:8080"}, "url"),
        ({"url": "ftp://calwatch"}, "url"),
        ({"url": None}, "url"),
        ({"model": ""}, "model"),
        ({"model": "a\nb"}, "model"),
        ({"model_version": 3}, "model_version"),
        ({"key": "a\nb"}, "key"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 10_001}, "batch_size"),
        ({"queue_size": 0}, "queue_size"),
        ({"timeout": float("nan")}, "timeout"),
        ({"refresh_seconds": -1}, "refresh_seconds"),
    ],
)
def test_client_refuses_wrong_settings_when_it_is_made(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        Client(**({"url": NOBODY, "model": "churn"} | arguments))

    assert caught.value.field == field
    assert "a\nb" not in str(caught.value)


def test_each_kind_of_fault_is_warned_of_once_in_a_while(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for i in range(100):
        client.log(probability=float("nan"))
        client.log(mean=float("nan"), std=1)
        client.log("x" * (201 + i), probability=0.5)
        client.label("a", object())

    warnings = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert [text.partition(": ")[2][:40] for text in warnings] == [
        "ValueError: probability must be finite; ",
        "ValueError: mean must be finite; it is o",
        "ValueError: event_id has 201 characters;",
        "TypeError: object is no number, text, or",
    ]


def test_kinds_of_faults_are_bounded() -> None:
    warnings = LimitedWarnings()
    for i in range(10 * MOST_KINDS):
        warnings.warn("dropped", "text", kind="x" * i)
    assert len(warnings._next) <= MOST_KINDS + 1  # noqa: SLF001


def test_a_pickled_client_is_one_of_its_own() -> None:
    with Client(NOBODY, "churn", model_version="7", timeout=0.2, queue_size=5, flush_seconds=9) as client:
        client.log("a", probability=0.5)
        with pickle.loads(pickle.dumps(client)) as twin:  # noqa: S301  our own
            for i in range(6):
                twin.log(f"b{i}", probability=0.5)
            assert (client.stats().logged, twin.stats().queued, twin.stats().dropped) == (1, 5, 1)
            assert {event["model_version"] for event in queued(twin)} == {"7"}
            twin.close(timeout=0)
        client.close(timeout=0)


def test_a_closed_client_is_pickled_as_an_open_one() -> None:
    client = Client(NOBODY, "churn", timeout=0.2)
    client.close(timeout=0)
    twin = copy.deepcopy(client)
    twin.log(probability=0.5)
    assert twin.stats().queued == 1
    twin.close(timeout=0)
