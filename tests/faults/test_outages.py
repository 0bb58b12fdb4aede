"""A database that is away for a while: the server says so, and goes on by itself when it is back."""

import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import make_url

from monitor.store.engine import Database
from monitor.store.migrate import upgrade
from tests.faults.load import Load
from tests.faults.processes import Answer, Launcher, Servers, call, free_port, until
from tests.faults.scenes import declare, events, send
from tests.faults.survey import is_rolled_up, losses, miscounts, survey


def assert_asks_to_come_back(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert float(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == 503


def test_server_outlives_a_stop_of_postgres(
    launcher: Launcher, own_postgres: Callable[[], AbstractContextManager[str]]
) -> None:
    port = free_port()
    with own_postgres() as url:
        database = Database(url)
        upgrade(database)
        database.close()
        servers = Servers(launcher, url)
        process = servers.start(port)
        servers.ready(port, process)
        load = Load(port)
        load.__enter__()
        until(lambda: load.acknowledged > 30, 30, "acknowledged batches")
    try:
        assert_asks_to_come_back(send(port, events(1)))
        assert_asks_to_come_back(call(port, "GET", "/v1/models"))
        assert_asks_to_come_back(call(port, "GET", "/readyz"))
        assert call(port, "GET", "/healthz").status == 200
        before = load.acknowledged
        with own_postgres() as url:
            until(lambda: load.acknowledged > before + 30, 30, "acknowledged batches after the outage")
            load.end()
            until(lambda: is_rolled_up(url), 30, "an empty journal")
            assert call(port, "GET", "/readyz").status == 200
            contents = survey(url, thoroughly=True)
            process.send(signal.SIGTERM)
            assert process.wait() == 0, process.tail()
    finally:
        load.end()
    assert load.refusals == []
    assert losses(load.batches, set(range(len(load.batches))), contents) == []
    assert miscounts(load.batches, contents) == []
    assert contents.differences == []
    assert "Traceback" not in process.logged(), process.tail()


def test_server_outlives_a_lock_on_sqlite(sqlite_servers: Servers) -> None:
    port = free_port()
    process = sqlite_servers.start(port)
    sqlite_servers.ready(port, process)
    declare(port)
    path = make_url(sqlite_servers.url).database
    assert path is not None
    with Load(port, clients=2) as load:
        until(lambda: load.acknowledged > 30, 30, "acknowledged batches")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert_asks_to_come_back(send(port, events(1)))
        assert call(port, "GET", "/v1/models").status == 200
        assert call(port, "GET", "/healthz").status == 200
        other.execute("ROLLBACK")
        other.close()
        before = load.acknowledged
        until(lambda: load.acknowledged > before + 30, 30, "acknowledged batches after the outage")
    until(lambda: is_rolled_up(sqlite_servers.url), 30, "an empty journal")
    contents = survey(sqlite_servers.url, thoroughly=True)
    process.send(signal.SIGTERM)
    assert process.wait() == 0, process.tail()
    assert load.refusals == []
    assert contents.differences == []
    assert losses(load.batches, set(range(len(load.batches))), contents) == []
    assert "Traceback" not in process.logged(), process.tail()


def test_server_takes_nothing_in_while_too_much_waits(servers: Servers) -> None:
    port = free_port()
    accepting = servers.start(port, "--no-jobs", log="accepting", CALWATCH_JOURNAL_LIMIT="100")
    servers.ready(port, accepting)
    declare(port)
    answers: list[Answer] = []

    def refused() -> bool:
        answers.append(send(port, events(30, prefix=f"{len(answers)}-")))
        threading.Event().wait(0.1)
        return answers[-1].status == 503

    until(refused, 20, "a refusal")
    assert_asks_to_come_back(answers[-1])
    worker = servers.worker(log="worker")
    until(lambda: send(port, events(1, prefix="after")).status == 200, 20, "a server that accepts again")
    until(lambda: is_rolled_up(servers.url), 20, "an empty journal")
    for process in (worker, accepting):
        process.send(signal.SIGTERM)
        assert process.wait() == 0, process.tail()
    accepted = sum(answer.status == 200 for answer in answers)
    contents = survey(servers.url, thoroughly=True)
    assert accepted >= 2
    assert sum(count for count, _ in contents.hours.values()) == 30 * accepted + 1
