"""Delivery against a small real server on loopback, which each test makes behave or misbehave as it needs."""

import gzip
import itertools
import json
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from monitor import Client
from monitor.client import Stats
from monitor.client.delivery import FIRST_PAUSE, LONGEST_PAUSE, Delivery, Failed, Refused, Settled, judge
from monitor.client.limited import LimitedWarnings
from monitor.client.memory import Memory
from monitor.client.outbox import Outbox
from monitor.client.transport import Answer, Transport
from monitor.domain.errors import Unavailable
from tests.unit.client.processes import forked, wait_until

Reply = tuple[int, dict[str, str], Any] | None
"""Status, headers and JSON (or bytes) of an answer; None cuts the connection without one."""


@dataclass(frozen=True, kw_only=True)
class Received:
    at: float
    port: int  # of the client's end of the connection
    headers: dict[str, str]
    wire_bytes: int
    body: bytes

    @property
    def events(self) -> list[Any]:
        return list(json.loads(self.body)["events"])

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]


def accept(received: Received) -> Reply:
    return 200, {}, {"accepted": len(received.events), "rejected": []}


class Server:
    """Answers POST /v1/events by a function, and keeps what it received."""

    def __init__(self, port: int = 0) -> None:
        self.answer: Callable[[Received], Reply] = accept
        self.received: list[Received] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def ids(self) -> list[str]:
        return [event_id for received in self.received for event_id in received.ids]

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 2

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                received = Received(
                    at=time.monotonic(),
                    port=self.client_address[1],
                    headers=dict(self.headers),
                    wire_bytes=len(body),
                    body=plain,
                )
                server.received.append(received)
                self.reply(server.answer(received) if self.path == "/v1/events" else (404, {}, {}))

            def reply(self, reply: Reply) -> None:
                if reply is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, headers, content = reply
                text = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.stop()


@contextmanager
def client_of(server: Server, **settings: Any) -> Iterator[Client]:
    client = Client(server.url, "m", **({"flush_seconds": 0.02, "timeout": 2.0} | settings))
    try:
        yield client
    finally:
        client.close(timeout=0)


def test_flush_returns_when_everything_is_committed(server: Server) -> None:
    with client_of(server, flush_seconds=60, batch_size=100) as client:
        ids = [client.log(probability=0.5) for _ in range(250)]
        client.label(ids[0], 1)

        assert client.flush(5) is True
        assert client.stats() == Stats(logged=251, sent=251, rejected=0, dropped=0, queued=0)

    assert server.ids == [*ids, ids[0]]
    assert max(len(received.events) for received in server.received) == 100


def test_events_go_by_themselves_after_flush_seconds(server: Server) -> None:
    with client_of(server, flush_seconds=0.05) as client:
        client.log("a", probability=0.5)
        wait_until(lambda: client.stats().sent == 1)


def test_a_full_batch_does_not_wait_for_flush_seconds(server: Server) -> None:
    with client_of(server, flush_seconds=60, batch_size=50) as client:
        client.flush()
        time.sleep(0.05)  # by now the thread has seen the empty queue and sleeps
        for _ in range(50):
            client.log(probability=0.5)
        wait_until(lambda: client.stats().sent == 50)


def test_close_flushes(server: Server) -> None:
    with Client(server.url, "m", flush_seconds=60) as client:
        client.log("a", probability=0.5)

    assert server.ids == ["a"]
    assert client.stats() == Stats(logged=1, sent=1, rejected=0, dropped=0, queued=0)
    assert client.close() is True


def test_large_bodies_are_compressed_and_small_ones_are_not(server: Server) -> None:
    with client_of(server, key="cw_secret") as client:
        client.log(probability=0.5)
        client.flush()
        for _ in range(100):
            client.log(probability=0.5)
        client.flush()
    small, large = server.received[0], max(server.received, key=lambda received: len(received.body))

    assert "Content-Encoding" not in small.headers
    assert large.headers["Content-Encoding"] == "gzip"
    assert large.wire_bytes < len(large.body) / 2
    assert small.headers["Authorization"] == "Bearer cw_secret"


