"""Remedies over HTTP: what a miscalibrated window is compared with, and what is said to do about it."""

import pytest

CALIBRATION = "/v1/models/m/calibration"
HEALTHY = ((0.9, 18), (0.7, 14), (0.3, 6), (0.1, 2))
"""Probabilities, and of 20 such predictions how many come true."""

TOO_EXTREME = ((0.98, 18), (0.94, 14), (0.06, 6), (0.02, 2))
LESS_ACCURATE = ((0.9, 13), (0.7, 11), (0.3, 9), (0.1, 7))
AT_CHANCE = ((0.9, 10), (0.7, 10), (0.3, 10), (0.1, 10))
WHILE_HEALTHY = {"start": "2026-01-05T10:00:00Z", "end": "2026-01-05T10:20:00Z"}
NOW = {"start": "2026-01-05T10:20:00Z", "end": "2026-01-05T10:40:00Z"}


def minutes_of(tools, minutes, rows, **how):
    """Return predictions of some minutes from ten o'clock on, with their labels; `how` says what their fields are by number."""
    event = how.get("event", lambda _: {})
    told = how.get("label", lambda _, y: {"value": y})
    return [
        each
        for minute in minutes
        for p, right in rows
        for i in range(20)
        for each in (
            tools.prediction(f"{minute}-{p}-{i}", p, timestamp=f"2026-01-05T10:{minute:02}:00Z", **event(i)),
            tools.label(f"{minute}-{p}-{i}", **told(i, int(i < right))),
        )
    ]


@pytest.fixture
def healthy(api, tools):
    """Return a model that was calibrated for twenty minutes, which are declared as its reference."""
    api.put(
        "m",
        status=201,
        label_delay="0s",
        reference=WHILE_HEALTHY,
        minimum_labels=200,
        windows=["5m"],
        segments=["country"],
    )
    api.send(*minutes_of(tools, range(20), HEALTHY))
    return api


def remedy_of(api, **query):
    found = api.get(CALIBRATION, **(query or NOW))
    return found["verdict"], found["remedy"], found["remedy_reason"]


@pytest.mark.parametrize(
    ("rows", "remedy", "words"),
    [(TOO_EXTREME, "recalibrate", "as well as before (AUC 0.85"), (LESS_ACCURATE, "retrain", "less well (AUC 0.6"),
     (AT_CHANCE, "check_labels", "no better than chance (AUC 0.50")],
)  # fmt: skip
def test_a_miscalibrated_window_is_held_against_its_reference(healthy, tools, rows, remedy, words):
    healthy.send(*minutes_of(tools, range(20, 40), rows))
    verdict, told, reason = remedy_of(healthy)
    assert (verdict, told) == ("suspect", remedy)
    assert words in reason


def test_what_to_retrain_names_wrong_labels_as_the_other_explanation(healthy, tools):
    healthy.send(*minutes_of(tools, range(20, 40), LESS_ACCURATE))
    assert "Wrong labels look the same" in remedy_of(healthy)[2]


def test_a_calibrated_window_has_no_remedy(healthy):
    assert remedy_of(healthy, **WHILE_HEALTHY) == ("calibrated", None, None)


def flipped(i, y):
    """Return labels of two sources, one of which is wrong."""
    return {"value": 1 - y if i % 2 else y, "source": "import" if i % 2 else "review"}


def test_one_source_that_is_off_is_named(healthy, tools):
    healthy.send(*minutes_of(tools, range(20, 40), HEALTHY, label=flipped))
    _, remedy, reason = remedy_of(healthy)
    assert remedy == "check_labels"
    assert "those of source import are off" in reason


def test_one_segment_that_is_off_is_named(healthy, tools):
    healthy.send(
        *minutes_of(
            tools, range(20, 40), HEALTHY,
            event=lambda i: {"segments": {"country": "BR" if i % 2 else "DE"}},
            label=lambda i, y: {"value": 1 - y if i % 2 else y},
        )
    )  # fmt: skip
    _, remedy, reason = remedy_of(healthy)
    assert remedy == "check_labels"
    assert "predictions of country:BR are off" in reason


