"""Labels of answers that are themselves true or false: a boolean may mean either of two things, and means neither."""

import pytest

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models

DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
ANSWERS = ["True", "False", "true", 0, 1, "0", "1"]


def answer(tools, event_id, text):
    return tools.prediction(event_id, confidence=0.75, prediction=text)


def figures(api):
    return api.get("/v1/models/m/calibration", **DAY)


def kinds(api, event_id):
    return [conflict["kind"] for conflict in api.get(f"/v1/models/m/events/{event_id}")["conflicts"]]


def model_of(api):
    with api.services.database.read() as connection:
        return models.named(connection, "m")


def verified(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.named(connection, "m"))


@pytest.mark.parametrize("first", ["label", "prediction"])
@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_label_of_a_boolean_answer_counts_for_nothing(api, tools, first, value):
    for i, text in enumerate(ANSWERS):
        events = [answer(tools, f"e{i}", text), tools.label(f"e{i}", value)]
        for event in reversed(events) if first == "label" else events:
            api.send(event)
    assert (figures(api)["predictions"], figures(api)["labelled"]) == (7, 0)
    assert all(kinds(api, f"e{i}") == ["right_or_answer"] for i in range(7))
    assert (
        'calibration_events_rejected_total{model="m",reason="ambiguous_label"} 7.0' in api.client.get("/metrics").text
    )
    (refused, *_) = api.get("/v1/models/m/rejections")["rejections"]
    assert "send the right answer as text, with supersedes" in refused["reason"]
    assert verified(api) == []


def test_the_right_answer_counts_however_it_is_written(api, tools):
    pairs = [("True", "true", 1), ("False", "FALSE", 1), ("True", "False", 0), (0, 0, 1), ("1", 0, 0), (1, "1", 1)]
    for i, (text, value, _) in enumerate(pairs):
        api.send(answer(tools, f"e{i}", text), tools.label(f"e{i}", value))
    assert (figures(api)["labelled"], figures(api)["accuracy"]) == (6, pytest.approx(4 / 6))
    assert verified(api) == []


def test_other_answers_are_told_right_or_wrong_as_ever(api, tools):
    api.send(answer(tools, "a", "Paris"), tools.label("a", True), answer(tools, "b", "no"), tools.label("b", False))
    api.send(answer(tools, "c", 42), tools.label("c", True))
    assert (figures(api)["labelled"], figures(api)["accuracy"]) == (3, pytest.approx(2 / 3))


def test_an_ambiguous_label_is_corrected_by_the_text_of_the_answer(api, tools):
    api.send(answer(tools, "a", "False"), tools.label("a", False), tools.label("a", "False", supersedes=True))
    assert (figures(api)["labelled"], figures(api)["accuracy"]) == (1, 1.0)
    assert verified(api) == []


def test_a_label_that_names_a_version_is_as_ambiguous(api, tools):
    api.send(
        tools.prediction("a", confidence=0.75, prediction="False", model_version="1"),
        tools.label("a", True, model_version="1"),
    )
    assert (figures(api)["labelled"], kinds(api, "a")) == (0, ["right_or_answer"])


def test_what_is_summed_keeps_its_reading_until_it_is_summed_again(api, tools):
    api.put("m", status=201, task="confidence")
    with api.services.database.write() as connection:
        connection.exec_driver_sql(
            'UPDATE model SET former = \'[{"until": 1, "rules": 0, "classes": null, "ordered": true}]\''
        )
    api.services.ingest.directory.forget("m")
    api.send(answer(tools, "a", "False"), tools.label("a", True))
    assert (figures(api)["labelled"], figures(api)["accuracy"]) == (1, 1.0)
    assert verified(api) == []
    api.put("m", segments=["country"])
    rebuild_model(api.services.database, model_of(api))
    assert figures(api)["labelled"] == 0
    assert verified(api) == []


def test_the_refusal_of_a_boolean_answer_leads_nobody_into_the_pair(api, tools):
    body = api.ask("POST", "/v1/events", json={"events": [answer(tools, "a", True)]}, status=422)
    assert "send both answer and label as text" in body["errors"][0]["reason"]
