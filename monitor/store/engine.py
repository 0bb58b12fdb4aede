"""Connections to SQLite with a write-ahead log, or to Postgres.

SQLite lets one connection write at a time. Writers of this process take turns here instead of sleeping in SQLite's own
back-off, and patient writers (jobs) let urgent ones (ingest) go first.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url, text
from sqlalchemy.pool import QueuePool

from ..domain.errors import ConfigError, Unavailable
from .checkpoints import MOST_BYTES, Checkpoints

SOUND_SQLITE: Final = ((3, 51, 3), (3, 50, 7))
"""First releases, newest branch first, in which a rare race no longer corrupts the write-ahead log."""

BUSY_MILLISECONDS: Final = 2_000
"""Longest wait for a lock of another process, after which the database counts as unavailable."""

LIMIT_IDLENESS: Final = text("SELECT set_config('idle_in_transaction_session_timeout', :limit, true)")

IDLE_SECONDS: Final = 7.5
"""Longest idle time of a writing transaction on Postgres, by default."""

LIVENESS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""Settings by which libpq notices a dead server; those in the URL take precedence."""


PATIENCE_SECONDS: Final = 0.1
"""How long a patient writer lets urgent ones go first; after that it takes the next turn."""


class Turns:
    """A lock for which patient threads let urgent ones go first, for a limited time."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._condition = threading.Condition()
        self._patience = patience
        self._taken = False
        self._urgent = 0
        self._overdue = 0

    @contextmanager
    def take(self, *, patient: bool) -> Iterator[None]:
        """Hold the lock during a with-block."""
        with self._condition:
            if not (patient and self._quiet()):
                self._await(patient=patient)
            self._taken = True
        try:
            yield
        finally:
            with self._condition:
                self._taken = False
                self._condition.notify_all()

    def _quiet(self) -> bool:
        """Wait until the lock is free and nobody urgent waits; return False once patience ends."""
        return self._condition.wait_for(lambda: not (self._taken or self._urgent or self._overdue), self._patience)

    def _await(self, *, patient: bool) -> None:
        """Wait for the lock; urgent threads give way to patient ones that are overdue."""
        self._urgent += not patient
        self._overdue += patient
        try:
            self._condition.wait_for(lambda: not self._taken and (patient or not self._overdue))
        finally:
            self._urgent -= not patient
            self._overdue -= patient


class Database:
    """A database with two kinds of access: a consistent snapshot to read, a transaction to write.

    Parameters
    ----------
    url : of an SQLite file or a Postgres database
    idle_seconds : idle time after which Postgres ends a writing transaction, so that a frozen process blocks nobody

    """

    def __init__(self, url: str, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._idle_milliseconds = max(1, int(1000 * idle_seconds))
        self._turns = Turns()
        self._checkpoints = Checkpoints(self.engine)
        self._draining = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one snapshot of the database."""
        self._refuse_when_draining()
        options: dict[str, str] = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with _translated(), self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, patient: bool = False) -> Iterator[Connection]:
        """Yield a connection whose transaction commits at the end of the with-block, or rolls back on an error.

        Parameters
        ----------
        patient : let other writers of this process go first

        """
        self._refuse_when_draining()
        if not self.is_sqlite:
            with _translated(), self.engine.begin() as connection:
                connection.execute(LIMIT_IDLENESS, {"limit": str(self._idle_milliseconds)})
                yield connection
            return
        with (
            self._turns.take(patient=patient),
            _translated(),
            self.engine.connect().execution_options(calwatch_writes=True) as connection,
            connection.begin(),
        ):
            yield connection
        self._checkpoints.note()

    def drain(self) -> None:
        """Refuse new transactions; those under way continue."""
        self._draining = True

    def close(self) -> None:
        """Close all connections."""
        self._checkpoints.close()
        self.engine.dispose()

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise Unavailable("this process is stopping")


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo the changes of a with-block that fails; the transaction continues."""
    with _translated(), connection.begin_nested():
        yield


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError) as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error
    except exc.TimeoutError as error:
        raise Unavailable("all connections to the database are taken") from error
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(f"the connection to the database broke: {error.orig}") from error
        raise


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ConfigError("CALWATCH_DATABASE_URL does not parse as a SQLAlchemy URL") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(url)
    if backend == "postgresql":
        return _postgres_engine(url)
    raise ConfigError(f"CALWATCH_DATABASE_URL names {backend}; it must be sqlite or postgresql")


def _sqlite_engine(url: str) -> Engine:
    if make_url(url).database in {None, "", ":memory:"}:
        raise ConfigError("CALWATCH_DATABASE_URL names no SQLite file; several connections must share one database")
    engine = create_engine(url, module=_sqlite_module(), poolclass=QueuePool, pool_size=16, max_overflow=32)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -65536")
        cursor.execute(f"PRAGMA journal_size_limit = {MOST_BYTES // 2}")
        cursor.execute("PRAGMA wal_autocheckpoint = 0")  # `Checkpoints` does it, so that no commit waits for it
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("calwatch_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _sqlite_module() -> Any:
    modules: list[Any] = [sqlite3]
    with suppress(ImportError):
        from pysqlite3 import dbapi2  # noqa: PLC0415 - only where it is installed

        modules.insert(0, dbapi2)
    for module in modules:
        if is_sound(module.sqlite_version_info):
            return module
    raise ConfigError(
        f"SQLite {sqlite3.sqlite_version} can corrupt its write-ahead log; install pysqlite3, which brings a sound one, "
        "or use Postgres"
    )


def is_sound(version: tuple[int, ...]) -> bool:
    """Return whether a release of SQLite has the fix of the write-ahead log."""
    newest, backport = SOUND_SQLITE
    return version >= newest or (version[:2] == backport[:2] and version >= backport)


def _postgres_engine(url: str) -> Engine:
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigError("a postgresql URL needs the driver: pip install 'calwatch[postgres]'") from None
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    liveness = {name: value for name, value in LIVENESS.items() if name not in parsed.query}
    # A prepared statement keeps the plan of the day when its table was empty: a scan, for every key, of all rows.
    arguments = {**liveness, "prepare_threshold": None}
    return create_engine(
        parsed, connect_args=arguments, pool_size=16, max_overflow=32, pool_pre_ping=True, pool_recycle=1800
    )


def database_micros(connection: Connection) -> int:
    """Return the database's clock in microseconds, by which all replicas compare leases."""
    if connection.dialect.name == "sqlite":
        return int(connection.execute(text("SELECT CAST(1e6 * unixepoch('subsec') AS INTEGER)")).scalar_one())
    return int(connection.execute(text("SELECT (1e6 * extract(epoch FROM clock_timestamp()))::bigint")).scalar_one())
