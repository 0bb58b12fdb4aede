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
