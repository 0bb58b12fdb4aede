import itertools
import threading
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select, update

from monitor.domain.errors import LeaseLost
from monitor.domain.events import PredictionEvent
from monitor.domain.records import DAY_LEVEL, HOUR_LEVEL, MINUTE_LEVEL
from monitor.domain.refusals import Refusals
from monitor.domain.times import HOUR, MINUTE, micros
from monitor.rollup.job import roll_up
from monitor.rollup.verify import differences_of
from monitor.stats.summary import LIMIT, Summary, total_slot
from monitor.stats.summary import encode as encode_summary
from monitor.store import events, journal, models, rollups
from monitor.store.batch import encode
from monitor.store.lease import fence
from monitor.store.schema import journal as journal_table
from monitor.store.schema import label as label_table
from monitor.store.schema import lease, quarantine, rollup
from monitor.store.schema import prediction as prediction_table

HOURS = timedelta(hours=1)


def verified(feed, model):
    """Return what a model's stored days add up to, once its rollups agree with its rows."""
    with feed.database.read() as connection:
        assert [str(each) for each in differences_of(connection, model)] == []
    return whole(feed, model)


def whole(feed, model, segment=""):
    stored = feed.rollups(model)
    return Summary.of(blob for (key, level, _), blob in stored.items() if level == DAY_LEVEL and key.segment == segment)


def buckets(feed, model, level):
    return sorted(start for _, at_level, start in feed.rollups(model) if at_level == level)


def quarantined(feed):
    with feed.database.read() as connection:
        return [(row.events, row.reason) for row in connection.execute(select(quarantine).order_by(quarantine.c.id))]


def backlog(feed):
    with feed.database.read() as connection:
        return journal.backlog(connection)[0]


def test_rollup_of_an_empty_journal_takes_nothing(feed):
    assert roll_up(feed.database, feed.token, now=feed.clock, events=100) == 0


@pytest.mark.parametrize("split", ["prediction | label", "label | prediction", "prediction label", "label prediction"])
def test_a_label_counts_alike_before_with_and_after_its_prediction(feed, make, split):
    model = feed.model(segments=("country",))
    items = {
        "prediction": make.prediction("a", 0.7, segments={"country": "de"}, cluster="game", raw_probability=0.9),
        "label": make.label("a", 1),
    }
    feed.take(items["prediction"], items["label"])
    expected = feed.rollups(model), feed.progress(model)
    feed.forget(model)
    for batch in split.split(" | "):
        feed.take(*(items[name] for name in batch.split()))
    assert (feed.rollups(model), feed.progress(model)) == expected
    assert verified(feed, model).labels == 1


def test_sums_hold_counts_losses_and_cells(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.8), make.label("a", 1), make.prediction("b", 0.6), make.label("b", 0))
    feed.take(make.prediction("c", 0.3))
    total = verified(feed, model)
    cells = total.cells("served")
    assert (total.events, total.labels, total.late) == (3, 2, 0)
    assert (cells.n.sum(), cells.sy.sum(), cells.en.sum()) == (2, 1, 3)
    assert cells.sp.sum() == pytest.approx(1.4)
    assert cells.esp.sum() == pytest.approx(1.7)
    assert total.loss("served", "brier") == pytest.approx(0.04 + 0.36)
    assert total.loss("served", "log_loss") == pytest.approx(0.2231435513 + 0.9162907319)


def test_a_repeat_counts_once_however_often_and_in_whatever_batch(feed, make):
    model = feed.model()
    pair = make.prediction("a", 0.8), make.label("a", 1)
    feed.take(*pair, *pair)
    feed.take(*pair)
    total = verified(feed, model)
    assert (total.events, total.labels, feed.counters()["events_duplicate", ""]) == (1, 1, 4)


