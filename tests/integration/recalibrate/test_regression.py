"""Calibrators of regressions end to end, on both databases: from labels over the gate to what is served and logged."""

import random
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest

from monitor.calibrators.compiled import compile_distribution
from monitor.calibrators.distributions import Distribution
from monitor.rollup.verify import differences_of
from monitor.store import models

LEVELS = (50, 250, 500, 750, 950)
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
SETTINGS = {"label_delay": "0s", "minimum_labels": 200, "windows": ["1h"], "alert_policy": "window"}
M = "/v1/models/m"
CALIBRATORS = f"{M}/calibrators"


def raw_of(kind, mean, std):
    if kind == "normal":
        return Distribution((), (mean, std))
    return Distribution(LEVELS, tuple(NormalDist(mean, std).inv_cdf(level / 1000) for level in LEVELS))


def fields(distribution, raw=""):
    if not distribution.levels:
        return dict(zip((f"{raw}mean", f"{raw}std"), distribution.values, strict=True))
    named = zip(distribution.levels, distribution.values, strict=True)
    return {f"{raw}quantiles": {f"{level / 1000:g}": value for level, value in named}}


def traffic(tools, kind, count, *, begin=START, spread=2.0, seed=1, champion=None, version=None):
    """Return predictions that state a standard deviation of 1, calibrated where a champion serves, and labels of another."""
    dice, events = random.Random(seed), []
    apply = None if champion is None else compile_distribution(champion)
    for i in range(count):
        at, mean, name = begin + timedelta(seconds=10 * i), dice.gauss(50, 10), f"{begin:%d %H} e{i} {version}"
        raw = raw_of(kind, mean, 1.0)
        said = fields(raw)
        if apply is not None:
            said = fields(apply(raw)) | fields(raw, "raw_") | {"calibrator_version": champion["number"]}
        events.append(tools.prediction(name, timestamp=at.isoformat(), model_version=version, **said))
        events.append(tools.label(name, dice.gauss(mean, spread)))
    return events


def differences(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.by_name(connection, "m"))


def test_an_overconfident_regression_is_repaired_by_itself(api, tools, clock):
    is_repaired(api, tools, clock, "normal")


def test_overconfident_quantiles_are_repaired_by_themselves(sqlite_api, tools, clock):
    is_repaired(sqlite_api, tools, clock, "quantiles")


def is_repaired(api, tools, clock, kind):
    api.put("m", status=201, recalibration="auto", **SETTINGS)
    api.send(*traffic(tools, kind, 800))
    api.judge()
    before = api.get(f"{M}/calibration", window="1h")
    assert (before["verdict"], before["direction"]) == ("miscalibrated", "overconfident")
    champion = api.get(f"{CALIBRATORS}/champion")
    assert (champion["method"], champion["task"]) == ("variance_scaling", "regression")
    assert 1.8 < champion["parameters"]["scale"] < 2.2
    assert champion["gate"]["comparisons"]["identity"]["gain_in_std_lower_bound"] > 0
    assert champion["gate"]["candidates_judged"] == ["variance_scaling"]
    clock.advance(timedelta(hours=2))
    later = START + timedelta(hours=3, minutes=10)
    api.send(*traffic(tools, kind, 400, begin=later, seed=2, champion=champion))
    api.judge()
    after = api.get(f"{M}/calibration", window="1h")
    assert after["verdict"] == "calibrated"
    assert after["quantile_ece"] < before["quantile_ece"] / 3
    assert after["crps"] < before["crps"]
    assert api.get(f"{M}/alerts")["alerts"][0]["state"] == "resolved"
    assert differences(api) == []


def filled(api, tools, kind="normal", count=400, **how):
    api.put("m", status=201, **SETTINGS)
    api.send(*traffic(tools, kind, count, **how))
    return api


