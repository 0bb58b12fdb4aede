"""By hand: the same repair at a terminal and over HTTP, tried dry first."""

import json
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from monitor.api import auth
from monitor.cli.main import app as command
from monitor.recalibrate import manual
from monitor.recalibrate.refit import refit
from monitor.store import keys

CALIBRATORS = "/v1/models/m/calibrators"
TOO_SURE = ((0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true: .7, .6, .4 and .3."""


def filled(api, tools):
    api.put("m", status=201, label_delay="0s")
    for minute in range(20):
        events = []
        for p, right in TOO_SURE:
            for i in range(20):
                name = f"{minute}-{p}-{i}"
                at = f"2026-01-05T10:{minute:02}:00Z"
                events += [tools.prediction(name, p, timestamp=at), tools.label(name, int(i < right))]
        api.ask("POST", "/v1/events", json={"events": events})
    api.roll_up()
    return api


@pytest.fixture
def sure(api, tools):
    """Return a model that is too sure of itself."""
    return filled(api, tools)


@pytest.fixture
def terminal(monkeypatch):
    """Return what runs a command on a database and gives back what it printed."""

    def run(api, *words, code=0):
        monkeypatch.setenv("CALWATCH_DATABASE_URL", api.services.settings.database_url)
        result = CliRunner().invoke(command, list(words))
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    return run


def audit(api):
    return [step["action"] for step in api.get("/v1/models/m/audit")["audit"]]


def test_a_dry_refit_says_what_it_would_register_and_changes_nothing(sure):
    tried = sure.post(CALIBRATORS, {"method": "temperature", "dry_run": True, "promote": True})
    assert (tried["number"], tried["promoted"], tried["passed"], tried["dry_run"]) == (None, False, True, True)
    assert tried["fitted"]["method"] == "temperature"
    assert 2.09 < tried["fitted"]["parameters"]["temperature"] < 2.59
    assert tried["gate"]["passed"]
    assert audit(sure) == []
    assert sure.get(CALIBRATORS)["calibrators"] == []
    made = sure.post(CALIBRATORS, {"method": "temperature"}, status=201)
    assert made["parameters"] == tried["fitted"]["parameters"]


def test_a_dry_promotion_shows_both_maps_and_moves_nothing(sure):
    halved = sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)["parameters"][
        "temperature"
    ]
    tried = sure.post(f"{CALIBRATORS}/1/promote", {"dry_run": True})
    assert (tried["champion"], tried["would_serve"]) == (None, 1)
    found = tried["difference"]
    by_p = {point["probability"]: point for point in found["map"]}
    expected = 1 / (1 + (0.1 / 0.9) ** (1 / halved))
    assert by_p[0.9] == {"probability": 0.9, "before": 0.9, "after": pytest.approx(expected)}
    steps = [abs(1 / (1 + ((1 - p) / p) ** (1 / halved)) - p) for p, _ in TOO_SURE]
    assert found["mean_change"] == pytest.approx(sum(steps) / 4)
    assert found["largest_change"] == pytest.approx(max(steps))
    assert found["predictions"] == 1600
    assert sure.get(CALIBRATORS)["champion"] is None


def test_a_dry_rollback_names_what_would_come_back(sure):
    for method in ("temperature", "platt"):
        sure.post(CALIBRATORS, {"method": method, "holdout": 0}, status=201)
    for number in (1, 2):
        sure.post(f"{CALIBRATORS}/{number}/promote")
    tried = sure.post(f"{CALIBRATORS}/rollback", {"dry_run": True})
    assert (tried["champion"], tried["would_serve"]) == (2, 1)
    assert sure.post(f"{CALIBRATORS}/rollback", {"reason": "it was better before"})["champion"] == 1
    last = sure.get("/v1/models/m/audit")["audit"][-1]
    assert (last["action"], last["detail"]["reason"]) == ("rollback", "it was better before")


def test_two_versions_are_compared_by_name(sure):
    sure.post(CALIBRATORS, {"method": "temperature", "holdout": 0}, status=201)
    sure.post(f"{CALIBRATORS}/1/promote")
    same = sure.get(f"{CALIBRATORS}/1/difference")
    assert (same["before"], same["after"], same["largest_change"]) == (1, 1, 0)
    undone = sure.get(f"{CALIBRATORS}/identity/difference", against="champion")
    done = sure.get(f"{CALIBRATORS}/champion/difference", against="identity")
    assert (undone["before"], undone["after"], done["before"], done["after"]) == (1, None, None, 1)
    assert undone["mean_change"] == done["mean_change"] > 0.05
    problem = sure.refused("GET", f"{CALIBRATORS}/7/difference", 404)
    assert "has no calibrator 7" in problem["detail"]


@pytest.mark.parametrize("validation", [False, True])
def test_a_refit_of_one_version_harms_no_other(sqlite_api, tools, validation):
    api = sqlite_api
    api.put("m", status=201, label_delay="0s")
    said = {"reference": True} if validation else {}
    for minute in range(20):
        events = []
        for p, too_sure in TOO_SURE:
            for version, right in (("new", too_sure), ("old", round(20 * p))):
                for i in range(20):
                    name = f"{version}-{minute}-{p}-{i}"
                    at = f"2026-01-05T10:{minute:02}:00Z"
                    fields = {"timestamp": at, "model_version": version, **said}
                    events += [tools.prediction(name, p, **fields), tools.label(name, int(i < right))]
        api.ask("POST", "/v1/events", json={"events": events})
    api.roll_up()
    source = "validation" if validation else "live"
    asked = {"method": "temperature", "version": "new", "source": source, "promote": True}
    refused = api.post(CALIBRATORS, asked)
    assert (refused["number"], refused["promoted"]) == (None, False)
    assert "worse in segment model_version:old" in refused["reason"]


def test_what_becomes_of_a_refit_by_hand_is_as_declared_when_it_is_done(sure, monkeypatch):
    sure.put("m", recalibration="auto")

    def slow(*args, **more):
        sure.put("m", recalibration="propose")
        return refit(*args, **more)

    monkeypatch.setattr(manual, "refit", slow)
    made = sure.post(CALIBRATORS, {"method": "temperature"}, status=201)
    assert (made["promoted"], audit(sure)) == (False, ["register", "propose"])


HALVED = {"method": "temperature", "task": "binary", "parameters": {"temperature": 2.3}}
WORSE = HALVED | {"parameters": {"temperature": 0.5}}


def test_a_calibrator_fitted_elsewhere_passes_the_same_gate(sqlite_api, tools, terminal, tmp_path):
    sure = filled(sqlite_api, tools)
    made = sure.post(CALIBRATORS, {"document": HALVED, "promote": True}, status=201)
    assert (made["number"], made["promoted"], made["parameters"]) == (1, True, {"temperature": 2.3})
    assert made["fitted_from"]["registered"] is True
    assert made["gate"]["passed"]
    refused = sure.post(CALIBRATORS, {"document": WORSE, "promote": True})
    assert (refused["number"], refused["promoted"], refused["gate"]["passed"]) == (None, False, False)
    (path := tmp_path / "document.json").write_text(json.dumps(WORSE))
    assert terminal(sure, "refit", "m", "--document", str(path)).startswith("refused: ")
    assert sure.get(CALIBRATORS)["champion"] == 1


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"method": "magic"}, "document.method"),
        ({"parameters": {"temperature": -1}}, "document.parameters.temperature"),
        ({"task": "multiclass"}, "document.task"),
        ({"parameters": None}, "document.parameters"),
    ],
)
def test_an_unusable_document_is_refused_by_name(sqlite_api, changed, field):
    sqlite_api.put("m", status=201, task="binary")
    error = sqlite_api.refused("POST", CALIBRATORS, json={"document": HALVED | changed})
    assert error["field"] == field


def test_a_refit_on_the_validation_set_needs_one(sqlite_api):
    sqlite_api.put("m", status=201, task="binary")
    refused = sqlite_api.post(CALIBRATORS, {"source": "validation"})
    assert refused["reason"] == "there is no validation set: no predictions with `reference: true`"
    error = sqlite_api.refused("POST", CALIBRATORS, json={"source": "validation", "start": "2026-01-01T00:00:00Z"})
    assert error["field"] == "start"


def test_a_refit_on_the_validation_set_leaves_traffic_out(api, tools):
    api.put("m", status=201, task="binary")
    for minute in range(10):
        api.ask("POST", "/v1/events", json={"events": [
            each for p, right in ((0.98, 16), (0.02, 4)) for i in range(40) for each in (
                tools.prediction(f"{minute}-{p}-{i}", p, reference=True), tools.label(f"{minute}-{p}-{i}", int(i < 2 * right)),
            )
        ]})  # fmt: skip
    api.roll_up()
    made = api.post(CALIBRATORS, {"source": "validation", "holdout": 0.5, "promote": True}, status=201)
    assert made["promoted"]
    assert made["fitted_from"]["source"] == "validation"
    assert made["fitted_from"]["labels"] + made["fitted_from"]["holdout_labels"] == 800
    assert api.get("/v1/models/m")["predictions"] == 0


def test_the_levels_of_regressions_are_compared(sqlite_api):
    sqlite_api.put("m", status=201, task="regression")
    document = {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2.0}}
    sqlite_api.post(CALIBRATORS, {"document": document, "holdout": 0, "promote": False}, status=201)
    points = {point["probability"]: point["after"] for point in sqlite_api.get(f"{CALIBRATORS}/1/difference")["map"]}
    # What was the 5 % quantile, 1.645 standard deviations off, is now .822 of them off.
    assert points[0.05] == pytest.approx(0.2054, abs=1e-4)
    assert points[0.5] == pytest.approx(0.5)


def test_reasons_must_be_text(sqlite_api):
    sqlite_api.put("m", status=201)
    error = sqlite_api.refused("POST", f"{CALIBRATORS}/rollback", json={"reason": ""})
    assert error["field"] == "reason"


def test_the_audit_log_names_the_key(sqlite_api, tools, monkeypatch):
    monkeypatch.setattr(auth, "FRESH_SECONDS", -1.0)
    filled(sqlite_api, tools)
    with sqlite_api.services.database.write() as connection:
        key = keys.create(connection, "night shift", 0)
    headers = {"Authorization": f"Bearer {key}"}
    body = {"holdout": 0, "method": "platt"}
    sqlite_api.ask("POST", CALIBRATORS, status=201, json=body, headers=headers)
    found = sqlite_api.ask("GET", "/v1/models/m/audit", headers=headers)["audit"]
    assert [step["actor"] for step in found] == ["api key night shift"]


def test_a_model_is_repaired_at_a_terminal(sure, terminal, tmp_path):
    assert "has no calibrator yet" in terminal(sure, "calibrators", "list", "m")
    dry = terminal(sure, "refit", "m", "--method", "temperature", "--dry-run", "--start", "2026-01-01T00:00:00Z")
    assert "dry run: a calibrator (temperature) would be registered" in dry
    assert audit(sure) == []
    made = json.loads(terminal(sure, "refit", "m", "--method", "temperature", "--no-promote", "--json"))
    assert made["number"] == 1
    assert "is served by no calibrator and would be by calibrator 1" in terminal(sure, "promote", "m", "1", "--dry-run")
    assert terminal(sure, "promote", "m", "1") == "m is served by calibrator 1\n"
    assert "champion" in terminal(sure, "calibrators", "list", "m")
    picture = tmp_path / "maps.svg"
    told = terminal(sure, "calibrators", "diff", "m", "identity", "champion", "--picture", str(picture))
    assert "recent predictions: served values change by" in told
    assert ET.fromstring(picture.read_text()).tag.endswith("svg")  # noqa: S314 - our own
    assert "is served by calibrator 1 and would be by no calibrator" in terminal(sure, "rollback", "m", "--dry-run")
    assert terminal(sure, "rollback", "m", "--reason", "a test") == "m is served by no calibrator\n"
    assert audit(sure) == ["register", "propose", "promote", "rollback"]
    terminal(sure, "refit", "m", "--method", "temperature", "--no-promote")
    assert (
        terminal(sure, "reject", "m", "2", "--reason", "a test") == "calibrator 2 of m is rejected; what serves stays\n"
    )
    assert audit(sure)[4:] == ["register", "propose", "reject"]
    actors = {step["actor"] for step in sure.get("/v1/models/m/audit")["audit"]}
    assert all(actor.startswith("command by ") for actor in actors)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "m", "3"), "has no calibrator 3"),
        (("rollback", "m"), "there is nothing to roll back"),
        (("reject", "m", "3"), "has no calibrator 3"),
        (("refit", "nobody"), "there is no model 'nobody'"),
        (("refit", "m", "--method", "magic"), "must be auto or one of"),
        (("calibrators", "diff", "m", "champion", "1"), "has no champion"),
    ],
)
def test_a_command_that_can_not_be_done_says_why(sqlite_api, monkeypatch, words, said):
    sqlite_api.put("m", status=201)
    monkeypatch.setenv("CALWATCH_DATABASE_URL", sqlite_api.services.settings.database_url)
    result = CliRunner().invoke(command, list(words))
    assert said in str(result.exception)


def test_what_a_promotion_does_to_decisions_is_told_before_and_kept(sure):
    sure.put("m", decisions={"approve": {"threshold": 0.65}})
    made = sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)
    (told,) = made["decisions"]
    # Of 1,600 predictions those of .9 and .7 were selected; .7 is served as about .6 from now on.
    assert (told["before"]["selected"], told["after"]["selected"]) == (800, 400)
    assert told["after"]["precision"] == pytest.approx(0.7)
    assert sure.post(f"{CALIBRATORS}/1/promote", {"dry_run": True})["difference"]["decisions"] == [told]
    sure.post(f"{CALIBRATORS}/1/promote")
    assert sure.get("/v1/models/m/audit")["audit"][-1]["detail"]["decisions"] == [told]


RIGHT = [(p, round(20 * p)) for p, _ in TOO_SURE]


@pytest.fixture
def serve(api, tools):
    """Serve twenty minutes of an hour, of every twenty predictions so many right."""
    api.put("m", status=201, label_delay="0s", recalibration="off")

    def an_hour(hour, rows, version="1"):
        for minute in range(20):
            api.send(
                *(
                    event
                    for p, right in rows
                    for i in range(20)
                    for event in (
                        tools.prediction(
                            f"{version}{hour}-{minute}-{p}-{i}", p, model_version=version,
                            timestamp=f"2026-01-05T{hour:02}:{minute:02}:00Z",
                        ),
                        tools.label(f"{version}{hour}-{minute}-{p}-{i}", int(i < right)),
                    )
                )
            )  # fmt: skip

    return an_hour


def test_a_refit_by_hand_takes_the_labels_since_the_breach(api, serve, clock):
    serve(10, RIGHT)
    serve(11, TOO_SURE)
    everything = api.post(CALIBRATORS, {"method": "temperature", "dry_run": True})["fitted_from"]
    assert (everything["labels"], everything["start"] < "2026-01-05") == (2240, True)  # 30 % of 3,200 are held out
    clock.micros += 60_000_000
    api.judge()
    assert api.get("/v1/models/m")["state"] == "miscalibrated"
    tried = api.post(CALIBRATORS, {"method": "temperature", "dry_run": True})
    assert "2026-01-05T11:00:00Z" <= tried["fitted_from"]["start"] <= "2026-01-05T11:05:00Z"
    assert 2.09 < tried["fitted"]["parameters"]["temperature"] < 2.59
    asked = api.post(CALIBRATORS, {"method": "temperature", "dry_run": True, "start": "2026-01-05T10:00:00Z"})
    assert asked["fitted_from"]["labels"] == 2240


def test_a_refit_of_one_version_takes_what_it_takes_while_an_alert_fires_on_another(api, serve, clock):
    for version, rows in (("off", TOO_SURE), ("right", RIGHT)):
        serve(11, rows, version)
    clock.micros += 60_000_000
    api.judge()
    fired = [
        alert["version"] for alert in api.get("/v1/models/m/alerts")["alerts"] if alert["kind"] == "miscalibration"
    ]
    assert fired == ["off"]
    tried = {
        version: api.post(CALIBRATORS, {"method": "temperature", "dry_run": True, "version": version})["fitted_from"]
        for version in ("off", "right")
    }
    assert tried["off"]["start"] >= "2026-01-05T11:00:00Z"
    assert tried["right"]["start"] < "2026-01-05"


def test_a_refit_with_an_end_takes_what_is_asked_while_an_alert_fires(api, serve, clock):
    serve(10, RIGHT)
    serve(11, TOO_SURE)
    clock.micros += 60_000_000
    api.judge()
    assert api.get("/v1/models/m")["alerts"] == 1
    asked = {"method": "temperature", "dry_run": True, "end": "2026-01-05T11:10:00Z"}
    assert api.post(CALIBRATORS, asked)["fitted_from"]["start"] < "2026-01-05"
