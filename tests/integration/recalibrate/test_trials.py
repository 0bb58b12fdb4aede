"""What follows by itself from calibrators being compared on live labels: watch, rollback, shadow, canary."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from monitor.domain.names import CHALLENGER, CHAMPION
from monitor.domain.settings import Model, Task
from monitor.domain.times import DAY, HOUR, moment
from monitor.recalibrate import paired_scores, registry, trials
from monitor.recalibrate.job import conclude, is_due, unanswered
from monitor.recalibrate.outcomes import Refitted, Refused
from monitor.recalibrate.paired_scores import Maps, matured_pairs
from monitor.recalibrate.refit import Outcome
from monitor.recalibrate.trials import judge_trials
from monitor.runtime.stages import run_stage
from monitor.stats.sequential.comparison import Comparison
from monitor.store import audit, models, versions
from monitor.store import sequential as store_sequential
from monitor.store import trials as store
from monitor.store.audit import Detail
from monitor.store.calibrators import Fitted, FittedFrom
from monitor.store.lease import hold
from monitor.store.trials import TrialRecord, TrialState
from monitor.store.versions import Alias
from monitor.windows.clock import clocked
from tests.integration.recalibrate.test_lifecycle import BROKEN, Life
from tests.stages import stage

Lives = Callable[..., Life]

GOOD = 1 / BROKEN
"""The temperature that puts scores right while the model is broken."""
FLAT = 10.0
"""One that is never right."""
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def life(feed_on: Any, sqlite_database: Any, clock: Any) -> Lives:
    return lambda **declared: Life(feed_on(sqlite_database), clock, **declared)


@pytest.fixture
def life_on_both(feed: Any, clock: Any) -> Lives:
    return lambda **declared: Life(feed, clock, **declared)


def temperature(value: float, task: Task = "binary") -> Fitted:
    return Fitted(method="temperature", task=task, parameters={"temperature": value})


def put(one: Any, fitted: float | Fitted, how: str = "promote") -> int:
    """Register a temperature, or any document, and promote it or put it on trial; return its number."""
    now = one.clock()
    with one.feed.database.write() as connection:
        progress = models.progress_of(connection, [one.model.id])[one.model.id]
        document = registry.register(
            connection,
            one.model,
            fitted if isinstance(fitted, Fitted) else temperature(fitted),
            fitted_from=FittedFrom(),
            gate=None,
            actor="calwatch",
            now=now,
        )
        number = document.number
        if how == "promote":
            registry.promote(connection, one.model, number, progress, actor="calwatch", now=now, reason="it passed")
        else:
            getattr(registry, how)(connection, one.model, number, progress, actor="calwatch", now=now)
    return number


def passes(one: Life, count: int = 300, *, times: int = 1, **traffic: Any) -> None:
    """Let hours pass, each with so many labels, after each of which trials are held."""
    for _ in range(times):
        one.pass_time(count, span=AN_HOUR, judged=False, **traffic)
        run_stage(stage("trials"), one.feed.database, one.feed.token, now=one.clock)


def declared(one: Life, **settings: Any) -> None:
    one.model = one.feed.model(
        **{name: getattr(one.model.settings, name) for name in ("minimum_labels", "label_delay", "windows")}, **settings
    )


def aliases(one: Life) -> Mapping[str, Alias]:
    with one.feed.database.read() as connection:
        return versions.aliases(connection, one.model.id)


def held(one: Life) -> Mapping[str, TrialState]:
    with one.feed.database.read() as connection:
        return store.of_model(connection, one.model.id)


def actions(one: Life) -> list[str]:
    with one.feed.database.read() as connection:
        return [entry.action for entry in audit.entries(connection, one.model.id)]


def attempt(one: Life) -> Any:
    with one.feed.database.read() as connection:
        return versions.attempt(connection, one.model.id)


def test_a_promotion_whose_drift_reverses_is_rolled_back_by_nobody_and_the_audit_log_says_why(
    life_on_both: Lives,
) -> None:
    one = life_on_both()
    one.until(one.champion, slope=BROKEN)
    one.pass_time(300, slope=BROKEN)
    assert one.champion() == 1
    one.until(lambda: one.champion() is None)
    (entry,) = one.audit("rollback")
    assert (1, None) == (entry.number, entry.restored)
    assert "calibrator 1 is worse than no calibrator, which it replaced" in entry.reason
    trial = entry.trial
    assert trial.role == "watch"
    assert trial.brier > trial.brier_other
    assert trial.e_value_log > -np.log(0.01)
    assert 300 <= trial.labels <= one.sent
    with one.feed.database.read() as connection:
        since = aliases(one)[CHAMPION].since_event_time
        (standing,) = store_sequential.standings(connection, one.model.id).values()
    # The sequential tests begin afresh with what is served from the rollback on.
    assert standing.basis.promoted == since
    assert standing.evidence.labels == 0


def test_a_champion_that_is_right_stays(life: Lives) -> None:
    one = life()
    put(one, GOOD)
    passes(one, times=6, slope=BROKEN)
    assert one.champion() == 1
    assert held(one)["watch"].findings.verdict == "better"
    assert actions(one) == ["register", "promote"]


def test_a_rollback_puts_back_the_version_before_and_that_one_is_watched_on(life: Lives) -> None:
    one = life()
    put(one, GOOD)
    passes(one, slope=BROKEN)
    put(one, FLAT)
    passes(one, times=6, slope=BROKEN)
    assert one.champion() == 1
    watch = held(one)["watch"]
    assert (1, None, "better") == (watch.number, watch.against, watch.findings.verdict)
    passes(one, times=10)
    assert one.champion() is None
    assert "watch" not in held(one)
    with one.feed.database.read() as connection:
        assert [each.number for each in registry.promotions(connection, one.model.id)] == [1, 2, 1, None]


def test_after_a_rollback_by_itself_refits_need_new_labels_but_nobody(life: Lives) -> None:
    one = life()
    put(one, FLAT)
    passes(one)
    assert actions(one)[-1] == "rollback"
    found = attempt(one)
    assert (False, one.sent) == (found.waits_for_person, found.labels)
    with one.feed.database.read() as connection:
        clock = clocked(connection, one.model, one.clock())
    assert not is_due(clock, found)
    passes(one, 100)
    with one.feed.database.read() as connection:
        clock = clocked(connection, one.model, one.clock())
    assert is_due(clock, found)


def test_what_a_person_rolled_back_still_waits_for_one_after_a_rollback_by_itself(life: Lives) -> None:
    one = life()
    put(one, FLAT)
    put(one, GOOD)
    one.roll_back()
    passes(one, times=4)
    assert actions(one)[-2:] == ["rollback", "rollback"]
    assert attempt(one).waits_for_person


@pytest.mark.parametrize("mode", ["propose", "shadow", "off"])
def test_only_auto_rolls_back_while_other_modes_say_so_once(life: Lives, mode: str) -> None:
    one = life(recalibration=mode)
    put(one, FLAT)
    passes(one, times=5)
    assert one.champion() == 1
    assert actions(one) == ["register", "promote", "watch_worse"]
    assert "is worse than" in one.audit("watch_worse")[0].reason
    declared(one, recalibration="auto")
    passes(one, 10)
    assert one.champion() is None


def test_what_is_sure_is_so_at_the_rate_that_is_declared_now(life: Lives) -> None:
    one = life(recalibration="propose", false_alarm_rate=0.3)
    put(one, FLAT)
    passes(one, 60)
    assert held(one)["watch"].findings.verdict == "worse"
    declared(one, recalibration="auto", false_alarm_rate=1e-6)
    passes(one, 1)
    found = held(one)["watch"].findings
    assert found.e_value_log < -np.log(1e-6)
    assert (1, "undecided") == (one.champion(), found.verdict)


def test_a_challenger_in_the_shadow_serves_nothing_and_says_when_it_is_better(life: Lives) -> None:
    one = life(recalibration="shadow")
    one.until(one.documents, slope=BROKEN)
    for _ in range(4):
        one.pass_time(300, slope=BROKEN)
    assert one.champion() is None
    assert (1, None) == (aliases(one)[CHALLENGER].number, aliases(one)[CHALLENGER].share)
    assert actions(one) == ["register", "shadow", "shadow_better"]  # and it answers the breach: no second refit
    assert one.audit("shadow_better")[0].trial.verdict == "better"


def test_a_challenger_in_the_shadow_that_is_worse_is_dropped(life: Lives) -> None:
    one = life(recalibration="shadow")
    put(one, FLAT, "shadow")
    passes(one)
    assert CHALLENGER not in aliases(one)
    assert actions(one) == ["register", "shadow", "shadow_worse"]
    assert attempt(one).labels == one.sent
    assert "shadow" not in held(one)


def test_a_proposal_that_turns_out_worse_stays_a_persons_to_decide(life: Lives) -> None:
    one = life(recalibration="propose")
    put(one, FLAT, "propose")
    passes(one, times=5)
    assert aliases(one)[CHALLENGER].number == 1
    assert actions(one) == ["register", "propose", "proposal_worse"]


def test_a_canary_serves_a_share_and_is_promoted_after_enough_labels(life_on_both: Lives) -> None:
    decisions = {"review": {"threshold": 0.9, "selects": "above", "precision": None}}
    one = life_on_both(canary=0.2, minimum_labels=400, decisions=decisions)
    put(one, GOOD, "canary")
    passes(one, slope=BROKEN)
    assert (0.2, None) == (aliases(one)[CHALLENGER].share, one.champion())
    passes(one, slope=BROKEN)
    assert (1, CHALLENGER in aliases(one)) == (one.champion(), False)
    assert actions(one) == ["register", "canary", "promote"]
    (entry,) = one.audit("promote")
    assert 400 <= entry.trial.labels <= 600
    assert "as a canary it served 0 predictions" in entry.reason
    assert [impact.name for impact in entry.decisions] == ["review"]


def test_a_canary_that_does_harm_is_stopped(life: Lives) -> None:
    one = life(canary=0.2, minimum_labels=100_000)
    put(one, FLAT, "canary")
    passes(one)
    assert CHALLENGER not in aliases(one)
    assert actions(one) == ["register", "canary", "canary_stop"]
    assert "is worse than" in one.audit("canary_stop")[0].reason
    assert attempt(one).labels == one.sent


def test_a_canary_that_is_no_better_is_stopped_in_the_end(life: Lives) -> None:
    one = life(canary=0.2, minimum_labels=100)
    put(one, 1.1, "canary")
    passes(one, 100, times=5, slope=1.3)
    assert one.champion() is None
    assert "no better after 4 times 100 labels" in one.audit("canary_stop")[0].reason


def test_a_canary_without_labels_stays_and_says_so_once(life: Lives) -> None:
    one = life(canary=0.2, windows=("1h",))
    put(one, GOOD, "canary")
    passes(one, 1, times=7, slope=BROKEN)
    assert aliases(one)[CHALLENGER].share == 0.2
    assert actions(one) == ["register", "canary", "canary_waits"]


def test_a_canary_ends_where_nothing_is_to_be_promoted_by_itself_any_more(life: Lives) -> None:
    one = life(canary=0.2)
    put(one, GOOD, "canary")
    declared(one, recalibration="propose")
    passes(one, times=2, slope=BROKEN)
    assert (1, None) == (aliases(one)[CHALLENGER].number, aliases(one)[CHALLENGER].share)
    assert actions(one)[:3] == ["register", "canary", "canary_end"]
    assert one.champion() is None


@pytest.mark.parametrize(
    "settings",
    [{"recalibration": mode, "canary": 0.2} for mode in ("off", "propose", "shadow")]
    + [{"recalibration": "auto", "canary": 0}],
)
def test_a_canary_ends_at_once_where_there_are_to_be_none_though_no_label_is_due_for_a_week(
    life: Lives, settings: dict[str, Any]
) -> None:
    one = life(canary=0.2, label_delay=7 * DAY)
    put(one, GOOD, "canary")
    passes(one, times=2)
    declared(one, **settings)
    passes(one, 0)
    assert (1, None) == (aliases(one)[CHALLENGER].number, aliases(one)[CHALLENGER].share)
    assert actions(one) == ["register", "canary", "canary_end"]


def test_a_trial_goes_on_under_another_role_when_settings_change(life: Lives, make: Any) -> None:
    one = life(canary=0.2, minimum_labels=100_000)
    put(one, 1.1, "canary")
    passes(one, 50, times=2)
    # To begin again would count what came late, and take the events of a cluster, whose sums are gone by then, for independent.
    one.feed.take(make.prediction("late", 0.9, at=moment(one.clock() - HOUR)), make.label("late", 1))
    for mode, role in (("propose", "proposal"), ("shadow", "shadow")):
        declared(one, recalibration=mode)
        passes(one, 50)
        (trial,) = held(one).values()
        assert (role, one.sent) == (trial.role, trial.findings.labels)


def test_after_a_persons_rollback_a_canary_waits_for_a_person_too(life: Lives) -> None:
    one = life(canary=0.2)
    put(one, 1.0)
    put(one, GOOD, "canary")
    passes(one, 20, slope=BROKEN)
    one.roll_back()
    assert (2, None) == (aliases(one)[CHALLENGER].number, aliases(one)[CHALLENGER].share)
    assert actions(one)[-2:] == ["rollback", "canary_end"]
    passes(one, times=3, slope=BROKEN)
    assert one.champion() is None
    assert attempt(one).waits_for_person


@pytest.mark.parametrize(
    ("settings", "promote", "held_by", "expected"),
    [
        ({"recalibration": "auto"}, None, None, "promote"),
        ({"recalibration": "auto"}, None, "the label rate jumped", "propose"),
        ({"recalibration": "auto", "canary": 0.1}, None, None, "canary"),
        ({"recalibration": "auto", "canary": 0.1}, None, "the label rate jumped", "propose"),
        ({"recalibration": "auto", "canary": 0.1}, True, None, "promote"),
        ({"recalibration": "auto"}, False, None, "propose"),
        ({"recalibration": "propose"}, None, None, "propose"),
        ({"recalibration": "propose"}, True, "the label rate jumped", "promote"),
        ({"recalibration": "shadow"}, None, None, "shadow"),
        ({"recalibration": "shadow"}, False, None, "propose"),
        ({"recalibration": "off"}, None, None, "propose"),
    ],
)
def test_what_becomes_of_a_refit_that_passed(
    life: Lives, settings: dict[str, Any], promote: Any, held_by: str | None, expected: str
) -> None:
    one = life(**settings)
    answer = concluded(one, promote=promote, held=held_by)
    assert actions(one) == ["register", expected]
    assert (expected == "promote") == answer.promoted == (one.champion() == 1)
    assert held_by is None or promote or held_by in answer.reason
    assert held_by is None or expected != "propose" or one.audit("propose") == [Detail(number=1, held=held_by)]


def concluded(one: Life, *, promote: bool | None = None, held: str | None = None) -> Refitted | Refused:
    reason = "it is better" if held is None else f"it is better. A person must decide: {held}"
    outcome = Outcome(
        fitted=temperature(2.0), gate=None, reason=reason, passed=True, fitted_from=FittedFrom(), held=held
    )
    with one.feed.database.write() as connection:
        clock = clocked(connection, one.model, one.clock())
        return conclude(connection, clock, outcome, promote=promote, actor="calwatch", now=one.clock())


@pytest.mark.parametrize(
    ("settings", "held_by", "answers"),
    [
        ({"recalibration": "propose"}, None, True),
        ({"recalibration": "shadow"}, None, True),
        ({"recalibration": "auto", "canary": 0.1}, None, True),
        ({"recalibration": "auto"}, "the label rate jumped", True),
    ],
)
def test_a_challenger_answers_the_breach_that_it_is_for(
    life: Lives, settings: dict[str, Any], held_by: str | None, *, answers: bool
) -> None:
    one = life(**settings)
    one.pass_time(5)
    concluded(one, held=held_by)
    challenger = aliases(one)[CHALLENGER]
    assert challenger.since_event_time is not None
    with one.feed.database.read() as connection:
        old = unanswered(connection, one.model, {"": challenger.since_event_time}, challenger)
        new = unanswered(connection, one.model, {"": one.clock() + HOUR}, challenger)
    assert (set() if answers else {""}, {""}) == (old, new)


def test_a_proposal_from_before_auto_was_switched_on_answers_nothing(life: Lives) -> None:
    one = life(recalibration="propose")
    one.pass_time(5)
    concluded(one)
    declared(one, recalibration="auto")
    challenger = aliases(one)[CHALLENGER]
    with one.feed.database.read() as connection:
        assert unanswered(connection, one.model, {"": 0}, challenger) == {""}


def test_each_label_counts_once_and_those_that_come_later_do_not(life_on_both: Lives, make: Any) -> None:
    one = life_on_both(recalibration="off")
    put(one, GOOD)
    one.pass_time(0)
    at = moment(one.clock())
    one.feed.take(make.prediction("late", 0.5, at=at))
    passes(one, 50, times=2, slope=BROKEN)
    assert held(one)["watch"].findings.labels == 100
    one.feed.take(make.label("late", 1))
    passes(one, 10, times=3, slope=BROKEN)
    assert held(one)["watch"].findings.labels == 130
    assert judge_trials(one.feed.database, one.feed.token, one.model, one.clock()) == 0


def test_a_minute_is_taken_in_when_it_is_over_however_often_one_looks(life: Lives) -> None:
    one = life(recalibration="off")
    put(one, GOOD)
    for _ in range(41):
        one.pass_time(5, span=timedelta(seconds=20), judged=False)
        run_stage(stage("trials"), one.feed.database, one.feed.token, now=one.clock)
    # Counted are 13 minutes, without the first, in which the calibrator was put in service.
    assert held(one)["watch"].findings.labels == 12 * 15


def test_a_long_backlog_is_taken_as_if_it_had_been_taken_step_by_step(life: Lives, monkeypatch: Any) -> None:
    one = life(recalibration="off")
    put(one, GOOD)
    for _ in range(5):
        one.pass_time(20, span=AN_HOUR, judged=False, slope=BROKEN)
    run_stage(stage("trials"), one.feed.database, one.feed.token, now=one.clock)
    whole = held(one)["watch"]
    with one.feed.database.write() as connection:
        store.forget(connection, one.model.id, "watch")
    monkeypatch.setattr(paired_scores, "STEPS", 7)
    assert judge_trials(one.feed.database, one.feed.token, one.model, one.clock()) > 10
    assert held(one)["watch"] == whole


def steps_of(feed: Any, model: Model, clock: Any, value: float = 1.0) -> list[Any]:
    document = temperature(value)
    clock.advance(timedelta(minutes=1))
    with feed.database.read() as connection:
        return matured_pairs(connection, clocked(connection, model, clock()), 0, Maps.of(model, document, None))[0]


def test_events_under_any_calibrator_count_with_their_raw_score(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model(label_delay=0)
    at = moment(clock())
    feed.take(
        make.prediction("bare", 0.25, at=at),
        make.prediction("served only", 0.5, at=at, calibrator_version=1),
        make.prediction("under one", 0.75, at=at, calibrator_version=1, raw_probability=0.875),
        make.prediction("under another", 0.75, at=at, calibrator_version=2, raw_probability=0.125, model_version="b"),
        *(make.label(name, 1) for name in ("bare", "served only", "under one", "under another")),
    )
    (step,) = steps_of(feed, model, clock)
    assert sorted(step.other.tolist()) == [0.125**2, 0.75**2, 0.875**2]


def test_only_labels_of_trusted_sources_count_where_some_are_named(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model(label_delay=0, trusted_sources=("audited",))
    at = moment(clock())
    feed.take(
        *(make.prediction(name, p, at=at - AN_HOUR) for name, p in (("a", 0.25), ("b", 0.5), ("c", 0.75))),
        make.prediction("later", 0.5, at=at),
        make.label("a", 1, source="audited"),
        make.label("b", 1, source="clicks"),
        make.label("c", 0, source="audited"),
    )
    (step,) = steps_of(feed, model, clock)
    assert sorted(step.other.tolist()) == [0.75**2, 0.75**2]


def test_events_of_a_cluster_bet_together(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model(label_delay=0)
    at = moment(clock())
    names = [f"e{i}" for i in range(9)]
    feed.take(
        *(
            make.prediction(
                name, 0.1 * (i + 1), at=at - AN_HOUR / (i + 2), cluster=("x" if i < 4 else "y" if i < 8 else None)
            )
            for i, name in enumerate(names)
        ),
        make.prediction("later", 0.5, at=at),
        *(make.label(name, 1) for name in names),
    )
    (step,) = steps_of(feed, model, clock, 3.0)
    assert sorted(np.unique(step.cluster, return_counts=True)[1].tolist()) == [1, 4, 4]
    p = np.arange(1, 10) / 10
    served = expit(logit(p) / 3.0)
    gain = ((1 - p) ** 2 - (1 - served) ** 2) / 0.5
    factors = [[1 + 0.9 * mean for mean in (gain[:4].mean(), gain[4:8].mean(), gain[8])]]
    found = Comparison.begin().advanced(step, 0.5)
    assert found.wealth[1, -1] == pytest.approx(np.log(0.5) + np.log(factors).sum())


@pytest.mark.parametrize("shared", [{0, 1, 2}, {1}], ids=["all", "only where others were taken in before"])
def test_events_of_a_cluster_bet_together_also_where_labels_come_at_once(
    life: Lives, make: Any, shared: set[int]
) -> None:
    one = life(recalibration="off")
    put(one, FLAT)
    for i in range(60):
        one.clock.advance(timedelta(seconds=20))
        cluster = "x" if i % 3 in shared else None
        count = 1 if cluster is None else 50
        told = [make.prediction(f"{i}-{j}", 0.9, at=moment(one.clock()), cluster=cluster) for j in range(count)]
        one.feed.take(*told, *(make.label(each.event_id, 1) for each in told))
        run_stage(stage("trials"), one.feed.database, one.feed.token, now=one.clock)
        run_stage(stage("tests"), one.feed.database, one.feed.token, now=one.clock)
    one.clock.advance(AN_HOUR)
    one.feed.take(make.prediction("later", 0.9, at=moment(one.clock())))
    run_stage(stage("trials"), one.feed.database, one.feed.token, now=one.clock)
    found = held(one)["watch"].findings
    # Clusters and events alone bet sixty times at most; a thousand bets are what independent ones would make.
    assert found.e_value_log < 60 * np.log(1.9)
    assert found.labels > 900 or shared == {1}


def test_a_move_by_a_person_meanwhile_wins(life: Lives, monkeypatch: Any) -> None:
    one = life()
    put(one, FLAT)
    for _ in range(4):
        one.pass_time(300, span=AN_HOUR, judged=False)

    def moved(connection: Any, token: int) -> None:
        hold(connection, token)
        progress = models.progress_of(connection, [one.model.id])[one.model.id]
        registry.roll_back(connection, one.model, progress, actor="ann", now=one.clock(), reason="by hand")

    monkeypatch.setattr(trials, "hold", moved)
    run_stage(stage("trials"), one.feed.database, one.feed.token, now=one.clock)
    assert [entry.reason for entry in one.audit("rollback")] == ["by hand"]


def test_vectors_are_compared_from_rows_a_whole_hour_at_a_time(feed: Any, clock: Any, make: Any) -> None:
    model = feed.model(task="multiclass", classes=("a", "b", "c"), label_delay=0, recalibration="auto")
    one = Serving(feed, clock, model)
    put(one, temperature(FLAT, "multiclass"))
    dice = np.random.default_rng(3)
    for _ in range(3):
        vectors = dice.dirichlet([0.3, 0.3, 0.3], 200)
        one.serve(
            make,
            [{"probabilities": each.tolist()} for each in vectors],
            ["abc"[dice.choice(3, p=each)] for each in vectors],
        )
    assert one.rolled_back().brier > one.rolled_back().brier_other + 0.1


@pytest.mark.parametrize("kind", ["normal", "quantiles"])
def test_distributions_are_compared_by_their_crps(
    sqlite_database: Any, feed_on: Any, clock: Any, make: Any, kind: str
) -> None:
    feed = feed_on(sqlite_database)
    one = Serving(feed, clock, feed.model(task="regression", label_delay=0, recalibration="auto"))
    put(one, Fitted(method="variance_scaling", task="regression", parameters={"scale": 3.0}))
    dice = np.random.default_rng(5)
    for _ in range(3):
        mean = dice.normal(0.0, 4.0, 200)
        stated = [
            {"mean": each, "std": 2.0}
            if kind == "normal"
            else {"quantiles": {"0.1": each - 2.56, "0.5": each, "0.9": each + 2.56}}
            for each in mean.tolist()
        ]
        one.serve(make, stated, dice.normal(mean, 2.0).tolist())
    trial = one.rolled_back()
    assert (None, None) == (trial.brier, trial.brier_other)
    assert trial.crps > trial.crps_other > 0.5


class Serving:
    """A model that is sent what any kind of model is sent."""

    def __init__(self, feed: Any, clock: Any, model: Model) -> None:
        self.feed, self.clock, self.model = feed, clock, model
        self.hours = 0

    def serve(self, make: Any, stated: list[dict[str, Any]], labels: list[Any]) -> None:
        """Let an hour pass, with labels at once."""
        self.hours += 1
        at = [moment(self.clock() + (i + 1) * HOUR // (len(labels) + 1)) for i in range(len(labels))]
        names = [f"{self.hours}-{i}" for i in range(len(labels))]
        self.clock.advance(AN_HOUR)
        self.feed.take(
            *(make.prediction(name, at=t, **each) for name, t, each in zip(names, at, stated, strict=True)),
            *(make.label(name, each) for name, each in zip(names, labels, strict=True)),
        )
        run_stage(stage("trials"), self.feed.database, self.feed.token, now=self.clock)

    def rolled_back(self) -> TrialRecord:
        """Return the trial of the only rollback."""
        with self.feed.database.read() as connection:
            audited = audit.entries(connection, self.model.id)
        (entry,) = [each for each in audited if each.action == "rollback"]
        return entry.detail.trial


def test_the_list_of_calibrators_shows_its_trials(sqlite_api: Any, tools: Any) -> None:
    api = sqlite_api
    quiet = {
        "thresholds": {"ece": 0.9}
    }  # no alarm calls for another refit, whose trial would take the place of this one
    api.put(status=201, task="binary", recalibration="propose", label_delay="0s", minimum_labels=10, **quiet)
    address = "/v1/models/m/calibrators"
    dice = np.random.default_rng(1)
    for part in ("before", "after"):
        p = dice.beta(0.3, 0.3, 400).clip(0.001, 0.999)
        y = dice.random(400) < expit(logit(p) / 3.0)
        minutes = 0 if part == "before" else 30
        events = [
            {**each, "timestamp": f"2026-01-05T12:{minutes + i // 20:02}:{i % 20:02}Z"}
            for i, (score, truth) in enumerate(zip(p.tolist(), y.tolist(), strict=True))
            for each in (tools.prediction(f"{part}{i}", score), tools.label(f"{part}{i}", truth))
        ]
        api.clock.micros += HOUR
        api.send(*events)
        if part == "before":
            assert api.get(address)["trials"] == []
            assert api.post(address, {"method": "platt", "holdout": 0.3}, status=201)["number"] == 1
    api.judge()
    (trial,) = api.get(address)["trials"]
    assert {"role": "proposal", "number": 1, "against": None, "labels": 400} == {
        name: trial[name] for name in ("role", "number", "against", "labels")
    }
    assert trial["brier"] < trial["brier_other"]
    assert (trial["verdict"] == "better") == (trial["e_value_log_better"] > -np.log(0.01))
    grown = trial["e_value_log_better"]
    further = int(np.ceil(400 * (-np.log(0.01) / grown - 1))) if grown >= 1 else None
    assert trial["labels_needed"] == (0 if trial["verdict"] == "better" else further)
    api.post(f"{address}/1/promote")
    (watched,) = api.get(address)["trials"]  # from its promotion on, before any label
    assert (watched["role"], watched["number"], watched["against"], watched["labels"]) == ("watch", 1, None, 0)
    assert (watched["verdict"], watched["brier"], watched["e_value_log"]) == ("undecided", None, 0)
    assert 50 < watched["labels_needed"] < 5000  # by what the gate saw


def test_what_is_promoted_no_longer_waits_for_a_person(sqlite_api: Any, tools: Any) -> None:
    api, address = sqlite_api, "/v1/models/m/calibrators"
    api.put(status=201, task="binary", recalibration="propose", label_delay="0s", thresholds={"ece": 0.9})
    dice = np.random.default_rng(1)
    events = [
        {**each, "timestamp": f"2026-01-05T{10 + i // 900}:{i // 15 % 60:02}:{i % 15:02}Z"}
        for i, p in enumerate(dice.beta(0.3, 0.3, 1200).clip(0.001, 0.999).tolist())
        for each in (tools.prediction(f"e{i}", p), tools.label(f"e{i}", bool(dice.random() < expit(logit(p) / 3.0))))
    ]
    api.send(*events)
    assert api.post(address, {"method": "platt"}, status=201)["number"] == 1
    api.judge()
    assert [trial["role"] for trial in api.get(address)["trials"]] == ["proposal"]
    api.post(f"{address}/1/promote")
    assert [trial["role"] for trial in api.get(address)["trials"]] == ["watch"]
