"""Sequential tests in the running product: what they take in, and that they take it in once."""

import itertools
import random
from datetime import timedelta

import numpy as np
import pytest
from alembic import command
from sqlalchemy import func, select, update

from monitor.domain.errors import LeaseLost
from monitor.domain.records import Progress
from monitor.domain.setting_types import PerLabels
from monitor.domain.times import HOUR, MINUTE, floor, micros, moment
from monitor.evaluation import sequential
from monitor.recalibrate.registry import promote, register, roll_back
from monitor.rollup import job
from monitor.rollup.cohorts import cluster_keys
from monitor.rollup.effects import effects_of
from monitor.rollup.rebuild import rebuild_model
from monitor.rollup.verify import differences_of
from monitor.runtime.stages import run_stage
from monitor.stats.cells import Cells
from monitor.stats.sequential.evidence import Clusters, Evidence
from monitor.stats.sequential.stored import decoded
from monitor.store import audit, clusters, events, models, schema
from monitor.store import sequential as store
from monitor.store.calibrators import Fitted, FittedFrom
from monitor.store.lease import hold
from monitor.store.migrate import _config, upgrade
from tests.stages import stage

MINUTES = timedelta(minutes=1)
HOURS = timedelta(hours=1)
THRESHOLD = 0.05


def declared(feed, name="m", **settings):
    return feed.model(name, **{"label_delay": 0, **settings})


def take_in(feed, model):
    """Run the stage; return how many steps it took."""
    return sequential.advance_tests(feed.database, feed.token, model, feed.clock())


def standing(feed, model, version=""):
    with feed.database.read() as connection:
        return store.standings(connection, model.id)[version]


def state(feed, model, version=""):
    return decoded(standing(feed, model, version).state)


def counted(feed, model, version=""):
    found = state(feed, model, version)
    return found.labels, found.steps


def said(feed, model):
    with feed.database.read() as connection:
        return {test.version: test for _, test in store.newest(connection, model.id)}


def waiting(feed):
    """Return how many rows of late labels, of cohorts and of clusters wait."""
    table = schema.cohort
    queries = [
        select(func.count()).select_from(table).where(table.c.due == store.LATE),
        select(func.count()).select_from(table).where(table.c.due > store.LATE),
        select(func.count()).select_from(schema.cluster).where(schema.cluster.c.waits),
    ]
    with feed.database.read() as connection:
        return tuple(connection.execute(query).scalar_one() for query in queries)


NOTHING_WAITS = (0, 0, 0)


def opened(feed, model):
    """Return when each cluster of a stream opened."""
    with feed.database.read() as connection:
        keys = cluster_keys(events.hash_key(connection), GAMES)
        found = {key.key: cluster.opened for key, cluster in clusters.of_model(connection, model.id).items()}
    return {name: found[key] for name, key in keys.items()}


def differences(feed, model):
    with feed.database.read() as connection:
        return [str(each) for each in differences_of(connection, model)]


def same(one, other):
    """Check that two states are the same up to the order of additions."""
    assert (one.labels, one.steps, one.kind) == (other.labels, other.steps, other.kind)
    for name in ("wealth", "roberts", "ratios", "gaps"):
        np.testing.assert_allclose(getattr(one.ledger, name), getattr(other.ledger, name), rtol=1e-9, atol=1e-9)


def step_of(rows):
    """Return cells and clusters of one step, computed from rows (p, y, cluster)."""
    alone = [(p, y) for p, y, cluster in rows if cluster is None]
    cells = Cells.from_rows([p for p, _ in alone], [y for _, y in alone])
    names = sorted({cluster for *_, cluster in rows if cluster is not None})
    parts = [Cells.from_rows(*zip(*[(p, y) for p, y, each in rows if each == name], strict=True)) for name in names]
    if not parts:
        return cells, None
    n, sy, sp = (np.array([getattr(part, name) for part in parts]) for name in ("n", "sy", "sp"))
    cluster, cell = np.nonzero(n)
    return cells, Clusters(cluster, cell, n[cluster, cell], sy[cluster, cell], sp[cluster, cell])


def expected(steps):
    """Return the state after steps of rows (p, y, cluster)."""
    found = Evidence.begin()
    for rows in steps:
        found = found.advanced(*step_of(rows), threshold=THRESHOLD)
    return found


def taught(evidence, rows):
    """Return the state after late labels (p, y, cluster)."""
    return evidence.taught(*step_of(rows))


GAMES = ("game 1", "game 2")


class Stream:
    """Events of two hours, labelled within half an hour; confidences of which every sum is exact."""

    def __init__(self, make, seed, size=60):
        self.make, self.dice = make, random.Random(seed)
        self.rows = []
        for i in range(size):
            at = make.prediction("x", 0.5).timestamp + timedelta(seconds=self.dice.randrange(7200))
            p = self.dice.randrange(1025) / 1024
            cluster = self.dice.choice([None, None, *GAMES])
            self.rows.append((f"e{i}", at, p, int(self.dice.random() < p), cluster))

    def events(self):
        """Return each event with when it comes."""
        for event_id, at, p, y, cluster in self.rows:
            calibrator = self.dice.choice([None, 3])
            yield at, self.make.prediction(event_id, p, at=at, cluster=cluster, calibrator_version=calibrator)
            yield at + timedelta(minutes=self.dice.randrange(30)), self.make.label(event_id, y)

    def singles(self):
        """Return the rows without a cluster by minute."""
        by_minute: dict[int, list[tuple[float, int, str | None]]] = {}
        for _, at, p, y, cluster in self.rows:
            if cluster is None:
                by_minute.setdefault(floor(micros(at), MINUTE), []).append((p, y, None))
        return by_minute

    def games(self, begun):
        """Return the rows of each cluster by the minute in which it opened."""
        by_minute: dict[int, list[tuple[float, int, str | None]]] = {}
        for name, at in sorted(begun.items(), key=lambda game: game[1]):
            rows = [(p, y, cluster) for *_, p, y, cluster in self.rows if cluster == name]
            by_minute.setdefault(floor(at, MINUTE), []).extend(rows)
        return by_minute


