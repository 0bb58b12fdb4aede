"""The schedule of jobs, which only the holder of the lease runs."""

import logging
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from ..domain.errors import LeaseLost, MonitorError, Unavailable
from ..store import jobs, lease
from ..store.engine import Database

log = logging.getLogger(__name__)

NOTE_SECONDS: Final = 5.0

STOP_SECONDS: Final = 3.0
"""Time for running jobs to finish before they are refused the database."""

Job = Callable[[int], object]
"""A piece of work under a fencing token; returns true if there is more to do at once."""


def new_holder() -> str:
    """Return a unique name for this process."""
    return f"{socket.gethostname()}-{uuid.uuid4()}"


@dataclass(slots=True)
class Leader:
    """The lease as this process knows it: renewed when due, with its token."""

    database: Database
    seconds: float
    holder: str = field(default_factory=new_holder)
    _token: int | None = None
    _renewed: float = float("-inf")
    _resigned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, clock: Callable[[], float]) -> int | None:
        """Return the fencing token, renewing the lease after a third of its time; None while another process leads."""
        with self._lock:
            if self._resigned:
                return None
            if self._token is None or clock() - self._renewed > self.seconds / 3:
                began = clock()
                self._token = lease.acquire(self.database, self.holder, self.seconds)
                self._renewed = began
            return self._token

    def forget(self) -> None:
        """Ask for the lease again before the next piece of work."""
        with self._lock:
            self._token = None

    def resign(self) -> None:
        """Give up the lease for good; jobs still running here are fenced off by the next leader."""
        with self._lock:
            self._resigned, self._token = True, None
        lease.release(self.database, self.holder)


class Runner:
    """Runs jobs on a schedule, under the lease; a failing job never stops another."""

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
        self._running = 0
        self._changed = threading.Condition()
        # One thread per job, so that the roll-up never waits for an evaluation or a slow webhook.
        self._scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(len(jobs))})
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
        """Start the schedule."""
        self._scheduler.start()

    def stop(self) -> None:
        """Give up the lease and let running jobs finish; slow ones are refused the database."""
        self._scheduler.pause()
        try:
            self.leader.resign()
        except MonitorError as error:
            log.warning("the lease could not be given back: %s", error)
        with self._changed:
            self._changed.wait_for(lambda: not self._running, STOP_SECONDS)
        self._database.drain()
        self._scheduler.shutdown(wait=True)

    def wake(self, name: str) -> None:
        """Let a job run now instead of at its next time."""
        present = datetime.now(UTC)
        job = self._scheduler.get_job(name) if self._scheduler.running else None
        if job is not None and job.next_run_time is not None and job.next_run_time > present:
            job.modify(next_run_time=present)

    def run_job(self, name: str) -> None:
        """Run a job until it has nothing more to do, while this process leads."""
        with self._counted():
            while self._run_once(name):
                pass

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._running += change
            self._changed.notify_all()

    def _run_once(self, name: str) -> bool:
        """Run a job once, if this process leads; return whether there is more to do at once."""
        try:
            token = self.leader.token(self._monotonic)
            if token is None:
                return False
            more = bool(self._jobs[name][1](token))
            self._note_success(name)
        except LeaseLost as error:
            log.warning("job %s: %s", name, error)
            self.leader.forget()
        except Unavailable as error:
            log.warning("job %s: %s", name, error)
        except Exception:
            log.exception("job %s failed", name)
            self._note_failure(name)
        else:
            return more
        return False

    def _note_success(self, name: str) -> None:
        """Store the time of a success, at most every few seconds: a commit costs more than an idle job."""
        if self._monotonic() - self._noted.get(name, float("-inf")) >= NOTE_SECONDS:
            with self._database.write(patient=True) as connection:
                jobs.succeeded(connection, name, self._now())
            self._noted[name] = self._monotonic()

    def _note_failure(self, name: str) -> None:
        try:
            with self._database.write(patient=True) as connection:
                jobs.failed(connection, name)
        except Exception:
            log.exception("the failure of job %s could not be noted", name)