def test_late_labels_that_are_off_are_named(healthy, tools):
    times = {0: "2026-01-05T10:45:00Z", 1: "2026-01-05T11:30:00Z"}
    healthy.send(
        *minutes_of(
            tools, range(20, 40), HEALTHY,
            label=lambda i, y: {"value": 1 - y if i % 2 else y, "timestamp": times[i % 2]},
        )
    )  # fmt: skip
    _, remedy, reason = remedy_of(healthy)
    assert remedy == "check_labels"
    assert "late ones are off" in reason


def test_without_a_reference_one_has_to_wait(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=200)
    api.send(*minutes_of(tools, range(20, 40), LESS_ACCURATE))
    verdict, remedy, reason = remedy_of(api)
    assert (verdict, remedy) == ("suspect", "wait")
    assert "Nothing says how good the model should be" in reason


def test_a_validation_set_is_the_reference_where_there_is_one(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=200)
    api.send(*minutes_of(tools, range(20), HEALTHY, event=lambda _: {"reference": True}))
    api.send(*minutes_of(tools, range(20, 40), LESS_ACCURATE))
    assert remedy_of(api)[1] == "retrain"


def test_the_calibrated_past_is_the_reference_where_there_is_no_other(api, tools):
    api.put("m", status=201, label_delay="0s", minimum_labels=200, windows=["10m"])
    api.send(*minutes_of(tools, range(20), HEALTHY))
    api.judge()
    api.send(*minutes_of(tools, range(20, 40), TOO_EXTREME))
    assert remedy_of(api)[1] == "recalibrate"


def test_stored_evaluations_of_whole_and_segments_carry_their_remedy(healthy, tools):
    healthy.send(*minutes_of(tools, range(20, 40), LESS_ACCURATE, event=lambda _: {"segments": {"country": "BR"}}))
    healthy.judge()
    whole, of_segment = (
        healthy.get("/v1/models/m/history", window="5m", segment=segment)["evaluations"][-1]
        for segment in ("", "country:BR")
    )
    assert (whole["verdict"], whole["remedy"]) == ("miscalibrated", "retrain")
    assert (of_segment["verdict"], of_segment["remedy"]) == ("miscalibrated", "wait")


@pytest.mark.parametrize("policy", ["window", "sequential"])
def test_an_alert_says_what_to_do_in_its_evidence_and_its_summary(healthy, tools, policy):
    healthy.put("m", alert_policy=policy)
    healthy.send(*minutes_of(tools, range(20, 40), LESS_ACCURATE))
    healthy.judge()
    (alert,) = [each for each in healthy.get("/v1/models/m/alerts")["alerts"] if each["kind"] == "miscalibration"]
    evidence = alert["evidence"]
    assert (alert["state"], alert["window"], evidence["remedy"]) == (
        "firing",
        policy.replace("window", "5m"),
        "retrain",
    )
    assert f"What to do: retrain the model. {evidence['remedy_reason']}" in evidence["summary"]


def test_a_regression_is_held_against_the_crps_of_its_reference(api, tools):
    def of(minutes, spread, std):
        steps = [(i - 9.5) / 5.77 for i in range(20)]
        return [
            each
            for minute in minutes
            for number, step in enumerate(steps * 3)
            for each in (
                tools.prediction(f"{minute}-{number}", mean=5.0, std=std, timestamp=f"2026-01-05T10:{minute:02}:00Z"),
                tools.label(f"{minute}-{number}", 5.0 + spread * step),
            )
        ]

    api.put("m", status=201, label_delay="0s", reference=WHILE_HEALTHY, minimum_labels=200)
    api.send(*of(range(20), 1.0, 1.0), *of(range(20, 40), 1.0, 0.3))
    assert remedy_of(api)[:2] == ("suspect", "recalibrate")
    api.send(*of(range(40, 60), 3.0, 1.0))
    later = {"start": "2026-01-05T10:40:00Z", "end": "2026-01-05T11:00:00Z"}
    assert remedy_of(api, **later)[:2] == ("suspect", "retrain")
