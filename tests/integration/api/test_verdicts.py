"""One verdict on a model, wherever it is shown."""

import pytest

CALIBRATION = "/v1/models/m/calibration"


def sent(api, tools, n, *, p=0.7, right=10, minute=0, **fields):
    """Send n predictions of one minute, of every 20 of which so many are right."""
    api.send(
        *(
            event
            for i in range(n)
            for event in (
                tools.prediction(f"{minute}-{i}", p, timestamp=f"2026-01-05T11:{minute:02}:00Z", **fields),
                tools.label(f"{minute}-{i}", int(i % 20 < right)),
            )
        )
    )


@pytest.fixture
def declared(api):
    """Return a model whose labels come at once."""
    api.put("m", status=201, label_delay="0s", windows=["1m", "1h"], minimum_labels=100, recalibration="off")
    return api


def verdicts(api):
    """Return the verdict on the newest minute, and the state of the model in the list."""
    return api.get(CALIBRATION, window="1m")["verdict"], api.get("/v1/models")["models"][0]["state"]


def test_a_firing_alert_is_never_under_too_few_labels(declared, tools, clock):
    sent(declared, tools, 4000)
    clock.micros += 60_000_000
    declared.judge()
    declared.judge()
    sent(declared, tools, 20, right=14, minute=5)
    clock.micros += 300_000_000
    declared.judge()
    minute = declared.get(CALIBRATION, window="1m")
    assert declared.get("/v1/models/m")["alerts"] == 1
    assert (minute["labelled"], minute["verdict"]) == (20, "miscalibrated")
    assert minute["labels_needed"] > 0
    assert minute["verdict_reason"].startswith("An alert has been firing since 2026-01-05T11:0")
    assert declared.get("/v1/models")["models"][0]["state"] == "miscalibrated"
    stored = declared.get("/v1/models/m/history", window="1m")["evaluations"]
    assert {one["verdict"] for one in stored} == {"miscalibrated"}


def test_a_bound_above_the_threshold_is_suspect_until_an_alert_fires(declared, tools):
    sent(declared, tools, 400, right=10)
    found = declared.get(CALIBRATION, window="1m")
    assert (found["verdict"], found["ece_lower_bound"] > 0.05) == ("suspect", True)
    assert found["verdict_reason"] == (
        f"The ECE is at least {found['ece_lower_bound']:.3f} (threshold 0.05), but no alert fires yet."
    )
    assert found["remedy"] is not None


def test_a_calibrated_model_is_calibrated_everywhere(declared, tools, clock):
    sent(declared, tools, 4000, right=14)
    clock.micros += 60_000_000
    declared.judge()
    assert verdicts(declared) == ("calibrated", "calibrated")
    assert declared.get(CALIBRATION, window="1m")["verdict_reason"] is None


def test_a_test_half_way_to_its_alert_makes_a_calibrated_window_suspect(declared, tools, clock):
    for minute in range(30):
        sent(declared, tools, 200, right=12, minute=minute)
        clock.micros += 60_000_000
        declared.judge()
        evidence = declared.get("/v1/models/m/evidence")["evidence"]
        if evidence and evidence[0]["log_e"] is not None and 3.1 < evidence[0]["log_e"] < 5.9:
            break
    sent(declared, tools, 20, right=14, minute=minute + 1)
    found = declared.get(CALIBRATION, window="1m")
    assert found["verdict"] == "suspect"
    assert found["verdict_reason"].startswith("The sequential test has gathered more than half")


def test_raw_scores_under_a_calibrator_are_judged_by_their_bound_alone(declared, tools):
    sent(declared, tools, 400, right=10)
    assert declared.get(CALIBRATION, window="1m", scores="raw")["verdict"] == "suspect"
    sent(declared, tools, 400, p=0.5, right=10, minute=1, raw_probability=0.7, calibrator_version=1)
    assert declared.get(CALIBRATION, window="1m")["verdict"] == "too_few_labels"
    assert declared.get(CALIBRATION, window="1m", scores="raw")["verdict"] == "miscalibrated"


def test_a_flagged_segment_opens_as_flagged(api, tools):
    api.put("m", status=201, label_delay="0s", windows=["1h"], segments=["country"], alert_policy="window")
    sent(api, tools, 1500, right=14, minute=0, segments={"country": "fr"})
    sent(api, tools, 1500, right=16, minute=1, segments={"country": "de"})
    sent(api, tools, 1500, right=12, minute=2, segments={"country": "br"})
    listed = {row["segment"]: row for row in api.get("/v1/models/m/segments", window="1h")["segments"]}
    assert {name for name, row in listed.items() if row["flagged"]} == {"country:de", "country:br"}
    for name, row in listed.items():
        opened = api.get(CALIBRATION, window="1h", segment=name)
        assert opened["verdict"] == row["verdict"] == ("suspect" if row["flagged"] else "calibrated")
