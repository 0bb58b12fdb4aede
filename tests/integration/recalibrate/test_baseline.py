"""The validation set: scores, a reference and a first calibrator before any live label, and never traffic."""

import random
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sqlalchemy import select, update

from monitor.alert.job import judge_alerts
from monitor.domain.records import REFERENCE_SEGMENT
from monitor.evaluation import sequential
from monitor.evaluation.job import evaluate_model
from monitor.recalibrate.baseline import reference_sample
from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import alerts, models
from monitor.store.schema import alert as alert_rows
from monitor.store.schema import (
    alert_state,
    cluster,
    cohort,
    delay,
    evaluation,
    label,
    latest,
    prediction,
    rollup,
    secret,
    series,
)
from monitor.store.sequential import standings
from monitor.store.versions import attempt
from monitor.windows.clock import clocked

REFERENCE = "/v1/models/m/reference"
CALIBRATION = "/v1/models/m/calibration"
CALIBRATORS = "/v1/models/m/calibrators"
DRIFT = "/v1/models/m/drift"

with_fixtures = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=2
)


@pytest.fixture
def api(api):
    return with_known_secret(api)


@pytest.fixture
def sqlite_api(sqlite_api):
    return with_known_secret(sqlite_api)


def with_known_secret(api):
    """Fix which half of a validation set each event is in: what a gate says of it is then the same in every run."""
    with api.services.database.write() as connection:
        connection.execute(update(secret).values(value=bytes(range(32))))
    return api


def validation_set(tools, count, *, slope=0.5, seed=5, first=0, name="v", **fields):
    """Return predictions of a model that is too sure of itself, unless the slope is 1, each with its label, all of one time."""
    dice = np.random.default_rng(seed)
    p = np.clip(dice.beta(0.5, 0.5, count), 0.005, 0.995)
    y = dice.uniform(size=count) < expit(slope * logit(p))
    return [
        event
        for i, (each, right) in enumerate(zip(p.tolist(), y.tolist(), strict=True), start=first)
        for event in (
            tools.prediction(f"{name}{i}", each, reference=True, **fields),
            tools.label(f"{name}{i}", int(right)),
        )
    ]


def as_traffic(events):
    return [{name: value for name, value in event.items() if name != "reference"} for event in events]


def sent(api, events):
    for first in range(0, len(events), 5000):
        api.send(*events[first : first + 5000])


def differences(api, name="m"):
    with api.services.database.read() as connection:
        return [str(each) for each in differences_of(connection, models.by_name(connection, name))]


def audited(api):
    return [each["action"] for each in api.get("/v1/models/m/audit")["audit"]]


def later(api, clock, span=timedelta(minutes=2)):
    """Let time pass, and let the stages run."""
    clock.advance(span)
    api.judge()


# What it shows, and what it leaves alone


def test_its_scores_are_those_that_traffic_of_the_same_events_would_have(sqlite_api, tools):
    api = sqlite_api
    events = validation_set(tools, 600, slope=0.4, raw_probability=0.3)
    api.put("m", status=201, label_delay="0s", minimum_labels=50)
    api.put("n", status=201, label_delay="0s", minimum_labels=50)
    sent(api, events + [{**event, "model": "n"} for event in as_traffic(events)])
    for scores in ("served", "raw"):
        seen = api.get(REFERENCE, scores=scores)
        live = api.get("/v1/models/n/calibration", window="1h", scores=scores)
        assert (seen["predictions"], seen["labelled"], seen["scores"]) == (600, 600, scores)
        own = {
            "model",
            "start",
            "end",
            "ece_lower_bound",
            "labels_needed",
            "verdict",
            "verdict_reason",
            "remedy",
            "remedy_reason",
            "since",
            "since_low",
            "since_high",
        }  # which half events are in is drawn by model; a validation set has no past
        assert {k: v for k, v in seen.items() if k not in own} == {k: v for k, v in live.items() if k not in own}
    assert api.get(REFERENCE)["verdict"] == "miscalibrated"
    assert api.get(REFERENCE, bins=10)["ece"] == api.get("/v1/models/n/calibration", window="1h", bins=10)["ece"]


