"""Replay other settings over stored history, step by step in event time; nothing stored changes.

The stages are those that run live, on a database of their own, with a clock that moves in steps. At each step they get what was known by
then. A replay begins without a calibrator; those it promotes are applied to the raw scores of all later predictions, canaries are not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from ..calibrators.distribution_rows import objects
from ..calibrators.families import from_document
from ..domain.errors import BadInput
from ..domain.records import LabelRow, PredictionRow
from ..domain.settings import Model, ModelSettings, settings_from, task_from
from ..domain.times import HOUR, MINUTE, ceil, floor, parse_bound, parse_span
from ..recalibrate.job import champion_document
from ..rollup.effects import effects_of_rows
from ..rollup.job import write
from ..rollup.join import Arrival
from ..store import events, lease
from ..store.calibrators import Calibrator
from ..store.engine import Database
from ..store.payload import distributions_of, vectors_of, with_distributions, with_vectors
from ..store.scratch import put_twin, scratch
from ..windows.clock import clocked
from .replay_outcome import ReplayOutcome, outcome_of
from .stages import EVALUATE, stages

MOST_STEPS: Final = 20_000
USUAL_STEPS: Final = 2000
"""Without a `step` there are at most so many."""

MOST_EVENTS: Final = 2_000_000
BATCH: Final = 10_000
RUN_UP: Final = 8
"""This multiple of the longest window before the start is replayed as history."""

FOREVER: Final = 1e6
"""Seconds of the lease on the replay's own database."""

Report = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings and the range of a replay."""

    settings: ModelSettings
    start: int | None  # microseconds of event time; None: the beginning of the history
    end: int | None  # None: its end
    step: int | None  # None: an hour, or so many that there are at most `USUAL_STEPS`


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A model's stored events, each with the time at which it was known."""

    hash_key: bytes
    predictions: list[PredictionRow]  # in the order of time
    labels: list[tuple[int, LabelRow]]  # with the time at which each was known, in that order
    traffic: (
        tuple[int, int] | None
    )  # time of the first prediction, and at which the last event was known; None without any
    left_out: int  # predictions without a raw score


def plan_of(model: Model, policy: Mapping[str, Any]) -> Plan:
    """Return the plan of a policy: settings of the model, with `start`, `end` and `step`.

    Raises
    ------
    BadInput
        naming the unusable setting.
    Conflict
        for another task or other classes than the model's.

    """
    own = {"start", "end", "step"}
    settings = {name: value for name, value in policy.items() if name not in own}
    task_from(model, settings)
    start, end = (None if policy.get(name) is None else parse_bound(name, policy[name]) for name in ("start", "end"))
    if start is not None and end is not None and start >= end:
        raise BadInput("end", policy["end"], "must be after start")
    step = None if policy.get("step") is None else parse_span("step", policy["step"])
    if step is not None and step < MINUTE:
        raise BadInput("step", policy["step"], "must be at least 1m")
    return Plan(settings=settings_from(model.settings, settings), start=start, end=end, step=step)


def history(
    connection: Connection, model: Model, plan: Plan, now: int, *, report: Report = lambda _done, _total: None
) -> History:
    """Return the events of a replay.

    A label is known at its own time; one without a time once the label delay has passed since its prediction; a later label of an event
    never before an earlier one. The validation set is known with its labels at its own time, however old.

    Raises
    ------
    BadInput
        for too many predictions.

    """
    declared = plan.settings.label_delay
    delay = clocked(connection, model, now).delay if declared is None else declared
    first = 0 if plan.start is None else plan.start - RUN_UP * plan.settings.longest_window
    last = now if plan.end is None else plan.end
    predictions: list[PredictionRow] = []
    labels: list[tuple[int, LabelRow]] = []
    reference: list[tuple[int, LabelRow]] = []
    left_out = 0
    for chunk in events.scan(connection, model.id, reference=None):
        report(0, 0)
        rows = [row for row in chunk if (first <= row.at or row.reference) and row.at < last]
        usable = [row for row in rows if row.calibrator is None or row.raw is not None]
        left_out += len(rows) - len(usable)
        predictions += usable
        labels_by_event = events.labels_of(connection, [row.key for row in usable])
        for row in usable:
            of_row = labels_by_event.get(row.ref, ())
            if row.reference:
                reference += [(row.at, label) for label in of_row]
            else:
                labels += _known(row, of_row, delay)
        if len(predictions) > MOST_EVENTS:
            raise BadInput("start", None, f"more than {MOST_EVENTS} predictions: give a later start")
    predictions.sort(key=lambda row: row.at)
    return History(
        hash_key=events.hash_key(connection),
        predictions=predictions,
        labels=sorted([*labels, *reference], key=lambda known: known[0]),
        traffic=_extent([row.at for row in predictions if not row.reference], [known for known, _ in labels]),
        left_out=left_out,
    )


def _extent(predicted: Sequence[int], known: Sequence[int]) -> tuple[int, int] | None:
    return (predicted[0], max([predicted[-1], *known])) if predicted else None


def _known(row: PredictionRow, labels: Sequence[LabelRow], delay: int) -> Iterator[tuple[int, LabelRow]]:
    known = 0
    for label in labels:
        known = max(known, row.at + delay if label.at is None else label.at)
        yield known, label


