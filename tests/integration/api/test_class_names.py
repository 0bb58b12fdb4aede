"""Names, numbers and places of classes: a label has one meaning, or is refused with the reason."""

import pytest

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models

SPELLINGS = {
    "1.0": [1, 1.0, "1", "1.0", "1.00"],
    "2.0": [2, 2.0, "2", "2.0", "2.00"],
    "3.0": [3, 3.0, "3", "3.0", "3.00"],
}
PERFECT = ({"dog": 0.9, "cat": 0.1}, {"cat": 0.9, "dog": 0.1})
"""Objects in the order of their scores, as they are often sent."""


@pytest.fixture
def figures(api):
    def asked(**query):
        return api.get("/v1/models/m/calibration", start="2026-01-05T00:00:00Z", end="2026-01-06T00:00:00Z", **query)

    return asked


def verified(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.named(connection, "m"))


def rejections(answer):
    return [(entry["event_id"], entry["code"]) for entry in answer["rejected"]]


def test_names_that_are_numbers_are_the_classes_of_these_numbers(api, tools, figures):
    names = list(SPELLINGS)
    api.put("m", status=201, task="multiclass", classes=names)
    for place, (name, spellings) in enumerate(SPELLINGS.items()):
        vector = [0.05, 0.05, 0.05]
        vector[place] = 0.9
        for value in spellings:
            event_id = f"{name} {value!r}"
            api.send(tools.prediction(event_id, probabilities=vector), tools.label(event_id, value))
    answer = figures()
    assert (answer["labelled"], answer["accuracy"]) == (15, 1.0)
    assert verified(api) == []


@pytest.mark.parametrize(
    ("settings", "value", "named"),
    [
        ({"task": "multiclass", "classes": ["1", "1.0", "2"]}, 1, '"1" or "1.0"'),
        ({"task": "multiclass", "classes": ["True", "False", "maybe"]}, 1, '"True" or "False"'),
        ({"task": "binary", "classes": ["1", "2"]}, True, '"1" or "2"'),
        ({"task": "binary", "classes": ["1", "0"]}, False, '"1" or "0"'),
        ({"task": "binary", "classes": ["True", "False"]}, 0, '"True" or "False"'),
    ],
)
def test_a_label_with_two_meanings_is_refused_by_their_names(api, tools, settings, value, named):
    api.put("m", status=201, **settings)
    body = api.ask("POST", "/v1/events", json={"events": [tools.label("a", value)]}, status=422)
    assert named in body["errors"][0]["reason"]
    assert "send the class's name as text" in body["errors"][0]["reason"]


def test_rows_of_former_rules_keep_their_reading_until_they_are_summed_again(api, tools, figures):
    api.put("m", status=201, task="multiclass", classes=["1.0", "2.0"])
    with api.services.database.write() as connection:
        connection.exec_driver_sql(
            'UPDATE model SET former = \'[{"until": 1, "rules": 0, "classes": ["1.0", "2.0"], "ordered": true}]\''
        )
    api.services.ingest.directory.forget("m")
    api.send(tools.prediction("a", probabilities=[0.9, 0.1]), tools.label("a", 1.0))
    assert figures()["accuracy"] == 0.0
    api.put("m", segments=["country"])  # begins a revision, which is read by the present rules
    api.send(tools.prediction("b", probabilities=[0.9, 0.1]), tools.label("b", 1.0))
    assert figures()["accuracy"] == 0.5
    assert verified(api) == []
    api.send(tools.label("a", 2.0, supersedes=True), tools.label("b", "2", supersedes=True))
    assert (figures()["labelled"], figures()["accuracy"]) == (2, 0.0)  # under the former rules 2.0 was no class
    assert verified(api) == []
    api.send(tools.label("b", 1, supersedes=True))
    with api.services.database.read() as connection:
        old = models.named(connection, "m")
    assert rebuild_model(api.services.database, old) == 2
    assert (figures()["labelled"], figures()["accuracy"]) == (2, 0.5)  # now 2.0 is one, and stands
    assert verified(api) == []


def test_classes_cannot_be_declared_between_an_answer_and_its_roll_up(api, tools, figures):
    accepted = [tools.prediction("a", 0.9), tools.label("a", 1), tools.prediction("b", 0.1), tools.label("b", 0)]
    api.post("/v1/events", {"events": accepted})
    refused = api.ask("PUT", "/v1/models/m", json={"classes": ["1", "0"]}, status=409)
    assert "labels were read as 0 and 1" in refused["detail"]
    api.roll_up()
    assert (figures()["labelled"], figures()["brier"]) == (2, pytest.approx(0.01))


