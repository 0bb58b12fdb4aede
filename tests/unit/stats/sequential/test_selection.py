"""Labels that are chosen by their outcome: the test grows on calibrated models, and its alert is held."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from monitor.stats.cells import Cells
from monitor.stats.sequential.evidence import Evidence
from monitor.stats.sequential.selection import BY_ERROR, Labelling, doubt, explained_by_selection, lateness_z
from monitor.stats.sequential.stored import decoded, encoded
from tests.benchmarks.alarms import THRESHOLD
from tests.benchmarks.lateness import (
    LIMIT,
    Chance,
    Life,
    Selection,
    agreed,
    at_random,
    calibrated,
    disputed,
    lived,
    missing,
    only,
    played,
    timid,
    too_high,
)

RUNS = 6  # the benchmark has 60


@pytest.mark.parametrize("onset", [0, 15])
@pytest.mark.parametrize("late", ["a day late", "never labelled"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_no_alert_fires_where_positives_of_a_calibrated_model_miss_their_time(
    share: float, late: str, onset: int
) -> None:
    life = Life(name="", chance=calibrated, in_time=missing(share), late=late == "a day late", onset=onset, steps=40)
    outcomes = [lived(life, seed) for seed in range(RUNS)]
    assert not any(outcome.fired for outcome in outcomes)
    assert [outcome.held for outcome in outcomes] == [share >= 0.5] * RUNS


@pytest.mark.parametrize("late", ["a day late", "never labelled"])
@pytest.mark.parametrize(("chosen", "share"), [(disputed, 0.1), (disputed, 0.5), (agreed, 0.5)])
def test_no_alert_fires_where_labels_of_a_calibrated_model_come_in_time_by_whether_it_was_right(
    chosen: Callable[[float], Selection], share: float, late: str
) -> None:
    life = Life(name="", chance=calibrated, in_time=chosen(share), late=late == "a day late", steps=40)
    outcomes = [lived(life, seed) for seed in range(RUNS)]
    assert not any(outcome.fired for outcome in outcomes)
    assert [outcome.held for outcome in outcomes] == [share >= 0.5] * RUNS


@pytest.mark.parametrize("chance", [timid, too_high])
@pytest.mark.parametrize("share", [0.01, 0.1])
def test_a_model_that_breaks_is_alerted_although_some_positives_are_always_late(chance: Chance, share: float) -> None:
    life = Life(name="", chance=chance, in_time=missing(share), breaks=20, steps=50)
    fired = [lived(life, seed).fired for seed in range(RUNS)]
    assert min(fired) > 20_000 * (1 - share)
    assert max(fired) < 40_000


@pytest.mark.parametrize("labelled", [0.0, 1.0])
def test_no_alert_fires_where_only_one_outcome_is_labelled(labelled: float) -> None:
    life = Life(name="", chance=calibrated, in_time=only(labelled), late=False, steps=40)
    assert all(outcome.held and not outcome.fired for outcome in (lived(life, seed) for seed in range(RUNS)))


@pytest.mark.parametrize("chance", [timid, too_high])
@pytest.mark.parametrize("late", ["a day late", "never labelled"])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.3, 0.05])
def test_a_miscalibrated_model_is_alerted_where_labels_are_missing_at_random(
    chance: Chance, late: str, share: float
) -> None:
    life = Life(name="", chance=chance, in_time=at_random(share), late=late == "a day late", steps=100)
    assert all(lived(life, seed).fired for seed in range(RUNS))


@pytest.mark.parametrize("length", ["as long as any", "a quarter as long where the favourite wins"])
def test_calibrated_games_raise_no_alert_however_long_they_last(length: str) -> None:
    assert max(played(seed, shorter=length != "as long as any", steps=50) for seed in range(RUNS)) < LIMIT


def test_an_alert_that_was_held_is_forgotten_once_the_evidence_is_gone() -> None:
    dice, evidence = np.random.default_rng(3), Evidence.begin()

    def step(share: float, chance: Chance = calibrated) -> Evidence:
        p = dice.random(1000)
        y = (dice.random(1000) < chance(p)).astype(float)
        everything, timely = Cells.from_rows(p, y), dice.random(1000) < 1 - share * y
        cells = replace(Cells.from_rows(p[timely], y[timely]), en=everything.n, esp=everything.sp)
        after = evidence.advanced(cells, threshold=THRESHOLD)
        return after.labelled(Labelling.of_cells(cells), threshold=THRESHOLD, limit=LIMIT)

    for _ in range(8):
        evidence = step(0.5)
    assert evidence.peak > LIMIT
    assert evidence.doubt(threshold=THRESHOLD)
    assert evidence.at_least.bound(0.01)
    while evidence.log_e > 0:
        evidence = step(0.0)
    assert (evidence.peak, evidence.at_least.bound(0.01)) == (0.0, None)
    for _ in range(20):
        evidence = step(0.0, too_high)
    assert evidence.peak > LIMIT
    assert evidence.doubt(threshold=THRESHOLD) is None


def test_labels_that_win_nothing_need_not_be_looked_at() -> None:
    dice = np.random.default_rng(8)
    always = seldom = Evidence.begin()
    looked = []
    for share in [0.0] * 10 + [0.4] * 6 + [0.0] * 25:
        p = dice.random(1000)
        y = (dice.random(1000) < p).astype(float)
        everything, timely = Cells.from_rows(p, y), dice.random(1000) < 1 - share * y
        cells = replace(Cells.from_rows(p[timely], y[timely]), en=everything.n, esp=everything.sp)
        seen = Labelling.of_cells(cells)
        always, seldom = (evidence.advanced(cells, threshold=THRESHOLD) for evidence in (always, seldom))
        looked.append(seldom.is_won_by_labels(LIMIT))
        always = always.labelled(seen, threshold=THRESHOLD, limit=LIMIT)
        seldom = seldom.labelled(seen if looked[-1] else Labelling.begin(), threshold=THRESHOLD, limit=LIMIT)
        assert encoded(seldom) == encoded(always)
    assert (any(looked[:10]), all(looked[12:16]), looked[-1]) == (False, True, False)


def test_an_alarm_that_was_won_in_the_clear_stays() -> None:
    dice, evidence = np.random.default_rng(4), Evidence.begin()
    for chance in [too_high] * 8 + [calibrated] * 60:
        p = dice.random(1000)
        cells = Cells.from_rows(p, dice.random(1000) < chance(p))
        evidence = evidence.advanced(cells, threshold=THRESHOLD)
        evidence = evidence.labelled(Labelling.of_cells(cells), threshold=THRESHOLD, limit=LIMIT)
    assert evidence.log_e <= 0
    assert evidence.peak == evidence.holding.calm_peak > LIMIT
    assert decoded(encoded(evidence)).holding.calm_peak == evidence.holding.calm_peak
    before = evidence.peak
    while evidence.peak <= before:  # higher evidence that labels chosen by outcome would explain does not take it back
        p = dice.random(1000)
        y = dice.random(1000) < p
        everything = Cells.from_rows(p, y)
        cells = replace(Cells.from_rows(p[y], y[y]), en=everything.n, esp=everything.sp)
        evidence = evidence.advanced(cells, threshold=THRESHOLD)
        evidence = evidence.labelled(Labelling.of_cells(cells), threshold=THRESHOLD, limit=LIMIT)
    assert doubt(evidence.holding.labelling, THRESHOLD)
    assert evidence.doubt(threshold=THRESHOLD) is None


def sums(**by_name: float) -> Labelling:
    """Return sums that all lie in one twentieth."""
    names = (
        "predictions",
        "expected",
        "labels",
        "confidence",
        "gap",
        "variance",
        "late",
        "late_gap",
        "late_variance",
        "late_confidence",
    )
    array = np.zeros((10, 20))
    array[:, 9] = [by_name.get(name, 0.0) for name in names]
    return Labelling(array)


def test_late_labels_are_compared_with_timely_ones_of_the_same_confidence() -> None:
    seen = sums(
        predictions=150,
        expected=71.25,
        labels=100,
        confidence=47.5,
        gap=5,
        variance=25,
        late=50,
        late_gap=-10,
        late_variance=12.5,
    )
    assert lateness_z(seen) == pytest.approx((-0.2 - 0.05) / np.sqrt(0.25 / 50 + 0.25 / 100))
    assert "Outcomes less confidences are -0.200 on average among late ones, +0.050 among the others" in str(
        doubt(seen, 0.05)
    )
    assert lateness_z(seen, BY_ERROR) == pytest.approx(-(lateness_z(seen) or 0.0))
    apart = replace(seen, sums=np.concatenate([seen.sums[:6], np.roll(seen.sums[6:], 1, axis=1)]))
    assert lateness_z(apart) is None
    assert lateness_z(Labelling.begin()) is None


def test_late_labels_that_disagree_with_their_prediction_are_told_where_both_outcomes_balance() -> None:
    array = np.zeros((10, 20))
    for place, p, gap, late_gap in ((3, 0.2, -4.0, 30.0), (15, 0.8, 4.0, -30.0)):
        array[:, place] = (200, 200 * p, 150, 150 * p, gap, 24, 50, late_gap, 8, 50 * p)
    assert lateness_z(Labelling(array)) == pytest.approx(0.0)
    said = str(doubt(Labelling(array), 0.05))
    assert (
        "Of the same confidence, late ones disagree with their prediction more often. A longer label delay helps."
        in said
    )
    turned = array * np.array([[1, 1, 1, 1, -1, 1, 1, -1, 1, 1]]).T
    assert "late ones agree with their prediction more often" in str(doubt(Labelling(turned), 0.05))


def test_late_labels_hold_nothing_that_they_could_not_undo() -> None:
    few_late = sums(
        predictions=1000,
        expected=475,
        labels=990,
        confidence=470,
        gap=-200,
        variance=247,
        late=10,
        late_gap=5,
        late_variance=2.5,
    )
    assert abs(lateness_z(few_late) or 0.0) > 4
    assert doubt(few_late, 0.05) is None


def test_complete_labels_are_chosen_by_nothing() -> None:
    off = sums(predictions=1000, expected=470, labels=1000, confidence=470, gap=-200, variance=249)
    assert not explained_by_selection(off, 0.05)
    assert explained_by_selection(replace(off, sums=off.sums * np.array([[2, 2, *[1] * 8]]).T), 0.05)


def test_labels_that_are_missing_can_only_explain_as_much_as_they_are() -> None:
    few = sums(predictions=1010, expected=474.7, labels=1000, confidence=470, gap=-200, variance=249)
    assert not explained_by_selection(few, 0.05)


def test_a_cluster_is_one_prediction() -> None:
    columns = np.array([[100, 30, 50, 50, 20], [10, 2, 0, 0, 0]], dtype=float).T
    seen = Labelling.of_clusters(*columns)
    assert (seen.sums[0].sum(), seen.sums[2].sum()) == (2, 1)
    assert (seen.coverage, seen.timely_gap, seen.late_gap) == (0.5, pytest.approx(0.6), None)
    assert seen.late.late_gap == pytest.approx(0.6)
    assert seen.sums[1].sum() == pytest.approx(0.3 + 0.2)


def test_labels_that_are_complete_again_raise_no_alert_on_evidence_won_before() -> None:
    dice, evidence = np.random.default_rng(5), Evidence.begin()
    for missed in [1.0] * 2 + [0.0] * 12:
        p = dice.random(400)
        y = (dice.random(400) < p).astype(float)
        everything, timely = Cells.from_rows(p, y), (y == 1) | (dice.random(400) >= missed)
        cells = replace(Cells.from_rows(p[timely], y[timely]), en=everything.n, esp=everything.sp)
        evidence = evidence.advanced(cells, threshold=THRESHOLD)
        evidence = evidence.labelled(Labelling.of_cells(cells), threshold=THRESHOLD, limit=LIMIT)
        assert evidence.peak < LIMIT or evidence.doubt(threshold=THRESHOLD) is not None
        assert decoded(encoded(evidence)).holding.doubted == evidence.holding.doubted
    assert (evidence.log_e <= 0, evidence.peak) == (True, 0.0)