def test_a_different_event_under_a_known_id_never_counts_and_is_reported(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.8), make.label("a", 1))
    before = feed.rollups(model)
    feed.take(make.prediction("a", 0.2), make.label("a", 0))
    assert feed.rollups(model) == before
    counted = feed.counters()
    assert (counted["prediction_conflicts", ""], counted["label_conflicts", ""]) == (1, 1)
    with feed.database.read() as connection:
        key = events.event_key(events.hash_key(connection), model.id, "a")
        found = events.conflicts_of(connection, key, (model.id, "a"))
    assert [row.kind for row in found] == ["prediction", "label"]


def test_a_correction_leaves_what_the_right_label_alone_would_have_left(feed, make):
    model = feed.model(segments=("country",))
    row = make.prediction("a", 0.8, segments={"country": "de"}, raw_probability=0.9)
    feed.take(row, make.label("a", 0))
    expected = feed.rollups(model)
    feed.forget(model)
    feed.take(row, make.label("a", 1))
    feed.take(make.label("a", 0, supersedes=True))
    assert feed.rollups(model) == expected
    assert verified(feed, model).labels == feed.progress(model).labels == 1


def test_each_declared_segment_is_summed_apart(feed, make):
    model = feed.model(segments=("country",))
    feed.take(
        make.prediction("a", 0.8, segments={"country": "de", "tier": "gold"}),
        make.prediction("b", 0.8, segments={"country": "fr"}),
        make.prediction("c", 0.8),
    )
    assert {key.segment for key, _, _ in feed.rollups(model)} == {"", "country:de", "country:fr"}
    assert whole(feed, model, "country:de").events == 1
    assert verified(feed, model).events == 3


def test_versions_and_calibrators_are_series_of_their_own(feed, make):
    model = feed.model()
    feed.take(
        make.prediction("a", 0.8, model_version="1"),
        make.prediction("b", 0.8, model_version="2", calibrator_version=3, raw_probability=0.9),
    )
    assert {(key.version, key.calibrator) for key, _, _ in feed.rollups(model)} == {("1", 0), ("2", 3)}
    verified(feed, model)


def test_served_and_raw_scores_are_summed_apart(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.6, raw_probability=0.9), make.prediction("b", 0.5), make.label("a", 1))
    total = verified(feed, model)
    assert total.cells("served").esp.sum() == pytest.approx(1.1)
    assert total.cells("raw").esp.sum() == pytest.approx(1.4)
    assert total.loss("raw", "brier") == pytest.approx(0.01)


VECTORS = {
    "array": {"probabilities": [0.2, 0.7, 0.1]},
    "object": {"probabilities": {"dog": 0.7, "cat": 0.2, "eel": 0.1}},
    "logits": {"logits": [-1.6094379124341003, -0.35667494393873245, -2.302585092994046]},
    "logits by class": {"logits": {"eel": -2.302585092994046, "dog": -0.35667494393873245, "cat": -1.6094379124341003}},
}


@pytest.mark.parametrize("form", VECTORS)
@pytest.mark.parametrize("truth", ["dog", 1])
def test_multiclass_sums_are_of_the_answer_and_of_every_class(feed, make, form, truth):
    model = feed.model(task="multiclass", classes=("cat", "dog", "eel"))
    feed.take(make.prediction("a", **VECTORS[form]), make.prediction("b", **VECTORS[form]))
    feed.take(make.label("a", truth), make.label("b", "cat"))
    total = verified(feed, model)
    cells = total.cells("served")
    assert (cells.n.sum(), cells.sy.sum(), cells.sp.sum()) == (2, 1, pytest.approx(1.4))
    assert total.loss("served", "brier") == pytest.approx(0.14 + 1.14)
    assert total.loss("served", "log_loss") == pytest.approx(0.3566749439 + 1.6094379124)
    assert total.classwise(3).sum(axis=1).tolist() == [
        [2, pytest.approx(0.4), 1], [2, pytest.approx(1.4), 1], [2, pytest.approx(0.2), 0],
    ]  # fmt: skip


