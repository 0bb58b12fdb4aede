"""Jobs: what runs when, by whoever holds the lease."""

import logging
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from monitor.errors import LeaseLost, MonitorError, Unavailable
from monitor.store import jobs as job_rows
from monitor.store import lease
from monitor.store.engine import Database

log = logging.getLogger(__name__)

THREADS: Final = 3
NOTE_SECONDS: Final = 5.0

Job = Callable[[int], object]
"""Do a piece of work under a fencing token."""


def new_holder() -> str:
    """Return a name for this process that no other one has."""
    return f"{socket.gethostname()}-{uuid.uuid4()}"


@dataclass(slots=True)
class Leader:
    """This process' claim to lead: renews the lease, and knows the token."""

    database: Database
    seconds: float
    holder: str = field(default_factory=new_holder)
    _token: int | None = None
    _renewed: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, clock: Callable[[], float]) -> int | None:
        """Return our token, taking or renewing the lease where a third of it has passed; None while another leads."""
        with self._lock:
            if self._token is None or clock() - self._renewed > self.seconds / 3:
                began = clock()
                self._token = lease.acquire(self.database, self.holder, self.seconds)
                self._renewed = began
            return self._token

    def forget(self) -> None:
        """Look at the lease again before the next piece of work."""
        with self._lock:
            self._token = None

    def resign(self) -> None:
        """Let the next leader begin at once."""
        lease.release(self.database, self.holder)
        self.forget()


class Runner:
    """Run jobs on a schedule, each under the lease; what one does wrong never stops another."""

    def __init__(
        self,
        database: Database,
        jobs: Mapping[str, tuple[float, Job]],
        *,
        lease_seconds: float,
        now: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._now = now
        self._monotonic = monotonic
        self.leader = Leader(database, lease_seconds)
        self._noted: dict[str, float] = {}
        # Two threads: the roll-up is never kept waiting by an evaluation.
        self._scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(THREADS)})
        for name, (seconds, _) in jobs.items():
            self._scheduler.add_job(
                self.run_job,
                "interval",
                args=[name],
                id=name,
                seconds=seconds,
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
                next_run_time=datetime.now(UTC),
            )

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Let running jobs finish, then give the lease away."""
        self._scheduler.shutdown(wait=True)
        try:
            self.leader.resign()
        except MonitorError as error:
            log.warning("the lease could not be given back: %s", error)

    def run_job(self, name: str) -> None:
        """Run one job once, if this process leads."""
        try:
            token = self.leader.token(self._monotonic)
            if token is None:
                return
            self._jobs[name][1](token)
            self._note_success(name)
        except LeaseLost as error:
            log.warning("job %s: %s", name, error)
            self.leader.forget()
        except Unavailable as error:
            log.warning("job %s: %s", name, error)
        except Exception:
            log.exception("job %s failed", name)
            self._note_failure(name)

    def _note_success(self, name: str) -> None:
        """Store when a job succeeded, every few seconds only: a commit costs the disk more than an idle job does."""
        if self._monotonic() - self._noted.get(name, float("-inf")) >= NOTE_SECONDS:
            with self._database.write(patient=True) as connection:
                job_rows.succeeded(connection, name, self._now())
            self._noted[name] = self._monotonic()

    def _note_failure(self, name: str) -> None:
        try:
            with self._database.write(patient=True) as connection:
                job_rows.failed(connection, name)
        except Exception:
            log.exception("the failure of job %s could not be noted", name)


def until_idle(work: Callable[[], Any]) -> None:
    """Repeat a piece of work until it finds nothing to do."""
    while work():
        pass
