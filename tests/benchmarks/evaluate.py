"""What evaluating 1,000 series over three windows costs, as a multiple of reading their sums from the database."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from monitor.domain.records import DAY_LEVEL, HOUR_LEVEL, LEVEL_STEP, MINUTE_LEVEL, Progress, SeriesKey
from monitor.domain.settings import Model, ModelSettings
from monitor.domain.times import DAY, HOUR, MINUTE, micros
from monitor.evaluation.job import Comparison, comparisons, figures
from monitor.stats import entries
from monitor.stats.entries import Scored
from monitor.stats.summary import Summary, encode_all, gather
from monitor.store import models, rollups
from monitor.store.engine import Database
from monitor.store.migrate import upgrade
from monitor.windows.clock import Clocked, clocked
from monitor.windows.evaluation import Asked, Question, evaluations_of
from monitor.windows.ranges import Range, merged, spans
from monitor.windows.sums import Place, in_parts
from tests.benchmarks.measure import Ratio, processor_seconds

SERIES = 1000
KINDS = 10
HOURLY = 50
DAYS = 8
RUNS = 5
END = micros(datetime(2026, 3, 12, 14, 37, tzinfo=UTC))
START = END - DAYS * DAY


def fill(database: Database) -> Model:
    """Store minutes, hours and days of 1,000 segments, each with 50 labelled events an hour for 8 days."""
    kinds = [stored(np.random.default_rng(i)) for i in range(KINDS)]
    with database.write() as connection:
        settings = ModelSettings(segments=("tenant",), label_delay=0)
        model = models.create(connection, "many", task="binary", classes=None, settings=settings, now=START)
        for i in range(SERIES):
            number = rollups.add_series(connection, SeriesKey(model.id, "1", 0, f"tenant:{i}"))
            rollups.SUMS.replace(connection, {(number, *bucket): blob for bucket, blob in kinds[i % KINDS].items()}, {})
        progress = Progress(
            watermark=END, newest_prediction=END - 1, received_at=END, minutes_from=(END - 2 * DAY) // HOUR * HOUR
        )
        models.save_progress(connection, model.id, progress)
    return model


def stored(dice: np.random.Generator) -> dict[tuple[int, int], bytes]:
    """Return the sums of a series by level and time, as the roll-up would have stored them."""
    count = HOURLY * 24 * DAYS
    at = START + dice.integers(0, DAYS * DAY, count)
    a, b = dice.uniform(0.3, 3, 2).tolist()
    p = dice.beta(a, b, count)
    y = dice.random(count) < p
    half = dice.random(count) < 0.5
    scored = [
        Scored(i, bool(half[i]), "both", float(p[i]), int(y[i]), *entries.binary_losses(float(p[i]), int(y[i])))
        for i in range(count)
    ]
    events = list(range(count))
    added = entries.joined(
        [
            entries.of_counts(events, "events"),
            entries.of_counts(events, "labels"),
            entries.of_arrivals(events, ["both"] * count, p.tolist()),
            entries.of_outcomes(scored),
        ]
    )
    blob_of: dict[tuple[int, int], bytes] = {}
    for level in (MINUTE_LEVEL, HOUR_LEVEL, DAY_LEVEL):
        begins, bucket = np.unique(at // LEVEL_STEP[level] * LEVEL_STEP[level], return_inverse=True)
        blobs = encode_all(len(begins), *gather(bucket[added[0]], *added[1:]))
        kept = END - 2 * DAY if level == MINUTE_LEVEL else 0
        blob_of |= {(level, int(begin)): blob for begin, blob in zip(begins, blobs, strict=True) if begin >= kept}
    return blob_of


def plain_read(database: Database, clock: Clocked) -> int:
    """Fetch the rows that an evaluation needs, and do nothing with them; return how many bytes they hold."""
    parts = [span for one in comparisons(clock) for over in (one.now, one.other) for span in spans(*over)]
    with database.read() as connection:
        numbers = list(rollups.series_ids(connection, clock.model.id).values())
        return sum(len(row[3]) for row in rollups.read(connection, numbers, merged(parts)))


def summed(database: Database, clock: Clocked) -> int:
    """Fetch the rows, decode them and sum them by window."""
    ranges = {over for one in comparisons(clock) for over in (one.now, one.other)}
    with database.read() as connection:
        return sum(len(sums) for part in in_parts(connection, clock.model, ranges) for sums in part.values())


def evaluated(database: Database, clock: Clocked) -> int:
    """Fetch the rows and turn them into all fields of the evaluations of three windows."""
    asked = [one for one in comparisons(clock) if one.reference is None]
    with database.read() as connection:
        parts = in_parts(connection, clock.model, {over for one in asked for over in (one.now, one.other)})
        return sum(
            len(evaluations_of([part for one in asked for part in questions(clock, one, sums)])) for sums in parts
        )


def questions(clock: Clocked, one: Comparison, sums: dict[Range, dict[Place, Summary]]) -> Iterator[Asked]:
    """Yield what is asked of each series of a window."""
    for (version, segment), summary in sums[one.now].items():
        start, end = one.now
        question = Question(model=clock.model, version=version, segment=segment, start=start, end=end)
        yield Asked(question, summary, sums[one.other].get((version, segment)))


def staged(database: Database, clock: Clocked) -> int:
    """Do what the stage does before it stores anything: evaluations, and drift besides."""
    with database.read() as connection:
        return len(figures(connection, clock))


def run() -> Iterator[Ratio]:
    """Yield the ratios on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        upgrade(database)
        model = fill(database)
        with database.read() as connection:
            clock = clocked(connection, model, END + MINUTE)
        steps = (plain_read, summed, evaluated, staged)
        rounds = [[processor_seconds(partial(step, database, clock)) for step in steps] for _ in range(RUNS)]
        database.close()
    yield Ratio("1,000 series, 3 windows: processor seconds to read their sums", median(read for read, *_ in rounds))
    yield Ratio("  the same, decoded and summed, over reading", median(sums / read for read, sums, *_ in rounds))
    yield Ratio(
        "  all fields of their evaluations, over reading, decoding and summing",
        median(figures / sums for _, sums, figures, _ in rounds),
    )
    yield Ratio(
        "  all fields of their evaluations, over reading",
        median(figures / read for read, _, figures, _ in rounds),
        "at most 5",
    )
    yield Ratio("  evaluations and drift, over reading", median(stage / read for read, *_, stage in rounds))