def in_order(*parts):
    """Return steps by beginning, in order."""
    begins = sorted({begin for part in parts for begin in part})
    return [[row for part in parts for row in part.get(begin, ())] for begin in begins]


@pytest.mark.parametrize(("seed", "chunk"), [(1, 1), (2, 7), (3, 1000)])
def test_events_in_any_order_and_chunks_give_the_state_of_their_rows_minute_by_minute(
    feed, make, monkeypatch, seed, chunk
):
    monkeypatch.setattr(sequential, "STEPS", chunk)
    model = feed.model(label_delay=HOUR)
    stream = Stream(make, seed)
    events = [event for _, event in stream.events()]
    stream.dice.shuffle(events)
    for first, last in itertools.pairwise(sorted({0, len(events), *stream.dice.sample(range(len(events)), 3)})):
        feed.take(*events[first:last])
    begun = opened(feed, model)
    assert differences(feed, model) == []
    feed.clock.advance(30 * HOURS)
    steps = in_order(stream.singles(), stream.games(begun))
    assert take_in(feed, model) == len(steps)
    same(state(feed, model), expected(steps))
    assert waiting(feed) == NOTHING_WAITS
    assert differences(feed, model) == []


def test_live_traffic_gives_the_state_of_its_rows_minute_by_minute(feed, make):
    model = feed.model(label_delay=HOUR)
    stream = Stream(make, 5)
    come = sorted(stream.events(), key=lambda each: each[0])
    looks = 0
    for _, group in itertools.groupby(come, key=lambda each: floor(micros(each[0]), 20 * MINUTE)):
        events = [event for _, event in group]
        feed.take(*events)
        looks += take_in(feed, model) > 0
        feed.clock.advance(20 * MINUTES)
    feed.clock.advance(2 * HOURS)
    take_in(feed, model)
    assert looks > 1
    same(state(feed, model), expected(in_order(stream.singles())))
    assert differences(feed, model) == []
    feed.clock.advance(24 * HOURS)
    assert take_in(feed, model) == 2
    same(state(feed, model), expected([*in_order(stream.singles()), *in_order(stream.games(opened(feed, model)))]))
    assert differences(feed, model) == []


def test_what_is_taken_in_is_not_taken_in_again(feed, make):
    model = declared(feed)
    feed.take(make.prediction("a", 0.5), make.label("a", 1))
    assert take_in(feed, model) == 1
    before = standing(feed, model)
    assert take_in(feed, model) == 0
    feed.clock.advance(HOURS)
    assert take_in(feed, model) == 0
    assert standing(feed, model) == before


def test_a_cohort_is_taken_in_once_it_has_matured_and_not_before(feed, make):
    model = feed.model(label_delay=HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.5, at=at), make.label("a", 1), make.prediction("b", 0.5, at=at + 59 * MINUTES))
    feed.clock.advance(HOURS - timedelta(seconds=1))
    assert take_in(feed, model) == 0
    feed.clock.advance(timedelta(seconds=1))
    assert take_in(feed, model) == 1
    assert feed.progress(model).taken_until == micros(at)
    assert said(feed, model)[""].until == at
    feed.take(make.label("b", 1))
    feed.clock.advance(59 * MINUTES)
    assert take_in(feed, model) == 1
    assert counted(feed, model) == (2, 2)


def test_history_waits_for_the_label_delay_from_its_receipt_on(feed, make):
    model = feed.model(label_delay=HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(*(make.prediction(f"e{i}", 0.5, at=at - i * HOURS) for i in range(5)))
    feed.clock.advance(59 * MINUTES)
    assert take_in(feed, model) == 0
    feed.take(*(make.label(f"e{i}", 1) for i in range(5)))
    feed.clock.advance(MINUTES)
    assert take_in(feed, model) == 5


def test_without_a_delay_history_is_tested_within_ten_seconds(feed, make):
    model = declared(feed)
    at = make.prediction("x", 0.5).timestamp
    feed.clock.advance(timedelta(seconds=3))
    feed.take(*(make.prediction(f"e{i}", 0.5, at=at - i * HOURS) for i in range(5)), make.label("e1", 0))
    assert take_in(feed, model) == 0
    feed.clock.advance(timedelta(seconds=7))
    assert take_in(feed, model) == 1


def test_nothing_matures_while_nobody_knows_how_long_labels_take(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.5))
    feed.clock.advance(24 * HOURS)
    assert take_in(feed, model) == 0
    assert feed.progress(model).taken_until is None
    feed.take(make.label("a", 1))
    feed.clock.advance(48 * HOURS)
    assert take_in(feed, model) == 1
    assert counted(feed, model) == (1, 1)


def test_what_the_journal_holds_does_not_come_too_late(feed, make):
    model = declared(feed)
    feed.take(make.prediction("a", 0.5), make.label("a", 1))
    feed.clock.advance(MINUTES)
    feed.send(make.prediction("b", 0.5), make.label("b", 1))
    feed.clock.advance(HOURS)
    assert take_in(feed, model) == 1
    feed.roll_up()
    assert take_in(feed, model) == 1
    assert (counted(feed, model), state(feed, model).late) == ((2, 2), 0)


