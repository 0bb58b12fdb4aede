"""What clients follow: the champion, and the canary that serves a share beside it, under one entity tag."""

import pytest

from monitor import registry
from monitor.client.champions import IDENTITY, Champions
from monitor.client.limited import LimitedWarnings
from monitor.client.transport import Answer
from monitor.store import models
from monitor.store import registry as versions
from monitor.store.registry import CHALLENGER, CHAMPION, Alias

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
            registry.register(connection, found, fitted, fitted_from={}, gate=None, actor="test", now=api.clock())
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
