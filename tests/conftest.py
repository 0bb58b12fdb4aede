"""What tests share: a clock that stands still, the events of tests, and a feed that acts as the server does."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import text

from monitor.domain.events import Event, LabelEvent, PredictionEvent
from monitor.domain.records import Progress, SeriesKey
from monitor.domain.refusals import Refusals
from monitor.domain.settings import Model, ModelSettings
from monitor.domain.times import micros
from monitor.rollup.job import roll_up
from monitor.store import counters, events, journal, lease, models, rollups
from monitor.store.batch import encode
from monitor.store.engine import Database
from monitor.store.journal import JournalRow

settings.register_profile("local", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("local"), max_examples=60, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

pytest_plugins = ["tests.session", "tests.postgres", "tests.databases"]

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Clock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime = NOON) -> None:
        self.micros = micros(start)

    def __call__(self) -> int:
        return self.micros

    def advance(self, span: timedelta) -> None:
        self.micros += span // timedelta(microseconds=1)


class Feed:
    """Events put into the journal as the server does, and rolled up in this process."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self.database = database
        self.clock = clock
        self.token = self.lead("feed")

    def lead(self, holder: str) -> int:
        """Take the lease, from whoever has it, and return its token."""
        with self.database.write() as connection:
            lease.fence(connection)
        token = lease.acquire(self.database, holder, 3600)
        assert token is not None
        return token

    def model(self, name: str = "m", *, task: str | None = "binary", classes: Any = None, **declared: Any) -> Model:
        """Declare a model, or declare it anew."""
        settings = ModelSettings(**declared)
        with self.database.write() as connection:
            old = models.by_name(connection, name)
            if old is not None:
                return models.change(connection, old, task=task, classes=classes, settings=settings)
            return models.create(connection, name, task=task, classes=classes, settings=settings, now=self.clock())

    def send(self, *sent: Event) -> None:
        """Append one batch to the journal."""
        with self.database.write() as connection:
            ids = {model.name: model.id for model in models.everyone(connection)}
            self.append(connection, encode(sent, [ids[event.model] for event in sent]), len(sent))

    def append(self, connection: Any, batch: bytes, count: int) -> None:
        """Append a batch that is encoded already, whatever it holds."""
        row = JournalRow(id=0, received_at=self.clock(), events=count, rejected=Refusals(), batch=batch)
        journal.append(connection, [row])

    def roll_up(self, *, events: int = 4000, token: int | None = None) -> int:
        """Roll up all that waits; return how many events that were."""
        total = 0
        while taken := roll_up(self.database, self.token if token is None else token, now=self.clock, events=events):
            total += taken
        return total

    def take(self, *sent: Event) -> None:
        """Append one batch and roll it up."""
        self.send(*sent)
        self.roll_up()

    def rollups(self, model: Model) -> dict[tuple[SeriesKey, int, int], bytes]:
        """Return all that is stored of a model's sums."""
        with self.database.read() as connection:
            return rollups.everything(connection, model.id)

    def progress(self, model: Model) -> Progress:
        """Return how far a model has come."""
        with self.database.read() as connection:
            return models.progress_of(connection, [model.id])[model.id]

    def counters(self) -> dict[tuple[str, str], int]:
        """Return all counters."""
        with self.database.read() as connection:
            every = Counter(counters.read(connection))
            for (_, name, word), value in counters.by_model(connection).items():
                every[name, word] += value
            return dict(every)

    def forget(self, model: Model) -> None:
        """Delete all that was ever sent for a model, and keep the model."""
        with self.database.write() as connection:
            events.remove_model(connection, model.id)
            rollups.remove_model(connection, model.id)
            models.save_progress(connection, model.id, Progress())
            counters.forget_of_rows(connection, model.id)
            connection.execute(text("DELETE FROM evidence WHERE model_id = :id"), {"id": model.id})
            connection.execute(
                text("UPDATE progress SET taken_until = NULL, takings = 0 WHERE model_id = :id"), {"id": model.id}
            )


def prediction(event_id: str, p: float | None = None, *, at: datetime = NOON, **fields: Any) -> PredictionEvent:
    """Return a prediction event; a single number is the probability of a binary model."""
    given = {"model": "m", **({} if p is None else {"probability": p}), **fields}
    return PredictionEvent(event_id=event_id, timestamp=at, **given)


def label(event_id: str, value: Any, **fields: Any) -> LabelEvent:
    """Return a label event."""
    return LabelEvent(event_id=event_id, label=value, **{"model": "m", **fields})


class Make:
    """The events that tests are made of."""

    prediction = staticmethod(prediction)
    label = staticmethod(label)


@pytest.fixture
def make() -> type[Make]:
    return Make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def feed(database: Database, clock: Clock) -> Feed:
    return Feed(database, clock)


@pytest.fixture
def feed_on(clock: Clock) -> Callable[[Database], Feed]:
    """Return a feed for any database, for tests that compare two."""
    return lambda database: Feed(database, clock)
