"""Roll-up of predictions with their labels: as a share of a bare insert of the same rows into equal tables with one unique index; and of
old history, where every event falls into another hour, as a share of the speed on fresh traffic."""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, MetaData, Table, UniqueConstraint

from monitor.domain.events import Event, LabelEvent, PredictionEvent
from monitor.domain.refusals import Refusals
from monitor.domain.settings import Model, ModelSettings
from monitor.rollup.job import roll_up
from monitor.runtime import collector
from monitor.runtime.clock import wall_clock
from monitor.store import journal, lease, models, schema
from monitor.store.batch import encode
from monitor.store.bulk import append
from monitor.store.engine import Database
from monitor.store.journal import JournalRow
from monitor.store.migrate import upgrade
from tests.benchmarks.measure import Ratio

EVENTS: Final = 60_000
BATCH: Final = 2000
AT_ONCE: Final = 16_000
ROUNDS: Final = 5

bare = MetaData()


def _bare(of: Table) -> Table:
    """Return a table with the columns of another, and one unique index."""
    columns = [Column(column.name, column.type, primary_key=column.primary_key) for column in of.columns]
    return Table(f"bare_{of.name}", bare, *columns, UniqueConstraint("key", "event_id"))


BARE: Final = {schema.prediction: _bare(schema.prediction), schema.label: _bare(schema.label)}


def stream(age_group: str, name: str) -> list[Event]:
    """Return predictions with their labels, of the last minutes or each in an hour of its own, in batches that hold both."""
    dice = random.Random(name)
    now = datetime.now(UTC)
    events: list[Event] = []
    for i in range(EVENTS // 2):
        age = (
            timedelta(hours=100 + i, minutes=dice.randrange(60))
            if age_group == "old"
            else timedelta(milliseconds=10 * i)
        )
        p, case = dice.random(), f"{dice.getrandbits(96):024x}"
        events.append(
            PredictionEvent(
                event_id=case,
                model="",
                model_version="1",
                timestamp=now - age,
                probability=p,
                segments={"parity": str(i % 2)},
            )
        )
        events.append(LabelEvent(event_id=case, model="", label=int(dice.random() < p)))
    return events


class Rolled:
    """A database in which events are rolled up."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        upgrade(self.database)
        token = lease.acquire(self.database, "benchmark", 3600)
        assert token is not None
        self.token = token

    def model(self) -> Model:
        with self.database.write() as connection:
            name = f"m-{time.time_ns()}"
            settings = ModelSettings(segments=("parity",))
            return models.create(connection, name, task="binary", classes=None, settings=settings, now=wall_clock())

    def speed(self, model: Model, events: list[Event]) -> float:
        """Return how many events a second are rolled up."""
        with self.database.write() as connection:
            rows = [events[first : first + BATCH] for first in range(0, len(events), BATCH)]
            journal.append(connection, [_row(row, model) for row in rows])
        began = time.perf_counter()
        while roll_up(self.database, self.token, now=wall_clock, events=AT_ONCE):
            pass
        return len(events) / (time.perf_counter() - began)

    def inserting(self, model: Model) -> float:
        """Return how many of the rows of a model's events are inserted a second, in transactions of the same size, and no more."""
        rows = {table: self._rows(table, model) for table in BARE}
        with self.database.write() as connection:
            bare.drop_all(connection)
            bare.create_all(connection)
        began, count = time.perf_counter(), 0
        for first in range(0, EVENTS // 2, AT_ONCE // 2):
            with self.database.write() as connection:
                for table, target in BARE.items():
                    part = rows[table][first : first + AT_ONCE // 2]
                    append(connection, target, [column.name for column in target.columns], part)
                    count += len(part)
        return count / (time.perf_counter() - began)

    def _rows(self, table: Table, model: Model) -> list[Any]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(table.select().where(table.c.model_id == model.id))]


def _row(events: list[Event], model: Model) -> JournalRow:
    batch = encode(events, [model.id] * len(events))
    return JournalRow(id=0, received_at=wall_clock(), events=len(events), rejected=Refusals(), batch=batch)


def measured(url: str, where: str) -> Iterator[Ratio]:
    """Yield the ratios on one database."""
    collector.settle()  # as servers and workers do
    rolled = Rolled(url)
    rolled.speed(rolled.model(), stream("fresh", "warm")[:4000])
    rounds = []
    for number in range(ROUNDS):
        model = rolled.model()
        fresh = rolled.speed(model, stream("fresh", f"fresh {number}"))
        floor = rolled.inserting(model)
        old = rolled.speed(rolled.model(), stream("old", f"old {number}"))
        rounds.append((fresh, floor, old))
    fresh, floor, old = (statistics.median(column) for column in zip(*rounds, strict=True))
    rolled.database.close()
    yield Ratio(f"roll-up on {where}: events a second over a bare insert of their rows", fresh / floor, "at least 0.5")
    yield Ratio(f"roll-up on {where}: old history over fresh traffic, events a second", old / fresh, "at least 0.33")


def run() -> Iterator[Ratio]:
    """Yield the ratios on SQLite and, where CALWATCH_TEST_POSTGRES_URL names a server, on Postgres."""
    with tempfile.TemporaryDirectory() as folder:
        yield from measured(f"sqlite:///{Path(folder) / 'bench.db'}", "SQLite")
    url = os.environ.get("CALWATCH_TEST_POSTGRES_URL")
    if url:
        yield from measured(url, "Postgres")
