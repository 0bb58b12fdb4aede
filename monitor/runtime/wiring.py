"""The only place that builds things: settings in, a running whole out."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..alert import notify
from ..alert.job import judge_all_alerts
from ..domain.errors import ConfigError
from ..domain.times import DAY
from ..evaluation import sequential
from ..evaluation.estimates import estimate_all
from ..evaluation.job import evaluate_all
from ..ingest.writer import Ingest
from ..recalibrate.job import answer_all
from ..recalibrate.trials import judge_all_trials
from ..rollup.job import roll_up
from ..store import estimates, evaluations, journal
from ..store.engine import Database
from ..store.lease import hold
from ..store.migrate import pending, upgrade
from .config import Settings
from .jobs import Job, Runner

NOTIFY_SECONDS = 1.0
HOUSEKEEPING_SECONDS = 3600.0
HISTORY_IN_FULL = 2 * DAY
ESTIMATES_IN_FULL = 30 * DAY
BEHIND_FACTOR = 4


def wall_clock() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Services:
    """What a process is made of."""

    settings: Settings
    database: Database
    ingest: Ingest
    runner: Runner | None

    def start(self) -> None:
        """Begin to accept events, and to run jobs if this process does."""
        self.ingest.writer.start()
        if self.runner is not None:
            self.runner.start()

    def stop(self) -> None:
        """End what was started, writing what is queued."""
        self.ingest.writer.stop()
        if self.runner is not None:
            self.runner.stop()
        self.database.close()


def open_database(settings: Settings) -> Database:
    """Return the database at its newest schema: SQLite is migrated here, Postgres must have been.

    Raises
    ------
    ConfigError
        when a Postgres database is behind.

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
            jobs_of(settings, database),
            lease_seconds=settings.lease_seconds,
            now=wall_clock,
            monotonic=time.monotonic,
        )
    return Services(settings, database, Ingest(database, wall_clock, limit=settings.journal_limit), runner)


def jobs_of(settings: Settings, database: Database) -> Mapping[str, tuple[float, Job]]:
    """Return the jobs by name, each with the seconds between its runs."""
    notifies = bool(settings.webhook_url)
    send = notify.webhook(settings.webhook_timeout)

    def take_in(token: int) -> int:
        return roll_up(database, token, now=wall_clock, events=_events_now(settings, database))

    def tell(token: int) -> int:
        url, attempts = settings.webhook_url, settings.webhook_attempts
        return notify.send_due(database, token, now=wall_clock, url=url, send=send, attempts=attempts)

    def keep_house(token: int) -> None:
        now = wall_clock()
        with database.write(patient=True) as connection:
            hold(connection, token)
            before = now - settings.evaluation_days * DAY
            evaluations.thin(connection, before=before, hourly_before=now - HISTORY_IN_FULL)
            estimates.thin(connection, before=before, daily_before=now - ESTIMATES_IN_FULL)

    jobs: dict[str, tuple[float, Job]] = {
        "rollup": (settings.rollup_seconds, take_in),
        "evaluate": (settings.evaluate_seconds, lambda token: judge(database, token, now=wall_clock, notify=notifies)),
        "housekeeping": (HOUSEKEEPING_SECONDS, keep_house),
    }
    if notifies:
        jobs["notify"] = (NOTIFY_SECONDS, tell)
    return jobs


def judge(database: Database, token: int, *, now: Callable[[], int], notify: bool) -> None:
    """Run the stages that follow the roll-up, in their order: each reads what those before it stored."""
    evaluate_all(database, token, now=now)
    estimate_all(database, token, now=now)
    judge_all_trials(database, token, now=now)
    sequential.advance_all(database, token, now=now)
    judge_all_alerts(database, token, now=now, notify=notify)
    answer_all(database, token, now=now)


def _events_now(settings: Settings, database: Database) -> int:
    """Return how many events the next roll-up takes: more when it is behind, since larger transactions are faster."""
    with database.read() as connection:
        waiting, _ = journal.backlog(connection)
    return min(max(settings.rollup_events, waiting), BEHIND_FACTOR * settings.rollup_events)


def configure_logging(level: str) -> None:
    """Send log lines to standard error."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
