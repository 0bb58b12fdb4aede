"""One model's life in simulated time: events go through the journal, the stages run on a schedule, and serving applies the champion."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, expit, logit

from monitor.calibrators.compiled import compile_scalar
from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.refusals import Refusals
from monitor.domain.settings import Model, ModelSettings
from monitor.domain.times import DAY, HOUR, micros, moment
from monitor.recalibrate.job import champion_document
from monitor.rollup.job import roll_up
from monitor.runtime.stages import run_stages
from monitor.store import alerts, audit, journal, lease, models, versions
from monitor.store.batch import encode
from monitor.store.engine import Database
from monitor.store.journal import JournalRow
from monitor.store.schema import secret

Floats = NDArray[np.float64]

BEGIN: Final = micros(datetime(2026, 1, 5, tzinfo=UTC))
STEP: Final = 12 * HOUR
SETTINGS: Final = ModelSettings(label_delay=6 * HOUR, recalibration="auto")
DAYS_AFTER_SHIFT: Final = 36
SHIFTED_ECE: Final = 0.10
SHAPES: Final = ((1.0, 1.0), (2.0, 2.0), (0.7, 0.7), (3.0, 1.5), (1.0, 3.0))
"""Beta distributions that confidences come from; the first is uniform."""
GRID: Final = 20_001


@dataclass(frozen=True, slots=True)
class Temperature:
    """What happens to log odds: they are multiplied."""

    factor: float

    def __call__(self, p: Floats) -> Floats:
        return np.asarray(expit(self.factor * logit(p)))


@dataclass(frozen=True)
class World:
    """What one seed draws: how much traffic there is, which confidences, and how they break when they do."""

    seed: int
    shifts: bool
    days: int  # that it lives, unless it shifts

    @cached_property
    def _drawn(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1])

    @cached_property
    def per_day(self) -> int:
        return int(self._drawn.integers(300, 701))

    @cached_property
    def shift_at(self) -> int | None:
        """When it breaks, at any moment of some day."""
        return BEGIN + int(np.random.default_rng([self.seed, 2]).uniform(8 * DAY, 15 * DAY)) if self.shifts else None

    @property
    def end(self) -> int:
        return BEGIN + self.days * DAY if self.shift_at is None else self.shift_at + DAYS_AFTER_SHIFT * DAY

    @property
    def shape(self) -> tuple[float, float]:
        return SHAPES[self.seed % len(SHAPES)]

    @property
    def overconfident(self) -> bool:
        return self.seed % 3 != 0

    @property
    def scores_move(self) -> bool:
        """Whether the scores change and the outcomes stay, or the other way round."""
        return self.seed % 2 == 0

    def confidences(self, u: Floats) -> Floats:
        """Return quantiles of the calibrated confidences."""
        return np.asarray(betaincinv(*self.shape, u))

    def after(self, base: Floats) -> tuple[Floats, Floats]:
        """Return raw scores and true probabilities after the shift, from calibrated confidences."""
        moved = self._temperature(base)
        return (moved, base) if self.scores_move else (base, moved)

    @cached_property
    def _temperature(self) -> Temperature:
        base = self.confidences((np.arange(GRID) + 0.5) / GRID)

        def error(log_factor: float) -> float:
            return float(np.abs(Temperature(np.exp(log_factor))(base) - base).mean()) - SHIFTED_ECE

        sharper = self.overconfident == self.scores_move
        return Temperature(float(np.exp(brentq(error, 0.0, 6.0 if sharper else -6.0))))

    def ece_after(self, serve: Callable[[Floats], Floats]) -> float:
        """Return the true ECE after the shift of what is served, exactly: the mean gap to the known probabilities."""
        raw, truth = self.after(self.confidences((np.arange(GRID) + 0.5) / GRID))
        return float(np.abs(serve(raw) - truth).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What happened; times are microseconds of event time."""

    seed: int
    per_day: int
    shift_at: int | None
    predictions: int
    alarms: list[dict[str, Any]]  # transitions, oldest first
    promoted_at: list[int]
    refusals: list[str]
    fitted_from: list[int]  # where each version's labels begin
    raw_ece: float | None  # after the shift
    served_ece: float | None  # after the shift, by the last champion
    labels_to_alarm: int | None  # predictions between the shift and the end of the window that alarmed
    labels_to_promotion: int | None


