"""Build the services of a process from its settings; nothing else builds them."""

import logging
import time
from dataclasses import dataclass

from ..alert import notify
from ..domain.errors import ConfigError
from ..ingest.writer import Ingest
from ..store.engine import Database
from ..store.migrate import pending, upgrade
from .config import Settings
from .jobs import Runner
from .stages import jobs_of


def wall_clock() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a process."""

    settings: Settings
    database: Database
    ingest: Ingest
    runner: Runner | None

    def start(self) -> None:
        """Start ingest, and jobs if this process runs them."""
        self.ingest.writer.start()
        if self.runner is not None:
            self.runner.start()

    def stop(self) -> None:
        """Stop ingest after writing its queue, and stop the jobs."""
        self.ingest.writer.stop()
        if self.runner is not None:
            self.runner.stop()
        self.database.close()


def open_database(settings: Settings) -> Database:
    """Return the database; SQLite is migrated here, Postgres must have been.

    Raises
    ------
    ConfigError
        when a Postgres database is not at the newest schema.

    """
    database = Database(settings.database_url, idle_seconds=settings.lease_seconds / 2)
    if database.is_sqlite:
        upgrade(database)
    elif pending(database):
        raise ConfigError("the database is behind this version: run `calwatch migrate` first")
    return database


def build(settings: Settings, *, with_jobs: bool) -> Services:
    """Return the services of a server or worker."""
    database = open_database(settings)
    runner = None
    if with_jobs:
        runner = Runner(
            database,
            jobs_of(settings, database, now=wall_clock, send=notify.webhook(settings.webhook_timeout)),
            lease_seconds=settings.lease_seconds,
            now=wall_clock,
            monotonic=time.monotonic,
        )
    return Services(settings, database, Ingest(database, wall_clock, limit=settings.journal_limit), runner)


def configure_logging(level: str) -> None:
    """Send log lines to standard error."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
