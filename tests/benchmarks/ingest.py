"""Ingest over HTTP, from the request to the answer after its commit: as a share of decoding the same bytes and no more, and as a multiple
of a plain service on the same web server and database (`tests/benchmarks/naive.py`). Jobs run in no process here."""

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from monitor.domain.events import Event
from tests.benchmarks.measure import Ratio

ROUNDS = 5
SECONDS = 2.0
BATCH = 500
SENDERS = 8
CONNECTIONS = (64, 256)

SERVERS = {
    "calwatch": ["-m", "monitor", "serve", "--no-jobs", "--port"],
    "naive": ["-m", "tests.benchmarks.plain_servers", "naive"],
    "decoding": ["-m", "tests.benchmarks.plain_servers", "decoding"],
}


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """A request as calwatch decodes it."""

    events: list[Event]


def events(count: int, dice: random.Random) -> list[dict[str, Any]]:
    """Return predictions of a binary model, each with its label."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    made: list[dict[str, Any]] = []
    for i in range(0, count, 2):
        name, at = f"{dice.getrandbits(96):024x}", (now + timedelta(milliseconds=i)).isoformat()
        made.append(
            {
                "type": "prediction",
                "event_id": name,
                "model": "churn",
                "model_version": "2026-01",
                "timestamp": at,
                "probability": dice.random(),
                "segments": {"country": dice.choice(["DE", "FR", "CH"])},
            }
        )
        made.append({"type": "label", "event_id": name, "model": "churn", "label": int(dice.random() < 0.5)})
    return made[:count]


def bodies(count: int, size: int) -> list[bytes]:
    """Return bodies of requests, each with so many events."""
    dice = random.Random(size)
    return [msgspec.json.encode({"events": events(size, dice)}) for _ in range(count)]


@contextmanager
def server(kind: str, database_url: str) -> Iterator[int]:
    """Run a server in a process of its own and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "CALWATCH_DATABASE_URL": database_url, "CALWATCH_JOURNAL_LIMIT": str(10**9)}
    process = subprocess.Popen([sys.executable, *SERVERS[kind], str(port)], env=environment)
    try:
        _await(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            if urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).status == 200:
                return
        except (URLError, OSError):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}") from None
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def loaded(port: int, sent: list[bytes], connections: int) -> dict[str, float]:
    """Return the answer of the load generator."""
    command = [sys.executable, "-m", "tests.benchmarks.http_load", str(port), str(connections), str(SECONDS)]
    done = subprocess.run(command, input=b"\n".join(sent), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def decoded_per_second(sent: list[bytes], size: int) -> float:
    """Return how many events a second are decoded to their types in this process, and thrown away."""
    decoder = msgspec.json.Decoder(Batch)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS / 2:
        for body in sent:
            decoder.decode(body)
            count += size
    return count / (time.perf_counter() - began)


def rate(answer: dict[str, float]) -> float:
    """Return requests a second."""
    return answer["requests"] / answer["seconds"]


def of_batches(url: dict[str, str], where: str) -> Iterator[Ratio]:
    """Yield the ratios for batches."""
    sent = bodies(40, BATCH)
    with server("calwatch", url["calwatch"]) as ours, server("naive", url["naive"]) as naive:
        rounds = [
            (
                rate(loaded(ours, sent, SENDERS)) * BATCH,
                rate(loaded(naive, sent, SENDERS)) * BATCH,
                decoded_per_second(sent, BATCH),
            )
            for _ in range(ROUNDS + 1)
        ][1:]
    mine, plain, decoding = (statistics.median(column) for column in zip(*rounds, strict=True))
    yield Ratio(f"batches of {BATCH} on {where}: events a second over decoding alone", mine / decoding, "at least 0.4")
    yield Ratio(f"batches of {BATCH} on {where}: events a second over naive", mine / plain, "at least 8")


def of_single_events(url: dict[str, str], where: str) -> Iterator[Ratio]:
    """Yield the ratios for requests of one event."""
    sent = bodies(200, 1)
    with server("calwatch", url["calwatch"]) as ours, server("decoding", url["calwatch"]) as floor:
        for connections in CONNECTIONS:
            rounds = [(loaded(ours, sent, connections), loaded(floor, sent, connections)) for _ in range(ROUNDS + 1)][
                1:
            ]
            share = statistics.median(rate(a) for a, _ in rounds) / statistics.median(rate(b) for _, b in rounds)
            spread = statistics.median(a["p99"] / a["p50"] for a, _ in rounds)
            single = f"single events, {connections} connections, on {where}"
            yield Ratio(f"{single}: requests a second over a server that only decodes", share, "at least 0.5")
            yield Ratio(f"{single}: 99th percentile of the time to the answer over its median", spread, "at most 3")


def run() -> Iterator[Ratio]:
    """Yield the ratios on SQLite and, where CALWATCH_TEST_POSTGRES_URL names a server, on Postgres."""
    with tempfile.TemporaryDirectory() as folder:
        urls = {name: f"sqlite:///{Path(folder) / name}.db" for name in ("calwatch", "naive")}
        yield from of_batches(urls, "SQLite")
        yield from of_single_events(urls, "SQLite")
    postgres = os.environ.get("CALWATCH_TEST_POSTGRES_URL")
    if postgres:
        yield from of_batches(dict.fromkeys(urls, postgres), "Postgres")
        yield from of_single_events(dict.fromkeys(urls, postgres), "Postgres")
