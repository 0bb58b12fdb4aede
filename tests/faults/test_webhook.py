"""A webhook hears of every transition at least once, through kills, each time under the same id."""

import json
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import text

from monitor.store.engine import Database
from tests.faults.processes import Servers, free_port, until
from tests.faults.scenes import alerts, declare, events, send


class Receiver(ThreadingHTTPServer):
    """Takes notifications, after refusing as many as told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals = 0
        self.taken: list[tuple[str, dict[str, Any]]] = []  # the header's id and the body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = 200
        if self.server.refusals:
            self.server.refusals -= 1
            status = 500
        else:
            self.server.taken.append((self.headers["Idempotency-Key"], body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def notifications(url: str) -> list[tuple[str, bool]]:
    """Return the ids of all notifications, and whether each is noted as delivered."""
    database = Database(url)
    with database.read() as connection:
        rows = connection.execute(text("SELECT id, delivered_at IS NOT NULL FROM notification")).all()
    database.close()
    return [(str(name), bool(delivered)) for name, delivered in rows]


def test_webhook_hears_of_a_transition_through_kills_under_one_id(servers: Servers, receiver: Receiver) -> None:
    port = free_port()
    hook = {"CALWATCH_WEBHOOK_URL": receiver.url}
    first = servers.start(port, faults=[{"point": "alert recorded, not committed"}], **hook)
    servers.ready(port, first)
    declare(port)
    assert send(port, events()).status == 200
    assert first.wait() == -signal.SIGKILL, first.tail()
    assert notifications(servers.url) == []
    for _ in range(2):
        killed = servers.start(port, faults=[{"point": "posted, not noted"}], **hook)
        assert killed.wait() == -signal.SIGKILL, killed.tail()
    assert [delivered for _, delivered in notifications(servers.url)] == [False]
    receiver.refusals = 1
    last = servers.start(port, **hook)
    until(lambda: all(delivered for _, delivered in notifications(servers.url)), 30, "a delivery that is noted")
    recorded = alerts(port)
    last.send(signal.SIGTERM)
    assert last.wait() == 0, last.tail()
    (name, _) = notifications(servers.url)[0]
    assert [notice for notice, _ in receiver.taken] == [name] * 3
    assert [body["id"] for _, body in receiver.taken] == [name] * 3
    assert [(body["model"], body["kind"], body["state"]) for _, body in receiver.taken] == [
        ("m", "miscalibration", "firing")
    ] * 3
    assert len(recorded) == 1
    assert receiver.refusals == 0


def opposite_segments(count: int = 3000) -> list[dict[str, Any]]:
    """Return labelled predictions of one half, which one country beats as much as the other falls short of it."""
    begin = datetime.now(UTC) - timedelta(minutes=40)
    sent: list[dict[str, Any]] = []
    for i in range(count):
        event = {"event_id": f"e{i}", "model": "m"}
        country, tenth = ("br", "de")[i % 2], i // 2 % 10
        at = (begin + timedelta(minutes=30 * i / count)).isoformat()
        segments = {"country": country}
        sent.append({"type": "prediction", "timestamp": at, "probability": 0.5, "segments": segments, **event})
        sent.append({"type": "label", "label": int(tenth < (8 if country == "br" else 2)), **event})
    return sent


def test_webhook_hears_which_segments_are_off_and_that_they_are_watched_no_more(
    servers: Servers, receiver: Receiver
) -> None:
    port = free_port()
    server = servers.start(port, CALWATCH_WEBHOOK_URL=receiver.url)
    servers.ready(port, server)
    declare(port, segments=["country"], recalibration="off")
    assert send(port, opposite_segments()).status == 200
    until(lambda: receiver.taken, 30, "a notification", else_say=server.tail)
    declare(port, segments=[], recalibration="off")
    until(lambda: len(receiver.taken) > 1, 30, "a second notification", else_say=server.tail)
    until(lambda: all(delivered for _, delivered in notifications(servers.url)), 30, "deliveries that are noted")
    server.send(signal.SIGTERM)
    assert server.wait() == 0, server.tail()
    fired, ended = [body for _, body in receiver.taken]
    assert [(body["model"], body["kind"], body["state"], body["segment"]) for body in (fired, ended)] == [
        ("m", "segment", "firing", ""),
        ("m", "segment", "resolved", ""),
    ]
    faults = {fault["segment"]: fault["direction"] for fault in fired["evidence"]["segments"]}
    assert faults == {"country:br": "underestimates", "country:de": "overestimates"}
    assert "country=br says less than happens" in fired["summary"]
    assert "no longer watched" in ended["summary"]
    assert [notice for notice, _ in receiver.taken] == [fired["id"], ended["id"]]
