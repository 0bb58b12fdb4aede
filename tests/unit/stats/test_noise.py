"""The ECE of a calibrated model, and lower bounds of the ECE of any."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.stats.noise import (
    ece_lower_bound,
    ece_margin,
    ece_z,
    labels_for_verdict,
    null_ece,
    signed_sum_lower_bound,
    signs,
)
from monitor.stats.reliability import Bins, ece

Floats = NDArray[np.float64]
RUNS = 500


def window(generator: np.random.Generator, temperature: float = 1.0, n: int = 1000) -> tuple[Bins, float]:
    """Return a window of a model whose log odds should be divided by the temperature, and its true ECE."""
    p = generator.random(n)
    chance = expit(logit(p) / temperature)
    binned = Bins.from_rows(p, generator.random(n) < chance, 15)
    truth = ece(Bins.from_rows(p, chance, 15))
    assert truth is not None
    return binned, truth


def exceeded(temperature: float, alpha: float, *, before: float | None) -> float:
    generator = np.random.default_rng(11)
    count = 0
    for _ in range(RUNS):
        previous = None if before is None else window(generator, before)[0]
        binned, truth = window(generator, temperature)
        bound = ece_lower_bound(binned, previous, alpha=alpha)
        assert bound is not None
        count += bound > truth
    return count / RUNS


@pytest.mark.parametrize("before", [None, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [1.0, 1.5, 2.5])
def test_the_bound_exceeds_the_truth_no_more_often_than_it_says(temperature: float, before: float | None) -> None:
    # Five per cent of 500 with three standard errors.
    assert exceeded(temperature, 0.05, before=before) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


def test_signs_of_the_same_events_would_make_the_bound_false() -> None:
    generator = np.random.default_rng(4)
    false = 0
    for _ in range(RUNS):
        binned, truth = window(generator)
        bound = signed_sum_lower_bound(binned.n, binned.sy, binned.sp, signs(binned), 0.05)
        assert bound is not None
        false += bound > truth
    assert false > RUNS / 2


def test_a_lasting_fault_is_found() -> None:
    generator = np.random.default_rng(5)
    bound = ece_lower_bound(window(generator, 2.5, 5000)[0], window(generator, 2.5, 5000)[0], alpha=0.01)
    assert bound is not None
    assert bound > 0.08


def test_a_sudden_fault_is_found_though_the_previous_window_was_calibrated() -> None:
    generator = np.random.default_rng(6)
    found = [
        ece_lower_bound(window(generator, 2.5, 5000)[0], window(generator, 1.0, 5000)[0], alpha=0.01) for _ in range(20)
    ]
    assert min(bound for bound in found if bound is not None) > 0.05


def test_signs_of_the_previous_window_alone_miss_a_sudden_fault() -> None:
    # What decision 3 tells: at an ECE of .096, one bound in a hundred is over .05 by those signs, and every one with the random half's.
    generator = np.random.default_rng(14)
    alone, both = [], []
    for _ in range(100):
        (now, truth), (before, _) = window(generator, 2.0, 10_000), window(generator, 1.0, 10_000)
        assert truth == pytest.approx(0.096, abs=0.004)
        alone.append(signed_sum_lower_bound(now.n, now.sy, now.sp, signs(before), 0.01))
        both.append(ece_lower_bound(now, before, alpha=0.01))
    assert sum(bound > 0.05 for bound in alone if bound is not None) <= 5
    assert sum(bound > 0.05 for bound in both if bound is not None) == 100


def test_the_bound_never_exceeds_the_ece() -> None:
    generator = np.random.default_rng(8)
    for _ in range(50):
        binned, _ = window(generator, 4.0, 300)
        bound, seen = ece_lower_bound(binned, None, alpha=0.4), ece(binned)
        assert bound is not None
        assert seen is not None
        assert bound <= seen


def test_a_previous_window_with_too_few_labels_is_left_out() -> None:
    generator = np.random.default_rng(9)
    binned, few = window(generator, 2.0)[0], window(generator, 2.0, 99)[0]
    assert ece_lower_bound(binned, None, alpha=0.05) == ece_lower_bound(binned, few, alpha=0.05)
    assert ece_lower_bound(binned, None, alpha=0.05) != ece_lower_bound(binned, few, alpha=0.05, minimum=99)


def test_the_signed_sum_is_its_formula() -> None:
    # Hand-worked: Σs(Sp - Sy) = 2 + 1 over 20, m = 4.5/11 and 6.5/11, z = 1.6448536.
    n, sy, sp = np.array([10.0, 10.0]), np.array([4.0, 6.0]), np.array([6.0, 5.0])
    spread = np.sqrt(10 * 4.5 * 6.5 / 121 + 10 * 6.5 * 4.5 / 121)
    bound = signed_sum_lower_bound(n, sy, sp, np.array([1.0, -1.0]), 0.05)
    assert bound == pytest.approx((3 - 1.6448536269514722 * spread) / 20, abs=1e-12)


def test_a_bin_without_a_sign_adds_nothing() -> None:
    n, sy, sp = np.array([10.0, 10.0]), np.array([4.0, 6.0]), np.array([6.0, 5.0])
    spread = np.sqrt(10 * 4.5 * 6.5 / 121)
    bound = signed_sum_lower_bound(n, sy, sp, np.array([1.0, 0.0]), 0.05)
    assert bound == pytest.approx((2 - 1.6448536269514722 * spread) / 20, abs=1e-12)


def test_the_split_bound_uses_the_half_for_signs_only() -> None:
    p, y = np.array([0.9] * 8), np.array([1, 1, 1, 1, 0, 0, 0, 0])
    half = np.array([True] * 4 + [False] * 4)
    binned = Bins.from_rows(p, y, 10, half)
    expected = signed_sum_lower_bound(np.array([4.0]), np.array([0.0]), np.array([3.6]), np.array([-1.0]), 0.05)
    assert ece_lower_bound(binned, None, alpha=0.05) == pytest.approx(expected, abs=1e-12)


def test_signs_tell_over_from_underconfident_bins() -> None:
    assert signs(Bins.from_rows([0.9, 0.2, 1.0], [0, 1, 1], 5)).tolist() == [-1, 0, 0, 0, 1]


@pytest.mark.parametrize("shape", [(1.0, 1.0), (8.0, 0.6), (0.3, 0.3)])
def test_the_null_of_ece_is_what_calibrated_windows_show(shape: tuple[float, float]) -> None:
    generator = np.random.default_rng(10)
    p = generator.beta(*shape, 2000)
    seen = [ece(Bins.from_rows(p, generator.random(2000) < p, 15)) for _ in range(RUNS)]
    null = null_ece(Bins.from_rows(p, np.zeros(2000), 15))
    assert null is not None
    assert null == pytest.approx((np.mean(np.array(seen)), np.std(np.array(seen))), rel=0.08)


def test_z_of_calibrated_windows_is_about_standard() -> None:
    generator = np.random.default_rng(12)
    seen = np.array([ece_z(window(generator)[0]) for _ in range(RUNS)], dtype=float)
    assert abs(seen.mean()) < 0.2
    assert seen.std() == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(("p", "y"), [([], []), ([1.0, 0.0], [0, 1]), ([1.0], [1])])
def test_certain_or_missing_forecasts_have_no_z(p: list[float], y: list[int]) -> None:
    assert ece_z(Bins.from_rows(p, y, 10)) is None


def test_bounds_of_nothing_are_none() -> None:
    nothing, single = Bins.from_rows([], [], 10), Bins.from_rows([0.5], [1], 10, [True])
    assert null_ece(nothing) is None
    assert ece_lower_bound(nothing, None, alpha=0.05) is None
    assert ece_lower_bound(nothing, nothing, alpha=0.05) is None
    assert ece_lower_bound(single, None, alpha=0.05) is None
    assert ece_lower_bound(nothing, single, alpha=0.05) is None


def test_a_model_off_by_the_threshold_and_the_margin_is_found_at_even_odds() -> None:
    # Every confidence is .8 and .7 are right: the ECE is .1 and all signs are the same.
    generator = np.random.default_rng(13)
    found, margins = [], []
    for _ in range(400):
        now, before = (Bins.from_rows(np.full(900, 0.8), generator.random(900) < 0.7, 15) for _ in range(2))
        margin, bound = ece_margin(now, before, alpha=0.01), ece_lower_bound(now, before, alpha=0.01)
        assert margin is not None
        assert bound is not None
        margins.append(margin)
        found.append(bound > 0.1 - margin)
    # The larger of two bounds exceeds a little more often than the sharper one alone.
    assert 0.5 - 3 * 0.025 <= np.mean(found) <= 0.65
    assert np.std(margins) < 0.03 * np.mean(margins)


def test_the_margin_shrinks_with_the_root_of_the_labels() -> None:
    p, y = np.full(100, 0.7), np.arange(100) % 10 < 7
    one, four = Bins.from_rows(p, y, 15), Bins.from_rows(np.tile(p, 4), np.tile(y, 4), 15)
    margins = [ece_margin(each, each, alpha=0.05) for each in (one, four)]
    assert margins[0] is not None
    assert margins[1] == pytest.approx(margins[0] / 2, rel=0.01)


def test_the_margin_is_of_the_other_half_where_no_window_lends_signs() -> None:
    p, y = np.full(400, 0.7), np.arange(400) % 10 < 7
    bins, few = Bins.from_rows(p, y, 15), Bins.from_rows(p[:99], y[:99], 15)
    alone = ece_margin(bins, None, alpha=0.05)
    assert alone == ece_margin(bins, few, alpha=0.05)
    assert alone is not None
    assert alone == pytest.approx(1.6448536 * np.sqrt(0.8 * 0.2 / 200), rel=0.01)  # of the other half .8 are right


@pytest.mark.parametrize("bins", [Bins.from_rows([], [], 10), Bins.from_rows([0.5], [1], 10, [True])])
def test_nothing_has_no_margin(bins: Bins) -> None:
    assert ece_margin(bins, None, alpha=0.05) is None


@pytest.mark.parametrize(
    ("labelled", "margin", "needed"),
    [
        (0, None, 500),
        (499, 0.001, 1),
        (500, 0.001, 0),
        (500, 0.05, 0),
        (600, None, 1),
        (600, 0.1, 1800),  # four times as many
        (700, 0.06, 310),  # 308
        (10, 0.5, 990),
        (100, 0.051, 400),
        (5000, 0.0501, 21),  # 20.02
        (10**6, 0.06, 440_000),
    ],
)
def test_labels_are_missing_until_a_breach_would_show(labelled: int, margin: float | None, needed: int) -> None:
    assert labels_for_verdict(labelled, margin, threshold=0.05, minimum=500) == needed


@pytest.mark.parametrize("threshold", [1e-9, 1e-200, 5e-324])
def test_the_number_of_missing_labels_is_finite_for_any_threshold(threshold: float) -> None:
    assert labels_for_verdict(600, 0.05, threshold=threshold, minimum=500) == 10**15
