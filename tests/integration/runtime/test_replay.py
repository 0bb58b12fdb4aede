"""What other settings would have done over stored history."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from sqlalchemy import select
from typer.testing import CliRunner

from monitor.cli import main
from monitor.domain.times import DAY, HOUR, MINUTE, micros, rfc3339
from monitor.runtime import replays as replays_module
from monitor.runtime.replay import _usual_step, replay_history
from monitor.store import models, replays, scratch
from monitor.store.schema import metadata, secret
from monitor.store.schema import replay as replay_table

BEGIN = datetime.fromisoformat("2026-01-01T00:00:00Z")
SHIFT = BEGIN + timedelta(days=6)
A_MINUTE = timedelta(minutes=1)
"""Windows end with the minute of the newest event, promotions with that event."""

POLICY: dict[str, Any] = {
    "step": "6h",
    "label_delay": "0s",
    "windows": ["24h"],
    "minimum_labels": 200,
    "alert_policy": "window",
    "recalibration": "auto",
}


def history(
    days: int, *, per_hour: int = 12, shift: datetime | None = SHIFT, late: timedelta = timedelta(0), seed: int = 5
) -> list[dict[str, Any]]:
    """Return a binary model's life: calibrated up to the shift, overconfident after it; labels late by so much."""
    random = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for i in range(days * 24 * per_hour):
        at = BEGIN + timedelta(hours=i / per_hour, seconds=7)
        p = float(np.clip(random.beta(0.5, 0.5), 0.005, 0.995))
        slope = 1.0 if shift is None or at < shift else 0.4
        y = bool(random.uniform() < expit(slope * logit(p)))
        found.append({"type": "prediction", "event_id": f"e{i}", "model": "m", "timestamp": text(at), "probability": p})
        found.append({"type": "label", "event_id": f"e{i}", "model": "m", "label": y, "timestamp": text(at + late)})
    return found


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def stored(api: Any, events: list[dict[str, Any]]) -> None:
    api.put(status=201, task="binary", recalibration="off")
    api.clock.micros = micros(BEGIN) + 60 * DAY
    with api.services.database.write() as connection:
        # Which events are in the random half is part of what happens.
        connection.execute(secret.update().values(value=bytes(32)))
    for first in range(0, len(events), 5000):
        api.send(*events[first : first + 5000])


def replayed(api: Any, **policy: Any) -> Any:
    return api.replay(**{**POLICY, **policy})


def at_of(step: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(step["at"])


def contents(api: Any) -> dict[str, list[Any]]:
    """Return all that is stored, but for the lease and the list of replays."""
    with api.services.database.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name not in {"lease", "replay"}
        }


@pytest.mark.parametrize("alert_policy", ["window", "sequential"])
def test_replay_tells_alarm_and_repair_in_event_time(api: Any, alert_policy: str) -> None:
    stored(api, history(12))
    outcome = replayed(api, alert_policy=alert_policy)
    fired = [each for each in outcome["alerts"] if each["state"] == "firing"]
    assert ["miscalibration"] == [each["kind"] for each in fired]
    assert SHIFT < at_of(fired[0]) < SHIFT + timedelta(days=3)
    promoted = outcome["promotions"]
    assert [1] == [each["number"] for each in promoted]
    assert at_of(fired[0]) - A_MINUTE <= at_of(promoted[0]) < BEGIN + timedelta(days=12)
    assert promoted[0]["fitted_from"]["labels"] >= 3 * 200 * 0.6
    assert promoted[0]["gate"]["passed"]
    assert "resolved" == outcome["alerts"][0]["state"]
    assert [] == outcome["rollbacks"]


def test_replay_counts_its_evaluations(sqlite_api: Any) -> None:
    stored(sqlite_api, history(2, shift=None))
    day = replayed(sqlite_api, step="1h", start=text(BEGIN + timedelta(days=1)), end=text(BEGIN + timedelta(days=2)))
    coarse = replayed(sqlite_api, start=text(BEGIN + timedelta(days=1)), end=text(BEGIN + timedelta(days=2)), step="6h")
    assert day["evaluations"] > 4 * coarse["evaluations"] > 0


def test_replay_under_a_high_threshold_is_quiet(sqlite_api: Any) -> None:
    stored(sqlite_api, history(12))
    outcome = replayed(sqlite_api, thresholds={"ece": 0.5, "psi": 5})
    assert ([], []) == (outcome["alerts"], outcome["promotions"])


