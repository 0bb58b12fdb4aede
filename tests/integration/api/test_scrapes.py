"""What a scrape of Prometheus costs the database, and the thresholds that it shows."""

import math

import pytest
from sqlalchemy import event


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