@pytest.mark.parametrize("cluster", [None, "c"])
def test_a_clock_that_was_ahead_makes_no_later_label_late(feed, make, cluster):
    model = declared(feed, label_delay=HOUR, cluster_span=0)
    feed.take(make.prediction("a", 0.7, cluster=cluster), make.label("a", 1))
    right = feed.clock.micros
    feed.clock.advance(timedelta(days=3650))
    assert take_in(feed, model) == 1
    feed.clock.micros = right
    feed.clock.advance(HOURS)
    at = moment(feed.clock())
    other = cluster and "d"
    feed.take(make.prediction("b", 0.7, at=at, cluster=other), make.label("b", 1))
    feed.clock.advance(2 * HOURS)
    assert take_in(feed, model) == 1
    assert (counted(feed, model), state(feed, model).late) == ((2, 2), 0)
    assert differences(feed, model) == []


def test_late_labels_teach_once_and_are_never_bet_on(feed, make):
    model = declared(feed)
    feed.take(*(make.prediction(f"e{i}", 0.75) for i in range(4)), make.label("e3", 0))
    assert take_in(feed, model) == 1
    feed.take(make.label("e0", 1), make.label("e2", 0))
    assert waiting(feed) == (1, 0, 0)
    assert take_in(feed, model) == 0
    feed.clock.advance(MINUTES)
    feed.take(make.label("e1", 1), make.label("e0", 1))
    assert take_in(feed, model) == 0
    told = taught(expected([[(0.75, 0, None)]]), [(0.75, 1, None), (0.75, 0, None)])
    same(state(feed, model), taught(told, [(0.75, 1, None)]))
    assert (counted(feed, model), state(feed, model).late) == ((1, 1), 3)
    assert said(feed, model)[""].late_labels == 3
    assert waiting(feed) == NOTHING_WAITS
    assert differences(feed, model) == []


@pytest.mark.parametrize("split", ["prediction label", "prediction | label", "label | prediction"])
def test_an_earlier_prediction_is_tested_if_it_is_received_later(feed, make, split):
    model = declared(feed)
    feed.take(make.prediction("first", 0.5), make.label("first", 1))
    take_in(feed, model)
    feed.clock.advance(MINUTES)
    earlier = make.prediction("x", 0.5).timestamp - 5 * MINUTES
    items = {"prediction": make.prediction("a", 0.25, at=earlier), "label": make.label("a", 0)}
    for batch in split.split(" | "):
        feed.take(*(items[name] for name in batch.split()))
    take_in(feed, model)
    same(state(feed, model), expected([[(0.5, 1, None)], [(0.25, 0, None)]]))


def test_a_cluster_bets_once_at_the_end_of_its_span(feed, make):
    model = feed.model(label_delay=HOUR, cluster_span=2 * HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75, at=at, cluster="g"), make.label("a", 1), make.prediction("single", 0.5, at=at))
    feed.take(make.label("single", 0))
    feed.clock.advance(90 * MINUTES)
    assert take_in(feed, model) == 1
    feed.take(
        make.prediction("b", 0.25, at=at + 90 * MINUTES, cluster="g"), make.label("b", 1),
        make.prediction("c", 0.5, at=at + 119 * MINUTES, cluster="g"),
    )  # fmt: skip
    feed.clock.advance(89 * MINUTES)
    feed.take(make.label("c", 1))
    assert take_in(feed, model) == 0
    feed.clock.advance(MINUTES)
    assert take_in(feed, model) == 1
    rows = [(0.75, 1, "g"), (0.25, 1, "g"), (0.5, 1, "g")]
    same(state(feed, model), expected([[(0.5, 0, None)], rows]))
    fields = said(feed, model)[""]
    assert (fields.labels, fields.bets, fields.steps, fields.late_labels) == (4, 2, 2, 0)
    assert differences(feed, model) == []


def test_a_cluster_never_opens_again_and_what_comes_later_teaches_after_its_bet(feed, make):
    model = feed.model(label_delay=HOUR, cluster_span=HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(
        make.prediction("a", 0.75, at=at, cluster="g"), make.label("a", 1), make.prediction("late", 0.5, cluster="g")
    )
    feed.take(make.prediction("after", 0.25, at=at + 61 * MINUTES, cluster="g"), make.label("after", 1))
    feed.clock.advance(110 * MINUTES)
    assert take_in(feed, model) == 0
    assert differences(feed, model) == []
    feed.clock.advance(10 * MINUTES)
    assert take_in(feed, model) == 1
    told = taught(expected([[(0.75, 1, "g")]]), [(0.25, 1, "g")])
    same(state(feed, model), told)
    feed.take(
        make.label("late", 0), make.prediction("again", 0.5, at=at + 2 * HOURS, cluster="g"), make.label("again", 0)
    )
    feed.clock.advance(48 * HOURS)
    assert take_in(feed, model) == 0
    same(state(feed, model), taught(told, [(0.5, 0, "g"), (0.5, 0, "g")]))
    assert (counted(feed, model), state(feed, model).late) == ((1, 1), 3)
    assert waiting(feed) == NOTHING_WAITS
    assert differences(feed, model) == []


def test_the_span_of_a_cluster_is_fixed_when_it_opens(feed, make):
    model = declared(feed, cluster_span=HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75, at=at, cluster="old"), make.label("a", 1))
    model = declared(feed, cluster_span=3 * HOUR)
    feed.take(make.prediction("b", 0.5, at=at, cluster="new"), make.label("b", 1))
    feed.take(make.prediction("c", 0.25, at=at + 2 * HOURS, cluster="old"), make.label("c", 1))
    feed.clock.advance(HOURS)
    assert take_in(feed, model) == 1
    feed.clock.advance(HOURS)
    assert take_in(feed, model) == 0
    feed.clock.advance(HOURS)
    assert take_in(feed, model) == 1
    assert state(feed, model).late == 1


