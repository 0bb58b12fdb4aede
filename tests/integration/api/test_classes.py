"""Classes with thresholds of their own: each has a sequential test, an alert of its own, and a share of the false-alarm rate."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from monitor.alert.segments import KIND as SEGMENTS
from monitor.domain.alerts import RESOLVED, SEGMENT, Alarm, Alert, Evidence
from monitor.domain.events import CLASSES_KEPT
from monitor.domain.faults import Since, since_words
from monitor.domain.times import HOUR, MINUTE, parse_time, rfc3339
from monitor.rollup.verify import differences_of
from monitor.stats.summary import MAX_CLASSES
from monitor.store import models, sequential
from monitor.store.alerts import record
from monitor.windows.clock import clocked
from monitor.windows.onset import since_of
from monitor.windows.rows import of_version

CLASSES = ["cat", "dog", "eel"]
AN_HOUR = 400


@pytest.fixture
def declare(api):
    def of(**settings):
        defaults = {"label_delay": "0s", "windows": ["1h"], "class_thresholds": {"cat": 0.03, "dog": 0.03}}
        api.put(task="multiclass", classes=CLASSES, recalibration="off", status=201, **(defaults | settings))

    return of


@pytest.fixture
def serve(api, clock, tools):
    """Serve an hour of predictions; so much of what is said of cats is dogs instead."""
    dice = np.random.default_rng(5)

    def an_hour(shift=0.0, **place):
        vectors = dice.dirichlet([1.0, 1.0, 1.0], AN_HOUR).round(4)
        vectors[:, 2] = (1.0 - vectors[:, :2].sum(axis=1)).round(4)
        moved = np.minimum(vectors[:, 0], shift)
        chances = vectors + np.outer(moved, [-1.0, 1.0, 0.0])
        truth = (dice.random((AN_HOUR, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(0, 2)
        names = [f"{clock.micros}-{i}" for i in range(AN_HOUR)]
        at = [rfc3339(clock.micros + i * 59 * MINUTE // AN_HOUR) for i in range(AN_HOUR)]
        clock.micros += HOUR
        api.send(
            *(
                tools.prediction(name, probabilities=vector, timestamp=time, **place)
                for name, vector, time in zip(names, vectors.tolist(), at, strict=True)
            ),
            *(tools.label(name, CLASSES[k]) for name, k in zip(names, truth, strict=True)),
        )
        clock.advance(timedelta(minutes=1))
        api.judge()

    return an_hour


@pytest.fixture
def alerts(api):
    def listed():
        every = api.get("/v1/models/m/alerts")["alerts"]
        return [(alert["kind"], alert["window"], alert["segment"], alert["state"]) for alert in every][::-1]

    return listed


@pytest.fixture
def of_classes(api):
    return lambda: {test["segment"]: test for test in api.get("/v1/models/m/evidence")["classes"]}


def test_classes_that_are_off_are_alerted_once_each_and_a_calibrated_one_never(api, declare, serve, alerts, of_classes):
    declare(thresholds={"ece": 0.3}, class_thresholds={"cat": 0.03, "dog": 0.03, "eel": 0.03})
    for _ in range(6):
        serve(shift=0.2)
    fired = [("miscalibration", "sequential", f"class={name}", "firing") for name in ("cat", "dog")]
    assert sorted(alerts()) == fired
    tests = of_classes()
    assert [tests[f"class={name}"]["direction"] for name in ("cat", "dog")] == ["overestimates", "underestimates"]
    assert tests["class=eel"]["log_e_peak"] < tests["class=eel"]["fires_at"] / 2
    assert sorted(test["start"] for test in tests.values()) == [1, 2, 3]
    told = api.get("/v1/models/m/alerts")["alerts"][0]
    assert told["evidence"]["level"] == tests[told["segment"]]["level"]
    assert f"({told['segment']}): Says " in told["evidence"]["summary"]
    assert "The ECE of class " in told["evidence"]["summary"]
    seen = api.get("/v1/models/m/calibration", window="1h")
    assert {one["class"]: one["verdict"] for one in seen["classes"]} | {"eel": ""} == {
        "cat": "miscalibrated", "dog": "miscalibrated", "eel": "",
    }  # fmt: skip
    for _ in range(5):
        serve()
    assert sorted(alerts()[2:]) == [(*place, "resolved") for *place, _ in fired]
    serve()
    assert {name: of_classes()[f"class={name}"]["start"] > 3 for name in CLASSES} == {
        "cat": True, "dog": True, "eel": False,
    }  # fmt: skip


@pytest.mark.parametrize("policy", ["sequential", "window"])
def test_an_alert_on_a_class_says_since_when(api, clock, declare, serve, policy):
    declare(thresholds={"ece": 0.3}, class_thresholds={"cat": 0.03}, alert_policy=policy, minimum_labels=100)
    for _ in range(4):
        serve()
    began = clock.micros
    for _ in range(4):
        serve(shift=0.2)
    (told,) = [one["evidence"] for one in api.get("/v1/models/m/alerts")["alerts"] if one["state"] == "firing"]
    low, at, high = (parse_time("", told[name]) for name in ("since_low", "since", "since_high"))
    assert low <= began <= high
    assert abs(at - began) < HOUR
    assert told["story"] in told["summary"]
    assert f" since {since_words(Since(at=at, low=low, high=high)).removeprefix('since ')}: ECE " in told["story"]


@pytest.fixture
def since(api, clock):
    """Return when a class began to be off."""

    def of(name):
        with api.services.database.read() as connection:
            model = models.by_name(connection, "m")
            return since_of(
                connection, clocked(connection, model, clock.micros), of_version(""), until=clock.micros, of_class=name
            )

    return of


def test_a_fault_of_a_class_began_after_its_own_last_alert_ended(api, clock, declare, serve, since):
    declare(thresholds={"ece": 0.3}, class_thresholds={"cat": 0.03, "dog": 0.03}, alert_policy="window")
    began = clock.micros
    for _ in range(5):
        serve(shift=0.2)
    assert since("cat").at < began + 2 * HOUR
    with api.services.database.write() as connection:
        number = models.by_name(connection, "m").id
        alarm = Alarm("miscalibration", "1h", "", "class=cat")
        ended = Alert(at=began + 3 * HOUR, alarm=alarm, state=RESOLVED, evidence=Evidence())
        record(connection, number, ended, now=clock.micros, notify=False)
    assert since("cat").at >= began + 3 * HOUR
    assert since("dog").at < began + 2 * HOUR


@pytest.fixture
def gathered(api):
    """Let the test of a class have so much of what fires it."""

    def of(segment, share, **fields):
        with api.services.database.write() as connection:
            model = models.by_name(connection, "m")
            test = sequential.segment_standings(connection, model.id)["", segment]
            limit = test.evidence.limit
            told = msgspec.structs.replace(test.evidence, log_e=share * limit, peak=share * limit, **fields)
            sequential.save_segments(connection, model.id, [replace(test, evidence=told)])

    return of


def verdicts(api):
    seen = api.get("/v1/models/m/calibration", window="1h")
    of_classes = {one["class"]: one["verdict"] for one in seen["classes"]}
    return seen["verdict"], seen["verdict_reason"], seen["remedy"], of_classes


def test_a_class_whose_test_is_half_way_is_suspect_and_so_is_the_whole(api, declare, serve, gathered):
    declare(thresholds={"ece": 0.3}, class_thresholds={"cat": 0.3, "dog": 0.3}, minimum_labels=100)
    for _ in range(2):
        serve()
    gathered("class=cat", 0.49)
    assert (verdicts(api)[0], verdicts(api)[3]["cat"]) == ("calibrated", "calibrated")
    gathered("class=cat", 0.51)
    verdict, reason, remedy, of_classes = verdicts(api)
    assert (verdict, remedy, of_classes["cat"], of_classes["dog"]) == ("suspect", "wait", "suspect", "calibrated")
    assert reason.startswith("Class cat: The sequential test has gathered more than half")
    assert [one["state"] for one in api.get("/v1/models")["models"]] == ["suspect"]
    api.put(class_thresholds={"dog": 0.3})  # what is not watched any more raises no suspicion
    assert verdicts(api)[0] == "calibrated"


def test_a_class_whose_alert_is_held_is_suspect_and_so_is_the_whole(api, declare, serve, gathered):
    declare(thresholds={"ece": 0.3}, class_thresholds={"cat": 0.3}, minimum_labels=100)
    for _ in range(2):
        serve()
    gathered("class=cat", 0.0, held=True, held_because="Late labels differ.")
    verdict, reason, remedy, of_classes = verdicts(api)
    assert (verdict, reason, remedy, of_classes["cat"]) == (
        "suspect", "Class cat: Late labels differ.", "check_labels", "suspect",
    )  # fmt: skip


def test_calibrated_classes_raise_no_alert(declare, serve, alerts):
    declare()
    for _ in range(12):
        serve()
    assert alerts() == []


def test_a_class_is_tested_from_when_it_gets_its_threshold_and_a_changed_one_starts_its_test_again(
    api, declare, serve, of_classes
):
    declare(class_thresholds={})
    serve()
    assert of_classes() == {}
    api.put(class_thresholds={"cat": 0.03, "yak": 0.1})
    serve()
    assert {name: test["labels"] for name, test in of_classes().items()} == {"class=cat": AN_HOUR}
    api.put(class_thresholds={"cat": 0.04})
    serve()
    (test,) = of_classes().values()
    assert (test["labels"], test["threshold"], test["start"]) == (AN_HOUR, 0.04, 2)
    api.put(class_thresholds={})
    assert of_classes() == {}


def test_models_with_more_classes_than_are_summed_have_no_thresholds_of_classes(api, clock, tools):
    many = [f"c{i}" for i in range(CLASSES_KEPT + 1)]
    assert CLASSES_KEPT == MAX_CLASSES
    refused = api.refused(
        "PUT", "/v1/models/m", 422, json={"task": "multiclass", "classes": many, "class_thresholds": {"c1": 0.1}}
    )
    assert refused["field"] == "class_thresholds"
    assert refused["reason"].endswith("is for models with up to 100 classes, of which sums are kept; this one has 101")
    api.put(
        task="multiclass", label_delay="0s", class_thresholds={"c1": 0.1}, status=201
    )  # before its classes are known
    api.put(task="multiclass", label_delay="0s", windows=["1h"])
    for i in range(20):
        api.send(
            tools.prediction(f"e{i}", probabilities=dict.fromkeys(many, 1 / len(many))), tools.label(f"e{i}", "c1")
        )
    clock.advance(timedelta(hours=1))
    api.judge()
    assert api.get("/v1/models/m/evidence")["classes"] == []
    with api.services.database.read() as connection:
        assert list(differences_of(connection, models.by_name(connection, "m"))) == []


@pytest.mark.parametrize("cluster", [None, "c"])
def test_the_validation_set_is_no_evidence_about_a_class(api, clock, tools, declare, cluster):
    declare(class_thresholds={"cat": 0.03}, cluster_span="1m")
    place = {"reference": True, **({"cluster": cluster} if cluster else {})}
    for i in range(20):
        api.send(tools.prediction(f"e{i}", probabilities=[0.5, 0.3, 0.2], **place), tools.label(f"e{i}", "dog"))
    api.send(tools.prediction("live", probabilities=[0.5, 0.3, 0.2]), tools.label("live", "dog"))
    clock.advance(timedelta(hours=1))
    api.judge()
    assert [(test["segment"], test["labels"]) for test in api.get("/v1/models/m/evidence")["classes"]] == [
        ("class=cat", 1)
    ]


@pytest.fixture
def sampled(api, clock, tools, declare):
    """Serve hours whose labels come for cats only."""
    declare(label_delay="1h", thresholds={"ece": 0.9})
    dice = np.random.default_rng(6)
    for hour in range(6):
        cats = dice.random(AN_HOUR) < 0.5
        names = [f"{hour}-{i}" for i in range(AN_HOUR)]
        api.send(*(tools.prediction(name, probabilities=[0.5, 0.3, 0.2]) for name in names))
        api.send(*(tools.label(name, "cat") for name, cat in zip(names, cats, strict=True) if cat))
        clock.advance(timedelta(hours=1))
    clock.advance(timedelta(hours=1))
    api.judge()


@pytest.mark.usefixtures("sampled")
def test_labels_of_a_class_that_are_chosen_by_outcome_hold_its_alert(alerts, of_classes):
    cat = of_classes()["class=cat"]
    assert (cat["held"], cat["log_e_peak"] > cat["fires_at"]) == (True, True)
    assert ("miscalibration", "sequential", "class=cat", "firing") not in alerts()


@pytest.mark.parametrize("cluster", [None, "c"])
def test_what_waits_for_the_tests_of_classes_is_what_its_rows_give(  # noqa: PLR0917
    api, clock, tools, declare, of_classes, cluster
):
    declare(label_delay="1h", cluster_span="1h", class_thresholds={"cat": 0.03})
    send = [
        tools.prediction(f"e{i}", probabilities=[0.5, 0.3, 0.2], **({"cluster": cluster} if cluster else {}))
        for i in range(40)
    ]
    api.send(*send)
    api.send(*(tools.label(f"e{i}", CLASSES[i % 3]) for i in range(30)))
    api.put(class_thresholds={"cat": 0.03, "dog": 0.03})
    api.send(*(tools.label(f"e{i}", "dog", supersedes=True) for i in range(9)))
    api.send(*(tools.prediction(f"late{i}", probabilities=[0.1, 0.8, 0.1]) for i in range(20)))
    api.send(*(tools.label(f"late{i}", "zebra" if i == 3 else "dog") for i in range(10)))

    def differences():
        with api.services.database.read() as connection:
            model = models.by_name(connection, "m")
            return list(differences_of(connection, model))

    assert differences() == []
    clock.advance(timedelta(hours=3))
    api.judge()
    labels = {name: test["labels"] for name, test in of_classes().items()}
    assert labels == {"class=cat": 39, "class=dog": 9}
    assert differences() == []


def test_the_end_of_an_alert_on_segments_leaves_the_tests_of_classes_as_they_are(api, clock, declare, serve):
    declare(segments=["country"])
    serve(segments={"country": "br"})
    with api.services.database.write() as connection:
        model = models.by_name(connection, "m")
        tests = sequential.segment_standings(connection, model.id)
        for place, test in tests.items():
            limit = test.evidence.limit
            reached = msgspec.structs.replace(test.evidence, peak=limit, log_e_peak=limit)
            tests[place] = replace(test, evidence=reached)
        sequential.save_segments(connection, model.id, list(tests.values()))
        ended = Alert(at=clock.micros, alarm=Alarm(SEGMENT, "sequential", "", ""), state=RESOLVED, evidence=Evidence())
        SEGMENTS.recorded(connection, model.id, ended)
        after = sequential.segment_standings(connection, model.id)
    assert {segment: bool(test.state) for (_, segment), test in after.items()} == {
        "country:br": False, "class=cat": True, "class=dog": True,
    }  # fmt: skip


def test_a_replay_tells_which_classes_a_policy_would_have_alerted(api, declare, serve, alerts):
    declare(class_thresholds={}, thresholds={"ece": 0.3})
    for _ in range(3):
        serve(shift=0.2)
    assert alerts() == []
    outcome = api.replay(class_thresholds={"cat": 0.03, "eel": 0.03}, step="1h")
    told = [(alert["kind"], alert["window"], alert["segment"], alert["state"]) for alert in outcome["alerts"]]
    assert told == [("miscalibration", "sequential", "class=cat", "firing")]


def test_an_alert_on_a_class_by_windows_ends_under_the_sequential_policy_where_its_test_takes_over(
    api, declare, serve, alerts
):
    declare(alert_policy="window", thresholds={"ece": 0.3}, class_thresholds={"cat": 0.03}, minimum_labels=100)
    for _ in range(2):
        serve(shift=0.2)
    assert alerts() == [("miscalibration", "1h", "class=cat", "firing")]
    api.put(alert_policy="sequential")
    for _ in range(2):
        serve(shift=0.2)
    assert sorted(alerts()[1:]) == [
        ("miscalibration", "1h", "class=cat", "resolved"),
        ("miscalibration", "sequential", "class=cat", "firing"),
    ]
