"""A real server, fed with events, and a real browser whose every error counts."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.session import could_not_run

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOO_SURE = ((0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true: off by .2, .1, .1 and .2."""

Case = tuple[dict[str, Any], Any]
"""Fields of a prediction, and its label; None for none."""


class Server:
    """A `calwatch serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CALWATCH_")},
            "CALWATCH_DATABASE_URL": f"sqlite:///{folder / 'calwatch.db'}",
            "CALWATCH_ROLLUP_SECONDS": "0.2",
            "CALWATCH_EVALUATE_SECONDS": "0.5",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "serve", "--port", str(self.port)],
                env=self.environment, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(
            self.is_ready,
            lambda: f"the server did not start: {(self.folder / 'log').read_text()[-2000:]}",
            seconds=120,  # a busy machine imports slowly
        )
        return self

    def is_ready(self) -> bool:
        try:
            return bool(urlopen(f"{self.url}/readyz", timeout=2).status == 200)  # noqa: S310 - our own server
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=20)
            self.process = None

    def run(self, *command: str) -> str:
        """Return what a command of calwatch prints."""
        done = subprocess.run(
            [sys.executable, "-m", "monitor", *command],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def wait(self, happened: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        wait_for(happened, otherwise)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
            return json.load(answer)

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def feed(self, name: str, *, versions: tuple[str, ...] = ("1",), calibrators: int = 0, **settings: Any) -> str:
        """Make a model that is too sure of itself, wait until it is evaluated, and return its address in the API."""
        address = f"/v1/models/{quote(name, safe='')}"
        declared = {"label_delay": "0s", "minimum_labels": 200, "recalibration": "off", **settings}
        self.ask("PUT", address, declared)
        now = int(time.time()) // 60 * 60
        for minute in range(20):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60 * (20 - minute)))
            version = versions[minute * len(versions) // 20]
            self.ask("POST", "/v1/events", {"events": list(events(name, at, version))})
        for _ in range(calibrators):
            wait_for(lambda: self.get(address)["labelled"] == 1600, lambda: "the events were not rolled up")
            self.ask("POST", f"{address}/calibrators", {"method": "platt", "holdout": 0})
        wait_for(
            lambda: (self.get(address)["evaluation"] or {"labelled": 0})["labelled"] == 1600,
            lambda: f"{name} was not evaluated: {self.get(address)}",
        )
        return address

    def propose(self, name: str, **settings: Any) -> str:
        """Feed a model, wait until the calibrator that repairs it waits for a person, and return its address in the API."""
        address = self.feed(name, recalibration="propose", **settings)
        wait_for(lambda: self.get(address)["proposal"], lambda: f"nothing waits: {self.get(address)}")
        return address

    def send(self, name: str, cases: list[Case], times: int = 1, **settings: Any) -> str:
        """Send each case so many times, a minute apart, and return the model's address in the API once all are evaluated."""
        address = f"/v1/models/{quote(name, safe='')}"
        self.ask("PUT", address, {"label_delay": "0s", "minimum_labels": 200, "recalibration": "off", **settings})
        now = int(time.time()) // 60 * 60
        sent = []
        for number, (fields, label) in enumerate(cases * times):
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 60 * (times - number // len(cases))))
            which = {"model": name, "event_id": str(number)}
            sent.append({"type": "prediction", **which, "timestamp": at, "model_version": "1", **fields})
            if label is not None:
                sent.append({"type": "label", **which, "label": label})
        self.ask("POST", "/v1/events", {"events": sent})
        labelled = times * sum(label is not None for _, label in cases)
        wait_for(
            lambda: (self.get(address)["evaluation"] or {"labelled": 0})["labelled"] == labelled,
            lambda: f"{name} was not evaluated: {self.get(address)}",
        )
        return address


def events(model: str, at: str, version: str) -> Iterator[dict[str, Any]]:
    for p, right in TOO_SURE:
        for i in range(20):
            which = {"model": model, "event_id": f"{at}-{p}-{i}"}
            yield {"type": "prediction", **which, "timestamp": at, "probability": p, "model_version": version}
            yield {"type": "label", **which, "label": int(i < right)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(happened: Callable[[], bool], otherwise: Callable[[], str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            pytest.fail(otherwise())
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        could_not_run("a browser to test the page with", "install Debian's package chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """Return a server of this test's own, on an empty database."""
    server = Server(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that the tests share; each has a model of its own."""
    found = Server(tmp_path_factory.mktemp("server")).start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def shared(server: Server) -> str:
    """Return the name of a model that tests look at and do not change: two versions, one calibrator that waits."""
    address = server.feed("credit/risk", versions=("1.0", "2.0"), calibrators=1)
    server.wait(lambda: server.get(address)["alerts"] > 0, lambda: f"no alert: {server.get(address)}")
    return "credit/risk"


class Watched:
    """What a browser complained of, and whom it talked to."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.expected: tuple[str, ...] = ()

    def watch(self, page: Page) -> Page:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None
        )
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def check(self) -> None:
        unexpected = [text for text in self.complaints if not any(known in text for known in self.expected)]
        assert unexpected == []


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def open_page(browser: Browser, watched: Watched) -> Iterator[Callable[..., Page]]:
    """Return what opens a page; in the end no page may have complained, or talked to anybody but its server."""
    contexts = []

    def at(url: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = watched.watch(context.new_page())
        page.goto(url)
        return page

    yield at
    origins = {context.pages[0].evaluate("location.origin") for context in contexts}
    for context in contexts:
        context.close()
    assert {url for url in watched.requests if not url.startswith(tuple(f"{each}/" for each in origins))} == set()
    watched.check()
