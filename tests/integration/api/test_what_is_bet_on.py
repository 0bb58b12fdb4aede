"""What the sequential test bets on, through the API: no label that comes late, and each cluster once."""

from datetime import timedelta

import numpy as np
import pytest
from scipy.special import ndtr

from monitor.domain.times import HOUR, MINUTE, micros, rfc3339
from tests.conftest import NOON


@pytest.fixture
def evidence(api, tools):
    """Return what the sequential test says now."""
    return lambda: api.get(tools.address("m") + "/evidence")["evidence"][0]


@pytest.fixture
def alerts(api, tools):
    return lambda: [alert["kind"] for alert in api.get(tools.address("m") + "/alerts")["alerts"]]


def test_calibrated_predictions_whose_positives_come_a_day_late_raise_no_alert(api, clock, tools, evidence, alerts):
    api.put(label_delay="1h", recalibration="off", status=201)
    dice = np.random.default_rng(1)
    p = dice.random((24, 1250)).round(4)
    y = dice.random(p.shape) < p
    late = np.zeros(p.shape, dtype=bool)
    late.flat[dice.choice(np.flatnonzero(y), 300, replace=False)] = True
    begin = clock.micros
    for hour in range(24):
        names = [f"{hour}-{i}" for i in range(1250)]
        at = [rfc3339(begin + hour * HOUR + i * HOUR // 1250) for i in range(1250)]
        clock.advance(timedelta(hours=1))
        api.send(
            *(tools.prediction(*event, timestamp=t) for *event, t in zip(names, p[hour].tolist(), at, strict=True))
        )
        api.send(*(tools.label(name, int(y[hour, i])) for i, name in enumerate(names) if not late[hour, i]))
    clock.advance(timedelta(hours=1))
    api.judge()
    before = evidence()
    assert (before["labels"], before["late_labels"]) == (29_700, 0)
    clock.advance(timedelta(days=1))
    api.send(*(tools.label(f"{hour}-{i}", 1) for hour, i in np.argwhere(late).tolist()))
    api.judge()
    after = evidence()
    assert (after["labels"], after["late_labels"]) == (29_700, 300)
    assert (after["log_e"], after["log_e_peak"]) == (before["log_e"], before["log_e_peak"])
    assert after["log_e_peak"] < after["fires_at"] / 2
    assert "miscalibration" not in alerts()
    assert api.get(tools.address("m") + "/calibration", window="7d")["labelled"] == 30_000


def test_a_game_of_two_hours_is_one_bet(api, clock, tools, evidence, alerts):
    api.put(label_delay="0s", recalibration="off", status=201)
    games, forecasts = 80, 170
    steps = np.random.default_rng(2).standard_normal((games, forecasts + 1)) / np.sqrt(forecasts + 1)
    lead = 0.5 * np.random.default_rng(3).standard_normal((games, 1)) + np.cumsum(steps, axis=1)
    left = 1.0 - np.arange(1, forecasts + 1) / (forecasts + 1)
    p = np.clip(ndtr(lead[:, :-1] / np.sqrt(left)), 0.001, 0.999)  # of winning, as it is known at each moment
    won = lead[:, -1] > 0
    for game in range(games):
        begin = micros(NOON) + game * 2 * HOUR
        for part in np.array_split(np.arange(forecasts), 2):  # its labels come with its end
            clock.micros = begin + (int(part[-1]) + 1) * 2 * HOUR // forecasts
            api.send(
                *(
                    tools.prediction(
                        f"{game}-{i}", float(p[game, i].round(4)), cluster=f"game {game}",
                        timestamp=rfc3339(begin + i * 2 * HOUR // forecasts),
                    )
                    for i in part.tolist()
                )
            )  # fmt: skip
            if game % 16 == 0:
                api.judge()  # nothing is bet while it lasts
        api.send(*(tools.label(f"{game}-{i}", int(won[game])) for i in range(forecasts)))
        if game % 16 == 0:
            api.judge()
            assert "miscalibration" not in alerts()
    clock.micros += 26 * HOUR
    api.judge()
    says = evidence()
    assert (says["bets"], says["labels"], says["late_labels"]) == (games, games * forecasts, 0)
    assert says["log_e_peak"] < says["fires_at"] / 2
    assert "miscalibration" not in alerts()


def test_labels_of_a_cluster_that_come_after_its_bet_only_teach(api, clock, tools, evidence):
    api.put(label_delay="0s", cluster_span="1h", recalibration="off", status=201)
    api.send(*(tools.prediction(f"e{i}", 0.9, cluster="game") for i in range(40)))
    api.send(*(tools.label(f"e{i}", 0) for i in range(20)))
    clock.advance(timedelta(hours=2))
    api.judge()
    before = evidence()
    assert (before["bets"], before["labels"], before["late_labels"]) == (1, 20, 0)
    api.send(*(tools.label(f"e{i}", 1) for i in range(20, 40)))
    api.judge()
    after = evidence()
    assert (after["bets"], after["labels"], after["late_labels"]) == (1, 20, 20)
    assert (after["log_e"], after["log_e_peak"]) == (before["log_e"], before["log_e_peak"])


def test_a_cluster_gathers_events_for_its_span_whatever_they_do(api, clock, tools, evidence):
    api.put(label_delay="0s", cluster_span="2h", recalibration="off", status=201)
    begin = clock.micros
    for minutes in (0, 10, 119, 121):  # silent for most of its span, and one event after it
        clock.micros = begin + minutes * MINUTE
        at = rfc3339(clock.micros)
        api.send(tools.prediction(f"e{minutes}", 0.9, cluster="game", timestamp=at), tools.label(f"e{minutes}", 1))
        api.judge()
    clock.advance(timedelta(hours=1))
    api.judge()
    says = evidence()
    assert (says["bets"], says["labels"], says["late_labels"]) == (1, 3, 1)


def test_an_incident_inside_history_that_is_sent_at_once_is_alerted_with_its_own_time(api, clock, tools, evidence):
    api.put(label_delay="0s", windows=["1h"], recalibration="off", status=201)
    begin, dice = clock.micros, np.random.default_rng(7)
    clock.advance(timedelta(hours=24))
    for hour in range(24):
        p = dice.random(1500).round(4)
        y = dice.random(1500) < (np.clip(p - 0.2, 0, 1) if hour in {10, 11} else p)
        at = [rfc3339(begin + hour * HOUR + i * HOUR // 1500) for i in range(1500)]
        api.send(*(tools.prediction(f"{hour}-{i}", float(p[i]), timestamp=at[i]) for i in range(1500)))
        api.send(*(tools.label(f"{hour}-{i}", int(y[i])) for i in range(1500)))
    api.judge()
    says = evidence()
    assert says["labels"] == 36_000
    assert says["log_e"] < 0 < says["fires_at"] <= says["log_e_peak"]
    (fired,) = api.get(tools.address("m") + "/alerts")["alerts"]
    assert (fired["kind"], fired["state"], fired["at"]) == ("miscalibration", "firing", says["peaked_at"])
    assert rfc3339(begin + 11 * HOUR) <= says["peaked_at"] <= rfc3339(begin + 12 * HOUR)


def test_an_alert_that_labels_chosen_by_outcome_would_explain_is_held(api, tools, evidence, alerts):
    api.put(label_delay="0s", recalibration="off", status=201)
    dice = np.random.default_rng(4)
    p = dice.random(3000).round(4)
    won = np.flatnonzero(dice.random(3000) < p).tolist()
    api.send(*(tools.prediction(f"e{i}", value) for i, value in enumerate(p.tolist())))
    api.send(*(tools.label(f"e{i}", 1) for i in won))
    api.judge()
    says = evidence()
    assert says["log_e_peak"] > says["fires_at"]
    assert (says["held"], says["coverage"], says["late_gap"]) == (True, pytest.approx(0.5, abs=0.05), None)
    assert says["timely_gap"] == pytest.approx(1 / 3, abs=0.02)
    assert "matured predictions have a label" in says["held_because"]
    assert "miscalibration" not in alerts()
    window = api.get(tools.address("m") + "/calibration", window="24h")
    assert (window["verdict"], window["remedy"]) == ("suspect", "check_labels")
    assert window["verdict_reason"] == window["remedy_reason"] == says["held_because"]


def test_an_alert_on_a_model_whose_labels_are_missing_at_random_is_not_held(api, tools, evidence, alerts):
    api.put(label_delay="0s", recalibration="off", status=201)
    dice = np.random.default_rng(5)
    p = dice.random(6000).round(4)
    y = dice.random(6000) < np.clip(p - 0.15, 0, 1)
    api.send(*(tools.prediction(f"e{i}", value) for i, value in enumerate(p.tolist())))
    api.send(*(tools.label(f"e{i}", int(y[i])) for i in range(0, 6000, 3)))
    api.judge()
    says = evidence()
    assert (says["held"], says["held_because"]) == (False, None)
    assert "miscalibration" in alerts()


def test_evidence_that_was_held_is_forgotten_once_it_is_gone(api, clock, tools, evidence, alerts):
    api.put(label_delay="0s", recalibration="off", status=201)
    dice = np.random.default_rng(6)
    for part, size in enumerate((600, 6000)):
        p = dice.random(size).round(4)
        y = dice.random(size) < p
        told = np.flatnonzero(y | (part > 0)).tolist()
        clock.advance(timedelta(minutes=1))
        at = rfc3339(clock.micros)
        api.send(*(tools.prediction(f"{part}-{i}", value, timestamp=at) for i, value in enumerate(p.tolist())))
        api.send(*(tools.label(f"{part}-{i}", int(y[i])) for i in told))
        api.judge()
        if part == 0:
            held = evidence()
    assert (held["held"], held["log_e_peak"] > held["fires_at"], held["peaked_at"] is None) == (True, True, False)
    after = evidence()
    assert after["log_e"] <= 0
    assert (after["held"], after["log_e_peak"], after["peaked_at"], after["ece_at_least"]) == (False, 0.0, None, None)
    assert "miscalibration" not in alerts()