def test_a_refit_by_hand_is_proposed_promoted_and_applied(sqlite_api, tools):
    filled(sqlite_api, tools)
    made = sqlite_api.post(CALIBRATORS, {"method": "auto"}, status=201)
    assert (made["method"], made["promoted"], made["fitted_from"]["labels"]) == ("variance_scaling", False, 280)
    assert made["reason"].startswith("CRPS ")
    assert " on 120 held-out labels, " in made["reason"]
    sent = {"distributions": [{"mean": 3, "std": 2.5}, {"quantiles": {"0.9": 4, ".10": 1, "0.5": 2}}]}
    as_it_came = sqlite_api.post(f"{M}/calibrate", sent)
    assert as_it_came == {**sent, "calibrator_version": None}
    assert sqlite_api.post(f"{CALIBRATORS}/1/promote")["champion"] == 1
    scale = made["parameters"]["scale"]
    found = sqlite_api.post(f"{M}/calibrate", sent)
    assert found["calibrator_version"] == 1
    assert found["distributions"][0] == {"mean": 3, "std": pytest.approx(2.5 * scale)}
    expected = {".10": 2 - scale, "0.5": 2, "0.9": 2 + 2 * scale}
    assert found["distributions"][1] == {"quantiles": pytest.approx(expected)}
    assert sqlite_api.post(f"{CALIBRATORS}/rollback")["champion"] is None


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "probabilities"),
        ({"probabilities": [0.5]}, "probabilities"),
        ({"probabilities": [0.5], "distributions": []}, "distributions"),
        ({"distributions": [{"mean": 1.0, "std": 1.0}, {"mean": 1.0}]}, "distributions[1].distribution"),
        ({"distributions": [{"mean": 1.0, "std": 0.0}]}, "distributions[0].std"),
        ({"distributions": [{"mean": 1e61, "std": 1.0}]}, "distributions[0].mean"),
        ({"distributions": [{"mean": "1", "std": 1.0}]}, "distributions[0].mean"),
        ({"distributions": [{"quantiles": {"0.5": 1.0}}]}, "distributions[0].quantiles"),
        ({"distributions": [{"quantiles": {"0.5": 1.0, "1": 2.0}}]}, "distributions[0].quantiles"),
        ({"distributions": [{"quantiles": {"0.5": 1.0, "0.50": 2.0}}]}, "distributions[0].quantiles"),
        ({"distributions": [{"quantiles": {"0.1": 2.0, "0.9": 1.0}}]}, "distributions[0].quantiles"),
        ({"distributions": [{"mean": 1.0, "std": 1.0}] * 10_001}, "distributions"),
    ],
    ids=str,
)
def test_what_is_no_distribution_is_refused(sqlite_api, sent, field):
    sqlite_api.put("m", status=201, task="regression")
    assert sqlite_api.refused("POST", f"{M}/calibrate", json=sent)["field"] == field


def test_distributions_are_refused_where_a_model_gives_probabilities(sqlite_api):
    sqlite_api.put("m", status=201, task="binary")
    found = sqlite_api.refused("POST", f"{M}/calibrate", json={"distributions": [{"mean": 1.0, "std": 1.0}]})
    assert found["reason"] == "must be left out: this binary model takes probabilities"


def test_a_refit_takes_what_the_model_said_itself(sqlite_api, tools):
    made = filled(sqlite_api, tools).post(CALIBRATORS, {"promote": True}, status=201)
    later = START + timedelta(hours=2)
    sqlite_api.send(*traffic(tools, "normal", 300, begin=later, seed=2, champion=made))
    again = sqlite_api.post(CALIBRATORS, {"start": later.isoformat(), "method": "variance_scaling"})
    assert again["number"] is None
    found = again["gate"]["judged"]["variance_scaling"]["comparisons"]
    assert found["identity"]["gain_in_std_lower_bound"] > 0  # fitted on raw ones, it is far better than they are
    assert found["incumbent"]["gain_in_std_lower_bound"] < 0
    assert "better than the calibrator in service" in again["reason"]


def test_what_a_calibrator_made_is_never_fitted_on_without_the_raw_one(sqlite_api, tools):
    events = traffic(tools, "normal", 300)
    for each in events:
        if "mean" in each:
            each["calibrator_version"] = 1
    sqlite_api.put("m", status=201, **SETTINGS)
    sqlite_api.send(*events)
    assert sqlite_api.get(f"{M}/calibration", window="1h")["labelled"] == 300
    assert sqlite_api.post(CALIBRATORS)["reason"] == "there are no labels; at least 200 are needed"


def test_a_calibrated_regression_is_left_alone_in_words(sqlite_api, tools):
    filled(sqlite_api, tools, spread=1.0, count=1000)
    found = sqlite_api.post(CALIBRATORS, {"promote": True})
    assert (found["number"], set(found["gate"]["judged"])) == (None, {"variance_scaling", "pit_isotonic"})
    assert "on 300 held-out labels: CRPS " in found["reason"]
    assert sqlite_api.get(CALIBRATORS)["champion"] is None


def test_labels_that_have_nothing_to_do_with_predictions_are_not_hidden_by_width(sqlite_api, tools):
    events = traffic(tools, "normal", 400)
    labels = [each for each in events if each["type"] == "label"]
    values = [each["label"] for each in labels]
    random.Random(3).shuffle(values)
    for each, value in zip(labels, values, strict=True):
        each["label"] = value
    sqlite_api.put("m", status=201, **SETTINGS)
    sqlite_api.send(*events)
    found = sqlite_api.post(CALIBRATORS, {"promote": True})
    assert found["number"] is None
    assert "than one constant distribution" in found["reason"]


