"""The runner of jobs: under the lease, again while there is more to do, and never for long once it is to stop."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping

import pytest

from monitor.domain.errors import LeaseLost, Unavailable
from monitor.runtime.jobs import Job, Runner
from monitor.store import jobs as job_rows
from monitor.store import lease
from monitor.store.engine import Database


def runner_of(database: Database, jobs: Mapping[str, Job]) -> Runner:
    scheduled = {name: (0.05, job) for name, job in jobs.items()}
    return Runner(database, scheduled, lease_seconds=5, now=lambda: 7, monotonic=time.monotonic)


def finished(runner: Runner, condition: Callable[[], object]) -> bool:
    """Run until a condition holds, then stop; return whether it came to hold."""
    runner.start()
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    runner.stop()
    return bool(condition())


def test_runner_repeats_a_job_while_there_is_more_to_do(database: Database) -> None:
    left = iter([3, 2, 1, 0])
    tokens: list[int] = []

    def job(token: int) -> int:
        tokens.append(token)
        return next(left)

    runner_of(database, {"work": job}).run_job("work")
    assert tokens == [1, 1, 1, 1]


def test_runner_does_nothing_while_another_process_leads(database: Database) -> None:
    assert lease.acquire(database, "another", 60) == 1
    calls: list[int] = []
    runner_of(database, {"work": calls.append}).run_job("work")
    assert calls == []


def test_runner_survives_what_jobs_raise_and_counts_it(database: Database) -> None:
    raised = itertools.cycle([LeaseLost("gone"), Unavailable("away"), ValueError("wrong")])
    ran = threading.Event()

    def fails(_token: int) -> None:
        raise next(raised)

    runner = runner_of(database, {"fails": fails, "works": lambda _: ran.set()})
    for _ in range(3):
        runner.run_job("fails")
    runner.run_job("works")
    assert ran.is_set()
    with database.read() as connection:
        assert job_rows.read(connection) == {"fails": (None, 1), "works": (7, 0)}


def test_runner_stops_between_two_pieces_of_endless_work_and_frees_the_lease(
    database: Database, database_url: str
) -> None:
    rounds: list[int] = []

    def endless(token: int) -> bool:
        rounds.append(token)
        time.sleep(0.02)
        return True

    runner = runner_of(database, {"endless": endless})
    assert finished(runner, lambda: len(rounds) > 3)
    at_the_end = len(rounds)
    another = Database(database_url)
    assert lease.acquire(another, "next", 60) == 2
    another.close()
    assert len(rounds) == at_the_end


def test_runner_refuses_the_database_to_a_job_that_does_not_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.runtime.jobs.STOP_SECONDS", 0.1)
    began = threading.Event()

    def stubborn(_token: int) -> None:
        while True:
            with database.read():
                began.set()
                time.sleep(0.01)

    assert finished(runner_of(database, {"stubborn": stubborn}), began.is_set)
