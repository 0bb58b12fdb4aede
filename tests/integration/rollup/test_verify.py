import itertools
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.records import LabelRow, Progress
from monitor.evaluation import sequential
from monitor.rollup.verify import differences_of
from monitor.store import events, models
from monitor.store.schema import conflict, named, prediction, rollup, secret

SECRET = bytes(range(32))
KINDS = ("binary", "multiclass", "confidence", "regression")
CLASSES = ("ant", "bee", "cat")

with_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def found(feed, model):
    with feed.database.read() as connection:
        return [str(each) for each in differences_of(connection, model)]


class Stream:
    """A made-up stream of events: in the order of time, and in others that keep that of conflicting items."""

    def __init__(self, make, kind: str, seed: int, size: int) -> None:
        self.make, self.kind = make, kind
        self.dice = random.Random(seed)
        self.sorted = [item for i in range(size) for item in self._case(f"e{i}")]

    def _case(self, event_id: str) -> list[PredictionEvent | LabelEvent]:
        items = [self._prediction(event_id)]
        while self.dice.random() < 0.15:
            items.append(self._prediction(event_id))
        if self.dice.random() < 0.8:
            items.append(self._label(event_id))
        if self.dice.random() < 0.05:
            items.append(self._label(event_id))
        while self.dice.random() < 0.08:
            items.append(self._label(event_id, supersedes=True))
        return [item for item in items for _ in range(1 + (self.dice.random() < 0.02))]

    def _prediction(self, event_id: str) -> PredictionEvent:
        dice = self.dice
        at = self.make.prediction("x", 0.5).timestamp - timedelta(minutes=dice.randrange(5 * 1440))
        return self.make.prediction(
            event_id, at=at, model_version=dice.choice(["1", "2", "3", None]), calibrator_version=dice.choice([None, 1]),
            segments=dice.choice([None, {"country": "de"}, {"country": "fr", "tier": "gold"}]),
            cluster=dice.choice([None, "game 1", "game 2"]), reference=dice.random() < 0.15, **self._score(),
        )  # fmt: skip

    def _score(self):
        dice = self.dice
        if self.kind == "regression":
            return dice.choice([self._normal, self._quantiles])()
        p, q = (dice.choice([0.0, 0.07, 0.5, 1.0, 1e-16, dice.random()]) for _ in range(2))
        if self.kind == "multiclass":
            vectors = [[p / 2, 1.0 - p, p / 2], {"cat": 1.0 - q, "ant": q / 4, "bee": q * 0.75}]
            raw = {"raw_probabilities": [q / 2, q / 2, 1.0 - q]} if dice.random() < 0.5 else {}
            forms = [{"probabilities": vectors[0], **raw}, {"probabilities": vectors[1]}, {"logits": [p, q, -3.0]}]
            return dice.choice(forms)
        raw_probability = dice.choice([None, q])
        if self.kind == "binary":
            return {"probability": p, "raw_probability": raw_probability}
        return {"prediction": dice.choice(["yes", "no", 3]), **self._confidence(p, raw_probability)}

    def _confidence(self, p, raw):
        dice = self.dice
        agreeing, samples = sorted((dice.randint(0, 50), dice.randint(1, 50)))
        share = {"agreeing": agreeing, "samples": samples, "confidence_source": "self_consistency"}
        forms = [
            {"confidence": p, "raw_confidence": raw},
            {"confidence": p, "raw_confidence": raw, "confidence_source": dice.choice(["verbalized", "judge"])},
            {"confidence": agreeing / samples, **share},
            {"confidence": p, "raw_confidence": agreeing / samples, **share},
            {"score": dice.choice([0.0, -(2.0**30), 1e-300, dice.gauss(-5, 9)])},
        ]
        return dice.choice(forms)

    def _normal(self):
        dice = self.dice
        return {
            "mean": dice.choice([0.0, 1.5, -1e60, 1e-90, dice.gauss(0, 1e3)]),
            "std": dice.choice([1.0, 5e-324, 1e60, dice.expovariate(1.0)]),
        }

    def _quantiles(self):
        dice = self.dice
        levels = [*dice.sample(range(1, 1000), dice.randrange(2, 6)), 100, 900]
        values = sorted(dice.choice([0.0, 1.5, -1e60, 1e60, dice.gauss(0, 1e3)]) for _ in {*levels})
        pairs = list(zip(sorted({*levels}), values, strict=True))
        return {"quantiles": {str(level / 1000): value for level, value in dice.sample(pairs, len(pairs))}}

    def _label(self, event_id: str, **fields) -> LabelEvent:
        values = {"binary": [0, 1, True, "cat"], "multiclass": ["ant", 1, "cat", "dog"], "confidence": ["yes", True, 3],
                  "regression": [0, 1.5, -1e60, 1e-300, 7, "cat", True, 1e61, self.dice.gauss(0, 1e3)]}  # fmt: skip
        at = self.make.prediction("x", 0.5).timestamp - timedelta(minutes=self.dice.randrange(5 * 1440))
        return self.make.label(
            event_id, self.dice.choice(values[self.kind]), timestamp=self.dice.choice([None, at]),
            model_version=self.dice.choice([None, None, "1", "2"]), **fields,
        )  # fmt: skip

    def shuffled(self):
        """Return the items in an order in which only those of the same id and type keep theirs."""
        places = [self.dice.random() for _ in self.sorted]
        groups: dict[tuple[str, type], list[float]] = {}
        for place, item in zip(places, self.sorted, strict=True):
            groups.setdefault((item.event_id, type(item)), []).append(place)
        waiting = {group: iter(sorted(of_group)) for group, of_group in groups.items()}
        return [
            item
            for _, item in sorted(
                ((next(waiting[item.event_id, type(item)]), item) for item in self.sorted), key=lambda pair: pair[0]
            )
        ]

    def batches(self, items):
        """Return the items cut anywhere."""
        cuts = sorted({0, len(items), *(self.dice.randrange(len(items)) for _ in range(self.dice.randrange(6)))})
        return [items[first:last] for first, last in itertools.pairwise(cuts)]


