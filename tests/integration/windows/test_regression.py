"""Regressions end to end, on both databases: from events over sums to verdicts, alarms, drift and metrics."""

import random
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SIZE = 300
START = datetime(2026, 1, 5, 11, tzinfo=UTC)
CALIBRATION = "/v1/models/m/calibration"
SETTINGS = {"label_delay": "0s", "minimum_labels": 200, "windows": ["1h"], "alert_policy": "window"}


def stated(kind, mean, std):
    if kind == "normal":
        return {"mean": mean, "std": std}
    return {"quantiles": {f"{level}": NormalDist(mean, std).inv_cdf(level) for level in LEVELS}}


def stream(tools, kind, *, spread=1.0, seed=1, shift=0.0, hour=0):
    """Return predictions of standard deviation 1 and labels whose own is `spread`, some of them wrong at first."""
    dice = random.Random(seed)
    predictions, labels, corrections = [], [], []
    for i in range(SIZE):
        at = START + timedelta(hours=hour, seconds=10 * i)
        mean, name = dice.gauss(50, 10), f"h{hour} e{i}"
        truth = dice.gauss(mean + shift, spread)
        predictions.append(tools.prediction(name, timestamp=at.isoformat(), **stated(kind, mean, 1.0)))
        wrong = dice.random() < 0.1
        labels.append(tools.label(name, mean + 1e6 if wrong else truth))
        corrections += [tools.label(name, truth, supersedes=True)] if wrong else []
    return predictions, labels, corrections


