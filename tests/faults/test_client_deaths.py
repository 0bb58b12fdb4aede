"""Events of serving code that dies, each way several times against a real server: none is lost that nobody counts."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from monitor.store.engine import Database
from tests.faults.processes import Entry, Launcher, Servers, free_port, until
from tests.faults.survey import is_rolled_up

NOBODY = "http://127.0.0.1:9"
AT_ONCE = 3

HANDED_OVER = (
    "end", "sys.exit", "exception", "thread", "atexit", "Ctrl-C", "Process fork", "Process spawn", "Pool fork", "Pool spawn", "executor",
    "joblib", "os.fork", "os.fork while connecting", "uvicorn", "uvicorn workers", "gunicorn preload", "celery",
)  # fmt: skip
"""Ways to die that run code of ours."""


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
        run = f"{way.replace(' ', '_')}-{number}"
        place = self.folder / run
        place.mkdir()
        given = {"FOLDER": str(place), "RUN": run, "URL": url or self.url, "PORT": str(free_port())} | environment
        ended = subprocess.run(
            [sys.executable, Path(__file__).with_name("deaths.py"), way],
            env=os.environ
            | {f"DEATHS_{name}": value for name, value in given.items()}
            | {"PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = ended.stderr + ((place / "server.log").read_text() if (place / "server.log").exists() else "")
        dropped = sum(map(int, re.findall(r"with (\d+) events unsent, counted as dropped", said)))
        logged = frozenset((place / "logged").read_text().split())
        return Death(logged=logged, dropped=dropped, status=ended.returncode, errors=said)

    def die_often(self, way: str, times: int, **environment: str) -> list[Death]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(lambda number: self.die(way, number, **environment), range(times)))

    def stored(self) -> frozenset[str]:
        """Return the ids of all predictions that the server stored."""
        until(lambda: is_rolled_up(self._database), 30, "an empty journal")
        with closing(Database(self._database)) as database, database.read() as connection:
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
