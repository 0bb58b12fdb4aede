"""The calibrator in force: applied in process, fetched from a small real server on loopback."""

import copy
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from monitor import Client
from monitor.calibrators.compiled import compile_array, compile_scalar, compile_vector
from monitor.calibrators.document import seal
from monitor.calibrators.families import FAMILIES, from_document
from monitor.client import Calibrated
from monitor.client.canary import Lot
from monitor.domain.errors import BadInput
from tests.unit.calibrators.samples import DOCUMENTS
from tests.unit.client.processes import forked, wait_until

MODEL = "acme/churn risk"
PATH = "/v1/models/acme%2Fchurn%20risk"
TEMPERATURE = {"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}}
PLATT = {"method": "platt", "task": "binary", "parameters": {"slope": 0.7, "intercept": -0.3}}
ISOTONIC = {"method": "isotonic", "task": "binary", "parameters": {"x": [0.1, 0.5, 0.9], "y": [0.2, 0.4, 0.7]}}
TOP_LABEL = {"method": "temperature", "task": "confidence", "parameters": {"temperature": 1.5, "classes": 10}}
VECTORS = {"method": "temperature", "task": "multiclass", "parameters": {"temperature": 2.0}}
STEEP = {"method": "platt", "task": "binary", "parameters": {"slope": 9e3, "intercept": 1.0}}
BETA = {"method": "beta", "task": "binary", "parameters": {"a": 0.4, "b": 1.3, "c": 0.2}}
QUADRATIC = {
    "method": "quadratic_logit",
    "task": "confidence",
    "parameters": {"square": -0.1, "slope": 0.9, "intercept": 0.2},
}
STEPS = {"method": "scaling_binning", "task": "binary", "parameters": {"edges": [0.1, 0.5], "values": [0.2, 0.3, 0.9]}}
NONE = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no champion", "errors": []}


def version(fitted: dict[str, Any], number: int = 3, model: str = MODEL) -> dict[str, Any]:
    return seal(fitted, model=model, number=number, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z")


class Registry:
    """Tells what serves as the API does: ETag, 304, 404 with a problem document."""

    def __init__(self) -> None:
        self.champion: Any = None
        self.canary: Any = None
        self.versions: dict[int, Any] = {}
        self.old = False  # a server that does not know the call
        self.reply: tuple[int, bytes] | None = None  # in place of the champion
        self.requests: list[tuple[str, str | None, int]] = []  # path, If-None-Match, status
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                match = self.headers.get("If-None-Match")
                status, body, etag = registry.answer(self.path.removeprefix(PATH), match)
                registry.requests.append((self.path, match, status))
                self.send_response(status)
                if etag:
                    self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, call: str, match: str | None) -> tuple[int, bytes, str | None]:
        if self.reply is not None:
            return *self.reply, '"broken"'
        found: Any = None
        if call == "/serving":
            found = None if self.old else {"champion": self.champion, "canary": self.canary}
        elif call == "/calibrators/champion":
            found = self.champion
        else:
            found = self.versions.get(int(call.rpartition("/")[2]))
        if found is None:
            return 404, json.dumps(NONE).encode(), None
        body = json.dumps(found).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        return (304, b"", etag) if match == etag else (200, body, etag)

    def stop(self) -> None:
        """Stop; a second time does nothing."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def registry() -> Iterator[Registry]:
    started = Registry()
    yield started
    started.stop()


@pytest.fixture
def client(registry: Registry) -> Iterator[Client]:
    made = Client(registry.url, MODEL, refresh_seconds=3_600, timeout=2)
    yield made
    made.close(timeout=0)


def queued(client: Client) -> list[dict[str, Any]]:
    return [json.loads(item) for item in client._outbox.front(1_000, 1 << 30)]  # noqa: SLF001  the server takes no events


@pytest.mark.parametrize(
    "fitted", [TEMPERATURE, PLATT, BETA, QUADRATIC, STEPS, ISOTONIC, TOP_LABEL], ids=lambda fitted: fitted["method"]
)
def test_calibrate_applies_the_champions_document(registry: Registry, client: Client, fitted: dict[str, Any]) -> None:
    registry.champion = version(fitted)
    assert client.refresh()
    expected = compile_scalar(fitted)
    values = [0.0, 0.05, 0.1, 0.3, 0.5, 0.77, 0.9, 1.0]

    assert [client.calibrate(p) for p in values] == [expected(p) for p in values]
    assert client.calibrate(values) == [expected(p) for p in values]
    assert client.calibrate(tuple(values)) == tuple(expected(p) for p in values)
    assert client.calibrate(1) == expected(1.0)
    assert client.calibrate(np.float32(0.5)) == expected(0.5)
    assert client.calibrator_version == 3


@pytest.mark.parametrize(
    "fitted", [TEMPERATURE, PLATT, BETA, QUADRATIC, STEPS, ISOTONIC, TOP_LABEL], ids=lambda fitted: fitted["method"]
)
def test_calibrate_takes_arrays_of_any_shape(registry: Registry, client: Client, fitted: dict[str, Any]) -> None:
    registry.champion = version(fitted)
    client.refresh()
    raw = np.random.default_rng(1).uniform(size=(20, 5))
    served = client.calibrate(raw)

    assert (type(served), served.dtype, served.shape) == (np.ndarray, np.float64, (20, 5))
    np.testing.assert_allclose(served.ravel(), [client.calibrate(p) for p in raw.ravel().tolist()], atol=1e-14)
    assert client.calibrate(np.array([])).shape == (0,)


LINES = {"slopes": [0.3, 9.0, 1.0], "intercepts": [2.0, 0.0, -2.0]}
OF_CLASSES: list[dict[str, Any]] = [
    {"method": method, "task": "multiclass", "parameters": LINES} for method in ("vector", "structured_vector")
]
OF_PROBABILITIES = [document for document in DOCUMENTS if document["task"] != "regression"]
FITTED = [*OF_PROBABILITIES, PLATT, BETA, QUADRATIC, STEPS, ISOTONIC, TOP_LABEL, VECTORS, *OF_CLASSES, STEEP]


def test_compile_array_is_tested_with_every_method() -> None:
    of_probabilities = {name for name, each in FAMILIES.items() if each.family.tasks != ("regression",)}
    assert {fitted["method"] for fitted in FITTED} == of_probabilities


@pytest.mark.parametrize("fitted", FITTED, ids=str)
def test_compile_array_agrees_with_the_fitted_family_and_with_single_predictions(fitted: dict[str, Any]) -> None:
    dice = np.random.default_rng(2)
    if fitted["task"] == "multiclass":
        raw = np.vstack([dice.dirichlet(np.full(3, 0.1), size=500), np.eye(3)])
        one: Callable[[Any], Any] = compile_vector(fitted)
    else:
        raw = np.concatenate([dice.uniform(size=500), dice.beta(0.01, 0.01, size=500), [0.0, 1.0, 0.1, 0.9]])
        one = compile_scalar(fitted)
    served = compile_array(fitted)(raw)

    np.testing.assert_allclose(served, from_document(fitted).predict_proba(raw), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(served, [one(row) for row in raw.tolist()], rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("rows", [[0.5, np.nan], [-0.1], [1.1]])
def test_compile_array_refuses_what_is_no_probability(rows: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        compile_array(PLATT)(np.array(rows))


@pytest.mark.parametrize("rows", [[[0.5, 0.4]], [[1.0]]])
def test_compile_array_refuses_what_is_no_distribution(rows: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="must sum to 1"):
        compile_array(VECTORS)(np.array(rows))


def test_calibrate_takes_the_classes_of_a_multiclass_event(registry: Registry, client: Client) -> None:
    registry.champion = version(VECTORS)
    client.refresh()
    expected = compile_vector(VECTORS)
    one, two = [0.64, 0.32, 0.04], [0.1, 0.1, 0.8]

    assert client.calibrate(one) == expected(one)
    assert client.calibrate([one, two]) == [expected(one), expected(two)]
    assert client.calibrate({"a": 0.64, "b": 0.32, "c": 0.04}) == dict(zip("abc", expected(one), strict=True))
    np.testing.assert_allclose(client.calibrate(np.array(one)), expected(one), atol=1e-14)
    np.testing.assert_allclose(client.calibrate(np.array([one, two])), [expected(one), expected(two)], atol=1e-14)
    assert client.calibrated(0.5)[:3] == (0.5, 0.5, None)  # one number says nothing about three classes


def test_calibrate_is_identity_without_a_champion(client: Client) -> None:
    assert client.refresh()
    array = np.array([0.25, 0.5])
    served = client.calibrate(array)
    served[0] = 9.0

    assert (client.calibrate(0.3), client.calibrate([0.3, 0.4]), client.calibrator_version) == (0.3, [0.3, 0.4], None)
    assert array.tolist() == [0.25, 0.5]
    assert client.calibrated(0.3, "a") == Calibrated(0.3, 0.3, None, "a")


@pytest.mark.parametrize(
    "value",
    [-0.1, 1.5, float("nan"), "0.5x", None, object(), [0.5, None], {"a": "b"}],
    ids=lambda value: type(value).__name__,
)
def test_calibrate_returns_as_it_came_what_is_no_probability(registry: Registry, client: Client, value: Any) -> None:
    registry.champion = version(ISOTONIC)
    client.refresh()
    served = client.calibrate(value)

    if isinstance(value, list):
        assert served == [client.calibrate(0.5), None]
    else:
        assert served is value or served == value


class Said(Enum):
    SURE = 0.9


@pytest.mark.parametrize(
    "value",
    [
        Decimal("0.9"),
        Fraction(9, 10),
        np.float32(0.9),
        np.float16(0.9),
        np.longdouble(0.9),
        np.array(0.9),
        Said.SURE,
    ],
    ids=lambda value: type(value).__name__,
)
def test_calibrate_takes_a_number_in_any_clothes(registry: Registry, client: Client, value: Any) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()

    assert client.calibrate(value) == pytest.approx(0.75, abs=1e-3)
    assert client.calibrated(value).version == 3
    assert client.calibrate([value, value]) == pytest.approx([0.75, 0.75], abs=1e-3)


@pytest.mark.parametrize(("p", "meant"), [(1.0000001, 1.0), (-1e-7, 0.0)])
def test_calibrate_takes_a_probability_that_rounding_put_out(
    registry: Registry, client: Client, p: float, meant: float
) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    result = client.calibrated(p)
    client.log(probability=result)

    assert (result.value, result.raw, result.version) == (client.calibrate(meant), p, 3)
    assert client.calibrate(np.array([p, 0.9])) == pytest.approx([client.calibrate(meant), 0.75])
    assert queued(client)[0]["raw_probability"] == p


def test_calibrate_calibrates_the_good_entries_of_an_array(registry: Registry, client: Client) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()

    np.testing.assert_allclose(client.calibrate(np.array([0.9, np.nan, 2.0])), [0.75, np.nan, 2.0])


def test_calibrate_follows_the_champion_in_the_background(registry: Registry) -> None:
    registry.champion = version(TEMPERATURE)
    with Client(registry.url, MODEL, refresh_seconds=0.05, timeout=2) as client:
        assert client.calibrate(0.9) in (0.9, 0.75)
        wait_until(lambda: client.calibrate(0.9) == pytest.approx(0.75))
        registry.champion = version(ISOTONIC, number=4)
        wait_until(lambda: client.calibrate(0.9) == 0.7)
        registry.champion = None  # rolled back to identity
        wait_until(lambda: client.calibrate(0.9) == 0.9)


def test_refresh_sends_the_etag_and_asks_by_the_quoted_name(registry: Registry, client: Client) -> None:
    registry.champion = version(TEMPERATURE)
    assert [client.refresh(), client.refresh()] == [True, True]
    etag = registry.answer("/serving", None)[2]

    assert registry.requests == [(f"{PATH}/serving", None, 200), (f"{PATH}/serving", etag, 304)]
    assert client.calibrator_version == 3


def told(champion: Any, canary: Any = None) -> bytes:
    return json.dumps({"champion": champion, "canary": canary}).encode()


def flipped(document: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    changed["parameters"]["temperature"] = 2.5
    return changed


def without_hash(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "sha256"}


BROKEN = {
    "one digit changed": (200, told(flipped(version(TEMPERATURE, 4)))),
    "no hash": (200, told(without_hash(version(TEMPERATURE, 4)))),
    "truncated": (200, told(version(TEMPERATURE, 4))[:-20]),
    "of another model": (200, told(version(TEMPERATURE, 4, model="other"))),
    "unknown method": (200, told({"method": "magic", "task": "binary", "parameters": {}, "sha256": ""})),
    "nothing of a champion": (200, b"{}"),
    "a bare document": (200, json.dumps(version(TEMPERATURE, 4)).encode()),
    "not an object": (200, b"[1, 2]"),
    "deeply nested": (200, b"[" * 100_000),
    "nested in the champion": (200, b'{"champion": ' + b"[" * 100_000),
    "empty": (200, b""),
    "a proxy's 404": (404, b"<html>not here"),
    "a server error": (500, b'{"status": 500}'),
    "a redirect": (302, b""),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
def test_refresh_keeps_what_works_when_the_answer_is_broken(
    registry: Registry, client: Client, reply: tuple[int, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    registry.reply = reply

    assert client.refresh() is False
    assert client.calibrate(0.9) == pytest.approx(0.75)
    assert client.calibrator_version == 3
    assert "served by calibrator 3 as before" in caplog.text

    registry.reply, registry.champion = None, version(ISOTONIC, number=5)
    assert client.refresh()
    assert client.calibrator_version == 5


def test_refresh_believes_no_304_that_it_did_not_ask_for(registry: Registry, client: Client) -> None:
    registry.reply = (304, b"")
    assert client.refresh() is False


def test_refresh_asks_an_older_server_for_its_champion(registry: Registry, client: Client) -> None:
    registry.old, registry.champion = True, version(TEMPERATURE)
    assert [client.refresh(), client.refresh()] == [True, True]
    assert [status for _, _, status in registry.requests] == [404, 200, 404, 304]
    assert client.calibrate(0.9) == pytest.approx(0.75)
    registry.champion = None
    assert client.refresh()
    assert client.calibrate(0.9) == 0.9


@pytest.mark.parametrize(
    "later", [version(PLATT, number=1), version(PLATT, number=3), None], ids=["older", "same number", "none"]
)
def test_calibrate_follows_the_server_back(registry: Registry, client: Client, later: Any) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    registry.champion = later  # rolled back, or restored from an old backup
    assert client.refresh()
    assert client.calibrate(0.9) == (0.9 if later is None else compile_scalar(PLATT)(0.9))


# Canary


def canary(fitted: dict[str, Any], number: int, share: float) -> dict[str, Any]:
    return {"share": share, "document": version(fitted, number)}


def test_the_lot_of_an_event_is_as_documented() -> None:
    digest = hashlib.blake2b("modèle\n12\nevent ✓".encode(), digest_size=8).digest()
    bits = "".join(f"{byte:08b}" for byte in digest)[:53]
    assert Lot("modèle", 12).of("event ✓") == int(bits, 2) / 2**53


def test_the_canary_serves_its_share_of_events_the_same_ones_always(registry: Registry, client: Client) -> None:
    registry.champion, registry.canary = version(TEMPERATURE), canary(PLATT, 4, 0.2)
    client.refresh()
    ids = [f"order {i}" for i in range(4_000)]
    served = [client.calibrated(0.9, each) for each in ids]
    by_canary = [each for each in served if each.version == 4]

    assert 0.17 < len(by_canary) / len(ids) < 0.23
    assert {each.value for each in by_canary} == {compile_scalar(PLATT)(0.9)}
    assert {(each.value, each.version) for each in served} - {(each.value, 4) for each in by_canary} == {
        (client.calibrate(0.9), 3)
    }
    assert [each.event_id for each in by_canary] == [each for each in ids if Lot(MODEL, 4).of(each) < 0.2]
    assert served == [client.calibrated(0.9, each) for each in ids]


def test_an_event_is_logged_under_the_id_that_chose_its_calibrator(registry: Registry, client: Client) -> None:
    registry.champion, registry.canary = version(TEMPERATURE), canary(PLATT, 4, 0.5)
    client.refresh()
    logged = [client.log(probability=client.calibrated(0.9)) for _ in range(200)]
    events = queued(client)

    assert [event["event_id"] for event in events] == logged
    assert {event["calibrator_version"] for event in events} == {3, 4}
    for event in events:
        chosen = Lot(MODEL, 4).of(event["event_id"]) < 0.5
        assert event["calibrator_version"] == (4 if chosen else 3)
        assert (event["probability"], event["raw_probability"]) == (
            compile_scalar(PLATT if chosen else TEMPERATURE)(0.9),
            0.9,
        )
    assert client.log("mine", probability=client.calibrated(0.9)) == "mine"


def test_the_canary_takes_the_classes_of_one_event_and_never_a_batch(registry: Registry, client: Client) -> None:
    registry.champion, registry.canary = version(VECTORS), canary(VECTORS, 4, 1.0)
    client.refresh()
    one = [0.64, 0.32, 0.04]

    assert client.calibrated(one, "a").version == 4
    assert client.calibrated(one).version == 4
    assert client.calibrated(np.array(one)).version == 4
    assert client.calibrated({"a": 0.64, "b": 0.32, "c": 0.04}).version == 4
    assert client.calibrated([one, one])[2:] == (3, None)
    assert client.calibrated(np.array([one, one]))[2:] == (3, None)
    assert client.calibrate(one) == client.calibrated(one, "a").value  # the same map here, by the champion
    registry.champion, registry.canary = version(TEMPERATURE), canary(TEMPERATURE, 4, 1.0)
    client.refresh()
    assert client.calibrated([0.1, 0.2])[2:] == (3, None)
    assert client.calibrated(0.1).version == 4


def test_a_canary_beside_no_champion_leaves_the_others_as_they_are(registry: Registry, client: Client) -> None:
    registry.canary = canary(TEMPERATURE, 1, 0.5)
    client.refresh()
    served = [client.calibrated(0.9) for _ in range(100)]
    assert {(round(each.value, 9), each.version) for each in served} == {(0.9, None), (0.75, 1)}
    assert client.calibrate(0.9) == 0.9


def test_a_canary_that_does_not_verify_serves_nothing(
    registry: Registry, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    broken = flipped(version(TEMPERATURE, 4))
    registry.champion, registry.canary = version(PLATT), {"share": 1.0, "document": broken}
    assert client.refresh()
    assert client.calibrated(0.9).version == 3
    assert "the canary does not serve" in caplog.text


def test_a_canary_ends_when_the_server_has_long_not_been_heard(registry: Registry) -> None:
    registry.canary = canary(TEMPERATURE, 1, 1.0)
    with Client(registry.url, MODEL, refresh_seconds=0.02, timeout=0.2) as client:
        wait_until(lambda: client.calibrated(0.9).version == 1)
        registry.reply = (503, b"")
        wait_until(lambda: client.calibrated(0.9).version is None)
        registry.reply = None
        wait_until(lambda: client.calibrated(0.9).version == 1)


def test_an_unusable_id_is_reported_by_log_and_harms_no_value(registry: Registry, client: Client) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    result = client.calibrated(0.9, object())  # type: ignore[call-overload]
    assert result.value == pytest.approx(0.75)
    assert client.log(probability=result) == ""
    assert client.stats().dropped == 1


# Pin


def test_a_pinned_version_stays_whatever_is_promoted(registry: Registry) -> None:
    registry.champion, registry.versions = version(PLATT, 5), {3: version(TEMPERATURE)}
    with Client(registry.url, MODEL, refresh_seconds=0.01, timeout=2, pin=3) as client:
        wait_until(lambda: client.calibrate(0.9) == pytest.approx(0.75))
        time.sleep(0.05)
        assert client.refresh()
        assert client.calibrated(0.9).version == 3
    assert [path for path, _, _ in registry.requests] == [f"{PATH}/calibrators/3"]


def test_a_pinned_version_that_is_not_there_is_asked_for_again(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.champion = version(PLATT, 5)
    registry.versions = {3: version(TEMPERATURE, 4)}  # not what it should be
    with Client(registry.url, MODEL, timeout=2, pin=3) as client:
        assert client.refresh() is False
        registry.versions = {}
        assert client.refresh() is False
        assert client.calibrated(0.9)[:3] == (0.9, 0.9, None)
        assert "served by no calibrator as before" in caplog.text
        registry.versions = {3: version(TEMPERATURE)}
        assert client.refresh()
        assert client.calibrator_version == 3


@pytest.mark.parametrize(
    "given", [{"pin": 0}, {"pin": True}, {"pin": "3"}, {"cache": 7}, {"cache": ""}, {"bootstrap": 7}]
)
def test_client_refuses_unusable_settings_of_delivery(given: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=next(iter(given))):
        Client("http://127.0.0.1:9", MODEL, **given)


def test_calibrate_keeps_the_champion_when_the_server_is_away(registry: Registry) -> None:
    registry.champion = version(TEMPERATURE)
    away = Client(registry.url, MODEL, timeout=0.2)
    away.refresh()
    registry.stop()

    assert away.refresh() is False
    assert away.calibrate(0.9) == pytest.approx(0.75)
    away.close(timeout=0)
    assert away.calibrate(0.9) == pytest.approx(0.75)


def test_calibrate_never_waits_for_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", MODEL, timeout=5)
        started = time.perf_counter()
        served = client.calibrate(0.9)
        took = time.perf_counter() - started
        client.close(timeout=0)

    assert served == 0.9
    assert took < 0.5


def test_calibrated_is_logged_with_raw_value_and_version(registry: Registry, client: Client) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    result = client.calibrated(0.9)
    registry.champion = version(ISOTONIC, number=4)
    client.refresh()  # promoted between calibrating and logging
    client.log("a", probability=result)
    (event,) = queued(client)

    assert result.value == pytest.approx(0.75)
    assert (result.raw, result.version) == (0.9, 3)
    assert (event["probability"], event["raw_probability"], event["calibrator_version"]) == result[:3]


@pytest.mark.parametrize(
    "said",
    [{"a": 0.5, "b": 0.3, "c": 0.2}, [0.5, 0.5], (0.5, 0.5, 0.2), np.array([0.5, 0.7, 0.2])],
    ids=["classes without names", "other classes", "no distribution", "array"],
)
def test_a_vector_that_could_not_be_calibrated_bears_no_version(registry: Registry, client: Client, said: Any) -> None:
    registry.champion = version(
        {"method": "vector", "task": "multiclass", "parameters": {"slopes": [1.0, 2.0, 1.0], "intercepts": [0.0] * 3}}
    )
    client.refresh()
    result = client.calibrated(said)
    client.log("a", probabilities=result)
    (event,) = queued(client)

    assert list(result.value) == list(result.raw)
    assert result.version is None
    assert {"raw_probabilities", "calibrator_version"}.isdisjoint(event)


def test_an_array_of_what_is_no_probability_leaves_no_heap_of_errors(registry: Registry, client: Client) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    logits = np.linspace(1.5, 5.0, 20_000)
    tracemalloc.start()
    result = client.calibrated(logits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert result.value.tolist() == logits.tolist()
    assert peak < 5_000_000  # an error kept for each takes four times as much


def test_log_stamps_the_champion_on_an_event_with_a_raw_value(registry: Registry, client: Client) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    client.log("a", probability=client.calibrate(0.9), raw_probability=0.9)
    client.log("b", probability=0.7, raw_probability=0.9, calibrator_version=1)
    client.log("c", confidence=0.7, prediction="x", raw_confidence=0.9)
    client.log("d", probabilities=[0.3, 0.7], raw_probabilities=[0.1, 0.9])
    client.log("e", probability=0.9)

    assert [event.get("calibrator_version") for event in queued(client)] == [3, 1, 3, 3, None]


def test_log_warns_when_a_calibrated_value_may_pass_for_a_raw_one(
    registry: Registry, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    registry.champion = version(TEMPERATURE)
    client.refresh()
    client.log("a", probability=client.calibrated(0.9))
    client.log("b", logits=[0.1, 0.2])
    assert "raw" not in caplog.text
    client.log("c", probability=client.calibrate(0.9))
    assert "events lack the raw value" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_calibrate_goes_on_following_in_a_forked_child(registry: Registry) -> None:
    registry.champion = version(TEMPERATURE)
    with Client(registry.url, MODEL, refresh_seconds=0.05, timeout=2) as client:
        client.refresh()
        client.calibrate(0.9)

        def keeps_and_follows() -> bool:
            kept = client.calibrate(0.9) == pytest.approx(0.75)
            wait_until(lambda: client.calibrate(0.9) == 0.7)
            return kept

        promote = threading.Timer(0.1, lambda: setattr(registry, "champion", version(ISOTONIC, number=4)))
        promote.start()
        assert forked(keeps_and_follows) == 0
        promote.join()


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = sys.modules["scipy"] = None  # an import of either fails
from monitor import Client
client = Client(sys.argv[1], sys.argv[2], timeout=2)
assert client.refresh()
print(round(client.calibrate(0.9), 9), [round(p, 9) for p in client.calibrate([0.9, 0.5])])
client.log(probability=client.calibrated(0.9))
client.close(timeout=0)
"""


def test_calibrate_needs_no_numpy(registry: Registry) -> None:
    registry.champion = version(TEMPERATURE)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMPY, registry.url, MODEL],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert done.stdout.strip() == "0.75 [0.75, 0.5]"


WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
import numpy
from monitor import Client
client = Client(sys.argv[1], sys.argv[2], timeout=2)
assert client.refresh()
print(client.calibrate(numpy.array([[0.9, 0.5]])).round(9).tolist())
client.close(timeout=0)
"""


def test_calibrate_takes_arrays_with_numpy_alone(registry: Registry) -> None:
    registry.champion = version(TEMPERATURE)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SCIPY, registry.url, MODEL],
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert done.stdout.strip() == "[[0.75, 0.5]]"


LIGHT = """
import sys
import monitor
assert "urllib3" not in sys.modules, "import monitor alone loads next to nothing"
from monitor import Client
heavy = {"numpy", "scipy", "sqlalchemy", "fastapi", "pydantic", "sklearn", "apscheduler", "typer"} & set(sys.modules)
assert not heavy, heavy
assert "Client" in dir(monitor)
"""


def test_import_of_the_client_is_light() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=20)


def test_monitor_names_nothing_else() -> None:
    import monitor  # noqa: PLC0415

    with pytest.raises(AttributeError, match="no attribute 'Clent'"):
        _ = monitor.Clent
