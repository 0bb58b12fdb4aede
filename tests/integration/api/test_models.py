"""Models: declared, found by whatever name, listed with their state, asked about single events, deleted."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from monitor.store import schema

DEFAULTS = {
    "task": None,
    "classes": None,
    "label_delay": None,
    "windows": ["1h", "24h", "7d"],
    "segments": [],
    "minimum_labels": 500,
    "thresholds": {"ece": 0.05, "psi": 0.2},
    "alert_policy": "sequential",
    "false_alarm_rate": 0.01,
    "guarantee": "ever",
    "alert_on": "ece",
    "reference": None,
    "recalibration": "propose",
    "cooldown": "1h",
}
AWKWARD = [
    "m",
    "org/net",
    "a/b/c/d",
    "/",
    "a//b",
    "ends/",
    "org/calibration",
    "org/calibrators/7",
    "events/x",
    "x/events/y",
    "calibrators",
    "50% off?",
    "a%2Fb",
    "a+b c",
    "#1;ü=&",
    "模型",
    "\u202eevil\u200b",
    "e\u0301",
    "...",
    "<img src=x>",
    "'; DROP TABLE model; --",
    "x" * 200,
    "😀" * 200,
]


def since(text):
    return datetime.fromisoformat(text)


# Settings


def test_a_declared_model_has_the_defaults_of_the_contract(api):
    made = api.put("m", status=201)
    assert {name: made[name] for name in DEFAULTS} == DEFAULTS
    assert (made["model"], made["revision"], made["created_at"]) == ("m", 1, "2026-01-05T12:00:00Z")


def test_given_settings_replace_and_others_stay(api):
    api.put("m", status=201, task="binary", minimum_labels=50, thresholds={"ece": 0.1}, segments=["country"])
    changed = api.put(
        "m", windows=["2h"], label_delay="36h", reference={"start": "1970-01-01T00:00:00Z", "end": api_now}
    )
    expected = DEFAULTS | {
        "task": "binary",
        "minimum_labels": 50,
        "thresholds": {"ece": 0.1, "psi": 0.2},
        "segments": ["country"],
        "windows": ["2h"],
        "label_delay": "36h",
        "reference": {"start": "1970-01-01T00:00:00Z", "end": api_now},
    }
    assert {name: changed[name] for name in DEFAULTS} == expected
    shown = api.get("/v1/models/m")
    assert {name: shown[name] for name in DEFAULTS} == expected


api_now = "2026-01-05T12:00:00Z"


def test_a_setting_can_be_put_back_to_null(api):
    api.put("m", status=201, label_delay="1d", reference={"start": "2026-01-01T00:00:00Z", "end": api_now})
    assert api.put("m", label_delay=None, reference=None)["label_delay"] is None
    assert api.get("/v1/models/m")["reference"] is None


def test_only_what_the_roll_up_depends_on_begins_a_revision(api):
    api.put("m", status=201, segments=["a"])
    assert api.put("m", minimum_labels=7, thresholds={"psi": 0.5})["revision"] == 1
    assert api.put("m", segments=["a", "b"])["revision"] == 2
    assert api.put("m", label_delay="1h")["revision"] == 3
    assert api.put("m", label_delay="60m")["revision"] == 3


@pytest.mark.parametrize(
    ("settings", "field", "reason"),
    [
        ({"windws": ["1h"]}, "windws", "there is no such setting"),
        ({"model": "m"}, "model", "there is no such setting"),
        ({"task": "ranking"}, "task", "must be one of binary, multiclass, confidence"),
        ({"task": True}, "task", "must be one of"),
        ({"task": ["binary"]}, "task", "must be one of"),
        ({"classes": []}, "classes", "2 to 1000 names"),
        ({"classes": ["a"]}, "classes", "2 to 1000 names"),
        ({"classes": ["a", "a"]}, "classes", "twice"),
        ({"classes": ["a", ""]}, "classes", "1 to 200"),
        ({"classes": ["a", "b\n"]}, "classes", "control"),
        ({"classes": ["a", 1]}, "classes", "must be text"),
        ({"classes": "ab"}, "classes", "must be a list"),
        ({"task": "binary", "classes": ["a", "b", "c"]}, "classes", "exactly two"),
        ({"label_delay": "1 h"}, "label_delay", "a whole number and a unit"),
        ({"label_delay": "1.5h"}, "label_delay", "a whole number and a unit"),
        ({"label_delay": "-1h"}, "label_delay", "a whole number and a unit"),
        ({"label_delay": "\u0661h"}, "label_delay", "a whole number and a unit"),
        ({"label_delay": 3600}, "label_delay", "a whole number and a unit"),
        ({"label_delay": True}, "label_delay", "a whole number and a unit"),
        ({"label_delay": "99999999d"}, "label_delay", "at most 3660d"),
        ({"windows": []}, "windows", "1 to 10"),
        ({"windows": ["1h"] * 11}, "windows", "1 to 10"),
        ({"windows": ["24h", "1d"]}, "windows", "twice"),
        ({"windows": ["59s"]}, "windows", "at least 1m"),
        ({"windows": ["0s"]}, "windows", "at least 1m"),
        ({"windows": ["999999999w"]}, "windows", "at most 3660d"),
        ({"windows": [None]}, "windows", "a whole number and a unit"),
        ({"windows": "1h"}, "windows", "must be a list"),
        ({"windows": None}, "windows", "must be a list"),
        ({"segments": ["a:b"]}, "segments", "colon"),
        ({"segments": ["a", "a"]}, "segments", "twice"),
        ({"segments": [["a"]]}, "segments", "must be text"),
        ({"segments": {"a": 1}}, "segments", "must be a list"),
        ({"segments": [str(i) for i in range(21)]}, "segments", "at most 20"),
        ({"minimum_labels": 0}, "minimum_labels", "whole number"),
        ({"minimum_labels": 2.0}, "minimum_labels", "whole number"),
        ({"minimum_labels": True}, "minimum_labels", "whole number"),
        ({"minimum_labels": "500"}, "minimum_labels", "whole number"),
        ({"minimum_labels": 10**30}, "minimum_labels", "whole number"),
        ({"thresholds": {"ece": 0}}, "thresholds.ece", "above 0"),
        ({"thresholds": {"ece": 1}}, "thresholds.ece", "below 1"),
        ({"thresholds": {"ece": True}}, "thresholds.ece", "above 0"),
        ({"thresholds": {"ece": "0.1"}}, "thresholds.ece", "above 0"),
        ({"thresholds": {"psi": -1}}, "thresholds.psi", "above 0"),
        ({"thresholds": {"psi": 1e300}}, "thresholds.psi", "above 0"),
        ({"thresholds": {"mce": 0.1}}, "thresholds.mce", "no such threshold"),
        ({"thresholds": [0.1]}, "thresholds", "must be an object"),
        ({"thresholds": None}, "thresholds", "must be an object"),
        ({"alert_policy": "never"}, "alert_policy", "must be one of window"),
        ({"guarantee": {"per_labels": [0.01, 100]}}, "guarantee.per_labels[1]", "whole number from 250"),
        ({"guarantee": {"per_labels": [0.01, 1000, 1]}}, "guarantee", 'must be "ever", or'),
        ({"guarantee": 0.01}, "guarantee", 'must be "ever", or'),
        ({"alert_on": "mce"}, "alert_on", "must be one of ece, pointwise"),
        ({"task": "regression", "alert_on": "pointwise"}, "alert_on", "must be ece for a regression"),
        ({"false_alarm_rate": 1}, "false_alarm_rate", "ratio"),
        ({"false_alarm_rate": 0}, "false_alarm_rate", "ratio"),
        ({"false_alarm_rate": True}, "false_alarm_rate", "ratio"),
        ({"false_alarm_rate": 0.6}, "false_alarm_rate", "ratio"),
        ({"false_alarm_rate": "0.01"}, "false_alarm_rate", "ratio"),
        ({"reference": {}}, "reference", "start and end"),
        ({"reference": {"start": api_now}}, "reference", "start and end"),
        ({"reference": {"start": api_now, "end": api_now}}, "reference", "start must be before end"),
        ({"reference": {"start": 5, "end": api_now}}, "reference.start", "RFC 3339"),
        ({"reference": {"start": "2026-01-01", "end": api_now}}, "reference.start", "RFC 3339"),
        ({"reference": {"start": "2026-01-01T00:00:00", "end": api_now}}, "reference.start", "zone"),
        ({"reference": {"start": "0001-01-01T00:00:00+14:00", "end": api_now}}, "reference.start", "from 1970"),
        ({"reference": {"start": api_now, "end": "9999-12-31T23:59:59-12:00"}}, "reference.end", "from 1970"),
        ({"reference": "yesterday"}, "reference", "start and end"),
        ({"recalibration": "on"}, "recalibration", "off, propose, auto"),
        ({"recalibration": None}, "recalibration", "off, propose, auto"),
        ({"cooldown": None}, "cooldown", "a whole number and a unit"),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_changes(sqlite_api, settings, field, reason):
    error = sqlite_api.refused("PUT", "/v1/models/m", json=settings | {"cooldown": settings.get("cooldown", "5h")})
    assert error["field"] == field
    assert reason in error["reason"]
    assert sqlite_api.get("/v1/models")["models"] == []


@pytest.mark.parametrize(
    "thresholds",
    [{"": 0.1}, {"x" * 201: 0.1}, {"a\n": 0.1, "\u202e": 0.2}, {f"class {i}": 0.1 for i in range(1001)}],
    ids=["empty", "long", "control", "many"],
)
def test_thresholds_of_classes_that_no_event_can_have_are_kept_as_they_are(api, tools, thresholds):
    assert (
        api.put("m", status=201, task="multiclass", classes=["a", "b"], class_thresholds=thresholds)["class_thresholds"]
        == thresholds
    )
    api.send(tools.prediction("a", probabilities={"a": 0.4, "b": 0.6}))
    api.roll_up()
    assert api.get("/v1/models/m")["class_thresholds"] == thresholds
    assert api.get("/v1/models/m/calibration?window=24h")["predictions"] == 1


def test_the_task_is_fixed_once_events_or_an_owner_said_it(api, tools):
    api.send(tools.prediction("a", 0.5))
    assert api.get("/v1/models/m")["task"] == "binary"
    body = api.ask("PUT", "/v1/models/m", json={"task": "multiclass"}, status=409)
    assert body["title"] == "Conflict"
    assert "binary" in body["detail"]
    assert api.put("m", task="binary")["task"] == "binary"
    assert api.put("m", task=None)["task"] == "binary"


def test_classes_of_a_binary_model_are_named_before_its_first_event_or_never(api, tools):
    api.put("m", status=201, task="binary", classes=["1", "2"])
    api.send(tools.prediction("a", 0.5, model="n"))
    api.roll_up()
    assert "0 and 1" in api.ask("PUT", "/v1/models/n", json={"classes": ["1", "2"]}, status=409)["detail"]


def test_classes_are_fixed_too(api, tools):
    api.put("m", status=201, task="multiclass", classes=["cat", "dog"])
    api.ask("PUT", "/v1/models/m", json={"classes": ["dog", "cat"]}, status=409)
    answer = api.send(
        tools.prediction("a", probabilities={"dog": 0.4, "cat": 0.6}), tools.prediction("b", probabilities=[1.0])
    )
    assert (answer["accepted"], answer["rejected"][0]["code"]) == (1, "wrong_length")


def test_a_declared_task_refuses_other_events(api, tools):
    api.put("m", status=201, task="multiclass")
    body = api.send(tools.prediction("a", 0.5), status=422)
    assert "probability is not what this multiclass model takes" in body["errors"][0]["reason"]


def test_declarations_at_once_lose_nothing(api):
    names: list[dict[str, Any]] = [
        {"minimum_labels": 77},
        {"cooldown": "3h"},
        {"segments": ["a"]},
        {"windows": ["9h"]},
        {"label_delay": "8h"},
    ]
    threads = [
        threading.Thread(target=api.client.put, args=("/v1/models/m",), kwargs={"json": given}) for given in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = api.get("/v1/models/m")
    assert {name: shown[name] for given in names for name in given} == {
        k: v for given in names for k, v in given.items()
    }


# Names


@pytest.mark.parametrize("name", AWKWARD)
def test_a_model_of_any_name_is_found_by_it(sqlite_api, tools, name):
    api, at = sqlite_api, tools.address(name)
    api.send(tools.prediction("e/1?", 0.25, model=name), tools.label("e/1?", 0, model=name))
    assert [each["model"] for each in api.get("/v1/models")["models"]] == [name]
    assert api.put(name, minimum_labels=9, label_delay="0s")["model"] == name
    assert api.get(at)["minimum_labels"] == 9
    assert api.get(f"{at}/calibration")["labelled"] == 1
    assert api.get(f"{at}/drift")["model"] == name
    assert api.get(f"{at}/history") == {"evaluations": []}
    assert api.get(f"{at}/alerts") == {"alerts": []}
    assert api.get(f"{at}/calibrators")["champion"] is None
    assert api.get(f"{at}/audit") == {"audit": []}
    event = api.get(f"{at}/events/e%2F1%3F")
    assert (event["model"], event["event_id"], event["prediction"]["served"]) == (name, "e/1?", 0.25)
    assert api.post(f"{at}/calibrate", {"probabilities": [0.5]})["calibrator_version"] is None
    assert api.post(f"{at}/calibrators")["number"] is None
    assert "calibrator 3" in api.ask("POST", f"{at}/calibrators/3/promote", json={}, status=404)["detail"]
    assert "in service" in api.ask("POST", f"{at}/calibrators/rollback", json={}, status=409)["detail"]
    assert api.ask("DELETE", at, params={"confirm": name}) == {"deleted": name}
    assert api.get("/v1/models")["models"] == []


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("org/net/calibration", "org/net"),
        ("org/net/a/b/drift", "org/net/a/b"),
        ("org/net/calibrators", "org/net"),
        ("org/net/alerts", "org/net"),
        ("org/net", "org/net"),
        ("a%2Fb/c/history", "a/b/c"),
    ],
)
def test_slashes_may_stand_as_they_are(sqlite_api, tools, path, model):
    sqlite_api.send(tools.prediction("1", 0.5, model=model))
    sqlite_api.get(f"/v1/models/{path}")


def test_slashes_as_they_are_reach_calls_below_too(sqlite_api, tools):
    sqlite_api.send(tools.prediction("a/1", 0.5, model="org/net"))
    assert sqlite_api.get("/v1/models/org/net/events/a/1")["event_id"] == "a/1"
    assert "calibrator 3" in sqlite_api.ask("GET", "/v1/models/org/net/calibrators/3", status=404)["detail"]
    assert "challenger" in sqlite_api.ask("GET", "/v1/models/org/net/calibrators/challenger", status=404)["detail"]
    sqlite_api.ask("POST", "/v1/models/org/net/calibrators/rollback", json={}, status=409)
    assert (
        "calibrator 1"
        in sqlite_api.ask("POST", "/v1/models/org/net/calibrators/1/promote", json={}, status=404)["detail"]
    )


@pytest.mark.parametrize("name", [".", "..", "a\nb", "a\x00b", "\x7f", "x" * 201])
def test_a_name_that_can_not_be_used_is_refused_everywhere(api, tools, name):
    at = tools.address(name).replace(".", "%2E")
    events = [tools.prediction("a", 0.5, model=name), tools.label("a", 1, model=name)]
    assert len(api.ask("POST", "/v1/events", json={"events": events}, status=422)["errors"]) == 2
    if name.strip("."):  # which the client of this test takes out of an address, as any does
        assert api.refused("PUT", at, json={})["field"] == "model"
        for call in ("", "/calibration", "/calibrators", "/events/1"):
            api.ask("GET", at + call, status=404)
    assert api.get("/v1/models")["models"] == []


def test_names_that_look_alike_are_different_models(api):
    for name in ("é", "e\u0301", "E", "e", "e ", " e"):
        api.put(name, status=201)
    assert [each["model"] for each in api.get("/v1/models")["models"]] == sorted(("é", "e\u0301", "E", "e", "e ", " e"))


# List and state


def test_the_list_is_empty_at_first(api):
    assert api.get("/v1/models") == {"models": [], "backlog_events": 0, "rollup_lag_seconds": 0.0}


def test_the_list_says_what_waits(api, tools, clock):
    api.ask("POST", "/v1/events", json={"events": [tools.prediction("a", 0.5), tools.prediction("b", 0.5)]})
    clock.micros += 2_500_000
    found = api.get("/v1/models")
    assert (found["backlog_events"], found["rollup_lag_seconds"]) == (2, 2.5)
    api.roll_up()
    assert api.get("/v1/models")["backlog_events"] == 0


def test_the_list_shows_models_by_name_with_what_came(api, tools):
    api.send(
        tools.prediction("a", 0.5, model="b"), tools.label("a", 1, model="b"), tools.prediction("c", 0.5, model="b")
    )
    api.put("a", status=201, recalibration="auto")
    first, second = api.get("/v1/models")["models"]
    assert first == {
        "model": "a", "task": None, "recalibration": "auto", "state": "no_data", "alerts": 0, "champion": None,
        "proposal": None, "corrected": {"clamped": 0, "normalized": 0, "sorted": 0},
        "undeclared": {"labels": 0, "classes": [], "told": None}, "unnamed": {},
        "predictions": 0, "labelled": 0, "last_event_at": None, "created_at": "2026-01-05T12:00:00Z", "evaluation": None,
    }  # fmt: skip
    assert second == {
        "model": "b", "task": "binary", "recalibration": "propose", "state": "no_data", "alerts": 0, "champion": None,
        "proposal": None, "corrected": {"clamped": 0, "normalized": 0, "sorted": 0},
        "undeclared": {"labels": 0, "classes": [], "told": None}, "unnamed": {},
        "predictions": 2, "labelled": 1, "last_event_at": "2026-01-05T12:00:00Z", "created_at": "2026-01-05T12:00:00Z",
        "evaluation": None,
    }  # fmt: skip
    shown = api.get("/v1/models/b")
    assert {name: shown[name] for name in second} == second


def test_the_state_is_the_verdict_of_the_shortest_window_that_has_one(api, tools):
    api.put("m", status=201, minimum_labels=4, windows=["1h", "24h"], label_delay="0s")
    old = [(f"o{i}", 0.9, 0, "2026-01-05T06:00:00Z") for i in range(40)]
    new = [(f"n{i}", 0.5, i % 2, "2026-01-05T11:59:00Z") for i in range(2)]
    for name, p, y, at in old + new:
        api.ask("POST", "/v1/events", json={"events": [tools.prediction(name, p, timestamp=at), tools.label(name, y)]})
    api.roll_up()
    api.judge()
    (listed,) = api.get("/v1/models")["models"]
    assert (listed["state"], listed["evaluation"]["window"], listed["evaluation"]["labelled"]) == (
        "miscalibrated",
        "24h",
        42,
    )
    assert listed["alerts"] == 1
    assert sum(each["count"] for each in listed["evaluation"]["reliability"]) == 42


def test_the_list_shows_a_model_over_all_its_versions(api, tools):
    api.put("m", status=201, minimum_labels=2, label_delay="0s", windows=["1h"])
    for name, version in [("a", "v1"), ("b", "v2"), ("c", "v2")]:
        api.send(tools.prediction(name, 0.75, model_version=version), tools.label(name, 1))
    api.judge()
    shown = api.get("/v1/models")["models"][0]["evaluation"]
    assert (shown["version"], shown["labelled"], shown["window"]) == (None, 3, "1h")
    assert shown == {
        name: api.get("/v1/models/m/calibration", window="1h")[name] for name in shown if name != "window"
    } | {"window": "1h"}


def test_versions_are_those_that_events_named_the_newest_first(api, tools):
    for number, version in enumerate(["2.0", "1.0", None, "3.0", "1.0"]):
        named = {} if version is None else {"model_version": version}
        api.send(tools.prediction(f"e{number}", 0.5, **named))
    assert api.get("/v1/models/m")["versions"] == ["3.0", "1.0", "2.0"]


# Single events


def test_an_event_says_what_became_of_it(api, tools, clock):
    api.put("m", status=201, segments=["country"])
    given = {"model_version": "v1", "segments": {"country": "DE"}, "cluster": "c", "raw_probability": 0.75}
    api.send(tools.prediction("a", 0.5, calibrator_version=3, metadata={"k": [1]}, **given))
    clock.micros += 60_000_000
    api.send(tools.label("a", True, timestamp="2026-01-05T13:00:30+01:00", source="human"))
    found = api.get("/v1/models/m/events/a")
    assert found["prediction"] == {
        "timestamp": "2026-01-05T12:00:00Z", "received_at": "2026-01-05T12:00:00Z", "rolled_up_at": "2026-01-05T12:00:00Z",
        "model_version": "v1", "calibrator_version": 3, "segments": {"country": "DE"}, "cluster": "c", "served": 0.5,
        "raw": 0.75, "settings_revision": 1, "metadata": {"k": [1]},
    }  # fmt: skip
    assert found["label"] == {
        "label": True, "timestamp": "2026-01-05T12:00:30Z", "received_at": "2026-01-05T12:01:00Z",
        "rolled_up_at": "2026-01-05T12:01:00Z", "source": "human", "supersedes": False,
    }  # fmt: skip
    assert (found["earlier_labels"], found["conflicts"]) == ([], [])


def test_an_event_shows_vectors_as_they_were_sent(api, tools):
    by_class = {"2": 0.75, "0": 0.125, "1": 0.125}
    api.send(
        tools.prediction("a", probabilities=[0.1, 0.2, 0.7]),
        tools.prediction("b", logits=[1.0, -2.5, 3.25]),
        tools.prediction("c", probabilities=by_class, raw_probabilities={"0": 0.5, "1": 0.25, "2": 0.25}),
    )
    seen = {name: api.get(f"/v1/models/m/events/{name}")["prediction"] for name in "abc"}
    assert (seen["a"]["probabilities"], seen["a"]["served"], seen["a"]["raw"]) == ([0.1, 0.2, 0.7], 0.7, None)
    assert seen["b"]["logits"] == [1.0, -2.5, 3.25]
    assert (seen["c"]["probabilities"], seen["c"]["served"]) == (by_class, 0.75)
    assert (seen["c"]["raw_probabilities"], seen["c"]["raw"]) == ({"0": 0.5, "1": 0.25, "2": 0.25}, 0.5)


def test_an_event_shows_the_answer_that_a_confidence_is_of(api, tools):
    api.send(tools.prediction("a", confidence=0.5, prediction="Paris"))
    assert api.get("/v1/models/m/events/a")["prediction"]["prediction"] == "Paris"


def test_an_event_shows_what_conflicted_and_what_was_superseded(api, tools):
    api.send(tools.prediction("a", 0.5), tools.prediction("a", 0.5), tools.prediction("a", 0.6))
    api.send(tools.label("a", 1), tools.label("a", 0), tools.label("a", 0, supersedes=True))
    found = api.get("/v1/models/m/events/a")
    assert found["prediction"]["served"] == 0.5
    assert [each["kind"] for each in found["conflicts"]] == ["prediction", "label"]
    assert (found["label"]["label"], [each["label"] for each in found["earlier_labels"]]) == (0, [1])


def test_a_label_without_its_prediction_is_shown(api, tools):
    api.send(tools.label("a", 1))
    found = api.get("/v1/models/m/events/a")
    assert (found["prediction"], found["label"]["label"]) == (None, 1)


def test_an_event_that_waits_or_never_came_is_not_found(api, tools):
    api.ask("POST", "/v1/events", json={"events": [tools.prediction("a", 0.5)]})
    assert "rolled up a moment after" in api.ask("GET", "/v1/models/m/events/a", status=404)["detail"]
    api.roll_up()
    for name in ("b", "a%00", "%F0%9F%98%80", "x" * 5000):
        api.ask("GET", f"/v1/models/m/events/{name}", status=404)


# Deletion


def test_deletion_wants_the_name_again(api, tools):
    api.send(tools.prediction("a", 0.5))
    for query in ("", "?confirm=", "?confirm=M", "?confirm=m/"):
        assert api.refused("DELETE", f"/v1/models/m{query}")["field"] == "confirm"
    assert api.get("/v1/models/m")["predictions"] == 1


def test_a_deleted_model_leaves_its_audit_log_alone_and_may_come_again(api, tools):
    api.put("m", status=201, minimum_labels=2, windows=["1h"])
    api.put("other", status=201)
    for name in "ab":
        api.send(tools.prediction(name, 0.9), tools.label(name, 0))
    api.judge()
    assert api.ask("DELETE", "/v1/models/m?confirm=m") == {"deleted": "m"}
    api.ask("DELETE", "/v1/models/m?confirm=m", status=404)
    api.ask("GET", "/v1/models/m/alerts", status=404)
    with api.services.database.read() as connection:
        left = {
            table.name: connection.execute(select(table)).all()
            for table in schema.metadata.sorted_tables
            if "model_id" in table.c or table.name == "rollup"
        }
    assert {name: len(rows) for name, rows in left.items() if rows} == {"revision": 1, "progress": 1, "audit": 1}
    api.send(tools.prediction("a", probabilities=[0.5, 0.5]))
    again = api.get("/v1/models/m")
    assert (again["task"], again["predictions"], again["minimum_labels"]) == ("multiclass", 1, 500)


def steps(api, name="m"):
    return [(step["action"], step["actor"]) for step in api.get(f"/v1/models/{name}/audit")["audit"]]


def test_the_audit_log_of_a_deleted_model_is_kept_and_is_not_that_of_its_successor(api):
    api.put("m", status=201, task="binary")
    document = {"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}}
    api.post("/v1/models/m/calibrators", {"document": document, "holdout": 0}, status=201)
    api.post("/v1/models/m/calibrators/1/promote")
    before = steps(api)
    assert [action for action, _ in before] == ["register", "promote"]
    api.ask("DELETE", "/v1/models/m?confirm=m")
    assert steps(api) == [*before, ("delete", "api")]
    api.put("m", status=201, task="binary")
    assert steps(api) == [*before, ("delete", "api")]
    api.refused("POST", "/v1/models/m/calibrators/rollback", 409, json={})  # its predecessor's promotion is not its own
    assert api.get("/v1/models/m/calibrators")["champion"] is None
    api.ask("GET", "/v1/models/never/audit", status=404)


def test_events_that_waited_for_a_deleted_model_are_dropped_and_counted(api, tools):
    api.ask("POST", "/v1/events", json={"events": [tools.prediction("a", 0.5)]})
    api.ask("DELETE", "/v1/models/m?confirm=m")
    api.roll_up()
    assert 'calibration_events_dropped_total{reason="model_deleted"} 1.0' in api.client.get("/metrics").text


def test_times_are_written_in_utc(api):
    assert since(api.put("m", status=201)["created_at"]) == datetime(2026, 1, 5, 12, tzinfo=UTC)
