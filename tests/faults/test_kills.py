"""SIGKILL under load: whatever was acknowledged counts once, whatever was not counts once or not at all."""

import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Load
from tests.faults.processes import Process, Servers, free_port, until
from tests.faults.survey import (
    Contents,
    activity,
    is_intact,
    is_rolled_up,
    losses,
    miscounts,
    survey,
    survey_of_the_dead,
)

POINTS = (
    "journal row written, not committed",
    "committed, not answered",
    "effects computed, transaction not begun",
    "lease locked by the roll-up",
    "event rows written, not committed",
    "sums written, not committed",
    "journal rows deleted, not committed",
    "roll-up committed",
    "model made, not committed",
    "counters written, not committed",
    "lease acquired",
    "evaluations written, not committed",
)
AT_RANDOM = "at random"
WHILE_STARTING = "while starting"


class Killer:
    """Kills a server over and over, and looks each time at what it left."""

    def __init__(self, servers: Servers, port: int, load: Load, folder: Path) -> None:
        self._servers = servers
        self._port = port
        self._load = load
        self._folder = folder
        self._dice = random.Random(20260105)
        self.kills: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stored_unacknowledged = 0

    def kill(self, moment: str) -> None:
        """Start a server, kill it at some moment, and compare what is stored with what was acknowledged."""
        faults = [{"point": moment, "nth": self._dice.choice([1, 2, 5])}] if moment in POINTS else []
        process = self._servers.start(self._port, faults=faults)
        if moment in POINTS:
            self._await_point(process, moment)
        else:
            self._kill_sometime(process, moment)
        assert process.wait() == -signal.SIGKILL, process.tail()
        self.kills[moment] += 1
        self._look()

    def _await_point(self, process: Process, moment: str) -> None:
        def died() -> bool:
            if moment.startswith("model"):
                self._load.begin_a_model()
            return process.status() is not None

        until(died, 30, f"death at the point {moment!r}", else_say=lambda: process.tail() + activity(self._servers.url))

    def _kill_sometime(self, process: Process, moment: str) -> None:
        if moment == AT_RANDOM:
            self._servers.ready(self._port, process)
        time.sleep(self._dice.uniform(0.0, 0.2 if moment == WHILE_STARTING else 0.8))
        process.send(signal.SIGKILL)

    def _look(self) -> None:
        batches = list(self._load.batches)
        acknowledged = {number for number, batch in enumerate(batches) if batch.acknowledged}
        contents = survey_of_the_dead(self._servers.url, self._folder / "dead")
        self.wrong += losses(batches, acknowledged, contents)
        self.stored_unacknowledged += sum(
            batch.events[0] in contents.waiting or batch.events[0] in contents.rows
            for number, batch in enumerate(batches)
            if number not in acknowledged
        )


def moments(count: int) -> list[str]:
    """Return when to kill: at each point in turn, and as often at random, now and then while starting."""
    named = [POINTS[i // 2 % len(POINTS)] for i in range(count)]
    return [named[i] if i % 2 else WHILE_STARTING if i % 10 == 0 else AT_RANDOM for i in range(count)]


def finish(servers: Servers, port: int, load: Load) -> Contents:
    """Start a server that nobody kills, let the load end and all be rolled up, stop the server; return what is stored."""
    process = servers.start(port)
    servers.ready(port, process)
    load.end()
    until(lambda: is_rolled_up(servers.url), 60, "an empty journal")
    process.send(signal.SIGTERM)
    assert process.wait() == 0, process.tail()
    assert "Traceback" not in process.logged(), process.tail()
    return survey(servers.url, thoroughly=True)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_server_counts_each_acknowledged_batch_once_through_kills(
    servers: Servers, kills: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port, began = free_port(), time.monotonic()

    def say(text: str) -> None:
        with capfd.disabled():
            print(f"\n  {servers.url.partition(':')[0]}, {time.monotonic() - began:.0f} s: {text}", end="", flush=True)  # noqa: T201 - progress

    with Load(port) as load:
        killer = Killer(servers, port, load, tmp_path)
        for number, moment in enumerate(moments(kills), 1):
            killer.kill(moment)
            assert not killer.wrong, (moment, killer.wrong[:10])
            if number % 10 == 0 or number == kills:
                say(f"{number} kills, {load.acknowledged} batches acknowledged")
        contents = finish(servers, port, load)
    say(_told(load, killer, contents))
    assert load.refusals == []
    assert load.acknowledged == len(load.batches)
    assert losses(load.batches, set(range(len(load.batches))), contents) == []
    assert miscounts(load.batches, contents) == []
    assert contents.differences == []
    assert contents.set_aside == 0
    assert is_intact(servers.url) == "ok"
    # Else no kill fell between a commit and its answer, and nothing was shown about what is sent twice.
    assert killer.stored_unacknowledged > 0
    assert contents.counters["events_duplicate", ""] > 0
    assert sum(killer.kills.values()) == kills


def _told(load: Load, killer: Killer, contents: Contents) -> str:
    tries = sum(batch.tries for batch in load.batches)
    return (
        f"{len(load.batches)} batches in {tries} requests, {killer.stored_unacknowledged} of them stored and killed "
        f"before the answer, {contents.counters['events_duplicate', '']} events dropped as repeats; kills: "
        + ", ".join(f"{count} {moment}" for moment, count in killer.kills.items())
    )


def test_survey_finds_what_a_build_loses_that_answers_before_the_commit(servers: Servers, tmp_path: Path) -> None:
    port = free_port()
    fault: Any = {"point": "journal row written, not committed", "nth": 5}
    process = servers.start(port, faults=[fault], builds=["answers before the commit"])
    with Load(port) as load:
        process.wait()
        batches = list(load.batches)
        acknowledged = {number for number, batch in enumerate(batches) if batch.acknowledged}
        found = losses(batches, acknowledged, survey_of_the_dead(servers.url, tmp_path / "dead"))
        contents = finish(servers, port, load)
    assert [each for each in found if "was acknowledged and 0 of its" in each]
    assert miscounts(load.batches, contents)


def test_migration_of_sqlite_begins_anew_after_a_kill(servers_on_nothing: Servers) -> None:
    port = free_port()
    killed = servers_on_nothing.start(port, faults=[{"point": "schema made, not committed"}])
    assert killed.wait() == -signal.SIGKILL
    process = servers_on_nothing.start(port)
    servers_on_nothing.ready(port, process)
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert is_intact(servers_on_nothing.url) == "ok"
