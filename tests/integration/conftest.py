"""The application on a database of its own, its jobs driven by hand; every answer is held to the API's own description."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from monitor.api.app import create_app, model_routes
from monitor.api.paths import Calls
from monitor.ingest.ingest import Ingest
from monitor.rollup.job import roll_up
from monitor.runtime.config import Settings
from monitor.runtime.stages import run_stages
from monitor.runtime.wiring import Services
from monitor.store import lease
from monitor.store.engine import Database

CALLS = Calls(model_routes())
NOON = "2026-01-05T12:00:00Z"


@dataclass
class Api:
    """A client of the API that checks the shape of whatever comes back."""

    client: TestClient
    services: Services
    clock: Callable[[], int]
    described: "Described"

    def ask(self, method: str, path: str, *, status: int = 200, **options: Any) -> Any:
        """Return the body of an answer, whose status must be this one and whose shape must be as described."""
        response = self.client.request(method, path, **options)
        assert response.status_code == status, response.text
        return self.checked(method, path, response)

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, params=query)

    def post(self, path: str, body: Any = None, *, status: int = 200) -> Any:
        return self.ask("POST", path, json={} if body is None else body, status=status)

    def replay(self, **policy: Any) -> Any:
        """Replay a policy and return what came of it."""
        number = self.post("/v1/models/m/replay", policy, status=202)["id"]
        for _ in range(600):
            found = self.get(f"/v1/models/m/replays/{number}")
            if found["state"] != "running":
                break
            time.sleep(0.05)
        assert found["state"] == "done", found
        return found["result"]

    def put(self, name: str = "m", *, status: int = 200, **settings: Any) -> Any:
        return self.ask("PUT", address(name), json=settings, status=status)

    def refused(self, method: str, path: str, status: int = 422, **options: Any) -> Any:
        """Return the first error of a refusal, or the whole of it where it names no field."""
        body = self.ask(method, path, status=status, **options)
        return body["errors"][0] if body["errors"] else body

    def send(self, *events: dict[str, Any], status: int = 200) -> Any:
        """Send events and roll them up."""
        answer = self.ask("POST", "/v1/events", json={"events": list(events)}, status=status)
        self.roll_up()
        return answer

    def roll_up(self) -> None:
        while roll_up(self.services.database, self.token(), now=self.clock, events=4000):
            pass

    def judge(self) -> None:
        """Evaluate, take what has matured into the tests, let alarms change, and refit where one calls for it."""
        run_stages(self.services.database, self.token(), now=self.clock, notify=False)

    def token(self) -> int:
        token = lease.acquire(self.services.database, "test", 3600)
        assert token is not None
        return token

    def checked(self, method: str, path: str, response: Any) -> Any:
        """Return a body that is as the API describes it."""
        if response.status_code >= 400:
            return checked_problem(response)
        if not response.headers.get("content-type", "").startswith("application/json"):
            return response
        body = json.loads(response.content, parse_constant=pytest.fail)
        for error in self.described.validator(method, path, response.status_code).iter_errors(body):
            pytest.fail(f"{method} {path}: {error.json_path}: {error.message}")
        return body


class Described:
    """The API's description of itself, which is the same for every database."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[str, Any] = {}

    def validator(self, method: str, path: str, status: int) -> Any:
        """Return what checks the body of an answer."""
        plain = path.partition("?")[0]
        asked = CALLS.normalised(plain, plain.encode())
        for template, operations in self.document["paths"].items():
            if method.lower() in operations and re.fullmatch(
                re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), asked
            ):
                place = f"/paths/{template.replace('/', '~1')}/{method.lower()}/responses/{status}"
                assert str(status) in operations[method.lower()]["responses"], f"{place} is not described"
                return self._at(f"{place}/content/application~1json/schema")
        return pytest.fail(f"{path} is not described")

    def _at(self, place: str) -> Any:
        if place not in self._validators:
            place_in_uri = place.replace("{", "%7B").replace("}", "%7D")
            self._validators[place] = Draft202012Validator({**self.document, "$ref": f"#{place_in_uri}"})
        return self._validators[place]


@pytest.fixture(scope="session")
def described(sqlite_template: Any) -> Described:
    url = f"sqlite:///{sqlite_template}"
    database = Database(url)
    services = Services(Settings(database_url=url), database, Ingest(database, int, limit=1), None)
    return Described(create_app(services, local=True).openapi())


def checked_problem(response: Any) -> Any:
    """Return a problem document, which must be one (RFC 9457)."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail", "errors"} <= set(body)
    assert body["status"] == response.status_code
    assert body["detail"]
    for error in body["errors"]:
        assert set(error) == {"field", "value", "reason"}
        assert error["field"]
        assert error["reason"]
    return body


def address(name: str) -> str:
    """Return the address of a model."""
    return f"/v1/models/{quote(name, safe='')}"


def prediction(event_id: str, p: float | None = None, **fields: Any) -> dict[str, Any]:
    """Return a prediction; a single number is the probability of a binary model."""
    served = {} if p is None else {"probability": p}
    return {"type": "prediction", "event_id": event_id, "model": "m", "timestamp": NOON, **served, **fields}


def label(event_id: str, value: Any, **fields: Any) -> dict[str, Any]:
    """Return a label."""
    return {"type": "label", "event_id": event_id, "model": "m", "label": value, **fields}


class Tools:
    """What tests of the API are written with."""

    NOON = NOON
    address = staticmethod(address)
    prediction = staticmethod(prediction)
    label = staticmethod(label)
    checked_problem = staticmethod(checked_problem)


@pytest.fixture
def tools() -> type[Tools]:
    return Tools


@pytest.fixture
def api_on(clock: Callable[[], int], described: Described) -> Iterator[Callable[..., Api]]:
    """Return what serves the API on a database until the test ends."""
    running: list[TestClient] = []

    def start(url: str, limit: int = 10**6) -> Api:
        database = Database(url)
        services = Services(Settings(database_url=url), database, Ingest(database, clock, limit=limit), None)
        app = create_app(services, local=True, now=clock)
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=True, follow_redirects=False)
        running.append(client)
        return Api(client.__enter__(), services, clock, described)

    yield start
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def api(database_url: str, api_on: Callable[[str], Api]) -> Api:
    """Return the API on either database."""
    return api_on(database_url)


@pytest.fixture
def sqlite_api(sqlite_url: str, api_on: Callable[[str], Api]) -> Api:
    """Return the API on SQLite, for what does not depend on the database."""
    return api_on(sqlite_url)