def rolled_up(feed, model, batches, dice):
    """Send batches, roll up and take into the tests now and then, and return all that must be the same in the end."""
    before = feed.counters()
    feed.forget(model)
    for batch in batches:
        feed.send(*batch)
        if dice.random() < 0.7:
            feed.roll_up(events=dice.choice([1, 20, 4000]))
        if dice.random() < 0.3:
            sequential.advance_tests(feed.database, feed.token, model, feed.clock())
            assert found(feed, model) == []
    feed.roll_up()
    assert found(feed, model) == []
    counted = {name: value - before.get(name, 0) for name, value in feed.counters().items()}
    names = ("events_ingested", "events_duplicate", "label_conflicts", "prediction_conflicts", "events_rejected")
    progress = replace(feed.progress(model), taken_until=None, takings=0)
    return feed.rollups(model), progress, {k: v for k, v in counted.items() if k[0] in names and v}


@pytest.fixture
def feeds(feed_on, sqlite_database, postgres_database):
    """Return feeds of both databases, which hash alike."""
    both = [feed_on(database) for database in (sqlite_database, postgres_database)]
    for feed in both:
        with feed.database.write() as connection:
            connection.execute(update(secret).values(value=SECRET))
    return both


def declared(feed, kind, **limits):
    classes = CLASSES if kind == "multiclass" else None
    segments = ("country", "confidence_source", "country,samples")
    own = {"ant": 0.02, "cat": 0.05} if kind == "multiclass" else {}
    delay = 3_600_000_000
    return feed.model(task=kind, classes=classes, segments=segments, label_delay=delay, class_thresholds=own, **limits)


