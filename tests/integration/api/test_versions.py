"""Several versions of a model that predict the same event, driven over HTTP."""

import pytest
from sqlalchemy import update

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models
from monitor.store.schema import label as label_table

DAY = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
EVENT = "/v1/models/m/events/e"


@pytest.fixture
def verified(api):
    """Return a check that stored sums are what the rows give."""

    def check() -> None:
        with api.services.database.read() as connection:
            assert differences_of(connection, models.by_name(connection, "m")) == []

    return check


def by_version(api):
    return {version: api.get("/v1/models/m/calibration", **DAY, version=version) for version in ("champion", "shadow")}


def answer(event_id, version, text, confidence):
    return {
        "type": "prediction", "event_id": event_id, "model": "m", "timestamp": "2026-01-05T11:59:00Z", "prediction": text,
        "confidence": confidence, "model_version": version,
    }  # fmt: skip


def test_a_shadow_counts_in_its_own_figures(api, tools, verified):
    api.send(
        *(tools.prediction(f"e{i}", 0.9, model_version="champion") for i in range(4)),
        *(tools.prediction(f"e{i}", 0.2, model_version="shadow") for i in range(4)),
        *(tools.label(f"e{i}", 1) for i in range(4)),
    )
    api.roll_up()
    figures = by_version(api)
    assert {name: (one["predictions"], one["labelled"]) for name, one in figures.items()} == {
        "champion": (4, 4),
        "shadow": (4, 4),
    }
    assert figures["champion"]["mean_confidence"] == pytest.approx(0.9)
    assert figures["shadow"]["mean_confidence"] == pytest.approx(0.2)
    event = api.get("/v1/models/m/events/e0")
    assert [one["model_version"] for one in event["versions"]] == ["champion", "shadow"]
    assert [one["label"]["label"] for one in event["versions"]] == [1, 1]
    assert event["prediction"] == event["versions"][0]["prediction"]
    assert event["conflicts"] == []
    verified()


def test_an_event_of_one_version_keeps_its_shape(api, tools):
    api.send(tools.prediction("e", 0.9), tools.label("e", 0), tools.label("e", 1, supersedes=True))
    api.roll_up()
    event = api.get(EVENT)
    (version,) = event["versions"]
    assert event["prediction"]["model_version"] is None
    assert (event["label"]["label"], [one["label"] for one in event["earlier_labels"]]) == (1, [0])
    assert (version["prediction"], version["label"]) == (event["prediction"], event["label"])


def test_a_resend_is_a_repeat_with_and_without_its_version(api, tools, verified):
    named = tools.prediction("e", 0.9, model_version="champion")
    bare = tools.prediction("e", 0.9)
    api.send(named)
    api.roll_up()
    api.send(bare, named)
    api.roll_up()
    assert api.get(EVENT)["conflicts"] == []
    assert api.get("/v1/models/m/calibration", **DAY)["predictions"] == 1
    verified()


def test_was_right_is_about_the_version_that_it_names(api, verified):
    api.send(answer("e", "champion", "Paris", 0.9), answer("e", "shadow", "Rome", 0.6))
    api.send(
        {"type": "label", "event_id": "e", "model": "m", "label": True, "model_version": "champion"},
        {"type": "label", "event_id": "e", "model": "m", "label": False, "model_version": "shadow"},
    )
    api.roll_up()
    assert {name: one["accuracy"] for name, one in by_version(api).items()} == {"champion": 1.0, "shadow": 0.0}
    assert [one["label"]["model_version"] for one in api.get(EVENT)["versions"]] == ["champion", "shadow"]
    verified()


def test_was_right_of_differing_answers_is_refused_and_says_so(api, verified):
    api.send(answer("e", "champion", "Paris", 0.9), {"type": "label", "event_id": "e", "model": "m", "label": True})
    api.roll_up()
    assert api.get(EVENT)["label"]["label"] is True
    api.send(answer("e", "shadow", "Rome", 0.6))
    api.roll_up()
    event = api.get(EVENT)
    assert [one["label"] for one in event["versions"]] == [None, None]
    assert [one["kind"] for one in event["conflicts"]] == ["ambiguous_label"]
    assert {one["labelled"] for one in by_version(api).values()} == {0}
    assert (
        'calibration_events_rejected_total{model="m",reason="ambiguous_label"} 1.0' in api.client.get("/metrics").text
    )
    verified()
    api.send({"type": "label", "event_id": "e", "model": "m", "label": False, "model_version": "shadow"})
    api.roll_up()
    assert {name: one["labelled"] for name, one in by_version(api).items()} == {"champion": 0, "shadow": 1}
    verified()


def test_rows_of_before_meet_their_resends_and_late_labels(api, tools, verified):
    """Rows of 0.3.0 have the same keys and digests, and labels of then name no version."""
    api.send(tools.prediction("e", 0.9, model_version="1"), tools.prediction("f", 0.9), tools.label("f", 1))
    api.roll_up()
    with api.services.database.write() as connection:
        connection.execute(update(label_table).values(version=None))
    api.send(tools.prediction("e", 0.9, model_version="1"), tools.prediction("f", 0.9), tools.label("f", 1))
    api.send(tools.label("e", 1, model_version="1"), tools.prediction("e", 0.4, model_version="2"))
    api.roll_up()
    assert api.get("/v1/models/m/events/f")["conflicts"] == []
    event = api.get(EVENT)
    assert [one["label"]["label"] for one in event["versions"]] == [1, 1]
    assert api.get("/v1/models/m/calibration", **DAY)["labelled"] == 3
    verified()


@pytest.mark.parametrize(("other", "labelled"), [("Paris", 1), ("Rome", 0)])
def test_a_rebuild_gives_the_same(api, verified, other, labelled):
    api.send(answer("e", "champion", "Paris", 0.9), answer("e", "shadow", other, 0.6))
    api.send({"type": "label", "event_id": "e", "model": "m", "label": True})
    api.roll_up()
    before = by_version(api)
    assert {name: one["labelled"] for name, one in before.items()} == {"champion": labelled, "shadow": labelled}
    with api.services.database.read() as connection:
        model = models.by_name(connection, "m")
    rebuild_model(api.services.database, model)
    assert by_version(api) == before
    verified()


def test_a_version_of_a_label_is_a_name(api, tools):
    answered = api.send(tools.label("e", 1, model_version=3), tools.label("f", 1))
    (refused,) = answered["rejected"]
    assert "model_version is 3" in refused["reason"]
