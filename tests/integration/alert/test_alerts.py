"""Alarms of both policies over a model's life, on single classes and on labels that stop coming."""

from datetime import timedelta

import numpy as np
import pytest
from scipy.special import expit, logit

from monitor.alert.missing_labels import MISSING_LABELS
from monitor.alert.windows import SEQUENTIAL
from monitor.calibrators.compiled import compile_scalar
from monitor.domain.alerts import MISCALIBRATION
from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.times import DAY, moment
from monitor.recalibrate.job import champion_document
from monitor.runtime.stages import run_stage
from monitor.store import alerts, audit
from monitor.store import sequential as tests_of
from monitor.store.audit import Detail
from monitor.store.schema import secret
from tests.stages import stage

BROKEN = 0.4
"""Log odds of outcomes are this share of those of the scores: an ECE of .12."""


class Stream:
    """Traffic of a model with labels, and all stages after each stretch of it."""

    def __init__(self, feed, clock, **declared):
        settings = {"minimum_labels": 100, "label_delay": 0, "windows": ("24h", "7d"), "alert_policy": SEQUENTIAL}
        self.feed, self.clock = feed, clock
        self.settings = {**settings, "recalibration": "off", **declared}
        self.declare()
        self.random = np.random.default_rng(4)
        self.sent = 0
        with feed.database.write() as connection:
            # Which events are in the random half is part of what happens.
            connection.execute(secret.update().values(value=bytes(32)))

    def declare(self, **changed):
        self.settings |= changed
        self.model = self.feed.model(**self.settings)

    def pass_time(self, count=300, *, hours=12, slope=1.0, labelled=1.0, version=None):
        """Serve for a while, by the champion where there is one; labels come at once, if they come."""
        raw = np.clip(self.random.beta(0.5, 0.5, count), 0.005, 0.995)
        right = self.random.uniform(size=count) < expit(slope * logit(raw))
        number, serve = self.champion()
        events = []
        for name, at, p, y in self.spread(raw.tolist(), right.tolist(), hours):
            applied = {} if number is None else {"raw_probability": p, "calibrator_version": number}
            events.append(
                PredictionEvent(
                    event_id=name, model="m", timestamp=at, model_version=version, probability=serve(p), **applied
                )
            )
            if self.random.uniform() < labelled:
                events.append(LabelEvent(event_id=name, model="m", label=int(y), timestamp=at))
        self.end(events, hours)

    def spread(self, scores, outcomes, hours):
        """Yield predictions of two minutes: of the middle of a stretch of time, and of its end."""
        span = timedelta(hours=hours)
        for i, (score, outcome) in enumerate(zip(scores, outcomes, strict=True)):
            self.sent += 1
            after = span / 2 if i < len(scores) / 2 else span - timedelta(minutes=1)
            yield f"e{self.sent}", moment(self.clock()) + after, score, outcome

    def end(self, events, hours):
        self.clock.advance(timedelta(hours=hours))
        if events:
            self.feed.send(*events)
        self.feed.roll_up()
        self.judge()

    def judge(self):
        database, token = self.feed.database, self.feed.token
        run_stage(stage("evaluate"), database, token, now=self.clock)
        if self.settings["alert_policy"] == SEQUENTIAL:
            run_stage(stage("tests"), database, token, now=self.clock)
        run_stage(stage("alerts"), database, token, now=self.clock)
        run_stage(stage("recalibrate"), database, token, now=self.clock)

    def champion(self):
        with self.feed.database.read() as connection:
            document = champion_document(connection, self.model)
        return (None, float) if document is None else (document.number, compile_scalar(document.working_part))

    def transitions(self, kind=MISCALIBRATION):
        """Return transitions, oldest first."""
        with self.feed.database.read() as connection:
            found = alerts.transitions(connection, self.model.id, 1000)
        return [each for each in reversed(found) if each.kind == kind]

    def states(self, kind=MISCALIBRATION):
        return [(each.window, each.segment, each.state) for each in self.transitions(kind)]

    def said(self):
        """Return what the sequential tests say, by version."""
        with self.feed.database.read() as connection:
            return {test.version: test for _, test in tests_of.newest(connection, self.model.id)}

    def audit(self, action):
        with self.feed.database.read() as connection:
            return [each.detail for each in audit.entries(connection, self.model.id) if each.action == action]

    def until(self, happened, *, steps=15, **traffic):
        """Let time pass until something has happened."""
        for _ in range(steps):
            if happened():
                return
            self.pass_time(**traffic)
        pytest.fail("it did not happen")