@with_fixtures
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), size=st.integers(1, 40))
def test_any_order_that_keeps_that_of_conflicting_items_ends_in_the_same_rollups(feeds, make, kind, seed, size):
    stream = Stream(make, kind, seed, size)
    sqlite, postgres = feeds
    in_order = rolled_up(sqlite, declared(sqlite, kind), [stream.sorted], stream.dice)
    for feed in (sqlite, postgres):
        model = declared(feed, kind)
        assert rolled_up(feed, model, stream.batches(stream.shuffled()), stream.dice) == in_order


@with_fixtures
@example(kind="binary", seed=164446, size=6)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), size=st.integers(1, 40))
def test_past_a_models_limits_the_order_chooses_only_what_has_sums_of_its_own(feeds, make, kind, seed, size):
    stream = Stream(make, kind, seed, size)
    limits = {"most_versions": stream.dice.randint(1, 3), "most_segment_values": 1}
    feed = stream.dice.choice(feeds)
    with feed.database.write() as connection:
        connection.execute(delete(named))
    in_order = rolled_up(feed, declared(feed, kind, **limits), [stream.sorted], stream.dice)
    assert rolled_up(feed, declared(feed, kind, **limits), stream.batches(stream.shuffled()), stream.dice) == in_order


@pytest.fixture
def model(feed, make):
    """Return a model with events of every kind of label, segments, and minutes."""
    stream = Stream(make, "binary", 11, 40)
    model = declared(feed, "binary")
    rolled_up(feed, model, stream.batches(stream.shuffled()), stream.dice)
    return model


def flip(feed, place, byte, bit):
    """Flip one bit of one stored rollup, and return which one it is and what it was."""
    with feed.database.write() as connection:
        rows = connection.execute(select(rollup).order_by(rollup.c.series_id, rollup.c.level, rollup.c.bucket)).all()
        row = rows[place % len(rows)]
        blob = bytearray(row.summary)
        blob[byte % len(blob)] ^= 1 << bit
        _store(connection, row, bytes(blob))
        return row


def _store(connection, row, blob):
    same = (rollup.c.series_id == row.series_id, rollup.c.level == row.level, rollup.c.bucket == row.bucket)
    connection.execute(update(rollup).where(*same).values(summary=blob))


