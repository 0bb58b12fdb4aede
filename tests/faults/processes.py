"""Processes of the product, to be killed and frozen at will."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUICK = {
    "CALWATCH_ROLLUP_SECONDS": "0.05",
    "CALWATCH_EVALUATE_SECONDS": "0.5",
    "CALWATCH_LEASE_SECONDS": "1",
}


def until(condition: Callable[[], Any], seconds: float, what: str, *, else_say: Callable[[], str] = str) -> Any:
    """Return what a condition comes to once it is true; fail if that takes too long, and say more then."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}; {else_say()}"
        time.sleep(0.02)
    return found


class Entry:
    """The process that starts all others, by forking itself once it has imported the product."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("entry.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: dict[str, Any]) -> Any:
        """Send a command and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, "the process that starts the others has ended"
        return json.loads(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)


class Process:
    """A process of the product."""

    def __init__(self, entry: Entry, pid: int, log: Path) -> None:
        self._entry = entry
        self.pid = pid
        self.log = log
        self._status: int | None = None

    def status(self) -> int | None:
        """Return its exit status, minus a signal's number, or None while it runs."""
        if self._status is None:
            self._status = self._entry.ask({"poll": self.pid})["status"]
        return self._status

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 20) -> int:
        until(lambda: self.status() is not None, seconds, f"the end of process {self.pid}", else_say=self.tail)
        assert self._status is not None
        return self._status

    def kill(self) -> None:
        if self.status() is None:
            self.send(signal.SIGKILL)
            self.wait()

    def is_frozen(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def tail(self) -> str:
        """Return the end of its log; where it still runs, with what each of its threads is at."""
        if self.status() is None and not self.is_frozen():
            self.send(signal.SIGUSR1)
            time.sleep(0.3)
        return self.logged()[-6000:]


class Launcher:
    """Starts the product for one test, and ends in the end what still runs."""

    def __init__(self, entry: Entry, folder: Path) -> None:
        self._entry = entry
        self._folder = folder
        self._started: list[Process] = []

    def start(
        self,
        *argv: str,
        log: str = "log",
        faults: Sequence[dict[str, Any]] = (),
        builds: Sequence[str] = (),
        **environment: str,
    ) -> Process:
        """Start `calwatch` with these arguments and this environment, and with faults in it."""
        path = self._folder / log
        wanted = {
            "argv": argv,
            "environment": QUICK | environment,
            "log": str(path),
            "faults": faults,
            "builds": builds,
        }
        pid = self._entry.ask({"start": wanted})["pid"]
        self._started.append(Process(self._entry, pid, path))
        return self._started[-1]

    def close(self) -> None:
        for process in self._started:
            process.kill()


def free_port() -> int:
    """Return a port that nobody listens on, out of the range of outgoing connections: those could meet themselves there."""
    for port in random.sample(range(20_000, 32_000), 50):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


@dataclass(slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: Any


def call(port: int, method: str, path: str, body: Any = None, *, timeout: float = 15) -> Answer:
    """Send one request and return the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(content))
    finally:
        connection.close()


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Servers:
    """Servers on one database, all on ports of their own."""

    def __init__(self, launcher: Launcher, url: str) -> None:
        self._launcher = launcher
        self.url = url

    def start(self, port: int, *more: str, **options: Any) -> Process:
        return self._launcher.start("serve", "--port", str(port), *more, CALWATCH_DATABASE_URL=self.url, **options)

    def worker(self, **options: Any) -> Process:
        return self._launcher.start("worker", CALWATCH_DATABASE_URL=self.url, **options)

    def ready(self, port: int, process: Process) -> None:
        """Return once a server answers."""
        until(lambda: listens(port) or process.status() is not None, 60, f"server on {port}")
        assert process.status() is None, process.tail()
