"""The alarm on a calibrator that waits for a person: to the API, to Prometheus and to a webhook."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monitor.alert.notify import send_due, webhook
from monitor.runtime.stages import run_stages
from monitor.store.alerts import due

CALIBRATORS = "/v1/models/m/calibrators"
TOO_SURE = ((0.9, 14), (0.7, 12), (0.3, 8), (0.1, 6))
"""Probabilities, and of 20 such predictions how many come true: .7, .6, .4 and .3."""


@pytest.fixture
def sure(api, tools):
    """Return a model that is too sure of itself, of a version that has a name."""
    api.put("m", status=201, label_delay="0s")
    for minute in range(20):
        events = []
        for p, right in TOO_SURE:
            for i in range(20):
                name, at = f"{minute}-{p}-{i}", f"2026-01-05T10:{minute:02}:00Z"
                events += [
                    tools.prediction(name, p, timestamp=at, model_version="v1"),
                    tools.label(name, int(i < right)),
                ]
        api.ask("POST", "/v1/events", json={"events": events})
    api.roll_up()
    return api


@pytest.fixture
def received():
    """Return the address of a webhook, and what it received."""
    bodies = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def announced(api):
    """Return the transitions of the alarm, oldest first."""
    alerts = api.get("/v1/models/m/alerts")["alerts"]
    return [alert for alert in reversed(alerts) if alert["kind"] == "proposal"]


def said(api):
    return [(alert["state"], alert["evidence"]["summary"]) for alert in announced(api)]


def waiting(api):
    """Return whether a version waits as Prometheus says it, and which as the API says it."""
    (line,) = [
        line
        for line in api.client.get("/metrics").text.splitlines()
        if line.startswith("calibration_proposal_waiting{")
    ]
    (listed,) = api.get("/v1/models")["models"]
    assert listed["proposal"] == api.get("/v1/models/m")["proposal"]
    return float(line.split()[-1]), listed["proposal"]


def test_a_proposal_is_announced_once_and_ends_with_its_promotion(sure):
    sure.judge()  # the breach is answered by a proposal
    assert said(sure) == []
    assert waiting(sure) == (1.0, 1)
    for _ in range(2):
        sure.judge()
    (fired,) = announced(sure)
    assert (fired["state"], fired["window"], fired["version"], fired["segment"]) == ("firing", "", "", "")
    evidence = fired["evidence"]
    assert (evidence["calibrator"], evidence["champion"], evidence["held"]) == (1, None, None)
    document = sure.get(f"{CALIBRATORS}/1")
    assert evidence["method"] == document["method"]
    (breach,) = [alert for alert in sure.get("/v1/models/m/alerts")["alerts"] if alert["kind"] == "miscalibration"]
    assert evidence["summary"] == (
        f"m: {breach['evidence']['story']} "
        f"Calibrator 1 ({document['method']}), which passed its gate on {document['gate']['rows']:.0f} held-out labels, "
        f"{'repairs it' if breach['evidence']['remedy'] == 'recalibrate' else 'makes it better'} and waits for you: "
        "promote it, or reject it and leave no calibrator in service."
    )
    assert breach["evidence"]["story"].startswith("Is too extreme at both ends since 5 Jan 10:")
    sure.post(f"{CALIBRATORS}/1/promote")
    sure.judge()
    assert said(sure)[1:] == [("resolved", "m: Calibrator 1 does not wait any more: it is in service.")]
    assert waiting(sure) == (0.0, None)


@pytest.mark.parametrize("recalibration", ["propose", "shadow"])
def test_a_person_rejects_what_waits_or_is_on_trial(sure, recalibration):
    sure.put(recalibration=recalibration)
    sure.judge()
    sure.judge()
    assert sure.refused("POST", f"{CALIBRATORS}/2/reject", 404, json={})["detail"] == "model 'm' has no calibrator 2"
    assert sure.post(f"{CALIBRATORS}/1/reject", {"reason": "not now"}) == {"champion": None}
    sure.judge()
    assert waiting(sure) == (0.0, None)
    assert sure.get(CALIBRATORS)["challenger"] is None
    step = sure.get("/v1/models/m/audit")["audit"][-1]
    answered = {"number": 1, "reason": "not now", "event_time": "2026-01-05T10:19:00Z"}
    assert (step["action"], step["detail"]) == ("reject", answered)
    if recalibration == "propose":
        assert said(sure)[1:] == [("resolved", "m: Calibrator 1 does not wait any more: it was rejected.")]
    again = sure.refused("POST", f"{CALIBRATORS}/1/reject", 409, json={})
    assert again["detail"] == "calibrator 1 of m neither waits for a decision nor is on trial"
    sure.judge()  # a refit by itself waits for new labels
    assert sure.get(CALIBRATORS)["challenger"] is None
    assert [one["number"] for one in sure.get(CALIBRATORS)["calibrators"]] == [1]


AS_SAID = ((0.9, 18), (0.7, 14), (0.3, 6), (0.1, 2))


def send_more(api, tools, minutes, cases=TOO_SURE):
    """Send as many events a minute as `sure` has."""
    for minute in minutes:
        events = []
        at = f"2026-01-05T{10 + minute // 60}:{minute % 60:02}:00Z"
        for p, right in cases:
            for i in range(20):
                name = f"{minute}-{p}-{i}"
                events += [
                    tools.prediction(name, p, timestamp=at, model_version="v1"),
                    tools.label(name, int(i < right)),
                ]
        api.ask("POST", "/v1/events", json={"events": events})
    api.roll_up()


def numbers(api):
    return [one["number"] for one in api.get(CALIBRATORS)["calibrators"]]


def firing(api):
    return [alert["state"] for alert in api.get("/v1/models/m/alerts")["alerts"] if alert["kind"] == "miscalibration"]


def test_a_rejected_version_does_not_come_again_while_the_same_alert_fires(sure, tools):
    sure.judge()
    sure.post(f"{CALIBRATORS}/1/reject")
    for minutes in (range(20, 35), range(35, 50)):  # 1,200 labels each, and 500 are enough for another attempt
        send_more(sure, tools, minutes)
        sure.judge()
    assert (firing(sure), numbers(sure)) == (["firing"], [1])
    sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)  # a person may refit
    assert numbers(sure) == [2, 1]


def test_the_next_alert_after_a_rejection_is_answered(sure, tools):
    sure.judge()
    sure.post(f"{CALIBRATORS}/1/reject")
    send_more(sure, tools, range(20, 110), AS_SAID)
    sure.judge()
    assert firing(sure) == ["resolved", "firing"]
    sure.clock.advance(timedelta(hours=1))
    send_more(sure, tools, range(110, 170))
    for _ in range(2):
        sure.judge()
    assert firing(sure) == ["firing", "resolved", "firing"]
    assert numbers(sure) == [2, 1]


def test_a_promotion_after_a_rejection_ends_what_that_answered(sure, tools):
    sure.judge()
    sure.post(f"{CALIBRATORS}/1/reject")
    useless = {"method": "temperature", "task": "binary", "parameters": {"temperature": 1.0}}
    sure.post(CALIBRATORS, {"document": useless, "holdout": 0}, status=201)
    sure.post(f"{CALIBRATORS}/2/promote")
    send_more(sure, tools, range(20, 60))
    sure.judge()
    assert (firing(sure), numbers(sure)) == (["firing"], [3, 2, 1])


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (("promote", "rollback"), "it was in service, and was rolled back"),
        (("promote", "promote-2"), "it was in service, and another took its place"),
        (("refit", "reject-2"), "calibrator 2 took its place"),
        (("reject",), "it was rejected"),
    ],
)
def test_the_end_of_a_proposal_says_what_became_of_it(sure, steps, words):
    for _ in range(2):
        sure.judge()
    if "promote-2" in steps:
        sure.post(CALIBRATORS, {"method": "platt", "holdout": 0}, status=201)
    for step in steps:
        action, _, number = step.partition("-")
        if action == "refit":
            sure.post(CALIBRATORS, {"method": "platt", "promote": False}, status=201)
        else:
            sure.post(f"{CALIBRATORS}/rollback" if action == "rollback" else f"{CALIBRATORS}/{number or 1}/{action}")
    sure.judge()
    assert said(sure)[1:] == [("resolved", f"m: Calibrator 1 does not wait any more: {words}.")]


def test_a_version_that_waits_in_the_place_of_another_is_announced_at_once(sure):
    for _ in range(2):
        sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)
        sure.judge()
    words = said(sure)
    assert [state for state, _ in words] == ["firing", "resolved", "firing"]
    assert words[1][1] == "m: Calibrator 1 does not wait any more: calibrator 2 waits in its place."
    assert ". Calibrator 2 (temperature), which passed" in words[2][1]
    assert announced(sure)[2]["evidence"]["calibrator"] == 2


def test_a_version_in_the_shadow_waits_for_nobody(sure):
    sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)
    sure.judge()
    sure.put("m", recalibration="shadow")
    sure.judge()
    assert said(sure)[1:] == [("resolved", "m: Calibrator 1 does not wait any more: it is scored without serving.")]
    assert waiting(sure) == (0.0, None)


def test_a_webhook_hears_of_it(sure, received):
    url, bodies = received
    database = sure.services.database
    sure.post(CALIBRATORS, {"method": "temperature", "promote": False}, status=201)
    run_stages(database, sure.token(), now=sure.clock, notify=True)
    send = webhook(5.0)
    while True:
        with database.read() as connection:
            if not due(connection, sure.clock(), limit=1):
                break
        send_due(database, sure.token(), now=sure.clock, url=url, send=send, attempts=3)
    (body,) = [body for body in bodies if body["kind"] == "proposal"]
    (fired,) = announced(sure)
    assert (body["model"], body["state"], body["evidence"]) == ("m", "firing", fired["evidence"])
    assert body["summary"].startswith("m: Calibrator 1 (temperature)")
