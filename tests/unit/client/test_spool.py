"""A client with a spool: what it logs outlives it, is sent by the next one, and adds up."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor import Client
from monitor.client import Stats
from monitor.client.limited import LimitedWarnings
from monitor.client.memory import Memory
from monitor.client.outbox import Outbox
from monitor.client.recovery import Recovery
from monitor.client.ring import Ring
from monitor.client.spool import SMALLEST, Spool
from monitor.domain.errors import BadInput
from tests.unit.client.processes import forked, wait_until

NOBODY = "http://127.0.0.1:9"
Made = Callable[..., Client]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def made(folder: Path) -> Iterator[Made]:
    """Return a maker of clients with one spool, whose server is away and whose thread does not run unless they are entered."""
    clients: list[Client] = []

    def make(model: str = "churn") -> Client:
        client = Client(NOBODY, model, timeout=0.1, spool=folder, spool_bytes=SMALLEST)
        client._worker._stopped = True  # noqa: SLF001
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close(timeout=0)


def queued(client: Client) -> list[str]:
    return [json.loads(item)["event_id"] for item in client._outbox.front(1_000_000, 1 << 40)]  # noqa: SLF001


def recovered(client: Client) -> list[str]:
    """Return what a client has queued once it has taken over all events of ended processes."""
    take_over(client)
    return queued(client)


def take_over(client: Client) -> None:
    recovery = client._recovery  # noqa: SLF001
    assert recovery is not None
    recovery.take_over()


def adds_up(stats: Stats) -> bool:
    out = stats.sent + stats.rejected + stats.dropped + stats.spooled + stats.queued
    return stats.logged + stats.recovered == out


def test_what_a_closed_client_could_not_send_waits_for_the_next(made: Made, folder: Path) -> None:
    with made() as client:
        for number in range(5):
            client.log(f"e{number}", probability=0.5)
        assert client.close()
        assert client.stats() == Stats(logged=5, sent=0, rejected=0, dropped=0, queued=0, spooled=5)
    after = made()

    assert recovered(after) == [f"e{number}" for number in range(5)]
    assert after.stats() == Stats(logged=0, sent=0, rejected=0, dropped=0, queued=5, recovered=5)
    assert len(list(folder.iterdir())) == 1


def test_a_closed_client_with_nothing_left_leaves_no_file(made: Made, folder: Path) -> None:
    client = made()
    client.log("a", probability=0.5)
    outbox = client._outbox  # noqa: SLF001
    outbox.front(1, 1000)
    outbox.settle(sent=1)
    client.close()

    assert client.stats().sent == 1
    assert list(folder.iterdir()) == []


def test_an_event_is_in_the_file_before_log_returns(made: Made, folder: Path) -> None:
    made().log("here-it-is", probability=0.5)
    (file,) = folder.iterdir()

    assert b"here-it-is" in file.read_bytes()


def test_the_oldest_are_dropped_and_counted_when_the_spool_is_full(made: Made) -> None:
    client = made()
    for number in range(100):
        client.log(f"e{number}", probability=0.5, metadata={"text": "x" * 100_000})
    stats, left = client.stats(), queued(client)

    assert adds_up(stats)
    assert stats.logged == 100
    assert 30 < stats.queued < 42
    assert left == [f"e{number}" for number in range(100 - stats.queued, 100)]


@pytest.mark.parametrize(("answers", "expected"), [((1, 1), (1, 1, 0)), ((0, 0), (0, 0, 2))])
def test_an_event_under_way_is_dropped_only_if_no_answer_comes(
    made: Made, answers: tuple[int, int], expected: tuple[int, int, int]
) -> None:
    client = made()
    outbox, huge = client._outbox, b"x" * 1_000_000  # noqa: SLF001
    for _ in range(3):
        outbox.add(huge)
    assert len(outbox.front(2, 1 << 30)) == 2
    for _ in range(3):
        outbox.add(huge)
    assert outbox.stats == Stats(logged=6, sent=0, rejected=0, dropped=0, queued=6)
    outbox.settle(sent=answers[0], rejected=answers[1])
    assert len(outbox.front(9, 1 << 30)) == 4

    assert (outbox.stats.sent, outbox.stats.rejected, outbox.stats.dropped) == expected
    assert adds_up(outbox.stats)


def test_clients_of_other_models_leave_a_spool_alone(made: Made) -> None:
    with made("one") as client:
        client.log("a", probability=0.5)

    assert recovered(made("two")) == []
    assert recovered(made("one")) == ["a"]


def test_a_running_clients_events_are_its_own(made: Made) -> None:
    running = made()
    running.log("a", probability=0.5)

    assert recovered(made()) == []
    assert queued(running) == ["a"]


def test_damaged_and_foreign_files_harm_nobody(made: Made, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with made() as client:
        client.log("a", probability=0.5)
    (file,) = folder.iterdir()
    stem = file.name.rsplit("-", 2)[0]
    (folder / f"{stem}-1-0.spool").write_bytes(b"")
    (folder / f"{stem}-1-1.spool").write_bytes(os.urandom(100_000))
    (folder / f"{stem}-1-2.spool").mkdir()
    (folder / f"{stem}-1-3.spool").symlink_to("/etc/passwd")
    (folder / f"{stem}-1-4.tmp").write_bytes(b"")
    os.utime(folder / f"{stem}-1-4.tmp", (0, 0))

    assert recovered(made()) == ["a"]
    assert not (folder / f"{stem}-1-4.tmp").exists()
    assert sum("is not read" in record.getMessage() for record in caplog.records) == 4


def test_files_of_ended_processes_take_no_more_room_than_one_beside_the_own(made: Made, folder: Path) -> None:
    logged = 0
    for _ in range(4):
        client = made()
        for _ in range(30):
            client._outbox.add(b"x" * 100_000)  # noqa: SLF001
            logged += 1
        client.close(timeout=0)
    last = made()
    take_over(last)
    stats = last.stats()

    assert len(list(folder.iterdir())) <= 2
    assert adds_up(stats)
    assert stats.dropped > 0
    left = sum(file.stat().st_size for file in folder.iterdir())
    assert left <= 2 * (SMALLEST + 4096)


def test_a_thread_that_is_late_takes_nothing_into_a_closed_client(made: Made) -> None:
    """Its client would hold the events unsent for as long as the process lives."""
    client = made()
    client.log("a", probability=0.5)
    client.close(timeout=0)
    take_over(client)

    assert client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=0, queued=0, spooled=1)
    assert recovered(made()) == ["a"]


def test_a_closed_client_leaves_what_it_had_no_room_for_to_others(made: Made, folder: Path) -> None:
    ended = made()
    for _ in range(30):
        ended._outbox.add(b"x" * 100_000)  # noqa: SLF001
    client = made()
    for _ in range(30):
        client._outbox.add(b"x" * 100_000)  # noqa: SLF001
    ended.close(timeout=0)
    take_over(client)
    assert len(list(folder.iterdir())) == 2
    client.close(timeout=0)

    left = [Ring.adopt(path) for path in folder.iterdir()]
    assert [ring is None for ring in left] == [False, False]
    for ring in left:
        if ring is not None:
            ring.close(remove=False)


def test_without_room_for_a_file_events_wait_in_memory(made: Made, folder: Path) -> None:
    client = made()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    client.log("a", probability=0.5)
    assert queued(client) == ["a"]
    assert not client.close(timeout=0)
    assert client.stats().dropped == 1


def test_a_forked_child_has_a_file_of_its_own(made: Made, folder: Path) -> None:
    client = made()
    client.log("parent", probability=0.5)

    def logs() -> bool:
        client.log("child", probability=0.5)
        return queued(client) == ["child"] and len(list(folder.iterdir())) == 2

    assert forked(logs) == 0
    assert queued(client) == ["parent"]
    assert recovered(client) == ["parent", "child"]


def test_a_child_that_lives_on_keeps_nothing_of_its_parents(made: Made) -> None:
    """A parent that ends right after the fork, as daemons do, leaves its events to the child."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(8)
        client = made()
        client.log("before the fork", probability=0.5)
        ancestor = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == ancestor:
            pass
        os.write(writing, " ".join(recovered(client)).encode())
        os._exit(0)
    os.waitpid(parent, 0)

    assert os.read(reading, 100) == b"before the fork"
    os.close(reading)
    os.close(writing)


