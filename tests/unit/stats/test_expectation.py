"""What is expected of labels to come: how often the truth lies inside, and that it does not once the map has changed."""

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.stats import reliability, scores
from monitor.stats.cells import Cells
from monitor.stats.expectation import Expectation, expected

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
Map = Callable[[Floats], Floats]

RUNS = 45
NAMES = ("accuracy", "ece", "brier")


def beta(a: float, b: float) -> Draw:
    return lambda generator, count: np.clip(generator.beta(a, b, count), 1e-9, 1 - 1e-9)


SCORES: dict[str, tuple[Draw, Draw, bool]] = {
    "uniform": (beta(1, 1), beta(2.5, 1), True),
    "top-label": (beta(8, 0.6), beta(5, 1), False),
    "rare-event": (beta(0.6, 25), beta(1.2, 20), True),
}
"""Scores of the window with labels, those of the window without, and whether they are of class 1."""


def calibrated(p: Floats) -> Floats:
    return p


def overconfident(p: Floats) -> Floats:
    return np.asarray(expit(logit(p) / 1.6))


def window(generator: np.random.Generator, draw: Draw, count: int, right: Map) -> Cells:
    p = draw(generator, count)
    return Cells.from_rows(p, generator.random(count) < right(p))


def truth(cells: Cells, *, binary: bool) -> Floats:
    found = (scores.accuracy(cells, binary=binary), reliability.ece(reliability.bins_of(cells)), scores.brier(cells))
    return np.array(found, dtype=np.float64)


def figures(found: Expectation, suffix: str = "") -> Floats:
    return np.array([getattr(found, name + suffix) for name in NAMES])


def lived(kind: str, sizes: tuple[int, int], before: Map, after: Map) -> tuple[Floats, Floats, Floats]:
    """Return how often accuracy, ECE and Brier score came out inside, and the means of what was expected and what came."""
    generator = np.random.default_rng(20260105)
    known_scores, coming_scores, binary = SCORES[kind]
    inside, means = np.zeros(3), np.zeros((2, 3))
    for _ in range(RUNS):
        known = window(generator, known_scores, sizes[0], before)
        coming = window(generator, coming_scores, sizes[1], after)
        found, came = expected(known, coming, binary=binary), truth(coming, binary=binary)
        assert found is not None
        inside += (figures(found, "_low") <= came) & (came <= figures(found, "_high"))
        means += figures(found), came
    return inside / RUNS, means[0] / RUNS, means[1] / RUNS


@pytest.mark.parametrize("sizes", [(500, 500), (2000, 20_000), (20_000, 2000)])
@pytest.mark.parametrize("right", [calibrated, overconfident])
@pytest.mark.parametrize("kind", list(SCORES))
def test_the_truth_lies_inside_as_often_as_it_says(kind: str, right: Map, sizes: tuple[int, int]) -> None:
    inside, _, _ = lived(kind, sizes, right, right)
    # 90 of 100, less two standard errors of so few runs.
    assert inside.min() >= 0.9 - 2 * np.sqrt(0.9 * 0.1 / RUNS)


@pytest.mark.parametrize("kind", list(SCORES))
def test_the_truth_lies_outside_once_the_map_has_changed(kind: str) -> None:
    inside, _, _ = lived(kind, (2000, 2000), calibrated, overconfident)
    assert inside.max() <= 0.2


@pytest.mark.parametrize("kind", list(SCORES))
def test_the_noise_of_the_map_hardly_raises_the_ece(kind: str) -> None:
    _, told, came = lived(kind, (1000, 1000), calibrated, calibrated)
    assert told[1] == pytest.approx(came[1], rel=0.2)