def test_clusters_bet_in_the_order_in_which_they_opened(feed, make, monkeypatch):
    model = declared(feed, cluster_span=HOUR)
    at = make.prediction("x", 0.5).timestamp
    names = ["c", "a", "b", "e", "d"]
    for i, name in enumerate(names):
        feed.take(make.prediction(name, (i + 1) / 8, at=at + i * MINUTES, cluster=name), make.label(name, i % 2))
    monkeypatch.setattr(sequential, "STEPS", 2)
    feed.clock.advance(3 * HOURS)
    assert take_in(feed, model) == len(names)
    same(state(feed, model), expected([[((i + 1) / 8, i % 2, name)] for i, name in enumerate(names)]))


def test_a_correction_changes_the_scores_and_not_the_evidence(feed, make):
    model = declared(feed, cluster_span=0)
    feed.take(make.prediction("a", 0.75), make.label("a", 1), make.prediction("b", 0.75, cluster="g"))
    feed.take(make.prediction("c", 0.5))
    take_in(feed, model)
    feed.take(make.label("b", 1), make.label("c", 1))
    take_in(feed, model)
    before = standing(feed, model)
    feed.take(*(make.label(name, 0, supersedes=True) for name in "abc"))
    assert take_in(feed, model) == 0
    assert standing(feed, model) == before
    assert waiting(feed) == NOTHING_WAITS
    assert differences(feed, model) == []


def test_a_correction_before_it_is_taken_in_counts_alone(feed, make):
    model = feed.model(label_delay=HOUR, cluster_span=HOUR)
    feed.take(make.prediction("a", 0.75), make.label("a", 1), make.prediction("b", 0.75, cluster="g"))
    feed.take(make.label("b", 1), make.label("a", 0, supersedes=True))
    feed.take(make.label("b", 0, supersedes=True))
    assert differences(feed, model) == []
    feed.clock.advance(2 * HOURS)
    take_in(feed, model)
    same(state(feed, model), expected([[(0.75, 0, None), (0.75, 0, "g")]]))


def test_events_that_share_a_shock_weigh_far_less_once_that_is_declared(feed, make):
    apart, together = feed.model("apart", label_delay=HOUR), feed.model("together", label_delay=HOUR)
    dice = random.Random(4)
    for i in range(30):
        at = make.prediction("x", 0.5).timestamp - i * MINUTES
        won = int(dice.random() < 0.5)
        for name, cluster in (("apart", None), ("together", f"game {i}")):
            ids = [f"{i}-{j}" for j in range(40)]
            feed.send(*(make.prediction(each, 0.5, at=at, cluster=cluster, model=name) for each in ids))
            feed.send(*(make.label(each, won, model=name) for each in ids))
    feed.roll_up()
    feed.clock.advance(26 * HOURS)
    found = {}
    for model in (apart, together):
        take_in(feed, model)
        assert counted(feed, model) == (1200, 30)
        found[model.name] = state(feed, model).log_e
    assert found["together"] < 3.0
    assert found["apart"] > found["together"] + 10.0
    assert (state(feed, apart).bets, state(feed, together).bets) == (1200, 30)


def test_versions_are_tested_apart_and_calibrators_of_one_together(feed, make):
    model = declared(feed)
    feed.take(
        make.prediction("a", 0.5, model_version="1"), make.label("a", 1),
        make.prediction("b", 0.25, model_version="2"), make.label("b", 1),
        make.prediction("c", 0.75, model_version="2", calibrator_version=1), make.label("c", 1),
    )  # fmt: skip
    assert take_in(feed, model) == 2
    same(state(feed, model, "1"), expected([[(0.5, 1, None)]]))
    same(state(feed, model, "2"), expected([[(0.25, 1, None), (0.75, 1, None)]]))
    assert set(said(feed, model)) == {"1", "2"}


def test_labels_that_the_model_cannot_be_judged_by_are_no_step(feed, make):
    model = declared(feed, task="multiclass", classes=("cat", "dog"))
    feed.take(
        make.prediction("a", probabilities=[0.25, 0.75]),
        make.label("a", "dog"),
        make.prediction("b", probabilities=[0.5, 0.5]),
    )
    assert take_in(feed, model) == 1
    same(state(feed, model), expected([[(0.75, 1, None)]]))


def test_regression_is_tested_by_its_integral_transform(feed, make):
    model = declared(feed, task="regression", cluster_span=0)
    values = [-1.5, -0.2, 0.3, 1.9]
    feed.take(*(make.prediction(f"e{i}", mean=0.0, std=1.0, cluster="g" if i > 1 else None) for i in range(4)))
    feed.take(*(make.label(f"e{i}", value) for i, value in enumerate(values)))
    take_in(feed, model)
    places = [1, 8, 12, 19]  # of Phi(value) among twenty equal bins
    counts = np.eye(20)[places]
    same(
        state(feed, model),
        Evidence.begin().advanced_pit(counts[:2].sum(axis=0), counts[2:].sum(axis=0)[np.newaxis], threshold=THRESHOLD),
    )
    assert said(feed, model)[""].log_ratio is None
    feed.take(make.prediction("late", mean=0.0, std=1.0))
    take_in(feed, model)
    before = state(feed, model)
    feed.take(make.label("late", 0.3))
    take_in(feed, model)
    same(state(feed, model), before.taught_pit(np.eye(20)[12]))


