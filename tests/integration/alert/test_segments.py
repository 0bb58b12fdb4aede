"""Segments that are off while the model as a whole looks calibrated: their tests, their alert, and its end."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from monitor.alert.segments import KIND
from monitor.domain.alerts import RESOLVED, SEGMENT, Alarm, Alert, Evidence
from monitor.domain.times import MINUTE, micros, rfc3339
from monitor.store import models, sequential
from tests.conftest import NOON
from tests.stages import stage

HOUR_LABELS = 600
"""Labels of each segment an hour."""


@pytest.fixture
def serve(api, clock, tools):
    """Serve an hour of traffic to three countries, whose outcomes are off by so much; labels come at once, or an hour late."""
    dice = np.random.default_rng(7)
    sent = iter(range(1_000_000))
    missed: list[object] = []

    def one_hour(*, labelled=(0, 1), late=0.0, **off):
        begin = clock.micros
        events = missed.copy()
        missed.clear()
        for country, gap in off.items():
            p = dice.uniform(0.2, 0.8, HOUR_LABELS).round(4)
            y = dice.random(HOUR_LABELS) < p + gap
            at = (begin + np.sort(dice.integers(0, 60, HOUR_LABELS)) * MINUTE).tolist()
            for score, outcome, when in zip(p.tolist(), y.tolist(), at, strict=True):
                name = f"e{next(sent)}"
                events.append(tools.prediction(name, score, timestamp=rfc3339(when), segments={"country": country}))
                if int(outcome) in labelled:
                    of_later = outcome and late > 0 and dice.random() < late
                    (missed if of_later else events).append(tools.label(name, int(outcome)))
        clock.advance(timedelta(hours=1))
        api.send(*events)
        api.judge()

    return one_hour


@pytest.fixture
def alerts(api, tools):
    """Return transitions of one kind, oldest first."""

    def of_kind(kind="segment"):
        told = api.get(tools.address("m") + "/alerts")["alerts"]
        return [alert for alert in reversed(told) if alert["kind"] == kind]

    return of_kind


def declare(api, **settings):
    changed = {
        "label_delay": "0s",
        "recalibration": "off",
        "segments": ["country"],
        "windows": ["2h", "24h"],
        **settings,
    }
    api.put(status=201, **changed)


def test_two_segments_off_in_opposite_directions_raise_one_alert_that_names_them(api, tools, serve, alerts):
    declare(api)
    for _ in range(3):
        serve(br=0.14, de=-0.14, fr=0.0)
    assert alerts("miscalibration") == []
    assert api.get(tools.address("m") + "/calibration", window="24h")["verdict"] == "calibrated"
    (fired,) = alerts()
    assert (fired["state"], fired["window"], fired["version"], fired["segment"]) == ("firing", "sequential", "", "")
    faults = {fault["segment"]: fault for fault in fired["evidence"]["segments"]}
    assert {name: fault["direction"] for name, fault in faults.items()} == {
        "country:br": "underestimates",
        "country:de": "overestimates",
    }
    assert all(0.1 < fault["ece"] < 0.2 for fault in faults.values())
    assert all(fault["e_value"] >= 1 / fault["level"] for fault in faults.values())
    assert "2 segments are off by more than 0.02" in fired["evidence"]["summary"]
    assert "country=br says less than happens, ECE about 0.1" in fired["evidence"]["summary"]
    lines = api.client.get("/metrics").text.splitlines()
    place = 'kind="segment",model="m",model_version="",segment="",window="sequential"'
    assert f"calibration_alert_active{{{place}}} 1.0" in [line for line in lines if "alert_active{" in line]


@pytest.mark.parametrize("late", [0.2, 0.5])
def test_calibrated_segments_whose_positives_come_late_raise_no_alert(api, tools, serve, alerts, late):
    declare(api, thresholds={"ece": 0.2}, alert_policy="window")  # whose whole is judged by nothing that could hold it
    for _ in range(6):
        serve(br=0.0, de=0.0, fr=0.0, late=late)
    assert alerts() == []
    tests = api.get(tools.address("m") + "/evidence")["segments"]
    reached = [test for test in tests if test["log_e_peak"] >= test["fires_at"]]
    assert (len(reached) > 0) == (late == 0.5)
    assert all(test["held"] and "came too late differ" in test["held_because"] for test in reached)


def test_a_segment_that_breaks_is_named_although_a_few_of_its_positives_are_always_late(api, serve, alerts):
    declare(api)
    for hour in range(6):
        serve(br=-0.14 if hour > 2 else 0.0, de=0.0, late=0.02)
    (fired,) = alerts()
    assert [fault["segment"] for fault in fired["evidence"]["segments"]] == ["country:br"]


def test_the_alert_ends_with_windows_that_began_later_and_the_tests_start_at_the_next_levels(api, tools, serve, alerts):
    declare(api)
    for _ in range(2):
        serve(br=0.14, de=-0.14, fr=0.0)
    assert [alert["state"] for alert in alerts()] == ["firing"]
    before = {test["segment"]: test for test in api.get(tools.address("m") + "/evidence")["segments"]}
    for _ in range(4):
        serve(br=0.0, de=0.0, fr=0.0)
    fired, ended = alerts()
    assert ended["state"] == "resolved"
    assert ended["at"] >= fired["at"]
    assert "is back under the threshold 0.02" in ended["evidence"]["summary"]
    serve(br=0.0, de=0.0, fr=0.0)
    after = {test["segment"]: test for test in api.get(tools.address("m") + "/evidence")["segments"]}
    assert {name: test["start"] for name, test in before.items()} == {"country:br": 1, "country:de": 2, "country:fr": 3}
    assert after["country:fr"]["start"] == 3
    assert {after["country:br"]["start"], after["country:de"]["start"]} == {4, 5}
    assert len(alerts()) == 2


def test_the_alert_goes_on_while_a_segment_that_it_names_is_only_less_off(api, serve, alerts):
    declare(api)
    for _ in range(2):
        serve(br=0.14, de=0.0)
    assert [alert["state"] for alert in alerts()] == ["firing"]
    for _ in range(6):
        serve(br=0.06, de=0.0)
    assert [alert["state"] for alert in alerts()] == ["firing"]


def test_a_segment_that_joins_later_is_named_by_one_more_alert(api, serve, alerts):
    declare(api)
    for _ in range(2):
        serve(br=0.14, de=0.0, fr=0.0)
    for _ in range(3):
        serve(br=0.14, de=-0.14, fr=0.0)
    named = [
        (alert["state"], sorted(fault["segment"] for fault in alert["evidence"]["segments"])) for alert in alerts()
    ]
    assert named == [("firing", ["country:br"]), ("firing", ["country:br", "country:de"])]


def test_labels_chosen_by_outcome_hold_the_alert_of_segments_too(api, serve, alerts, tools):
    declare(api)
    for _ in range(3):
        serve(br=0.0, de=0.0, labelled=(1,))
    said = api.get(tools.address("m") + "/evidence")
    assert [test["held"] for test in said["evidence"]] == [True]
    assert all(test["log_e_peak"] > -np.log(test["level"]) for test in said["segments"])
    assert alerts() == []


def test_an_alert_that_fires_names_no_segment_by_labels_chosen_by_outcome(api, serve, alerts, tools):
    declare(api)
    for _ in range(2):
        serve(br=0.14, de=0.0, fr=0.0)
    for _ in range(3):
        serve(br=0.0, de=0.0, fr=0.0, labelled=(1,))
    said = api.get(tools.address("m") + "/evidence")
    assert [test["held"] for test in said["evidence"]] == [True]
    assert all(test["log_e_peak"] > test["fires_at"] for test in said["segments"])
    named = [[fault["segment"] for fault in alert["evidence"]["segments"]] for alert in alerts()]
    assert named == [["country:br"]]


def test_a_segment_is_named_from_the_limit_of_its_own_test_on(api, clock, serve, alerts):
    declare(api)
    serve(br=0.0, de=0.0, fr=0.0)
    database = api.services.database
    with database.read() as connection:
        (model,) = models.everyone(connection)
        test = sequential.segment_standings(connection, model.id)["", "country:br"]

    def named(share):
        peak = test.evidence.limit * share
        evidence = msgspec.structs.replace(test.evidence, peak=peak, log_e_peak=peak)
        with database.write() as connection:
            sequential.save_segments(connection, model.id, [replace(test, evidence=evidence)])
        stage("alerts").run(database, api.token(), model, clock())
        return [fault["segment"] for alert in alerts() for fault in alert["evidence"]["segments"]]

    assert named(0.999) == []
    assert named(1.0) == ["country:br"]


@pytest.mark.parametrize("held", ["the segment", "the whole", "neither"])
def test_a_segment_that_is_held_or_whose_whole_is_held_is_not_named(api, clock, serve, alerts, held):
    declare(api)
    serve(br=0.0, de=0.0, fr=0.0)
    database = api.services.database
    with database.write() as connection:
        (model,) = models.everyone(connection)
        of_segment = sequential.segment_standings(connection, model.id)["", "country:br"]
        whole = sequential.standings(connection, model.id)[""]
        limit = of_segment.evidence.limit
        reached = msgspec.structs.replace(of_segment.evidence, peak=limit, log_e_peak=limit, held=held == "the segment")
        sequential.save_segments(connection, model.id, [replace(of_segment, evidence=reached)])
        doubted = msgspec.structs.replace(whole.evidence, held=held == "the whole")
        sequential.save(connection, model.id, [replace(whole, evidence=doubted)])
    stage("alerts").run(database, api.token(), model, clock())
    assert len(alerts()) == (held == "neither")


def test_the_end_of_the_alert_starts_no_test_again_that_was_held(api, clock, serve):
    declare(api)
    serve(br=0.0, de=0.0, fr=0.0)
    with api.services.database.write() as connection:
        (model,) = models.everyone(connection)
        tests = sequential.segment_standings(connection, model.id)
        for place, test in tests.items():
            held, limit = place[1] == "country:br", test.evidence.limit
            reached = msgspec.structs.replace(test.evidence, peak=limit, log_e_peak=limit, held=held)
            tests[place] = replace(test, evidence=reached)
        sequential.save_segments(connection, model.id, list(tests.values()))
        ended = Alert(at=clock.micros, alarm=Alarm(SEGMENT, "sequential", "", ""), state=RESOLVED, evidence=Evidence())
        KIND.recorded(connection, model.id, ended)
        after = sequential.segment_standings(connection, model.id)
    assert {segment: bool(test.state) for (_, segment), test in after.items()} == {
        "country:br": True, "country:de": False, "country:fr": False,
    }  # fmt: skip


def test_calibrated_segments_raise_no_alert(api, serve, alerts, tools):
    declare(api)
    for _ in range(4):
        serve(br=0.0, de=0.0, fr=0.0)
    assert alerts() == alerts("miscalibration") == []
    said = api.get(tools.address("m") + "/evidence")
    assert [test["labels"] for test in said["segments"]] == [4 * HOUR_LABELS] * 3
    rate = said["false_alarm_rate"]
    assert [test["level"] for test in said["segments"]] == pytest.approx([rate / 4, rate / 12, rate / 24])
    assert said["spent"] == pytest.approx(rate / 4 + rate / 2 * 3 / 4)


def test_a_cluster_within_a_segment_is_one_bet_there_too(api, clock, tools):
    declare(api, cluster_span="1h")
    shared = {"timestamp": rfc3339(micros(NOON)), "cluster": "storm", "segments": {"country": "br"}}
    for i in range(20):
        api.send(tools.prediction(f"e{i}", 0.75, **shared), tools.label(f"e{i}", 1))
    api.send(
        tools.prediction("alone", 0.75, timestamp=rfc3339(micros(NOON)), segments={"country": "br"}),
        tools.label("alone", 1),
    )
    clock.advance(timedelta(hours=2))
    api.judge()
    said = api.get(tools.address("m") + "/evidence")
    (whole,), (segment,) = said["evidence"], said["segments"]
    for test in (whole, segment):
        assert (test["labels"], test["bets"], test["steps"]) == (21, 2, 1)


def test_segments_that_are_declared_no_more_are_not_shown_and_their_alert_ends(api, serve, alerts, tools):
    declare(api)
    for _ in range(3):
        serve(br=0.14, de=-0.14, fr=0.0)
    api.put(segments=[])
    serve(br=0.14, de=-0.14, fr=0.0)
    assert [alert["state"] for alert in alerts()] == ["firing", "resolved"]
    assert api.get(tools.address("m") + "/evidence")["segments"] == []


def test_changed_thresholds_start_the_tests_of_segments_again(api, serve, tools):
    declare(api)
    serve(br=0.0, de=0.0, fr=0.0)
    api.put(thresholds={"ece": 0.1})
    api.judge()
    assert api.get(tools.address("m") + "/evidence")["segments"] == []
    serve(br=0.0, de=0.0, fr=0.0)
    tests = api.get(tools.address("m") + "/evidence")["segments"]
    assert [(test["labels"], round(test["threshold"], 9), test["start"]) for test in tests] == [
        (HOUR_LABELS, 0.04, start) for start in (4, 5, 6)
    ]
