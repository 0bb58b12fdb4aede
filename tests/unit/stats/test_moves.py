"""Rounding is no drift, however many edges of cells it crosses; a real move is."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import binom, wasserstein_distance

from monitor.stats.cells import CELLS, EDGES, Floats, place
from monitor.stats.drift import ScoreDrift, score_drift
from monitor.stats.moves import LEAST_OF_LOCATIONS, LEAST_OF_SCORES, of_confidences, of_locations, of_scores
from monitor.stats.regression import LOCATION_VALUES, location
from monitor.stats.summary import LOCATION_CELLS, VALUES
from monitor.stats.values import SCORE_VALUES, score_place

THRESHOLD = 0.2
NOTHING = np.zeros(CELLS)


def table(p: Floats) -> tuple[Floats, Floats]:
    cells = place(p)
    return np.bincount(cells, minlength=CELLS).astype(np.float64), np.bincount(cells, p, CELLS).astype(np.float64)


def drift_of(before: Floats, now: Floats) -> ScoreDrift:
    (n, old), (m, new) = table(before), table(now)
    drift = score_drift(n, m, sums=(old, new))
    assert drift is not None
    return drift


def scores_drift(before: Floats, now: Floats) -> ScoreDrift:
    counts = [
        np.bincount([score_place(v) for v in side.tolist()], minlength=VALUES["score"]) * 1.0 for side in (before, now)
    ]
    move = of_scores((counts[0], counts[1]), ((NOTHING, NOTHING), (NOTHING, NOTHING)))
    drift = score_drift(np.append(NOTHING, counts[0]), np.append(NOTHING, counts[1]), move=move)
    assert drift is not None
    return drift


def locations_drift(before: Floats, now: Floats) -> ScoreDrift:
    counts = [np.bincount(location(side), minlength=LOCATION_CELLS) * 1.0 for side in (before, now)]
    drift = score_drift(counts[0], counts[1], move=of_locations((counts[0], counts[1])))
    assert drift is not None
    return drift


def bfloat16(p: Floats) -> Floats:
    bits = p.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)


ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "1e-8 up": lambda p: np.clip(p + 1e-8, 0, 1),
    "1e-8 down": lambda p: np.clip(p - 1e-8, 0, 1),
    "float32": lambda p: p.astype(np.float32).astype(np.float64),
    "a bit of float32": lambda p: np.nextafter(p.astype(np.float32), np.float32(2)).astype(np.float64).clip(0, 1),
    "float16": lambda p: p.astype(np.float16).astype(np.float64),
    "bfloat16": bfloat16,
    "four decimals": lambda p: np.round(p, 4),
}


@pytest.mark.parametrize("rounding", list(ROUNDINGS))
@pytest.mark.parametrize("value", [0.0, 1e-3, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.7, 0.75, 0.8, 0.9, 1.0, *EDGES[130:150]])
def test_a_constant_score_that_is_rounded_has_not_drifted(value: float, rounding: str) -> None:
    before = np.full(500, value)
    drift = drift_of(before, ROUNDINGS[rounding](before))
    assert not drift.drifted(THRESHOLD)
    assert drift.psi == 0 or drift.psi > 10


FEW: dict[str, Floats] = {
    "sixty trees": np.arange(61) / 60,
    "a hundred trees": np.arange(101) / 100,
    "stated": np.array([0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]),
    "edges": EDGES[5:-5],
}


@pytest.mark.parametrize("value", [1e-6, 0.99, 0.999, 0.9999])
def test_constant_scores_near_0_and_1_may_be_rounded_to_eight_digits(value: float) -> None:
    before = np.full(500, value)
    for rounding in ("1e-8 up", "1e-8 down", "float32", "a bit of float32"):
        assert not drift_of(before, ROUNDINGS[rounding](before)).drifted(THRESHOLD)


@pytest.mark.parametrize("rounding", ["1e-8 up", "1e-8 down", "float32", "a bit of float32"])
@pytest.mark.parametrize("values", list(FEW))
def test_few_values_that_are_rounded_have_not_drifted(values: str, rounding: str) -> None:
    before = np.repeat(FEW[values], 200)
    drift = drift_of(before, ROUNDINGS[rounding](before))
    assert not drift.drifted(THRESHOLD)
    assert drift.move is not None
    assert drift.move.distance < 0.02  # means of cells that hold several values jump where one of them leaves


def test_a_psi_of_16_of_a_change_of_a_hundred_millionth_is_none() -> None:
    drift = drift_of(np.full(2000, 0.5), np.full(2000, 0.50000001))
    assert (round(drift.psi), drift.ks) == (17, 1.0)
    assert not drift.drifted(THRESHOLD)


@pytest.mark.parametrize(
    ("before", "now"),
    [(0.5, 0.52), (0.8, 0.82), (0.9, 0.91), (0.99, 0.995), (0.999, 0.998), (0.001, 0.002), (1e-5, 3e-5), (0.0, 1e-4),
     (1.0, 0.9999), (0.0, 1.0)],
)  # fmt: skip
def test_a_constant_score_that_moves_has_drifted(before: float, now: float) -> None:
    assert drift_of(np.full(500, before), np.full(500, now)).drifted(THRESHOLD)
    assert drift_of(np.full(500, now), np.full(500, before)).drifted(THRESHOLD)


def test_a_new_mix_of_few_values_has_drifted() -> None:
    before, now = np.repeat([0.2, 0.9], [600, 400]), np.repeat([0.2, 0.9], [300, 700])
    assert drift_of(before, now).drifted(THRESHOLD)


def shapes(n: int, generator: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    return {
        "wide": expit(generator.normal(0, 1.5, n)),
        "narrow": expit(generator.normal(1, 0.1, n)),
        "rare": expit(generator.normal(-7, 1, n)),
        "sure": expit(generator.normal(5, 2, n)),
    }


@pytest.mark.parametrize("shape", ["wide", "narrow", "rare", "sure"])
def test_real_moves_are_found_as_before_and_chance_and_rounding_are_none(shape: str) -> None:
    """Of 300 pairs of 1,000 scores each: no drift, rounding to float32, and a shift by .6 standard deviations of the log odds."""
    generator = np.random.default_rng(6)
    alarms = dict.fromkeys(("chance", "rounded", "moved", "by cells"), 0)
    for _ in range(300):
        before, now = shapes(1000, generator)[shape], shapes(1000, generator)[shape]
        spread = np.std(logit(before))
        moved = drift_of(before, expit(logit(now) + 0.6 * spread))
        alarms["chance"] += drift_of(before, now).drifted(0.01)
        alarms["rounded"] += drift_of(before, ROUNDINGS["float32"](now)).drifted(0.01)
        alarms["moved"] += moved.drifted(THRESHOLD)
        alarms["by cells"] += moved.psi > max(THRESHOLD, moved.psi_null_999)
    assert max(alarms["chance"], alarms["rounded"]) <= binom.isf(0.001, 300, 0.003)
    assert alarms["moved"] == alarms["by cells"] >= 285


@pytest.mark.parametrize("value", [-1.0, -0.5, -0.3, -2.0, 4.0, 0.0, 1e-3, -64.0])
@pytest.mark.parametrize("change", [1e-8, -1e-8])
def test_scores_and_locations_that_are_rounded_have_not_drifted(value: float, change: float) -> None:
    before = np.full(500, value)
    for drift in (scores_drift(before, before + change), locations_drift(before, before + change)):
        assert not drift.drifted(THRESHOLD)


@pytest.mark.parametrize("value", [-1.0, -0.5, -0.3, -2.0, 4.0, 1e-3, -64.0])
def test_scores_and_locations_that_move_have_drifted(value: float) -> None:
    before = np.full(500, value)
    assert scores_drift(before, before * 1.25).drifted(THRESHOLD)
    assert scores_drift(before, -before).drifted(THRESHOLD)
    assert locations_drift(before, before * 1.06).drifted(THRESHOLD)
    assert locations_drift(before, -before).drifted(THRESHOLD)


def test_a_neighbouring_place_is_less_than_a_move() -> None:
    for values, least in ((SCORE_VALUES, LEAST_OF_SCORES), (LOCATION_VALUES, LEAST_OF_LOCATIONS)):
        sizes = np.log1p(np.abs(values) / 4e-6)
        assert np.abs(np.diff(sizes)).max() < least
    assert np.array_equal(location(LOCATION_VALUES), np.arange(LOCATION_CELLS))


def test_scores_instead_of_confidences_are_a_move() -> None:
    n, total = table(np.full(300, 0.5))
    scores = np.zeros(VALUES["score"])
    scores[score_place(0.5)] = 300
    move = of_scores((np.zeros_like(scores), scores), ((n, NOTHING), (total, NOTHING)))
    assert move is not None
    assert move.counts


def test_without_events_there_is_no_move() -> None:
    assert of_confidences((NOTHING, table(np.array([0.5]))[0]), (NOTHING, NOTHING)) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_distance_is_that_of_the_means_of_cells(before: list[float], now: list[float]) -> None:
    sides = [table(np.array(side)) for side in (before, now)]
    move = of_confidences((sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))
    means = [total[n > 0] / n[n > 0] for n, total in sides]
    odds = [np.log((p + 1e-5) / (1 - p + 1e-5)) for p in means]
    expected = wasserstein_distance(odds[0], odds[1], *[n[n > 0] for n, _ in sides])
    assert move is not None
    assert move.distance == pytest.approx(expected, abs=1e-9)
