"""Classes that are declared later follow the present ones; what was summed before keeps its reading until it is summed again."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models

DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}


def model_of(api):
    with api.services.database.read() as connection:
        return models.named(connection, "m")


def verified(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.named(connection, "m"))


def figures(api, **query):
    return api.get("/v1/models/m/calibration", **DAY, **query)


def rebuilt(api):
    return rebuild_model(api.services.database, model_of(api))


def test_a_label_becomes_that_of_a_class_once_it_is_declared_and_summed_again(api, tools):
    api.put("m", status=201, task="multiclass", classes=["cat", "dog"])
    api.send(tools.prediction("a", probabilities=[0.9, 0.1]), tools.label("a", "owl"))
    api.send(tools.prediction("b", probabilities=[0.9, 0.1]), tools.label("b", "cat"))
    assert api.put("m", classes=["cat", "dog", "owl"])["classes"] == ["cat", "dog", "owl"]
    assert (figures(api)["undeclared_labels"], figures(api)["accuracy"]) == (1, 0.5)
    api.send(tools.prediction("c", probabilities=[0.05, 0.05, 0.9]), tools.label("c", "owl"))
    answer = figures(api)
    assert (answer["undeclared_labels"], answer["accuracy"]) == (1, pytest.approx(2 / 3))
    assert [one["labelled"] for one in answer["classes"]] == [2, 2, 1]
    assert verified(api) == []
    rebuilt(api)
    answer = figures(api)
    assert (answer["undeclared_labels"], answer["accuracy"]) == (0, pytest.approx(2 / 3))
    assert [(one["labelled"], one["positives"]) for one in answer["classes"]] == [(3, 1), (3, 0), (3, 2)]
    assert verified(api) == []


@pytest.mark.parametrize("vector", [[0.9, 0.1], {"dog": 0.1, "cat": 0.9}])
@pytest.mark.parametrize("field", ["probabilities", "logits"])
def test_a_version_that_knows_no_further_class_may_still_send(api, tools, vector, field):
    api.put("m", status=201, task="multiclass", classes=["cat", "dog"])
    api.put("m", classes=["cat", "dog", "owl"])
    api.send(tools.prediction("a", **{field: vector}), tools.label("a", "owl"))
    assert (figures(api)["labelled"], figures(api)["accuracy"], figures(api)["log_loss_clipped"]) == (1, 0.0, 1)
    assert verified(api) == []
    answer = api.ask("POST", "/v1/events", json={"events": [tools.prediction("b", probabilities=[1.0])]}, status=422)
    assert answer["errors"]


@pytest.mark.parametrize(
    "classes", [["dog", "cat", "owl"], ["cat", "owl"], ["cat"] * 2 + ["dog"], ["owl", "cat", "dog"]]
)
def test_present_classes_keep_their_places(api, classes):
    api.put("m", status=201, task="multiclass", classes=["cat", "dog"])
    assert api.client.put("/v1/models/m", json={"classes": classes}).status_code in {409, 422}
    assert api.get("/v1/models/m")["classes"] == ["cat", "dog"]


def test_a_label_that_the_classes_of_its_time_do_not_have_is_reported(api, tools):
    api.put("m", status=201, task="multiclass", classes=["cat", "dog"])
    api.send(tools.prediction("a", probabilities=[0.9, 0.1]))
    api.put("m", classes=["cat", "dog", "owl"])
    api.send(tools.label("a", 2))
    assert figures(api)["labelled"] == 0
    assert [conflict["kind"] for conflict in api.get("/v1/models/m/events/a")["conflicts"]] == ["unusable_label"]
    rebuilt(api)
    assert (figures(api)["labelled"], figures(api)["accuracy"]) == (1, 0.0)
    assert verified(api) == []


@pytest.mark.parametrize(("promote", "method"), [(True, "vector"), (False, "vector"), (True, "temperature")])
def test_no_calibrator_of_each_class_serves_more_classes(sqlite_api, tools, promote, method):
    api = sqlite_api
    api.put("m", status=201, task="multiclass", classes=["cat", "dog", "owl"], minimum_labels=20)
    for i in range(200):
        vector = [0.9, 0.05, 0.05] if i % 2 else [0.05, 0.9, 0.05]
        api.send(tools.prediction(f"e{i}", probabilities=vector), tools.label(f"e{i}", ["dog", "cat"][i % 2]))
    lines = {"slopes": [1.0, 1.0, 1.0], "intercepts": [0.0, 0.0, 0.0], "classes": ["cat", "dog", "owl"]}
    document = {
        "method": method,
        "task": "multiclass",
        "parameters": lines if method == "vector" else {"temperature": 1.5},
    }
    made = api.post("/v1/models/m/calibrators", {"document": document, "holdout": 0, "promote": promote}, status=201)
    if promote:
        api.post(f"/v1/models/m/calibrators/{made['number']}/promote")
    refused = promote and method == "vector"
    api.put("m", status=409 if refused else 200, classes=["cat", "dog", "owl", "emu"])
    if refused:
        api.post("/v1/models/m/calibrators/rollback")
        api.put("m", classes=["cat", "dog", "owl", "emu"])


def test_a_binary_model_has_no_further_class(api):
    api.put("m", status=201, task="binary", classes=["ham", "spam"])
    api.put("m", status=409, classes=["ham", "spam", "eggs"])


def test_classes_by_name_are_extended_as_they_are_put_in_order(api, tools):
    api.send(tools.prediction("a", probabilities={"dog": 0.9, "cat": 0.1}), tools.label("a", "owl"))
    api.put("m", classes=["owl", "dog", "cat"])
    answer = figures(api)
    assert (answer["undeclared_labels"], answer["accuracy"]) == (0, 0.0)
    assert [one["class"] for one in answer["classes"] if one["positives"]] == ["owl"]
    assert verified(api) == []


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(seed=st.integers(0, 2**32))
def test_corrections_across_extensions_keep_sums_and_rows_in_step(api, tools, seed):
    dice = random.Random(seed)
    name, classes = f"m{seed}", ["ant", "bee"]
    api.put(name, status=(api.client.get(f"/v1/models/{name}").status_code == 404 and 201) or 200, task="multiclass",
            classes=classes, class_thresholds={"ant": 0.05, "cat": 0.05}, segments=["country"])  # fmt: skip
    for i, extended in enumerate((None, "cat", "dog")):
        classes = classes if extended is None else [*classes, extended]
        api.put(name, classes=classes)
        events = []
        for place in range(8):
            cut = dice.choice(range(2, len(classes) + 1))
            weights = [dice.random() for _ in range(cut)]
            vector = [weight / sum(weights) for weight in weights]
            sent = vector if dice.random() < 0.5 else dict(zip(classes[:cut], vector, strict=True))
            cluster = dice.choice([None, "game"])
            events.append(
                tools.prediction(
                    f"{i} {place}", probabilities=sent, model=name, segments={"country": "ch"}, cluster=cluster
                )
            )
        for _ in range(10):
            event_id = f"{dice.randrange(i + 1)} {dice.randrange(8)}"
            value = dice.choice(["ant", "bee", "cat", "dog", "eel", 0, 1])
            events.append(tools.label(event_id, value, model=name, supersedes=dice.random() < 0.7))
        api.send(*events)
    with api.services.database.read() as connection:
        model = models.named(connection, name)
        assert differences_of(connection, model) == []
    rebuild_model(api.services.database, model)
    with api.services.database.read() as connection:
        assert differences_of(connection, model) == []
