"""Answers count what was accepted before they were asked for, as long as the roll-up keeps up."""

import threading
import time

import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from monitor.api.app import create_app, model_routes
from monitor.api.freshness import KEEPS_UP, PATIENCE_SECONDS, POLL_SECONDS, is_current
from monitor.runtime.config import Settings
from monitor.runtime.wiring import build
from monitor.store import journal

DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}

OF_NO_EVENTS = {
    "GET /v1/models/{model}/audit": "what people and jobs did",
    "GET /v1/models/{model}/serving": "what clients ask for again and again",
    "GET /v1/models/{model}/calibrators/{which}": "a document that never changes",
    "GET /v1/models/{model}/calibrators/{which}/map": "drawn from a document",
    "GET /v1/models/{model}/replays": "what was asked for",
    "GET /v1/models/{model}/replays/{number}": "of what was stored when it was asked for",
    "DELETE /v1/models/{model}/replays/{number}": "it only ends",
    "POST /v1/models/{model}/calibrate": "the values are in the request",
    "PUT /v1/models/{model}": "settings",
    "DELETE /v1/models/{model}": "all goes",
}
"""Routes about models that neither count events nor act on them, and why."""


def accept(api, *events):
    """Send events and leave them in the journal."""
    return api.ask("POST", "/v1/events", json={"events": list(events)})["accepted"]


@pytest.fixture
def rolled_up_meanwhile(api):
    """Return what rolls up a little after it is called."""
    timers = []

    def later():
        timers.append(threading.Timer(0.2, api.roll_up))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.join()


def calls():
    return {
        f"{method} {route.path}": route
        for route in model_routes()
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    }


def test_each_route_about_models_waits_or_says_why_it_need_not():
    waiting = {name for name, route in calls().items() if is_current(route)}
    assert waiting.isdisjoint(OF_NO_EVENTS)
    assert waiting | OF_NO_EVENTS.keys() == calls().keys()


@pytest.mark.parametrize("path", ["calibration", "", "labels"])
def test_a_read_waits_for_what_was_accepted_before(api, tools, rolled_up_meanwhile, path):
    api.send(tools.prediction("a", 0.5))
    assert accept(api, tools.prediction("b", 0.5)) == 1
    rolled_up_meanwhile()
    query = {"calibration": DAY}.get(path, {})
    answer = api.get(f"/v1/models/m/{path}".rstrip("/"), **query)
    assert "stale" not in answer
    assert answer.get("predictions", 2) == 2


def test_an_event_is_there_at_once(api, tools, rolled_up_meanwhile):
    accept(api, tools.prediction("a", 0.5))
    rolled_up_meanwhile()
    assert api.get("/v1/models/m/events/a")["event_id"] == "a"


def test_a_refit_by_hand_sees_the_correction_that_was_sent_before(api, tools, rolled_up_meanwhile):
    """The labels say the opposite of each other before and after the correction."""
    ids = [f"e{number}" for number in range(400)]
    api.send(
        *(tools.prediction(event_id, 0.3 if number % 2 else 0.7) for number, event_id in enumerate(ids)),
        *(tools.label(event_id, number % 2) for number, event_id in enumerate(ids)),
    )
    accept(api, *(tools.label(name, 1 - number % 2, supersedes=True) for number, name in enumerate(ids)))
    rolled_up_meanwhile()
    refitted = api.post("/v1/models/m/calibrators", {"method": "platt", "holdout": 0, **DAY}, status=201)
    assert refitted["parameters"]["slope"] > 0


def test_a_read_does_not_wait_for_a_roll_up_that_does_not_come_and_says_so(api, tools):
    api.send(tools.prediction("a", 0.5))
    assert accept(api, tools.prediction("b", 0.5)) == 1
    began = time.monotonic()
    answer = api.get("/v1/models/m/calibration", **DAY)
    assert time.monotonic() - began >= PATIENCE_SECONDS
    assert (answer["predictions"], answer["stale"]) == (1, True)


def test_where_the_roll_up_is_far_behind_a_read_says_so_without_waiting(api, tools, clock, monkeypatch):
    accept(api, tools.prediction("a", 0.5))
    clock.micros += KEEPS_UP + 1
    monkeypatch.setattr("monitor.api.freshness.PATIENCE_SECONDS", float("inf"))
    assert api.get("/v1/models")["stale"] is True


def test_what_comes_later_is_not_waited_for(api, tools, monkeypatch):
    """Otherwise a busy stream would keep every read waiting."""
    monkeypatch.setattr("monitor.api.freshness.PATIENCE_SECONDS", 60.0)
    accept(api, tools.prediction("a", 0.5))

    def roll_up_and_accept():
        api.roll_up()
        accept(api, tools.prediction("b", 0.5))

    later = threading.Timer(0.2, roll_up_and_accept)
    later.start()
    answer = api.get("/v1/models/m/calibration", **DAY)
    later.join()
    assert "stale" not in answer


def test_a_read_wakes_the_roll_up(sqlite_url, tools, monkeypatch):
    """Its own time comes once an hour here."""
    monkeypatch.setattr("monitor.api.freshness.PATIENCE_SECONDS", 60.0)
    services = build(Settings(database_url=sqlite_url, rollup_seconds=3600.0), with_jobs=True)
    with_events = {"events": [tools.prediction("a", 0.5)]}
    with TestClient(create_app(services, local=True), base_url="http://localhost") as client:
        client.get("/v1/models")  # after the first roll-up, which comes with the start
        time.sleep(0.5)
        assert client.post("/v1/events", json=with_events).status_code == 200
        answer = client.get("/v1/models/m").json()
    assert (answer["predictions"], "stale" in answer) == (1, False)


def test_many_reads_share_their_looks_at_the_journal(api, tools, monkeypatch):
    accept(api, tools.prediction("a", 0.5))
    looks = []
    waiting = journal.waiting

    def look(connection):
        looks.append(1)
        return waiting(connection)

    monkeypatch.setattr(journal, "waiting", look)
    readers = [threading.Thread(target=api.client.get, args=["/v1/models"]) for _ in range(20)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    alone = PATIENCE_SECONDS / POLL_SECONDS
    assert len(looks) < 20 + 3 * alone
