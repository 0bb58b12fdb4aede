"""Cohorts and clusters are taken into the sequential tests once each, however often the server is killed as it takes them."""

import json
import signal
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.rollup.verify import differences_of
from monitor.store import models
from monitor.store.engine import Database
from tests.faults.processes import Servers, call, free_port, until
from tests.faults.scenes import declare, send

COUNT = 1500
POINTS = ("cohorts taken, not committed", "tests stored, not committed")


def history() -> list[dict[str, Any]]:
    """Return labelled predictions of 1500 minutes, more than several transactions take; every third belongs to a cluster of two."""
    begin = datetime.now(UTC) - timedelta(minutes=COUNT + 70)
    sent: list[dict[str, Any]] = []
    for i in range(COUNT):
        event = {"event_id": f"e{i}", "model": "m"}
        place = {"segments": {"country": "br" if i % 2 else "de"}} | ({} if i % 3 else {"cluster": f"c{i // 6}"})
        at = (begin + timedelta(minutes=i)).isoformat()
        sent.append({"type": "prediction", "timestamp": at, "probability": 0.5, **event, **place})
        sent.append({"type": "label", "label": i % 2, **event})
    return sent


def evidence_of(port: int) -> dict[str, Any]:
    answer = call(port, "GET", "/v1/models/m/evidence")
    assert answer.status == 200, json.dumps(answer.body)
    return dict(answer.body)


def takes_all(port: int) -> Callable[[], bool]:
    def is_so() -> bool:
        tests = evidence_of(port)["evidence"]
        return bool(tests) and tests[0]["labels"] >= COUNT

    return is_so


def test_every_label_is_in_the_evidence_once_after_kills_as_it_is_taken(servers: Servers) -> None:
    port = free_port()
    killed = servers.start(port, faults=[{"point": POINTS[0], "nth": 2}])
    servers.ready(port, killed)
    declare(port, segments=["country"], cluster_span="1h", recalibration="off")
    assert send(port, history()).status == 200
    assert killed.wait(40) == -signal.SIGKILL, killed.tail()
    for point in (*POINTS, POINTS[1]):
        killed = servers.start(port, faults=[{"point": point, "nth": 2}])
        assert killed.wait(40) == -signal.SIGKILL, killed.tail()
    last = servers.start(port)
    servers.ready(port, last)
    until(takes_all(port), 40, "all labels in the evidence", else_say=lambda: str(evidence_of(port)) + last.tail())
    (whole,), segments = evidence_of(port)["evidence"], evidence_of(port)["segments"]
    assert (whole["labels"], whole["late_labels"]) == (COUNT, 0)
    assert {test["segment"]: (test["labels"], test["late_labels"]) for test in segments} == {
        "country:br": (COUNT // 2, 0),
        "country:de": (COUNT // 2, 0),
    }
    last.send(signal.SIGTERM)
    assert last.wait() == 0, last.tail()
    with closing(Database(servers.url)) as database, database.read() as connection:
        model = models.by_name(connection, "m")
        assert model is not None
        assert list(differences_of(connection, model)) == []
