"""How labels come: what delay is learned, which cohorts have matured, and whether early labels are like late ones."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from monitor.domain.delays import Seen, delay_bucket, delay_limit
from monitor.domain.times import DAY, HOUR, MINUTE, moment, parse_duration
from monitor.store import models
from monitor.windows.clock import aged, clocked

NOON = datetime.fromisoformat("2026-01-05T12:00:00+00:00")


def state_of(feed, model, clock):
    with feed.database.read() as connection:
        return clocked(connection, model, clock())


def served(feed, make, clock, *, days, count, delay, early=0.0, late=0.0, p=0.5, seed=1, **fields):
    """Send what had come by now of some days of traffic up to now; delays in hours, a tenth is never labelled.

    Of labels that take under half a day `early` more come true than was said, of others `late` more.
    """
    random = np.random.default_rng(seed)
    now = clock()
    events = []
    for i, age in enumerate(np.sort(random.uniform(0, days * 24, count))[::-1].tolist()):
        at = now - int(age * HOUR)
        taken = float(delay(random))
        events.append(make.prediction(f"e{i}", p, at=moment(at), **fields))
        if random.uniform() >= 0.1 and taken <= age:
            likely = p + (early if taken < 12 else late)
            events.append(make.label(f"e{i}", int(random.uniform() < likely), timestamp=moment(at + int(taken * HOUR))))
    for first in range(0, len(events), 2000):
        feed.take(*events[first : first + 2000])


def exponential(random):
    return random.exponential(24)


def test_delay_is_learned_with_what_is_still_unlabelled(feed, clock, make):
    model = feed.model()
    served(feed, make, clock, days=3, count=1500, delay=exponential)
    with feed.database.read() as connection:
        seen = models.delays(connection, model.id)
        progress = models.progress_of(connection, [model.id])[model.id]
        ages = aged(connection, model, progress, seen, clock())
    assert sum(each.predictions for each in ages) == 1500
    assert sum(each.unlabelled for each in ages) == 1500 - sum(seen.values())
    youngest = [each for each in ages if each.oldest <= 2 * HOUR]
    assert all(each.unlabelled > 0.8 * each.predictions for each in youngest if each.predictions)
    bucket = delay_bucket(72 * HOUR)
    assert delay_limit(bucket - 1) <= state_of(feed, model, clock).delay <= delay_limit(bucket)


def test_old_predictions_without_a_label_count_as_one_group(feed, clock, make):
    model = feed.model()
    long_ago = moment(clock() - 300 * DAY)
    feed.take(*(make.prediction(f"old{i}", 0.5, at=long_ago) for i in range(40)))
    now = moment(clock())
    feed.take(*(make.prediction(f"new{i}", 0.5, at=now - timedelta(hours=3)) for i in range(30)))
    feed.take(*(make.label(f"new{i}", 1, timestamp=now - timedelta(hours=2)) for i in range(20)))
    with feed.database.read() as connection:
        seen = models.delays(connection, model.id)
        progress = models.progress_of(connection, [model.id])[model.id]
        ages = aged(connection, model, progress, seen, clock())
    assert [(each.predictions, each.unlabelled) for each in ages if each.predictions] == [(30, 10), (40, 40)]


def test_first_labels_are_kept_by_delay_with_what_they_say(feed, clock, make):
    model = feed.model()
    at = moment(clock() - DAY)
    hour = timedelta(hours=1)
    feed.take(make.prediction("a", 0.75, at=at), make.prediction("b", 0.5, at=at), make.prediction("c", 0.25, at=at))
    feed.take(make.label("a", 1, timestamp=at + hour), make.label("b", 0, timestamp=at + hour))
    feed.take(make.label("a", 0, timestamp=at + 5 * hour, supersedes=True), make.label("c", 1, timestamp=at + 2 * hour))
    with feed.database.read() as connection:
        seen = models.seen_delays(connection, model.id)
    one = 1 << 30
    assert seen == {
        delay_bucket(HOUR): Seen(count=2, sy=1, sp=round(1.25 * one), squares=round((0.0625 + 0.25) * one)),
        delay_bucket(2 * HOUR): Seen(count=1, sy=1, sp=round(0.25 * one), squares=round(0.5625 * one)),
    }


def test_first_labels_of_vectors_and_answers_say_whether_the_answer_was_right(feed, clock, make):
    vectors = feed.model("v", task="multiclass", classes=("a", "b"))
    answers = feed.model("w", task="confidence")
    at = moment(clock())
    feed.take(
        make.prediction("1", at=at, model="v", probabilities=[0.75, 0.25]),
        make.prediction("2", at=at, model="v", probabilities=[0.25, 0.75]),
        make.prediction("1", at=at, model="w", confidence=0.5, prediction="yes"),
    )
    feed.take(make.label("1", "a", model="v"), make.label("2", "a", model="v"), make.label("1", "yes", model="w"))
    one = 1 << 30
    with feed.database.read() as connection:
        assert list(models.seen_delays(connection, vectors.id).values()) == [
            Seen(count=2, sy=1, sp=round(1.5 * one), squares=round(0.625 * one))
        ]
        assert list(models.seen_delays(connection, answers.id).values()) == [
            Seen(count=1, sy=1, sp=one // 2, squares=one // 4)
        ]


def test_labels_call_tells_delays_of_seen_labels_from_estimated_ones(feed_on, api, clock, make):
    feed = feed_on(api.services.database)
    feed.model()
    served(feed, make, clock, days=3, count=1500, delay=exponential)
    found = api.get("/v1/models/m/labels")
    assert found["learned"] is True
    assert [each["share"] for each in found["delays"]] == [0.5, 0.9, 0.99]
    for each in found["delays"][:2]:
        assert parse_duration("", each["observed"]) < parse_duration("", each["estimated"])
    assert parse_duration("", found["label_delay"]) >= 48 * HOUR
    # A tenth is never labelled, and a twentieth of the rest takes longer than three days.
    assert 0.1 < found["share_never"] < 0.2
    assert found["warning"] is None
    assert found["early_late"]["low"] < 0 < found["early_late"]["high"]


def test_labels_call_warns_of_early_labels_that_are_not_like_late_ones(feed_on, api, clock, make):
    feed = feed_on(api.services.database)
    feed.model(label_delay=7 * DAY)
    served(feed, make, clock, days=20, count=3000, delay=lambda random: random.choice([2, 30]), early=0.2)
    found = api.get("/v1/models/m/labels")
    assert found["learned"] is False
    assert found["label_delay"] == "7d"
    assert found["early_late"]["low"] < 0.2 < found["early_late"]["high"]
    assert "are not like later ones" in found["warning"]


def test_labels_call_lists_cohorts_by_day_and_by_hour(feed_on, api, clock, make):
    feed = feed_on(api.services.database)
    feed.model(label_delay=DAY)
    at = moment(clock())
    day, hour = timedelta(days=1), timedelta(hours=1)
    for i, back in enumerate([10 * day, 2 * day, 2 * day, 30 * hour, 0 * hour]):
        feed.take(make.prediction(f"e{i}", 0.5, at=at - back))
    feed.take(make.label("e1", 1, timestamp=at - 2 * day + hour), make.label("e3", 1, timestamp=at - hour))
    found = api.get("/v1/models/m/labels")
    assert [
        (each["start"][:10], each["predictions"], each["labelled"], each["late"], each["matured"])
        for each in found["cohorts"]
    ] == [("2026-01-03", 2, 1, 0, True), ("2026-01-04", 1, 1, 1, False), ("2026-01-05", 1, 0, 0, False)]
    assert found["cohorts"][0]["label_coverage"] == 0.5
    assert found["matured_until"] == "2026-01-04T12:00:00Z"
    hours = api.get("/v1/models/m/labels", window="48h")["cohorts"]
    assert [(each["start"], each["end"], each["matured"]) for each in hours] == [
        ("2026-01-03T12:00:00Z", "2026-01-03T13:00:00Z", True),
        ("2026-01-04T06:00:00Z", "2026-01-04T07:00:00Z", True),
        ("2026-01-05T12:00:00Z", "2026-01-05T13:00:00Z", False),
    ]
    assert len(api.get("/v1/models/m/labels", window="366d")["cohorts"]) == 4


def test_labels_call_of_a_model_without_events_says_nothing(api):
    api.put(status=201)
    found = api.get("/v1/models/m/labels")
    assert found["label_delay"] == "0s"
    assert (found["matured_until"], found["share_never"], found["early_late"], found["warning"]) == (None,) * 4
    assert found["cohorts"] == []
    assert [(each["observed"], each["estimated"]) for each in found["delays"]] == [(None, None)] * 3


@pytest.mark.parametrize(("asked", "field"), [("0s", "window"), ("367d", "window"), ("soon", "window")])
def test_labels_call_refuses_windows_that_are_none(sqlite_api, asked, field):
    sqlite_api.put(status=201)
    assert sqlite_api.refused("GET", f"/v1/models/m/labels?window={asked}")["field"] == field


def test_labels_call_refuses_what_it_does_not_know(sqlite_api):
    sqlite_api.put(status=201)
    assert sqlite_api.refused("GET", "/v1/models/m/labels?segment=a:b")["field"] == "segment"
    sqlite_api.refused("GET", "/v1/models/nobody/labels", 404)


def test_labels_call_is_of_names_with_slashes_too(sqlite_api):
    sqlite_api.put("org/net", status=201)
    assert sqlite_api.get("/v1/models/org/net/labels")["model"] == "org/net"
    assert sqlite_api.get("/v1/models/org%2Fnet/labels")["model"] == "org/net"


def test_labels_of_a_regression_are_not_compared_by_confidences(feed_on, sqlite_api, clock, make):
    feed = feed_on(sqlite_api.services.database)
    feed.model(task="regression")
    at = moment(clock() - DAY)
    for i in range(20):
        when = at + timedelta(hours=1 + i)
        feed.take(make.prediction(f"e{i}", at=at, mean=1.0, std=1.0), make.label(f"e{i}", 1.5, timestamp=when))
    found = sqlite_api.get("/v1/models/m/labels")
    assert found["labels_seen"] == 20
    assert found["early_late"] is None


def test_provisional_range_says_so_and_a_matured_one_too(feed_on, sqlite_api, clock, make):
    feed = feed_on(sqlite_api.services.database)
    feed.model(label_delay=DAY)
    at = moment(clock())
    for hours in range(0, 60, 6):
        feed.take(make.prediction(f"e{hours}", 0.5, at=at - timedelta(hours=hours)), make.label(f"e{hours}", 1))
    border = at - timedelta(days=1)

    def matured(start, end):
        query = {"start": start.isoformat(), "end": end.isoformat()}
        return sqlite_api.get("/v1/models/m/calibration", **query)["matured"]

    assert matured(border - timedelta(hours=6), border) is True
    assert matured(border - timedelta(hours=6), border + timedelta(minutes=1)) is False
    assert matured(at - timedelta(hours=1), at + timedelta(hours=1)) is False
    assert sqlite_api.get("/v1/models/m/calibration", window="24h")["matured"] is True


def test_declared_delay_is_taken_at_its_word(feed, clock, make):
    model = feed.model(label_delay=MINUTE)
    served(feed, make, clock, days=5, count=300, delay=lambda random: random.uniform(20, 30))
    assert state_of(feed, model, clock).delay == MINUTE


def test_learned_delay_holds_back_what_has_not_matured(feed, clock, make):
    model = feed.model()
    served(feed, make, clock, days=20, count=3000, delay=lambda random: random.uniform(20, 30))
    found = state_of(feed, model, clock)
    assert 30 * HOUR <= found.delay <= 37 * HOUR
    assert found.matured_until is not None
    assert abs(found.matured_until - (clock() - found.delay)) <= 60 * MINUTE
