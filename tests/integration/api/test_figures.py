"""Figures over HTTP, against values computed by hand: evaluations of any range, drift, history, alerts."""

import math

import pytest

from monitor.api.evaluations import Stored

# The example of a paper's length: twelve forecasts and what came true (Brier .2154166667, log loss .6296595316, …).
P = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 0.5, 0.9]
Y = [0, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0]
RANGE = {"start": "2026-01-05T12:00:00Z", "end": "2026-01-05T12:01:00Z"}
CALIBRATION = "/v1/models/m/calibration"


def pairs(tools, rows, **fields):
    """Return predictions and labels of (id, probability, outcome)."""
    return [event for name, p, y in rows for event in (tools.prediction(name, p, **fields), tools.label(name, y))]


@pytest.fixture
def twelve(api, tools):
    return filled(api, tools)


@pytest.fixture
def sqlite_twelve(sqlite_api, tools):
    return filled(sqlite_api, tools)


def filled(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=10, thresholds={"ece": 0.2})
    api.send(*pairs(tools, [(f"e{i}", p, y) for i, (p, y) in enumerate(zip(P, Y, strict=True))]))
    return api


def test_every_figure_of_twelve_forecasts_is_as_computed_by_hand(twelve):
    found = twelve.get(CALIBRATION, bins=10, **RANGE)
    plain = {
        name: found[name] for name in ("model", "version", "segment", "scores", "predictions", "labelled", "matured")
    }
    assert plain == {
        "model": "m", "version": None, "segment": "", "scores": "served", "predictions": 12, "labelled": 12, "matured": True,
    }  # fmt: skip
    assert (found["start"], found["end"]) == (RANGE["start"], RANGE["end"])
    # Σ|Sp - Sy| over ten bins: .05 + .15 + .75 + .35 + 1.05 + .55 + .35 + .25 + .75 + .05 = 4.3
    expected = {
        "label_coverage": 1.0,
        "mean_confidence": 6.4 / 12,
        "lean": -0.6 / 12,
        "accuracy": 7 / 12,
        "ece": 4.3 / 12,
        "brier": 0.2154166667,
        "log_loss": 0.6296595316,
        "log_loss_clipped": 0,
        "spiegelhalter_z": 0.9022082392,
        "cox_slope": 0.58365784,
        "cox_intercept": 0.28932481,
        "corp_miscalibration": 0.0556944444,
        "corp_discrimination": 0.0833333333,
        "calibration_in_the_large_z": (7 - 6.4) / math.sqrt(sum(p * (1 - p) for p in P)),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=5e-8)
    assert found["mce"] is None  # no bin has 30 labels
    null = math.sqrt(2 / math.pi) / 12 * sum(math.sqrt(v) for v in variances())
    assert found["ece_null_mean"] == pytest.approx(null)
    terms = ("reliability", "within_bin_variance", "uncertainty")
    total = (
        sum(found[f"brier_{term}"] for term in terms) - found["brier_resolution"] - found["brier_within_bin_covariance"]
    )
    assert total == pytest.approx(found["brier"])


def variances():
    """Return Σp(1 - p) of each of ten bins."""
    sums = [0.0] * 10
    for p in P:
        sums[math.ceil(p * 10 - 1e-9) - 1] += p * (1 - p)
    return sums


def test_the_reliability_diagram_is_the_counts(twelve):
    bins = twelve.get(CALIBRATION, bins=10, **RANGE)["reliability"]
    assert [each["count"] for each in bins] == [1, 1, 1, 1, 2, 1, 1, 1, 2, 1]
    fifth = bins[4]
    assert (fifth["lower"], fifth["upper"]) == pytest.approx((0.4, 0.5))
    assert (fifth["mean_confidence"], fifth["observed"]) == pytest.approx((0.475, 1.0), abs=2**-30)
    # Clopper and Pearson, 2 of 2: the lower end is √.025
    assert (fifth["observed_low"], fifth["observed_high"]) == pytest.approx((math.sqrt(0.025), 1.0))


@pytest.mark.parametrize(("bins", "ece"), [(10, 4.3 / 12), (12, None), (15, None), (20, None), (30, None)])
def test_any_of_five_numbers_of_bins_may_be_asked_for(twelve, bins, ece):
    found = twelve.get(CALIBRATION, bins=bins, **RANGE)
    assert len(found["reliability"]) == bins
    gaps = [
        each["count"] * abs(each["mean_confidence"] - each["observed"])
        for each in found["reliability"]
        if each["count"]
    ]
    assert found["ece"] == pytest.approx(sum(gaps) / 12)
    assert ece is None or found["ece"] == pytest.approx(ece)