def test_raw_vectors_are_judged_by_their_own_answer(feed, make):
    model = feed.model(task="multiclass", classes=("cat", "dog"))
    feed.take(make.prediction("a", probabilities=[0.6, 0.4], raw_probabilities=[0.3, 0.7]), make.label("a", "dog"))
    total = verified(feed, model)
    assert total.cells("served").sy.sum() == 0
    assert total.cells("raw").sy.sum() == 1
    assert total.loss("raw", "brier") == pytest.approx(0.18)


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [("Paris", "Paris", 1), ("Paris", "Rome", 0), ("Paris", True, 1), ("Paris", False, 0), (42, 42, 1), (42, 41, 0)],
)
def test_an_answer_is_judged_by_the_true_one_or_by_a_boolean(feed, make, answer, truth, right):
    model = feed.model(task="confidence")
    feed.take(make.prediction("a", confidence=0.9, prediction=answer), make.label("a", truth))
    cells = verified(feed, model).cells("served")
    assert (cells.n.sum(), cells.sy.sum()) == (1, right)


def test_labels_later_than_declared_are_counted_by_their_own_time(feed, make):
    model = feed.model(label_delay=HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(
        make.prediction("a", 0.8), make.label("a", 1, timestamp=at + HOURS),
        make.prediction("b", 0.8), make.label("b", 1, timestamp=at + 2 * HOURS),
        make.prediction("c", 0.8), make.label("c", 1),
    )  # fmt: skip
    assert verified(feed, model).late == 1


def test_the_half_is_the_same_for_all_events_of_a_cluster(feed, make):
    model = feed.model()
    for cluster in map(str, range(40)):
        feed.take(*(make.prediction(f"{cluster}-{i}", 0.8, cluster=cluster) for i in range(3)))
        feed.send(*(make.label(f"{cluster}-{i}", 1) for i in range(3)))
    feed.roll_up()
    half = verified(feed, model).cells("served").hn.sum()
    assert half % 3 == 0
    assert 30 <= half <= 90


def test_progress_follows_the_models_own_time(feed, make):
    model = feed.model()
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.5, at=at), make.prediction("b", 0.5, at=at - 5 * HOURS))
    feed.take(make.label("a", 1, timestamp=at + 3 * HOURS), make.label("nobody", 1))
    progress = feed.progress(model)
    assert (progress.predictions, progress.labels) == (2, 1)
    assert (progress.newest_prediction, progress.watermark) == (micros(at), micros(at) + 3 * HOUR)
    assert progress.minutes_from == micros(at) - 48 * HOUR


def test_minutes_are_dropped_once_48_hours_have_passed_in_the_models_time(feed, make):
    model = feed.model()
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("old", 0.5, at=at), make.prediction("older", 0.5, at=at - 3 * HOURS))
    feed.take(make.prediction("new", 0.5, at=at + 48 * HOURS + timedelta(minutes=7)))
    feed.take(make.label("old", 1), make.label("older", 1), make.prediction("late", 0.5, at=at - 2 * HOURS))
    first = micros(at)
    assert buckets(feed, model, MINUTE_LEVEL) == [first, first + 48 * HOUR + 7 * MINUTE]
    assert buckets(feed, model, HOUR_LEVEL) == [first - 3 * HOUR, first - 2 * HOUR, first, first + 48 * HOUR]
    assert verified(feed, model).events == 4


def test_minutes_end_up_the_same_in_every_order_of_arrival(feed, make):
    model = feed.model()
    at = make.prediction("x", 0.5).timestamp
    sent = [make.prediction(f"{i}", 0.1 * i, at=at + i * 30 * HOURS) for i in range(4)]
    found = []
    for order in itertools.permutations(sent):
        for event in order:
            feed.take(event)
        verified(feed, model)
        found.append(feed.rollups(model))
        feed.forget(model)
    assert all(each == found[0] for each in found)


def test_labels_of_a_model_without_a_task_are_judged_when_it_gets_one(feed, make):
    feed.model(task=None)
    feed.take(make.label("a", "cat"), make.label("a", 1), make.label("b", 0), make.label("b", 1))
    model = feed.model(task="binary")
    feed.take(make.prediction("a", 0.7), make.prediction("b", 0.7))
    cells = verified(feed, model).cells("served")
    assert (cells.n.sum(), cells.sy.sum()) == (2, 1)
    counted = feed.counters()
    assert (counted["events_rejected", "unknown_class"], counted["label_conflicts", ""]) == (1, 1)