def test_it_is_of_all_its_times_and_of_one_version_where_asked(api, tools):
    api.put("m", status=201)
    api.send(*validation_set(tools, 5, timestamp="1999-12-31T23:30:00Z", model_version="1", name="a"))
    api.send(*validation_set(tools, 7, timestamp="2026-01-05T11:10:00Z", model_version="2", name="b"))
    whole, second = api.get(REFERENCE), api.get(REFERENCE, version="2")
    assert (whole["predictions"], whole["start"], whole["end"]) == (12, "1999-12-31T23:00:00Z", "2026-01-05T12:00:00Z")
    assert (second["predictions"], second["start"], second["version"]) == (7, "2026-01-05T11:00:00Z", "2")


def test_where_there_is_none_counts_are_0_and_figures_null(sqlite_api, tools):
    api = sqlite_api
    api.put("m", status=201, task="binary")
    api.send(tools.prediction("a", 0.5), tools.label("a", 1))
    for query in ({}, {"version": "7"}, {"scores": "raw"}):
        found = api.get(REFERENCE, **query)
        assert (found["predictions"], found["labelled"], found["verdict"]) == (0, 0, "too_few_labels")
        assert (found["start"], found["end"], found["ece"], found["brier"]) == (None, None, None, None)
    assert api.refused("GET", "/v1/models/none/reference", 404)
    assert api.refused("GET", REFERENCE, params={"window": "1h"})["field"] == "window"
    assert api.refused("GET", REFERENCE, params={"bins": 11})["field"] == "bins"


def test_a_regression_has_one_too(sqlite_api, tools):
    api = sqlite_api
    api.put("m", status=201, task="regression")
    api.send(
        *(tools.prediction(f"v{i}", mean=float(i), std=1.0, reference=True) for i in range(60)),
        *(tools.label(f"v{i}", i + 0.5) for i in range(60)),
    )
    found = api.get(REFERENCE)
    assert (found["labelled"], found["bias"], found["mean_absolute_error"]) == (60, -0.5, 0.5)
    assert differences(api) == []


def test_it_is_no_traffic(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=50, segments=["country"])
    api.send(*validation_set(tools, 300, segments={"country": "de"}, model_version="1"))
    api.judge()
    assert api.get(CALIBRATION)["predictions"] == 0
    assert api.get("/v1/models/m/segments")["segments"] == []
    assert api.get("/v1/models/m/history", window="24h")["evaluations"] == []
    listed = api.get("/v1/models")["models"][0]
    assert (listed["predictions"], listed["labelled"], listed["last_event_at"]) == (0, 0, None)
    assert (listed["state"], listed["evaluation"]) == ("no_data", None)
    assert api.get("/v1/models/m")["versions"] == []
    assert api.refused("GET", CALIBRATION, params={"segment": REFERENCE_SEGMENT})["field"] == "segment"
    metrics = api.ask("GET", "/metrics").text
    assert 'calibration_window_samples{model="m"' not in metrics
    assert 'calibration_events_ingested_total{event_type="prediction"} 300.0' in metrics


class Mixed:
    """Traffic, and a validation set in between: of any time, labelled before or after, in clusters, of versions of its own."""

    def __init__(self, make, seed):
        self.make, self.dice = make, random.Random(seed)
        self.steps = [
            ([self._case(f"t{step}-{i}") for i in range(30)], [self._reference(f"r{step}-{i}") for i in range(40)])
            for step in range(3)
        ]

    def _case(self, name):
        at = self.make.prediction("x", 0.5).timestamp - timedelta(minutes=self.dice.randrange(3 * 1440))
        return self._pair(name, at, {})

    def _reference(self, name):
        now = self.make.prediction("x", 0.5).timestamp
        at = now + self.dice.choice(
            [timedelta(minutes=4), -timedelta(days=3000), -timedelta(minutes=self.dice.randrange(5000))]
        )
        return self._pair(name, at, {"reference": True})

    def _pair(self, name, at, fields):
        dice, make = self.dice, self.make
        sent = make.prediction(
            name, dice.random(), at=at, model_version=dice.choice(["1", "2"]), cluster=dice.choice([None, "game"]),
            calibrator_version=dice.choice([None, 1]), segments={"country": dice.choice("ab")}, **fields,
        )  # fmt: skip
        told = make.label(name, dice.randrange(2), timestamp=dice.choice([None, at + timedelta(hours=30)]))
        return dice.choice([[sent, told], [told, sent], [sent]])


