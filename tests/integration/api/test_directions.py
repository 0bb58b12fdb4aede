"""In which direction a model is off, wherever the API says so: evaluations, history, segments, alerts and sequential tests."""

import numpy as np
import pytest
from scipy.special import expit, logit

LABELS = 1_600
RANGE = {"start": "2026-01-05T12:00:00Z", "end": "2026-01-05T12:01:00Z"}
CALIBRATION = "/v1/models/m/calibration"

FAULTS = {
    "overestimates": (0.7, 1.0),
    "underestimates": (-0.7, 1.0),
    "overconfident": (0.0, 1.6),
    "underconfident": (0.0, 0.6),
}
"""What is said, in log odds: a shift, and a slope about those of the base rate."""


def forecasts(base_rate, seed=1):
    """Return (fault, forecast, outcome) of all faults."""
    dice, middle = np.random.default_rng(seed), logit(base_rate)
    rows = []
    for name, (shift, slope) in FAULTS.items():
        x = dice.normal(middle, 1.5, LABELS)
        said = expit(middle + shift + slope * (x - middle))
        rows += [(name, float(p), int(y)) for p, y in zip(said, dice.random(LABELS) < expit(x), strict=True)]
    return rows


def send(api, tools, rows, **fields):
    """Send forecasts, each fault as a country, together with their labels."""
    sent = []
    for i, (name, p, y) in enumerate(rows):
        sent.append(tools.prediction(f"e{i}", p, segments={"country": name}, **fields))
        sent.append(tools.label(f"e{i}", y))
    for first in range(0, len(sent), 10_000):
        api.send(*sent[first : first + 10_000])


@pytest.mark.parametrize("base_rate", [0.5, 0.05])
def test_the_direction_of_a_binary_model_is_that_of_its_larger_fault(api, tools, base_rate):
    api.put("m", status=201, label_delay="0s", segments=["country"])
    rows = forecasts(base_rate)
    send(api, tools, rows)
    segments = {row["segment"]: row for row in api.get("/v1/models/m/segments", **RANGE)["segments"]}
    for name in FAULTS:
        alone = api.get(CALIBRATION, segment=f"country:{name}", **RANGE)
        assert (alone["direction"], segments[f"country:{name}"]["direction"]) == (name, name)
        said, happened = (np.mean([row[place] for row in rows if row[0] == name]) for place in (1, 2))
        assert alone["lean"] == segments[f"country:{name}"]["lean"] == pytest.approx(said - happened)
        assert alone["lean"] == pytest.approx(alone["mean_confidence"] - happened)
        assert abs(alone["cox_slope"] - 1 / FAULTS[name][1]) < 0.2


def test_a_model_whose_every_bin_lies_above_the_diagonal_underestimates(api, tools):
    # It says 36 % on average, and 50 % happen whatever it says.
    api.put("m", status=201, label_delay="0s")
    dice = np.random.default_rng(2)
    rows = [
        ("x", float(p), int(y)) for p, y in zip(dice.uniform(0.25, 0.45, 1500), dice.random(1500) < 0.5, strict=True)
    ]
    send(api, tools, rows)
    found = api.get(CALIBRATION, **RANGE)
    assert all(row["observed"] > row["mean_confidence"] for row in found["reliability"] if row["count"] > 50)
    assert (found["verdict"], found["direction"]) == ("suspect", "underestimates")
    assert found["lean"] == pytest.approx(-0.15, abs=0.03)


@pytest.mark.parametrize(("policy", "window"), [("window", "1h"), ("sequential", "sequential")])
def test_history_alerts_and_tests_say_the_same_direction(api, tools, policy, window):
    api.put(
        "m", status=201, label_delay="0s", windows=["1h"], alert_policy=policy, minimum_labels=200, recalibration="off"
    )
    dice = np.random.default_rng(3)
    p = dice.uniform(0.2, 0.6, 2000)
    send(api, tools, [("x", float(p), int(y)) for p, y in zip(p, dice.random(2000) < p - 0.15, strict=True)])
    api.judge()
    asked = api.get(CALIBRATION, window="1h")
    assert asked["direction"] == "overestimates"
    (stored,) = api.get("/v1/models/m/history", window="1h")["evaluations"][-1:]
    assert (stored["direction"], stored["lean"]) == ("overestimates", pytest.approx(asked["lean"]))
    (lean,) = api.get("/v1/models/m/history", window="1h", metric="lean")["evaluations"][-1:]
    assert lean["lean"] == stored["lean"]
    (test,) = api.get("/v1/models/m/evidence")["evidence"]
    assert test["direction"] == "overestimates"
    (alert,) = api.get("/v1/models/m/alerts")["alerts"]
    assert (alert["window"], alert["evidence"]["direction"]) == (window, "overestimates")
    if policy == "window":
        assert (alert["evidence"]["lean"], alert["evidence"]["cox_slope"]) == (stored["lean"], stored["cox_slope"])
    assert "calibration_lean_ratio{" in api.get("/metrics").text


def test_answers_keep_their_two_words(api, tools):
    api.put("m", status=201, label_delay="0s", task="confidence")
    sent = []
    for i in range(400):
        sent += [tools.prediction(f"e{i}", confidence=0.3, prediction="x"), tools.label(f"e{i}", i % 2 == 0)]
    api.send(*sent)
    found = api.get(CALIBRATION, **RANGE)
    assert (found["direction"], found["lean"]) == ("underconfident", pytest.approx(-0.2))


def test_the_schema_names_the_directions(sqlite_api):
    schemas = sqlite_api.client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("EvaluationAnswer", "SegmentRow", "VersionEvidence"):
        direction = schemas[name]["properties"]["direction"]
        names = next(part["enum"] for part in direction.get("anyOf", [direction]) if "enum" in part)
        assert set(names) - {None} == {*FAULTS, "none"}