def test_classes_cannot_be_declared_between_a_label_and_its_prediction(api, tools):
    api.put("m", status=201, task="binary")
    api.post("/v1/events", {"events": [tools.label("a", 1)]})
    api.ask("PUT", "/v1/models/m", json={"classes": ["1", "0"]}, status=409)


def test_a_refused_event_fixes_no_classes(api, tools):
    api.put("m", status=201, task="binary")
    api.ask("POST", "/v1/events", json={"events": [tools.label("a", "spam")]}, status=422)
    assert api.put("m", classes=["ham", "spam"])["classes"] == ["ham", "spam"]


def test_classes_by_name_are_sorted_whatever_the_order_of_the_first_object(api, tools, figures):
    for i, vector in enumerate(PERFECT):
        name = max(vector, key=vector.get)
        api.send(tools.prediction(f"e{i}", probabilities=vector), tools.label(f"e{i}", name))
    assert api.get("/v1/models/m")["classes"] == ["cat", "dog"]
    assert (figures()["labelled"], figures()["accuracy"]) == (2, 1.0)
    assert verified(api) == []


@pytest.mark.parametrize("field", ["probabilities", "logits"])
def test_numbers_and_arrays_mean_nothing_until_an_order_is_declared(api, tools, figures, field):
    api.send(tools.prediction("a", **{field: PERFECT[0]}))
    coded = [tools.label("a", 1), tools.prediction("b", **{field: [0.1, 0.9]})]
    answer = api.ask("POST", "/v1/events", json={"events": [*coded, tools.label("c", "cat")]})
    assert rejections(answer) == [("a", "no_order"), ("b", "no_order")]
    assert "declare `classes` in order" in answer["rejected"][0]["reason"]
    assert api.put("m", classes=["cat", "dog"])["classes"] == ["cat", "dog"]
    assert api.send(*coded)["accepted"] == 2
    assert (figures()["predictions"], figures()["labelled"], figures()["accuracy"]) == (2, 1, 1.0)
    assert verified(api) == []


def test_a_whole_number_that_waited_for_classes_by_name_does_not_count(api, tools, figures):
    api.send(tools.label("a", 1))
    api.send(tools.prediction("a", probabilities=PERFECT[0]))
    assert figures()["labelled"] == 0
    conflicts = api.get("/v1/models/m/events/a")["conflicts"]
    assert [conflict["kind"] for conflict in conflicts] == ["unusable_label"]


def test_another_order_than_the_sorted_one_can_be_declared_after_events(api, tools, figures):
    for i in range(10):
        vector = {"owl": 0.7, "dog": 0.2, "cat": 0.1}
        api.send(tools.prediction(f"e{i}", probabilities=vector), tools.label(f"e{i}", "owl" if i < 7 else "cat"))
    before = figures()
    assert api.put("m", classes=["owl", "cat", "dog"])["classes"] == ["owl", "cat", "dog"]
    after = figures()
    assert {name: after[name] for name in ("accuracy", "ece", "brier", "log_loss", "sce")} == {
        name: before[name] for name in ("accuracy", "ece", "brier", "log_loss", "sce")
    }
    assert verified(api) == []
    api.send(tools.prediction("last", probabilities=[0.1, 0.9, 0.0]), tools.label("last", 1))
    assert figures()["accuracy"] == pytest.approx(8 / 11)
    api.ask("PUT", "/v1/models/m", json={"classes": ["cat", "dog", "owl"]}, status=409)


def test_an_object_of_places_has_their_order(api, tools, figures):
    vector = {str(place): 0.0 for place in reversed(range(12))} | {"11": 1.0}
    api.send(tools.prediction("a", probabilities=vector), tools.label("a", 11))
    assert api.get("/v1/models/m")["classes"] == list(map(str, range(12)))
    api.send(tools.prediction("b", probabilities=[0.0] * 11 + [1.0]), tools.label("b", 11))
    assert figures()["accuracy"] == 1.0


def test_arrays_that_come_first_fix_the_order(api, tools):
    api.send(tools.prediction("a", probabilities=[0.1, 0.9]), tools.label("a", 1))
    assert api.get("/v1/models/m")["classes"] == ["0", "1"]
    answer = api.ask(
        "POST", "/v1/events", json={"events": [tools.prediction("b", probabilities=PERFECT[0])]}, status=422
    )
    assert "must be a class" in answer["errors"][0]["reason"]
