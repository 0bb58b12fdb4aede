"""An evaluation counts what was accepted before it was asked for, as long as the roll-up keeps up."""

import threading


def accept(api, event):
    """Send an event and leave it in the journal."""
    return api.ask("POST", "/v1/events", json={"events": [event]})["accepted"]


def test_evaluation_waits_for_what_was_accepted_before(api, tools):
    api.send(tools.prediction("a", 0.5))
    assert accept(api, tools.prediction("b", 0.5)) == 1
    later = threading.Timer(0.3, api.roll_up)
    later.start()
    seen = api.get("/v1/models/m/calibration", window="24h")["predictions"]
    later.join()
    assert seen == 2


def test_evaluation_does_not_wait_for_a_roll_up_that_does_not_come(api, tools):
    api.send(tools.prediction("a", 0.5))
    assert accept(api, tools.prediction("b", 0.5)) == 1
    assert api.get("/v1/models/m/calibration", window="24h")["predictions"] == 1
