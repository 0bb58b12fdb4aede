"""Roll up the oldest journal batches: join labels with predictions and add to the sums, exactly once.

Everything is read and computed before the transaction. That is safe because only the holder of the lease changes these
rows, and the transaction begins by checking the fencing token, which differs if anybody else has led in between. The
sequential tests of the same leader may have advanced meanwhile: then all is computed again inside the transaction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from ..domain.errors import LeaseLost, Unavailable
from ..domain.records import MINUTE_LEVEL
from ..store import clusters, counters, journal, names, rollups, sequential
from ..store.batch import decode, encode
from ..store.engine import Database, savepoint
from ..store.events import add_conflicts, add_labels, add_predictions
from ..store.journal import JournalRow
from ..store.lease import hold
from ..store.models import add_delays, save_progress
from ..store.summaries import Summaries
from . import refusals
from .effects import Addition, Effects, Received, addition_of, effects_of, series_ids
from .sums import Sums

log = logging.getLogger(__name__)


def write(connection: Connection, effects: Effects) -> None:
    """Write the changes that events cause."""
    add_predictions(connection, effects.joined.predictions)
    add_labels(connection, effects.joined.labels)
    add_conflicts(connection, effects.joined.conflicts)
    for addition in effects.additions:
        _add(connection, addition)
    clusters.save(connection, effects.clusters)
    for model_id, before in effects.stale_minutes.items():
        numbers = list(rollups.series_ids(connection, model_id).values())
        rollups.prune(connection, numbers, MINUTE_LEVEL, before)
    for model_id, state in effects.progress.items():
        save_progress(connection, model_id, state)
    add_delays(connection, effects.delays)
    counters.add(connection, effects.counts)
    counters.add_by_model(connection, effects.counts_by_model)
    refusals.add_conflicts(connection, effects.joined.conflicts)
    names.add(connection, effects.names)


def _add(connection: Connection, addition: Addition) -> None:
    sums = addition.sums
    ids = series_ids(connection, sums.series)
    numbers = [ids[key] if key in ids else rollups.add_series(connection, key) for key in sums.series]
    buckets = [(numbers[place], *rest) for place, *rest in sums.targets]
    known = {(numbers[place], *rest) for place, *rest in addition.stored}
    addition.table.replace(connection, dict(zip(buckets, addition.summaries, strict=True)), known)


def add_sums(connection: Connection, table: Summaries, sums: Sums) -> None:
    """Add sums to a table of summaries, read and written in the same transaction."""
    _add(connection, addition_of(connection, table, sums))


def roll_up(database: Database, token: int, *, now: Callable[[], int], events: int) -> int:
    """Roll up the oldest batches, about `events` events, in one transaction; return the number of events.

    Raises
    ------
    LeaseLost
        when another process leads now; nothing is changed.

    """
    with database.read() as connection:
        rows = journal.oldest(connection, events)
    if not rows:
        return 0
    try:
        received = [one for row in rows for one in _received(row)]
        with database.read() as connection:
            effects = effects_of(connection, received, now())
        with database.write(patient=True) as connection:
            hold(connection, token)
            if sequential.taken(connection, list(effects.taken)) != effects.taken:
                effects = effects_of(connection, received, now())
            write(connection, effects)
            _finish(connection, rows)
    except (LeaseLost, Unavailable):
        raise
    except Exception:
        log.exception("a roll-up of %d batches failed; applying them one by one", len(rows))
        for row in rows:
            _apply_carefully(database, token, row, now())
    return sum(row.events for row in rows)


def _received(row: JournalRow) -> list[Received]:
    events, model_ids = decode(row.batch)
    return [Received(event, model_id, row.received_at) for event, model_id in zip(events, model_ids, strict=True)]


def _finish(connection: Connection, rows: Sequence[JournalRow]) -> None:
    refusals.add_refused(connection, rows)
    journal.remove(connection, rows)


def _apply_carefully(database: Database, token: int, row: JournalRow, now: int) -> None:
    """Apply one batch in one transaction; quarantine the events that fail, found by bisection."""
    with database.write(patient=True) as connection:
        hold(connection, token)
        try:
            received = _received(row)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with stored bytes, they must not block what follows
            _set_aside(connection, row, error, now)
        else:
            _bisect(connection, row, received, now)
        _finish(connection, [row])


def _bisect(connection: Connection, row: JournalRow, received: list[Received], now: int) -> None:
    try:
        with savepoint(connection):
            write(connection, effects_of(connection, received, now))
    except (LeaseLost, Unavailable):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not block what follows
        if len(received) == 1:
            culprit = encode([received[0].event], [received[0].model_id])
            _set_aside(connection, replace(row, events=1, batch=culprit), error, now)
            return
        middle = len(received) // 2
        _bisect(connection, row, received[:middle], now)
        _bisect(connection, row, received[middle:], now)


def _set_aside(connection: Connection, row: JournalRow, error: Exception, now: int) -> None:
    log.error("%d events could not be applied and are in quarantine: %s", row.events, error)
    journal.set_aside(connection, row, f"{type(error).__name__}: {error}", now)
    counters.add(connection, {("events_quarantined", ""): row.events})