def lived(feed, model, mixed, dice, *, with_reference):
    """Let a model live through the steps, and return all that its traffic amounts to."""
    feed.forget(model)
    with feed.database.write() as connection:
        for table in (evaluation, latest, alert_rows, alert_state, delay):
            connection.execute(table.delete())
    for traffic, reference in mixed.steps:
        events = [[event] for pair in traffic for event in pair]
        if with_reference:
            for pair in reference:
                place = dice.randrange(len(events))
                for i, event in enumerate(pair):
                    events.insert(min(place + i * dice.randrange(1, 9), len(events)), [event])
        feed.take(*(event for each in events for event in each))
        sequential.advance_tests(feed.database, feed.token, model, feed.clock())
    evaluate_model(feed.database, feed.token, model, feed.clock())
    judge_alerts(feed.database, feed.token, model, feed.clock(), notify=False)
    with feed.database.read() as connection:
        assert differences_of(connection, model) == []
        waiting = connection.execute(select(cohort.c.due, cohort.c.bucket, cohort.c.summary)).all()
        gathered = select(cluster.c.opened, cluster.c.due, cluster.c.summary, cluster.c.rest)
        apart = connection.execute(gathered).all()
        names = ("version", "segment", "window", "kind", "fields")
        figures = connection.execute(select(*(latest.c[name] for name in names))).all()
        clock = clocked(connection, model, feed.clock())
        return {
            "rollups": {k: blob for k, blob in feed.rollups(model).items() if k[0].segment != REFERENCE_SEGMENT},
            "clock": (clock.progress, clock.delay, clock.matured_until, clock.newest_end),
            "delays": models.delays(connection, model.id),
            "cohorts": sorted((due, bucket, bytes(blob)) for due, bucket, blob in waiting),
            "clusters": sorted((opened, due, bytes(bets), bytes(rest)) for opened, due, bets, rest in apart),
            "figures": sorted(map(str, figures)),
            "tests": {version: row.evidence for version, row in standings(connection, model.id).items()},
            "alerts": alerts.transitions(connection, model.id, 100),
        }


@pytest.fixture
def feeds(feed_on, sqlite_database, postgres_database):
    both = [feed_on(database) for database in (sqlite_database, postgres_database)]
    for feed in both:
        with feed.database.write() as connection:
            connection.execute(update(secret).values(value=bytes(range(32))))
    return both


@with_fixtures
@given(seed=st.integers(0, 2**32))
def test_whatever_is_sent_as_reference_changes_nothing_of_traffic(feeds, make, seed):
    found = []
    for feed, with_reference in ((feeds[0], False), (feeds[0], True), (feeds[1], True)):
        # Without a champion, drift is against the window before: by default it is measured against the validation set, as it should be.
        model = feed.model(
            segments=("country",), minimum_labels=5, reference="champion", windows=("1h", "7d"), recalibration="off"
        )
        dice = random.Random(seed)
        found.append(lived(feed, model, Mixed(make, seed), dice, with_reference=with_reference))
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_its_labels_move_no_time_and_teach_no_delay_whichever_comes_first(feed, make):
    model = feed.model(label_delay=None)
    feed.take(make.prediction("a", 0.5), make.label("a", 1, timestamp=make.prediction("a", 0.5).timestamp))
    before = feed.progress(model)
    ahead = make.prediction("x", 0.5).timestamp + timedelta(minutes=5)
    feed.take(make.label("early", 1, timestamp=ahead))
    assert feed.progress(model) == before
    feed.take(make.prediction("early", 0.5, reference=True), make.prediction("late", 0.5, reference=True))
    feed.take(make.label("late", 0, timestamp=ahead))
    assert feed.progress(model) == before
    with feed.database.read() as connection:
        assert sum(models.delays(connection, model.id).values()) == 1


def test_a_label_that_waited_for_its_prediction_moves_time_when_that_comes(feed, make):
    model = feed.model()
    ahead = make.prediction("x", 0.5).timestamp + timedelta(minutes=5)
    feed.take(make.label("a", 1, timestamp=ahead))
    assert feed.progress(model).watermark is None
    feed.take(make.prediction("a", 0.5))
    assert feed.progress(model).watermark == feed.clock() + 5 * 60 * 1_000_000