def test_a_biased_regression_is_served_by_quantiles(sqlite_api, tools, clock):
    api = sqlite_api
    events = traffic(tools, "normal", 1100, begin=START - timedelta(hours=1), spread=1.0)
    for each in events:
        if each["type"] == "label":
            each["label"] += 0.6
    api.put("m", status=201, **SETTINGS)
    api.send(*events)
    made = api.post(CALIBRATORS, {"promote": True}, status=201)
    assert (made["method"], made["promoted"]) == ("pit_isotonic", True)
    clock.advance(timedelta(hours=2))
    later = traffic(tools, "normal", 400, begin=START + timedelta(hours=3), seed=2, spread=1.0, champion=made)
    for each in later:
        if each["type"] == "label":
            each["label"] += 0.6
    api.send(*later)
    shown = api.get(f"{M}/events/{later[0]['event_id']}")["prediction"]
    assert (shown["raw"], shown["raw_std"], shown["calibrator_version"]) == (shown["raw_mean"], 1.0, 1)
    assert shown["served"] == shown["quantiles"]["0.5"] == pytest.approx(shown["raw_mean"] + 0.6, abs=0.15)
    found = api.get(f"{M}/calibration", window="1h")
    assert found["verdict"] == "calibrated"
    assert abs(found["bias"]) < 0.2
    assert [each["level"] for each in found["coverage"]][-1] == 0.99
    refused = api.refused("GET", f"{M}/calibration", params={"window": "1h", "scores": "raw"})
    assert "distributions were calibrated" in refused["reason"]
    start, end = (START - timedelta(hours=1)).isoformat(), START.isoformat()
    assert api.get(f"{M}/calibration", scores="raw", start=start, end=end)["bias"] == pytest.approx(-0.6, abs=0.2)
    assert differences(api) == []


def test_a_replay_repairs_a_regression(sqlite_api, tools):
    filled(sqlite_api, tools, count=800)
    found = sqlite_api.replay(recalibration="auto")
    assert [each["method"] for each in found["promotions"]] == ["variance_scaling"]
    assert [each["state"] for each in found["alerts"]][-1] == "firing"


def test_a_replay_takes_raw_distributions_of_what_was_calibrated(sqlite_api, tools):
    made = filled(sqlite_api, tools).post(CALIBRATORS, {"promote": True}, status=201)
    later = START + timedelta(hours=2)
    sqlite_api.send(*traffic(tools, "normal", 300, begin=later, seed=2, champion=made))
    found = sqlite_api.replay(start=later.isoformat())
    assert found["left_out"] == 0
    assert [(each["kind"], each["state"]) for each in found["alerts"]] == [("miscalibration", "firing")]


def test_the_same_event_with_another_raw_distribution_is_a_conflict(sqlite_api, tools):
    one = tools.prediction("a", mean=1.0, std=2.0, raw_mean=1.0, raw_std=1.0)
    sqlite_api.send(one, one)
    sqlite_api.send({**one, "raw_std": 1.5})
    found = sqlite_api.get(f"{M}/events/a")
    assert (found["prediction"]["raw_std"], len(found["conflicts"])) == (1.0, 1)


def test_drift_is_of_where_raw_distributions_lie(sqlite_api, tools):
    moved = {"method": "pit_isotonic", "task": "regression", "parameters": {"x": [0.001, 0.002], "y": [0.001, 0.999]}}
    apply = compile_distribution(moved)  # three standard deviations down
    predictions = []
    for i in range(600):
        at, raw = START + timedelta(seconds=12 * i), raw_of("normal", 3.0 + i % 10 / 10, 1.0)
        said = fields(raw)
        if i >= 300:
            said = fields(apply(raw)) | fields(raw, "raw_") | {"calibrator_version": 1}
        predictions.append(tools.prediction(f"e{i}", timestamp=at.isoformat(), **said))
    sqlite_api.put("m", status=201, **SETTINGS)
    sqlite_api.send(*predictions)
    found = sqlite_api.get(f"{M}/drift", window="1h")
    assert (found["predictions"], found["reference_predictions"], found["drifted"]) == (300, 300, False)
    assert differences(sqlite_api) == []


def test_a_calibrator_fitted_elsewhere_goes_through_the_same_gate(sqlite_api, tools):
    filled(sqlite_api, tools)
    scaling = {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2}}
    made = sqlite_api.post(CALIBRATORS, {"document": scaling, "promote": True}, status=201)
    assert (made["promoted"], made["parameters"]) == (True, {"scale": 2.0})
    narrow = {**scaling, "parameters": {"scale": 0.5}}
    assert "no better than" in sqlite_api.post(CALIBRATORS, {"document": narrow, "promote": True})["reason"]
    platt = {"method": "platt", "task": "binary", "parameters": {"slope": 1, "intercept": 0}}
    assert sqlite_api.refused("POST", CALIBRATORS, json={"document": platt})["field"] == "document.task"
    assert sqlite_api.refused("POST", CALIBRATORS, json={"method": "platt"})["field"] == "method"


def test_only_labels_of_trusted_sources_judge_a_regression(sqlite_api, tools):
    events = traffic(tools, "normal", 500)
    for i, each in enumerate(each for each in events if each["type"] == "label"):
        each["source"] = "lab" if i % 2 else "crowd"
    sqlite_api.put("m", status=201, **SETTINGS, trusted_sources=["lab"])
    sqlite_api.send(*events)
    made = sqlite_api.post(CALIBRATORS, status=201)
    assert (made["fitted_from"]["labels"], made["fitted_from"]["holdout_labels"]) == (175, 75)
    assert made["gate"]["held"] is None
