"""A stop that is asked for: quick, with exit status 0, and nothing that was accepted is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.processes import QUICK, Servers, free_port, listens, until
from tests.faults.scenes import declare, events, send
from tests.faults.survey import is_intact, is_rolled_up, losses, miscounts, scalar, survey

SECONDS = 8.0
"""How long a stop may take on a busy machine; uvicorn alone needs a fifth of a second."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_under_load_stops_and_loses_nothing(servers: Servers, number: int) -> None:
    port = free_port()
    process = servers.start(port)
    with Load(port) as load:
        until(lambda: load.acknowledged > 30, 30, "acknowledged batches")
        began = time.monotonic()
        process.send(number)
        assert process.wait() == 0, process.tail()
        took = time.monotonic() - began
        batches = list(load.batches)
        acknowledged = {place for place, batch in enumerate(batches) if batch.acknowledged}
        found = losses(batches, acknowledged, survey(servers.url))
        again = servers.start(port)
    until(lambda: is_rolled_up(servers.url), 30, "an empty journal")
    again.send(number)
    assert again.wait() == 0
    assert found == []
    assert took < SECONDS
    assert "Traceback" not in process.logged(), process.tail()
    assert "ERROR" not in process.logged(), process.tail()
    assert miscounts(load.batches, survey(servers.url, thoroughly=True)) == []
    assert is_intact(servers.url) == "ok"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_stops_at_once(servers: Servers, number: int) -> None:
    process = servers.worker()
    until(lambda: "working on" in process.logged(), 20, "a worker")
    began = time.monotonic()
    process.send(number)
    assert process.wait() == 0, process.tail()
    assert time.monotonic() - began < SECONDS
    assert "Traceback" not in process.logged()


def test_stop_does_not_wait_for_a_long_backlog(servers: Servers) -> None:
    port, batches = free_port(), 60
    accepting = servers.start(port, "--no-jobs")
    servers.ready(port, accepting)
    declare(port)
    for i in range(batches):
        assert send(port, events(200, prefix=f"{i}-")).status == 200
    accepting.send(signal.SIGTERM)
    accepting.wait()
    worker = servers.worker(CALWATCH_ROLLUP_EVENTS="10")
    until(lambda: scalar(servers.url, "SELECT count(*) FROM prediction"), 20, "a first roll-up")
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.tail()
    took = time.monotonic() - began
    assert not is_rolled_up(servers.url)
    assert took < SECONDS
    assert "Traceback" not in worker.logged()
    last = servers.worker()
    until(lambda: is_rolled_up(servers.url), 60, "an empty journal")
    last.send(signal.SIGTERM)
    last.wait()
    contents = survey(servers.url, thoroughly=True)
    assert sum(count for count, _ in contents.hours.values()) == 200 * batches
    assert contents.differences == []


def test_installed_command_stops_with_status_0(sqlite_url: str, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "serve", "--port", str(port)],
            env=os.environ | QUICK | {"CALWATCH_DATABASE_URL": sqlite_url},
            stdout=output,
            stderr=output,
        )
        try:
            until(lambda: listens(port) or process.poll() is not None, 60, "a server")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=SECONDS) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()