def test_an_empty_bin_is_null(twelve):
    empty = [each for each in twelve.get(CALIBRATION, bins=30, **RANGE)["reliability"] if each["count"] == 0]
    assert len(empty) == 18
    assert {
        each[name] for each in empty for name in ("mean_confidence", "observed", "observed_low", "observed_high")
    } == {None}


@pytest.mark.parametrize(
    "query",
    ["bins=11", "bins=0", "bins=-15", "bins=1e1", "bins=x", "bins=", "bins=true", "scores=both", "scores=", "scores=Raw",
     "window=", "window=24", "window=1.5h", "window=0s", "window=-1h", "window=99999999d", "window=999999999w",
     "start=2026-01-05T12:00:00Z", "end=2026-01-05T12:00:00Z",
     "window=1h&start=2026-01-05T12:00:00Z&end=2026-01-05T13:00:00Z", "window=1h&end=2026-01-05T13:00:00Z",
     "start=2026-01-05T12:00:00Z&end=2026-01-05T12:00:00Z", "start=2026-01-05T13:00:00Z&end=2026-01-05T12:00:00Z",
     "start=2026-01-05T12:00:00&end=2026-01-05T13:00:00", "start=2026-01-05&end=2026-01-06", "start=now&end=later",
     "start=1767614400&end=1767618000", "start=0001-01-01T00:00:00Z&end=2026-01-05T12:00:00Z",
     "start=1969-12-31T23:59:59Z&end=2026-01-05T12:00:00Z", "start=2026-01-05T12:00:00Z&end=9999-12-31T23:59:59Z",
     "start=0001-01-01T00:00:00%2B14:00&end=2026-01-05T12:00:00Z", "segment=country:DE", "segment=country", "segment=:",
     "version=" + "x" * 201],
)  # fmt: skip
def test_a_wrong_question_is_refused_and_says_which_part(sqlite_twelve, query):
    names = {part.partition("=")[0] for part in query.split("&")} | {"start", "end"}
    error = sqlite_twelve.refused("GET", f"{CALIBRATION}?{query}")
    assert error["field"] in names


@pytest.mark.parametrize("call", ["calibration", "drift", "history"])
def test_what_no_database_can_hold_is_refused(api, call):
    api.put("m", status=201, segments=["country"])
    for query in ("segment=%00", "version=%00", "segment=country:%00", "segment=country:", "version=a%0Ab"):
        assert api.refused("GET", f"/v1/models/m/{call}?{query}")["field"] in query


def test_a_zone_may_be_written_in_any_way(twelve):
    for start in (
        "2026-01-05T13:00:00%2B01:00",
        "2026-01-05T13:00:00+01:00",
        "2026-01-05T07:00:00.000-05:00",
        "2026-01-05 12:00:00Z",
    ):
        found = twelve.ask("GET", f"{CALIBRATION}?start={start}&end=2026-01-05T12:01:00Z")
        assert (found["start"], found["labelled"]) == ("2026-01-05T12:00:00Z", 12)


def test_a_range_is_half_open_and_widened_to_whole_minutes(twelve):
    before = twelve.get(CALIBRATION, start="2026-01-05T11:00:00Z", end="2026-01-05T12:00:00Z")
    assert (before["predictions"], before["end"]) == (0, "2026-01-05T12:00:00Z")
    inside = twelve.get(CALIBRATION, start="2026-01-05T12:00:59.999999Z", end="2026-01-05T12:01:00.000001Z")
    assert (inside["start"], inside["end"], inside["predictions"]) == (
        "2026-01-05T12:00:00Z",
        "2026-01-05T12:02:00Z",
        12,
    )


def test_a_range_is_widened_to_whole_hours_where_minutes_are_gone(api, tools):
    api.put("m", status=201, label_delay="0s")
    old = {"timestamp": "2025-12-01T08:30:00Z"}
    api.send(*pairs(tools, [("new", 0.5, 1)]), *pairs(tools, [("old", 0.5, 0)], **old))
    found = api.get(CALIBRATION, start="2025-12-01T08:05:00Z", end="2025-12-01T08:10:00Z")
    assert (found["start"], found["end"], found["labelled"]) == ("2025-12-01T08:00:00Z", "2025-12-01T09:00:00Z", 1)


