"""Risk and coverage against sums over rows, ties in every order."""

from itertools import permutations

import numpy as np
import pytest

from monitor.stats.cells import Cells
from monitor.stats.reliability import distinct
from monitor.stats.selective import RiskPoint, augrc, aurc, ranking, risk_coverage


def in_every_order(confidence: list[float], right: list[int], *, generalised: bool) -> float:
    """Return the mean over all orders that no confidence contradicts of the mean risk of the first i."""
    found = []
    for order in permutations(range(len(right))):
        ranked = [confidence[i] for i in order]
        if ranked == sorted(ranked, reverse=True):
            errors = np.cumsum([1 - right[i] for i in order])
            accepted = len(right) if generalised else np.arange(1, len(right) + 1)
            found.append(float((errors / accepted).mean()))
    return float(np.mean(found))


CASES = [
    ([0.9], [0]),
    ([0.9, 0.8], [0, 1]),
    ([0.9, 0.9, 0.8, 0.8, 0.8, 0.1], [1, 0, 0, 1, 1, 0]),
    ([0.5] * 5, [0, 0, 1, 1, 1]),
    ([1.0, 1.0, 0.0], [0, 1, 1]),
    ([0.7, 0.6, 0.5], [1, 1, 1]),
]


@pytest.mark.parametrize(("confidence", "right"), CASES)
def test_areas_are_the_mean_over_all_orders_of_ties(confidence: list[float], right: list[int]) -> None:
    ranked = ranking(distinct(confidence, right), binary=False)
    assert aurc(ranked) == pytest.approx(in_every_order(confidence, right, generalised=False), abs=1e-12)
    assert augrc(ranked) == pytest.approx(in_every_order(confidence, right, generalised=True), abs=1e-12)


def test_a_binary_model_is_ranked_by_the_probability_of_its_answer() -> None:
    p, y = [0.1, 0.9, 0.4, 0.7], [1, 1, 0, 1]
    answers = distinct([0.9, 0.9, 0.6, 0.7], [0, 1, 1, 1])
    assert aurc(ranking(Cells.from_rows(p, y), binary=True)) == pytest.approx(aurc(ranking(answers, binary=False)))


def test_no_answers_have_no_risk() -> None:
    nothing = ranking(Cells.from_rows([], []), binary=True)
    assert (aurc(nothing), augrc(nothing), risk_coverage(nothing)) == (None, None, [])


def test_the_curve_ends_at_all_answers_and_their_error_rate() -> None:
    generator = np.random.default_rng(1)
    p = generator.random(1000)
    y = generator.random(1000) < p
    points = risk_coverage(ranking(Cells.from_rows(p, y), binary=True))
    right = np.where(p > 0.5, y, ~y)
    assert [point.coverage for point in points] == pytest.approx(np.arange(1, 21) / 20)
    assert points[-1].risk == pytest.approx(1 - right.mean(), abs=1e-12)


def test_the_curve_is_the_error_rate_of_the_most_confident() -> None:
    confidence, right = [0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]
    points = risk_coverage(ranking(distinct(confidence, right), binary=False))
    assert points == [
        RiskPoint(coverage=0.25, risk=0.0),
        RiskPoint(coverage=0.5, risk=0.5),
        RiskPoint(coverage=0.75, risk=1 / 3),
        RiskPoint(coverage=1.0, risk=0.5),
    ]
