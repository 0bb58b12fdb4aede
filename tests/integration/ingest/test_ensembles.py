"""Ensembles from event to calibrator: members are kept, their average is what is judged and calibrated."""

import random

import pytest

from monitor.client import average
from monitor.rollup.verify import differences_of
from monitor.store import models

CALIBRATION = "/v1/models/m/calibration"
CLASSES = ["ant", "bee", "cat"]
DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}


def event(api, name):
    return api.get(f"/v1/models/m/events/{name}")["prediction"]


def differences(api):
    with api.services.database.read() as connection:
        return [str(each) for each in differences_of(connection, models.by_name(connection, "m"))]


def at(second):
    """Return a time of the morning."""
    return f"2026-01-05T{6 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def overconfident(tools, count):
    """Return events of three members, each right a little less often than they say, and their labels."""
    dice = random.Random(1)
    sent = []
    for i in range(count):
        p = dice.uniform(0.02, 0.98)
        said = [min(max(p + dice.uniform(-0.02, 0.02), 0.0), 1.0) for _ in range(3)]
        true = 1 / (1 + ((1 - p) / p) ** 0.5)
        sent += [tools.prediction(f"e{i}", timestamp=at(i), members=said)]
        sent += [tools.label(f"e{i}", int(dice.random() < true), timestamp=at(i))]
    return sent


def test_members_are_kept_and_their_average_is_judged(api, tools):
    api.put("m", status=201, task="binary", label_delay="0s", minimum_labels=2)
    api.send(
        tools.prediction("a", members=[0.5, 0.75]),
        tools.prediction("b", 0.3, raw_probability=0.75, members=[0.6, 0.9], calibrator_version=None),
        tools.label("a", 1),
        tools.label("b", 0),
    )
    assert (event(api, "a")["served"], event(api, "a")["raw"]) == (0.625, None)
    assert event(api, "a")["members"] == [0.5, 0.75]
    assert (event(api, "b")["served"], event(api, "b")["raw"]) == (0.3, 0.75)
    assert event(api, "b")["members"] == [0.6, 0.9]
    raw = api.get(CALIBRATION, scores="raw", **DAY)
    assert raw["brier"] == pytest.approx(((1 - 0.625) ** 2 + 0.75**2) / 2)
    assert differences(api) == []


def test_members_of_many_classes_are_kept_and_their_average_is_judged(api, tools):
    api.put("m", status=201, task="multiclass", classes=CLASSES, label_delay="0s", minimum_labels=2)
    said = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]
    api.send(
        tools.prediction("a", members=said),
        tools.prediction("b", probabilities=average(said), members=said, metadata={"trace": 1}),
        tools.label("a", "ant"),
        tools.label("b", "bee"),
    )
    assert event(api, "a")["probabilities"] == event(api, "b")["probabilities"] == [0.75, 0.125, 0.125]
    assert event(api, "a")["members"] == event(api, "b")["members"] == said
    assert event(api, "b")["metadata"] == {"trace": 1}
    assert api.get(CALIBRATION, **DAY)["mean_confidence"] == 0.75
    assert differences(api) == []


def test_an_event_sent_again_with_other_members_is_a_conflict(api, tools):
    api.send(tools.prediction("a", 0.6, members=[0.5, 0.7]))
    api.send(tools.prediction("a", 0.6, members=[0.5, 0.7]))
    assert api.get("/v1/models/m/events/a")["conflicts"] == []
    api.send(tools.prediction("a", 0.6, members=[0.55, 0.65]))
    found = api.get("/v1/models/m/events/a")
    assert [each["kind"] for each in found["conflicts"]] == ["prediction"]
    assert found["prediction"]["members"] == [0.5, 0.7]


def test_members_that_do_not_fit_fail_their_event_alone(sqlite_api, tools):
    sqlite_api.put("m", status=201, task="multiclass", classes=CLASSES)
    bad = tools.prediction("bad", members=[[0.5, 0.5], [0.25, 0.75]])
    answer = sqlite_api.send(bad, tools.prediction("good", members=[[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]))
    assert answer["accepted"] == 1
    assert [(each["event_id"], each["code"]) for each in answer["rejected"]] == [("bad", "wrong_length")]


def test_an_ensemble_is_calibrated_on_its_average(sqlite_api, tools):
    api = sqlite_api
    api.put("m", status=201, task="binary", label_delay="0s")
    api.send(*overconfident(tools, 2_000))
    made = api.post("/v1/models/m/calibrators", {"method": "temperature", "promote": True}, status=201)
    assert made["promoted"]
    assert made["parameters"]["temperature"] == pytest.approx(2.0, rel=0.2)
    said = [0.9, 0.95]
    served = api.post("/v1/models/m/calibrate", {"probabilities": [average(said)]})
    assert served["probabilities"][0] == pytest.approx(0.78, abs=0.03)
    fields = {"raw_probability": average(said), "calibrator_version": served["calibrator_version"], "members": said}
    api.send(tools.prediction("later", served["probabilities"][0], **fields))
    assert event(api, "later")["members"] == said
    assert event(api, "later")["raw"] == average(said)