def test_an_id_that_comes_again_as_the_other_kind_conflicts(api, tools):
    api.put("m", status=201)
    api.send(tools.prediction("a", 0.5, reference=True), tools.prediction("b", 0.5))
    api.send(tools.prediction("a", 0.5), tools.prediction("b", 0.5, reference=True))
    api.send(tools.prediction("a", 0.5, reference=True), tools.prediction("b", 0.5, reference=False))
    for name in ("a", "b"):
        found = api.get(f"/v1/models/m/events/{name}")
        assert [each["kind"] for each in found["conflicts"]] == ["prediction"]
        assert found["prediction"].get("reference") == (True if name == "a" else None)
    assert api.get(REFERENCE)["predictions"] == api.get(CALIBRATION)["predictions"] == 1
    assert differences(api) == []


def test_the_classes_of_a_model_with_a_validation_set_stay_unnamed(sqlite_api, tools):
    api = sqlite_api
    api.send(tools.prediction("a", 0.5, reference=True))
    api.refused("PUT", "/v1/models/m", 409, json={"classes": ["ham", "spam"]})


def test_rolled_up_afresh_it_is_the_same(feed, make):
    model = feed.model(segments=("country",))
    dice = random.Random(3)
    events = [event for step in Mixed(make, 3).steps for part in step for pair in part for event in pair]
    dice.shuffle(events)
    feed.take(*events)
    stored, progress = feed.rollups(model), feed.progress(model)
    rebuild_model(feed.database, model)
    assert (feed.rollups(model), feed.progress(model)) == (stored, progress)


def test_deleting_the_model_deletes_it(api, tools, clock):
    api.put("m", status=201, recalibration="auto")
    sent(api, validation_set(tools, 300))
    later(api, clock)
    api.ask("DELETE", "/v1/models/m", params={"confirm": "m"})
    with api.services.database.read() as connection:
        for table in (prediction, label, rollup, series):
            assert connection.execute(select(table)).all() == []


# What drift is measured against


def traffic(tools, count, *, p=None, name="t", **fields):
    dice = np.random.default_rng(8)
    scores = np.clip(dice.beta(0.5, 0.5, count), 0.005, 0.995).tolist() if p is None else [p] * count
    return [tools.prediction(f"{name}{i}", each, **fields) for i, each in enumerate(scores)]


def kind_of(api, **query):
    found = api.get(DRIFT, window="1h", **query)
    return found["reference_kind"], found["reference_predictions"]


def test_drift_is_measured_against_it_once_it_is_large_enough(api, tools):
    api.put("m", status=201, minimum_labels=100)
    api.send(*traffic(tools, 200), *validation_set(tools, 99, timestamp="2024-01-01T00:00:00Z"))
    assert kind_of(api) == ("trailing", 0)
    api.send(*validation_set(tools, 1, first=99, timestamp="2024-01-01T00:00:00Z"))
    assert kind_of(api) == ("validation", 100)
    found = api.get(DRIFT, window="1h")
    assert (found["reference_start"], found["reference_end"]) == ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z")
    assert (found["enough"], found["drifted"]) == (True, False)
    declared = {"start": "2026-01-05T10:00:00Z", "end": "2026-01-05T11:00:00Z"}
    api.put("m", reference=declared)
    assert kind_of(api) == ("fixed", 0)


def test_declared_it_is_the_reference_however_small_and_only_of_versions_that_have_one(sqlite_api, tools):
    api = sqlite_api
    api.put("m", status=201, minimum_labels=100, reference="validation")
    api.send(*traffic(tools, 200, model_version="1"), *validation_set(tools, 3, model_version="1"))
    assert kind_of(api) == kind_of(api, version="1") == ("validation", 3)
    api.send(*validation_set(tools, 5, model_version="0", name="old"))
    assert kind_of(api) == ("validation", 3)
    api.send(*traffic(tools, 50, name="u", model_version="2"))
    assert kind_of(api, version="2") == kind_of(api) == ("trailing", 0)
    assert kind_of(api, version="1") == ("validation", 3)


