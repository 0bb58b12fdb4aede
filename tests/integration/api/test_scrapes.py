"""What a scrape of Prometheus costs the database, and the thresholds that it shows."""

import math

import pytest
from sqlalchemy import event

from monitor.api.metrics import CalibrationCollector
from monitor.api.score_metrics import exported

SCORE_FAMILIES = {
    *(f"calibration_{name}" for name in exported()),
    *(f"calibration_{name}" for name in ("window_samples", "window_labelled_ratio", "verdict", "segment_flagged")),
    *(f"calibration_bin_{name}" for name in ("confidence_ratio", "observed_ratio", "samples")),
    "calibration_window_end_timestamp_seconds",
}
"""Those that are counted against the limit."""


@pytest.fixture
def queries(sqlite_api):
    """Return the number of queries of one scrape."""
    seen: list[str] = []

    @event.listens_for(sqlite_api.services.database.engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, *_):
        seen.append(statement)

    def of_a_scrape():
        seen.clear()
        assert sqlite_api.client.get("/metrics").status_code == 200
        return len(seen)

    return of_a_scrape


def test_a_scrape_makes_as_many_queries_for_one_model_as_for_many(sqlite_api, tools, queries):
    def serve(name):
        sqlite_api.put(name, status=201, label_delay="0s")
        sqlite_api.send(tools.prediction("a", 0.75, model=name), tools.label("a", 1, model=name))
        sqlite_api.judge()

    serve("first")
    of_one = queries()
    for name in ("second", "third"):
        serve(name)
    assert queries() == of_one > 5


def test_the_threshold_of_evidence_is_the_lowest_of_the_running_tests_or_that_of_the_first(sqlite_api, tools):
    def shown():
        lines = sqlite_api.client.get("/metrics").text.splitlines()
        return float(
            next(line.split()[-1] for line in lines if line.startswith('calibration_threshold{metric="e_value_log"'))
        )

    sqlite_api.put("m", status=201, label_delay="0s", false_alarm_rate=0.02)
    assert shown() == pytest.approx(math.log(4 / 0.02))
    for version in ("1", "2"):
        sqlite_api.send(tools.prediction(version, 0.75, model_version=version), tools.label(version, 1))
    sqlite_api.judge()
    limits = [test["fires_at"] for test in sqlite_api.get("/v1/models/m/evidence")["evidence"]]
    assert shown() == min(limits) < max(limits)


def test_a_verdict_is_exported_as_the_number_that_its_text_names(sqlite_api, tools):
    cases = {"calibrated": (2000, 14), "suspect": (160, 10), "miscalibrated": (2000, 10), "too_few_labels": (20, 14)}
    for name, (count, right) in cases.items():
        sqlite_api.put(name, status=201, label_delay="0s", windows=["1h"], minimum_labels=100, recalibration="off")
        sqlite_api.send(*(tools.prediction(f"e{i}", 0.7, model=name) for i in range(count)))
        sqlite_api.send(*(tools.label(f"e{i}", int(i % 20 < right), model=name) for i in range(count)))
    sqlite_api.judge()
    assert {model["model"]: model["state"] for model in sqlite_api.get("/v1/models")["models"]} == {
        name: name for name in cases
    }
    shown = {
        line.partition('model="')[2].partition('"')[0]: float(line.split()[-1])
        for line in sqlite_api.client.get("/metrics").text.splitlines()
        if line.startswith("calibration_verdict{")
    }
    assert shown == {"calibrated": 0, "suspect": 1, "miscalibrated": 2, "too_few_labels": -1}


@pytest.fixture
def busy(sqlite_api, tools):
    """Return a scrape with at most so many series of scores, of a model with segments of different traffic."""
    settings = {"label_delay": "0s", "windows": ["1h"], "minimum_labels": 100, "thresholds": {"ece": 0.9}}
    sqlite_api.put("m", status=201, segments=["country"], recalibration="off", **settings)
    for country, count in {"few": 90, "many": 2000, "some": 500}.items():
        ids = [f"{country}-{i}" for i in range(count)]
        segments = {"country": country}
        sqlite_api.send(*(tools.prediction(i, [0.7, 0.6][k % 2], segments=segments) for k, i in enumerate(ids)))
        sqlite_api.send(*(tools.label(i, int(k % 20 < 13)) for k, i in enumerate(ids)))
    sqlite_api.judge()

    def scrape(most_series):
        collector = CalibrationCollector(sqlite_api.services.database, sqlite_api.clock, most_series=most_series)
        return {family.name: family.samples for family in collector.collect()}

    return scrape


def segments_in(samples):
    return [segment for (_, _, segment, _), _ in samples]


def test_segments_without_labels_enough_are_not_exported(busy):
    found = busy(10_000)
    assert segments_in(found["calibration_window_samples"]) == ["", "country:many", "country:some"]
    assert set(segments_in(found["calibration_ece_ratio"])) == {"", "country:many", "country:some"}
    assert found["calibration_windows_left_out"] == [((), 0)]


def test_what_is_too_much_to_export_is_what_has_least_traffic(busy):
    whole = sum(len(samples) for name, samples in busy(1).items() if name in SCORE_FAMILIES)
    for most, shown in {1: [""], whole: [""], whole + 1: ["", "country:many"]}.items():
        found = busy(most)
        assert segments_in(found["calibration_window_samples"]) == shown
        assert set(segments_in(found["calibration_drift_psi"])) <= set(shown)
        assert found["calibration_windows_left_out"] == [((), 3 - len(shown))]
