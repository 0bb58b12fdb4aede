"""Rare events: outcomes that happen more or less often than stated, through the API, where no ECE could show it."""

from datetime import timedelta

import numpy as np
import pytest

from monitor.domain.times import HOUR, MINUTE, parse_time, rfc3339

LABELS_AN_HOUR = 3000
STATED = 0.002


@pytest.fixture
def serve(api, clock, tools):
    """Serve some hours of predictions of one rate, of which so many happen an hour."""

    def some(hours, happens, stated=STATED):
        for _ in range(hours):
            names = [f"{clock.micros}-{i}" for i in range(LABELS_AN_HOUR)]
            at = [rfc3339(clock.micros + i * 59 * MINUTE // LABELS_AN_HOUR) for i in range(LABELS_AN_HOUR)]
            clock.micros += HOUR
            every = LABELS_AN_HOUR // happens if happens else LABELS_AN_HOUR + 1
            api.send(
                *(tools.prediction(name, stated, timestamp=t) for name, t in zip(names, at, strict=True)),
                *(tools.label(name, int(i % every == every // 2)) for i, name in enumerate(names)),
            )
        clock.advance(timedelta(minutes=1))
        api.judge()

    return some


@pytest.fixture
def declare(api):
    def of(ratio=1.5, **settings):
        thresholds = {} if ratio is None else {"thresholds": {"ratio": ratio}}
        api.put(label_delay="0s", windows=["1h", "24h"], recalibration="off", **thresholds, **settings, status=201)

    return of


@pytest.fixture
def alerts(api, tools):
    def listed():
        every = api.get(tools.address("m") + "/alerts")["alerts"]
        return [alert for alert in every if alert["kind"] == "miscalibration"][::-1]

    return listed


def window(api, tools, length="24h"):
    return api.get(tools.address("m") + "/calibration", window=length)


def ratios(api, tools):
    return api.get(tools.address("m") + "/evidence")["ratios"]


def test_a_rate_that_grew_is_dated_by_when_it_crossed_the_ratio(api, clock, tools, declare, serve, alerts):  # noqa: PLR0917
    declare(alert_policy="window")
    begin = clock.micros
    for hour in range(16):
        serve(1, 6 + 6 * hour)
    seen = window(api, tools)
    assert seen["verdict"] == "miscalibrated"
    assert seen["ece"] < 0.05 / 2
    for told in (seen, alerts()[-1]["evidence"]):
        low, at, high = (parse_time("", told[name]) - begin for name in ("since_low", "since", "since_high"))
        assert low <= at <= high < 8 * HOUR  # it is at 1.5 times the stated rate half an hour after the beginning


def test_a_rate_of_several_times_the_stated_one_is_alerted_by_its_ratio_and_not_by_its_ece(
    api, tools, declare, serve, alerts
):
    declare()
    serve(3, 45)
    (fired,) = alerts()
    assert (fired["window"], fired["state"], fired["segment"]) == ("ratio", "firing", "")
    told = fired["evidence"]
    assert (told["policy"], told["threshold"], told["direction"]) == ("ratio", 1.5, "underestimates")
    assert 4 <= told["off_by_at_least"] < 7.5 == round(told["observed"] / told["expected"], 1)
    assert told["summary"].startswith("m: Says less than happens since 5 Jan")
    assert "outcomes are 7.5 times those expected; the factor, either way, is at least 4, limit 1.5." in told["summary"]
    seen = window(api, tools)
    assert (seen["verdict"], seen["threshold_hint"]) == ("miscalibrated", None)
    assert seen["ece"] < 0.02
    assert seen["observed_over_expected"] == pytest.approx(7.5)
    assert seen["observed_over_expected_low"] > 5
    assert seen["labels_needed"] == 0
    (test,) = ratios(api, tools)
    assert (test["labels"], test["start"], test["level"]) == (9000, 2, pytest.approx(0.01 / 12))
    assert (test["observed"], test["expected"]) == (135, pytest.approx(18))
    assert test["since"] == "2026-01-05T12:00:00Z"
    (whole,) = api.get(tools.address("m") + "/evidence")["evidence"]
    assert whole["log_e_peak"] < whole["fires_at"] / 2

    serve(2, 45)
    assert len(alerts()) == 1
    serve(12, 6)
    assert [alert["state"] for alert in alerts()] == ["firing", "resolved"]
    assert "back within the limit 1.5" in alerts()[-1]["evidence"]["summary"]
    serve(1, 6)
    (again,) = ratios(api, tools)
    assert (again["start"], again["labels"] < 9000) == (3, True)


def test_an_alert_by_the_ratio_is_answered_by_a_refit_that_repairs_it(api, clock, tools):
    api.put(label_delay="0s", windows=["1h", "24h"], thresholds={"ratio": 1.5}, status=201)
    dice = np.random.default_rng(8)

    def an_hour(served):
        p = (0.002 * np.exp(dice.normal(0, 0.7, LABELS_AN_HOUR))).round(6)
        y = dice.random(LABELS_AN_HOUR) < 7.5 * p
        names = [f"{clock.micros}-{i}" for i in range(LABELS_AN_HOUR)]
        at = [rfc3339(clock.micros + i * 59 * MINUTE // LABELS_AN_HOUR) for i in range(LABELS_AN_HOUR)]
        clock.micros += HOUR
        shown = served(p.tolist())
        api.send(
            *(tools.prediction(name, **fields, timestamp=t) for name, fields, t in zip(names, shown, at, strict=True)),
            *(tools.label(name, int(truth)) for name, truth in zip(names, y, strict=True)),
        )
        clock.advance(timedelta(minutes=1))
        api.judge()

    for _ in range(5):
        an_hour(lambda p: [{"p": one} for one in p])
    waits = api.get("/v1/models/m")["proposal"]
    assert waits == 1
    told = [alert for alert in api.get("/v1/models/m/alerts")["alerts"] if alert["kind"] == "proposal"]
    assert told[0]["evidence"]["summary"].startswith("m: Says less than happens since 5 Jan")
    api.post("/v1/models/m/calibrators/1/promote")

    def calibrated(p):
        served = api.post("/v1/models/m/calibrate", {"probabilities": p})["probabilities"]
        return [{"p": one, "raw_probability": raw, "calibrator_version": 1} for one, raw in zip(served, p, strict=True)]

    for _ in range(3):
        an_hour(calibrated)
    seen = window(api, tools, "1h")
    assert (seen["verdict"], seen["threshold_hint"]) == ("calibrated", None)
    assert 0.6 < seen["observed_over_expected"] < 1.5
    listed = [alert["state"] for alert in api.get("/v1/models/m/alerts")["alerts"] if alert["window"] == "ratio"]
    assert listed == ["resolved", "firing"]


def test_fewer_outcomes_than_expected_are_alerted_too(declare, serve, alerts):
    declare()
    serve(8, 1, stated=0.004)
    (fired,) = alerts()
    assert (fired["window"], fired["evidence"]["direction"]) == ("ratio", "overestimates")
    assert "Says more than happens" in fired["evidence"]["summary"]


def test_without_the_threshold_a_hint_says_that_the_ece_can_show_nothing(api, tools, declare, serve, alerts):
    declare(ratio=None)
    serve(3, 45)
    assert alerts() == []
    seen = window(api, tools)
    assert seen["verdict"] == "calibrated"
    assert "no ECE could exceed 0.017: the threshold 0.05 can't be reached" in seen["threshold_hint"]
    assert "`thresholds.ratio`" in seen["threshold_hint"]
    assert ratios(api, tools) == []


def test_a_right_model_raises_no_alert_and_is_calibrated_once_enough_outcomes_were_expected(
    api, tools, declare, serve, alerts
):
    declare()
    serve(3, 6)
    seen = window(api, tools)
    assert (seen["verdict"], seen["labels_needed"]) == ("too_few_labels", 7460)  # 32.92 outcomes must be expected
    serve(4, 6)
    assert window(api, tools)["verdict"] == "calibrated"
    assert alerts() == []
    (test,) = ratios(api, tools)
    assert test["log_e_peak"] < test["fires_at"] / 2


def test_outcomes_beyond_the_limit_are_suspect_before_the_alert_fires(api, tools, declare, serve, alerts):
    declare(ratio=3, false_alarm_rate=1e-6)
    serve(1, 50)
    assert alerts() == []
    seen = window(api, tools, "1h")
    assert (seen["verdict"], seen["remedy"] is None) == ("suspect", False)
    assert (
        "more than half of what fires an alert" in seen["verdict_reason"] or "times as often" in seen["verdict_reason"]
    )


def test_labels_of_what_happened_alone_hold_the_alert(api, clock, tools, declare, alerts):
    declare()
    names = [f"e{i}" for i in range(6000)]
    api.send(*(tools.prediction(name, STATED) for name in names))
    api.send(*(tools.label(name, 1) for name in names[:12]))
    clock.advance(timedelta(hours=1))
    api.judge()
    (test,) = ratios(api, tools)
    assert (test["held"], test["log_e_peak"] >= test["fires_at"]) == (True, True)
    assert "0.2 % of matured predictions have a label" in test["held_because"]
    assert alerts() == []
    seen = window(api, tools)
    assert (seen["verdict"], seen["remedy"]) == ("suspect", "check_labels")


def test_a_cluster_is_one_outcome(api, clock, tools, declare):
    declare(cluster_span="1h")
    for day in range(4):
        api.send(*(tools.prediction(f"{day}-{i}", 0.01, cluster=f"c{day}-{i % 20}") for i in range(1000)))
        api.send(*(tools.label(f"{day}-{i}", int(i % 20 == 0)) for i in range(1000)))  # all of one cluster
    clock.advance(timedelta(hours=2))
    api.judge()
    (test,) = ratios(api, tools)
    assert (test["bets"], test["labels"], test["observed"], test["expected"]) == (80, 4000, 4, pytest.approx(0.8))


def test_the_threshold_can_be_taken_back_and_is_refused_where_it_means_nothing(api, declare, serve, alerts):
    declare()
    serve(3, 45)
    assert [alert["state"] for alert in alerts()] == ["firing"]
    thresholds = api.put(thresholds={"ratio": None})["thresholds"]
    assert "ratio" not in thresholds
    api.judge()
    assert [alert["state"] for alert in alerts()] == ["firing", "resolved"]
    assert "no longer watched" in alerts()[-1]["evidence"]["summary"]
    for limit, reason in ((1, "above 1"), (0.5, "above 1"), ("2", "number"), (True, "number")):
        assert reason in str(api.put(thresholds={"ratio": limit}, status=422)["errors"])
    assert "thresholds.ece" in str(api.put(thresholds={"ece": None}, status=422)["errors"])


@pytest.mark.parametrize("stated", [0.0, 1e-310, 1e-8, 1.0])
def test_probabilities_at_the_edge_of_what_floats_hold_are_no_trouble(api, clock, tools, declare, stated):
    declare(ratio=1.0000001, minimum_labels=1)
    for happened in (0, 1):
        names = [f"{happened}-{i}" for i in range(100)]
        api.send(*(tools.prediction(name, stated, timestamp=rfc3339(clock.micros)) for name in names))
        api.send(*(tools.label(name, int(i < 3 * happened)) for i, name in enumerate(names)))
        clock.advance(timedelta(hours=1))
        api.judge()
        assert window(api, tools)["labels_needed"] <= 1e9
        (test,) = ratios(api, tools)
        assert test["labels"] == 100 + 100 * happened
        assert "calibration_observed_over_expected" in api.client.get("/metrics").text


def test_only_binary_models_have_outcomes_to_count(api):
    for task in ("multiclass", "confidence", "regression"):
        (error,) = api.put(task, task=task, thresholds={"ratio": 2}, status=422)["errors"]
        assert (error["field"], error["value"]) == ("thresholds.ratio", 2)
        assert task in error["reason"]


def test_a_changed_limit_starts_the_test_again(api, tools, declare, serve):
    declare()
    serve(1, 6)
    api.put(thresholds={"ratio": 2})
    api.judge()
    (test,) = ratios(api, tools)
    assert (test["threshold"], test["labels"], test["start"]) == (2, 0, None)
    serve(1, 6)
    (test,) = ratios(api, tools)
    assert (test["labels"], test["start"]) == (3000, 3)