def test_an_alarm_on_drift_fires_against_it_in_every_window_where_it_is_declared(sqlite_api, tools):
    api = sqlite_api
    api.put("m", status=201, minimum_labels=100, reference="validation", windows=["1h", "24h"], label_delay="0s")
    api.send(*validation_set(tools, 300), *traffic(tools, 200, p=0.9))
    api.judge()
    fired = [each for each in api.get("/v1/models/m/alerts")["alerts"] if each["kind"] == "score_drift"]
    assert {each["window"] for each in fired} == {"1h", "24h"}
    assert {each["evidence"]["reference_kind"] for each in fired} == {"validation"}


def test_undeclared_it_is_whole_for_the_longest_window_however_young_the_model_is(sqlite_api, tools):
    api = sqlite_api
    api.put("m", status=201, minimum_labels=100, windows=["1h", "24h"], label_delay="0s")
    api.send(*validation_set(tools, 300, timestamp="2024-01-01T00:00:00Z"), *traffic(tools, 200, p=0.9))
    api.judge()
    fired = [each for each in api.get("/v1/models/m/alerts")["alerts"] if each["kind"] == "score_drift"]
    assert [each["window"] for each in fired] == ["24h"]


# The first calibrator


def test_a_model_that_is_too_sure_is_calibrated_before_its_first_live_event(api, tools, clock):
    api.put("m", status=201, recalibration="auto", reference="champion")
    sent(api, validation_set(tools, 1000, timestamp="2025-12-01T00:00:00Z"))
    later(api, clock)
    document = api.get(f"{CALIBRATORS}/champion")
    source = document["fitted_from"]
    assert (source["source"], source["holdout"]) == ("validation", 0.5)
    assert (source["start"], source["end"]) == ("2025-12-01T00:00:00Z", "2025-12-01T01:00:00Z")
    assert 450 <= source["labels"] <= 550
    assert source["labels"] + source["holdout_labels"] == 1000
    assert document["gate"]["passed"] is True
    assert audited(api) == ["register", "promote"]
    assert api.get(CALIBRATION)["predictions"] == 0
    assert api.get(REFERENCE)["labelled"] == 1000
    api.send(*traffic(tools, 20))
    assert kind_of(api) == ("validation", 1000)
    assert differences(api) == []
    later(api, clock)
    assert audited(api) == ["register", "promote"]


@pytest.mark.parametrize("policy", ["propose", "shadow"])
def test_where_a_person_decides_it_is_the_challenger(sqlite_api, tools, clock, policy):
    api = sqlite_api
    api.put("m", status=201, recalibration=policy)
    sent(api, validation_set(tools, 1000))
    later(api, clock)
    found = api.get(CALIBRATORS)
    assert (found["champion"], found["challenger"]) == (None, 1)


def test_a_policy_of_off_fits_nothing(sqlite_api, tools, clock):
    api = sqlite_api
    api.put("m", status=201, recalibration="off")
    sent(api, validation_set(tools, 1000))
    later(api, clock)
    assert api.get(CALIBRATORS)["calibrators"] == []


def test_a_calibrated_model_gets_none_and_is_tried_again_only_when_the_set_has_grown(sqlite_api, tools, clock):
    api = sqlite_api
    api.put("m", status=201, recalibration="auto")
    sent(api, validation_set(tools, 1000, slope=1.0))
    later(api, clock)
    later(api, clock)
    assert audited(api) == ["refuse"]
    sent(api, validation_set(tools, 50, slope=1.0, first=1000))
    later(api, clock)
    assert audited(api) == ["refuse"]
    sent(api, validation_set(tools, 60, slope=1.0, first=1050))
    later(api, clock)
    assert audited(api) == ["refuse", "refuse"]
    with api.services.database.read() as connection:
        assert attempt(connection, models.by_name(connection, "m").id).reference_labels == 1110


def test_it_waits_until_the_set_has_stopped_growing(sqlite_api, tools, clock):
    api = sqlite_api
    api.put("m", status=201, recalibration="auto")
    events = validation_set(tools, 1000)
    api.send(*(event for event in events if event["type"] == "prediction"))
    clock.advance(timedelta(minutes=10))
    api.send(*(event for event in events if event["type"] == "label"))
    later(api, clock, timedelta(seconds=30))
    assert audited(api) == []
    later(api, clock, timedelta(seconds=30))
    assert audited(api) == ["register", "promote"]