def test_rejected_items_are_counted_and_logged_with_their_reasons(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def reject_odd(received: Received) -> Reply:
        bad = [
            {"index": i, "event_id": one["event_id"], "reason": "out of range"}
            for i, one in enumerate(received.events)
            if one["probability"] > 1
        ]
        accepted = len(received.events) - len(bad)
        return 200 if accepted else 422, {}, {"accepted": accepted, "rejected": bad}

    server.answer = reject_odd
    with client_of(server) as client:
        for i in range(100):
            client.log(f"e{i}", probability=0.5 + i % 2)
        client.flush()
        client.log("last", probability=2.0)
        client.flush()

        assert client.stats() == Stats(logged=101, sent=50, rejected=51, dropped=0, queued=0)
    assert "'e1': out of range" in caplog.text


def test_each_kind_of_rejection_is_warned_of(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def reject(received: Received) -> Reply:
        bad = [
            {"index": i, "event_id": name, "reason": "no time" if name == "late" else f'label is "{name}": no class'}
            for i, name in enumerate(received.ids)
        ]
        return 422, {}, {"accepted": 0, "rejected": bad}

    server.answer = reject
    with client_of(server, flush_seconds=60) as client:
        for name in ("a", "b", "c", "late"):
            client.log(name, probability=0.5)
        client.flush()
        wait_until(lambda: "no class" in caplog.text and "no time" in caplog.text)
    assert caplog.text.count("the server rejected") == 2


def test_one_culprit_in_a_refused_batch_is_found(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(received: Received) -> Reply:
        if "bad" in received.ids:
            return 400, {}, {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "no JSON"}
        return accept(received)

    server.answer = refuse
    with client_of(server, flush_seconds=60, batch_size=500) as client:
        for i in range(500):
            client.log("bad" if i == 321 else f"e{i}", probability=0.5)

        assert client.flush(10)
        assert client.stats() == Stats(logged=500, sent=499, rejected=1, dropped=0, queued=0)
    assert len(server.received) < 30
    assert "status 400, no JSON" in caplog.text


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_server_that_refuses_everything_does_not_make_us_loop(server: Server, status: int) -> None:
    server.answer = lambda _: (status, {}, {"title": "no"})
    with client_of(server, flush_seconds=60, batch_size=1000) as client:
        for _ in range(1000):
            client.log(probability=0.5)

        assert client.flush(10)
        assert client.stats() == Stats(logged=1000, sent=0, rejected=1000, dropped=0, queued=0)
    assert len(server.received) < 150


def test_batches_shrink_to_what_a_proxy_takes(server: Server) -> None:
    server.answer = lambda received: (
        accept(received) if len(received.body) <= 200_000 else (413, {}, b"<html>too large")
    )
    with client_of(server, flush_seconds=60, batch_size=1000) as client:
        for i in range(3000):
            client.log(f"e{i}", probability=0.5, metadata={"text": "x" * 500})

        assert client.flush(10)
        assert client.stats() == Stats(logged=3000, sent=3000, rejected=0, dropped=0, queued=0)
    refused = sum(len(received.body) > 200_000 for received in server.received)
    assert refused <= 4
    assert sorted(set(server.ids)) == sorted(f"e{i}" for i in range(3000))


@pytest.mark.parametrize("retry_after", ["1", "date"])
def test_retry_after_is_honoured(server: Server, retry_after: str) -> None:
    replies = iter([503])

    def answer(received: Received) -> Reply:
        if next(replies, 200) == 200:
            return accept(received)
        # A date has whole seconds: two ahead are at least one.
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
        return 503, {"Retry-After": date if retry_after == "date" else retry_after}, {"title": "busy"}

    server.answer = answer
    with client_of(server) as client:
        client.log("a", probability=0.5)
        time.sleep(0.2)
        client.flush(5)  # must not cut the server's wish short
        first, second = server.received

        assert 0.9 < second.at - first.at < 3.5
        assert client.stats().sent == 1


@pytest.mark.parametrize(
    "reply",
    [
        None,
        (500, {}, {"title": "broken"}),
        (502, {}, b"<html>"),
        (429, {}, {}),
        (401, {}, {"title": "no key"}),
        (301, {"Location": "http://127.0.0.1:9/"}, b""),
        (200, {}, b"<html>log in to this network"),
        (200, {}, {"unexpected": True}),
        (200, {}, b""),
        (200, {"Content-Length": "1000"}, b"{}"),
        (200, {"Content-Encoding": "gzip"}, b"not gzip"),
    ],
    ids=str,
)
def test_what_is_no_receipt_is_retried_with_the_same_bytes(
    server: Server, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.client.delivery.FIRST_PAUSE", 0.01)
    calls = itertools.count()
    server.answer = lambda received: reply if next(calls) < 3 else accept(received)
    with client_of(server, timeout=0.2) as client:
        client.log("a", probability=0.1 + 0.2, metadata={"k": [1, 2.5, None]})

        assert client.flush(5)
        assert client.stats() == Stats(logged=1, sent=1, rejected=0, dropped=0, queued=0)
    assert len(server.received) == 4
    assert len({received.body for received in server.received}) == 1


def test_everything_is_accounted_for_while_the_server_dies_and_returns() -> None:
    server = Server()
    sums: list[bool] = []
    with client_of(server, batch_size=50, queue_size=2_000, timeout=0.5) as client:
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():
                now = client.stats()
                sums.append(now.sent + now.rejected + now.dropped + now.queued == now.logged)

        watcher = threading.Thread(target=watch)
        watcher.start()
        logged = [client.log(probability=0.5) for _ in range(500)]
        wait_until(lambda: client.stats().sent > 0)
        answered = dies_while_it_answers(server)
        logged += [client.log(probability=0.5) for _ in range(1_000)]
        time.sleep(0.2)
        server.stop()
        logged += [client.log(probability=0.5) for _ in range(3_000)]
        assert client.stats().queued == 2_000
        returned = Server(port=server.port)
        assert client.flush(20)
        stop.set()
        watcher.join()
        stats = client.stats()
        returned.stop()

    assert answered
    assert len(sums) > 10
    assert all(sums)
    assert stats.logged == len(logged) == 4_500
    assert (stats.sent, stats.rejected, stats.queued) == (stats.logged - stats.dropped, 0, 0)
    assert stats.dropped >= 1_000
    stored = set(server.ids) | set(returned.ids)
    assert len(stored) == stats.sent
    assert each_id_has_one_content(server.received + returned.received)


def dies_while_it_answers(server: Server) -> list[int]:
    """Make the server take batches and cut the connection in place of every answer."""
    cut: list[int] = []

    def answer(received: Received) -> Reply:
        cut.append(len(received.events))
        return None

    server.answer = answer
    return cut


def each_id_has_one_content(received: list[Received]) -> bool:
    contents: dict[str, set[str]] = {}
    for one in received:
        for event in one.events:
            contents.setdefault(event["event_id"], set()).add(json.dumps(event))
    return all(len(content) == 1 for content in contents.values())


def test_a_blocking_client_loses_nothing_in_a_loop_far_longer_than_its_queue(server: Server) -> None:
    with client_of(server, queue_size=500, batch_size=100, flush_seconds=60, block_seconds=30) as client:
        for i in range(6_000):
            client.log(f"e{i}", probability=0.5)
        assert client.flush(30)
        assert client.stats() == Stats(logged=6_000, sent=6_000, rejected=0, dropped=0, queued=0)
    assert server.ids == [f"e{i}" for i in range(6_000)]


def test_a_blocking_client_with_a_queue_below_a_batch_does_not_wait_for_flush_seconds(server: Server) -> None:
    started = time.monotonic()
    with client_of(server, queue_size=10, batch_size=100, flush_seconds=60, block_seconds=30) as client:
        for _ in range(50):
            client.log(probability=0.5)
        assert client.flush(10)
        assert client.stats().sent == 50
    assert time.monotonic() - started < 10


def test_blocking_ends_after_its_time_or_when_the_client_is_closed(server: Server) -> None:
    server.answer = lambda _: (503, {}, {})
    with client_of(server, queue_size=1, block_seconds=0.05) as client:
        for _ in range(3):
            client.log(probability=0.5)
        assert (client.stats().queued, client.stats().dropped) == (1, 2)
        client.close(timeout=0)
    with client_of(server, queue_size=1, block_seconds=60) as client:
        client.log(probability=0.5)
        waiting = threading.Thread(target=client.log, kwargs={"probability": 0.5})
        waiting.start()
        time.sleep(0.05)
        client.close(timeout=0)
        waiting.join(5)
        assert not waiting.is_alive()
        assert client.stats() == Stats(logged=2, sent=0, rejected=0, dropped=2, queued=0)


def test_an_event_that_never_fits_is_not_waited_for(server: Server) -> None:
    started = time.monotonic()
    with client_of(server, queue_bytes=500, block_seconds=60) as client:
        client.log(probability=0.5, metadata={"text": "x" * 1_000})
        assert client.stats().dropped == 1
    assert time.monotonic() - started < 10


def test_threads_that_wait_for_room_lose_nothing(server: Server) -> None:
    with client_of(server, queue_size=50, batch_size=50, flush_seconds=60, block_seconds=30) as client:
        threads = [threading.Thread(target=lambda: [client.log(probability=0.5) for _ in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(30)
        assert client.stats() == Stats(logged=2_000, sent=2_000, rejected=0, dropped=0, queued=0)


def test_a_pickled_client_has_a_connection_of_its_own(server: Server) -> None:
    with client_of(server) as client:
        client.log("a", probability=0.5)
        client.flush()
        with pickle.loads(pickle.dumps(client)) as twin:  # noqa: S301  our own
            twin.log("b", probability=0.5)
            twin.flush()
    assert server.ids == ["a", "b"]
    assert len({received.port for received in server.received}) == 2


def test_close_counts_as_dropped_what_it_could_not_send(caplog: pytest.LogCaptureFixture) -> None:
    client = Client("http://127.0.0.1:9", "m", timeout=0.2)
    for _ in range(10):
        client.log(probability=0.5)
    started = time.monotonic()

    assert client.close(timeout=0.3) is False
    assert time.monotonic() - started < 1.5
    assert client.stats() == Stats(logged=10, sent=0, rejected=0, dropped=10, queued=0)
    assert "10 events unsent" in caplog.text


def test_close_does_not_wait_for_a_server_that_hangs(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def hang(received: Received) -> Reply:
        release.wait(10)
        return accept(received)

    server.answer = hang
    client = Client(server.url, "m", flush_seconds=0.01, timeout=30)
    client.log(probability=0.5)
    wait_until(lambda: bool(server.received))
    started = time.monotonic()
    client.close(timeout=0.2)
    took = time.monotonic() - started
    release.set()  # the answer comes after all, for an event that is counted as dropped
    wait_until(lambda: all(thread.name != "calwatch-client" for thread in threading.enumerate()))

    assert took < 1.5
    assert client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=1, queued=0)
    assert [record.getMessage() for record in caplog.records if "failed" in record.getMessage()] == []


def test_the_thread_outlives_a_bug(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.client.worker.AFTER_A_BUG", 0.01)
    send, calls = Transport.post, itertools.count()

    def post(transport: Transport, path: str, body: bytes, *, timeout: float | None = None) -> Answer:
        if next(calls) == 0:
            raise ZeroDivisionError
        return send(transport, path, body, timeout=timeout)

    monkeypatch.setattr(Transport, "post", post)
    with client_of(server) as client:
        client.log("a", probability=0.5)

        assert client.flush(5)
        assert server.ids == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_sends_its_own_events_and_none_of_its_parents(server: Server) -> None:
    with client_of(server, flush_seconds=60) as client:
        client.log("warm up", probability=0.5)
        client.flush()  # an open connection, which the child must not use
        client.log("parent", probability=0.5)

        def sends_its_own() -> bool:
            client.log("child", probability=0.5)
            return client.flush(5) and client.stats().sent == 1

        assert forked(sends_its_own) == 0
        assert client.flush(5)
        assert client.stats() == Stats(logged=2, sent=2, rejected=0, dropped=0, queued=0)

    assert server.ids == ["warm up", "child", "parent"]
    warm_up, child, parent = (received.port for received in server.received)
    assert warm_up == parent != child


EXITS = textwrap.dedent(
    """
    import sys
    from monitor import Client
    client = Client(sys.argv[1], "m", flush_seconds=60, timeout=1.0)
    client.log("at exit", probability=0.5)
    """
)


def test_what_is_queued_at_exit_is_sent(server: Server) -> None:
    subprocess.run([sys.executable, "-c", EXITS, server.url], check=True, timeout=20)

    assert server.ids == ["at exit"]


def test_what_a_thread_logs_long_after_the_end_began_is_sent(server: Server) -> None:
    with client_of(server) as client:
        client.log("a", probability=0.5)
        client.hand_over(time.monotonic() + 0.3)
        time.sleep(0.4)
        client.log("b", probability=0.5)

        assert server.ids == ["a", "b"]
        assert client.stats() == Stats(logged=2, sent=2, rejected=0, dropped=0, queued=0)


def test_exit_is_bounded_when_nobody_listens() -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", EXITS, "http://127.0.0.1:9"], check=True, timeout=20, capture_output=True, text=True
    )

    assert time.monotonic() - started < 6
    assert "1 events unsent" in done.stderr


def test_logging_from_many_threads_sends_each_event_once(server: Server) -> None:
    with client_of(server, batch_size=200) as client:
        ids: list[str] = []

        def work() -> None:
            ids.extend([client.log(probability=0.5) for _ in range(500)])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert client.flush(10)
        assert client.stats().sent == 4_000
    assert sorted(server.ids) == sorted(ids)


VERDICTS = [
    (200, b'{"accepted": 3, "rejected": []}', Settled(sent=3, rejected=0, reasons=())),
    (200, b'{"accepted": 9, "rejected": []}', Settled(sent=3, rejected=0, reasons=())),
    (200, b'{"accepted": -1, "rejected": []}', Settled(sent=0, rejected=3, reasons=())),
    (
        200,
        b'{"accepted": 2, "rejected": [{"index": 1, "event_id": "b", "reason": "why"}]}',
        Settled(sent=2, rejected=1, reasons=("'b': why",)),
    ),
    (422, b'{"accepted": 0, "rejected": []}', Settled(sent=0, rejected=3, reasons=())),
    (422, b'{"title": "Unprocessable", "detail": "no events"}', Refused(reason="status 422, no events")),
    (413, b"<html>", Refused(reason="status 413, no receipt", too_large=True)),
    (200, b'{"accepted": "3"}', Failed(reason="status 200, no receipt")),
    (503, b'{"title": "busy"}', Failed(reason="status 503, busy")),
    (404, b"", Failed(reason="status 404, no receipt")),
]


@pytest.mark.parametrize(("status", "body", "expected"), VERDICTS)
def test_judge_tells_settled_refused_and_failed_apart(status: int, body: bytes, expected: Any) -> None:
    assert judge(Answer(status=status, body=body), 3) == expected


def test_pause_grows_to_a_limit_with_full_jitter() -> None:
    longest = pauses(lambda _, high: high)

    assert longest[0] == FIRST_PAUSE
    assert longest == sorted(longest)
    assert longest[-1] == LONGEST_PAUSE
    assert set(pauses(lambda low, _: low)) == {0.0}


def pauses(uniform: Callable[[float, float], float]) -> list[float]:
    """Return the pauses of a delivery that nobody answers."""
    outbox = Outbox(Memory(size=1, largest=100), batch_size=1, wake=lambda: None)
    outbox.add(b"{}")
    nobody = Transport("http://127.0.0.1:9", key=None, timeout=1.0)
    delivery = Delivery(outbox, nobody, LimitedWarnings(), batch_size=1, flush_seconds=1.0, uniform=uniform)
    now, found = 0.0, []
    for _ in range(30):
        due = delivery.step(now)
        found.append(due - now)
        now = due
    return found


def test_drain_makes_no_further_request_once_its_time_is_over() -> None:
    class Slow(Transport):
        requests = 0

        def post(self, path: str, body: bytes, *, timeout: float | None = None) -> Answer:  # noqa: ARG002
            assert timeout is not None
            assert timeout > 0
            self.requests += 1
            time.sleep(0.3)
            raise Unavailable("no answer")

    outbox, slow = (
        Outbox(Memory(size=10, largest=1000), batch_size=1, wake=lambda: None),
        Slow("http://127.0.0.1:9", key=None, timeout=1),
    )
    outbox.add(b"{}")
    delivery = Delivery(
        outbox, slow, LimitedWarnings(), batch_size=1, flush_seconds=1.0, uniform=lambda _low, _high: 0.01
    )
    delivery.drain(time.monotonic() + 0.2)
    assert slow.requests == 1
