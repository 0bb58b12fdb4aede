"""Sets of answers against sorted rows, the paper's recursion, and what coverage theory says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.stats.cells import CELLS, place
from monitor.stats.conformal import (
    EVERYTHING,
    RATE,
    WARM_UP,
    adapted,
    binary_scores,
    conformal_threshold,
    prediction_sets,
    rank,
    vector_scores,
)
from monitor.stats.thresholds import CUTS
from tests.benchmarks.decisions import coverages, drifting, of_rows, vector_coverages
from tests.benchmarks.decisions import drawn as sample_of

COVERAGES = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60, unique=True), COVERAGES)
def test_of_scores_left_out_one_by_one_exactly_the_promised_share_is_covered(scores, coverage):
    inside = sum(
        each <= conformal_threshold(scores[:i] + scores[i + 1 :], np.ones(len(scores) - 1), coverage)
        for i, each in enumerate(scores)
    )
    assert inside == min(int(np.ceil(round(len(scores) * coverage, 9))), len(scores))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5)), min_size=1, max_size=30), COVERAGES)
def test_weights_are_repeated_rows(pairs, coverage):
    scores, weights = zip(*pairs, strict=True)
    rows = np.repeat(scores, weights)
    assert conformal_threshold(scores, weights, coverage) == conformal_threshold(rows, np.ones(len(rows)), coverage)


def test_too_few_scores_let_everything_in():
    assert conformal_threshold([0.1] * 8, np.ones(8), 0.9) == EVERYTHING
    assert conformal_threshold([0.1] * 9, np.ones(9), 0.9) == 0.1
    assert conformal_threshold([], [], 0.9) == EVERYTHING
    assert rank(9, 0.9) == 9


def cell_threshold(p, y, coverage):
    at = place(p)
    n, sy = np.bincount(at, minlength=CELLS), np.bincount(at, weights=y, minlength=CELLS)
    return conformal_threshold(*binary_scores(np.append(0.0, CUTS[:-1]), CUTS, n, sy), coverage)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=20, max_size=80), COVERAGES)
def test_cells_give_a_threshold_at_most_a_cell_above_that_of_rows(pairs, coverage):
    p, y = (np.array(each, dtype=float) for each in zip(*pairs, strict=True))
    scores = np.where(y == 1, 1 - p, p)
    exact = conformal_threshold(scores, np.ones(len(scores)), coverage)
    assert exact - 1e-12 <= cell_threshold(p, y, coverage) <= exact + 1 / 60 + 1e-12


def test_coverage_over_200_seeds_is_within_its_bound():
    labels, wanted = 199, 0.9
    rows, cells = coverages("spread out", wanted, seeds=200, labels=labels)
    # One seed's coverage is Beta(180, 20): their mean is .9 exactly, within .0015 or so over 200 seeds.
    assert wanted - 0.004 < rows.mean() < wanted + 1 / (labels + 1) + 0.004
    assert (cells >= rows).all()
    assert cells.mean() - rows.mean() < 0.01
    assert rows.std() == pytest.approx(np.sqrt(0.9 * 0.1 / 201), rel=0.15)


def test_coverage_of_several_classes_does_not_depend_on_calibration():
    found = vector_coverages(4, 0.8, seeds=60, labels=200)
    assert found.mean() == pytest.approx(161 / 201, abs=0.012)


def test_a_set_holds_what_is_at_most_as_far_from_sure_as_the_threshold():
    p = np.array([[0.5, 0.3, 0.2], [0.9, 0.06, 0.04]])
    assert prediction_sets(p, 0.7).tolist() == [[True, True, False], [True, False, False]]
    assert vector_scores(p, [1, 0]).tolist() == [0.7, pytest.approx(0.1)]
    assert prediction_sets(p[:, 0], 0.5).tolist() == [[True, True], [False, True]]


def recursion(scores, coverage, rate=RATE):
    """Return the level after each event, as the paper has it."""
    alpha, errors = 1 - coverage, []
    for i in range(WARM_UP, len(scores)):
        wanted = int(np.ceil(round((i + 1) * (1 - alpha), 9)))
        threshold = 1.0 if wanted > i else -1.0 if wanted <= 0 else np.sort(scores[:i])[wanted - 1]
        errors.append(float(scores[i] > threshold))
        alpha += rate * ((1 - coverage) - errors[-1])
    return alpha, 1 - np.mean(errors)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_single_events_follow_the_papers_recursion(coverage):
    dice = np.random.default_rng(3)
    scores = np.round(dice.beta(2, 5, 400) * np.linspace(1, 1.3, 400), 3).clip(0, 1)
    found = adapted(np.arange(400), scores, np.ones(400), coverage=coverage)
    alpha, covered = recursion(scores, coverage)
    assert found.alpha == pytest.approx(alpha, abs=1e-9)
    assert found.coverage == pytest.approx(covered)
    assert found.labelled == 300


def test_errors_tend_to_what_is_wanted_whatever_the_scores_do():
    dice = np.random.default_rng(4)
    events = 6000
    scores = np.clip(0.5 + 0.4 * np.sin(np.arange(events) / 400) + dice.normal(0, 0.05, events), 0, 1)
    found = adapted(np.arange(events), scores, np.ones(events), coverage=0.9)
    # Gibbs & Candès 2021, proposition 4.1.
    assert abs(found.coverage - 0.9) <= (0.9 + RATE) / (RATE * found.labelled)
    static = conformal_threshold(scores[:1000], np.ones(1000), 0.9)
    assert abs((scores[1000:] <= static).mean() - 0.9) > 0.05


def test_a_whole_bucket_moves_the_level_by_no_more_than_its_error():
    scores = np.concatenate([np.linspace(0, 0.5, 200), np.full(5000, 0.9)])
    found = adapted(np.repeat([0, 1], [200, 5000]), scores, np.ones(5200), coverage=0.9)
    assert found.alpha == pytest.approx(0.1 - 0.9, abs=1e-9)
    assert found.threshold == EVERYTHING


def test_adaptive_sets_keep_their_coverage_when_a_model_becomes_too_sure():
    static, adaptive = drifting(1, 0.9, labels=8000)
    assert static < 0.8
    assert adaptive == pytest.approx(0.9, abs=0.01)


def test_no_labels_leave_the_level_as_it_is():
    found = adapted([], [], [], coverage=0.9)
    assert (found.alpha, found.threshold, found.labelled, found.coverage) == (pytest.approx(0.1), EVERYTHING, 0, None)


def test_rows_and_cells_agree_where_scores_are_cell_ends():
    sample, _ = sample_of(np.random.default_rng(5), "spread out", 500)
    ends = CUTS[place(sample.p)]
    again = type(sample)(ends, sample.truth)
    assert of_rows(again, np.zeros(500), 0.9) == cell_threshold(ends, np.zeros(500), 0.9)
