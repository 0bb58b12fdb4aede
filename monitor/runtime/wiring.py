"""Build the services of a process from its settings; nothing else builds them."""

import logging
import time
from dataclasses import dataclass

from ..alert import notify
from ..domain.errors import ConfigError
from ..ingest.ingest import Ingest
from ..store.engine import Database
from ..store.migrate import pending, upgrade
from .clock import Clock, clock_of, wall_clock
from .config import Settings
from .jobs import Runner
from .stages import ROLL_UP, jobs_of


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a process."""

    settings: Settings
    database: Database
    ingest: Ingest
    runner: Runner | None
    now: Clock = wall_clock

    def start(self) -> None:
        """Start ingest, and jobs if this process runs them."""
        self.ingest.writer.start()
        if self.runner is not None:
            self.runner.start()

    def roll_up_soon(self) -> None:
        """Let the roll-up run now, if this process runs it."""
        if self.runner is not None:
            self.runner.wake(ROLL_UP)

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
    database, now = open_database(settings), clock_of(settings.clock_file)
    runner = None
    if with_jobs:
        runner = Runner(
            database,
            jobs_of(settings, database, now=now, send=notify.webhook(settings.webhook_timeout)),
            lease_seconds=settings.lease_seconds,
            now=now,
            monotonic=time.monotonic,
        )
    return Services(settings, database, Ingest(database, now, limit=settings.journal_limit), runner, now)


def configure_logging(level: str) -> None:
    """Send log lines to standard error."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
