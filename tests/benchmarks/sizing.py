"""What an event costs: processor time from its JSON to the sums, and space in an SQLite database."""

import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import msgspec

from monitor.domain.refusals import Refusals
from monitor.domain.settings import ModelSettings
from monitor.ingest.decode import decode_events
from monitor.rollup.job import roll_up
from monitor.runtime.clock import wall_clock
from monitor.store import journal, lease, models
from monitor.store.batch import encode
from monitor.store.engine import Database
from monitor.store.journal import JournalRow
from monitor.store.migrate import upgrade
from tests.benchmarks.measure import Ratio, processor_seconds

BATCH = 1000
FIRST, MEASURED = 100, 300
"""Requests that fill what is of constant size, and those after them, which are measured."""
AT_ONCE = 16_000
DAY = 24 * 3600
COUNTRIES = ("CH", "DE", "FR", "IT")


def body(number: int, now: datetime) -> bytes:
    """Return a request: predictions of the last day, each with its label."""
    dice = Random(number)
    events = []
    for _ in range(BATCH // 2):
        p = dice.random()
        about = {"event_id": str(UUID(int=dice.getrandbits(128))), "model": "m"}
        scored = {"timestamp": now - timedelta(seconds=dice.randrange(DAY)), "model_version": "1", "probability": p}
        events.append({"type": "prediction", **about, **scored, "segments": {"country": dice.choice(COUNTRIES)}})
        events.append({"type": "label", **about, "label": int(dice.random() < p)})
    return msgspec.json.encode({"events": events})


class Server:
    """What a server and a worker do with requests, in turn."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.now = datetime.now(UTC)
        upgrade(self.database)
        self.token = lease.acquire(self.database, "benchmark", 3600)
        with self.database.write() as connection:
            settings = ModelSettings(segments=("country",))
            self.model = models.create(
                connection, "m", task="binary", classes=None, settings=settings, now=wall_clock()
            )

    def ingest(self, bodies: Sequence[bytes]) -> None:
        """Decode, check and commit requests, one by one."""
        for sent in bodies:
            taken = decode_events(sent, "application/json", now=self.now).accepted
            batch = encode(taken, [self.model.id] * len(taken))
            row = JournalRow(id=0, received_at=wall_clock(), events=len(taken), rejected=Refusals(), batch=batch)
            with self.database.write() as connection:
                journal.append(connection, [row])

    def roll_up(self) -> None:
        """Roll up all that waits."""
        assert self.token is not None
        while roll_up(self.database, self.token, now=wall_clock, events=AT_ONCE):
            pass

    def size(self, file: Path) -> int:
        """Return the bytes of the database; the last connection that closes writes all of it into its file."""
        self.database.close()
        return file.stat().st_size

    def cost(self, requests: range) -> tuple[float, float]:
        """Return the processor seconds of ingesting requests and of rolling them up."""
        bodies = [body(number, self.now) for number in requests]
        return processor_seconds(lambda: self.ingest(bodies)), processor_seconds(self.roll_up)


def run() -> Iterator[Ratio]:
    """Yield time and space per event; half of the events are predictions, half their labels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.db"
        server = Server(f"sqlite:///{file}")
        server.cost(range(FIRST))
        before = server.size(file)
        ingested, rolled_up = server.cost(range(FIRST, FIRST + MEASURED))
        grown = server.size(file) - before
    events, processor = MEASURED * BATCH, "microseconds of processor time an event"
    yield Ratio(f"{processor}: decode, check, commit, in requests of {BATCH:,}", 1e6 * ingested / events)
    yield Ratio(f"{processor}: roll-up", 1e6 * rolled_up / events)
    span = f"from {FIRST * BATCH:,} to {(FIRST + MEASURED) * BATCH:,} events"
    yield Ratio(f"bytes in the database an event, {span}", grown / events)
