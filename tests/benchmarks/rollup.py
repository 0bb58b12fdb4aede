"""Roll-up of old history, where every event falls into another hour, as a share of the speed on fresh traffic."""

import os
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.domain.events import Event, LabelEvent, PredictionEvent
from monitor.domain.refusals import Refusals
from monitor.domain.settings import Model, ModelSettings
from monitor.rollup.job import roll_up
from monitor.runtime.clock import wall_clock
from monitor.store import journal, lease, models
from monitor.store.batch import encode
from monitor.store.engine import Database
from monitor.store.journal import JournalRow
from monitor.store.migrate import upgrade
from tests.benchmarks.measure import Ratio

EVENTS = 60_000
BATCH = 2000
AT_ONCE = 16_000


def stream(age_group: str) -> list[Event]:
    """Return predictions with their labels, of the last minutes or each in an hour of its own."""
    dice = random.Random(age_group)
    now = datetime.now(UTC)
    events: list[Event] = []
    for i in range(EVENTS // 2):
        age = (
            timedelta(milliseconds=10 * i)
            if age_group == "fresh"
            else timedelta(hours=100 + i, minutes=dice.randrange(60))
        )
        p = dice.random()
        events.append(
            PredictionEvent(
                event_id=f"{age_group}-{i}",
                model="",
                model_version="1",
                timestamp=now - age,
                probability=p,
                segments={"parity": str(i % 2)},
            )
        )
        events.append(LabelEvent(event_id=f"{age_group}-{i}", model="", label=int(dice.random() < p)))
    return events


def speed(database: Database, model: Model, events: list[Event], token: int) -> float:
    """Return how many events a second are rolled up."""
    with database.write() as connection:
        rows = [events[first : first + BATCH] for first in range(0, len(events), BATCH)]
        journal.append(
            connection,
            [
                JournalRow(
                    id=0,
                    received_at=wall_clock(),
                    events=len(row),
                    rejected=Refusals(),
                    batch=encode(row, [model.id] * len(row)),
                )
                for row in rows
            ],
        )
    began = time.perf_counter()
    while roll_up(database, token, now=wall_clock, events=AT_ONCE):
        pass
    return len(events) / (time.perf_counter() - began)


def measured(url: str) -> tuple[float, float]:
    """Return the speeds on fresh traffic and on old history."""
    database = Database(url)
    upgrade(database)
    token = lease.acquire(database, "benchmark", 3600)
    assert token is not None
    speeds = {}
    for age_group in ("warm", "fresh", "old"):
        settings = ModelSettings(segments=("parity",))
        with database.write() as connection:
            name = f"{age_group}-{time.time_ns()}"
            model = models.create(connection, name, task="binary", classes=None, settings=settings, now=wall_clock())
        events = stream(age_group)
        speeds[age_group] = speed(database, model, events[:4000] if age_group == "warm" else events, token)
    database.close()
    return speeds["fresh"], speeds["old"]


def run() -> Iterator[Ratio]:
    """Yield the ratio on SQLite and, where CALWATCH_TEST_POSTGRES_URL names a server, on Postgres."""
    with tempfile.TemporaryDirectory() as folder:
        fresh, old = measured(f"sqlite:///{Path(folder) / 'bench.db'}")
    yield Ratio("roll-up on SQLite: old history over fresh traffic, events a second", old / fresh, "at least 0.33")
    url = os.environ.get("CALWATCH_TEST_POSTGRES_URL")
    if url:
        fresh, old = measured(url)
        yield Ratio(
            "roll-up on Postgres: old history over fresh traffic, events a second", old / fresh, "at least 0.33"
        )
