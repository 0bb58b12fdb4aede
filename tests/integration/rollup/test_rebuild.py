import pytest

from monitor.domain.errors import LeaseLost, NotFound
from monitor.domain.records import Progress
from monitor.domain.times import HOUR
from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models


def sent(make):
    """Return events whose sums depend on the settings."""
    at = make.prediction("x", 0.5).timestamp
    predictions = [
        make.prediction(
            f"e{i}", i / 30, at=at.replace(day=1 + i % 5, minute=i), cluster=f"c{i % 4}",
            segments={"country": "de" if i % 2 else "fr", "tier": "gold"}, raw_probability=i / 60,
        )
        for i in range(30)
    ]  # fmt: skip
    labels = [make.label(row.event_id, int(row.event_id[1:]) % 2, timestamp=at) for row in predictions[::2]]
    return [*predictions, *labels, make.label("e2", 1, supersedes=True)]


def differences(feed, model):
    with feed.database.read() as connection:
        return differences_of(connection, model)


def test_rebuild_under_the_same_settings_changes_nothing(feed, make):
    model = feed.model(segments=("country",))
    feed.take(*sent(make))
    before = feed.rollups(model), feed.progress(model)
    assert rebuild_model(feed.database, model) == 30
    assert (feed.rollups(model), feed.progress(model)) == before


def test_rebuild_after_a_change_of_segments_is_a_fresh_roll_up_under_them(feed, make):
    model = feed.model(segments=("country",), label_delay=HOUR)
    events = sent(make)
    feed.take(*events)
    model = feed.model(segments=("tier",), label_delay=None)
    assert {key.segment for key, _, _ in feed.rollups(model)} == {"", "country:de", "country:fr"}
    rebuild_model(feed.database, model)
    rebuilt = feed.rollups(model), feed.progress(model)
    assert {key.segment for key, _, _ in rebuilt[0]} == {"", "tier:gold"}
    assert differences(feed, model) == []
    feed.forget(model)
    feed.token = feed.lead("feed")
    feed.take(*events)
    assert (feed.rollups(model), feed.progress(model)) == rebuilt


def test_rebuild_after_a_change_of_classes_with_thresholds_keeps_what_waits_for_them(feed, make):
    settings = {"task": "multiclass", "classes": ("a", "b"), "label_delay": HOUR, "cluster_span": HOUR}
    model = feed.model(class_thresholds={"a": 0.05}, **settings)
    at = make.prediction("x", 0.5).timestamp
    events = [
        make.prediction(
            f"e{i}", at=at.replace(minute=i), probabilities=[i / 30, 1 - i / 30], cluster=[None, "c"][i % 2]
        )
        for i in range(30)
    ]
    feed.take(*events, *(make.label(f"e{i}", "ab"[i % 2]) for i in range(20)))
    assert differences(feed, model) == []
    model = feed.model(class_thresholds={"a": 0.05, "b": 0.05}, **settings)
    rebuild_model(feed.database, model)
    assert differences(feed, model) == []
    feed.token = feed.lead("feed")
    feed.take(make.label("e4", "b", supersedes=True), make.label("e25", "a"))
    assert differences(feed, model) == []


def test_a_label_after_a_rebuild_takes_back_what_the_rebuild_added(feed, make):
    model = feed.model()
    feed.take(*sent(make))
    model = feed.model(segments=("country",))
    rebuild_model(feed.database, model)
    feed.token = feed.lead("feed")
    feed.take(make.label("e4", 1, supersedes=True), make.label("e5", 1), make.prediction("new", 0.5))
    assert differences(feed, model) == []


def test_without_a_rebuild_old_events_stay_under_the_old_settings(feed, make):
    model = feed.model(segments=("country",))
    feed.take(*sent(make))
    model = feed.model(segments=("tier",))
    feed.take(make.label("e4", 1, supersedes=True), make.prediction("new", 0.5, segments={"tier": "gold"}))
    assert {key.segment for key, _, _ in feed.rollups(model)} == {"", "country:de", "country:fr", "tier:gold"}
    assert differences(feed, model) == []


def test_rebuild_mends_damaged_rollups_and_counts(feed, make):
    model = feed.model()
    feed.take(*sent(make))
    before = feed.rollups(model), feed.progress(model)
    with feed.database.write() as connection:
        models.save_progress(connection, model.id, Progress(minutes_from=before[1].minutes_from))
    feed.lead("other")
    rebuild_model(feed.database, model)
    after = feed.progress(model)
    assert feed.rollups(model) == before[0]
    assert (after.predictions, after.labels) == (before[1].predictions, before[1].labels)


def test_rebuild_leaves_other_models_alone(feed, make):
    model, other = feed.model("m"), feed.model("other")
    feed.take(*sent(make), make.prediction("a", 0.5, model="other"))
    before = feed.rollups(other)
    feed.model("other", segments=("country",))
    rebuild_model(feed.database, model)
    assert feed.rollups(other) == before
    assert differences(feed, other) == []


def test_rebuild_reports_how_far_it_is(feed, make):
    model = feed.model()
    feed.take(*sent(make))
    told = []
    rebuild_model(feed.database, model, report=lambda done, total: told.append((done, total)))
    assert told == [(30, 30)]


def test_a_leader_of_before_the_rebuild_changes_nothing_after_it(feed, make):
    model = feed.model()
    feed.take(*sent(make))
    feed.send(make.prediction("late", 0.5))
    rebuild_model(feed.database, model)
    with pytest.raises(LeaseLost):
        feed.roll_up()
    assert feed.progress(model).predictions == 30


def test_a_model_that_is_gone_cannot_be_rebuilt(feed):
    model = feed.model()
    with feed.database.write() as connection:
        models.remove(connection, model.id)
    feed.model()
    with pytest.raises(NotFound, match="no model m any more"):
        rebuild_model(feed.database, model)


def test_rebuild_sums_what_waits_for_the_tests_again(feed, make):
    model = feed.model(segments=("country",), label_delay=HOUR)
    feed.take(*sent(make), make.prediction("single", 0.5), make.prediction("other", 0.75), make.label("single", 1))
    with feed.database.write() as connection:
        connection.exec_driver_sql("UPDATE cohort SET summary = (SELECT summary FROM cohort LIMIT 1)")
        connection.exec_driver_sql("UPDATE cluster SET summary = (SELECT summary FROM cohort LIMIT 1)")
    assert differences(feed, model) != []
    rebuild_model(feed.database, model)
    assert differences(feed, model) == []