@with_fixtures
@given(place=st.integers(0, 10**6), byte=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_of_one_rollup_is_found_and_named(feed, model, place, byte, bit):
    row = flip(feed, place, byte, bit)
    with feed.database.read() as connection:
        differences = differences_of(connection, model)
    assert differences
    assert {(each.level, each.bucket) for each in differences} == {(row.level, row.bucket)}
    assert len({each.series for each in differences}) == 1
    with feed.database.write() as connection:
        _store(connection, row, row.summary)
    assert found(feed, model) == []


def test_a_difference_says_where_and_what(feed, make):
    model = feed.model(segments=("country",))
    feed.take(
        make.prediction("a", 0.49, segments={"country": "de"}, model_version="7", calibrator_version=2),
        make.label("a", 1),
    )
    with feed.database.read() as connection:
        rows = {(row.level, row.series_id): row for row in connection.execute(select(rollup))}
    row = rows[1, max(number for _, number in rows)]
    blob = bytearray(row.summary)
    blob[-8 * (len(blob) // 10)] += 11  # the lowest byte of the first value: events
    with feed.database.write() as connection:
        _store(connection, row, bytes(blob))
    assert found(feed, model) == [
        "version 7, calibrator 2, segment country:de, hour 2026-01-05T12:00:00Z: events: stored 12, rows give 1"
    ]


def test_cells_are_named_by_their_interval(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.49), make.label("a", 1))
    with feed.database.write() as connection:
        connection.execute(delete(rollup).where(rollup.c.level == 2))
    assert (
        "version none, calibrator none, day 2026-01-05T00:00:00Z: both cell (0.483333333333, 0.5] sy: stored 0, rows give 1"
        in found(feed, model)
    )


def test_bytes_that_are_no_summary_are_named(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.5))
    with feed.database.write() as connection:
        connection.execute(update(rollup).where(rollup.c.level == 0).values(summary=b"short"))
    (difference,) = found(feed, model)
    assert difference.startswith(
        "version none, calibrator none, minute 2026-01-05T12:00:00Z: summary: stored invalid bytes"
    )


@pytest.mark.parametrize("blob", [b"", bytes(10)], ids=["nothing", "a zero"])
def test_a_summary_with_nothing_in_it_is_not_stored(feed, make, blob):
    model = feed.model()
    feed.take(make.prediction("a", 0.5))
    with feed.database.write() as connection:
        row = connection.execute(select(rollup).where(rollup.c.level == 0)).one()
        connection.execute(insert(rollup).values(series_id=row.series_id, level=0, bucket=0, summary=blob))
    assert any("1970-01-01T00:00:00Z: summary: stored invalid bytes" in each for each in found(feed, model))


def test_a_bucket_that_nothing_explains_is_found(feed, model):
    with feed.database.write() as connection:
        row = connection.execute(select(rollup).where(rollup.c.level == 1)).first()
        connection.execute(
            insert(rollup).values(series_id=row.series_id, level=1, bucket=3_600_000_000, summary=row.summary)
        )
    assert all("1970-01-01T01:00:00Z" in each and each.endswith("rows give 0") for each in found(feed, model))
    assert found(feed, model)


def test_a_bucket_that_is_missing_is_found(feed, model):
    with feed.database.write() as connection:
        row = connection.execute(select(rollup).where(rollup.c.level == 0)).first()
        same = (rollup.c.series_id == row.series_id, rollup.c.level == 0, rollup.c.bucket == row.bucket)
        connection.execute(delete(rollup).where(*same))
    assert found(feed, model)
    assert all(": stored 0, rows give" in each for each in found(feed, model))


def test_minutes_from_before_they_are_kept_are_found(feed, model):
    progress = feed.progress(model)
    with feed.database.write() as connection:
        models.save_progress(connection, model.id, replace(progress, minutes_from=progress.newest_prediction))
    assert found(feed, model)
    assert all(" minute " in each for each in found(feed, model))


def test_wrong_counts_of_a_model_are_found(feed, model):
    progress = feed.progress(model)
    with feed.database.write() as connection:
        models.save_progress(connection, model.id, replace(progress, labels=progress.labels + 1, predictions=0))
    assert found(feed, model) == [
        f"predictions: stored 0, rows give {progress.predictions}",
        f"labels: stored {progress.labels + 1}, rows give {progress.labels}",
    ]


def test_an_event_that_is_stored_twice_is_found(feed, model):
    with feed.database.write() as connection:
        row = connection.execute(select(prediction)).first()
        connection.execute(insert(prediction).values({**row._asdict(), "id": 10**6}))
    assert any(each == f"predictions of event {row.event_id}: stored 2, rows give 1" for each in found(feed, model))


def test_a_row_that_was_changed_behind_the_rollups_is_found(feed, model):
    with feed.database.write() as connection:
        row = connection.execute(select(prediction)).first()
        connection.execute(update(prediction).where(prediction.c.id == row.id).values(p=0.123))
    assert found(feed, model)


def test_a_conflict_that_was_stored_as_a_label_is_found(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.5), make.label("a", 0))
    with feed.database.write() as connection:
        key = events.event_key(events.hash_key(connection), model.id, "a")
        events.add_labels(
            connection,
            [
                LabelRow(
                    key=key, model_id=model.id, event_id="a", label="1", at=None, received_at=1, rolled_at=1,
                    source=None, supersedes=True,
                )
            ],
        )  # fmt: skip
    assert any("sy: stored 0, rows give 1" in each for each in found(feed, model))


def test_an_empty_model_has_nothing_to_differ(feed):
    model = feed.model()
    assert found(feed, model) == []
    assert feed.progress(model) == Progress()


def test_conflicts_are_kept_apart_from_what_counts(feed, model):
    with feed.database.write() as connection:
        assert connection.execute(select(conflict)).all()
        connection.execute(delete(conflict))
    assert found(feed, model) == []