def served(api, tools, kind, **how):
    """Serve a model, with a third of its labels before their predictions, the others late, and corrections at the end."""
    api.put("m", status=201, **SETTINGS)
    predictions, labels, corrections = stream(tools, kind, **how)
    for part in (predictions[:1], labels[: SIZE // 3], predictions[1:], labels[SIZE // 3 :], corrections):
        api.send(*part)


def differences(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.by_name(connection, "m"))


def measured(api, name, **labels):
    place = {"model": "m", "model_version": "", "segment": "", "window": "1h", **labels}
    families = text_string_to_metric_families(api.client.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return next((each.value for each in samples if (each.name, each.labels) == (name, place)), None)


CASES = {
    1.0: ("calibrated", {"overconfident", "underconfident", "none"}),
    2.5: ("suspect", {"overconfident"}),
    0.3: ("suspect", {"underconfident"}),
}


@pytest.mark.parametrize("kind", ["normal", "quantiles"])
@pytest.mark.parametrize("spread", CASES)
def test_a_verdict_is_right_however_labels_came(api, tools, kind, spread):
    verdict, directions = CASES[spread]
    served(api, tools, kind, spread=spread)
    assert differences(api) == []
    found = api.get(CALIBRATION, window="1h")
    assert (found["predictions"], found["labelled"], found["label_coverage"]) == (SIZE, SIZE, 1.0)
    assert (found["verdict"], found["labels_needed"]) == (verdict, 0)
    assert found["direction"] in directions
    assert sum(found["pit"]) == SIZE
    assert 0 <= found["quantile_ece_lower_bound"] <= found["quantile_ece"]
    assert "ece" not in found
    assert "reliability" not in found


def test_figures_are_those_of_the_rows(api, tools):
    served(api, tools, "normal", spread=1.5, shift=0.5, seed=2)
    predictions, labels, corrections = stream(tools, "normal", spread=1.5, shift=0.5, seed=2)
    truth = {each["event_id"]: each["label"] for each in (*labels, *corrections)}
    errors = [each["mean"] - truth[each["event_id"]] for each in predictions]
    pit = [NormalDist().cdf(-error) for error in errors]
    found = api.get(CALIBRATION, window="1h")
    assert found["bias"] == pytest.approx(sum(errors) / SIZE, rel=1e-12)
    assert found["mean_absolute_error"] == pytest.approx(sum(map(abs, errors)) / SIZE, rel=1e-12)
    assert found["mean_squared_z"] == pytest.approx(sum(error**2 for error in errors) / SIZE, rel=1e-12)
    assert found["pit"] == [sum(i / 20 < u <= (i + 1) / 20 for u in pit) for i in range(20)]
    gaps = [abs(sum(u <= i / 20 for u in pit) / SIZE - i / 20) for i in range(1, 20)]
    assert found["quantile_ece"] == pytest.approx(sum(gaps) / 19)
    assert [each["level"] for each in found["coverage"]] == [0.5, 0.8, 0.9, 0.95, 0.99]
    for each in found["coverage"]:
        inside = sum(abs(2 * u - 1) <= each["level"] for u in pit)
        assert each["observed"] == pytest.approx(inside / SIZE)
        assert each["low"] < each["observed"] < each["high"]
    assert found["quantiles"] == []
    assert api.get(CALIBRATION, window="1h", scores="raw") == found | {"scores": "raw"}


def test_stated_quantiles_and_the_intervals_between_them_are_counted(api, tools):
    served(api, tools, "quantiles", spread=1.2)
    predictions, labels, corrections = stream(tools, "quantiles", spread=1.2)
    truth = {each["event_id"]: each["label"] for each in (*labels, *corrections)}
    found = api.get(CALIBRATION, window="1h")
    at_or_under = [
        sum(truth[each["event_id"]] <= each["quantiles"][f"{level}"] for each in predictions) / SIZE for level in LEVELS
    ]
    assert [(each["level"], each["observed"]) for each in found["quantiles"]] == list(
        zip(LEVELS, map(pytest.approx, at_or_under), strict=True)
    )
    assert [(each["level"], each["observed"]) for each in found["coverage"]] == [
        (0.5, pytest.approx(at_or_under[3] - at_or_under[1])),
        (0.9, pytest.approx(at_or_under[4] - at_or_under[0])),
    ]
    assert found["mean_squared_z"] is None


def test_an_alarm_fires_and_a_refit_waits_for_more_labels(api, tools, clock):
    served(api, tools, "normal", spread=2.5)
    api.put("m", recalibration="auto")
    clock.advance(timedelta(hours=1))
    api.judge()
    (alarm,) = api.get("/v1/models/m/alerts")["alerts"]
    assert (alarm["kind"], alarm["state"]) == ("miscalibration", "firing")
    assert alarm["evidence"]["quantile_ece"] > 0.05
    listed = api.get("/v1/models")["models"][0]
    assert (listed["task"], listed["state"], listed["champion"]) == ("regression", "miscalibrated", None)
    assert listed["evaluation"]["direction"] == "overconfident"
    assert api.get("/v1/models/m/audit")["audit"] == []
    api.refused("POST", "/v1/models/m/calibrate", json={"probabilities": [0.5]})
    history = api.get("/v1/models/m/history", window="1h", metric="crps")["evaluations"]
    assert [each["crps"] for each in history] == [listed["evaluation"]["crps"]]
    assert api.get("/v1/models/m/history", window="1h")["evaluations"][0]["bias"] == listed["evaluation"]["bias"]


def test_a_replay_raises_the_alarm_that_there_was(sqlite_api, tools):
    served(sqlite_api, tools, "quantiles", spread=2.5)
    found = sqlite_api.replay(recalibration="auto")
    assert [(each["kind"], each["state"]) for each in found["alerts"]][-1] == ("miscalibration", "firing")
    assert (found["promotions"], found["rollbacks"]) == ([], [])


def test_metrics_carry_the_quantile_error_where_others_have_their_ece(api, tools, clock):
    served(api, tools, "quantiles", spread=2.5)
    clock.advance(timedelta(hours=1))
    api.judge()
    found = api.get("/v1/models/m")["evaluation"]
    for name, field in (
        ("ece_ratio", "quantile_ece"),
        ("ece_lower_bound_ratio", "quantile_ece_lower_bound"),
        ("ece_null_mean_ratio", "quantile_ece_null_mean"),
        ("crps", "crps"),
    ):
        assert measured(api, f"calibration_{name}") == pytest.approx(found[field])
    for name in ("brier_score", "log_loss", "mce_ratio"):
        assert measured(api, f"calibration_{name}") is None
    assert measured(api, "calibration_window_samples") == SIZE


def test_drift_is_of_where_predictions_lie(api, tools):
    served(api, tools, "normal")
    shifted, _, _ = stream(tools, "normal", seed=3, hour=-1)
    for each in shifted:
        each["mean"] += 15
    api.send(*shifted)
    found = api.get("/v1/models/m/drift", window="1h")
    assert (found["predictions"], found["reference_predictions"], found["drifted"]) == (SIZE, SIZE, True)
    assert found["wasserstein"] is None
    assert found["relative_move"] > 0.1 > found["least_move"]
    assert differences(api) == []


def test_an_event_is_shown_as_it_was_sent(api, tools):
    api.send(
        tools.prediction("a", mean=1.5, std=2),
        tools.prediction("b", quantiles={"0.9": 3, "0.10": 1}),
        tools.label("a", 7),
    )
    shown = api.get("/v1/models/m/events/a")
    assert (shown["prediction"]["mean"], shown["prediction"]["std"], shown["prediction"]["served"]) == (1.5, 2, 1.5)
    assert shown["label"]["label"] == 7
    other = api.get("/v1/models/m/events/b")["prediction"]
    assert (other["quantiles"], other["served"], other["raw"]) == ({"0.9": 3, "0.10": 1}, 2.0, None)


def test_a_rebuild_sums_segments_declared_later(sqlite_api, tools):
    sqlite_api.put("m", status=201, **SETTINGS)
    predictions, labels, corrections = stream(tools, "quantiles")
    for i, each in enumerate(predictions):
        each["segments"] = {"side": "left" if i < SIZE // 3 else "right"}
    sqlite_api.send(*predictions, *labels)
    sqlite_api.send(*corrections)
    before = sqlite_api.get(CALIBRATION, window="1h")
    sqlite_api.put("m", segments=["side"])
    with sqlite_api.services.database.read() as connection:
        model = models.by_name(connection, "m")
    assert rebuild_model(sqlite_api.services.database, model) == SIZE
    assert differences(sqlite_api) == []
    assert sqlite_api.get(CALIBRATION, window="1h") == before
    parts = [sqlite_api.get(CALIBRATION, window="1h", segment=f"side:{side}") for side in ("left", "right")]
    assert [part["labelled"] for part in parts] == [SIZE // 3, SIZE - SIZE // 3]
    assert [sum(pair) for pair in zip(*(part["pit"] for part in parts), strict=True)] == before["pit"]


def test_what_is_no_regression_is_refused(sqlite_api, tools):
    sqlite_api.put("m", status=201, task="regression")
    reasons = {
        "probability is not what this regression model takes: send mean or quantiles": {"probability": 0.5},
        "std is missing: a mean must come with its standard deviation, above 0": {"mean": 1.0},
    }
    for reason, fields in reasons.items():
        answer = sqlite_api.ask("POST", "/v1/events", json={"events": [tools.prediction("a", **fields)]}, status=422)
        assert answer["rejected"][0]["reason"] == reason


def test_a_label_that_is_no_number_is_refused_or_does_not_count(sqlite_api, tools):
    moment = {"start": "2026-01-05T12:00:00Z", "end": "2026-01-05T12:01:00Z"}
    values = {"a": True, "b": "seven", "c": 1e61}
    sqlite_api.send(*(tools.label(name, value) for name, value in values.items()))  # the task is not known yet
    sqlite_api.send(*(tools.prediction(name, mean=1.0, std=1.0) for name in values))
    assert sqlite_api.get(CALIBRATION, **moment)["labelled"] == 0
    sent = {"events": [tools.label(name, value) for name, value in values.items()]}
    refused = sqlite_api.ask("POST", "/v1/events", json=sent, status=422)["rejected"]
    assert [each["code"] for each in refused] == ["wrong_type", "wrong_type", "out_of_range"]
    sqlite_api.send(*(tools.label(name, 2.5) for name in values))
    assert sqlite_api.get(CALIBRATION, **moment)["bias"] == -1.5
    assert differences(sqlite_api) == []
