"""What is known of events that did not count: counts by model and reason, and the last of them."""

import pytest
from calwatch.domain.refusals import MOST_LISTED, MOST_MODELS
from calwatch.store.refusals import KEPT

REJECTIONS = "/v1/models/m/rejections"


@pytest.fixture
def model(api, tools):
    """Return the API with a model of one labelled prediction."""
    api.send(tools.prediction("a", 0.5), tools.label("a", 1))
    return api


def exported(api, name):
    """Return the values of a counter by its labels."""
    lines = [line for line in api.client.get("/metrics").text.splitlines() if line.startswith(f"{name}{{")]
    return {line[len(name) :].rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_model_without_any_has_none(model):
    assert model.get(REJECTIONS) == {"counts": [], "rejections": []}


def test_refused_events_are_listed_with_their_reasons_and_counted(model, tools, clock):
    clock.micros += 60_000_000
    model.send(tools.prediction("b", 0.5), tools.prediction("c", 1.5), tools.label("d", "cat"))
    answer = model.get(REJECTIONS)
    assert answer["counts"] == [{"code": "out_of_range", "count": 1}, {"code": "unknown_class", "count": 1}]
    label, prediction = answer["rejections"]
    assert (label["event_id"], label["code"]) == ("d", "unknown_class")
    assert label["reason"].startswith('label is "cat": must be 0, 1, true or false')
    assert (prediction["event_id"], prediction["at"]) == ("c", "2026-01-05T12:01:00Z")
    assert exported(model, "calibration_events_rejected_total") == {
        '{model="m",reason="out_of_range"}': 1.0,
        '{model="m",reason="unknown_class"}': 1.0,
    }


def test_conflicts_are_listed_and_counted_by_model(model, tools):
    model.send(tools.prediction("a", 0.6), tools.label("a", 0))
    answer = model.get(REJECTIONS)
    assert {entry["code"] for entry in answer["counts"]} == {"prediction_conflict", "label_conflict"}
    assert [entry["code"] for entry in answer["rejections"]] == ["label_conflict", "prediction_conflict"]
    assert "send it with supersedes" in answer["rejections"][0]["reason"]
    assert exported(model, "calibration_label_conflicts_total") == {'{model=""}': 0.0, '{model="m"}': 1.0}
    assert exported(model, "calibration_prediction_conflicts_total") == {'{model=""}': 0.0, '{model="m"}': 1.0}


def test_a_request_without_a_usable_event_is_seen_too(model, tools):
    model.send(*[tools.label(f"e{number}", "cat") for number in range(MOST_LISTED + 5)], status=422)
    answer = model.get(REJECTIONS)
    assert answer["counts"] == [{"code": "unknown_class", "count": MOST_LISTED + 5}]
    assert [entry["event_id"] for entry in answer["rejections"]][:2] == ["e24", "e23"]
    assert len(answer["rejections"]) == MOST_LISTED


def test_names_of_no_model_make_no_counters(model, tools):
    made_up = [tools.prediction("x", 7.0, model=f"made up {number}") for number in range(5 * MOST_MODELS)]
    model.send(*made_up, status=422)
    assert exported(model, "calibration_events_rejected_total") == {
        '{model="",reason="out_of_range"}': 5.0 * MOST_MODELS
    }
    assert model.get(REJECTIONS)["counts"] == []


def test_the_list_is_bounded_and_keeps_the_last(model, tools):
    for number in range(KEPT // MOST_LISTED + 3):
        model.send(*[tools.label(f"{number}-{place}", "cat") for place in range(MOST_LISTED)], status=422)
    answer = model.get(REJECTIONS)
    assert len(answer["rejections"]) == KEPT
    assert answer["rejections"][0]["event_id"] == f"{KEPT // MOST_LISTED + 2}-{MOST_LISTED - 1}"
    assert answer["counts"] == [{"code": "unknown_class", "count": KEPT + 3 * MOST_LISTED}]
    assert len(model.get(REJECTIONS, limit=3)["rejections"]) == 3


def test_each_model_has_its_own(model, tools):
    model.send(tools.prediction("a", 0.5, model="other"), tools.prediction("b", 7.0, model="other"))
    assert model.get(REJECTIONS)["rejections"] == []
    assert [entry["event_id"] for entry in model.get("/v1/models/other/rejections")["rejections"]] == ["b"]


def test_they_go_with_their_model(model, tools):
    model.send(tools.label("d", "cat"), status=422)
    model.ask("DELETE", "/v1/models/m", params={"confirm": "m"})
    assert exported(model, "calibration_events_rejected_total") == {}
    model.send(tools.prediction("a", 0.5))
    assert model.get(REJECTIONS) == {"counts": [], "rejections": []}


def test_the_answer_to_a_request_names_the_model_of_each(model, tools):
    answer = model.send(tools.prediction("b", 0.5), tools.prediction("c", 7.0), {**tools.label("d", 1), "model": 5})
    assert [(entry["event_id"], entry["model"]) for entry in answer["rejected"]] == [("c", "m"), ("d", None)]


def test_a_long_value_is_cut(model, tools):
    model.send(tools.label("d", "x" * 5000), status=422)
    (entry,) = model.get(REJECTIONS)["rejections"]
    assert len(entry["reason"]) <= 500


def test_unknown_models_are_not_found(sqlite_api):
    sqlite_api.refused("GET", "/v1/models/none/rejections", 404)