def test_too_few_labels_of_it_fit_nothing(sqlite_api, tools, clock):
    sqlite_api.put("m", status=201, recalibration="auto")
    sqlite_api.send(*validation_set(tools, 199))
    later(sqlite_api, clock)
    assert audited(sqlite_api) == []


def test_with_live_labels_enough_for_a_refit_it_fits_nothing(sqlite_api, tools, clock):
    sqlite_api.put("m", status=201, recalibration="auto", label_delay="0s")
    sqlite_api.send(*as_traffic(validation_set(tools, 200, name="t")), *validation_set(tools, 1000))
    later(sqlite_api, clock)
    assert audited(sqlite_api) == []


def test_of_several_versions_the_newest_is_fitted_and_none_is_harmed(sqlite_api, tools, clock):
    sqlite_api.put("m", status=201, recalibration="auto")
    sqlite_api.send(*validation_set(tools, 1000, model_version="old", name="a", slope=2.5))
    sqlite_api.send(*validation_set(tools, 1000, model_version="new", name="b"))
    later(sqlite_api, clock)
    (entry,) = sqlite_api.get("/v1/models/m/audit")["audit"]
    assert (entry["action"], entry["detail"]["fitted_from"]["model_version"]) == ("refuse", "new")
    assert "model_version:old" in entry["detail"]["reason"]


def test_a_declared_segment_that_it_would_harm_stops_it(sqlite_api, tools, clock):
    sqlite_api.put("m", status=201, recalibration="auto", segments=["country"])
    sqlite_api.send(*validation_set(tools, 1500, slope=0.3, segments={"country": "de"}))
    sqlite_api.send(*validation_set(tools, 600, slope=1.2, segments={"country": "fr"}, name="f"))
    later(sqlite_api, clock)
    (entry,) = sqlite_api.get("/v1/models/m/audit")["audit"]
    assert entry["action"] == "refuse"
    assert "country:fr" in entry["detail"]["reason"]


def test_a_multiclass_model_is_calibrated_on_its_vectors(sqlite_api, tools, clock):
    classes = ["ant", "bee", "cat"]
    sqlite_api.put("m", status=201, task="multiclass", classes=classes, recalibration="auto")
    dice = np.random.default_rng(4)
    logits = dice.normal(scale=3.0, size=(2000, 3))
    noisy = 0.4 * logits + dice.gumbel(
        size=logits.shape
    )  # the largest is drawn by the softmax of what the noise was added to
    sent(
        sqlite_api,
        [
            event
            for i, (row, truth) in enumerate(zip(logits.tolist(), noisy.argmax(axis=1).tolist(), strict=True))
            for event in (tools.prediction(f"v{i}", logits=row, reference=True), tools.label(f"v{i}", classes[truth]))
        ],
    )
    later(sqlite_api, clock)
    champion = sqlite_api.get(f"{CALIBRATORS}/champion")
    assert champion["method"] == "temperature"
    assert champion["parameters"]["temperature"] == pytest.approx(2.5, rel=0.15)


def test_the_halves_are_drawn_by_cluster(feed, make):
    model = feed.model()
    feed.take(
        *(make.prediction(f"v{i}", 0.5, reference=True, cluster=f"game {i % 50}") for i in range(500)),
        *(make.label(f"v{i}", 1) for i in range(500)),
    )
    with feed.database.read() as connection:
        sample = reference_sample(connection, clocked(connection, model, feed.clock()), None)
        smaller = reference_sample(connection, clocked(connection, model, feed.clock()), None, holdout=0.2)
    held_out = int(sample.at.sum())
    assert held_out % 10 == 0  # clusters are of ten
    assert 100 < held_out < 400
    assert 0 < smaller.at.sum() < held_out


def test_a_replay_begins_with_it_too(sqlite_api, tools):
    sqlite_api.put("m", status=201, recalibration="off", label_delay="0s")
    sent(sqlite_api, validation_set(tools, 1000, timestamp="2010-01-01T00:00:00Z"))
    sqlite_api.send(
        *(
            event
            for hour in (10, 11)
            for event in traffic(tools, 20, name=f"h{hour}-", timestamp=f"2026-01-05T{hour:02}:30:00Z")
        )
    )
    found = sqlite_api.replay(recalibration="auto", start="2026-01-05T10:00:00Z")
    (promoted,) = found["promotions"]
    assert promoted["fitted_from"]["source"] == "validation"
