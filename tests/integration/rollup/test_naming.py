"""Versions and segment values past a model's limits count together as `__other__`."""

import pytest

from monitor.domain.records import OTHER
from monitor.domain.times import LATEST
from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import clusters, names, rollups, sequential


def sums(feed, model):
    """Return the number of events of each series with any, by version and segment."""
    return {(key.version, key.segment) for key, _, _ in feed.rollups(model)}


def clean(feed, model):
    with feed.database.read() as connection:
        return differences_of(connection, model) == []


def named(feed, model):
    with feed.database.read() as connection:
        return names.of_model(connection, model.id)


def of_versions(make, *versions):
    return [make.prediction(f"e-{version}", 0.5, model_version=version) for version in versions]


def of_countries(make, *countries):
    return [make.prediction(f"e-{country}", 0.5, segments={"country": country}) for country in countries]


def test_versions_past_the_limit_count_together(feed, make):
    model = feed.model(most_versions=2)
    feed.take(*of_versions(make, "b", "a"))
    feed.take(*of_versions(make, "c", "d", "a2"), make.prediction("more", 0.5, model_version="a"))
    assert sums(feed, model) == {("b", ""), ("a", ""), (OTHER, "")}
    assert named(feed, model) == {"": ["b", "a"]}
    assert feed.counters()["events_unnamed", "version"] == 3
    assert clean(feed, model)


def test_values_past_the_limit_count_together_and_each_segment_has_its_own_limit(feed, make):
    model = feed.model(segments=("country", "tier", "country,tier"), most_segment_values=1)
    events = [
        make.prediction(f"e{i}", 0.5, segments={"country": "de" if i < 2 else "fr", "tier": f"t{i}"}) for i in range(4)
    ]
    feed.take(*events)
    assert {segment for _, segment in sums(feed, model)} == {
        "", "country:de", "country:__other__", "tier:t0", "tier:__other__", "country,tier:de,t0", "country,tier:__other__",
    }  # fmt: skip
    assert [feed.counters()["events_unnamed", f"segment {key}"] for key in ("country", "tier", "country,tier")] == [
        2,
        3,
        3,
    ]
    assert clean(feed, model)


@pytest.mark.parametrize("first", ["label", "prediction"])
def test_labels_and_corrections_go_where_their_predictions_count(feed, make, first):
    model = feed.model(segments=("country",), most_segment_values=1, most_versions=1)
    feed.take(make.prediction("first", 0.5, segments={"country": "de"}, model_version="1"))
    pair = [make.prediction("e", 0.9, segments={"country": "fr"}, model_version="2"), make.label("e", 1)]
    for event in pair if first == "prediction" else reversed(pair):
        feed.take(event)
    feed.take(make.label("e", 0, supersedes=True), pair[0])
    assert sums(feed, model) == {("1", ""), ("1", "country:de"), (OTHER, ""), (OTHER, "country:__other__")}
    assert (feed.progress(model).predictions, feed.progress(model).labels) == (2, 1)
    assert clean(feed, model)


def test_a_higher_limit_holds_from_then_on_and_for_the_past_after_a_rebuild(feed, make):
    model = feed.model(segments=("country",), most_segment_values=1)
    feed.take(*of_countries(make, "de", "fr", "ch"))
    model = feed.model(segments=("country",), most_segment_values=2)
    feed.take(make.prediction("late", 0.5, segments={"country": "fr"}))
    assert {segment for _, segment in sums(feed, model)} == {"", "country:de", "country:fr", "country:__other__"}
    assert clean(feed, model)
    rebuild_model(feed.database, model)
    assert named(feed, model) == {"": [""], "country": ["de", "fr"]}
    assert feed.counters()["events_unnamed", "segment country"] == 1
    assert clean(feed, model)
    model = feed.model(segments=("country",), most_segment_values=3)
    rebuild_model(feed.database, model)
    assert {segment for _, segment in sums(feed, model)} == {"", "country:de", "country:fr", "country:ch"}
    assert clean(feed, model)


def test_a_lower_limit_takes_no_name_away(feed, make):
    model = feed.model(segments=("country",))
    feed.take(*of_countries(make, "de", "fr"))
    model = feed.model(segments=("country",), most_segment_values=1)
    feed.take(make.prediction("more", 0.5, segments={"country": "fr"}), *of_countries(make, "ch"))
    assert {segment for _, segment in sums(feed, model)} == {"", "country:de", "country:fr", "country:__other__"}
    rebuild_model(feed.database, model)
    assert named(feed, model)["country"] == ["de", "fr"]
    assert clean(feed, model)


def test_nothing_is_bet_on_other_versions(feed, make):
    """Two of them may have predicted the same event: their outcome would be bet on twice."""
    model = feed.model(most_versions=1, label_delay=0, segments=("country",))
    events = [
        make.prediction(f"e{i}", 0.5, model_version=version, cluster=cluster, segments={"country": "de"})
        for i, cluster in enumerate([None, "game"])
        for version in ("1", "2", "3")
    ]
    feed.take(*events, *(make.label(f"e{i}", 1) for i in range(2)))
    assert clean(feed, model)
    with feed.database.read() as connection:
        series = {number: key.version for key, number in rollups.series_ids(connection, model.id).items()}
        waiting = {series[one.series] for one in sequential.due(connection, list(series), LATEST, LATEST)}
        gathering = {key.version for key in clusters.of_model(connection, model.id)}
    assert (set(series.values()), waiting, gathering) == ({"1", OTHER}, {"1"}, {"1"})