CALIBRATOR = Fitted(method="platt", task="binary", parameters={"slope": 1.0, "intercept": 0.0})


def put_in_service(feed, model):
    with feed.database.write() as connection:
        now, progress = feed.clock(), models.progress_of(connection, [model.id])[model.id]
        document = register(connection, model, CALIBRATOR, fitted_from=FittedFrom(), gate=None, actor="t", now=now)
        promote(connection, model, document.number, progress, actor="t", now=now, reason="test")


def take_out_of_service(feed, model):
    with feed.database.write() as connection:
        progress = models.progress_of(connection, [model.id])[model.id]
        roll_back(connection, model, progress, actor="t", now=feed.clock(), reason="test")


def levels(feed, model):
    """Return the number and the level of the test of each version that has bet, and how many have."""
    with feed.database.read() as connection:
        starts = models.progress_of(connection, [model.id])[model.id].starts
    tests = {version: (test.start, round(test.level, 12)) for version, test in said(feed, model).items() if test.start}
    return tests, starts


def bet(feed, make, model, version=""):
    """Let the test of a version take one label of now."""
    feed.clock.advance(10 * MINUTES)
    event = f"at {feed.clock()}"
    feed.take(
        make.prediction(event, 0.75, at=moment(feed.clock()) - MINUTES, model_version=version), make.label(event, 1)
    )
    take_in(feed, model)


def test_each_start_of_a_test_has_a_level_of_its_own_and_all_together_stay_within_the_rate(feed, make):
    model = declared(feed, false_alarm_rate=0.012)
    bet(feed, make, model, "b")
    bet(feed, make, model, "b")
    bet(feed, make, model, "a")
    assert levels(feed, model) == ({"b": (1, 0.003), "a": (2, 0.001)}, 2)
    put_in_service(feed, model)
    take_in(feed, model)
    assert levels(feed, model) == ({}, 2)  # a test that does not bet spends nothing
    bet(feed, make, model, "a")
    assert levels(feed, model) == ({"a": (3, 0.0005)}, 3)
    with feed.database.write() as connection:
        store.restart(connection, model.id, "a", feed.clock() - MINUTE)  # as when its alert has ended
    bet(feed, make, model, "a")
    assert levels(feed, model) == ({"a": (4, 0.0003)}, 4)
    model = declared(feed, false_alarm_rate=0.03)
    bet(feed, make, model, "a")
    assert levels(feed, model) == ({"a": (5, 0.0005)}, 5)


def test_a_step_that_is_not_stored_spends_nothing(feed, make, monkeypatch):
    model = declared(feed)
    feed.take(make.prediction("a", 0.75), make.label("a", 1))

    def fails(*_, **__):
        raise LeaseLost("t")

    with monkeypatch.context() as broken:
        broken.setattr(models, "took", fails)
        with pytest.raises(LeaseLost):
            take_in(feed, model)
    assert levels(feed, model) == ({}, 0)
    take_in(feed, model)
    assert levels(feed, model) == ({"": (1, 0.0025)}, 1)


@pytest.mark.parametrize("moves", [1, 2])
def test_a_promotion_and_a_rollback_begin_afresh_with_later_predictions(feed, make, moves):
    model = declared(feed)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75), make.label("a", 1), make.prediction("late", 0.75))
    take_in(feed, model)
    put_in_service(feed, model)
    if moves == 2:
        feed.clock.advance(MINUTES)
        take_out_of_service(feed, model)
    feed.clock.advance(10 * MINUTES)
    feed.take(make.prediction("same minute", 0.25, at=at + 30 * timedelta(seconds=1)), make.label("same minute", 1))
    take_in(feed, model)
    assert counted(feed, model) == (0, 0)
    feed.clock.advance(MINUTES)
    feed.take(make.label("late", 1), make.prediction("b", 0.25, at=at + 2 * MINUTES), make.label("b", 0))
    take_in(feed, model)
    same(state(feed, model), expected([[(0.25, 0, None)]]))
    assert said(feed, model)[""].since == moment(micros(at) + MINUTE)


def test_cohorts_from_before_a_promotion_that_mature_after_it_are_left_out(feed, make):
    model = declared(feed, label_delay=HOUR, cluster_span=HOUR)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75, cluster="g"), make.label("a", 1), make.prediction("late", 0.75))
    feed.take(make.prediction("single", 0.75), make.label("single", 1))
    take_in(feed, model)
    put_in_service(feed, model)
    feed.clock.advance(2 * MINUTES)
    feed.take(make.prediction("b", 0.25, at=at + MINUTES, cluster="h"), make.label("b", 0))
    feed.take(make.prediction("c", 0.25, at=at + MINUTES, cluster="g"), make.label("c", 0))
    feed.clock.advance(3 * HOURS)
    take_in(feed, model)
    feed.take(make.label("late", 1))
    take_in(feed, model)
    same(state(feed, model), expected([[(0.25, 0, "h")]]))
    assert state(feed, model).late == 0
    assert waiting(feed) == NOTHING_WAITS


