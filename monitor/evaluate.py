"""Evaluate: the newest window of every version and segment of every model, to stored figures."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection

from monitor import windowed
from monitor.errors import LeaseLost, Unavailable
from monitor.figures import Question, drift, evaluation, finite
from monitor.records import Model
from monitor.stats.summary import Summary
from monitor.store import evaluations, models
from monitor.store.engine import Database
from monitor.store.evaluations import Stored
from monitor.store.lease import hold
from monitor.times import parse_duration
from monitor.windowed import Clocked
from monitor.windows import widened

log = logging.getLogger(__name__)


def calibration(connection: Connection, clock: Clocked, window: str) -> Iterator[Stored]:
    """Yield figures of the newest matured window of every version and segment."""
    if clock.matured_until is None:
        return
    length = parse_duration("window", window)
    start, end = widened(clock.matured_until - length, clock.matured_until, clock.progress.minutes_from)
    before = windowed.by_place(connection, clock.model, start - (end - start), start)
    for place, summary in windowed.by_place(connection, clock.model, start, end).items():
        question = _question(clock, place, start, end)
        yield _stored(question, window, "calibration", finite(evaluation(question, summary, before.get(place))))


def score_drift(connection: Connection, clock: Clocked, window: str) -> Iterator[Stored]:
    """Yield the drift of the newest window's scores, which need no labels, from the reference."""
    if clock.newest_end is None:
        return
    length = parse_duration("window", window)
    start, end = widened(clock.newest_end - length, clock.newest_end, clock.progress.minutes_from)
    first, last = reference_of(clock, start, end)
    reference = windowed.by_place(connection, clock.model, first, last)
    for place, summary in windowed.by_place(connection, clock.model, start, end).items():
        question = _question(clock, place, start, end)
        against = reference.get(place, Summary.of([]))
        yield _stored(question, window, "drift", finite(drift(question, summary, against, (first, last))))


def reference_of(clock: Clocked, start: int, end: int) -> tuple[int, int]:
    """Return the range that scores are compared with: the declared one, else the equally long one just before."""
    first, last = clock.model.settings.reference or (start - (end - start), start)
    return widened(first, last, clock.progress.minutes_from)


def _question(clock: Clocked, place: windowed.Place, start: int, end: int) -> Question:
    matured = clock.matured_until is not None and end <= clock.matured_until
    version, segment = place
    return Question(model=clock.model, version=version, segment=segment, start=start, end=end, matured=matured)


def _stored(question: Question, window: str, kind: str, fields: dict[str, Any]) -> Stored:
    return Stored(
        model_id=question.model.id,
        version=question.version or "",
        segment=question.segment,
        window=window,
        kind=kind,
        end=question.end,
        fields=fields,
    )


def run_model(database: Database, token: int, model: Model, now: int) -> int:
    """Evaluate one model; return how many figures were stored."""
    with database.read() as connection:
        clock = windowed.clocked(connection, model, now)
        rows = [
            row
            for window in model.settings.windows
            for stage in (calibration, score_drift)
            for row in stage(connection, clock, window)
        ]
    with database.write(patient=True) as connection:
        hold(connection, token)
        evaluations.save(connection, rows, now)
        evaluations.retain(connection, model.id, [(row.version, row.segment, row.window, row.kind) for row in rows])
    return len(rows)


def run(database: Database, token: int, *, now: Callable[[], int]) -> int:
    """Evaluate all models; return how many figures were stored.

    Raises
    ------
    LeaseLost
        when another process leads now.

    """
    with database.read() as connection:
        everyone = models.everyone(connection)
    done = 0
    for model in everyone:
        try:
            done += run_model(database, token, model, now())
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("model %s could not be evaluated", model.name)
    return done
