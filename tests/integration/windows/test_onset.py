"""When a model began to be off, as evaluations say it: in minutes where they are kept, in hours elsewhere."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from scipy.special import expit, logit

from monitor.domain.alerts import MISCALIBRATION, RESOLVED, Alarm, Alert, Evidence
from monitor.domain.times import HOUR, micros
from monitor.store import alerts, models

MODEL = "/v1/models/m"
START = datetime.fromisoformat("2026-01-05T00:00:00Z")
BROKEN = 0.3
"""Log odds of outcomes are this share of those of the scores."""


def binary(random, p, broken):
    return {"probability": p}, int(random.uniform() < expit((BROKEN if broken else 1.0) * logit(p)))


def number(random, _p, broken):
    return {"mean": 0.0, "std": 1.0}, float(random.normal(0.0, 3.0 if broken else 1.0))


def agreement(random, p, broken):
    answer = {
        "prediction": "x",
        "confidence_source": "self_consistency",
        "samples": 10,
        "agreeing": int(random.binomial(10, p)),
    }
    return answer, bool(random.uniform() < (0.5 if broken else p))


def served(tools, draw, *, minutes, broken_from, broken_until=10**9, per_minute=10, seed=3, step=1):
    """Yield predictions and labels, so many per step of minutes, broken from one minute to another."""
    random = np.random.default_rng(seed)
    for minute in range(0, minutes, step):
        for i in range(per_minute):
            p = float(np.clip(random.beta(0.5, 0.5), 0.01, 0.99))
            forecast, outcome = draw(random, p, broken_from <= minute < broken_until)
            at = (START + timedelta(minutes=minute, seconds=i)).isoformat()
            name = f"{seed}-{minute}-{i}"
            yield tools.prediction(name, None, timestamp=at, **forecast)
            yield tools.label(name, outcome)


@pytest.fixture
def sent(api, clock):
    """Return what sends events in portions, and is asked after they were rolled up."""

    def send(events, hours=60, **settings):
        clock.micros = micros(START) + hours * HOUR
        api.put("m", status=201, label_delay="0s", **settings)
        events = list(events)
        for first in range(0, len(events), 8000):
            api.ask("POST", "/v1/events", json={"events": events[first : first + 8000]})
        api.roll_up()
        return api

    return send


def minute_of(text):
    return (datetime.fromisoformat(text) - START) / timedelta(minutes=1)


def test_an_abrupt_fault_is_dated_to_minutes(sent, tools):
    api = sent(served(tools, binary, minutes=300, broken_from=187))
    found = api.get(f"{MODEL}/calibration", window="1h")
    assert found["verdict"] == "suspect"
    assert minute_of(found["since_low"]) <= 187 <= minute_of(found["since_high"])
    assert abs(minute_of(found["since"]) - 187) <= 20
    assert minute_of(found["since_high"]) - minute_of(found["since_low"]) < 100
    calm = api.get(f"{MODEL}/calibration", start="2026-01-05T00:00:00Z", end="2026-01-05T03:00:00Z")
    assert calm["verdict"] == "calibrated"
    assert (calm["since"], calm["since_low"], calm["since_high"]) == (None, None, None)


def test_a_fault_that_came_back_after_its_alert_ended_began_after_that(sent, tools):
    api = sent(served(tools, binary, minutes=300, broken_from=60), alert_policy="window")
    assert minute_of(api.get(f"{MODEL}/calibration", window="1h")["since"]) < 90
    with api.services.database.write() as connection:
        number = models.by_name(connection, "m").id
        for segment in ("", "class=other"):  # of which the second one says nothing about the whole
            at = micros(START + timedelta(minutes=250 if segment else 200))
            ended = Alert(at=at, alarm=Alarm(MISCALIBRATION, "1h", "", segment), state=RESOLVED, evidence=Evidence())
            alerts.record(connection, number, ended, now=at, notify=False)
    found = api.get(f"{MODEL}/calibration", window="1h")
    assert 200 <= minute_of(found["since"]) < 240
    assert found["since_low"] is None


def test_stored_evaluations_say_so_too(sent, tools):
    api = sent(served(tools, binary, minutes=300, broken_from=187), windows=["1h", "24h"])
    api.judge()
    (listed,) = api.get("/v1/models")["models"]
    newest = api.get(f"{MODEL}/history", window="1h")["evaluations"][-1]
    assert newest["verdict"] == "miscalibrated"
    assert newest["since"] == listed["evaluation"]["since"] == api.get(f"{MODEL}/calibration", window="1h")["since"]


def test_a_fault_from_the_first_label_may_be_older(sent, tools):
    api = sent(served(tools, binary, minutes=150, broken_from=0))
    found = api.get(f"{MODEL}/calibration")
    assert found["verdict"] == "suspect"
    assert found["since_low"] is None
    assert minute_of(found["since"]) <= 5
    assert found["since_high"] is not None


def test_where_minutes_are_gone_a_fault_is_dated_to_hours(sent, tools):
    began = 26 * 60 + 30
    api = sent(served(tools, binary, minutes=5 * 1440, broken_from=began, step=15), hours=5 * 24)
    found = api.get(f"{MODEL}/calibration")
    assert found["verdict"] == "suspect"
    assert minute_of(found["since"]) % 60 == 0
    assert minute_of(found["since_low"]) <= began <= minute_of(found["since_high"])
    assert minute_of(found["since_high"]) - minute_of(found["since_low"]) <= 12 * 60


@pytest.mark.parametrize("draw", [number, agreement])
def test_other_tasks_are_dated_too(sent, tools, draw):
    api = sent(served(tools, draw, minutes=300, broken_from=200))
    for _ in range(2):
        api.judge()  # maps of agreements are made first
    found = api.get(f"{MODEL}/calibration", window="1h")
    assert found["verdict"] == "miscalibrated"
    assert minute_of(found["since_low"]) <= 200 <= minute_of(found["since_high"])


def test_after_a_promotion_only_later_labels_count(sent, tools):
    api = sent(served(tools, binary, minutes=200, broken_from=0))
    api.post(f"{MODEL}/calibrators", {"method": "temperature", "promote": True}, status=201)
    promoted = (START + timedelta(minutes=199)).isoformat()
    later = served(tools, binary, minutes=400, broken_from=0, seed=4)
    api.send(*(event for event in later if event["type"] == "label" or event["timestamp"] > promoted))
    found = api.get(f"{MODEL}/calibration", window="1h")
    assert minute_of(found["since"]) >= 200
    assert found["since_low"] is None


@pytest.mark.parametrize("policy", ["window", "sequential"])
def test_an_alert_says_since_when_how_bad_and_for_whom_before_its_figures(sent, tools, policy):
    events = list(served(tools, binary, minutes=300, broken_from=187))
    for event in events:
        if event["type"] == "prediction":
            event["segments"] = {"country": "BR" if event["event_id"].endswith(("1", "2", "3", "4")) else "DE"}
    api = sent(events, windows=["1h"], segments=["country"], alert_policy=policy)
    api.judge()
    (fired,) = [alert for alert in api.get(f"{MODEL}/alerts")["alerts"] if alert["kind"] == "miscalibration"]
    evidence = fired["evidence"]
    assert minute_of(evidence["since_low"]) <= 187 <= minute_of(evidence["since_high"])
    since, low, high = (datetime.fromisoformat(evidence[name]) for name in ("since", "since_low", "since_high"))
    told = evidence["summary"]
    assert told.startswith(
        f"m: Is too extreme at both ends since 5 Jan {since:%H:%M} UTC (between {low:%H:%M} and {high:%H:%M}): ECE at least "
    )
    assert f", limit 0.05; worst {evidence['worst_segment'].replace(':', '=')}. " in told
    assert evidence["calibrator_waiting"] is None