def test_late_labels_that_wait_when_a_calibrator_is_promoted_are_left_out(feed, make):
    model = declared(feed)
    feed.take(make.prediction("a", 0.75))
    take_in(feed, model)
    feed.take(make.label("a", 1))
    put_in_service(feed, model)
    assert waiting(feed) == (1, 0, 0)
    take_in(feed, model)
    assert (counted(feed, model), state(feed, model).late, waiting(feed)) == ((0, 0), 0, NOTHING_WAITS)


@pytest.mark.parametrize(
    "changed",
    [
        {"thresholds": {"ece": 0.1, "psi": 0.2}},
        {"false_alarm_rate": 0.001},
        {"guarantee": PerLabels(per_labels=(0.01, 10**6))},
        {"alert_on": "pointwise"},
    ],
)
def test_changed_settings_begin_afresh_with_what_was_not_taken_in(feed, make, changed):
    model = declared(feed)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75), make.label("a", 1), make.prediction("late", 0.75))
    take_in(feed, model)
    model = declared(feed, **changed)
    take_in(feed, model)
    assert counted(feed, model) == (0, 0)
    fields = said(feed, model)[""]
    assert (fields.threshold, fields.false_alarm_rate) == (
        model.settings.thresholds["ece"],
        model.settings.false_alarm_rate,
    )
    assert fields.since == at
    feed.clock.advance(10 * MINUTES)
    feed.take(make.label("late", 1), make.prediction("b", 0.25, at=at + MINUTES), make.label("b", 0))
    take_in(feed, model)
    assert counted(feed, model) == (1, 1)


PER_LABELS = PerLabels(per_labels=(0.02, 10**6))


@pytest.mark.parametrize(
    ("task", "settings", "decided_by"),
    [
        ("binary", {}, "log_e"),
        ("binary", {"guarantee": PER_LABELS}, "log_sr"),
        ("binary", {"alert_on": "pointwise"}, "log_ratio"),
        ("binary", {"alert_on": "pointwise", "guarantee": PER_LABELS}, "log_ratio_sr"),
        ("regression", {"alert_on": "pointwise"}, "log_e"),
        ("regression", {"alert_on": "pointwise", "guarantee": PER_LABELS}, "log_sr"),
    ],
)
def test_the_settings_say_what_decides_and_where_it_fires(feed, make, task, settings, decided_by):
    model = declared(feed, task=task, **settings)
    scores = {"p": 0.75} if task == "binary" else {"mean": 0.0, "std": 1.0}
    for version, name in (("2", "a"), ("1", "b")):  # the order of appearance counts
        feed.take(make.prediction(name, model_version=version, **scores), make.label(name, 1))
    take_in(feed, model)
    for k, version in enumerate(("2", "1"), start=1):
        fields = said(feed, model)[version]
        assert (fields.decided_by, fields.guarantee) == (decided_by, settings.get("guarantee", "ever"))
        limit = 10**6 / 250 / 0.02 * 2 * k * (k + 1) if decided_by.endswith("sr") else 1 / fields.level
        assert fields.fires_at == pytest.approx(np.log(limit))
        assert (fields.log_e_peak is None) == (decided_by != "log_e")


def test_changed_settings_keep_what_waits(feed, make):
    model = declared(feed, label_delay=HOUR)
    feed.take(make.prediction("a", 0.75), make.label("a", 1))
    take_in(feed, model)
    model = declared(feed, label_delay=HOUR, false_alarm_rate=0.001)
    take_in(feed, model)
    feed.clock.advance(HOURS)
    take_in(feed, model)
    assert counted(feed, model) == (1, 1)


def test_settings_that_the_tests_do_not_depend_on_change_nothing(feed, make):
    model = declared(feed)
    feed.take(make.prediction("a", 0.75), make.label("a", 1))
    take_in(feed, model)
    before = standing(feed, model)
    take_in(feed, declared(feed, windows=("7d",), minimum_labels=100))
    assert standing(feed, model) == before


def test_a_restart_counts_what_comes_from_then_on(feed, make):
    model = declared(feed)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75), make.label("a", 1), make.prediction("b", 0.75), make.prediction("c", 0.75))
    take_in(feed, model)
    feed.take(make.label("b", 1))
    with feed.database.write() as connection:
        store.restart(connection, model.id, "", micros(at) + MINUTE)
    assert said(feed, model) == {}
    feed.clock.advance(10 * MINUTES)
    feed.take(make.label("c", 1), make.prediction("d", 0.25, at=at + MINUTES), make.label("d", 0))
    take_in(feed, model)
    same(state(feed, model), expected([[(0.25, 0, None)]]))
    assert said(feed, model)[""].since == moment(micros(at) + MINUTE)


def test_a_state_that_cannot_be_read_begins_afresh(feed, make):
    model = declared(feed)
    feed.take(make.prediction("a", 0.75), make.label("a", 1))
    take_in(feed, model)
    with feed.database.write() as connection:
        connection.execute(update(schema.evidence).values(state=b"of another release"))
    feed.clock.advance(10 * MINUTES)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("b", 0.25, at=at + MINUTES), make.label("b", 0))
    take_in(feed, model)
    same(state(feed, model), expected([[(0.25, 0, None)]]))
    with feed.database.read() as connection:
        (entry,) = audit.entries(connection, model.id)
    assert entry.action == "tests_begin"
    assert "received after 2026-01-05T12:00:00Z" in entry.detail.reason


