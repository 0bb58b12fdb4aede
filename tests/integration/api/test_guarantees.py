"""What alerts of the sequential test promise and limit, through the API."""

import numpy as np
import pytest

EVIDENCE, ALERTS = "/v1/models/m/evidence", "/v1/models/m/alerts"
PER_LABELS = {"per_labels": [0.01, 100_000]}


def send(api, tools, count, gap):
    """Send a model that says so much more than happens, fifty predictions a minute."""
    dice = np.random.default_rng(3)
    p = dice.uniform(0.2, 0.6, count)
    events = []
    for i, (said, y) in enumerate(zip(p, dice.random(count) < p - gap, strict=True)):
        at = f"2026-01-05T11:{i // 50:02}:00Z"
        events += [tools.prediction(f"e{i}", float(said), timestamp=at), tools.label(f"e{i}", int(y))]
    for first in range(0, len(events), 1000):
        api.send(*events[first : first + 1000])
    api.judge()


@pytest.mark.parametrize(
    ("declared", "decided_by", "words"),
    [
        ({}, "log_e", ("ECE is above 0.05", "with probability at most 0.25 %, however long it is watched")),
        ({"guarantee": PER_LABELS}, "log_sr", ("ECE is above 0.05", "within the first 100,000 labels of a test")),
        ({"alert_on": "pointwise"}, "log_ratio", ("Some confidences are off by more than 0.05", "at most 0.25 %")),
        (
            {"alert_on": "pointwise", "guarantee": PER_LABELS},
            "log_ratio_sr",
            ("Some confidences are off by more than 0.05", "after 10,000,000 labels or more on average"),
        ),
    ],
)
def test_an_alert_says_what_it_promises(api, tools, declared, decided_by, words):
    api.put("m", status=201, label_delay="0s", windows=["1h"], minimum_labels=200, recalibration="off", **declared)
    send(api, tools, 2000, 0.17)
    (test,) = api.get(EVIDENCE)["evidence"]
    assert (test["decided_by"], test["guarantee"]) == (decided_by, declared.get("guarantee", "ever"))
    assert test["peak"] >= max(test["fires_at"], test[decided_by])
    (alert,) = api.get(ALERTS)["alerts"]
    assert (alert["state"], alert["window"]) == ("firing", "sequential")
    evidence = alert["evidence"]
    assert [word for word in words if word not in evidence["summary"]] == []
    assert (evidence["decided_by"], evidence["fires_at"]) == (decided_by, test["fires_at"])
    assert (evidence["e_value"] is None) == ("guarantee" in declared)


def test_a_guarantee_per_labels_is_shared_by_versions_in_the_order_of_their_appearance(sqlite_api, tools):
    sqlite_api.put("m", status=201, label_delay="0s", recalibration="off", guarantee=PER_LABELS)
    for version in ("b", "a"):
        sqlite_api.send(tools.prediction(version, 0.5, model_version=version), tools.label(version, 1))
    sqlite_api.judge()
    fires_at = {test["version"]: test["fires_at"] for test in sqlite_api.get(EVIDENCE)["evidence"]}
    false_alarms, labels = PER_LABELS["per_labels"]
    for version, share in (("b", 1 / 4), ("a", 1 / 12)):
        assert fires_at[version] == pytest.approx(np.log(labels / 250 / (false_alarms * share)))


def test_a_calibrated_model_is_left_alone_whatever_is_promised(sqlite_api, tools):
    sqlite_api.put(
        "m",
        status=201,
        label_delay="0s",
        recalibration="off",
        alert_on="pointwise",
        guarantee={"per_labels": [0.5, 250]},
    )
    send(sqlite_api, tools, 1000, 0.0)
    (test,) = sqlite_api.get(EVIDENCE)["evidence"]
    assert test["fires_at"] == pytest.approx(np.log(8))
    assert test["peak"] < test["fires_at"]
    assert sqlite_api.get(ALERTS)["alerts"] == []
