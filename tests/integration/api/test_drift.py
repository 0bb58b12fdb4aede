"""Drift over HTTP: what scores are compared with, how the mix of answers shifts, and the alarm."""

import math
from datetime import UTC, datetime

import pytest

DRIFT = "/v1/models/m/drift"
CALIBRATORS = "/v1/models/m/calibrators"
TOO_SURE = ((0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true."""


def minutes_of(tools, minutes, rows=TOO_SURE):
    """Return predictions of some minutes from ten o'clock on, with their labels."""
    return [
        event
        for minute in minutes
        for p, right in rows
        for i in range(20)
        for event in (
            tools.prediction(f"{minute}-{p}-{i}", p, timestamp=f"2026-01-05T{10 + minute // 60}:{minute % 60:02}:00Z"),
            tools.label(f"{minute}-{p}-{i}", int(i < right)),
        )
    ]


@pytest.fixture
def sure(api, tools):
    """Return a model that is too sure of itself and measures drift against what its champion was fitted on."""
    api.put("m", status=201, label_delay="0s", reference="champion", minimum_labels=50, windows=["5m"])
    api.send(*minutes_of(tools, range(20)))
    return api


def kind_and_range(api):
    found = api.get(DRIFT, window="5m")
    return tuple(found[f"reference_{name}"] for name in ("kind", "start", "end"))


def test_drift_is_measured_against_what_the_champion_was_fitted_on(sure):
    trailing = ("trailing", "2026-01-05T10:10:00Z", "2026-01-05T10:15:00Z")
    assert kind_and_range(sure) == trailing
    source = sure.post(CALIBRATORS, {"method": "temperature", "promote": True}, status=201)["fitted_from"]
    assert kind_and_range(sure) == ("champion", source["start"], source["end"])
    assert sure.get(DRIFT, window="5m")["reference_predictions"] == 1600
    sure.post(f"{CALIBRATORS}/rollback")
    assert kind_and_range(sure) == trailing


def test_a_version_that_waits_is_no_reference(sure):
    assert sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)["number"] == 1
    assert kind_and_range(sure)[0] == "trailing"


def test_a_champion_is_no_reference_unless_it_is_declared_as_one(sure):
    sure.post(CALIBRATORS, {"method": "temperature", "promote": True}, status=201)
    sure.put("m", reference=None)
    assert kind_and_range(sure)[0] == "trailing"
    declared = {"start": "2026-01-05T10:00:00Z", "end": "2026-01-05T10:01:00Z"}
    sure.put("m", reference=declared)
    assert kind_and_range(sure) == ("fixed", *declared.values())


def test_the_alarm_on_drift_is_against_the_champions_data_however_young_the_model_is(sure, tools):
    sure.post(CALIBRATORS, {"method": "temperature", "promote": True}, status=201)
    sure.judge()
    assert sure.get("/v1/models/m/alerts")["alerts"] == []
    sure.send(*minutes_of(tools, range(20, 30), rows=((0.95, 10), (0.97, 10))))
    sure.judge()
    alerts = [each for each in sure.get("/v1/models/m/alerts")["alerts"] if each["kind"] == "score_drift"]
    assert [(each["state"], each["window"]) for each in alerts] == [("firing", "5m")]
    assert alerts[0]["evidence"]["reference_kind"] == "champion"


def test_wasserstein_is_how_far_confidences_moved(api, tools):
    api.put("m", status=201, minimum_labels=1)
    for minute, p in ((0, 0.2), (1, 0.5)):
        api.send(*(tools.prediction(f"{minute}-{i}", p, timestamp=f"2026-01-05T11:0{minute}:00Z") for i in range(50)))
    found = api.get(DRIFT, start="2026-01-05T11:01:00Z", end="2026-01-05T11:02:00Z")
    assert found["wasserstein"] == pytest.approx(0.3, abs=1e-6)
    # Of two values half as often each, the area under the bridge is .3 times a half-normal of standard deviation .5
    assert found["wasserstein_null_95"] == pytest.approx(0.3 * 0.5 * 1.96 * math.sqrt(2 / 50), rel=0.1)


def test_the_answers_of_a_binary_model_shift_by_hand(api, tools):
    api.put("m", status=201, minimum_labels=40, classes=["ham", "spam"])
    for minute, spam in ((0, 10), (1, 30)):
        at = f"2026-01-05T11:0{minute}:00Z"
        # At .5 the answer is ham; what a calibrator made of the score is not looked at.
        rows = [(0.51, 0.1) if i < spam else (0.5, 0.9) for i in range(40)]
        api.send(
            *(
                tools.prediction(f"{minute}-{i}", served, raw_probability=raw, timestamp=at)
                for i, (raw, served) in enumerate(rows)
            )
        )
    found = api.get(DRIFT, start="2026-01-05T11:01:00Z", end="2026-01-05T11:02:00Z")["class_shift"]
    assert found["classes"] == [
        {"class": "ham", "reference": 0.75, "current": 0.25},
        {"class": "spam", "reference": 0.25, "current": 0.75},
    ]
    r, q = [30.5 / 41, 10.5 / 41], [10.5 / 41, 30.5 / 41]
    assert found["js"] == pytest.approx(
        sum(a * math.log(2 * a) + b * math.log(2 * b) for a, b in zip(r, q, strict=True)) / 2
    )
    assert found["js_null_95"] == pytest.approx(3.841459 * 2 * 40 / 40.5**2 / 8, rel=1e-6)
    assert found["shifted"] is True


def test_the_answers_of_a_multiclass_model_are_those_of_its_raw_scores(api, tools):
    api.put("m", status=201, task="multiclass", classes=["ant", "bee", "cat"], minimum_labels=2)
    vectors = {"ant": [0.6, 0.3, 0.1], "bee": [0.1, 0.6, 0.3], "tied": [0.2, 0.4, 0.4]}
    sent = [("ant", "bee"), ("ant", "bee"), ("bee", None), ("bee", None), ("tied", "ant"), ("tied", None)]
    for minute in (0, 1):
        api.send(
            *(
                tools.prediction(
                    f"{minute}-{i}",
                    probabilities=vectors[served or raw],
                    timestamp=f"2026-01-05T11:0{minute}:00Z",
                    **({"raw_probabilities": vectors[raw]} if served else {}),
                )
                for i, (raw, served) in enumerate(sent[3 * minute :][:3])
            )
        )
    found = api.get(DRIFT, start="2026-01-05T11:01:00Z", end="2026-01-05T11:02:00Z")["class_shift"]
    shares = {each["class"]: (each["reference"], each["current"]) for each in found["classes"]}
    assert shares == {"ant": (2 / 3, 0), "bee": (1 / 3, 1), "cat": (0, 0)}


def test_answers_that_are_no_classes_have_no_shift(api, tools):
    api.send(
        tools.prediction("a", confidence=0.9, prediction="Paris"), tools.prediction("b", confidence=0.9, prediction=3)
    )
    found = api.get(DRIFT, window="1h")
    assert (found["predictions"], found["class_shift"]) == (2, None)


def test_of_nothing_every_figure_is_null(api):
    api.put("m", status=201, task="binary")
    found = api.get(DRIFT)
    names = ("psi", "ks", "js", "wasserstein", "wasserstein_null_95", "class_shift")
    assert {found[name] for name in names} == {None}


def test_a_day_may_raise_the_alert_before_a_week_has_a_past(api, tools, clock):
    """Two days of the same scores and a day of others: the week before has no past yet, and the night none either."""
    api.put("m", status=201, task="binary", minimum_labels=50, windows=["1h", "24h", "7d"], label_delay="0s")

    def day_of(day, scores):
        clock.micros = int(datetime(2026, 1, day + 1, tzinfo=UTC).timestamp() * 1e6)
        api.send(
            *(
                tools.prediction(f"{day}-{hour}-{p}", p, timestamp=f"2026-01-{day:02}T{hour:02}:30:00Z")
                for hour in range(24)
                for p in scores
            )
        )
        api.judge()
        return [
            (each["window"], each["state"])
            for each in api.get("/v1/models/m/alerts")["alerts"]
            if each["kind"] == "score_drift"
        ]

    usual, other = (0.1, 0.2, 0.3, 0.6, 0.7, 0.8), (0.91, 0.92, 0.93, 0.94, 0.95, 0.96)
    assert day_of(5, usual) == []
    assert day_of(6, usual) == []
    assert day_of(7, other) == [("24h", "firing")]
