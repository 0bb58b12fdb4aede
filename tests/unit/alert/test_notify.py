"""What is posted to the webhook."""

import msgspec

from monitor.alert.notify import body_of
from monitor.domain.alerts import FIRING, RecordedAlert
from monitor.store.alerts import Due


def test_a_notification_is_the_transition_with_its_model_its_words_and_an_id() -> None:
    alert = RecordedAlert(
        at=1_767_571_200_000_000,
        kind="miscalibration",
        state=FIRING,
        window="24h",
        version="v1",
        segment="",
        evidence={"summary": "m v1: ECE is high.", "ece": 0.2},
    )
    posted = msgspec.json.decode(body_of(Due(id="n1", model="m", attempts=0, alert=alert)))
    assert posted == {
        "id": "n1",
        "model": "m",
        "at": "2026-01-05T00:00:00Z",
        "kind": "miscalibration",
        "state": "firing",
        "window": "24h",
        "version": "v1",
        "segment": "",
        "summary": "m v1: ECE is high.",
        "evidence": {"summary": "m v1: ECE is high.", "ece": 0.2},
    }
