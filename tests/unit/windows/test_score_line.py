"""The line that reads scores: what the rows say, whatever a few of them are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.logistic import fit_line
from monitor.stats.cells import Cells
from monitor.stats.reliability import bins_of, ece
from monitor.stats.scores import brier
from monitor.stats.summary import VALUES
from monitor.stats.values import Reading, read, score_place, score_probabilities
from monitor.windows.score_line import EXPLAINS, score_line
from tests.unit.stats.test_values import with_values


def scores_of(events, seed=5):
    """Return sequence log-probabilities, and whether answers were right."""
    rng = np.random.default_rng(seed)
    score = -rng.gamma(2.0, 4.0, events)
    return score, (rng.uniform(size=events) < expit(0.3 * score + 2.0)).astype(int)


def table_of(score, y):
    table = np.zeros((VALUES["score"], 5))
    places = [score_place(value) for value in np.asarray(score).tolist()]
    np.add.at(table[:, 0], places, 1)
    np.add.at(table[:, 1], places, y)
    return table


@pytest.mark.parametrize("sign", [1, -1])
def test_the_line_of_places_is_that_of_the_rows(sign):
    score, y = scores_of(5000)
    line = score_line(table_of(sign * score, y))
    within = (line.low <= sign * score) & (sign * score <= line.high)
    rows = fit_line(sign * score[within], y[within].astype(float), np.ones(within.sum()))
    assert within.mean() > 0.99
    # Each place stands for up to a 32nd of a score to either side: nothing, against the rows' own error of .015 and .1.
    assert (line.slope, line.intercept) == (
        pytest.approx(rows.slope, rel=0.003),
        pytest.approx(rows.intercept, abs=0.006),
    )
    assert sign * line.slope == pytest.approx(0.3, abs=0.03)


def test_a_line_fitted_on_the_first_labels_calibrates_the_later_ones():
    score, y = scores_of(20_000)
    line = score_line(table_of(score[:2000], y[:2000]))
    later = with_values(
        [("score", score_place(value)) for value in score[2000:].tolist()], None, y[2000:].tolist(), [False] * 18_000
    )
    served = read(later, Reading(score=line)).cells("served")
    assert ece(bins_of(served)) < 0.03
    bounded = np.clip(score[2000:], line.low, line.high)
    rows = Cells.from_rows(expit(line.slope * bounded + line.intercept), y[2000:])
    assert brier(served) == pytest.approx(brier(rows), abs=2e-4)
    assert score_probabilities(*line)[score_place(-5.0)] == pytest.approx(
        expit(line.slope * -5 + line.intercept), abs=0.02
    )


@pytest.mark.parametrize("sentinel", [-9999.0, -500.0, -1e300, 1e6])
@pytest.mark.parametrize("wild", [1, 2, 10, 50])
def test_a_few_sentinels_leave_the_line_of_all_others(sentinel, wild):
    score, y = scores_of(500)
    clean = score_line(table_of(score, y))
    right = np.arange(wild) % 2
    line = score_line(table_of(np.append(score, np.full(wild, sentinel)), np.append(y, right)))
    usual = np.quantile(score, [0.1, 0.5, 0.9])
    moved = expit(line.slope * usual + line.intercept) - expit(clean.slope * usual + clean.intercept)
    assert np.abs(moved).max() < 0.03
    assert line.slope == pytest.approx(clean.slope, rel=0.2)


def test_sentinels_flatten_the_line_of_unbounded_scores():
    score, y = scores_of(500)
    wild, right = np.append(score, [-9999.0, -9999.0]), np.append(y, [1, 0]).astype(float)
    assert fit_line(wild, right, np.ones(502)).slope < 0.01
    assert score_line(table_of(wild, right)).slope > 0.2


def test_scores_that_tell_nothing_make_a_line_once_in_a_hundred():
    rng = np.random.default_rng(8)
    tables = (table_of(rng.normal(size=300), rng.random(300) < 0.7) for _ in range(1000))
    made = 0
    for table in tables:
        try:
            made += bool(score_line(table))
        except NotIdentified:
            continue
    assert 2 <= made <= 22  # binomial(1000, .01): 99.9 % within


def test_scores_that_tell_a_little_make_a_line_with_labels_enough():
    rng = np.random.default_rng(9)
    score = rng.normal(size=4000)
    y = rng.random(4000) < expit(0.25 * score + 0.5)
    assert score_line(table_of(score, y)).slope == pytest.approx(0.25, abs=0.1)
    with pytest.raises(NotIdentified, match="do not tell right answers from wrong ones"):
        score_line(table_of(score[:30], y[:30]))


def test_scores_that_are_all_the_same_make_none():
    with pytest.raises(NotIdentified, match="all scores are the same"):
        score_line(table_of([-0.5] * 300, [0, 1, 1] * 100))


def test_few_values_are_bounded_only_where_they_spread():
    line = score_line(table_of([0.0] * 300 + [1.0] * 100, [0, 1] * 150 + [1] * 100))
    assert (line.low, line.high) == (pytest.approx(-(2.0**32), rel=0.1), pytest.approx(2.0**32, rel=0.1))
    assert line.slope > 1


@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.booleans()), min_size=1, max_size=60))
def test_any_scores_give_a_line_or_the_reason_why_not(rows):
    score, y = zip(*rows, strict=True)
    try:
        line = score_line(table_of(score, y))
    except NotIdentified:
        return
    assert np.isfinite(line).all()
    assert line.low < line.high
    assert EXPLAINS > 0