def test_a_failure_halfway_keeps_what_was_taken_in_and_goes_on_from_there(feed, make, monkeypatch):
    monkeypatch.setattr(sequential, "STEPS", 2)
    model = declared(feed)
    at = make.prediction("x", 0.5).timestamp
    rows = [(0.25 * (i % 5), i % 2, None) for i in range(7)]
    for i, (p, y, _) in enumerate(rows):
        feed.take(make.prediction(f"e{i}", p, at=at + (i - 7) * MINUTES), make.label(f"e{i}", y))
    place = (schema.cohort.c.due > store.LATE) & (schema.cohort.c.bucket == micros(at) - 2 * MINUTE)
    with feed.database.read() as connection:
        blob = connection.execute(select(schema.cohort.c.summary).where(place)).scalar_one()
    _put(feed, place, b"torn")
    with pytest.raises(ValueError, match="cut short"):
        take_in(feed, model)
    assert counted(feed, model) == (4, 4)
    assert waiting(feed) == (0, 3, 0)
    feed.take(make.prediction("late", 0.5, at=at - 2 * MINUTES), make.label("late", 1))
    assert waiting(feed) == (1, 3, 0)
    before = standing(feed, model), waiting(feed)
    with pytest.raises(ValueError, match="cut short"):
        take_in(feed, model)
    assert (standing(feed, model), waiting(feed)) == before
    _put(feed, place, blob)
    take_in(feed, model)
    same(state(feed, model), taught(expected([[row] for row in rows]), [(0.5, 1, None)]))


def _put(feed, place, blob):
    with feed.database.write() as connection:
        connection.execute(update(schema.cohort).where(place).values(summary=blob))


def test_a_leader_of_before_takes_nothing_in(feed, make):
    model = declared(feed)
    feed.take(make.prediction("a", 0.75), make.label("a", 1))
    stale = feed.token
    feed.token = feed.lead("other")
    with pytest.raises(LeaseLost):
        sequential.advance_tests(feed.database, stale, model, feed.clock())
    assert feed.progress(model).taken_until is None


@pytest.mark.parametrize("cluster", [None, "g"])
@pytest.mark.parametrize("first", ["roll-up", "late label"])
def test_a_label_that_is_rolled_up_while_the_tests_advance_counts_once(feed, make, monkeypatch, cluster, first):
    model = declared(feed, cluster_span=0)
    feed.take(*(make.prediction(name, 0.75, cluster=cluster) for name in "ab"))
    if first == "late label":  # waits, and is taught meanwhile
        take_in(feed, model)
        feed.take(make.label("b", 0))
    computed = effects_of

    def overtaken(connection, received, now):
        monkeypatch.setattr(job, "effects_of", computed)
        effects = computed(connection, received, now)
        with feed.database.write() as other:
            hold(other, feed.token)
            sequential.Taking(other, model, feed.clock(), feed.clock()).go()
        return effects

    monkeypatch.setattr(job, "effects_of", overtaken)
    feed.take(make.label("a", 1))
    assert waiting(feed) == (int(cluster is None), 0, int(cluster is not None))
    take_in(feed, model)
    take_in(feed, model)
    told = Evidence.begin()
    for rows in [[(0.75, 0, cluster)]] * (first == "late label") + [[(0.75, 1, cluster)]]:
        told = taught(told, rows)
    same(state(feed, model), told)
    assert differences(feed, model) == []


def test_history_of_many_days_is_taken_in_hour_by_hour(feed, make, monkeypatch):
    monkeypatch.setattr(sequential, "STEPS", 3)
    model = declared(feed)
    now = make.prediction("x", 0.5).timestamp
    at = now - timedelta(days=6)
    rows = [(timedelta(hours=7 * i, minutes=j), i % 2, None) for i in range(20) for j in range(3)]
    feed.take(
        *(make.prediction(f"e{i}", 0.75, at=at + age, cluster=cluster) for i, (age, _, cluster) in enumerate(rows))
    )
    feed.take(*(make.label(f"e{i}", y) for i, (_, y, _) in enumerate(rows)))
    take_in(feed, model)
    minutes_from = micros(now) - 48 * HOUR
    steps: dict[int, list[tuple[float, int, str | None]]] = {}
    for age, y, cluster in rows:
        begin = micros(at + age)
        begin = floor(begin, HOUR if begin < minutes_from else MINUTE)
        steps.setdefault(begin, []).append((0.75, y, cluster))
    assert 20 < len(steps) < 60
    same(state(feed, model), expected([steps[begin] for begin in sorted(steps)]))


def test_a_model_of_an_earlier_release_is_tested_from_then_on(feed, make):
    model = declared(feed)
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("old", 0.75), make.label("old", 1), make.prediction("late", 0.75, cluster="g"))
    with feed.database.write() as connection:
        connection.execute(schema.cohort.delete())
        connection.execute(schema.cluster.delete())
        models.took(connection, model.id, micros(at) + 10_000_000, starts=0, segment_starts=0)  # as the migration does
    feed.take(make.label("late", 1))
    assert take_in(feed, model) == 0
    feed.clock.advance(10 * MINUTES)
    feed.take(make.prediction("new", 0.25, at=at - HOURS), make.label("new", 0))
    take_in(feed, model)
    same(state(feed, model), expected([[(0.25, 0, None)]]))


def test_the_migration_lets_the_tests_of_models_that_are_there_begin_with_what_comes(feed, make):
    model, empty = declared(feed), declared(feed, "empty")
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75, at=at + timedelta(seconds=29)))
    with feed.database.write() as connection:
        command.downgrade(_config(connection), "0001")
    upgrade(feed.database)
    assert feed.progress(model).taken_until == micros(at) + MINUTE // 2
    assert feed.progress(empty).taken_until is None