@pytest.fixture
def stream(feed_on, sqlite_database, clock):
    return lambda **declared: Stream(feed_on(sqlite_database), clock, **declared)


@pytest.fixture
def stream_on_both(feed, clock):
    return lambda **declared: Stream(feed, clock, **declared)


def test_sequential_alarm_fires_says_why_ends_and_its_test_begins_afresh(stream_on_both):
    one = stream_on_both()
    for _ in range(2):
        one.pass_time()
    assert one.states() == []
    one.until(one.states, slope=BROKEN)
    (fired,) = one.transitions()
    assert (fired.window, fired.segment, fired.state) == (SEQUENTIAL, "", "firing")
    assert fired.evidence["policy"] == SEQUENTIAL
    assert fired.evidence["e_value"] >= 400
    assert fired.evidence["labels"] > 600
    assert "(it fires at 400)" in fired.evidence["summary"]
    assert (
        "probability at most 0.25 %, however long it is watched; in any of the model's tests, 1 %."
        in fired.evidence["summary"]
    )
    one.until(lambda: len(one.states()) > 1)
    ended = one.transitions()[-1]
    assert one.states() == [(SEQUENTIAL, "", "firing"), (SEQUENTIAL, "", "resolved")]
    assert ended.evidence["ece_even_odds_bound"] < 0.04
    assert ended.at >= fired.at + DAY
    for _ in range(4):
        one.pass_time()
    assert one.said()[""].log_e < 2
    assert len(one.states()) == 2


def test_sequential_alarm_leads_to_a_refit_and_ends_by_it(stream):
    one = stream(recalibration="auto")
    for _ in range(2):
        one.pass_time()
    broken_from = one.clock()
    one.until(lambda: one.champion()[0], slope=BROKEN)
    one.until(lambda: len(one.states()) > 1, slope=BROKEN)
    assert one.states() == [(SEQUENTIAL, "", "firing"), (SEQUENTIAL, "", "resolved")]
    for _ in range(5):
        one.pass_time(slope=BROKEN)
    assert len(one.states()) == 2
    assert len(one.audit("promote")) == 1
    assert one.transitions()[0].at > broken_from


def test_proposal_answers_a_sequential_alarm_until_a_person_does(stream):
    one = stream(recalibration="propose")
    for _ in range(9):
        one.pass_time(slope=BROKEN)
    assert one.states() == [(SEQUENTIAL, "", "firing")]
    assert one.audit("propose") == [Detail(number=1)]
    assert one.champion()[0] is None


def test_each_version_has_a_test_and_an_alarm_of_its_own(stream):
    one = stream()
    for version, slope in [("a", 1.0), ("b", BROKEN)] * 4:
        one.pass_time(version=version, slope=slope)
    assert {each.version for each in one.transitions()} == {"b"}
    assert set(one.said()) == {"a", "b"}


def test_policy_can_be_switched_while_an_alarm_fires(stream):
    one = stream(alert_policy="window")
    one.until(one.states, slope=BROKEN)
    assert {window for window, *_ in one.states()} <= {"24h", "7d"}
    before = len(one.states())
    one.declare(alert_policy=SEQUENTIAL)
    one.pass_time(slope=BROKEN)
    ends = [each for each in one.transitions()[before:] if each.state == "resolved"]
    assert {each.window for each in ends} == {window for window, *_ in one.states()[:before]}
    assert all("it is no longer watched" in each.evidence["summary"] for each in ends)
    one.until(lambda: (SEQUENTIAL, "", "firing") in one.states(), slope=BROKEN)
    one.declare(alert_policy="window")
    one.judge()
    assert (SEQUENTIAL, "", "resolved") in one.states()
    assert "it is no longer watched" in [e for e in one.transitions() if e.window == SEQUENTIAL][-1].evidence["summary"]
    one.pass_time(slope=BROKEN)
    assert [state for window, _, state in one.states() if window == SEQUENTIAL] == ["firing", "resolved"]


def test_sequential_alarm_ends_when_its_version_serves_no_more(stream):
    one = stream(windows=("24h",))
    one.until(one.states, slope=BROKEN, version="old")
    for _ in range(3):
        one.pass_time(40, version="new")
    assert one.states() == [(SEQUENTIAL, "", "firing"), (SEQUENTIAL, "", "resolved")]
    assert "this version has no more traffic" in one.transitions()[-1].evidence["summary"]


