"""Events of serving code that dies, each way several times against a real server: none is lost that nobody counts."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from monitor import Client
from monitor.client import Stats
from monitor.store.engine import Database
from tests.faults.processes import Entry, Launcher, Servers, free_port, until
from tests.faults.survey import is_rolled_up

NOBODY = "http://127.0.0.1:9"
AT_ONCE = 3

HANDED_OVER = (
    "end", "sys.exit", "exception", "thread", "atexit", "Ctrl-C", "asyncio",
    "Process fork", "Process spawn", "Process forkserver", "Pool fork", "Pool spawn", "Pool forkserver", "Pool renewing",
    "executor", "joblib", "os.fork", "os.fork while connecting", "os.fork twice", "os.fork in a thread",
    "uvicorn", "uvicorn workers", "gunicorn", "gunicorn preload", "gunicorn threads", "gunicorn renewing",
    "celery", "celery renewing", "celery threads", "celery solo",
)  # fmt: skip
"""Ways to die that run code of ours."""


UNSEEN = (
    "SIGKILL", "SIGTERM", "os._exit", "exec", "Pool.terminate", "bare uvicorn", "bare uvicorn workers",
)  # fmt: skip
"""Ways to die that run no code of ours."""


@dataclass(frozen=True, kw_only=True)
class Death:
    """What a process, or several, said of their events, and how they ended."""

    logged: frozenset[str]
    dropped: int
    status: int
    errors: str


class Deaths:
    """Processes that log to one server, and what it stored."""

    def __init__(self, url: str, database: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._database = database

    def die(self, way: str, number: int = 0, *, url: str | None = None, **environment: str) -> Death:
        """Run a process until it has died."""
        return _told(*self._start(way, number, URL=url or self.url, **environment))

    def die_often(self, way: str, times: int, **environment: str) -> list[Death]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda number: self.die(way, number, **environment), range(times)))

    def kill(self, way: str, number: int, seconds: float, **environment: str) -> Death:
        """Run a process, and kill it once it has logged for so long."""
        place, process = self._start(way, number, **environment)
        until((place / "logged").exists, 30, "a first event")
        time.sleep(seconds)
        process.kill()
        return _told(place, process)

    def drained(self, spool: Path) -> Stats:
        """Return the counts of a process that sends what others left."""
        with Client(self.url, "m", spool=spool, timeout=20) as client:
            assert client.flush(30)
        return client.stats()

    def stored(self) -> frozenset[str]:
        """Return the ids of all predictions that the server stored."""
        until(lambda: is_rolled_up(self._database), 30, "an empty journal")
        return stored_in(self._database)

    def _start(self, way: str, number: int, **environment: str) -> tuple[Path, subprocess.Popen[str]]:
        run = f"{way.replace(' ', '_')}-{number}"
        place = self.folder / run
        place.mkdir()
        given = {"FOLDER": str(place), "RUN": run, "URL": self.url, "PORT": str(free_port())} | environment
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("deaths.py"), way],
            env=os.environ
            | {f"DEATHS_{name}": value for name, value in given.items()}
            | {"PYTHONPATH": str(Path.cwd())},
            stderr=subprocess.PIPE,
            text=True,
        )
        return place, process


def _told(place: Path, process: "subprocess.Popen[str]") -> Death:
    """Return what a process said, once it has ended."""
    _, said = process.communicate(timeout=120)
    said += (place / "server.log").read_text() if (place / "server.log").exists() else ""
    return Death(
        logged=frozenset((place / "logged").read_text().split()) if (place / "logged").exists() else frozenset(),
        dropped=sum(map(int, re.findall(r"with (\d+) events unsent, counted as dropped", said))),
        status=process.returncode,
        errors=said,
    )


def stored_in(url: str) -> frozenset[str]:
    with closing(Database(url)) as database, database.read() as connection:
        return frozenset(connection.execute(text("SELECT event_id FROM prediction")).scalars())


@pytest.fixture(scope="module")
def server(entry: Entry, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return the addresses of one server, and of its database, for all of these tests."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(sqlite_template, folder / "calwatch.db")
    database, port = f"sqlite:///{folder / 'calwatch.db'}", free_port()
    with closing(Launcher(entry, folder)) as launcher:
        servers = Servers(launcher, database)
        servers.ready(port, servers.start(port))
        yield f"http://127.0.0.1:{port}", database


@pytest.fixture
def deaths(server: tuple[str, str], tmp_path: Path) -> Deaths:
    return Deaths(*server, tmp_path)


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("deaths"))


@pytest.mark.parametrize("way", HANDED_OVER)
def test_death_that_runs_exit_code_loses_nothing(deaths: Deaths, way: str, times: int) -> None:
    ended = deaths.die_often(way, times)
    stored = deaths.stored()
    assert [len(death.logged - stored) for death in ended] == [0] * times, [death.errors for death in ended]
    assert all(death.logged for death in ended)


def test_sigterm_loses_nothing_where_the_client_is_to_handle_it(deaths: Deaths, times: int) -> None:
    ended = deaths.die_often("SIGTERM", times, HANDLE_SIGTERM="yes")
    stored = deaths.stored()
    assert [len(death.logged - stored) for death in ended] == [0] * times
    assert {death.status for death in ended} == {143}


def test_exit_without_a_server_counts_what_it_drops(deaths: Deaths) -> None:
    for way in ("end", "Process fork", "thread"):
        death = deaths.die(way, url=NOBODY, TIMEOUT="0.3")
        assert death.dropped == len(death.logged) > 0, death.errors


@pytest.mark.parametrize("way", UNSEEN)
def test_death_that_runs_no_code_loses_nothing_with_a_spool(deaths: Deaths, way: str, times: int) -> None:
    spool = deaths.folder / "spool"
    ended = deaths.die_often(way, times, SPOOL=str(spool))
    assert deaths.drained(spool).dropped == 0
    stored = deaths.stored()
    assert [len(death.logged - stored) for death in ended] == [0] * times, [death.errors for death in ended]
    assert all(death.logged for death in ended)
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("way", ["end", "thread", "Process fork", "os.fork", "executor"])
def test_exit_without_a_server_leaves_all_events_in_the_spool(deaths: Deaths, way: str) -> None:
    spool = deaths.folder / "spool"
    death = deaths.die(way, url=NOBODY, SPOOL=str(spool), TIMEOUT="0.3")
    assert death.dropped == 0
    client = Client(NOBODY, "m", spool=spool, timeout=0.1)
    client.flush(0.1)
    client.close(timeout=0)
    assert client.stats().recovered == client.stats().spooled == len(death.logged) > 0


def test_kill_at_any_moment_loses_nothing_with_a_spool(deaths: Deaths, times: int) -> None:
    """Kill processes while they log and send, one after the other, so that each takes over what the last one left."""
    spool, dice = deaths.folder / "spool", random.Random(5)
    ended = [deaths.kill("for long", number, dice.uniform(0.3, 0.9), SPOOL=str(spool)) for number in range(times)]
    deaths.drained(spool)
    stored = deaths.stored()
    assert [len(death.logged - stored) for death in ended] == [0] * times
    assert all(death.logged for death in ended)


def test_kill_without_a_spool_loses_what_was_logged_since_the_last_flush(deaths: Deaths, times: int) -> None:
    flush_seconds, dice = 0.2, random.Random(6)
    ended = [
        deaths.kill("for long", 100 + number, dice.uniform(0.8, 1.2), FLUSH_SECONDS=str(flush_seconds))
        for number in range(times)
    ]
    stored = deaths.stored()
    for death in ended:
        moments = {name: int(name.rpartition("-")[2]) / 1e9 for name in death.logged}
        lost = [max(moments.values()) - moment for name, moment in moments.items() if name not in stored]
        assert 0 < len(lost) < len(moments)
        assert max(lost) < flush_seconds + 0.5  # a busy machine


def test_outage_loses_nothing_with_a_spool(
    sqlite_servers: Servers, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    port, seconds = free_port(), float(pytestconfig.getoption("outage"))
    client = Client(f"http://127.0.0.1:{port}", "m", spool=tmp_path / "spool", timeout=2)
    process = sqlite_servers.start(port)
    sqlite_servers.ready(port, process)
    logged = log_for(client, 1.0)
    process.kill()
    logged |= log_for(client, seconds)
    sqlite_servers.start(port)
    logged |= log_for(client, 1.0)
    assert client.flush(60)
    assert client.close()
    assert client.stats().sent == client.stats().logged == len(logged)
    until(lambda: is_rolled_up(sqlite_servers.url), 60, "an empty journal")
    assert stored_in(sqlite_servers.url) == logged


def log_for(client: Client, seconds: float) -> set[str]:
    """Log 200 events a second and return their ids."""
    logged, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        logged.add(client.log(probability=0.5))
        time.sleep(0.005)
    return logged
