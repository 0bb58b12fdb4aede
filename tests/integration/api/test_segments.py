"""Segments over HTTP: pairs of them, which are off though the total is not, and how they are ranked."""

import math

import numpy as np
import pytest

from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.store import models

SEGMENTS = "/v1/models/m/segments"
RANGE = {"start": "2026-01-05T10:00:00Z", "end": "2026-01-05T11:00:00Z"}


def events(tools, sent):
    """Return labelled predictions of (probability, outcome, segments)."""
    return [
        event
        for i, (p, y, segments) in enumerate(sent)
        for event in (
            tools.prediction(f"e{i}", p, segments=segments, timestamp=f"2026-01-05T10:{i % 60:02}:00Z"),
            tools.label(f"e{i}", y),
        )
    ]


def cancelling(dice, size=900):
    """Return events of five countries; AA says more than happens and BB less, by .15, so that the total is calibrated."""
    sent = []
    for country, off in (("AA", -0.15), ("BB", 0.15), ("CC", 0), ("DD", 0), ("EE", 0)):
        p = dice.uniform(0.55, 0.8, size)
        y = dice.random(size) < p + off
        sent += [(float(each), int(came), {"country": country}) for each, came in zip(p, y, strict=True)]
    return sent


def test_segments_whose_errors_cancel_in_the_total_are_found(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country"])
    api.send(*events(tools, cancelling(np.random.default_rng(5))))
    whole = api.get("/v1/models/m/calibration", **RANGE)
    assert whole["verdict"] == "calibrated"
    found = api.get(SEGMENTS, **RANGE)
    assert {name: found[name] for name in ("false_discovery_rate", "threshold", "matured", *RANGE)} == {
        "false_discovery_rate": 0.01, "threshold": pytest.approx(0.02), "matured": True, **RANGE,
    }  # fmt: skip
    rows = {row["segment"]: row for row in found["segments"]}
    assert [row["segment"] for row in found["segments"] if row["flagged"]] == [
        row["segment"] for row in found["segments"][:2]
    ]
    assert {row["segment"]: row["direction"] for row in rows.values() if row["flagged"]} == {
        "country:AA": "overestimates",
        "country:BB": "underestimates",
    }
    assert all(row["e_value_log"] > math.log(5 / 2 / 0.01) for row in rows.values() if row["flagged"])
    assert len(rows) == 5
    for name, row in rows.items():
        alone = api.get("/v1/models/m/calibration", segment=name, **RANGE)
        figures = [each for each in row if each in alone and each not in ("e_value_log", "flagged")]
        assert {each: row[each] for each in figures} == {each: alone[each] for each in figures}
        assert {"ece", "ece_lower_bound", "verdict", "debiased_l2_low", "labelled"} <= set(figures)


def test_the_range_is_that_of_a_calibration(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country"])
    api.send(*events(tools, [(0.5, 1, {"country": "AA"})] * 3))
    whole = api.get("/v1/models/m/calibration", window="7d")
    found = api.get(SEGMENTS, window="7d")
    assert (found["start"], found["end"]) == (whole["start"], whole["end"])
    assert api.get(SEGMENTS)["segments"][0]["labelled"] == 3
    assert api.get(SEGMENTS, version="7")["segments"] == []


def test_versions_are_told_apart_or_added_up(api, tools):
    api.put("m", status=201, segments=["country"])
    for i, version in enumerate(["1", "1", "2"]):
        api.send(tools.prediction(f"e{i}", 0.5, segments={"country": "AA"}, model_version=version))
    for given, expected in (({}, 3), ({"version": "1"}, 2)):
        assert api.get(SEGMENTS, window="1h", **given)["segments"][0]["predictions"] == expected


@pytest.mark.parametrize(
    "query", ["segment=country:AA", "bins=10", "window=0s", "start=2026-01-05T10:00:00Z", "version=%00"]
)
def test_a_wrong_question_is_refused(sqlite_api, query):
    sqlite_api.put("m", status=201)
    assert sqlite_api.refused("GET", f"{SEGMENTS}?{query}")["field"] in (query.partition("=")[0], "end")


def test_a_model_without_segments_has_none(api):
    api.put("m", status=201, task="binary")
    assert api.get(SEGMENTS)["segments"] == []
    assert api.ask("GET", "/v1/models/other/segments", status=404)


# Pairs


def differences(api):
    database = api.services.database
    with database.read() as connection:
        return differences_of(connection, models.by_name(connection, "m"))


def test_a_pair_is_summed_beside_its_members_and_escaped(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country", "country,device"])
    sent = [{"country": "DE", "device": "phone"}] * 3 + [{"country": "a,b", "device": "c\\"}] * 2 + [{"country": "DE"}]
    api.send(*events(tools, [(0.5, 1, each) for each in sent]))
    rows = {row["segment"]: row["labelled"] for row in api.get(SEGMENTS, **RANGE)["segments"]}
    assert rows == {"country:DE": 4, "country:a,b": 2, "country,device:DE,phone": 3, r"country,device:a\,b,c\\": 2}
    assert differences(api) == []
    one = api.get("/v1/models/m/calibration", segment=r"country,device:a\,b,c\\", **RANGE)
    assert one["labelled"] == 2


def test_a_fault_of_a_pair_is_found_where_its_members_are_calibrated(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country", "device", "country,device"])
    dice = np.random.default_rng(8)
    sent = []
    for country, device, off in (
        ("DE", "phone", 0.2),
        ("DE", "desk", -0.2),
        ("FR", "phone", -0.2),
        ("FR", "desk", 0.2),
    ):
        p = dice.uniform(0.3, 0.7, 700)
        y = dice.random(700) < p + off
        sent += [(float(a), int(b), {"country": country, "device": device}) for a, b in zip(p, y, strict=True)]
    api.send(*events(tools, sent))
    rows = api.get(SEGMENTS, **RANGE)["segments"]
    assert {row["segment"] for row in rows if row["flagged"]} == {
        "country,device:DE,phone", "country,device:DE,desk", "country,device:FR,phone", "country,device:FR,desk",
    }  # fmt: skip
    assert len(rows) == 8


def test_a_pair_that_is_declared_later_is_summed_after_a_rebuild(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country"])
    api.send(*events(tools, [(0.5, 1, {"country": "DE", "device": "phone"})]))
    api.put("m", segments=["device,country"])
    assert api.get(SEGMENTS, **RANGE)["segments"] == []
    database = api.services.database
    with database.read() as connection:
        model = models.by_name(connection, "m")
    rebuild_model(database, model)
    assert [row["segment"] for row in api.get(SEGMENTS, **RANGE)["segments"]] == ["device,country:phone,DE"]
    assert differences(api) == []


def test_the_longest_pair_there_can_be_is_summed_and_evaluated(api, tools):
    sign = "\U0001f600"
    first, second = sign * 24, sign * 23 + "xy"
    long = [sign * 199 + end for end in "ab"]
    api.put("m", status=201, label_delay="0s", segments=[f"{first},{second}"])
    api.send(
        tools.prediction("e", 0.5, segments={first: long[0], second: long[1]}, model_version=sign * 200),
        tools.label("e", 1),
    )
    api.judge()
    row = api.get(SEGMENTS, window="1h")["segments"][0]
    assert (row["segment"], row["labelled"]) == (f"{first},{second}:{long[0]},{long[1]}", 1)


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        (["a,b,c"], "or a pair with a comma"), (["a,"], "two different"), ([","], "two different"), (["a,a"], "two different"),
        (["a:b,c"], "colon"), (["a,b", "b,a"], "twice"), (["a" * 30 + "," + "b" * 20], "50 characters"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused_and_says_why(sqlite_api, segments, why):
    error = sqlite_api.refused("PUT", "/v1/models/m", json={"segments": segments})
    assert error["field"] == "segments"
    assert why in error["reason"]


def test_regressions_are_ranked_by_their_quantiles(api, tools):
    api.put("m", status=201, task="regression", label_delay="0s", segments=["country"])
    dice = np.random.default_rng(4)
    sent = []
    for country, spread in (("AA", 2.0), ("BB", 1.0)):
        for i, y in enumerate(dice.normal(0, spread, 500)):
            at = f"2026-01-05T10:{i % 60:02}:00Z"
            name = f"{country}{i}"
            sent += [
                tools.prediction(name, mean=0.0, std=1.0, segments={"country": country}, timestamp=at),
                tools.label(name, float(y)),
            ]
    api.send(*sent)
    rows = api.get(SEGMENTS, **RANGE)["segments"]
    assert [(row["segment"], row["flagged"], row["direction"]) for row in rows] == [
        ("country:AA", True, "overconfident"),
        ("country:BB", False, rows[1]["direction"]),
    ]
    assert rows[0]["ece"] is None
    assert rows[0]["quantile_ece"] > 0.05


# What is stored, and exported


def test_flagged_segments_are_stored_and_exported(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country"], windows=["1h"])
    api.send(*events(tools, cancelling(np.random.default_rng(5))))
    api.judge()
    expected = {row["segment"]: row["flagged"] for row in api.get(SEGMENTS, window="1h")["segments"]}
    assert sorted(expected.values()) == [False, False, False, True, True]
    assert 1 < sum("calibration_segment_flagged{" in line for line in exported(api)) <= 5
    for name, flag in expected.items():
        stored = api.get("/v1/models/m/history", segment=name, window="1h")["evaluations"][-1]
        assert stored["flagged"] is flag
        assert (stored["e_value_log"] or 0) > 6 if flag else (stored["e_value_log"] or 0) < 2
        line = f'calibration_segment_flagged{{model="m",model_version="",segment="{name}",window="1h"}} {float(flag)}'
        assert (line in exported(api)) == (flag or not stored["labels_needed"])
    whole = api.get("/v1/models/m/history", window="1h")["evaluations"][-1]
    assert "flagged" not in whole
    assert 'calibration_segment_flagged{model="m",model_version="",segment="",window="1h"}' not in "\n".join(
        exported(api)
    )


def exported(api):
    return api.client.get("/metrics").text.splitlines()


def test_a_segment_that_is_declared_no_more_is_neither_listed_nor_flagged(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country"], windows=["1h"])
    api.send(*events(tools, [(0.9, 0, {"country": "AA"})] * 300))
    api.put("m", segments=["device"])
    api.judge()
    assert api.get(SEGMENTS, window="1h")["segments"] == []
    assert "flagged" not in api.get("/v1/models/m/history", segment="country:AA", window="1h")["evaluations"][-1]