@dataclass(slots=True)
class Simulation:
    """A database, a world, and the events between them."""

    database: Database
    world: World
    model: Model
    token: int
    now: int = BEGIN
    sent: int = 0
    waiting: list[tuple[int, str, int]] = field(default_factory=list)  # labels: when they come, of what, which
    predicted_at: list[Floats] = field(default_factory=list)

    @classmethod
    def begin(cls, database: Database, world: World) -> "Simulation":
        with database.write() as connection:
            # Which events are in the random half is part of what a seed draws.
            connection.execute(secret.update().values(value=world.seed.to_bytes(32, "little")))
            model = models.create(connection, "m", task="binary", classes=None, settings=SETTINGS, now=BEGIN)
        token = lease.acquire(database, "simulation", 3600)
        if token is None:
            raise RuntimeError("another process leads")
        return cls(database=database, world=world, model=model, token=token)

    def run(self) -> None:
        random = np.random.default_rng([self.world.seed, 3])
        while self.now < self.world.end:
            batch = [*self._predictions(random, self.now + STEP), *self._labels(self.now + STEP)]
            self.now += STEP
            self._send(batch)
            self._stages()

    def _predictions(self, random: np.random.Generator, until: int) -> Iterator[PredictionEvent]:
        count = int(random.poisson(self.world.per_day * STEP / DAY))
        at = np.sort(random.integers(self.now, until, count))
        base = self.world.confidences(random.uniform(size=count))
        shifted = np.zeros(count, dtype=bool) if self.world.shift_at is None else at >= self.world.shift_at
        raw, truth = (np.where(shifted, after, base) for after in self.world.after(base))
        y = random.uniform(size=count) < truth
        delay = random.uniform(0, HOUR * 5.9, count)
        number, serve = self._champion()
        self.predicted_at.append(at.astype(np.float64))
        for i, (moment_at, p) in enumerate(zip(at.tolist(), raw.tolist(), strict=True)):
            self.sent += 1
            name = f"e{self.sent}"
            self.waiting.append((moment_at + int(delay[i]), name, int(y[i])))
            applied = {} if number is None else {"raw_probability": p, "calibrator_version": number}
            yield PredictionEvent(
                event_id=name, model="m", timestamp=moment(moment_at), probability=serve(p), **applied
            )

    def _labels(self, until: int) -> Iterator[LabelEvent]:
        due = sorted(each for each in self.waiting if each[0] < until)
        self.waiting = [each for each in self.waiting if each[0] >= until]
        for at, name, y in due:
            yield LabelEvent(event_id=name, model="m", label=y, timestamp=moment(at))

    def _champion(self) -> tuple[int | None, Callable[[float], float]]:
        with self.database.read() as connection:
            document = champion_document(connection, self.model)
        return (None, float) if document is None else (document.number, compile_scalar(document.working_part))

    def _send(self, batch: list[Any]) -> None:
        row = JournalRow(
            id=0,
            received_at=self.now,
            events=len(batch),
            rejected=Refusals(),
            batch=encode(batch, [self.model.id] * len(batch)),
        )
        with self.database.write() as connection:
            journal.append(connection, [row])

    def _stages(self) -> None:
        def clock() -> int:
            return self.now

        while roll_up(self.database, self.token, now=clock, events=4000):
            pass
        run_stages(self.database, self.token, now=clock, notify=False)

    def report(self) -> Report:
        with self.database.read() as connection:
            transitions = alerts.transitions(connection, self.model.id, 1000)[::-1]
            entries = audit.entries(connection, self.model.id)
            documents = versions.documents(connection, self.model.id)[::-1]
        alarms = [
            {"kind": each.kind, "state": each.state, "window": each.window, "at": each.at} for each in transitions
        ]
        fired = [each["at"] for each in alarms if (each["kind"], each["state"]) == ("miscalibration", "firing")]
        promoted = [micros(each.at) for each in entries if each.action == "promote"]
        number, serve = self._champion()
        broken = self.world.shift_at is not None
        return Report(
            seed=self.world.seed,
            per_day=self.world.per_day,
            shift_at=self.world.shift_at,
            predictions=self.sent,
            alarms=alarms,
            promoted_at=promoted,
            refusals=[each.detail.reason for each in entries if each.action == "refuse"],
            fitted_from=[micros(each.fitted_from.start) for each in documents],
            raw_ece=self.world.ece_after(lambda p: p) if broken else None,
            served_ece=self.world.ece_after(np.vectorize(serve)) if broken and number else None,
            labels_to_alarm=self._since_shift(fired),
            labels_to_promotion=self._since_shift(promoted),
        )

    def _since_shift(self, moments: list[int]) -> int | None:
        if self.world.shift_at is None or not moments:
            return None
        at = np.concatenate(self.predicted_at)
        return int(((at >= self.world.shift_at) & (at < moments[0])).sum())


def simulated(url: str, world: World) -> Report:
    """Live one model's life in a database that has the schema and is empty."""
    with closing(Database(url)) as database:
        simulation = Simulation.begin(database, world)
        simulation.run()
        return simulation.report()
