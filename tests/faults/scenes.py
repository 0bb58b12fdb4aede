"""What several fault tests play: a model that is overconfident, and what the API then says of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.processes import Answer, call

COUNT = 400


def declare(port: int, **settings: Any) -> None:
    """Declare the model `m`, whose labels are all there at once."""
    declared = {"task": "binary", "label_delay": "0s", "windows": ["1h"], "minimum_labels": 100} | settings
    answer = call(port, "PUT", "/v1/models/m", declared)
    assert answer.status in {200, 201}, answer


def events(count: int = COUNT, *, prefix: str = "e") -> list[dict[str, Any]]:
    """Return predictions of 0.95 over the last half hour, of which half come true, with their labels."""
    begin = datetime.now(UTC) - timedelta(minutes=40)
    found: list[dict[str, Any]] = []
    for i in range(count):
        at = (begin + timedelta(minutes=30 * i / count)).isoformat()
        event = {"event_id": f"{prefix}{i}", "model": "m"}
        found.append({"type": "prediction", "timestamp": at, "probability": 0.95, **event})
        found.append({"type": "label", "label": i % 2, **event})
    return found


def send(port: int, sent: list[dict[str, Any]]) -> Answer:
    return call(port, "POST", "/v1/events", {"events": sent})


def alerts(port: int) -> list[dict[str, Any]]:
    """Return the transitions of calibration alarms, newest first."""
    answer = call(port, "GET", "/v1/models/m/alerts")
    assert answer.status == 200, json.dumps(answer.body)
    return [each for each in answer.body["alerts"] if each["kind"] == "miscalibration"]