def test_a_rebuild_leaves_alone_what_waits(feed, make):
    model = feed.model(label_delay=HOUR, cluster_span=HOUR, segments=("country",))
    at = make.prediction("x", 0.5).timestamp
    feed.take(make.prediction("a", 0.75), make.prediction("late", 0.5), make.label("a", 1))
    feed.clock.advance(HOURS)
    take_in(feed, model)
    assert counted(feed, model) == (1, 1)
    feed.take(make.label("late", 0))
    fresh = [make.prediction(f"b{i}", 0.25, at=at + HOURS, cluster="h" if i else None) for i in range(3)]
    feed.take(*fresh, *(make.label(f"b{i}", 0) for i in range(3)))
    before = waiting(feed)
    model = feed.model(label_delay=HOUR, cluster_span=HOUR, segments=())
    rebuild_model(feed.database, model)
    feed.token = feed.lead("feed")
    assert waiting(feed) == before == (1, 1, 1)
    assert differences(feed, model) == []
    feed.clock.advance(2 * HOURS)
    take_in(feed, model)
    told = expected([[(0.75, 1, None)], [(0.25, 0, None), (0.25, 0, "h"), (0.25, 0, "h")]])
    same(state(feed, model), taught(told, [(0.5, 0, None)]))


@pytest.mark.parametrize(("table", "cluster"), [(schema.cohort, None), (schema.cluster, "g")])
def test_sums_that_wait_and_differ_from_their_rows_are_found(feed, make, table, cluster):
    model = feed.model(label_delay=HOUR)
    feed.take(make.prediction("a", 0.75, cluster=cluster), make.label("a", 1))
    assert differences(feed, model) == []
    with feed.database.write() as connection:
        connection.execute(update(table).values(summary=b""))
    found = differences(feed, model)
    assert found
    named = "cohort due 2026-01-05T12:00:00Z" if cluster is None else "cluster "
    assert all(f"minute 2026-01-05T12:00:00Z: {named}" in each for each in found)


def test_a_model_without_events_has_nothing_to_take_in(feed):
    model = declared(feed)
    assert take_in(feed, model) == 0
    assert feed.progress(model) == Progress()


def test_one_model_that_fails_stops_no_other(feed, make):
    for name in ("a", "b"):
        declared(feed, name)
        feed.take(make.prediction("e", 0.75, model=name), make.label("e", 1, model=name))
    first = declared(feed, "a")
    with feed.database.write() as connection:
        numbers = select(schema.series.c.id).where(schema.series.c.model_id == first.id)
        connection.execute(update(schema.cohort).where(schema.cohort.c.series_id.in_(numbers)).values(summary=b"torn"))
    run_stage(stage("tests"), feed.database, feed.token, now=feed.clock)
    tested = [name for name in ("a", "b") if feed.progress(declared(feed, name)).taken_until is not None]
    assert tested == ["b"]


def test_the_api_says_what_the_tests_of_each_version_say(api, tools):
    api.put(label_delay="0s", status=201)
    assert api.get(tools.address("m") + "/evidence") == {
        "evidence": [], "segments": [], "classes": [], "ratios": [], "false_alarm_rate": 0.01, "spent": 0.0,
    }  # fmt: skip
    api.send(
        tools.prediction("a", 0.75, model_version="1"),
        tools.label("a", 1),
        tools.prediction("b", 0.75, model_version="2"),
    )
    api.judge()
    said_of_all = api.get(tools.address("m") + "/evidence")
    first, second = said_of_all["evidence"]
    assert {name: first[name] for name in ("version", "labels", "steps", "threshold", "false_alarm_rate")} == {
        "version": "1", "labels": 1, "steps": 1, "threshold": 0.05, "false_alarm_rate": 0.01,
    }  # fmt: skip
    assert (second["version"], second["labels"], second["log_e"], second["log_sr"]) == ("2", 0, 0.0, None)
    assert (first["start"], first["level"], said_of_all["spent"]) == (1, 0.0025, 0.0025)
    assert (second["start"], second["level"]) == (None, None)
    assert first["since"] == tools.NOON
    api.refused("GET", tools.address("unknown") + "/evidence", status=404)
    api.refused("GET", tools.address("m") + "/evidence?window=24h")


def test_the_e_value_is_exported_for_versions_with_labels(api, tools):
    api.put(label_delay="0s", status=201)
    api.send(
        tools.prediction("a", 0.75, model_version="1"),
        tools.label("a", 1),
        tools.prediction("b", 0.75, model_version="2"),
    )
    api.judge()
    (told,) = (each["log_e_peak"] for each in api.get(tools.address("m") + "/evidence")["evidence"] if each["labels"])
    lines = [
        line for line in api.client.get("/metrics").text.splitlines() if line.startswith("calibration_e_value_log{")
    ]
    (line,) = lines
    assert line.startswith('calibration_e_value_log{model="m",model_version="1",segment="",window=""} ')
    assert float(line.rsplit(" ", 1)[1]) == pytest.approx(told)


def test_deleting_a_model_deletes_what_its_tests_hold_and_what_waits_for_them(api, tools):
    api.put(label_delay="0s", status=201)
    api.send(tools.prediction("a", 0.75))
    api.judge()
    api.send(tools.label("a", 1), tools.prediction("b", 0.75, cluster="h"), tools.label("b", 1))
    kept = (schema.rollup, schema.cohort, schema.cluster, schema.evidence, schema.progress)

    def rows():
        with api.services.database.read() as connection:
            return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in kept]

    assert all(rows())
    api.ask("DELETE", tools.address("m") + "?confirm=m")
    assert rows() == [0, 0, 0, 0, 0]
