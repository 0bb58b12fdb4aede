"""What clients follow: the champion, and the canary that serves a share beside it, under one entity tag."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

from monitor import Client
from monitor.client import document_from
from monitor.client.champion import IDENTITY
from monitor.client.champions import Champions
from monitor.client.limited import LimitedWarnings
from monitor.client.transport import Answer
from monitor.domain.errors import BadInput
from monitor.domain.names import CHALLENGER, CHAMPION
from monitor.recalibrate import registry
from monitor.store import models, versions
from monitor.store.calibrators import Fitted, FittedFrom
from monitor.store.versions import Alias

SERVING = "/v1/models/m/serving"
HALVED = {"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}}
SHIFTED = {"method": "platt", "task": "binary", "parameters": {"slope": 1.0, "intercept": 1.0}}


@pytest.fixture
def model(api, tools):
    """Return a model with two versions, none of them in service."""
    api.put("m", status=201)
    api.send(tools.prediction("a", 0.5))
    for fitted in (HALVED, SHIFTED):
        with api.services.database.write() as connection:
            found = models.by_name(connection, "m")
            registry.register(
                connection,
                found,
                Fitted(**fitted),
                fitted_from=FittedFrom(),
                gate=None,
                actor="test",
                now=api.clock(),
            )
    return Versions(api, found)


class Versions:
    """A model's versions, moved at will."""

    def __init__(self, api, model):
        self.api, self.model = api, model

    def move(self, name, number, share=None):
        alias = Alias(number=number, since=self.api.clock(), since_event_time=None, share=share)
        with self.api.services.database.write() as connection:
            versions.move(connection, self.model.id, name, alias)

    def end_canary(self):
        with self.api.services.database.write() as connection:
            versions.drop(connection, self.model.id, CHALLENGER)

    def document(self, number):
        return self.api.get(f"/v1/models/m/calibrators/{number}")

    def ask(self, etag=None):
        return self.api.client.get(SERVING, headers={} if etag is None else {"If-None-Match": etag})


def test_without_a_champion_nothing_serves(model):
    assert {"champion": None, "canary": None} == model.api.get(SERVING)


def test_serving_tells_the_champion_and_the_canary_with_its_share(model):
    model.move(CHAMPION, 1)
    assert {"champion": model.document(1), "canary": None} == model.api.get(SERVING)
    model.move(CHALLENGER, 2)
    assert model.api.get(SERVING)["canary"] is None  # one that waits for a person serves nothing
    model.move(CHALLENGER, 2, share=0.25)
    assert {"champion": model.document(1), "canary": {"share": 0.25, "document": model.document(2)}} == model.api.get(
        SERVING
    )
    model.move(CHAMPION, None)
    assert model.api.get(SERVING)["champion"] is None


def test_serving_saves_the_body_until_anything_changes(model):
    tags = []
    for step in (
        lambda: None,
        lambda: model.move(CHAMPION, 1),
        lambda: model.move(CHALLENGER, 2, share=0.25),
        lambda: model.move(CHALLENGER, 2, share=0.5),
        lambda: model.move(CHAMPION, 2),
    ):
        step()
        tags.append(model.ask().headers["ETag"])
        assert (model.ask(tags[-1]).status_code, model.ask(tags[-1]).content) == (304, b"")
        assert model.ask(f'"other", W/{tags[-1]}').status_code == 304
        assert [model.ask(each).status_code for each in tags[:-1]] == [200] * (len(tags) - 1)
    assert len(set(tags)) == len(tags)


def test_serving_of_no_model_is_not_found(api):
    api.refused("GET", "/v1/models/none/serving", 404)


class InProcess:
    """Requests to the application, without a network between."""

    def __init__(self, api):
        self.api = api
        self.asked = []

    def post(self, path, body, **_):
        found = self.api.client.post(path, content=body, headers={"Content-Type": "application/json"})
        return Answer(status=found.status_code, body=found.content)

    def get(self, path, *, etag):
        found = self.api.client.get(path, headers={} if etag is None else {"If-None-Match": etag})
        self.asked.append((path.rpartition("/")[2], found.status_code))
        return Answer(status=found.status_code, body=found.content, etag=found.headers.get("ETag"))


def test_a_client_follows_what_the_route_says(model):
    transport = InProcess(model.api)
    followed = Champions(transport, LimitedWarnings(), model="m", refresh_seconds=30)

    def served():
        assert followed.fetch()
        canary = followed.serving.canary
        return followed.serving.champion.number, None if canary is None else (canary.champion.number, canary.share)

    assert served() == (None, None)
    model.move(CHAMPION, 1)
    assert served() == (1, None)
    model.move(CHALLENGER, 2, share=0.25)
    assert served() == (1, (2, 0.25))
    assert served() == (1, (2, 0.25))
    model.end_canary()
    assert served() == (1, None)
    model.move(CHAMPION, None)
    assert served() == (None, None)
    assert [("serving", status) for status in (200, 200, 200, 304, 200, 200)] == transport.asked


def test_a_client_serves_no_calibrator_once_the_model_is_deleted(model):
    model.move(CHAMPION, 1)
    followed = Champions(InProcess(model.api), LimitedWarnings(), model="m", refresh_seconds=30)
    assert followed.fetch()
    assert followed.serving.champion.number == 1
    model.api.ask("DELETE", "/v1/models/m", params={"confirm": "m"})
    assert followed.fetch()
    assert followed.serving.champion is IDENTITY


TOO_SURE = ((0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true."""


@pytest.fixture
def judged(sqlite_api, tools):
    """Return a client of a model that is too sure of itself, by 1,600 labels."""
    sqlite_api.put("m", status=201, label_delay="0s")
    for minute in range(20):
        at = {"timestamp": f"2026-01-05T10:{minute:02}:00Z"}
        for p, right in TOO_SURE:
            names = [f"{minute} {p} {i}" for i in range(20)]
            sent = [tools.prediction(name, p, **at) for name in names]
            sent += [tools.label(name, int(i < right)) for i, name in enumerate(names)]
            sqlite_api.ask("POST", "/v1/events", json={"events": sent})
    sqlite_api.roll_up()
    client = Client("http://localhost", "m")
    client._transport = InProcess(sqlite_api)  # type: ignore[assignment] # noqa: SLF001
    yield client
    client.close(timeout=0)


def test_a_calibrator_fitted_elsewhere_goes_through_the_same_gate(judged):
    scores = np.repeat([p for p, _ in TOO_SURE], 20)
    outcomes = np.concatenate([np.arange(20) < right for _, right in TOO_SURE]).astype(int)
    good = LogisticRegression(C=1e6).fit(logit(scores).reshape(-1, 1), outcomes)
    made = judged.register(document_from(good, on="logit"), promote=True)
    assert (made["number"], made["method"], made["promoted"]) == (1, "platt", True)
    assert made["gate"]["passed"]
    worse = judged.register(
        {"method": "temperature", "task": "binary", "parameters": {"temperature": 0.2}}, promote=True
    )
    assert (worse["number"], worse["promoted"]) == (None, False)
    assert worse["reason"]
    with pytest.raises(BadInput):
        judged.register({"method": "temperature", "task": "binary", "parameters": {"temperature": -1.0}})