def test_log_in_a_signal_handler_leaves_whole_records(made: Made) -> None:
    client = made()
    interruptions: list[str] = []

    def handle(*_: Any) -> None:
        interruptions.append(f"s{len(interruptions)}")
        client.log(interruptions[-1], probability=0.5)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        for number in range(10_000):
            client.log(f"e{number}", probability=0.5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    client.log("last", probability=0.5)

    assert len(interruptions) > 10
    assert sorted(queued(client)) == sorted([*(f"e{number}" for number in range(10_000)), *interruptions, "last"])


def test_threads_share_one_file(made: Made) -> None:
    client = made()
    threads = [
        threading.Thread(target=lambda name=name: [client.log(f"{name}-{i}", probability=0.5) for i in range(500)])
        for name in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(queued(client)) == sorted(f"{name}-{i}" for name in range(6) for i in range(500))


class Failing:
    """A delivery whose last request failed."""

    fails = True


class Succeeding:
    """A delivery whose last request had an answer."""

    fails = False


@pytest.mark.parametrize(("delivery", "expected"), [(Failing(), 1), (Succeeding(), 0)])
def test_the_file_is_synced_while_the_server_does_not_answer(
    folder: Path, delivery: Any, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    memory = Memory(size=10, largest=1000)
    spool = Spool(folder, name="m", largest=SMALLEST, instead=memory, warnings=LimitedWarnings())
    outbox = Outbox(spool, batch_size=10, wake=lambda: None)
    outbox.add(b"a")
    recovery = Recovery(spool, outbox, delivery, flush_seconds=1.0)

    assert recovery.step(100.0) == 101.0
    assert len(synced) == expected


def test_a_folder_that_cannot_be_made_is_refused_when_the_client_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="spool"):
        Client(NOBODY, "churn", spool=tmp_path / "file" / "spool")


@pytest.mark.parametrize("spool_bytes", [0, 1000, None, True])
def test_a_spool_without_room_for_events_is_refused(tmp_path: Path, spool_bytes: Any) -> None:
    with pytest.raises(BadInput, match="spool_bytes"):
        Client(NOBODY, "churn", spool=tmp_path, spool_bytes=spool_bytes)


def test_a_client_that_is_entered_takes_over_without_logging(made: Made, folder: Path) -> None:
    with made() as client:
        client.log("a", probability=0.5)
    with Client(NOBODY, "churn", timeout=0.1, spool=folder) as after:
        wait_until(lambda: after.stats().recovered == 1)
