"""Isotonic: a worked example, its invariants, and what scikit-learn finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from monitor.calibrators.document import check
from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.isotonic import Isotonic

ROWS = st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans(), st.integers(1, 5)), min_size=2, max_size=60).filter(
    lambda rows: len({y for _, y, _ in rows}) == 2
)


def test_isotonic_reproduces_blocks_worked_by_hand() -> None:
    fitted = Isotonic().fit([0.1, 0.2, 0.3, 0.4, 0.65, 0.7, 0.8, 0.9, 1.0], [0, 0, 0, 1, 0, 1, 1, 1, 1])
    # Blocks {.1 .2 .3}, {.4 .65}, {.7 .8 .9 1}; with 9 rows values are kept inside [1/11, 10/11].
    assert fitted.x_ == pytest.approx([0.2, 0.525, 0.85], abs=1e-12)
    assert fitted.y_ == pytest.approx([1 / 11, 0.5, 10 / 11], abs=1e-12)
    assert fitted.predict_proba([0.0, 0.6875, 1.0]) == pytest.approx([1 / 11, (0.5 + 10 / 11) / 2, 10 / 11])


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_isotonic_blocks_are_those_of_scikit_learn(rows: list[tuple[float, bool, int]]) -> None:
    p, y, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    p = np.round(p, 3)  # scikit-learn merges floats that are nearly equal by a rule of its own
    fitted = Isotonic().fit(p, y, weight)
    edge = 1.0 / (weight.sum() + 2.0)
    peer = np.clip(IsotonicRegression().fit(p, y, weight).predict(fitted.x_), edge, 1.0 - edge)
    assert fitted.y_ == pytest.approx(peer, abs=1e-9)


@given(ROWS)
@settings(max_examples=150, deadline=None)
def test_isotonic_map_never_decreases_and_its_document_is_valid(rows: list[tuple[float, bool, int]]) -> None:
    p, y, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    fitted = Isotonic().fit(p, y, weight)
    grid = np.sort(np.concatenate([np.linspace(0.0, 1.0, 101), p]))
    assert (np.diff(fitted.predict_proba(grid)) >= -1e-15).all()
    restored = Isotonic.from_document(check(fitted.to_document())._asdict())
    assert (restored.predict_proba(grid) == fitted.predict_proba(grid)).all()


def test_isotonic_map_comes_back() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=50_000)
    y = rng.uniform(size=50_000) < p**2
    grid = np.linspace(0.05, 0.95, 19)
    assert Isotonic().fit(p, y).predict_proba(grid) == pytest.approx(grid**2, abs=0.05)


def test_isotonic_weights_count_rows() -> None:
    rng = np.random.default_rng(1)
    p, y, weight = rng.uniform(size=300), rng.integers(0, 2, 300), rng.integers(0, 4, 300)
    weighted, repeated = Isotonic().fit(p, y, weight), Isotonic().fit(np.repeat(p, weight), np.repeat(y, weight))
    assert weighted.x_ == pytest.approx(repeated.x_, abs=1e-12)
    assert weighted.y_ == pytest.approx(repeated.y_, abs=1e-12)


def test_isotonic_averages_ties_whatever_their_order() -> None:
    first, second = Isotonic().fit([0.5, 0.5, 0.7], [0, 1, 1]), Isotonic().fit([0.5, 0.7, 0.5], [1, 1, 0])
    assert first.y_.tolist() == second.y_.tolist() == [0.5, 0.8]


def test_isotonic_of_reversed_scores_is_their_base_rate() -> None:
    fitted = Isotonic().fit([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])
    assert fitted.predict_proba([0.0, 0.5, 1.0]).tolist() == [0.5, 0.5, 0.5]


def test_isotonic_never_says_never() -> None:
    fitted = Isotonic().fit([0.0, 1.0], [0, 1])
    assert fitted.predict_proba([0.0, 1.0]).tolist() == [0.25, 0.75]


def test_isotonic_of_one_outcome_is_not_identified() -> None:
    with pytest.raises(NotIdentified, match="all labels are 1"):
        Isotonic().fit([0.1, 0.9], [1, 1])


def test_isotonic_keeps_confidences_apart_that_differ_by_the_last_digit() -> None:
    p = [0.3, np.nextafter(0.3, 1.0), 5e-324, 0.0]
    fitted = Isotonic().fit(p, [0, 1, 1, 0])
    assert (np.diff(fitted.x_) > 0.0).all()
    assert np.isfinite(fitted.predict_proba([0.0, 5e-324, 1e-310, 0.3])).all()
