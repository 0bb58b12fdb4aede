"""Several server processes on one port: a killed one is replaced, all end together, and nothing that was accepted is lost."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.processes import Servers, call, free_port, until
from tests.faults.survey import is_intact, losses, miscounts, survey
from tests.faults.test_stops import SECONDS


def children(pid: int) -> set[int]:
    """Return the processes that a process has started and that run."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return set()


def is_rolled_up(port: int) -> bool:
    return bool(call(port, "GET", "/v1/models").body["backlog_events"] == 0)


def test_a_killed_process_is_replaced_and_loses_nothing(servers: Servers) -> None:
    port = free_port()
    parent = servers.start(port, "--processes", "2")
    with Load(port) as load:
        until(lambda: load.acknowledged > 30, 60, "acknowledged batches", else_say=parent.tail)
        first = children(parent.pid)
        killed = min(first)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(children(parent.pid) - {killed}) == 2, 30, "another process", else_say=parent.tail)
        seen = load.acknowledged
        until(lambda: load.acknowledged > seen + 30, 60, "further acknowledged batches", else_say=parent.tail)
    until(lambda: is_rolled_up(port), 30, "an empty journal")
    last = children(parent.pid)
    began = time.monotonic()
    parent.send(signal.SIGTERM)
    assert parent.wait() == 0, parent.tail()
    assert time.monotonic() - began < SECONDS
    assert not any(Path(f"/proc/{pid}").exists() for pid in last)
    batches = list(load.batches)
    acknowledged = {place for place, batch in enumerate(batches) if batch.acknowledged}
    found = survey(servers.url, thoroughly=True)
    assert len(first) == 2
    assert losses(batches, acknowledged, found) == []
    assert miscounts(batches, found) == []
    assert is_intact(servers.url) == "ok"


def test_processes_that_can_not_start_end_the_server(servers: Servers) -> None:
    parent = servers.start(free_port(), "--processes", "2", "--host", "0.0.0.0")  # noqa: S104 - refused, for want of keys
    assert parent.wait(60) == 2
    assert "there are no API keys" in parent.logged()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_they_end_before_they_have_begun(servers: Servers, number: int) -> None:
    parent = servers.start(free_port(), "--processes", "3")
    until(lambda: len(children(parent.pid)) == 3, 30, "processes", else_say=parent.tail)
    parent.send(number)
    assert parent.wait(30) == 0, parent.tail()