def test_calibrated_model_is_left_in_peace_by_both_policies(stream):
    for policy in ("window", SEQUENTIAL):
        one = stream(alert_policy=policy)
        for _ in range(8):
            one.pass_time()
        assert one.states() == []
        assert one.states(MISSING_LABELS) == []


def test_window_policy_fires_no_sequential_alarm_and_says_its_rate(stream):
    one = stream(alert_policy="window", windows=("24h",))
    one.until(one.states, slope=BROKEN)
    (fired,) = one.transitions()
    assert fired.window == "24h"
    assert "At most 1 % of windows within the threshold would show this." in fired.evidence["summary"]


def test_labels_that_stop_coming_are_missed_until_they_are_back(stream_on_both):
    one = stream_on_both(alert_policy="window", minimum_labels=300)
    for _ in range(4):
        one.pass_time(200, labelled=0.9)
    assert one.states(MISSING_LABELS) == []
    for _ in range(3):
        one.pass_time(200, labelled=0.1)
    fired = {each.window: each for each in one.transitions(MISSING_LABELS)}
    assert set(fired) == {"24h"}
    evidence_of = fired["24h"].evidence
    assert evidence_of["label_coverage"] < 0.75
    assert 0.85 < evidence_of["usual_label_coverage"] < 0.95
    assert "whose label is due have one; usually" in evidence_of["summary"]
    for _ in range(3):
        one.pass_time(200, labelled=0.9)
    assert one.states(MISSING_LABELS) == [("24h", "", "firing"), ("24h", "", "resolved")]


def test_labels_are_not_missed_while_they_are_not_due(stream):
    one = stream(alert_policy="window", minimum_labels=100, label_delay=3 * DAY)
    for _ in range(4):
        one.pass_time(200)
    for _ in range(5):
        one.pass_time(200, labelled=0.0)
    assert one.states(MISSING_LABELS) == []
    for _ in range(4):
        one.pass_time(200, labelled=0.0)
    assert ("24h", "", "firing") in one.states(MISSING_LABELS)


def test_labels_that_take_longer_than_declared_are_waited_for(feed_on, sqlite_database, clock, make):
    feed = feed_on(sqlite_database)
    model = feed.model(minimum_labels=50, label_delay=0, windows=("24h",))
    day = timedelta(days=1)
    for i in range(14):
        at = moment(clock())
        feed.send(*(make.prediction(f"{i}-{j}", 0.5, at=at + timedelta(minutes=j)) for j in range(60)))
        if i >= 2:
            feed.send(*(make.label(f"{i - 2}-{j}", j % 2, timestamp=at) for j in range(60)))
        clock.advance(day)
        feed.roll_up()
        run_stage(stage("evaluate"), feed.database, feed.token, now=clock)
        run_stage(stage("alerts"), feed.database, feed.token, now=clock)
    with feed.database.read() as connection:
        found = alerts.transitions(connection, model.id, 10)
    assert [each for each in found if each.kind == MISSING_LABELS] == []


def test_model_that_never_had_labels_misses_none(stream):
    one = stream(alert_policy="window", minimum_labels=50)
    for _ in range(8):
        one.pass_time(100, labelled=0.0)
    assert one.transitions(MISSING_LABELS) == []


def test_new_version_whose_labels_do_not_come_is_compared_with_the_others(stream):
    one = stream(alert_policy="window", minimum_labels=100)
    for _ in range(4):
        one.pass_time(90, version="a")
    for _ in range(2):
        one.pass_time(90, version="a", hours=6)
        one.pass_time(90, version="b", hours=6, labelled=0.0)
    assert {(each.version, each.window) for each in one.transitions(MISSING_LABELS)} == {("b", "24h")}


def test_a_fault_that_is_over_when_somebody_looks_is_alerted_with_its_own_time(feed_on, database, clock, make):
    feed = feed_on(database)
    model = feed.model(minimum_labels=50, label_delay=0, windows=("1h",), recalibration="off")
    begin = moment(clock())
    right = [30] * 20 + [15] * 8 + [30] * 60  # of forty answers a minute that say .75
    for minute, hits in enumerate(right):
        at = begin + timedelta(minutes=minute)
        feed.send(*(make.prediction(f"{minute}-{i}", 0.75, at=at) for i in range(40)))
        feed.send(*(make.label(f"{minute}-{i}", int(i < hits)) for i in range(40)))
    clock.advance(timedelta(minutes=len(right) + 1))
    feed.roll_up()
    for name in ("evaluate", "tests", "alerts"):
        run_stage(stage(name), feed.database, feed.token, now=clock)
    with feed.database.read() as connection:
        ((_, test),) = tests_of.newest(connection, model.id)
        (fired,) = alerts.transitions(connection, model.id, 10)
    assert test.log_e < 0 < test.limit <= test.log_e_peak
    assert (fired.state, fired.window) == ("firing", SEQUENTIAL)
    assert moment(fired.at) == test.peaked_at == begin + timedelta(minutes=28)
    assert test.ece_at_least == 0.2
    assert fired.evidence["summary"].endswith("It has been at least 0.2.")