@pytest.mark.parametrize(
    "times",
    [("1970-01-01T00:00:00Z", "9998-12-31T23:59:59Z"), ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"),
     ("9998-12-31T23:00:00Z", "9998-12-31T23:59:59.999999Z"), ("2026-01-05T12:00:00Z", "2026-01-05T12:00:00.000001Z")],
)  # fmt: skip
def test_the_ends_of_time_are_ranges_too(twelve, times):
    start, end = times
    for call in ("calibration", "drift", "history"):
        twelve.get(f"/v1/models/m/{call}", start=start, end=end)


def test_events_of_1970_are_evaluated(api, tools):
    api.put("m", status=201, label_delay="0s")
    api.send(*pairs(tools, [("a", 0.25, 1)], timestamp="1970-01-01T00:00:00Z"))
    found = api.get(CALIBRATION, window="3660d")
    assert (found["end"], found["labelled"], found["brier"]) == ("1970-01-01T00:01:00Z", 1, 0.5625)
    assert api.get("/v1/models/m/drift", window="3660d")["predictions"] == 1
    api.judge()
    assert api.get("/v1/models")["models"][0]["last_event_at"] == "1970-01-01T00:00:00Z"


def test_a_window_longer_than_the_data_is_all_of_it(twelve):
    found = twelve.get(CALIBRATION, window="3660d")
    assert (found["labelled"], found["end"]) == (12, "2026-01-05T12:01:00Z")


def test_without_a_range_it_is_the_last_day(twelve):
    found = twelve.get(CALIBRATION)
    assert (found["start"], found["end"], len(found["reliability"])) == (
        "2026-01-04T12:01:00Z",
        "2026-01-05T12:01:00Z",
        15,
    )


def test_a_model_without_events_has_nothing_to_say(api):
    api.put("m", status=201)
    found = api.get(CALIBRATION)
    assert (found["verdict"], found["labels_needed"], found["matured"]) == ("too_few_labels", 500, False)
    figures = set(Stored.__struct_fields__) - {
        "model",
        "version",
        "segment",
        "start",
        "end",
        "scores",
        "predictions",
        "labelled",
    }
    silent = {name: found[name] for name in figures if found[name] is not None}
    assert silent == {
        "verdict": "too_few_labels", "labels_needed": 500, "matured": False, "log_loss_clipped": 0, "undeclared_labels": 0,
        **{name: silent[name] for name in ("direction",) if name in silent},
    }  # fmt: skip
    drift = api.get("/v1/models/m/drift")
    assert (drift["psi"], drift["drifted"], drift["enough"]) == (None, False, False)


def test_versions_are_apart_and_together(api, tools):
    api.put("m", status=201, label_delay="0s")
    api.send(*pairs(tools, [("a", 0.5, 1)], model_version="v1"), *pairs(tools, [("b", 0.5, 0)], model_version="v2"))
    api.send(*pairs(tools, [("c", 0.5, 0)]))
    labelled = {given: api.get(CALIBRATION, version=given)["labelled"] for given in ("v1", "v2", "", "v3")}
    assert labelled == {"v1": 1, "v2": 1, "": 1, "v3": 0}
    together = api.get(CALIBRATION)
    assert (together["labelled"], together["version"]) == (3, None)
    assert api.get(CALIBRATION, version="v1")["version"] == "v1"