def test_replay_uses_no_label_before_it_was_known(sqlite_api: Any) -> None:
    late = timedelta(days=3)
    stored(sqlite_api, history(12, late=late))
    outcome = replayed(sqlite_api, label_delay="3d")
    prompt = replayed(sqlite_api, label_delay="3d", end=text(SHIFT + late))
    assert [] == prompt["alerts"]  # by then no label from after the shift was known
    assert "firing" in [each["state"] for each in outcome["alerts"]]
    assert [1] == [each["number"] for each in outcome["promotions"]]
    assert at_of(outcome["promotions"][0]) > SHIFT + late


def test_a_label_without_a_time_is_known_after_the_declared_delay(sqlite_api: Any) -> None:
    events = history(12)
    for each in events:
        if each["type"] == "label":
            del each["timestamp"]
    stored(sqlite_api, events)
    assert [] == replayed(sqlite_api, label_delay="5d", end=text(SHIFT + timedelta(days=5)))["alerts"]
    assert [] != replayed(sqlite_api, label_delay="0s", end=text(SHIFT + timedelta(days=5)))["alerts"]


def test_replay_of_the_settings_that_ran_live_says_what_live_said(sqlite_api: Any) -> None:
    api = sqlite_api
    api.put(status=201, task="binary", **{name: value for name, value in POLICY.items() if name != "step"})
    batches: dict[int, list[dict[str, Any]]] = {}
    for each in history(10, per_hour=12):
        batches.setdefault(micros(datetime.fromisoformat(each["timestamp"])) // (6 * HOUR), []).append(each)
    for hour in sorted(batches):
        api.clock.micros = (hour + 1) * 6 * HOUR
        api.send(*_served(api, batches[hour]))
        api.judge()
    live = api.get("/v1/models/m/alerts")["alerts"]
    outcome = replayed(api, step="6h")
    assert "firing" in [each["state"] for each in live]
    assert [(each["at"], each["kind"], each["state"]) for each in live] == [
        (each["at"], each["kind"], each["state"]) for each in outcome["alerts"]
    ]
    assert live[-1]["evidence"] == outcome["alerts"][-1]["evidence"]
    champion = api.get("/v1/models/m/calibrators/champion")
    assert champion["parameters"] == api.get("/v1/models/m/calibrators/1")["parameters"]
    assert 1 == outcome["promotions"][0]["number"]


def _served(api: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events as a client that applies the champion sends them."""
    raw = [each["probability"] for each in events if each["type"] == "prediction"]
    answer = api.post("/v1/models/m/calibrate", {"probabilities": raw})
    if answer["calibrator_version"] is None:
        return events
    served = iter(answer["probabilities"])
    applied = {"calibrator_version": answer["calibrator_version"]}
    return [
        {**each, "probability": next(served), "raw_probability": each["probability"], **applied}
        if each["type"] == "prediction"
        else each
        for each in events
    ]


def test_replay_changes_nothing_that_is_stored(api: Any) -> None:
    stored(api, history(9))
    before = contents(api)
    assert replayed(api)["alerts"]
    assert before == contents(api)


def test_replay_of_vectors_begins_with_the_raw_ones(sqlite_api: Any) -> None:
    sqlite_api.put(status=201, task="multiclass", classes=["a", "b", "c"])
    random = np.random.default_rng(3)
    events = []
    for i in range(2000):
        raw = random.dirichlet([0.3, 0.3, 0.3])
        at = rfc3339(micros(BEGIN) + i * 2 * MINUTE)
        truth = "abc"[random.choice(3, p=raw)]
        served = {"probabilities": [1.0, 0.0, 0.0], "raw_probabilities": raw.tolist(), "calibrator_version": 7}
        events.append({"type": "prediction", "event_id": f"e{i}", "model": "m", "timestamp": at, **served})
        events.append({"type": "label", "event_id": f"e{i}", "model": "m", "label": truth, "timestamp": at})
    bare = {"type": "prediction", "event_id": "x", "model": "m", "timestamp": rfc3339(micros(BEGIN))}
    events.append({**bare, "probabilities": [1.0, 0.0, 0.0], "calibrator_version": 7})
    sqlite_api.clock.micros = micros(BEGIN) + 60 * DAY
    sqlite_api.send(*events)
    outcome = replayed(sqlite_api)
    assert ([], 1) == (outcome["alerts"], outcome["left_out"])


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"thresholds": {"ece": 7}}, "thresholds.ece"),
        ({"speed": 2}, "speed"),
        ({"step": "1s"}, "step"),
        ({"step": "soon"}, "step"),
        ({"start": "yesterday"}, "start"),
        ({"start": "2026-01-03T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, "end"),
    ],
)
def test_a_wrong_policy_is_refused_and_says_which_part(sqlite_api: Any, given: dict[str, Any], field: str) -> None:
    sqlite_api.put(status=201, task="binary")
    assert field == sqlite_api.refused("POST", "/v1/models/m/replay", json=given)["field"]


def test_too_many_steps_fail_and_say_which_part(sqlite_api: Any) -> None:
    stored(sqlite_api, [*history(1, per_hour=1), *_much_later()])
    failed = ended(sqlite_api, sqlite_api.post("/v1/models/m/replay", {"step": "1m"}, status=202)["id"])
    assert (failed["state"], failed["result"]) == ("failed", None)
    assert failed["reason"].startswith("step is 60: gives")


@pytest.mark.parametrize(("days", "hours"), [(1, 1), (80, 1), (90, 2), (1461, 18)])
def test_without_a_step_there_are_at_most_two_thousand(days: int, hours: int) -> None:
    step = _usual_step(days * DAY)
    assert step == hours * HOUR
    assert days * DAY / step < 2000


def _much_later() -> list[dict[str, Any]]:
    at = text(BEGIN + timedelta(days=50))
    return [{"type": "prediction", "event_id": "late", "model": "m", "timestamp": at, "probability": 0.5}]


def test_another_task_is_refused(sqlite_api: Any) -> None:
    sqlite_api.put(status=201, task="binary")
    sqlite_api.refused("POST", "/v1/models/m/replay", 409, json={"task": "multiclass"})


def test_replay_of_an_unknown_model_is_not_found(sqlite_api: Any) -> None:
    sqlite_api.refused("POST", "/v1/models/m/replay", 404, json={})


def test_replay_of_no_history_is_empty(api: Any) -> None:
    api.put(status=201, task="binary")
    outcome = replayed(api)
    assert {"alerts": [], "promotions": [], "rollbacks": [], "evaluations": 0} == {
        name: outcome[name] for name in ("alerts", "promotions", "rollbacks", "evaluations")
    }


def ended(api: Any, number: int) -> Any:
    """Return a replay once it does not run any more."""
    while (found := api.get(f"/v1/models/m/replays/{number}"))["state"] == "running":
        time.sleep(0.02)
    return found


@pytest.fixture
def held(monkeypatch: Any) -> Iterator[threading.Event]:
    """Let replays wait after they have read the history, until this is set."""
    go = threading.Event()

    def slow(model: Any, plan: Any, past: Any, *, report: Any) -> Any:
        report(1, 1000)
        while not go.wait(0.01):
            report(1, 1000)
        return replay_history(model, plan, past, report=report)

    monkeypatch.setattr(replays_module, "replay_history", slow)
    monkeypatch.setattr(replays_module, "NOTE_SECONDS", 0.0)
    yield go
    go.set()


def test_a_replay_says_how_far_it_is_and_what_came_of_it(api: Any, held: threading.Event) -> None:
    stored(api, history(2))
    number = api.post("/v1/models/m/replay", POLICY, status=202)["id"]
    while not (running := api.get(f"/v1/models/m/replays/{number}"))["progress"]["total"]:
        time.sleep(0.01)
    assert (running["state"], running["result"], running["policy"]) == ("running", None, POLICY)
    assert 0 < running["progress"]["done"] <= running["progress"]["total"] == 1000
    held.set()
    done = ended(api, number)
    assert done["progress"]["done"] == done["progress"]["total"] > 0
    assert done["result"]["evaluations"] > 0
    listed = api.get("/v1/models/m/replays")["replays"]
    assert listed == [{name: value for name, value in done.items() if name != "result"}]


def test_one_replay_of_a_model_runs_at_a_time(api: Any, held: threading.Event) -> None:
    stored(api, history(1))
    number = api.post("/v1/models/m/replay", POLICY, status=202)["id"]
    problem = api.refused("POST", "/v1/models/m/replay", 409, json={})
    assert problem["detail"].startswith(f"replay {number} of this model is running")
    held.set()
    assert ended(api, number)["state"] == "done"
    assert api.replay()["evaluations"] > 0


def test_a_cancelled_replay_ends_and_makes_room(api: Any, held: threading.Event) -> None:
    stored(api, history(1))
    number = api.post("/v1/models/m/replay", POLICY, status=202)["id"]
    cancelled = api.ask("DELETE", f"/v1/models/m/replays/{number}")
    assert (cancelled["state"], cancelled["finished_at"] is None) == ("cancelled", False)
    assert api.refused("DELETE", f"/v1/models/m/replays/{number}", 409)["detail"].endswith("it is cancelled")
    held.set()
    assert api.replay()["evaluations"] > 0
    assert api.get(f"/v1/models/m/replays/{number}")["result"] is None


@pytest.mark.usefixtures("held")
def test_a_replay_ends_with_its_server(api: Any) -> None:
    stored(api, history(1))
    number = api.post("/v1/models/m/replay", POLICY, status=202)["id"]
    api.client.app.state.replays.stop()
    stopped = api.get(f"/v1/models/m/replays/{number}")
    assert (stopped["state"], stopped["reason"]) == ("failed", "the server was stopped")


def test_a_replay_whose_process_died_has_failed_and_makes_room(api: Any) -> None:
    stored(api, history(1))
    with api.services.database.write() as connection:
        number = replays.begin(connection, models.named(connection, "m").id, {}, api.clock())
        connection.execute(replay_table.update().values(heard_at=replay_table.c.heard_at - replays.SILENT - 1))
    dead = api.get(f"/v1/models/m/replays/{number}")
    assert (dead["state"], dead["reason"]) == ("failed", "the process that ran it ended")
    assert [one["state"] for one in api.get("/v1/models/m/replays")["replays"]] == ["failed"]
    assert api.replay()["evaluations"] > 0


def test_an_unexpected_failure_is_told_and_logged(sqlite_api: Any, monkeypatch: Any, caplog: Any) -> None:
    stored(sqlite_api, history(1))
    monkeypatch.setattr(replays_module, "replay_history", lambda *_, **__: 1 / 0)
    failed = ended(sqlite_api, sqlite_api.post("/v1/models/m/replay", {}, status=202)["id"])
    assert failed["reason"] == "something went wrong; the server's log says what"
    assert "ZeroDivisionError" in caplog.text


def test_replays_of_before_last_week_are_forgotten(api: Any) -> None:
    stored(api, history(1))
    api.replay()
    with api.services.database.write() as connection:
        assert replays.thin(connection, api.clock()) == 0
        assert replays.thin(connection, api.clock() + 1) == 1
    assert api.get("/v1/models/m/replays") == {"replays": []}
    api.refused("GET", "/v1/models/m/replays/1", 404)


def test_command_prints_what_the_api_answers(sqlite_api: Any, sqlite_url: str, monkeypatch: Any, tmp_path: Any) -> None:
    stored(sqlite_api, history(10))
    (tmp_path / "policy.json").write_text(json.dumps({name: value for name, value in POLICY.items() if name != "step"}))
    monkeypatch.setenv("CALWATCH_DATABASE_URL", sqlite_url)
    asked = ["replay", "m", "--policy", str(tmp_path / "policy.json"), "--step", "6h"]
    printed = CliRunner().invoke(main.app, [*asked, "--json"])
    assert replayed(sqlite_api) == json.loads(printed.stdout)
    assert "1 promotion(s)" in CliRunner().invoke(main.app, asked).stdout


def test_command_says_what_is_wrong_with_a_policy(sqlite_url: str, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("CALWATCH_DATABASE_URL", sqlite_url)
    (tmp_path / "policy.json").write_text("{")
    refused = CliRunner().invoke(main.app, ["replay", "m", "--policy", str(tmp_path / "policy.json")])
    assert refused.exit_code == 2
    assert "is not JSON" in refused.stderr


def test_no_file_is_left_behind(sqlite_api: Any, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stored(sqlite_api, history(1, shift=None))
    past: list[list[Any]] = []
    taken = scratch.put_twin

    def put_twin(*given: Any) -> Any:
        past.append(list(tmp_path.glob("calwatch-*")))
        return taken(*given)

    monkeypatch.setattr("monitor.runtime.replay.put_twin", put_twin)
    replayed(sqlite_api)
    assert 1 == len(past[0])
    assert [] == list(tmp_path.glob("calwatch-*"))


def test_a_drift_that_reverses_is_promoted_and_rolled_back_in_a_replay(sqlite_api: Any) -> None:
    """Overconfident from the third day to the seventh, calibrated before and after: served by no calibrator, replayed with one."""
    events = history(13, shift=None)
    drifted = history(13, shift=BEGIN + timedelta(days=2))
    over = BEGIN + timedelta(days=7)
    both = [
        (drifted if datetime.fromisoformat(each["timestamp"]) < over else events)[i] for i, each in enumerate(events)
    ]
    stored(sqlite_api, both)
    outcome = replayed(sqlite_api)
    promoted, rolled_back = outcome["promotions"][-1], outcome["rollbacks"][-1]
    assert (1, 1, None) == (promoted["number"], rolled_back["number"], rolled_back["restored"])
    assert at_of(promoted) < over < at_of(rolled_back) < over + timedelta(days=6)
    assert "calibrator 1 is worse than no calibrator, which it replaced" in rolled_back["reason"]
