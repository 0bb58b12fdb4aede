"""Calibrators over HTTP: refit, gate, versions, promotion, rollback, application."""

import hashlib
import json
import math
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from monitor.recalibrate import manual, registry
from monitor.recalibrate.refit import refit
from monitor.store import models
from monitor.store.calibrators import FittedFrom, no_calibrator

CALIBRATORS = "/v1/models/m/calibrators"
TOO_SURE = ((0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true: .7, .6, .4 and .3."""
JUST_RIGHT = ((0.9, 18), (0.7, 14), (0.3, 6), (0.1, 2))


def minute_of(tools, minute, rows, **fields):
    """Return 80 predictions of one minute with their labels."""
    at = {"timestamp": f"2026-01-05T{10 + minute // 60:02}:{minute % 60:02}:00Z"}
    events = []
    for p, right in rows:
        for i in range(20):
            name = f"{minute}-{p}-{i}-{fields.get('model_version')}"
            events += [tools.prediction(name, p, **at, **fields), tools.label(name, int(i < right))]
    return events


def filled(api, tools, rows=TOO_SURE, minutes=range(20), **settings):
    api.put("m", status=201, label_delay="0s", **settings)
    for minute in minutes:
        api.ask("POST", "/v1/events", json={"events": minute_of(tools, minute, rows)})
    api.roll_up()
    return api


@pytest.fixture
def sure(api, tools):
    """Return a model that is too sure of itself, by 1,600 labels in 20 minutes."""
    return filled(api, tools)


@pytest.fixture
def sqlite_sure(sqlite_api, tools):
    return filled(sqlite_api, tools)


# Refit


def test_a_refit_gives_a_gated_version_with_its_evidence(sure):
    made = sure.post(CALIBRATORS, {"method": "temperature"}, status=201)
    assert (made["model"], made["number"], made["method"], made["task"]) == ("m", 1, "temperature", "binary")
    # The logits 2.197 and .847 are observed as .847 and .405: a factor between 2.09 and 2.59.
    assert 2.09 < made["parameters"]["temperature"] < 2.59
    source = made["fitted_from"]
    assert (source["labels"], source["holdout_labels"], source["scores"], source["holdout"]) == (1120, 480, "raw", 0.3)
    assert (source["start"], source["end"]) == ("2025-12-06T10:00:00Z", "2026-01-05T10:20:00Z")
    assert made["gate"]["passed"] is True
    assert made["gate"]["comparisons"]["identity"]["log_loss_gain_lower_bound"] > 0
    assert (made["promoted"], made["created_at"]) == (False, "2026-01-05T12:00:00Z")
    assert made["reason"]


def test_the_hash_is_over_the_working_part_in_canonical_json(sure):
    made = sure.post(CALIBRATORS, {"method": "platt"}, status=201)
    working = {name: made[name] for name in ("model", "number", "method", "task", "parameters")}
    text = json.dumps(working, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert made["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_auto_takes_the_simplest_that_passes(sure):
    assert sure.post(CALIBRATORS, status=201)["method"] == "temperature"
    again = sure.post(CALIBRATORS, {"method": "auto"}, status=201)
    assert (again["number"], again["method"]) == (2, "temperature")
    assert set(again["gate"]["others"]) == {"platt", "beta", "quadratic_logit"}  # none is significantly better


@pytest.mark.parametrize(
    ("recalibration", "promote", "champion", "challenger"),
    [("off", None, None, 1), ("propose", None, None, 1), ("auto", None, 1, None), ("propose", True, 1, None),
     ("off", True, 1, None), ("auto", False, None, 1)],
)  # fmt: skip
def test_promotion_is_as_asked_or_as_the_settings_say(sqlite_sure, recalibration, promote, champion, challenger):
    sqlite_sure.put("m", recalibration=recalibration)
    made = sqlite_sure.post(CALIBRATORS, {"promote": promote}, status=201)
    assert made["promoted"] is (champion == 1)
    listed = sqlite_sure.get(CALIBRATORS)
    assert (listed["champion"], listed["challenger"]) == (champion, challenger)


@pytest.mark.parametrize("promote", [None, True, False])
def test_a_version_without_a_gate_waits_for_a_person(sqlite_sure, promote):
    sqlite_sure.put("m", recalibration="auto")
    made = sqlite_sure.post(CALIBRATORS, {"holdout": 0, "promote": promote}, status=201)
    assert (made["gate"], made["promoted"], made["fitted_from"]["labels"]) == (None, False, 1600)
    assert "only a person" in made["reason"]
    assert sqlite_sure.get(CALIBRATORS)["champion"] is None
    assert sqlite_sure.post(f"{CALIBRATORS}/1/promote") == {"champion": 1}


def refusal(api, **asked):
    """Return why a refit is refused, which must leave nothing but a line in the audit log."""
    before = api.get(CALIBRATORS)
    found = api.post(CALIBRATORS, asked)
    assert (found["number"], found["promoted"]) == (None, False)
    assert api.get(CALIBRATORS) == before
    assert api.get("/v1/models/m/audit")["audit"][-1]["action"] == "refuse"
    return found


def test_a_refit_without_labels_is_refused(api):
    api.put("m", status=201)
    assert refusal(api) == {
        "number": None,
        "promoted": False,
        "gate": None,
        "reason": "there are no labels; at least 200 are needed",
    }


@pytest.mark.parametrize("holdout", [0, 0.3])
@pytest.mark.parametrize("promote", [None, True])
def test_a_refit_with_too_few_labels_is_refused(sqlite_api, tools, holdout, promote):
    filled(sqlite_api, tools, minutes=range(2))
    found = refusal(sqlite_api, holdout=holdout, promote=promote, method="platt")
    assert found["reason"] == "there are 160 labels; at least 200 are needed"


def test_a_refit_on_one_outcome_is_refused(sqlite_api, tools):
    filled(sqlite_api, tools, rows=((0.9, 20), (0.1, 20)))
    assert refusal(sqlite_api)["reason"] == "all 800 labels say the same; both outcomes are needed"


def test_a_refit_on_one_moment_is_refused_but_for_no_holdout(sqlite_api, tools):
    sqlite_api.put("m", status=201, label_delay="0s")
    names = [(f"{p}-{i}", p, int(i < 3 * right)) for p, right in TOO_SURE for i in range(60)]
    sqlite_api.send(*(e for name, p, y in names for e in (tools.prediction(name, p), tools.label(name, y))))
    assert "1 bucket(s) of time" in refusal(sqlite_api)["reason"]
    assert sqlite_api.post(CALIBRATORS, {"holdout": 0.0}, status=201)["gate"] is None


def test_a_refit_of_a_calibrated_model_is_refused_with_the_evidence(api, tools):
    filled(api, tools, rows=JUST_RIGHT)
    found = refusal(api, promote=True)
    assert found["gate"]["passed"] is False
    assert set(found["gate"]["judged"]) == {"temperature", "platt", "beta", "quadratic_logit"}
    assert "temperature:" in found["reason"]


def test_a_refit_that_does_not_beat_the_champion_is_refused(sqlite_sure):
    sqlite_sure.post(CALIBRATORS, {"promote": True}, status=201)
    assert refusal(sqlite_sure)["gate"]["judged"]["temperature"]["comparisons"]["incumbent"]


def test_identity_never_passes(sqlite_sure):
    assert refusal(sqlite_sure, method="identity")["gate"]["candidates_judged"] == ["identity"]


def test_a_refit_takes_labels_of_its_range_and_version_only(sqlite_api, tools):
    filled(sqlite_api, tools, minutes=range(10))
    for minute in range(10, 20):
        sqlite_api.ask("POST", "/v1/events", json={"events": minute_of(tools, minute, TOO_SURE, model_version="v2")})
    sqlite_api.roll_up()

    def labels(**asked):
        return sqlite_api.post(CALIBRATORS, {"holdout": 0, **asked}, status=201)["fitted_from"]

    assert labels()["labels"] == 1600
    assert labels(version="v2")["labels"] == 800
    assert labels(version="")["labels"] == 800
    ranged = labels(start="2026-01-05T10:05:00Z", end="2026-01-05T10:12:30+00:00")
    assert (ranged["labels"], ranged["end"]) == (640, "2026-01-05T10:13:00Z")
    assert labels(end="2026-01-05T10:05:00Z")["labels"] == 400
    assert "no labels" in refusal(sqlite_api, version="v3")["reason"]
    assert "no labels" in refusal(sqlite_api, start="2030-01-01T00:00:00Z", end="2031-01-01T00:00:00Z")["reason"]
    assert "no labels" in refusal(sqlite_api, start="1970-01-01T00:00:00Z", end="1970-01-01T00:00:01Z")["reason"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"method": "forest"}, "method"), ({"method": ""}, "method"), ({"method": 1}, "method"), ({"method": None}, "method"),
     ({"method": ["auto"]}, "method"), ({"holdout": "0.3"}, "holdout"), ({"holdout": True}, "holdout"),
     ({"holdout": -0.1}, "holdout"), ({"holdout": 1}, "holdout"), ({"holdout": 0.95}, "holdout"), ({"holdout": None}, "holdout"),
     ({"holdout": 10**400}, "holdout"), ({"promote": 1}, "promote"), ({"promote": "true"}, "promote"), ({"promote": []}, "promote"),
     ({"start": "yesterday"}, "start"), ({"start": 0}, "start"), ({"end": "2026-01-05"}, "end"), ({"end": True}, "end"),
     ({"start": "2026-01-05T12:00:00Z", "end": "2026-01-05T11:00:00Z"}, "start"), ({"start": "2027-01-01T00:00:00Z"}, "start"),
     ({"end": "0001-01-01T00:00:00+14:00"}, "end"), ({"end": "9999-12-31T23:59:59Z"}, "end"), ({"version": "a\x00"}, "version"),
     ({"version": 1}, "version"), ({"models": "m"}, "models"), ({"number": 1}, "number")],
)  # fmt: skip
def test_a_wrong_refit_is_refused_and_says_which_part(sqlite_api, asked, field):
    sqlite_api.put("m", status=201)
    assert sqlite_api.refused("POST", CALIBRATORS, json=asked)["field"] == field
    assert sqlite_api.get("/v1/models/m/audit") == {"audit": []}


@pytest.mark.parametrize(
    ("task", "given", "families"),
    [
        ("binary", lambda p: {"probability": p}, ["temperature", "platt", "isotonic"]),
        ("confidence", lambda p: {"confidence": p, "prediction": "a"}, ["platt", "isotonic"]),
        ("multiclass", lambda p: {"probabilities": [p, 1 - p, 0.0]}, ["temperature"]),
    ],
    ids=["binary", "confidence", "multiclass"],
)
def test_each_task_has_its_families(sqlite_api, tools, task, given, families):
    sqlite_api.put("m", status=201, label_delay="0s")
    truth: Any = {"binary": int, "confidence": bool, "multiclass": lambda right: 0 if right else 1}[task]
    for minute in range(6):
        at = {"timestamp": f"2026-01-05T10:{minute:02}:00Z"}
        rows = [(f"{minute}-{i}", (0.6, 0.95)[i % 2], i % 3 > 0 or i % 10 == 1) for i in range(60)]
        sqlite_api.send(*(tools.prediction(name, **given(p), **at) for name, p, _ in rows))
        sqlite_api.send(*(tools.label(name, truth(right)) for name, _, right in rows))
    for method in families:
        made = sqlite_api.post(CALIBRATORS, {"method": method, "holdout": 0}, status=201)
        assert (made["method"], made["task"]) == (method, task)
    for method in {"platt", "isotonic"} - set(families):
        assert sqlite_api.refused("POST", CALIBRATORS, json={"method": method})["field"] == "method"


# Versions


def test_versions_are_listed_newest_first_and_found_by_number(sure):
    first = sure.post(CALIBRATORS, {"method": "temperature"}, status=201)
    second = sure.post(CALIBRATORS, {"method": "platt", "holdout": 0.5}, status=201)
    documents = [
        {name: made[name] for name in made if name not in {"promoted", "reason", "decisions"}}
        for made in (second, first)
    ]
    assert sure.get(CALIBRATORS)["calibrators"] == documents
    assert sure.get(f"{CALIBRATORS}/1") == documents[1]
    assert sure.get(f"{CALIBRATORS}/challenger") == documents[0]


@pytest.mark.parametrize(
    "which",
    ["0", "2", "01", "-1", "1.0", "%2B1", "1e0", "x", "champion", "challenger", "Champion", "%D9%A1", "9" * 30, "1%00"],
)
def test_what_is_no_version_is_not_found(sqlite_sure, which):
    sqlite_sure.post(CALIBRATORS, {"holdout": 0}, status=201)
    sqlite_sure.ask("GET", f"{CALIBRATORS}/{which}", status=404)
    if not which.startswith(("ch", "Ch")):
        sqlite_sure.ask("POST", f"{CALIBRATORS}/{which}/promote", json={}, status=404)
    assert sqlite_sure.get(CALIBRATORS)["champion"] is None


def test_a_known_document_is_not_sent_again(api, tools):
    sure = filled(api, tools)
    sure.post(CALIBRATORS, {"promote": True}, status=201)
    for which in ("1", "champion"):
        first = sure.client.get(f"{CALIBRATORS}/{which}")
        tag = first.headers["etag"]
        assert tag == f'"{first.json()["sha256"]}"'
        for known in (tag, f"W/{tag}", "*", f'"x", {tag}', f'W/"y",{tag}'):
            again = sure.client.get(f"{CALIBRATORS}/{which}", headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        for other in ('"x"', tag.strip('"'), ""):
            assert sure.client.get(f"{CALIBRATORS}/{which}", headers={"If-None-Match": other}).status_code == 200
    sure.post(CALIBRATORS, {"method": "platt", "holdout": 0}, status=201)
    sure.post(f"{CALIBRATORS}/2/promote")
    assert sure.client.get(f"{CALIBRATORS}/champion", headers={"If-None-Match": tag}).json()["number"] == 2


# Promotion and rollback


@pytest.fixture
def three(sure):
    """Return a model with three versions, none of them in service."""
    for _ in range(3):
        sure.post(CALIBRATORS, {"holdout": 0}, status=201)
    return sure


def test_rollback_puts_back_what_was_replaced_down_to_nothing(three, clock):
    assert three.post(f"{CALIBRATORS}/2/promote") == {"champion": 2}
    assert three.post(f"{CALIBRATORS}/1/promote") == {"champion": 1}
    assert three.post(f"{CALIBRATORS}/3/promote") == {"champion": 3}
    clock.micros += 1
    steps = [three.post(f"{CALIBRATORS}/rollback")["champion"] for _ in range(3)]
    assert steps == [1, 2, None]
    body = three.ask("POST", f"{CALIBRATORS}/rollback", json={}, status=409)
    assert "nothing to roll back" in body["detail"]
    three.ask("GET", f"{CALIBRATORS}/champion", status=404)
    listed = three.get(CALIBRATORS)
    assert listed["champion"] is None
    assert [each["number"] for each in listed["promotions"]] == [2, 1, 3, 1, 2, None]
    # The newest event of the model is of 10:19: since then, in its own time.
    assert {each["at"] for each in listed["promotions"]} == {"2026-01-05T10:19:00Z"}
    assert three.post(f"{CALIBRATORS}/3/promote") == {"champion": 3}


def test_what_was_rolled_back_does_not_come_back_by_another_rollback(three):
    for number in (1, 2):
        three.post(f"{CALIBRATORS}/{number}/promote")
    assert three.post(f"{CALIBRATORS}/rollback")["champion"] == 1
    three.post(f"{CALIBRATORS}/3/promote")
    assert three.post(f"{CALIBRATORS}/rollback")["champion"] == 1


def test_promoting_what_serves_changes_nothing(three):
    three.post(f"{CALIBRATORS}/1/promote")
    three.post(f"{CALIBRATORS}/1/promote")
    assert [each["number"] for each in three.get(CALIBRATORS)["promotions"]] == [1]
    assert three.post(f"{CALIBRATORS}/rollback") == {"champion": None}


def test_promoting_the_challenger_empties_its_place(sure):
    sure.post(CALIBRATORS, status=201)
    assert sure.get(CALIBRATORS)["challenger"] == 1
    sure.post(f"{CALIBRATORS}/1/promote")
    assert (sure.get(CALIBRATORS)["challenger"], sure.get(CALIBRATORS)["champion"]) == (None, 1)


def test_the_audit_tells_every_step(sure):
    sure.post(CALIBRATORS, status=201)
    sure.post(f"{CALIBRATORS}/1/promote")
    sure.post(f"{CALIBRATORS}/rollback")
    steps = sure.get("/v1/models/m/audit")["audit"]
    assert [(each["action"], each["actor"]) for each in steps] == [
        ("register", "api"), ("propose", "api"), ("promote", "api"), ("rollback", "api"),
    ]  # fmt: skip
    assert {each["at"] for each in steps} == {"2026-01-05T12:00:00Z"}
    assert steps[2]["detail"]["replaced"] is None
    assert steps[3]["detail"]["restored"] is None


def test_the_champion_is_in_the_list_and_on_the_metrics(three):
    three.post(f"{CALIBRATORS}/2/promote")
    assert three.get("/v1/models")["models"][0]["champion"] == 2
    assert 'calibration_calibrator_version{model="m"} 2.0' in three.client.get("/metrics").text


# At once


def test_refits_at_once_get_numbers_of_their_own(sure):
    answers = []

    def refit():
        answers.append(sure.client.post(CALIBRATORS, json={"method": "platt", "holdout": 0}))

    run_all([refit] * 6)
    assert [answer.status_code for answer in answers] == [201] * 6
    assert sorted(answer.json()["number"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    assert len(sure.get(CALIBRATORS)["calibrators"]) == 6


def test_a_job_and_a_person_who_register_at_once_get_numbers_of_their_own(three):
    database, at = three.services.database, {"actor": "test", "now": 0, "fitted_from": FittedFrom(), "gate": None}
    fitted = no_calibrator("binary")
    numbers, waits = [], threading.Event()

    def second():
        waits.set()
        with database.write() as connection:
            numbers.append(registry.register(connection, models.by_name(connection, "m"), fitted, **at).number)

    other = threading.Thread(target=second)
    with database.write() as connection:
        numbers.append(registry.register(connection, models.by_name(connection, "m"), fitted, **at).number)
        other.start()
        waits.wait()
        time.sleep(0.3)
    other.join()
    assert numbers == [4, 5]


def test_promotions_and_rollbacks_at_once_leave_a_chain_that_holds(three):
    def promote(number):
        return lambda: three.client.post(f"{CALIBRATORS}/{number}/promote", json={})

    run_all([promote(1), promote(2), promote(3), promote(1), promote(2)])
    promotions = [each["number"] for each in three.get(CALIBRATORS)["promotions"]]
    assert all(before != after for before, after in pairwise(promotions))
    assert three.get(CALIBRATORS)["champion"] == promotions[-1]
    restored = [three.post(f"{CALIBRATORS}/rollback")["champion"] for _ in promotions]
    assert restored == [*reversed(promotions[:-1]), None]


def run_all(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def meanwhile(monkeypatch):
    """Return what lets something happen while a candidate is fitted."""

    def set_up(happens):
        fit = refit

        def interrupted(*given, **named):
            outcome = fit(*given, **named)
            monkeypatch.setattr(manual, "refit", fit)
            happens()
            return outcome

        monkeypatch.setattr(manual, "refit", interrupted)

    return set_up


def test_a_candidate_judged_against_a_former_champion_is_not_taken(three, meanwhile):
    meanwhile(lambda: three.post(f"{CALIBRATORS}/2/promote"))
    body = three.ask("POST", CALIBRATORS, json={"promote": True}, status=409)
    assert "another calibrator was put in service" in body["detail"]
    assert (len(three.get(CALIBRATORS)["calibrators"]), three.get(CALIBRATORS)["champion"]) == (3, 2)


def test_a_candidate_for_a_deleted_model_is_not_taken(sure, meanwhile):
    meanwhile(lambda: sure.ask("DELETE", "/v1/models/m?confirm=m"))
    sure.ask("POST", CALIBRATORS, json={}, status=404)


def test_a_candidate_for_a_model_that_was_made_again_is_not_taken(sure, meanwhile):
    def again():
        sure.ask("DELETE", "/v1/models/m?confirm=m")
        sure.put("m", status=201)

    meanwhile(again)
    assert "made again" in sure.ask("POST", CALIBRATORS, json={}, status=404)["detail"]
    assert sure.get(CALIBRATORS)["calibrators"] == []


# Application


def test_without_a_champion_probabilities_come_back_as_they_are(api):
    api.put("m", status=201, task="binary")
    given = [0.0, 0.1, 1 / 3, 1.0]
    assert api.post("/v1/models/m/calibrate", {"probabilities": given}) == {
        "probabilities": given,
        "calibrator_version": None,
    }
    assert api.post("/v1/models/m/calibrate", {"probabilities": []}) == {
        "probabilities": [],
        "calibrator_version": None,
    }


def test_a_champion_is_applied_as_its_formula_says(sure):
    made = sure.post(CALIBRATORS, {"method": "temperature", "promote": True}, status=201)
    found = sure.post("/v1/models/m/calibrate", {"probabilities": [0.9, 0.5, 0.2]})
    temperature = made["parameters"]["temperature"]
    by_hand = [1 / (1 + math.exp(-math.log(p / (1 - p)) / temperature)) for p in (0.9, 0.5, 0.2)]
    assert found["probabilities"] == pytest.approx(by_hand, abs=1e-12)
    assert found["calibrator_version"] == 1
    assert sure.post("/v1/models/m/calibrate", {"probabilities": []})["calibrator_version"] == 1


def test_vectors_are_calibrated_row_by_row(sqlite_api):
    sqlite_api.put("m", status=201, task="multiclass", classes=["a", "b", "c"])
    rows = [[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]
    assert sqlite_api.post("/v1/models/m/calibrate", {"probabilities": rows})["probabilities"] == rows


@pytest.mark.parametrize(
    "given",
    [
        [1.5],
        [-0.1],
        ["0.5"],
        [True],
        [None],
        [[0.5, 0.5]],
        [0.5, [0.5]],
        0.5,
        None,
        "0.5",
        {"a": 0.5},
        [{}],
        [10**30],
        [0.1] * 100_001,
    ],
)
def test_what_is_no_probability_is_refused(sqlite_api, given):
    sqlite_api.put("m", status=201, task="binary")
    error = sqlite_api.refused("POST", "/v1/models/m/calibrate", json={"probabilities": given})
    assert error["field"].startswith("probabilities")


@pytest.mark.parametrize(
    ("task", "given", "served"),
    [
        ("binary", [1.0000001, -1e-7, 0.5], [1.0, 0.0, 0.5]),
        ("multiclass", [[1.0000001, 0.0], [0.51, 0.51], [0.5, 0.5005]], [[1.0, 0.0], [0.5, 0.5], [0.5, 0.5005]]),
    ],
)
def test_what_rounding_put_out_of_place_is_calibrated_as_what_it_means(sqlite_api, task, given, served):
    sqlite_api.put("m", status=201, task=task)
    assert sqlite_api.post("/v1/models/m/calibrate", {"probabilities": given})["probabilities"] == served


def test_quantiles_that_cross_by_rounding_are_calibrated_in_order(sqlite_api):
    sqlite_api.put("m", status=201, task="regression")
    sent = {"distributions": [{"quantiles": {"0.1": 2.0, "0.5": 1.99, "0.9": 3.0}}]}
    (served,) = sqlite_api.post("/v1/models/m/calibrate", sent)["distributions"]
    assert served["quantiles"] == {"0.1": 1.99, "0.5": 2.0, "0.9": 3.0}


@pytest.mark.parametrize("given", [[[0.5, 0.6]], [[0.5]], [[]], [[0.5, 0.5], [1.0]], [[0.5, -0.5, 1.0]], [0.5]])
def test_what_is_no_vector_is_refused(sqlite_api, given):
    sqlite_api.put("m", status=201, task="multiclass")
    error = sqlite_api.refused("POST", "/v1/models/m/calibrate", json={"probabilities": given})
    assert error["field"].startswith("probabilities")


@pytest.mark.parametrize(
    "body", [b'{"probabilities": [NaN]}', b'{"probabilities": [Infinity]}', b'{"probabilities": [1e400]}', b""]
)
def test_what_is_no_number_is_refused(sqlite_api, body):
    sqlite_api.put("m", status=201)
    headers = {"Content-Type": "application/json"}
    assert sqlite_api.refused("POST", "/v1/models/m/calibrate", 400, content=body, headers=headers)["field"] == "body"


def test_calibrate_takes_no_other_field(sqlite_api):
    sqlite_api.put("m", status=201)
    assert (
        sqlite_api.refused("POST", "/v1/models/m/calibrate", json={"probabilities": [0.5], "version": 1})["field"]
        == "version"
    )
    assert sqlite_api.refused("POST", "/v1/models/m/calibrate", json={})["field"] == "probabilities"
