"""What alarms and refits do over a model's life, also where clients, labels and people do not do what one would like."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Thread
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.calibrators.compiled import compile_scalar
from monitor.domain.alerts import RecordedAlert
from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.records import SeriesKey
from monitor.domain.settings import Model
from monitor.domain.times import DAY, HOUR, micros, moment
from monitor.recalibrate import manual, registry
from monitor.recalibrate.job import Breach, breach_of, champion_document, stands
from monitor.runtime.stages import run_stage, run_stages
from monitor.store import alerts, audit, evaluations, models, versions
from monitor.store.calibrators import Calibrator, Fitted, FittedFrom
from monitor.store.evaluations import ALL_VERSIONS
from monitor.store.schema import secret
from monitor.windows.clock import clocked
from monitor.windows.rows import of_version
from monitor.windows.samples import Sample, Segments, raw_sample
from monitor.windows.sums import by_place, of_series
from tests.stages import stage

SIX_HOURS = timedelta(hours=6)
BROKEN = 0.4
"""Log odds of outcomes are this share of those of the scores: an ECE of .12."""

BY_HAND: Final = {"actor": "ann", "reason": "by hand", "now": 0}

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def decided(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.clip(random.beta(0.5, 0.5, count), 0.005, 0.995)


class Life:
    """Traffic of a model, and its stages after each stretch of it."""

    def __init__(self, feed: Any, clock: Any, **declared: Any) -> None:
        settings = {
            "minimum_labels": 100,
            "label_delay": 0,
            "recalibration": "auto",
            "windows": ("24h", "7d"),
            "alert_policy": "window",
        }
        self.feed, self.clock = feed, clock
        self.model: Model = feed.model(**{**settings, **declared})
        self.random = np.random.default_rng(11)
        self.sent = 0
        with feed.database.write() as connection:
            # Which events are in the random half is part of what happens.
            connection.execute(secret.update().values(value=bytes(32)))

    def pass_time(
        self,
        count: int,
        *,
        span: timedelta = SIX_HOURS,
        slope: float = 1.0,
        version: str | None = None,
        follows: bool = True,
        scores: Draw = decided,
        judged: bool = True,
    ) -> None:
        """Serve for a while, with labels at once; a client that follows applies the champion."""
        events = list(self._events(count, span, slope, version, scores, follows=follows))
        self.clock.advance(span)
        if events:
            self.feed.send(*events)
        self.feed.roll_up()
        if judged:
            self.judge()

    def _events(
        self, count: int, span: timedelta, slope: float, version: str | None, scores: Draw, *, follows: bool
    ) -> Iterator[PredictionEvent | LabelEvent]:
        raw = scores(self.random, count)
        right = self.random.uniform(size=count) < expit(slope * logit(raw))
        number, serve = self._champion() if follows else (None, float)
        for i, (p, y) in enumerate(zip(raw.tolist(), right.tolist(), strict=True)):
            self.sent += 1
            at = moment(self.clock() + (i + 1) * (span // timedelta(microseconds=1)) // (count + 1))
            applied: dict[str, Any] = {} if number is None else {"raw_probability": p, "calibrator_version": number}
            name = f"e{self.sent}"
            yield PredictionEvent(
                event_id=name, model="m", timestamp=at, model_version=version, probability=serve(p), **applied
            )
            yield LabelEvent(event_id=name, model="m", label=int(y), timestamp=at)

    def _champion(self) -> tuple[int | None, Callable[[float], float]]:
        with self.feed.database.read() as connection:
            document = champion_document(connection, self.model)
        return (None, float) if document is None else (document.number, compile_scalar(document.working_part))

    def judge(self) -> None:
        run_stages(self.feed.database, self.feed.token, now=self.clock, notify=False)

    def transitions(self, kind: str = "miscalibration") -> list[RecordedAlert]:
        """Return transitions, oldest first."""
        with self.feed.database.read() as connection:
            found = alerts.transitions(connection, self.model.id, 1000)
        return [each for each in reversed(found) if each.kind == kind]

    def states(self, kind: str = "miscalibration", window: str | None = None) -> list[str]:
        return [each.state for each in self.transitions(kind) if window in {None, each.window}]

    def audit(self, action: str) -> list[audit.Detail]:
        with self.feed.database.read() as connection:
            entries = audit.entries(connection, self.model.id)
        return [each.detail for each in entries if each.action == action]

    def documents(self) -> list[Calibrator]:
        with self.feed.database.read() as connection:
            return versions.documents(connection, self.model.id)

    def champion(self) -> int | None:
        return self._champion()[0]

    def roll_back(self) -> None:
        with self.feed.database.write() as connection:
            progress = models.progress_of(connection, [self.model.id])[self.model.id]
            registry.roll_back(connection, self.model, progress, actor="ann", now=self.clock(), reason="by hand")

    def promote(self, number: int) -> None:
        with self.feed.database.write() as connection:
            progress = models.progress_of(connection, [self.model.id])[self.model.id]
            registry.promote(connection, self.model, number, progress, actor="ann", now=self.clock(), reason="by hand")

    def until(self, happened: Callable[[], object], *, steps: int = 12, **traffic: Any) -> None:
        """Let time pass until something has happened."""
        for _ in range(steps):
            if happened():
                return
            self.pass_time(150, **traffic)
        pytest.fail("it did not happen")


@pytest.fixture
def life(feed_on: Any, sqlite_database: Any, clock: Any) -> Callable[..., Life]:
    return lambda **declared: Life(feed_on(sqlite_database), clock, **declared)


@pytest.fixture
def life_on_both(feed: Any, clock: Any) -> Callable[..., Life]:
    return lambda **declared: Life(feed, clock, **declared)


def test_breach_is_repaired_once_by_labels_since_it_began(life: Callable[..., Life]) -> None:
    one = life()
    for _ in range(6):
        one.pass_time(150)
    broken_from = one.clock()
    one.until(one.champion, slope=BROKEN)
    for _ in range(6):
        one.pass_time(150, slope=BROKEN)
    (document,) = one.documents()
    assert micros(document.fitted_from.start) >= broken_from - HOUR
    assert one.states()[0] == "firing"
    assert one.states(window="24h")[-1] == "resolved"
    assert len(one.audit("promote")) == 1


def test_refit_uses_nothing_from_before_the_last_promotion(life_on_both: Callable[..., Life]) -> None:
    one = life_on_both()
    one.until(one.champion, slope=BROKEN)
    for _ in range(6):
        one.pass_time(150, slope=BROKEN)
    one.until(lambda: len(one.documents()) > 1, slope=3.0)
    for _ in range(4):
        one.pass_time(150, slope=3.0)
    second, _ = one.documents()
    promoted, *_ = one.audit("promote")
    assert len(one.documents()) == 2
    assert second.fitted_from.start > promoted.event_time


def test_lagging_clients_are_no_reason_to_fit_again(life: Callable[..., Life]) -> None:
    one = life()
    one.until(one.champion, slope=BROKEN)
    for _ in range(12):
        one.pass_time(150, slope=BROKEN, follows=False)
    assert one.states(window="24h") == ["firing"]
    assert len(one.documents()) == 1
    assert one.audit("refuse") == []
    for _ in range(10):
        one.pass_time(150, slope=BROKEN)
    assert one.states(window="24h") == ["firing", "resolved"]
    assert len(one.documents()) == 1


def test_refit_for_one_version_must_not_harm_another(life_on_both: Callable[..., Life]) -> None:
    one = life_on_both()
    for _ in range(8):
        one.pass_time(300, version="sound", span=SIX_HOURS / 2, judged=False)
        one.pass_time(150, version="broken", slope=BROKEN, span=SIX_HOURS / 2)
    assert {each.version for each in one.transitions()} == {"broken"}
    assert one.champion() is None
    assert any("worse in segment model_version:sound" in each.reason for each in one.audit("refuse"))


def test_refit_helps_the_version_that_has_labels_while_another_waits(life: Callable[..., Life]) -> None:
    one = life()
    for _ in range(6):
        one.pass_time(25, version="a quiet one", slope=0.05)
    assert {each.version for each in one.transitions()} == {"a quiet one"}
    for _ in range(6):
        one.pass_time(150, version="b", slope=BROKEN)
    assert one.documents()[-1].fitted_from.model_version == "b"


def test_rollback_by_a_person_makes_auto_wait_until_a_person_promotes(life: Callable[..., Life]) -> None:
    one = life(guards={"label_rate_jump": 0.1, "mean_change": 0.5})
    one.until(one.champion, slope=BROKEN)
    one.roll_back()
    for _ in range(8):
        one.pass_time(150, slope=BROKEN)
    assert one.champion() is None
    assert len(one.documents()) == 1
    one.promote(1)
    for _ in range(8):
        one.pass_time(150, slope=BROKEN)
    one.until(lambda: len(one.documents()) > 1, slope=4.0)
    assert one.champion() == 2


def test_rollback_by_a_person_wins_over_a_refit_under_way(life: Callable[..., Life]) -> None:
    one = life()
    one.until(one.champion, slope=BROKEN)
    for _ in range(4):
        one.pass_time(150, slope=4.0, judged=False)
    run_stage(stage("evaluate"), one.feed.database, one.feed.token, now=one.clock)
    run_stage(stage("alerts"), one.feed.database, one.feed.token, now=one.clock)
    with one.feed.database.read() as connection:
        found = breach_of(connection, clocked(connection, one.model, one.clock()))
        assert found is not None
        assert stands(connection, one.model, found)
    one.roll_back()
    with one.feed.database.read() as connection:
        assert not stands(connection, one.model, found)


def test_nobody_moves_a_calibrator_between_a_last_look_at_the_grounds_of_a_refit_and_what_follows(
    life_on_both: Callable[..., Life],
) -> None:
    one = life_on_both()
    found = Breach(
        version="",
        start=0,
        end=0,
        sample=Sample(*(np.zeros(0),) * 4),
        others={},
        segments=Segments(),
        champion=None,
        incumbent=None,
    )
    person = Thread(target=manual.promote, args=(one.feed.database, "m", 1), kwargs=BY_HAND)
    with one.feed.database.write() as connection:
        fitted, now = Fitted(method="temperature", task="binary", parameters={"temperature": 2.0}), one.clock()
        registry.register(connection, one.model, fitted, fitted_from=FittedFrom(), gate=None, actor="ann", now=now)
    with one.feed.database.write() as connection:
        assert stands(connection, one.model, found)
        person.start()
        person.join(0.5)
        assert person.is_alive()
        assert stands(connection, one.model, found)
    person.join(10)
    assert one.champion() == 1


def test_proposals_do_not_pile_up_while_a_person_thinks(life_on_both: Callable[..., Life]) -> None:
    one = life_on_both(recalibration="propose")
    for _ in range(16):
        one.pass_time(150, slope=BROKEN)
    assert len(one.documents()) == 1
    assert one.champion() is None
    assert one.audit("propose") == [audit.Detail(number=1)]


def test_refused_refits_come_ever_less_often(life: Callable[..., Life]) -> None:
    one = life()
    for _ in range(24):
        one.pass_time(300, slope=0.0)
    labels = [each.fitted_from.labels + each.fitted_from.holdout_labels for each in one.audit("refuse")]
    assert one.documents() == []
    assert 10 <= len(labels) <= 18
    assert all(later >= earlier + 100 for earlier, later in pairwise(labels[:6]))


def test_alarm_of_a_busy_hour_ends_when_quiet_hours_are_sound(life: Callable[..., Life]) -> None:
    one = life(windows=("1h", "24h"), recalibration="off")
    hour = timedelta(hours=1)
    one.pass_time(400, span=hour, slope=0.1)
    assert one.states(window="1h") == ["firing"]
    one.pass_time(30, span=hour)
    assert one.states(window="1h") == ["firing"]
    for _ in range(20):
        one.pass_time(30, span=hour)
    assert one.states(window="1h") == ["firing", "resolved"]


def test_alarm_outlasts_an_hour_without_traffic(life: Callable[..., Life]) -> None:
    one = life(windows=("1h", "7d"), recalibration="off", label_delay=6 * HOUR)
    one.pass_time(400, span=timedelta(hours=1), slope=0.1)
    one.pass_time(0, span=timedelta(hours=7))
    assert one.states(window="1h") == ["firing"]
    one.pass_time(0, span=timedelta(hours=2))
    one.pass_time(3, span=timedelta(minutes=3))
    assert one.states(window="1h") == ["firing"]


def test_alarm_ends_when_its_version_serves_no_more(life_on_both: Callable[..., Life]) -> None:
    one = life_on_both(windows=("1h", "24h"), recalibration="off")
    one.pass_time(400, version="old", slope=0.1)
    for _ in range(6):
        one.pass_time(50, version="new")
    ends = [each for each in one.transitions() if each.state == "resolved"]
    assert {each.version for each in ends} == {"old"}
    assert all("no more traffic" in each.evidence["summary"] for each in ends)
    firing = {each.window for each in one.transitions() if each.state == "firing"}
    assert {each.window for each in ends} == firing


def test_alarm_does_not_end_while_nothing_has_changed(life: Callable[..., Life]) -> None:
    one = life(recalibration="off", minimum_labels=500)
    for _ in range(40):
        one.pass_time(150, slope=0.42, scores=lambda random, count: random.uniform(0.01, 0.99, count))
    assert "firing" in one.states()
    assert "resolved" not in one.states()


def by_hour_of_day(clock: Any) -> Draw:
    def draw(random: np.random.Generator, count: int) -> NDArray[np.float64]:
        night = clock() % DAY < DAY // 2
        return random.beta(2, 8, count) if night else random.beta(8, 2, count)

    return draw


def test_day_and_night_are_no_drift(life: Callable[..., Life]) -> None:
    one = life(windows=("12h", "24h", "7d"), recalibration="off")
    half = timedelta(hours=12)
    hours = by_hour_of_day(one.clock)
    for _ in range(2 * 18):
        one.pass_time(120, span=half, scores=hours)
    assert one.states("score_drift") == []
    for _ in range(2 * 6):
        one.pass_time(120, span=half, scores=lambda random, count: random.beta(20, 2, count))
    assert one.states("score_drift") == ["firing"]


def test_young_model_has_no_reference_to_drift_from(life: Callable[..., Life]) -> None:
    one = life(recalibration="off")
    hours = by_hour_of_day(one.clock)
    while one.clock() % DAY:
        one.clock.advance(timedelta(hours=1))
    for _ in range(2 * 9):
        one.pass_time(120, span=timedelta(hours=12), scores=hours)
    assert one.states("score_drift") == []


def test_fit_takes_nothing_that_a_calibrator_made(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model()
    at = moment(clock())
    feed.take(
        make.prediction("bare", 0.25, at=at),
        make.prediction("served only", 0.5, at=at, calibrator_version=1),
        make.prediction("both", 0.75, at=at, calibrator_version=1, raw_probability=0.875),
        *(make.label(name, 1) for name in ("bare", "served only", "both")),
    )
    assert sorted(_raw(feed, model, clock).x.tolist()) == [0.25, 0.875]


def test_fit_takes_no_vector_that_a_calibrator_made(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model(task="multiclass", classes=("a", "b"))
    at = moment(clock())
    feed.take(
        make.prediction("bare", at=at, probabilities=[0.25, 0.75]),
        make.prediction("served only", at=at, probabilities=[0.5, 0.5], calibrator_version=1),
        make.prediction(
            "both", at=at, probabilities=[0.75, 0.25], calibrator_version=1, raw_probabilities=[0.875, 0.125]
        ),
        *(make.label(name, "a") for name in ("bare", "served only", "both")),
    )
    assert sorted(_raw(feed, model, clock).x[:, 0].tolist()) == [0.25, 0.875]


def _raw(feed: Any, model: Model, clock: Any) -> Sample:
    with feed.database.read() as connection:
        state = clocked(connection, model, clock())
        return raw_sample(connection, state, clock() - DAY, clock() + DAY, lambda key: isinstance(key, SeriesKey))


def test_history_in_one_go_and_in_any_order_raises_no_alarm(feed: Any, clock: Any) -> None:
    model = feed.model(recalibration="auto", minimum_labels=100)
    random = np.random.default_rng(5)
    raw = decided(random, 3000)
    days = random.uniform(1, 90, 3000)
    events: list[Any] = []
    for i, (p, age) in enumerate(zip(raw.tolist(), days.tolist(), strict=True)):
        at = moment(clock() - int(age * DAY))
        events.append(PredictionEvent(event_id=f"e{i}", model="m", timestamp=at, probability=p))
        events.append(LabelEvent(event_id=f"e{i}", model="m", label=int(random.uniform() < p)))
    order = random.permutation(len(events))
    for first in range(0, len(events), 500):
        feed.take(*(events[i] for i in order[first : first + 500]))
        for name in ("evaluate", "recalibrate"):
            run_stage(stage(name), feed.database, feed.token, now=clock)
        run_stage(stage("alerts"), feed.database, feed.token, now=clock)
    with feed.database.read() as connection:
        assert alerts.transitions(connection, model.id, 10) == []
        assert versions.documents(connection, model.id) == []


def test_history_without_label_times_teaches_no_delay(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model()
    week = timedelta(days=7)
    now: datetime = moment(clock())
    feed.send(make.prediction("live", 0.5, at=now))
    clock.advance(week)
    feed.send(make.label("live", 1))
    for i in range(300):
        feed.send(make.prediction(f"old{i}", 0.5, at=now - 10 * week), make.label(f"old{i}", 1))
    feed.roll_up()
    with feed.database.read() as connection:
        learned = clocked(connection, model, clock()).delay
    assert learned >= micros(now + week) - micros(now)


def test_late_batch_of_labels_is_judged_by_when_predictions_were_made(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model(windows=("24h",), minimum_labels=100)
    random = np.random.default_rng(3)
    begin = moment(clock())
    for day in range(10):
        at = begin + timedelta(days=day)
        feed.send(*(make.prediction(f"{day}-{i}", p, at=at) for i, p in enumerate(decided(random, 120).tolist())))
        clock.advance(timedelta(days=1))
        feed.roll_up()
        run_stage(stage("evaluate"), feed.database, feed.token, now=clock)
    assert _verdicts(feed, model) == {"too_few_labels"}
    feed.take(*(make.label(f"{day}-{i}", int(random.uniform() < 0.5)) for day in range(10) for i in range(120)))
    run_stage(stage("evaluate"), feed.database, feed.token, now=clock)
    with feed.database.read() as connection:
        state = clocked(connection, model, clock())
    assert state.delay >= 9 * DAY
    assert state.matured_until is not None
    assert state.matured_until < micros(begin) + DAY
    assert "miscalibrated" not in _verdicts(feed, model)


def _verdicts(feed: Any, model: Model) -> set[str]:
    with feed.database.read() as connection:
        return {found.verdict for _, _, found in evaluations.newest(connection, model.id)}


def _history(one: Life, **asked: Any) -> list[Any]:
    wanted = {"window": "24h", "segment": "", "version": None, "start": 0, "end": one.clock() + DAY, "limit": 100}
    with one.feed.database.read() as connection:
        return evaluations.history(connection, one.model.id, **{**wanted, **asked})


def test_history_has_one_evaluation_for_each_end(life_on_both: Callable[..., Life]) -> None:
    one = life_on_both(recalibration="off")
    one.pass_time(40, version="a")
    one.pass_time(60, version="b")
    one.pass_time(60, version="b", span=timedelta(hours=30))
    together, single = _history(one)[1:]
    assert [each.end for each in _history(one)] == sorted({each.end for each in _history(one)})
    assert (together.version, together.labelled) == (None, 100)
    assert single.version == "b"
    assert [each.labelled for each in _history(one, version="a")] == [40, 40]
    assert len(_history(one, limit=2)) == 2


def test_history_keeps_no_diagrams_but_the_newest_evaluation_does(life_on_both: Callable[..., Life]) -> None:
    one = life_on_both(recalibration="off")
    one.pass_time(40)
    with one.feed.database.read() as connection:
        newest = evaluations.newest(connection, one.model.id)
    assert all(each.curves is None for each in _history(one))
    assert all(len(found.curves.reliability) == 15 for _, _, found in newest)


def test_evaluation_over_all_versions_raises_no_alarm_of_its_own(life: Callable[..., Life]) -> None:
    one = life(recalibration="off")
    for version in ("a", "b") * 3:
        one.pass_time(150, version=version, slope=0.1)
    with one.feed.database.read() as connection:
        newest = {found.version for _, _, found in evaluations.newest(connection, one.model.id)}
    assert newest == {"a", "b"}
    assert {each.version for each in one.transitions()} == {"a", "b"}
    assert any(each.version is None for each in _history(one))
    assert ALL_VERSIONS not in {each.version for each in _history(one)}


def test_sums_of_many_ranges_are_those_of_each(feed: Any, clock: Any) -> None:
    one = Life(feed, clock, segments=("s",))
    for version in ("a", "b", "a"):
        one.pass_time(40, version=version, span=timedelta(hours=31), judged=False)
    end = one.clock() // HOUR * HOUR
    ranges = [(end - 2 * DAY, end), (end - DAY, end - HOUR), (end - 90 * HOUR, end - DAY), (end, end + DAY)]
    with feed.database.read() as connection:
        together = by_place(connection, one.model, ranges)
        for start, last in ranges:
            for version in ("a", "b"):
                alone = of_series(connection, one.model, start, last, of_version(version))
                found = together[start, last].get((version, ""))
                assert (0 if found is None else found.labels) == alone.labels
                assert found is None or (found.cells("served").sp == alone.cells("served").sp).all()
