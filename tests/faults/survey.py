"""What a database holds, compared with what was sent and acknowledged."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url, text

from monitor.domain.records import HOUR_LEVEL
from monitor.domain.times import rfc3339
from monitor.rollup.verify import differences_of
from monitor.stats.summary import decode as entries
from monitor.stats.summary import total_slot
from monitor.store import counters, journal, models, rollups
from monitor.store.batch import decode
from monitor.store.engine import Database
from tests.faults.load import Batch


@dataclass(slots=True)
class Contents:
    """What a database holds."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)  # (type, event id) -> rows
    waiting: set[tuple[str, str]] = field(default_factory=set)  # in the journal
    hours: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # (model, hour) -> events, labels
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    set_aside: int = 0
    differences: list[str] = field(default_factory=list)  # between rollups and rows


def survey(url: str, *, thoroughly: bool = False) -> Contents:
    """Return what a database holds, looking without the product's help as far as that goes."""
    database = Database(url)
    found = Contents()
    with database.read() as connection:
        for kind in ("prediction", "label"):
            query = text(f"SELECT event_id, count(*) FROM {kind} GROUP BY event_id")  # noqa: S608 - two constants
            found.rows.update({(kind, name): count for name, count in connection.execute(query)})
        for (blob,) in connection.execute(text("SELECT batch FROM journal")):
            found.waiting |= {
                ("label" if hasattr(event, "label") else "prediction", event.event_id)
                for event in decode(bytes(blob))[0]
            }
        found.counters = counters.read(connection)
        found.set_aside = journal.set_aside_count(connection)
        for model in models.everyone(connection) if thoroughly else ():
            found.differences += [f"{model.name}: {each}" for each in differences_of(connection, model)]
            for (_, level, start), blob in rollups.everything(connection, model.id).items():
                if level == HOUR_LEVEL:
                    sums = dict(zip(*(column.tolist() for column in entries(blob)), strict=True))
                    found.hours[model.name, start] = tuple(sums.get(total_slot(n), 0) for n in ("events", "labels"))
    database.close()
    return found


def is_rolled_up(url: str) -> bool:
    """Return whether nothing waits in the journal."""
    return not scalar(url, "SELECT count(*) FROM journal")


def scalar(url: str, query: str) -> Any:
    """Return the one value that a query finds."""
    database = Database(url)
    with database.read() as connection:
        found = connection.execute(text(query)).scalar()
    database.close()
    return found


def activity(url: str) -> str:
    """Return what a Postgres database is busy with, for the message of a test that waits in vain."""
    if url.startswith("sqlite"):
        return ""
    query = "SELECT pid, state, wait_event, now() - query_start, left(query, 200) FROM pg_stat_activity WHERE datname = current_database()"
    database = Database(url)
    with database.read() as connection:
        rows = connection.execute(text(query)).all()
    database.close()
    return "\n".join(" | ".join(map(str, row)) for row in rows)


def survey_of_the_dead(url: str, folder: Path) -> Contents:
    """Return what a killed server left; of SQLite's files a copy is opened, so that the next server has to recover them."""
    path = make_url(url).database
    if not url.startswith("sqlite") or path is None:
        return survey(url)
    folder.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        copy = folder / f"copy.db{suffix}"
        copy.unlink(missing_ok=True)
        if Path(path + suffix).exists():
            shutil.copyfile(path + suffix, copy)
    return survey(f"sqlite:///{folder / 'copy.db'}")


def losses(batches: Sequence[Batch], acknowledged: set[int], contents: Contents) -> list[str]:
    """Return what must not be, batch by batch: acknowledged and not there, there in part, or there twice."""
    found = []
    for number, batch in enumerate(batches):
        here = sum(event in contents.waiting or event in contents.rows for event in batch.events)
        if number in acknowledged and here < len(batch.events):
            found.append(f"batch {number} was acknowledged and {here} of its {len(batch.events)} events are there")
        elif 0 < here < len(batch.events):
            found.append(f"batch {number} was torn: {here} of its {len(batch.events)} events are there")
    found += [f"{kind} {name} is there {count} times" for (kind, name), count in contents.rows.items() if count > 1]
    return found


def miscounts(batches: Sequence[Batch], contents: Contents) -> list[str]:
    """Return where the sums do not count each batch once, when all of them were acknowledged and rolled up."""
    expected = {(batch.model, batch.at): [len(batch.predictions), 0] for batch in batches}
    for batch in batches:
        own = len(batch.labels) - batch.of_earlier
        expected[batch.model, batch.at][1] += own
    previous = {batch.predictions[0].rpartition("-")[0]: batch for batch in batches}
    for batch in batches:
        if batch.of_earlier:
            earlier = previous[batch.labels[-1].rpartition("-")[0]]
            expected[earlier.model, earlier.at][1] += batch.of_earlier
    places = {*expected, *contents.hours}
    return [
        f"{model} at {rfc3339(at)}: {contents.hours.get((model, at))} counted, {expected.get((model, at))} sent"
        for model, at in sorted(places)
        if list(contents.hours.get((model, at), ())) != expected.get((model, at))
    ]


def is_intact(url: str) -> str:
    """Return what SQLite's own check of a file says; of Postgres, that it is fine."""
    path = make_url(url).database
    if not url.startswith("sqlite") or path is None:
        return "ok"
    with sqlite3.connect(path) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
