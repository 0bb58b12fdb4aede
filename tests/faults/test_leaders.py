"""Several processes on one Postgres: any may accept, one leads, and one that was away for long changes nothing."""

import signal
import time

import pytest

from tests.faults.load import Load
from tests.faults.processes import Process, Servers, free_port, until
from tests.faults.scenes import COUNT, alerts, declare, events, send
from tests.faults.survey import is_rolled_up, losses, miscounts, scalar, survey

FENCED = "our token is"


def token(url: str) -> int:
    return int(scalar(url, "SELECT token FROM lease") or 0)


def end(*processes: Process) -> None:
    for process in processes:
        process.send(signal.SIGTERM)
    for process in processes:
        assert process.wait() == 0, process.tail()
        assert "Traceback" not in process.logged(), process.tail()


def test_paused_leader_adds_nothing_to_the_sums_when_it_goes_on(postgres_servers: Servers) -> None:
    port = free_port()
    server = postgres_servers.start(port, "--no-jobs", log="server")
    postgres_servers.ready(port, server)
    declare(port)
    paused = postgres_servers.worker(
        log="paused", faults=[{"point": "effects computed, transaction not begun", "act": "freeze"}]
    )
    assert send(port, events()).status == 200
    until(paused.is_frozen, 20, "a leader that stands still")
    next_leader = postgres_servers.worker(log="next")
    until(lambda: is_rolled_up(postgres_servers.url), 20, "a roll-up by the next leader")
    assert send(port, events(prefix="later")).status == 200
    until(lambda: is_rolled_up(postgres_servers.url), 20, "another roll-up by the next leader")
    paused.send(signal.SIGCONT)
    until(lambda: FENCED in paused.logged(), 20, "a leader that finds itself deposed")
    end(paused, next_leader, server)
    contents = survey(postgres_servers.url, thoroughly=True)
    assert contents.differences == []
    assert sum(count for count, _ in contents.hours.values()) == 2 * COUNT
    assert sum(labels for _, labels in contents.hours.values()) == 2 * COUNT
    assert contents.counters["events_ingested", "prediction"] == 2 * COUNT


@pytest.mark.parametrize(
    ("builds", "transitions"),
    [pytest.param([], 1, id="fenced"), pytest.param(["no fencing"], 2, id="control without fencing")],
)
def test_paused_leader_repeats_no_alert_when_it_goes_on(
    postgres_servers: Servers, builds: list[str], transitions: int
) -> None:
    port = free_port()
    server = postgres_servers.start(port, "--no-jobs", log="server")
    postgres_servers.ready(port, server)
    declare(port)
    assert send(port, events()).status == 200
    paused = postgres_servers.worker(
        log="paused", builds=builds, faults=[{"point": "alarms judged, transaction not begun", "act": "freeze"}]
    )
    until(paused.is_frozen, 20, "a leader that stands still")
    assert alerts(port) == []
    next_leader = postgres_servers.worker(log="next")
    until(lambda: alerts(port), 20, "an alert by the next leader")
    paused.send(signal.SIGCONT)
    until(lambda: FENCED in paused.logged() or len(alerts(port)) > 1, 20, "the write of the paused leader")
    end(paused, next_leader, server)
    assert scalar(postgres_servers.url, "SELECT count(*) FROM alert WHERE kind = 'miscalibration'") == transitions


def test_leader_frozen_inside_its_transaction_does_not_block_the_next(postgres_servers: Servers) -> None:
    port = free_port()
    server = postgres_servers.start(port, "--no-jobs", log="server")
    postgres_servers.ready(port, server)
    declare(port)
    frozen = postgres_servers.worker(log="frozen", faults=[{"point": "lease locked by the roll-up", "act": "freeze"}])
    assert send(port, events()).status == 200
    until(frozen.is_frozen, 20, "a leader that stands still")
    began = time.monotonic()
    next_leader = postgres_servers.worker(log="next")
    until(lambda: is_rolled_up(postgres_servers.url), 20, "a roll-up by the next leader")
    took = time.monotonic() - began
    frozen.send(signal.SIGCONT)
    end(next_leader)
    assert send(port, events(prefix="later")).status == 200
    until(lambda: is_rolled_up(postgres_servers.url), 20, "a roll-up by the one that was frozen")
    end(frozen, server)
    contents = survey(postgres_servers.url, thoroughly=True)
    assert contents.differences == []
    assert sum(count for count, _ in contents.hours.values()) == 2 * COUNT
    assert took < 10


def test_two_servers_accept_at_once_while_one_leads(postgres_servers: Servers) -> None:
    ports = [free_port(), free_port()]
    running = [postgres_servers.start(port, log=f"server-{port}") for port in ports]
    for port, process in zip(ports, running, strict=True):
        postgres_servers.ready(port, process)
    with Load(*ports) as load:
        until(lambda: load.acknowledged > 50, 30, "acknowledged batches")
        first = token(postgres_servers.url)
        for number, port in enumerate(ports):
            running[number].kill()
            time.sleep(1.5)
            running[number] = postgres_servers.start(port, log=f"server-{port}")
            postgres_servers.ready(port, running[number])
    until(lambda: is_rolled_up(postgres_servers.url), 30, "an empty journal")
    end(*running)
    contents = survey(postgres_servers.url, thoroughly=True)
    by_port = [sum(batch.acknowledged for batch in load.batches if int(batch.model[1]) % 2 == side) for side in (0, 1)]
    assert min(by_port) > 20
    assert load.refusals == []
    assert losses(load.batches, set(range(len(load.batches))), contents) == []
    assert miscounts(load.batches, contents) == []
    assert contents.differences == []
    assert token(postgres_servers.url) > first
