"""Serving code through death, restart and damage: it never sees an exception, nor a value of a calibrator that does not verify."""

import hashlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor import Client
from monitor.calibrators.compiled import compile_scalar
from monitor.calibrators.document import seal
from monitor.client.cache import Cache
from monitor.client.champion import load
from monitor.client.champions import Champions
from monitor.client.limited import LimitedWarnings
from monitor.client.transport import Answer
from monitor.domain.errors import Unavailable
from tests.faults.processes import Servers, call, free_port, until
from tests.faults.scenes import declare, events, send

MODEL = "m"
NOBODY = "http://127.0.0.1:9"
ROUNDS = 500
PROBES = (0.0, 0.02, 0.3, 0.77, 0.999, 1.0)


def sealed(dice: random.Random, number: int, model: str = MODEL) -> dict[str, Any]:
    knots = sorted(dice.random() for _ in range(8))
    parameters, method = dice.choice(
        [
            ({"temperature": dice.uniform(0.2, 5.0)}, "temperature"),
            ({"slope": dice.uniform(0.2, 3.0), "intercept": dice.uniform(-2.0, 2.0)}, "platt"),
            ({"x": knots[::2], "y": knots[1::2]}, "isotonic"),
        ]
    )
    fitted = {"method": method, "task": "binary", "parameters": parameters}
    return seal(fitted, model=model, number=number, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z")


class World:
    """Everything that was ever sealed, a server that tells some of it when it lives, and what lies on the disk."""

    def __init__(self, seed: int, file: Path) -> None:
        self.dice = random.Random(seed)
        self.file, self.previous = file, file.with_name("kept.previous.json")
        self.sealed = {number: sealed(self.dice, number) for number in range(1, 40)}
        self.by_hash = {each["sha256"]: number for number, each in self.sealed.items()}
        self.foreign = sealed(self.dice, 7, model="other")
        self.champion: int | None = None
        self.canary: int | None = None
        self.state = "lives"

    # The server

    def get(self, path: str, *, etag: str | None) -> Answer:
        if self.state == "dead":
            raise Unavailable("nobody there")
        if path.endswith("champion"):
            return Answer(status=404, body=b'{"status": 404}')
        canary = None if self.canary is None else {"share": 0.5, "document": self.sealed[self.canary]}
        body = json.dumps({"champion": self.sealed.get(self.champion or 0), "canary": canary}).encode()
        tag = hashlib.sha256(body).hexdigest()
        if self.state == "lives":
            return Answer(status=304, body=b"") if etag == tag else Answer(status=200, body=body, etag=tag)
        return self.dice.choice(
            [
                Answer(status=200, body=flipped(self.dice, body), etag="odd"),
                Answer(status=200, body=misread(self.dice, body), etag="odd"),
                Answer(status=200, body=misread(self.dice, body), etag="odd"),
                Answer(status=200, body=body[: self.dice.randrange(len(body))], etag="odd"),
                Answer(status=200, body=json.dumps({"champion": self.foreign}).encode(), etag="odd"),
                Answer(status=200, body=b"[" * 10_000),
                Answer(status=500, body=b""),
                Answer(status=404, body=b"<html>a proxy"),
            ]
        )

    def moves_on(self) -> None:
        """Let the server die, come back, stammer, and something else come into service."""
        self.state = self.dice.choice(["lives", "lives", "stammers", "dead"])
        if self.dice.random() < 0.5:
            self.champion = self.dice.choice([None, *self.sealed])
        if self.dice.random() < 0.3:
            self.canary = self.dice.choice([None, *self.sealed])

    # The disk

    def harm(self) -> None:
        """Damage one of the files, or none."""
        path = self.dice.choice([self.file, self.previous])
        self.dice.choice(
            [
                lambda: None,
                lambda: None,
                lambda: path.unlink(missing_ok=True),
                lambda: path.write_bytes(b""),
                lambda: path.write_bytes(bytes(self.dice.randrange(400))),
                lambda: path.write_bytes(self.content(path)[: self.dice.randrange(1 + len(self.content(path)))]),
                lambda: path.write_bytes(flipped(self.dice, self.content(path))),
                lambda: path.write_bytes(misread(self.dice, self.content(path))),
                lambda: path.write_bytes(json.dumps(self.foreign).encode()),
                self.swap,
                lambda: path.with_name(".kept.stale.tmp").write_bytes(self.content(path)[:20]),
                lambda: Cache(path, LimitedWarnings(), model="other").keep(self.foreign, time.time()),
            ]
        )()

    def swap(self) -> None:
        current, previous = self.content(self.file), self.content(self.previous)
        self.file.write_bytes(previous)
        self.previous.write_bytes(current)

    @staticmethod
    def content(path: Path) -> bytes:
        return path.read_bytes() if path.exists() else b""

    def reading(self) -> tuple[int | None, int]:
        """Return which version the disk holds by another reading of it, and how many files must be found unusable before."""
        corrupt = 0
        for path in (self.file, self.previous):
            line, _, body = self.content(path).partition(b"\n")
            if line == b"calwatch-cache 1 " + hashlib.sha256(body).hexdigest().encode():
                found = json.loads(body)
                if found["model"] == MODEL:
                    champion = found["champion"]
                    return (None if champion is None else self.by_hash[champion["sha256"]]), corrupt
            corrupt += path.exists()
        return None, corrupt

    def expected(self, version: int | None, p: float) -> float:
        return p if version is None else compile_scalar(self.sealed[version])(p)


def flipped(dice: random.Random, content: bytes) -> bytes:
    """Return bytes of which a few bits have changed."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 3) if changed else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def misread(dice: random.Random, content: bytes) -> bytes:
    """Return a document of which one digit of the parameters has changed, so that it is still one."""
    begin = content.find(b'"parameters"')
    digits = [i for i in range(begin, content.find(b"}", begin)) if begin >= 0 and content[i : i + 1].isdigit()]
    if not digits:
        return content + b" "
    place = dice.choice(digits)
    return content[:place] + b"%d" % ((int(content[place : place + 1]) + 5) % 10) + content[place + 1 :]


class Service:
    """Serving code that holds a client; the client's requests go to the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        expected, corrupt = world.reading()
        self.client = Client(NOBODY, MODEL, cache=world.file, timeout=0.1)
        self.client._worker.stop()  # noqa: SLF001  the test takes the steps
        self.client._champions._transport = world  # type: ignore[assignment]  # noqa: SLF001
        self.client._calibrates = self.client._worker.running = True  # noqa: SLF001
        assert (self.client.calibrator_version, self.client.stats().cache_corrupt) == (expected, corrupt)

    def serves(self) -> None:
        """Serve a few values, all of which must come from what was sealed under the version that they carry."""
        world, client = self.world, self.client
        champion = client.calibrator_version
        for p in PROBES:
            assert client.calibrate(p) == world.expected(champion, p)
            result = client.calibrated(p)
            assert result.version in {champion, world.canary, *world.sealed}
            assert result.value == world.expected(result.version, p)
            assert client.log(probability=result) == result.event_id
        assert client.calibrate(list(PROBES)) == [world.expected(champion, p) for p in PROBES]
        assert client.stats().dropped == 0


@contextmanager
def another_writer(world: World) -> Iterator[None]:
    """Let another process of the host, here a thread, keep what it knows in the same files meanwhile."""
    warnings = LimitedWarnings()
    other = Champions(world, warnings, model=MODEL, refresh_seconds=1, cache=Cache(world.file, warnings, model=MODEL))
    thread = threading.Thread(target=lambda: [other.fetch() for _ in range(3)])
    thread.start()
    yield
    thread.join()


def test_clients_never_raise_nor_serve_what_does_not_verify(tmp_path: Path) -> None:
    world = World(20_260_101, tmp_path / "kept.json")
    service = Service(world)
    kept = corrupt = failed = 0
    for round_ in range(ROUNDS):
        world.moves_on()
        before = service.client.calibrator_version
        if round_ % 10 == 0:
            with another_writer(world):
                heard = service.client.refresh()
        else:
            heard = service.client.refresh()
        if world.state == "lives":
            assert heard
            assert service.client.calibrator_version == world.champion
        elif world.state == "dead":
            assert not heard
            assert service.client.calibrator_version == before
        service.serves()
        world.harm()
        if world.dice.random() < 0.5:
            failed += service.client.stats().fetch_failed
            service.client.close(timeout=0)
            service = Service(world)
            corrupt += service.client.stats().cache_corrupt
            kept += service.client.calibrator_version is not None
            service.serves()
    assert kept > ROUNDS / 10
    assert corrupt > ROUNDS / 20
    assert failed > ROUNDS / 10
    service.client.close(timeout=0)


def test_writers_that_are_killed_leave_whole_files(tmp_path: Path) -> None:
    dice = random.Random(3)
    file = tmp_path / "kept.json"
    documents = [sealed(dice, number) for number in range(1, 6)]
    Cache(file, LimitedWarnings(), model=MODEL).keep(documents[0], time.time())
    for _ in range(20):
        child = os.fork()
        if child == 0:
            writes(file, documents)
        time.sleep(dice.uniform(0.002, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reader = Cache(file, LimitedWarnings(), model=MODEL)
        found = reader.load(lambda document: load(document, model=MODEL).number)
        assert found is not None
        assert found.value in {1, 2, 3, 4, 5}
        assert reader.corrupt == 0


def writes(file: Path, documents: list[dict[str, Any]]) -> None:
    """Write one version after the other until the process is killed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(20)
    try:
        cache = Cache(file, LimitedWarnings(), model=MODEL)
        while True:
            for each in documents:
                cache.keep(each, time.time())
    finally:
        os._exit(1)


def too_sure() -> list[dict[str, Any]]:
    """Return predictions of .95 and .05, of which seven and three of ten come true, with their labels."""
    sent = events(200)
    for i, (prediction, label) in enumerate(zip(sent[::2], sent[1::2], strict=True)):
        high, place = i % 2, i // 2 % 10
        prediction["probability"], label["label"] = (0.95, int(place < 7)) if high else (0.05, int(place < 3))
    return sent


@pytest.fixture
def served(sqlite_servers: Servers, tmp_path: Path) -> "Served":
    return Served(sqlite_servers, tmp_path / "cache")


class Served:
    """A real server with one calibrator in service, and clients that keep what they know in a directory."""

    def __init__(self, servers: Servers, cache: Path) -> None:
        self.servers, self.cache = servers, cache
        self.port = free_port()
        self.start()
        declare(self.port, recalibration="off")
        send(self.port, too_sure())
        until(self.fitted, 30, "a calibrator", else_say=lambda: str(self.answer))
        assert call(self.port, "POST", "/v1/models/m/calibrators/1/promote").status == 200

    def start(self) -> None:
        self.process = self.servers.start(self.port)
        self.servers.ready(self.port, self.process)

    def fitted(self) -> bool:
        self.answer = call(self.port, "POST", "/v1/models/m/calibrators", {"method": "temperature", "holdout": 0.0})
        return self.answer.status == 201

    def expected(self) -> Callable[[float], float]:
        return compile_scalar(call(self.port, "GET", "/v1/models/m/calibrators/1").body)

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}", MODEL, cache=self.cache, refresh_seconds=0.05, timeout=1)


def test_a_real_server_may_die_and_come_back(served: Served) -> None:
    apply = served.expected()
    running = served.client()
    until(lambda: running.calibrate(0.9) == apply(0.9), 10, "the champion in force")
    served.process.kill()
    until(lambda: running.stats().fetch_failed, 10, "a failed refresh")
    assert running.calibrated(0.9)[:3] == (apply(0.9), 0.9, 1)
    (kept,) = served.cache.glob("m-*[0-9a-f].json")
    os.truncate(kept, 40)
    with served.client() as started:
        assert started.calibrated(0.9)[:3] == (apply(0.9), 0.9, 1)
        assert started.stats().cache_corrupt == 1
    served.start()
    assert call(served.port, "POST", "/v1/models/m/calibrators/rollback").status == 200
    until(lambda: running.calibrate(0.9) == 0.9, 10, "no calibrator in force")
    served.process.kill()
    with served.client() as started:
        assert started.calibrated(0.9)[:3] == (0.9, 0.9, None)
        assert started.stats().cache_corrupt == 0
    running.close(timeout=0)