def test_events_of_a_deleted_model_are_counted_as_dropped(feed, make):
    gone, other = feed.model("gone"), feed.model("other")
    feed.take(make.prediction("a", 0.5, model="gone"))
    feed.send(
        make.prediction("b", 0.5, model="gone"),
        make.label("a", 1, model="gone"),
        make.prediction("c", 0.5, model="other"),
    )
    with feed.database.write() as connection:
        fence(connection)
        events.remove_model(connection, gone.id)
        rollups.remove_model(connection, gone.id)
        models.remove(connection, gone.id)
    feed.token = feed.lead("again")
    again = feed.model("gone")
    assert feed.roll_up() == 3
    assert feed.counters()["events_dropped", "model_deleted"] == 2
    assert (verified(feed, again).events, verified(feed, other).events) == (0, 1)


def test_counters_of_what_ingest_refused_come_with_the_batch(feed, make):
    feed.model()
    with feed.database.write() as connection:
        batch = encode([make.prediction("a", 0.5)], [1])
        row = journal.JournalRow(
            id=0, received_at=feed.clock(), events=1, rejected=Refusals([(None, "bad_time", 3)]), batch=batch
        )
        journal.append(connection, [row, row])
    feed.roll_up()
    assert feed.counters()["events_rejected", "bad_time"] == 6


def test_counts_that_a_release_of_before_left_in_the_journal_are_read(feed, make):
    feed.model()
    feed.send(make.prediction("a", 0.5))
    with feed.database.write() as connection:
        connection.execute(update(journal_table).values(rejected='{"bad_time": 3, "bad_sum": 1}'))
    feed.roll_up()
    assert (feed.counters()["events_rejected", "bad_time"], feed.counters()["events_rejected", "bad_sum"]) == (3, 1)


def test_a_batch_larger_than_the_limit_is_taken_whole_and_alone(feed, make):
    model = feed.model()
    feed.send(*(make.prediction(f"a{i}", 0.5) for i in range(10)))
    feed.send(*(make.prediction(f"b{i}", 0.5) for i in range(10)))
    assert roll_up(feed.database, feed.token, now=feed.clock, events=4) == 10
    assert roll_up(feed.database, feed.token, now=feed.clock, events=4000) == 10
    assert verified(feed, model).events == 20


@pytest.mark.parametrize("blob", [b"", b"znot compressed", b"p\x93\x01\x02", b"p\x94\xc4\x01\x07\x91\x01\x80\x80"])
def test_bytes_that_are_no_batch_are_set_aside_whole(feed, make, blob):
    model = feed.model()
    feed.send(make.prediction("a", 0.5))
    with feed.database.write() as connection:
        feed.append(connection, blob, 7)
    feed.send(make.prediction("b", 0.5))
    assert feed.roll_up() == 9
    assert [count for count, _ in quarantined(feed)] == [7]
    assert (feed.counters()["events_quarantined", ""], backlog(feed)) == (7, 0)
    assert verified(feed, model).events == 2


def test_an_event_that_cannot_be_applied_is_found_and_set_aside_alone(feed, make):
    model = feed.model()
    poison = PredictionEvent(event_id="poison", model="m", timestamp=make.prediction("x", 0.5).timestamp)
    good = [event for i in range(25) for event in (make.prediction(f"e{i}", 0.5), make.label(f"e{i}", 1))]
    feed.send(*good[:33], poison, *good[33:], poison)
    feed.take(make.prediction("next", 0.5))
    total = verified(feed, model)
    assert (total.events, total.labels, backlog(feed)) == (26, 25, 0)
    assert [count for count, _ in quarantined(feed)] == [1, 1]
    assert all("carries no score" in reason for _, reason in quarantined(feed))
    assert feed.counters()["events_quarantined", ""] == 2