def test_segments_are_apart(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country", "paid"])
    for name, segments in [("a", {"country": "DE"}), ("b", {"country": "DE:BY", "paid": True}), ("c", {"other": "x"})]:
        api.send(*pairs(tools, [(name, 0.5, 1)], segments=segments))
    asked = ("country:DE", "country:DE:BY", "paid:true", "country:FR", "")
    labelled = {given: api.get(CALIBRATION, segment=given)["labelled"] for given in asked}
    assert labelled == {"country:DE": 1, "country:DE:BY": 1, "paid:true": 1, "country:FR": 0, "": 3}
    error = api.refused("GET", f"{CALIBRATION}?segment=other:x")
    assert error["field"] == "segment"
    assert "declared: country, paid" in error["reason"]


def test_a_segment_that_is_no_longer_declared_keeps_its_past(api, tools):
    api.put("m", status=201, label_delay="0s", segments=["country"])
    api.send(*pairs(tools, [("a", 0.5, 1)], segments={"country": "DE"}))
    api.put("m", segments=[])
    assert api.get(CALIBRATION, segment="country:DE")["labelled"] == 1
    api.refused("GET", f"{CALIBRATION}?segment=country:FR")


def test_raw_scores_are_those_before_a_calibrator(api, tools):
    api.put("m", status=201, label_delay="0s")
    api.send(
        tools.prediction("a", 0.5, raw_probability=0.75, calibrator_version=1), tools.label("a", 1),
        tools.prediction("b", 0.25), tools.label("b", 0),
    )  # fmt: skip
    served, raw = (api.get(CALIBRATION, scores=scores) for scores in ("served", "raw"))
    assert (served["brier"], raw["brier"]) == ((0.25 + 0.0625) / 2, (0.0625 + 0.0625) / 2)
    assert (served["mean_confidence"], raw["mean_confidence"], raw["scores"]) == (0.375, 0.5, "raw")


def test_top_label_answers_count_as_right_or_wrong(api, tools):
    api.put("m", status=201, label_delay="0s")
    rows = [("a", 0.75, "Paris", "Paris"), ("b", 0.5, "Rome", "Bern"), ("c", 0.25, "Oslo", True)]
    for name, confidence, answer, truth in rows:
        api.send(tools.prediction(name, confidence=confidence, prediction=answer), tools.label(name, truth))
    found = api.get(CALIBRATION)
    assert (found["accuracy"], found["mean_confidence"]) == (2 / 3, 0.5)
    assert found["brier"] == pytest.approx((0.0625 + 0.25 + 0.5625) / 3)


def test_vectors_are_scored_over_all_classes(api, tools):
    api.put("m", status=201, label_delay="0s", task="multiclass", classes=["cat", "dog", "eel"])
    api.send(
        tools.prediction("a", probabilities=[0.5, 0.25, 0.25]), tools.label("a", "cat"),
        tools.prediction("b", probabilities={"eel": 0.75, "dog": 0.25, "cat": 0.0}), tools.label("b", 1),
    )  # fmt: skip
    found = api.get(CALIBRATION)
    # Σ over classes of (p - y)²: .25 + .0625 + .0625 and 0 + .5625 + .5625
    assert found["brier"] == pytest.approx((0.375 + 1.125) / 2)
    assert found["log_loss"] == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)
    assert (found["accuracy"], found["mean_confidence"]) == (0.5, 0.625)


def test_an_unmatured_range_is_provisional(api, tools, clock):
    api.put("m", status=201, label_delay="2h")
    api.send(*pairs(tools, [("a", 0.5, 1)]))
    assert api.get(CALIBRATION, **RANGE)["matured"] is False
    assert api.get(CALIBRATION)["end"] == "2026-01-05T10:00:00Z"
    clock.micros += 2 * 3_600_000_000
    assert api.get(CALIBRATION, **RANGE)["matured"] is True
    assert api.get(CALIBRATION)["end"] == "2026-01-05T12:01:00Z"
    later = api.get(CALIBRATION, start=RANGE["start"], end="2026-01-05T14:00:00Z")
    assert later["matured"] is True  # there is no prediction after the one whose label is in


# The verdict


def miscalibrated(api, tools, count=200, *, p=0.9, share=2, minute=0):
    rows = [(f"{minute}-{i}", p, int(i % share == 0)) for i in range(count)]
    api.send(*pairs(tools, rows, timestamp=f"2026-01-05T11:{minute:02}:00Z"))


def test_the_verdict_rests_on_the_lower_bound(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=200)
    miscalibrated(api, tools)
    found = api.get(CALIBRATION)
    assert (found["verdict"], found["direction"], found["labels_needed"]) == ("suspect", "overestimates", 0)
    assert found["ece"] == pytest.approx(0.4)
    assert 0.2 < found["ece_lower_bound"] < 0.4
    api.put("m", thresholds={"ece": 0.45})
    assert api.get(CALIBRATION)["verdict"] == "calibrated"
    api.put("m", minimum_labels=201)
    found = api.get(CALIBRATION)
    assert (found["verdict"], found["labels_needed"]) == ("too_few_labels", 1)


@pytest.mark.parametrize("threshold", [1e-9, 1e-200, 5e-324])
def test_a_model_is_judged_whatever_its_threshold(api, tools, threshold):
    api.put("m", status=201, label_delay="0s", minimum_labels=200, thresholds={"ece": threshold})
    miscalibrated(api, tools, p=0.5)
    assert api.get(CALIBRATION)["labels_needed"] == 10**15
    api.judge()
    stored = api.get("/v1/models/m/history", window="24h")["evaluations"]
    assert [evaluation["labels_needed"] for evaluation in stored] == [10**15]