def test_with_labels_without_end_it_is_the_share_of_right_answers_weighed_anew() -> None:
    known = Cells.from_rows(
        np.repeat([0.2, 0.7, 0.9], 10**6), np.tile(np.arange(10), 3 * 10**5) < np.repeat([3, 6, 8], 10**6)
    )
    coming = Cells.from_rows(np.repeat([0.2, 0.7, 0.9], [50_000, 20_000, 30_000]), np.zeros(10**5))
    found = expected(known, coming, binary=True)
    assert found is not None
    # By hand: right are 70, 60 and 80 %; gaps of .1 everywhere; Brier p² + r(1 - 2p) = .22, .25 and .17.
    assert found.accuracy == pytest.approx(0.5 * 0.7 + 0.2 * 0.6 + 0.3 * 0.8, abs=1e-4)
    assert found.ece == pytest.approx(0.1, abs=1e-3)
    assert found.brier == pytest.approx(0.5 * 0.22 + 0.2 * 0.25 + 0.3 * 0.17, abs=1e-4)


def test_a_top_label_is_right_when_it_comes_true_also_under_a_half() -> None:
    rows = np.full(4000, 0.3), np.arange(4000) % 10 < 3
    known = Cells.from_rows(*rows)
    one, other = (expected(known, known, binary=binary) for binary in (False, True))
    assert one is not None
    assert other is not None
    assert (one.accuracy, other.accuracy) == pytest.approx((0.3, 0.7), abs=1e-3)


def test_it_is_less_sure_where_the_map_was_never_seen() -> None:
    generator = np.random.default_rng(3)
    low = window(generator, lambda g, n: g.uniform(0.02, 0.3, n), 5000, calibrated)
    high = window(generator, lambda g, n: g.uniform(0.9, 0.98, n), 5000, calibrated)
    seen, unseen = expected(high, high, binary=True), expected(low, high, binary=True)
    assert seen is not None
    assert unseen is not None
    assert unseen.accuracy_high - unseen.accuracy_low > 2 * (seen.accuracy_high - seen.accuracy_low)
    assert unseen.ece_high - unseen.ece_low > 2 * (seen.ece_high - seen.ece_low)


def test_of_few_labels_the_ece_is_higher_and_nothing_is_as_sure() -> None:
    generator = np.random.default_rng(4)
    known, coming = (window(generator, beta(1, 1), 10_000, calibrated) for _ in range(2))
    all_come, few_come = (expected(known, coming, binary=True, coverage=share) for share in (1.0, 0.05))
    assert all_come is not None
    assert few_come is not None
    assert few_come.ece == pytest.approx(np.sqrt(20) * all_come.ece, rel=0.25)
    for name in NAMES:
        widths = [getattr(each, f"{name}_high") - getattr(each, f"{name}_low") for each in (all_come, few_come)]
        assert widths[1] > 2 * widths[0]


def test_labels_of_the_coming_window_have_no_part_in_it() -> None:
    generator = np.random.default_rng(5)
    known = window(generator, beta(1, 1), 1000, calibrated)
    p = generator.random(700)
    found = [expected(known, Cells.from_rows(p, outcome), binary=True) for outcome in (p > 2, p < 2)]
    assert found[0] == found[1]


def test_without_labels_or_events_nothing_is_expected() -> None:
    nothing, one = Cells.from_rows([], []), Cells.from_rows([0.5], [1])
    assert expected(nothing, one, binary=True) is None
    assert expected(one, nothing, binary=True) is None


@given(
    rows=st.lists(
        st.tuples(st.sampled_from([0.0, 1e-12, 0.3, 0.5, 0.999999, 1.0]), st.booleans()), min_size=1, max_size=40
    ),
    coming=st.lists(st.sampled_from([0.0, 0.2, 0.5, 1 - 1e-12, 1.0]), min_size=1, max_size=40),
    coverage=st.sampled_from([0.01, 0.5, 1.0]),
    binary=st.booleans(),
)
def test_whatever_comes_figures_are_ratios_inside_their_intervals(
    rows: list[tuple[float, bool]], coming: list[float], coverage: float, *, binary: bool
) -> None:
    known = Cells.from_rows(*zip(*rows, strict=True))
    found = expected(known, Cells.from_rows(coming, np.zeros(len(coming))), binary=binary, coverage=coverage)
    assert found is not None
    assert np.isfinite(astuple(found)).all()
    for name in NAMES:
        low, value, high = (getattr(found, name + suffix) for suffix in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1