def test_text_that_the_database_refuses_is_set_aside(feed, make):
    model = feed.model()
    feed.take(make.prediction("nul\x00", 0.5), make.prediction("a", 0.5))
    refused = 0 if feed.database.is_sqlite else 1
    assert sum(count for count, _ in quarantined(feed)) == refused
    assert verified(feed, model).events == 2 - refused


def test_a_full_bucket_refuses_its_events_and_no_others(feed, make):
    model = feed.model()
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.5, at=at))
    full = encode_summary(np.array([total_slot("events")]), np.array([LIMIT - 1]))
    with feed.database.write() as connection:
        connection.execute(update(rollup).where(rollup.c.level == HOUR_LEVEL).values(summary=full))
    feed.take(make.prediction("b", 0.5, at=at), make.prediction("c", 0.5, at=at - HOURS))
    assert [count for count, _ in quarantined(feed)] == [1]
    assert "OverflowError" in quarantined(feed)[0][1]
    assert feed.progress(model).predictions == 2
    assert backlog(feed) == 0


def snapshot(feed, model):
    """Return everything that a roll-up may change."""
    with feed.database.read() as connection:
        rows = [connection.execute(select(table)).all() for table in (prediction_table, label_table, quarantine)]
    return feed.rollups(model), feed.progress(model), feed.counters(), rows, backlog(feed)


@pytest.mark.parametrize("kind", ["good", "poison", "corrupt"])
def test_a_leader_that_was_overtaken_changes_nothing(feed, make, kind):
    model = feed.model()
    feed.take(make.prediction("a", 0.5))
    if kind == "corrupt":
        with feed.database.write() as connection:
            feed.append(connection, b"p", 3)
    elif kind == "poison":
        feed.send(PredictionEvent(event_id="p", model="m", timestamp=make.prediction("x", 0.5).timestamp))
    else:
        feed.send(make.prediction("b", 0.5))
    old, feed.token = feed.token, feed.lead("other")
    before = snapshot(feed, model)
    with pytest.raises(LeaseLost):
        feed.roll_up(token=old)
    assert snapshot(feed, model) == before
    feed.roll_up()
    assert verified(feed, model).events == (2 if kind == "good" else 1)


def test_a_leader_without_any_lease_changes_nothing(feed, make):
    feed.model()
    feed.send(make.prediction("a", 0.5))
    with feed.database.write() as connection:
        connection.execute(lease.delete())
    with pytest.raises(LeaseLost):
        feed.roll_up()
    assert backlog(feed) == 1


def test_two_leaders_that_alternate_count_everything_once(feed, make):
    model = feed.model()
    for i in range(6):
        feed.send(*(make.prediction(f"{i}-{j}", 0.1 * j) for j in range(5)))
        feed.send(*(make.label(f"{i}-{j}", j % 2) for j in range(5)))
    stale: list[int] = []
    while backlog(feed):
        for token in stale:
            with pytest.raises(LeaseLost):
                roll_up(feed.database, token, now=feed.clock, events=5)
        stale.append(feed.token)
        feed.token = feed.lead(f"leader {len(stale)}")
        roll_up(feed.database, feed.token, now=feed.clock, events=5)
    total = verified(feed, model)
    assert (total.events, total.labels, feed.counters()["events_ingested", "prediction"]) == (30, 30, 30)


def test_two_runs_under_one_token_at_the_same_time_count_everything_once(feed, make):
    model = feed.model()
    for i in range(12):
        feed.send(*(event for j in range(5) for event in (make.prediction(f"{i}-{j}", 0.5), make.label(f"{i}-{j}", 1))))
    failures = []

    def work():
        while backlog(feed):
            try:
                roll_up(feed.database, feed.token, now=feed.clock, events=10)
            except LeaseLost:
                continue
            except Exception as error:  # noqa: BLE001 - told to the test
                failures.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    total = verified(feed, model)
    assert (total.events, total.labels) == (60, 60)
    assert feed.counters()["events_ingested", "prediction"] == 60
    assert ("events_duplicate", "") not in feed.counters()