# Drift


def test_drift_is_as_computed_by_hand(api, tools):
    api.put("m", status=201, minimum_labels=80)
    for minute, low in ((0, 40), (1, 20)):
        rows = [
            tools.prediction(f"{minute}-{i}", 0.2 if i < low else 0.8, timestamp=f"2026-01-05T11:0{minute}:00Z")
            for i in range(80)
        ]
        api.send(*rows)
    found = api.get("/v1/models/m/drift", start="2026-01-05T11:01:00Z", end="2026-01-05T11:02:00Z")
    assert (found["reference_start"], found["reference_end"]) == ("2026-01-05T11:00:00Z", "2026-01-05T11:01:00Z")
    assert (found["predictions"], found["reference_predictions"], found["enough"]) == (80, 80, True)
    # Two bins of the reference, each count with .5 added: 40.5, 40.5 and 20.5, 60.5, of 81
    r, q = [40.5 / 81, 40.5 / 81], [20.5 / 81, 60.5 / 81]
    assert found["psi"] == pytest.approx(sum((b - a) * math.log(b / a) for a, b in zip(r, q, strict=True)))
    halves = [(a + b) / 2 for a, b in zip(r, q, strict=True)]
    js = sum(a * math.log(a / h) + b * math.log(b / h) for a, b, h in zip(r, q, halves, strict=True)) / 2
    assert (found["ks"], found["js"]) == pytest.approx((0.25, js))
    # One degree of freedom: the 95 % and 99.9 % quantiles of chi-squared are 3.8415 and 10.8276
    assert found["psi_null_95"] == pytest.approx(3.841459 * 2 / 80, rel=1e-6)
    assert found["js_null_95"] == pytest.approx(3.841459 * 2 * 80 / 80.5**2 / 8, rel=1e-6)
    assert (found["threshold"], found["drifted"]) == (0.2, found["psi"] > 0.2 and found["psi"] > 10.827566 * 2 / 80)
    # A quarter of the scores moved by the log odds between .2 and .8
    assert found["relative_move"] == pytest.approx(0.25 * 2 * math.log(0.80001 / 0.20001))
    assert found["least_move"] == 0.01


@pytest.mark.parametrize(("moved", "drifts"), [(0.50000001, False), (0.5 + 1e-4, False), (0.51, True)])
def test_a_constant_score_drifts_only_where_it_moved_by_more_than_rounding(api, tools, moved, drifts):
    api.put("m", status=201, task="binary", minimum_labels=80, label_delay="0s", windows=["1h"],
            reference={"start": "2026-01-05T09:00:00Z", "end": "2026-01-05T10:00:00Z"})  # fmt: skip
    for hour, p in ((9, 0.5), (11, moved)):
        api.send(*[tools.prediction(f"{hour}-{i}", p, timestamp=f"2026-01-05T{hour:02}:30:00Z") for i in range(200)])
    api.judge()
    found = api.get("/v1/models/m/drift", window="1h")
    assert found["psi"] > 10
    assert (found["ks"], found["drifted"], found["class_shift"]["shifted"]) == (1.0, drifts, drifts)
    fired = [alert["kind"] for alert in api.get("/v1/models/m/alerts")["alerts"]]
    assert fired == (["score_drift"] if drifts else [])


def test_drift_is_against_the_declared_reference(api, tools):
    reference = {"start": "2026-01-05T11:00:00Z", "end": "2026-01-05T11:01:00Z"}
    api.put("m", status=201, minimum_labels=1, reference=reference)
    api.send(tools.prediction("a", 0.2, timestamp="2026-01-05T11:00:30Z"), tools.prediction("b", 0.8))
    found = api.get("/v1/models/m/drift", window="1m")
    assert (found["reference_start"], found["reference_end"]) == (reference["start"], reference["end"])
    assert (found["predictions"], found["reference_predictions"], found["ks"]) == (1, 1, 1.0)


def test_drift_needs_no_labels_and_no_maturity(api, tools):
    api.put("m", status=201, label_delay="30d")
    api.send(tools.prediction("a", 0.2))
    assert api.get("/v1/models/m/drift", window="1h")["predictions"] == 1


