"""Event time of a model: how far its predictions and labels have come, and until when labels have matured."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from ..domain.delays import delay_limit
from ..domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP, Progress
from ..domain.settings import CHAMPION, VALIDATION, Model
from ..domain.times import DAY, HOUR, floor, micros
from ..store import coverage, models, versions
from ..store.coverage import Totals
from ..store.rollups import Span
from .delays import Aged
from .ranges import Range, learned_delay, matured_until, newest_end, own_time

HOURLY: Final = DAY

"""Up to this age, what is unlabelled is told apart by hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """A model with where it stands in its own time."""

    model: Model
    now: int
    progress: Progress
    delay: int  # of labels, declared or learned
    matured_until: int | None
    newest_end: int | None
    fitted_on: Range | Literal["validation"] | None = (
        None  # what the champion was fitted on, where drift is measured against that
    )


def clocked(connection: Connection, model: Model, now: int) -> Clocked:
    """Return where a model stands in its own time."""
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
        fitted_on=_fitted_on(connection, model) if model.settings.reference == CHAMPION else None,
    )


def _fitted_on(connection: Connection, model: Model) -> Range | Literal["validation"] | None:
    """Return the range whose labels the calibrator in service was fitted and judged on, or that it was the validation set."""
    champion = versions.aliases(connection, model.id).get(versions.CHAMPION)
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


def learned_now(connection: Connection, model: Model, progress: Progress, now: int) -> int:
    """Return the label delay that is learned from what has come and from what has not come yet."""
    seen = models.delays(connection, model.id)
    return learned_delay(seen, aged(connection, model, progress, seen, now)) if seen else 0


def aged(connection: Connection, model: Model, progress: Progress, seen: Collection[int], now: int) -> list[Aged]:
    """Return how many predictions are unlabelled, by age; those older than the longest delay seen count as one group.

    Ages are told apart by hours up to a day, and by days beyond.
    """
    present = own_time(progress, now)
    if present is None or not seen:
        return []
    longest = delay_limit(max(seen))
    first = floor(present - longest, DAY if longest > HOURLY else HOUR)
    border = max(first, floor(present - HOURLY, DAY)) if longest > HOURLY else first
    young = [_aged(each, present) for each in coverage.totals(connection, model.id, _coarse(first, border, present))]
    older = progress.predictions - sum(each.predictions for each in young)
    unlabelled = progress.predictions - progress.labels - sum(each.unlabelled for each in young)
    ancient = present - first + 1
    return [*young, Aged(youngest=ancient, oldest=ancient, predictions=max(older, 0), unlabelled=max(unlabelled, 0))]


def _coarse(first: int, border: int, present: int) -> list[Span]:
    days = [Span(DAY_LEVEL, first, border)] if first < border else []
    return [*days, Span(HOUR_LEVEL, border, present + HOUR)]


def _aged(found: Totals, present: int) -> Aged:
    return Aged(
        youngest=max(0, present - found.begin - LEVEL_STEP[found.level]),
        oldest=max(0, present - found.begin),
        predictions=found.predictions,
        unlabelled=found.predictions - found.labelled,
    )
