"""The alarm on clients that serve something else than what is in service."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.alert.stale_clients import STALE
from monitor.domain.events import PredictionEvent
from monitor.domain.names import CHALLENGER
from monitor.domain.times import moment, rfc3339
from monitor.recalibrate import registry
from monitor.runtime.stages import run_stage
from monitor.store import alerts, audit, models, versions
from monitor.store.audit import Action, Detail
from monitor.store.calibrators import Fitted, FittedFrom
from tests.stages import stage

HALVED = Fitted(method="temperature", task="binary", parameters={"temperature": 2.0})
STEP = timedelta(minutes=5)


class Service:
    """A model with two calibrators, and clients that serve it."""

    def __init__(self, feed, clock, **declared):
        self.feed, self.clock = feed, clock
        self.model = feed.model(**{"windows": ("1h", "24h"), "label_delay": 0, **declared})
        self.sent = 0
        for _ in range(2):
            with feed.database.write() as connection:
                registry.register(
                    connection, self.model, HALVED, fitted_from=FittedFrom(), gate=None, actor="test", now=clock()
                )

    def promote(self, number):
        self._move(registry.promote, number)

    def roll_back(self):
        self._move(registry.roll_back)

    def _move(self, step, *number):
        with self.feed.database.write() as connection:
            progress = models.progress_of(connection, [self.model.id])[self.model.id]
            step(connection, self.model, *number, progress, actor="test", now=self.clock(), reason="test")

    def canary(self, number, share=None):
        """Let a version serve a share of traffic, or end that."""
        with self.feed.database.write() as connection:
            progress = models.progress_of(connection, [self.model.id])[self.model.id]
            if share is None:
                versions.drop(connection, self.model.id, CHALLENGER)
                detail = Detail(number=number)
                audit.log(
                    connection, self.model.id, at=self.clock(), actor="test", action=Action.CANARY_STOP, detail=detail
                )
                return
            registry.propose(connection, self.model, number, progress, actor="test", now=self.clock())
            challenger = versions.aliases(connection, self.model.id)[CHALLENGER]
            versions.move(connection, self.model.id, CHALLENGER, replace(challenger, share=share))

    def serve(self, minutes, *, version=None, per_step=40, now=None, **shares):
        """Serve for a while by these calibrators, `c0` for none, each a share of the events; judge the alarms after every step."""
        numbers = [int(name[1:]) for name, share in shares.items() for _ in range(round(share * 20))]
        for step in range(minutes // 5):
            events = []
            for i in range(per_step):
                number = numbers[i % len(numbers)]
                applied = {"raw_probability": 0.9, "calibrator_version": number} if number else {}
                at = moment(self.clock()) + STEP * (i + 1) / (per_step + 1)
                self.sent += 1
                events.append(
                    PredictionEvent(
                        event_id=f"e{self.sent}",
                        model="m",
                        timestamp=at,
                        model_version=version,
                        probability=0.75,
                        **applied,
                    )
                )
            self.clock.advance(STEP)
            self.clock.micros = self.clock.micros if now is None else now
            self.feed.send(*events)
            self.feed.roll_up()
            if step in {0, minutes // 5 - 1}:  # the alarm asks of evaluations only which versions have traffic
                run_stage(stage("evaluate"), self.feed.database, self.feed.token, now=self.clock)
            run_stage(stage("alerts"), self.feed.database, self.feed.token, now=self.clock)

    def transitions(self):
        with self.feed.database.read() as connection:
            found = alerts.transitions(connection, self.model.id, 1000)
        return [each for each in reversed(found) if each.kind == STALE]

    def states(self):
        return [each.state for each in self.transitions()]


@pytest.fixture
def service(feed_on, sqlite_database, clock):
    return lambda **declared: Service(feed_on(sqlite_database), clock, **declared)


@pytest.fixture
def service_on_both(feed, clock):
    return lambda **declared: Service(feed, clock, **declared)


def test_clients_that_do_not_follow_are_told_of_and_those_that_do_end_it(service_on_both):
    one = service_on_both()
    one.serve(20, c0=1)
    one.promote(1)
    promoted = one.clock()
    one.serve(15, c0=1)
    assert one.states() == []  # they may still be on their way
    one.serve(30, c0=0.5, c1=0.5)
    (fired,) = one.transitions()
    assert (fired.state, fired.window, fired.version, fired.segment) == ("firing", "15m", "", "")
    assert fired.evidence["champion"] == 1
    assert abs(fired.evidence["stale_share"] - 0.5) < 0.01
    assert fired.evidence["served_with"].keys() == {"none", "1"}
    since = fired.evidence["champion_since"]
    assert since <= rfc3339(promoted)
    said = fired.evidence["summary"]
    assert f"were not served by calibrator 1, promoted at {since}. Instead: 50 % by no calibrator." in said
    one.serve(15, c1=1)
    assert one.states() == ["firing", "resolved"]
    one.serve(30, c1=1)
    assert one.states() == ["firing", "resolved"]
    assert f"were served by calibrator 1, promoted at {since}." in one.transitions()[-1].evidence["summary"]


def test_clients_may_be_given_no_time_at_all(service):
    one = service(stale_after=0)
    one.promote(1)
    one.serve(10, c0=1)
    (fired,) = one.transitions()
    assert (fired.state, fired.window) == ("firing", "0s")


def test_the_alarm_is_shown_while_it_fires(service):
    one = service()
    one.promote(1)
    one.serve(40, c0=1)
    with one.feed.database.read() as connection:
        known = {place: fires for _, place, fires in alerts.known(connection) if place[0] == STALE}
    assert known == {(STALE, "15m", "", ""): True}


def test_clients_that_follow_within_the_time_raise_nothing(service):
    one = service()
    one.promote(1)
    one.serve(15, c0=0.6, c1=0.4)
    one.serve(60, c1=1)
    one.promote(2)
    one.serve(15, c1=1)
    one.serve(60, c2=1)
    assert one.states() == []


def test_few_that_lag_raise_nothing_and_do_not_end_it_either(service):
    one = service()
    one.promote(1)
    one.serve(60, c0=0.1, c1=0.9)
    assert one.states() == []
    one.serve(30, c0=0.2, c1=0.8)
    one.serve(60, c0=0.1, c1=0.9)
    assert one.states() == ["firing"]
    one.serve(30, c1=1)
    assert one.states() == ["firing", "resolved"]


def test_without_any_promotion_nothing_is_stale(service):
    one = service()
    one.serve(60, c0=0.5, c7=0.5)
    assert one.states() == []


def test_what_was_rolled_back_to_identity_must_not_be_served(service):
    one = service()
    one.promote(1)
    one.serve(30, c1=1)
    one.roll_back()
    one.serve(15, c1=1)
    assert one.states() == []
    one.serve(30, c0=0.5, c1=0.5)
    (fired,) = one.transitions()
    assert fired.evidence["champion"] is None
    assert "although none is in service since" in fired.evidence["summary"]
    assert fired.evidence["summary"].endswith("Instead: 50 % by calibrator 1.")
    one.serve(15, c0=1)
    assert one.states() == ["firing", "resolved"]


def test_a_canary_may_serve_while_it_is_one_and_until_clients_know_that_it_ended(service):
    one = service()
    one.promote(1)
    one.serve(20, c1=1)
    one.canary(2, share=0.3)
    one.serve(60, c1=0.7, c2=0.3)
    one.canary(2)
    one.serve(60, c1=1)
    assert one.states() == []
    one.promote(2)
    one.serve(20, c2=1)
    one.roll_back()
    one.serve(60, c1=0.7, c2=0.3)
    assert one.states() == ["firing"]


def test_sparse_traffic_is_judged_over_a_longer_time(service):
    one = service()
    one.promote(1)
    one.serve(130, per_step=2, c0=1)
    assert one.states() == []  # fewer than 50
    one.serve(90, per_step=2, c0=1)
    (fired,) = one.transitions()
    assert fired.evidence["predictions"] >= 50


def test_versions_of_a_model_are_judged_apart(service):
    one = service(windows=("1h",))
    one.promote(1)
    for _ in range(8):
        one.serve(5, version="old", c0=1)
        one.serve(5, version="new", c1=1)
    assert {(each.version, each.state) for each in one.transitions()} == {("old", "firing")}
    one.serve(90, version="new", c1=1, per_step=1)
    assert [each.state for each in one.transitions()] == ["firing", "resolved"]
    assert "this version has no more traffic" in one.transitions()[-1].evidence["summary"]


def test_how_long_clients_may_take_is_a_setting(service):
    one = service(stale_after=3_600_000_000)
    one.promote(1)
    one.serve(60, c0=1)
    assert one.states() == []
    one.serve(30, c0=1)
    (fired,) = one.transitions()
    assert (fired.window, fired.state) == ("1h", "firing")


def test_history_that_is_fed_in_faster_than_clients_can_follow_raises_nothing(service):
    one = service()
    one.promote(1)
    promoted = one.clock.micros
    for i in range(1, 13):
        one.clock.micros = promoted + i * 300_000_000  # as far as the model's own time is
        one.serve(5, c0=1, now=promoted + i * 60_000_000)
    assert one.states() == []
    one.clock.micros = promoted + 3_900_000_000
    one.serve(5, c0=1, now=promoted + 901_000_000)
    assert one.states() == ["firing"]
