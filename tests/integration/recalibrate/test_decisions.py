"""Thresholds and sets of answers over HTTP."""

from datetime import timedelta

import numpy as np
import pytest
from msgspec import to_builtins

from monitor.calibrators.families import from_document
from monitor.recalibrate.decisions import impact_of
from monitor.store import models, versions
from monitor.windows.clock import clocked

THRESHOLDS = "/v1/models/m/thresholds"
SETS = "/v1/models/m/predict-set"
TOO_SURE = ((0.97, 12), (0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true."""

SOUND = ((0.99, 20), (0.9, 18), (0.5, 10), (0.1, 2), (0.01, 0))
APPROVE = {"approve": {"threshold": 0.8, "precision": 0.9}}


def filled(api, tools, rows, minutes=range(12), extra=(), **settings):
    """Return a model with 20 labelled predictions of each kind a minute, and unlabelled ones of the extra probabilities."""
    api.put("m", status=201, label_delay="0s", **settings)
    for minute in minutes:
        at = {"timestamp": f"2026-01-05T{10 + minute // 60:02}:{minute % 60:02}:00Z"}
        sent = [tools.prediction(f"{minute}-extra-{i}", p, **at) for i, p in enumerate(extra)]
        for p, right in rows:
            for i in range(20):
                name = f"{minute}-{p}-{i}"
                sent += [tools.prediction(name, p, **at), tools.label(name, int(i < right))]
        api.ask("POST", "/v1/events", json={"events": sent})
    api.roll_up()
    return api


@pytest.fixture
def sound(sqlite_api, tools):
    return filled(sqlite_api, tools, SOUND, range(10), extra=(0.95, 0.85, 0.2), decisions=APPROVE)


@pytest.fixture
def sure(api, tools):
    return filled(api, tools, TOO_SURE, decisions=APPROVE)


def test_a_threshold_gives_the_wanted_precision(sound):
    found = sound.get(THRESHOLDS, precision=0.95, risk=0.04)
    assert (found["events"], found["labelled"], found["calibrator_version"]) == (1030, 1000, None)
    above, below = found["precision"]["above"], found["precision"]["below"]
    # .99 and .9 together are right in 380 of 400 cases, which is not sure to be .95; .99 alone are all right.
    assert (above["labelled"], above["right"], above["selected"]) == (200, 200, 200)
    assert 0.95 < above["threshold"] < 0.99
    assert above["rule"] == f"score > {above['threshold']!r}"
    assert (below["labelled"], below["right"]) == (200, 200)
    assert 0.01 < below["threshold"] < 0.1
    answering = found["abstention"]["answering"]
    assert (answering["labelled"], answering["wrong"]) == (400, 0)
    assert (answering["above"], answering["below"]) == (above["threshold"], below["threshold"])
    assert found["abstention"]["points"][-1]["coverage"] == 1.0
    assert found["abstention"]["points"][-1]["risk"] == pytest.approx((0 + 20 + 100 + 20 + 0) / 1000)


def test_a_decision_counts_all_events_and_says_what_labels_show(sound):
    (found,) = sound.get(THRESHOLDS)["decisions"]
    assert (found["name"], found["rule"], found["events"]) == ("approve", "score > 0.8", 1030)
    assert found["before"] == found["after"]
    after = found["after"]
    assert (after["selected"], after["selected_low"], after["selected_high"], after["labelled"]) == (420, 420, 420, 400)
    assert after["share"] == pytest.approx(420 / 1030)
    assert after["expected_precision"] == pytest.approx((200 * 0.99 + 200 * 0.9 + 10 * 0.95 + 10 * 0.85) / 420)
    assert after["precision"] == 380 / 400
    assert after["precision_low"] < 0.95 < after["precision_high"]
    assert found["threshold_for_precision"]["labelled"] == 400
    assert found["threshold_same_volume"] == pytest.approx(0.8)


def test_a_candidate_shows_what_it_would_select(sure):
    made = sure.post("/v1/models/m/calibrators", {"method": "temperature", "promote": False}, status=201)
    (found,) = sure.get(THRESHOLDS, calibrator="challenger")["decisions"]
    temperature = from_document(made)
    served = temperature.predict_proba(np.array([each for each, _ in TOO_SURE]))
    assert (found["before"]["calibrator_version"], found["after"]["calibrator_version"]) == (None, 1)
    assert found["before"]["selected"] == 480
    assert found["after"]["selected"] == 240 * int((served > 0.8).sum())
    assert found["before"]["expected_precision"] == pytest.approx(served[:2].mean(), abs=1e-9)
    assert found["threshold_same_volume"] == pytest.approx(float(temperature.predict_proba([0.8])[0]))
    assert found["reason"].startswith("no threshold shows a precision of 0.9")
    assert found["threshold_for_precision"] is None
    assert sure.get(THRESHOLDS, calibrator="1")["decisions"] == [found]
    (same,) = sure.get(THRESHOLDS)["decisions"]
    assert same["after"] == same["before"]


def test_the_impact_of_a_promotion_is_what_the_api_shows(sure):
    sure.post("/v1/models/m/calibrators", {"method": "platt", "promote": False}, status=201)
    with sure.services.database.read() as connection:
        clock = clocked(connection, models.named(connection, "m"), sure.clock())
        made = versions.document(connection, clock.model.id, 1)
        found, back = impact_of(connection, clock, made, None), impact_of(connection, clock, None, made)
    assert to_builtins(found) == sure.get(THRESHOLDS, calibrator="1")["decisions"]
    assert [found[0].before.selected, found[0].after.selected] == [back[0].after.selected, back[0].before.selected]


def test_scores_are_mapped_through_what_serves_now(sure, tools):
    sure.post("/v1/models/m/calibrators", {"method": "temperature", "promote": True}, status=201)
    now, raw = sure.get(THRESHOLDS, risk=0.45), sure.get(THRESHOLDS, risk=0.45, calibrator="identity")
    assert (now["calibrator_version"], raw["calibrator_version"]) == (1, None)
    assert raw == sure.get(THRESHOLDS, risk=0.45, calibrator="none")
    assert now["abstention"]["answering"]["labelled"] == raw["abstention"]["answering"]["labelled"]
    assert now["abstention"]["answering"]["above"] < raw["abstention"]["answering"]["above"]
    at = {"timestamp": "2026-01-05T10:01:00Z", "calibrator_version": 1}
    sure.send(tools.prediction("served", 0.6, raw_probability=0.95, **at), tools.prediction("only served", 0.6, **at))
    later = sure.get(THRESHOLDS, calibrator="none")
    assert (later["events"], later["without_raw"]) == (now["events"] + 1, 1)
    assert later["decisions"][0]["after"]["selected"] == raw["decisions"][0]["after"]["selected"] + 1


def test_sets_hold_the_right_answer_as_often_as_asked(sound):
    found = sound.post(SETS, {"probabilities": [0.995, 0.5, 0.005], "coverage": 0.9})
    assert found["sets"] == [[1], [0, 1], [0]]
    assert found["labelled"] == 1000
    assert found["measured_coverage"]["labelled"] == 300
    assert found["measured_coverage"]["coverage"] >= 0.9
    listed = sound.get(THRESHOLDS)["conformal"]
    assert (listed["threshold"], listed["measured"]) == (found["threshold"], found["measured_coverage"])
    assert listed["adaptive"]["alpha"] == pytest.approx(0.1, abs=0.2)
    assert sound.post(SETS, {"probabilities": []})["sets"] == []
    sound.post("/v1/models/m/calibrators", {"method": "platt", "holdout": 0}, status=201)
    sound.post("/v1/models/m/calibrators/1/promote")
    after = sound.post(SETS, {"probabilities": [0.995], "coverage": 0.9})
    assert after["calibrator_version"] == 1
    assert after["threshold"] != found["threshold"]
    assert after["threshold"] == sound.get(THRESHOLDS)["conformal"]["threshold"]


def test_sets_are_computed_again_after_new_labels_and_say_until_then_that_they_are_stale(api, tools, clock):
    filled(api, tools, SOUND, range(1))
    first = api.post(SETS, {"probabilities": [0.5]})
    assert (first["labelled"], "stale" in first) == (100, False)
    api.send(tools.prediction("late", 0.5), tools.label("late", 1))
    kept = api.post(SETS, {"probabilities": [0.5]})
    assert (kept["labelled"], kept["stale"]) == (100, True)
    clock.advance(timedelta(seconds=5))
    again = api.post(SETS, {"probabilities": [0.5]})
    assert (again["labelled"], "stale" in again) == (101, False)


def test_labels_of_another_model_make_no_sets_stale(api, tools):
    filled(api, tools, SOUND, range(1))
    api.post(SETS, {"probabilities": [0.5]})
    api.send(tools.prediction("e", 0.5, model="other"), {**tools.label("e", 1), "model": "other"})
    assert "stale" not in api.post(SETS, {"probabilities": [0.5]})


def vectors(api, tools, **settings):
    api.put("m", status=201, task="multiclass", classes=["a", "b", "c"], label_delay="0s", **settings)
    for minute in range(10):
        at = {"timestamp": f"2026-01-05T10:{minute:02}:00Z"}
        sent = []
        for i in range(30):
            vector = [0.7, 0.2, 0.1] if i % 2 else [0.1, 0.3, 0.6]
            truth = "aaaaaabbbc"[i // 2 % 10] if i % 2 else "ccccbbbbaa"[i // 2 % 10]
            sent += [
                tools.prediction(f"{minute}-{i}", probabilities=vector, **at),
                tools.label(f"{minute}-{i}", truth),
            ]
        api.ask("POST", "/v1/events", json={"events": sent})
    api.roll_up()


def test_sets_of_several_classes_are_of_their_names(api, tools):
    vectors(api, tools, decisions={"sure": {"threshold": 0.65}})
    found = api.post(SETS, {"probabilities": [[0.75, 0.2, 0.05], [0.2, 0.2, 0.6]], "coverage": 0.8})
    # The score of a right answer is .3 of 90, .4 of 50, .7 of 50, .8 of 35 and more of the rest.
    assert (found["threshold"], found["sets"]) == (pytest.approx(0.8), [["a", "b"], ["a", "b", "c"]])
    (decision,) = api.get(THRESHOLDS)["decisions"]
    assert (decision["after"]["selected"], decision["after"]["labelled"]) == (150, 150)
    error = api.refused("POST", SETS, json={"probabilities": [[0.5, 0.5]]})
    assert (error["field"], error["reason"]) == ("probabilities", "must be of the model's 3 classes")
    api.refused("POST", SETS, json={"probabilities": [0.5]})


def test_labels_of_sources_that_are_not_trusted_decide_nothing(sqlite_api, tools):
    sqlite_api.put("m", status=201, label_delay="0s", decisions=APPROVE, trusted_sources=["audit"])
    sources = ("audit", "scraped")
    sqlite_api.send(
        *(tools.prediction(f"{source}-{i}", 0.9) for source in sources for i in range(100)),
        *(
            tools.label(f"{source}-{i}", int(source == "audit"), source=source)
            for source in sources
            for i in range(100)
        ),
    )
    found = sqlite_api.get(THRESHOLDS, precision=0.95)
    assert (found["events"], found["labelled"]) == (200, 100)
    assert found["precision"]["above"]["selected"] == 200
    assert found["decisions"][0]["after"]["precision"] == 1.0


def test_too_few_labels_are_a_reason_not_a_figure(sqlite_api, tools):
    filled(sqlite_api, tools, SOUND, minutes=range(0), decisions=APPROVE)
    found = sqlite_api.get(THRESHOLDS, precision=0.95, risk=0.05)
    assert found["precision"]["reason"] == "there are 0 labels; at least 59 are needed, all of them right"
    assert (found["abstention"]["answering"], found["abstention"]["points"]) == (None, [])
    assert found["conformal"]["reason"] == "there are 0 labels; at least 9 are needed for a coverage of 0.9"
    assert found["decisions"][0]["after"]["share"] is None
    assert "9 are needed" in sqlite_api.refused("POST", SETS, 409, json={"probabilities": [0.5]})["detail"]


@pytest.mark.parametrize(
    "declared", [{}, {"task": "multiclass"}, {"trusted_sources": ["audit"]}, {"task": "confidence"}]
)
def test_a_model_without_events_has_nothing_to_say(sqlite_api, declared):
    sqlite_api.put("m", status=201, decisions=APPROVE, **declared)
    found = sqlite_api.get(THRESHOLDS, precision=0.95, risk=0.05)
    assert (found["events"], found["labelled"], found["abstention"]["points"]) == (0, 0, [])
    assert found["decisions"][0]["after"]["selected"] == 0
    sqlite_api.refused("POST", SETS, 409, json={"probabilities": []})
    with sqlite_api.services.database.read() as connection:
        clock = clocked(connection, models.named(connection, "m"), sqlite_api.clock())
        found = impact_of(connection, clock, None, None)
    assert [impact.events for impact in found] == ([0] if declared.get("task") else [])


def test_answers_of_which_only_one_confidence_is_known_have_no_sets(sqlite_api, tools):
    sqlite_api.put("m", status=201, task="confidence", label_delay="0s")
    names = [f"e{i}" for i in range(80)]
    sqlite_api.send(
        *(tools.prediction(name, confidence=0.9, prediction="x") for name in names),
        *(tools.label(name, "x") for name in names),
    )
    found = sqlite_api.get(THRESHOLDS, precision=0.95, risk=0.05)
    assert (found["precision"]["above"]["right"], found["abstention"]["answering"]["below"]) == (80, None)
    assert found["conformal"]["reason"].startswith("only the confidence of the answer is known")
    assert "only the confidence" in sqlite_api.refused("POST", SETS, 409, json={"probabilities": [0.5]})["detail"]


def test_a_regression_has_no_thresholds(sqlite_api, tools):
    sqlite_api.put("m", status=201, task="regression", decisions=APPROVE)
    sqlite_api.send(tools.prediction("e", mean=3.0, std=1.0))
    found = sqlite_api.get(THRESHOLDS, precision=0.9, risk=0.1)
    assert found["decisions"] == []
    reasons = {found[part]["reason"] for part in ("precision", "abstention", "conformal")}
    assert len(reasons) == 1
    assert reasons.pop().startswith("a regression has")
    sqlite_api.refused("POST", SETS, 409, json={"probabilities": [0.5]})


@pytest.mark.parametrize(
    ("query", "field"),
    [({"calibrator": "7"}, "calibrator"), ({"calibrator": "x"}, "calibrator"), ({"calibrator": "challenger"}, "calibrator"),
     ({"precision": 1}, "precision"), ({"risk": 0}, "risk"), ({"coverage": "nan"}, "coverage"), ({"confidence": 2}, "confidence"),
     ({"window": "7d", "start": "2026-01-05T00:00:00Z"}, "window"), ({"bins": 15}, "bins"), ({"version": "\x00"}, "version")],
)  # fmt: skip
def test_what_cant_be_answered_is_refused_by_name(sqlite_api, query, field):
    sqlite_api.put("m", status=201)
    assert sqlite_api.refused("GET", THRESHOLDS, params=query)["field"] == field


def test_unknown_models_are_not_found(sqlite_api):
    sqlite_api.refused("GET", "/v1/models/none/thresholds", 404)
    sqlite_api.refused("POST", "/v1/models/none/predict-set", 404, json={"probabilities": [0.5]})


@pytest.mark.parametrize(
    "body", [{}, {"probabilities": [2.0]}, {"probabilities": [0.5], "coverage": 1}, {"probabilities": "x"}]
)
def test_unusable_probabilities_are_refused(sqlite_api, body):
    sqlite_api.put("m", status=201)
    assert sqlite_api.refused("POST", SETS, json=body)["field"].startswith(("probabilities", "coverage"))
