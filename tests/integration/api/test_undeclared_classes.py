"""Labels of classes that were never declared: kept, wrong, shown, and in no figure of vectors, refit or bet."""

import pytest

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import clusters, models
from monitor.store.rollups import every_series
from monitor.store.sequential import due

DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
CLASSES = ["cat", "dog"]


@pytest.fixture
def declared(api):
    def put(**settings):
        return api.put("m", status=201, task="multiclass", classes=CLASSES, **settings)

    return put


def verified(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.named(connection, "m"))


def figures(api, **query):
    return api.get("/v1/models/m/calibration", **DAY, **query)


def sure(tools, event_id, **fields):
    return tools.prediction(event_id, probabilities=[0.9, 0.1], **fields)


def test_a_label_of_a_class_never_declared_is_wrong_and_in_no_figure_of_vectors(api, tools, declared):
    declared()
    api.send(sure(tools, "a"), tools.label("a", "cat"))
    alone = figures(api)
    api.send(sure(tools, "b"), tools.label("b", "zebra"), sure(tools, "c"), tools.label("c", "Cat"))
    answer = figures(api)
    assert (answer["labelled"], answer["undeclared_labels"], answer["accuracy"]) == (3, 2, pytest.approx(1 / 3))
    assert answer["mean_confidence"] == pytest.approx(0.9)
    assert answer["ece"] == pytest.approx(0.9 - 1 / 3)
    for name in ("brier", "log_loss", "log_loss_clipped", "sce"):
        assert answer[name] == pytest.approx(alone[name]), name
    assert [one["labelled"] for one in answer["classes"]] == [1, 1]
    assert verified(api) == []


@pytest.mark.parametrize("first", ["label", "prediction"])
def test_it_counts_in_any_order_and_is_corrected(api, tools, declared, first):
    declared(segments=["country"])
    events = [sure(tools, "a", segments={"country": "ch"}), tools.label("a", "zebra")]
    for event in reversed(events) if first == "label" else events:
        api.send(event)
    assert figures(api)["accuracy"] == 0.0
    assert verified(api) == []
    api.send(tools.label("a", "cat", supersedes=True))
    assert (figures(api)["undeclared_labels"], figures(api)["accuracy"]) == (0, 1.0)
    assert api.get("/v1/models/m")["undeclared"] == {"labels": 0, "classes": [], "told": None}
    assert verified(api) == []


def test_it_is_told_by_name(api, tools, declared):
    declared()
    for i, name in enumerate(["zebra"] * 3 + ["Cat"] * 2 + ["owl", "emu", "7"]):
        api.send(sure(tools, f"e{i}"), tools.label(f"e{i}", name))
    told = api.get("/v1/models/m")["undeclared"]
    assert told["labels"] == 8
    assert told["classes"][:2] == [
        {"name": "zebra", "labels": 3, "near": None},
        {"name": "Cat", "labels": 2, "near": "cat"},
    ]
    assert told["told"] == "8 labels of classes never declared: `zebra` 3, `Cat` 2, `7` 1, …; `Cat` is near `cat`."
    assert api.get("/v1/models")["models"][0]["undeclared"] == told
    with api.services.database.read() as connection:
        model = models.named(connection, "m")
    rebuild_model(api.services.database, model)
    assert api.get("/v1/models/m")["undeclared"] == told
    assert verified(api) == []


def test_names_beyond_the_first_hundred_are_counted_together(api, tools, declared):
    declared()
    names = [f"name {i}" for i in range(105)]
    api.send(*(sure(tools, name) for name in names), *(tools.label(name, name) for name in names))
    told = api.get("/v1/models/m")["undeclared"]
    assert (told["labels"], len(told["classes"])) == (105, 10)
    api.send(*(tools.label(name, "cat", supersedes=True) for name in names))
    assert api.get("/v1/models/m")["undeclared"]["labels"] == 0
    assert verified(api) == []


@pytest.mark.parametrize("cluster", [None, "game"])
def test_nothing_is_bet_on_it(api, tools, declared, cluster):
    declared(label_delay="1h", class_thresholds={"cat": 0.05})
    api.send(sure(tools, "a", cluster=cluster), tools.label("a", "zebra"))
    with api.services.database.read() as connection:
        model = models.named(connection, "m")
        cohorts = due(connection, list(every_series(connection, model.id).values()), 2**62, 2**62)
        waiting = [one.summary for one in cohorts] + [
            one.summary for one in clusters.of_model(connection, model.id).values()
        ]
    from monitor.stats.summary import Summary  # noqa: PLC0415 - what is looked at here

    assert waiting
    assert [Summary.of([blob]).cells("served").n.sum() for blob in waiting] == [0] * len(waiting)
    assert [Summary.of([blob]).labels for blob in waiting] == [1] * len(waiting)
    assert verified(api) == []


@pytest.mark.parametrize("value", [2, -1, 1.5, True])
def test_what_is_no_name_is_refused(api, tools, declared, value):
    declared()
    body = api.ask("POST", "/v1/events", json={"events": [tools.label("a", value)]}, status=422)
    assert "must be a class" in body["errors"][0]["reason"]


def test_a_number_among_numbers_is_a_class_never_declared(api, tools):
    api.put("m", status=201, task="multiclass", classes=["1", "2"])
    api.send(tools.prediction("a", probabilities=[0.9, 0.1]), tools.label("a", 3.0))
    assert api.get("/v1/models/m")["undeclared"]["told"] == "1 label of classes never declared: `3.0` 1."


def test_a_binary_model_refuses_it(api, tools):
    api.put("m", status=201, task="binary", classes=["ham", "spam"])
    api.ask("POST", "/v1/events", json={"events": [tools.label("a", "eggs")]}, status=422)


@pytest.mark.parametrize(("wrong", "fires"), [("zebra", False), ("dog", True)])
def test_no_alarm_of_a_window_fires_on_them(api, tools, declared, wrong, fires):
    declared(alert_policy="window", minimum_labels=50, label_delay="0s", windows=["24h"])
    events = [sure(tools, f"e{i}") for i in range(200)]
    labels = [tools.label(f"e{i}", "cat" if i < 100 else wrong) for i in range(200)]
    api.send(*events, *labels)
    api.send(sure(tools, "later", timestamp="2026-01-05T12:01:00Z"), tools.label("later", "cat"))
    api.judge()
    answer = figures(api)
    assert answer["ece_lower_bound"] > 0.2
    assert [alert["kind"] for alert in api.get("/v1/models/m/alerts")["alerts"]] == ["miscalibration"] * fires
    if not fires:
        assert (answer["verdict"], answer["remedy"]) == ("suspect", "check_labels")
        assert "classes that were never declared" in answer["remedy_reason"]


def test_labels_are_to_be_checked_also_where_they_are_too_few_for_a_verdict(api, tools, declared):
    declared()
    for i in range(2):
        api.send(sure(tools, f"e{i}"), tools.label(f"e{i}", ["zebra", "cat"][i]))
    answer = figures(api)
    assert (answer["verdict"], answer["undeclared_labels"], answer["remedy"]) == ("too_few_labels", 1, "check_labels")
