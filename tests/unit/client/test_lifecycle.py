"""Opening, closing and the end of the process; nobody listens at the address, so all that is logged is dropped in the end."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from monitor import Client, lifespan
from monitor.client.lifecycle import Living, exit_on_sigterm

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(NOBODY, "churn", timeout=0.1)
    yield made
    made.close(timeout=0)


@pytest.fixture
def silent() -> Iterator[str]:
    """Return an address at which somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def takes_events(client: Client) -> bool:
    """Return whether a client takes an event that is logged now."""
    before = client.stats().queued
    client.log(probability=0.5)
    return client.stats().queued == before + 1


def test_a_closed_client_opens_again_where_it_is_entered(client: Client) -> None:
    with client:
        assert takes_events(client)
    assert not takes_events(client)
    with client:
        assert takes_events(client)
    assert client.stats().dropped == client.stats().logged == 3


def test_async_with_closes_without_blocking_the_loop(silent: str) -> None:
    client = Client(silent, "churn", timeout=0.2)

    async def serve() -> int:
        ticks = 0
        async with client:
            client.log(probability=0.5)
            closing = asyncio.create_task(client.__aexit__(None, None, None))
            while not closing.done():
                ticks += 1
                await asyncio.sleep(0.001)
        return ticks

    assert asyncio.run(serve()) > 3
    assert not takes_events(client)


def test_lifespan_closes_clients_after_the_applications_own_end(client: Client) -> None:
    other = Client(NOBODY, "other", timeout=0.1)
    taken = []

    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[dict[str, int]]:
        yield {"loaded": 1}
        taken.append(takes_events(client))

    app = FastAPI(lifespan=lifespan(client, other, within=own))
    for _ in range(2):  # as tests of an application start it several times
        with TestClient(app) as calls:
            assert calls.app_state == {"loaded": 1}
            assert takes_events(client)
        assert not takes_events(client)
        assert not takes_events(other)

    assert taken == [True, True]


def test_clients_hand_over_at_the_same_time(silent: str) -> None:
    clients, many = Living(), [Client(silent, f"m{number}", timeout=0.4) for number in range(12)]
    for one in many:
        clients.opened(one)
        one.log(probability=0.5)
    began = time.monotonic()
    clients.finish()
    took = time.monotonic() - began
    assert [one.stats().dropped for one in many] == [1] * 12
    for one in many:
        one.close(timeout=0)
        clients.closed(one)
    assert took < 3.0  # one after the other would take 4.8


def test_log_while_the_process_ends_counts_what_cannot_be_sent(client: Client) -> None:
    client.hand_over(time.monotonic() + 0.1)
    client.log(probability=0.5)

    assert (client.stats().dropped, client.stats().queued) == (1, 0)


def test_a_signal_handler_of_the_application_stays() -> None:
    def own(*_: Any) -> None:
        pass

    before = signal.signal(signal.SIGTERM, own)
    try:
        exit_on_sigterm()
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_client_leaves_signals_alone_unless_asked(client: Client) -> None:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    client.log(probability=0.5)
    Client(NOBODY, "churn").close(timeout=0)

    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers


IMPORTS = """
import sys, time
from monitor import Client
client = Client(sys.argv[1], "churn", timeout=0.3, flush_seconds=0.01, refresh_seconds=0.01)
before = set(sys.modules)
client.calibrate(0.5)
client.log(probability=0.5, metadata={"text": "x" * 3000})
time.sleep(0.3)
print(" ".join(set(sys.modules) - before))
"""


@pytest.mark.parametrize("url", [NOBODY, "https://127.0.0.1:9", "http://localhost:9", "http://nowhere.invalid"])
def test_the_thread_imports_nothing_for_a_forked_child_to_wait_for(url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS, url], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.stdout, ended.returncode) == ("\n", 0)


FORKED_BY_A_THREAD = """
import os, sys, threading, time
from monitor import Client
client = Client("http://127.0.0.1:9", "m", timeout=0.1, flush_seconds=0.1)
def fork():
    child = os.fork()
    if child == 0:
        client.log(probability=0.5)
        time.sleep(1.5)
        print(client.stats().queued, flush=True)
        sys.exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
thread = threading.Thread(target=fork, daemon=sys.argv[1] == "daemon")
thread.start()
thread.join()
"""


@pytest.mark.parametrize("kind", ["daemon", "waited for"])
def test_a_child_that_a_thread_forked_ends_with_that_thread_and_no_sooner(kind: str) -> None:
    """Its end runs no exit code of Python's, and the client's own thread would keep the process for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", FORKED_BY_A_THREAD, kind], capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout.split() == ["1", "0"]
    assert "the process ends with 1 events unsent, counted as dropped" in ended.stderr