def test_drift_takes_no_bins(twelve):
    assert twelve.refused("GET", "/v1/models/m/drift?bins=10")["field"] == "bins"


# History and alerts


@pytest.fixture
def judged(api, tools, clock):
    """Return a model that was evaluated in three successive minutes."""
    declared = {"label_delay": "0s", "windows": ["1m", "1h"], "cooldown": "0s", "alert_policy": "window"}
    api.put("m", status=201, minimum_labels=10, **declared)
    for minute, share in ((0, 2), (1, 2), (2, 1)):
        miscalibrated(api, tools, 120, share=share, minute=minute)
        clock.micros += 60_000_000
        api.judge()
    return api


def test_history_is_what_was_evaluated_oldest_first(judged):
    found = judged.get("/v1/models/m/history", window="1m")["evaluations"]
    assert [each["end"] for each in found] == [f"2026-01-05T11:0{minute}:00Z" for minute in (1, 2, 3)]
    assert [each["ece"] for each in found] == pytest.approx([0.4, 0.4, 0.1])
    hour = judged.get("/v1/models/m/history", window="60m")["evaluations"]
    assert [each["labelled"] for each in hour] == [120, 240, 360]


def test_history_equals_an_evaluation_of_the_same_range(judged):
    for stored in judged.get("/v1/models/m/history", window="1m")["evaluations"]:
        now = judged.get(CALIBRATION, start=stored["start"], end=stored["end"])
        assert {name: stored[name] for name in Stored.__struct_fields__ if name != "version"} == {
            name: now[name] for name in Stored.__struct_fields__ if name != "version"
        }


def test_history_of_one_metric_is_its_ends_and_values(judged):
    found = judged.get("/v1/models/m/history", window="1h", metric="labelled")["evaluations"]
    assert found == [{"end": f"2026-01-05T11:0{i + 1}:00Z", "labelled": 120 * (i + 1)} for i in range(3)]


def test_history_has_bounds_and_a_limit(judged):
    def ends(**query):
        found = judged.get("/v1/models/m/history", window="1m", **query)["evaluations"]
        return [each["end"][14:16] for each in found]

    assert ends(start="2026-01-05T11:02:00Z") == ["02", "03"]
    assert ends(end="2026-01-05T11:02:00Z") == ["01", "02"]
    assert ends(limit=2) == ["02", "03"]
    assert ends(start="2026-01-05T11:04:00Z", end="2026-01-05T11:05:00Z") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("window=5h", "window"), ("window=x", "window"), ("metric=eec", "metric"), ("metric=", "metric"), ("limit=0", "limit"),
     ("limit=20001", "limit"), ("limit=1.5", "limit"), ("bins=10", "bins"), ("metric=__class__", "metric"),
     ("start=2026-01-05T12:00:00Z&end=2026-01-05T11:00:00Z", "start"), ("segment=a:b", "segment"), ("start=", "start")],
)  # fmt: skip
def test_a_wrong_question_to_history_is_refused(sqlite_twelve, query, field):
    assert sqlite_twelve.refused("GET", f"/v1/models/m/history?{query}")["field"] == field


def test_a_metric_is_checked_also_where_nothing_is_stored(api):
    api.put("m", status=201)
    assert api.refused("GET", "/v1/models/m/history?metric=eec")["field"] == "metric"
    assert api.get("/v1/models/m/history", metric="ece") == {"evaluations": []}


def test_alerts_are_transitions_newest_first(judged):
    found = judged.get("/v1/models/m/alerts")["alerts"]
    short = [
        (each["state"], each["at"]) for each in found if each["window"] == "1m" and each["kind"] == "miscalibration"
    ]
    assert short[-1] == ("firing", "2026-01-05T11:01:00Z")
    assert [each["at"] for each in found] == sorted((each["at"] for each in found), reverse=True)
    fired = next(each for each in reversed(found) if each["kind"] == "miscalibration")
    assert (fired["version"], fired["segment"], fired["evidence"]["threshold"]) == ("", "", 0.05)
    assert fired["evidence"]["ece"] == pytest.approx(0.4)
    assert judged.get("/v1/models")["models"][0]["state"] == "miscalibrated"


def test_alerts_have_a_limit(judged):
    assert len(judged.get("/v1/models/m/alerts", limit=1)["alerts"]) == 1
    for limit in ("0", "10001", "x", "-1"):
        assert judged.refused("GET", f"/v1/models/m/alerts?limit={limit}")["field"] == "limit"