def test_history_that_is_fed_in_is_given_time_for_its_labels(feed_on, sqlite_database, clock, make):
    feed = feed_on(sqlite_database)
    model = feed.model(minimum_labels=50, label_delay=0, windows=("24h",))
    begin = moment(clock() - 30 * DAY)
    times = [begin + timedelta(hours=i) for i in range(20 * 24)]
    feed.take(*(make.prediction(f"e{i}", 0.5, at=at) for i, at in enumerate(times)))
    feed.take(*(make.label(f"e{i}", i % 2) for i in range(18 * 24)))

    def judged():
        run_stage(stage("evaluate"), feed.database, feed.token, now=clock)
        run_stage(stage("alerts"), feed.database, feed.token, now=clock)
        with feed.database.read() as connection:
            return [each.state for each in alerts.transitions(connection, model.id, 10)]

    assert judged() == []
    clock.advance(timedelta(hours=2))
    assert judged() == ["firing"]
    feed.take(*(make.label(f"e{i}", i % 2) for i in range(18 * 24, 20 * 24)))
    assert judged() == ["resolved", "firing"]


def multiclass(one, count, *, shift=0.0, hours=12):
    """Serve a model of three classes; where class c is named with some probability, it is right that much less often."""
    vectors = one.random.dirichlet([1.0, 1.0, 1.0], count)
    true = vectors + shift * np.minimum(vectors[:, [2]], 0.5) * np.array([1.0, 0.0, -1.0])
    drawn = (one.random.uniform(size=(count, 1)) > np.cumsum(true, axis=1)).sum(axis=1).clip(0, 2)
    events = []
    for name, at, vector, label in one.spread(vectors.tolist(), drawn.tolist(), hours):
        events.append(PredictionEvent(event_id=name, model="m", timestamp=at, probabilities=vector))
        events.append(LabelEvent(event_id=name, model="m", label="abc"[label], timestamp=at))
    one.end(events, hours)


@pytest.mark.parametrize(
    ("policy", "window", "story", "said"),
    [
        ("window", "24h", "Confidence does not mean what it says since ", "Class-wise ECE over 24h is at least"),
        (SEQUENTIAL, SEQUENTIAL, "Says more than happens since ", "The ECE of class c is above 0.03"),
    ],
)
def test_class_has_an_alarm_of_its_own_under_either_policy(stream_on_both, policy, window, story, said):
    one = stream_on_both(
        task="multiclass",
        classes=("a", "b", "c"),
        class_thresholds={"c": 0.03},
        thresholds={"ece": 0.3, "psi": 0.2},
        alert_policy=policy,
        windows=("24h",),
        recalibration="auto",
        minimum_labels=300,
    )
    for _ in range(4):
        multiclass(one, 300)
    assert one.states() == []
    for _ in range(4):
        multiclass(one, 300, shift=0.5)
    assert one.states() == [(window, "class=c", "firing")]
    fired = one.transitions()[0]
    assert fired.evidence["threshold"] == 0.03
    assert f"(class=c): {story}" in fired.evidence["summary"]
    assert said in fired.evidence["summary"]
    assert one.audit("refuse") == one.audit("register") == []
    for _ in range(6):
        multiclass(one, 300)
    assert one.states() == [(window, "class=c", "firing"), (window, "class=c", "resolved")]


def test_alarm_of_a_class_ends_when_its_threshold_is_taken_back(stream):
    one = stream(
        task="multiclass",
        classes=("a", "b", "c"),
        class_thresholds={"c": 0.03},
        thresholds={"ece": 0.3, "psi": 0.2},
        windows=("24h",),
        minimum_labels=300,
    )
    for _ in range(5):
        multiclass(one, 300, shift=0.5)
    assert one.states() == [(SEQUENTIAL, "class=c", "firing")]
    one.declare(class_thresholds={})
    one.judge()
    assert (
        one.transitions()[-1]
        .evidence["summary"]
        .endswith("(class=c): The alert miscalibration over sequential ends: it is no longer watched.")
    )
