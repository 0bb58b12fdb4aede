"""A model's own time, which its events set, and the moment up to which its labels have matured."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from ..domain.cohorts import DUE_STEP
from ..domain.delays import delay_limit
from ..domain.names import CHAMPION
from ..domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP, Progress
from ..domain.settings import VALIDATION, Model
from ..domain.times import DAY, HOUR, floor, micros
from ..store import coverage, journal, models, versions
from ..store.coverage import Totals
from ..store.rollups import Span
from .delays import Aged
from .ranges import Range, learned_delay, matured_until, newest_end, own_time

HOURLY: Final = DAY
"""Age up to which unlabelled predictions are counted by the hour; older ones by the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """A model with its own time."""

    model: Model
    now: int
    progress: Progress
    delay: int  # of labels, declared or learned
    matured_until: int | None
    newest_end: int | None
    fitted_on: Range | Literal["validation"] | None = None  # by the champion, where drift is measured against that


def clocked(connection: Connection, model: Model, now: int) -> Clocked:
    """Return a model with its own time."""
    progress = models.progress_of(connection, [model.id])[model.id]
    declared = model.settings.label_delay
    delay = learned_now(connection, model, progress, now) if declared is None else declared
    return Clocked(
        model=model,
        now=now,
        progress=progress,
        delay=delay,
        matured_until=matured_until(progress, delay, now),
        newest_end=newest_end(progress),
        fitted_on=fitted_on(connection, model) if model.settings.reference == CHAMPION else None,
    )


def fitted_on(connection: Connection, model: Model) -> Range | Literal["validation"] | None:
    """Return the range that the champion was fitted and judged on, or that this was the validation set."""
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    number = None if champion is None else champion.number
    document = None if number is None else versions.document(connection, model.id, number)
    if document is None:
        return None
    source = document.fitted_from
    if source.source == VALIDATION:
        return "validation"
    if source.start is None or source.end is None:
        return None
    return micros(source.start), micros(source.end)


def due_until(connection: Connection, model: Model, now: int) -> int | None:
    """Return the moment by which cohorts are due for the sequential tests; None while nobody knows how long labels take.

    What waits in the journal may belong to a cohort, so none matures that it may belong to. Before the first label of a model that learns
    its delay nothing does: else the first labels of all models would come too late.
    """
    progress = models.progress_of(connection, [model.id])[model.id]
    delay = model.settings.label_delay
    if delay is None:
        if not progress.labels:
            return None
        delay = learned_now(connection, model, progress, now)
    _, waiting_since = journal.backlog(connection)
    matured = now - delay if waiting_since is None else min(now - delay, waiting_since - 1)
    return floor(matured, DUE_STEP)


def learned_now(connection: Connection, model: Model, progress: Progress, now: int) -> int:
    """Return the learned label delay; predictions that are still unlabelled count."""
    seen = models.delays(connection, model.id)
    return learned_delay(seen, aged(connection, model, progress, seen, now)) if seen else 0


def aged(connection: Connection, model: Model, progress: Progress, seen: Collection[int], now: int) -> list[Aged]:
    """Return predictions and unlabelled ones by age: by the hour up to a day, by the day up to the longest delay seen, then as one."""
    present = own_time(progress, now)
    if present is None or not seen:
        return []
    longest = delay_limit(max(seen))
    first = floor(present - longest, DAY if longest > HOURLY else HOUR)
    border = max(first, floor(present - HOURLY, DAY)) if longest > HOURLY else first
    totals = coverage.totals(connection, model.id, _coarse(first, border, present))
    young = [_aged(bucket, present) for bucket in totals]
    older = progress.predictions - sum(group.predictions for group in young)
    unlabelled = progress.predictions - progress.labels - sum(group.unlabelled for group in young)
    ancient = present - first + 1
    return [*young, Aged(youngest=ancient, oldest=ancient, predictions=max(older, 0), unlabelled=max(unlabelled, 0))]


def _coarse(first: int, border: int, present: int) -> list[Span]:
    days = [Span(DAY_LEVEL, first, border)] if first < border else []
    return [*days, Span(HOUR_LEVEL, border, present + HOUR)]


def _aged(bucket: Totals, present: int) -> Aged:
    return Aged(
        youngest=max(0, present - bucket.begin - LEVEL_STEP[bucket.level]),
        oldest=max(0, present - bucket.begin),
        predictions=bucket.predictions,
        unlabelled=bucket.predictions - bucket.labelled,
    )