def replay_history(
    model: Model, plan: Plan, past: History, *, report: Report = lambda _done, _total: None
) -> ReplayOutcome:
    """Return what a policy would have done.

    Raises
    ------
    BadInput
        for too many steps.

    """
    moments = _moments(plan, past)
    with scratch(past.hash_key) as database:
        token = lease.acquire(database, "replay", FOREVER)
        if token is None:
            raise LookupError("the lease of a new database is taken")
        with database.write() as connection:
            twin = put_twin(connection, replace(model, settings=plan.settings))
        feed = _Feed(database, twin, past)
        replayed = [stage for stage in stages(notify=False) if stage.replayed]
        evaluations = 0
        for done, now in enumerate(moments, start=1):
            feed.up_to(now)
            for stage in replayed:
                result = stage.run(database, token, twin, now)
                evaluations += result if stage.name == EVALUATE else 0
            report(done, len(moments))
        with database.read() as connection:
            return outcome_of(connection, twin, evaluations=evaluations, left_out=past.left_out)


def _moments(plan: Plan, past: History) -> list[int]:
    """Return the moments at which the stages run: the ends of the steps, up to the first after everything is known."""
    if past.traffic is None:
        return []
    begin, newest = past.traffic
    start = begin if plan.start is None else plan.start
    end = newest if plan.end is None else min(plan.end, newest)
    step = _usual_step(end - start) if plan.step is None else plan.step
    first, last = floor(start, step) + step, ceil(end + 1, step)
    count = (last - first) // step + 1
    if count > MOST_STEPS:
        raise BadInput("step", step // 1_000_000, f"gives {count} steps; at most {MOST_STEPS}: make it longer")
    return list(range(first, last + 1, step))


def _usual_step(length: int) -> int:
    """Return the fewest hours that give at most `USUAL_STEPS` steps."""
    return HOUR * max(1, -(-length // (HOUR * (USUAL_STEPS - 2))))


class _Feed:
    """Feed the twin with the events known by a moment."""

    def __init__(self, database: Database, twin: Model, past: History) -> None:
        self._database = database
        self._twin = twin
        self._past = past
        self._predictions = 0
        self._labels = 0

    def up_to(self, now: int) -> None:
        predictions, labels = self._past.predictions, self._past.labels
        first, self._predictions = self._predictions, _reached(predictions, self._predictions, lambda row: row.at, now)
        early, self._labels = self._labels, _reached(labels, self._labels, lambda known: known[0], now)
        served = self._served(predictions[first : self._predictions], now)
        known = [replace(row, received_at=at, rolled_at=now) for at, row in labels[early : self._labels]]
        rows: list[Arrival] = [*served, *known]
        for begin in range(0, len(rows), BATCH):
            with self._database.write() as connection:
                write(connection, effects_of_rows(connection, rows[begin : begin + BATCH]))

    def _served(self, rows: Sequence[PredictionRow], now: int) -> list[PredictionRow]:
        bare = [_bare(row, self._twin, now) for row in rows]
        reference, traffic = [row for row in bare if row.reference], [row for row in bare if not row.reference]
        with self._database.read() as connection:
            document = champion_document(connection, self._twin)
        return bare if document is None or not traffic else [*reference, *_calibrated(traffic, self._twin, document)]


def _reached(rows: Sequence[Any], place: int, time_of: Callable[[Any], int], now: int) -> int:
    while place < len(rows) and time_of(rows[place]) <= now:
        place += 1
    return place


def _bare(row: PredictionRow, twin: Model, now: int) -> PredictionRow:
    """Return a prediction without its calibrator, received when it was made."""
    bare = replace(row, received_at=row.at, rolled_at=now, revision=twin.revision, calibrator=None)
    if row.raw is None:
        return bare
    if twin.task == "regression":
        return replace(bare, p=row.raw, raw=None, payload=with_distributions(row, distributions_of(row)[1], None))
    if twin.task == "multiclass":
        return replace(bare, p=row.raw, raw=None, payload=with_vectors(row, vectors_of(row, twin.classes)[1], None))
    return replace(bare, p=row.raw, raw=None)


def _calibrated(rows: Sequence[PredictionRow], twin: Model, champion: Calibrator) -> list[PredictionRow]:
    """Return predictions as a calibrator would have served them."""
    number, calibrator = champion.number, from_document(champion.working_part)
    if twin.task == "regression":
        raw = objects(distributions_of(row)[1] for row in rows)
        return [
            replace(
                row,
                p=after.location,
                raw=before.location,
                calibrator=number,
                payload=with_distributions(row, after, before),
            )
            for row, after, before in zip(rows, calibrator.predict_proba(raw), raw, strict=True)
        ]
    if twin.task != "multiclass":
        served = calibrator.predict_proba(np.array([row.p for row in rows])).tolist()
        return [replace(row, p=p, raw=row.p, calibrator=number) for row, p in zip(rows, served, strict=True)]
    vectors = [vectors_of(row, twin.classes)[1] for row in rows]
    served = calibrator.predict_proba(np.array(vectors)).tolist()
    return [
        replace(row, p=max(after), raw=max(before), calibrator=number, payload=with_vectors(row, after, before))
        for row, after, before in zip(rows, served, vectors, strict=True)
    ]
