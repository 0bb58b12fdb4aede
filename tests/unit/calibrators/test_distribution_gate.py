# mypy: disable-error-code="attr-defined"
# Evidence is of the kind that a test made.
"""Gate of regressions: repairs pass, what is right stays, and the richer family wins only where it earns it."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from scoringrules import crps_normal

from monitor.calibrators.distribution_gate import DistributionEvidence, DistributionSegment, judge_distributions
from monitor.calibrators.distribution_rows import crps, distributions, groups, objects, quantiles, spreads
from monitor.calibrators.distributions import Distribution, scores
from monitor.calibrators.families import make
from monitor.domain.settings import Model, ModelSettings
from monitor.recalibrate.refit import Outcome, refit
from monitor.recalibrate.regression import gaps_of, lower_bound, mean_change
from monitor.stats.onset import latest_onset
from monitor.stats.quantiles import quantile_ece
from monitor.store.calibrators import Fitted
from monitor.windows.samples import Sample
from tests.gates import passing, refusing

MODEL = Model(id=1, name="m", task="regression", classes=None, settings=ModelSettings(), revision=1, created_at=0)
Noise = Callable[[np.random.Generator, int], Any]


def normal(width: float) -> Noise:
    return lambda dice, n: width * dice.standard_normal(n)


def heavy(dice: np.random.Generator, n: int) -> Any:
    """Return errors with tails far heavier than a normal distribution's, and about its width as a CRPS sees it."""
    return 0.8 * dice.standard_t(3, n)


def sample(seed: int, n: int, noise: Noise, levels: tuple[int, ...] = ()) -> Sample:
    dice = np.random.default_rng(seed)
    mean, std = dice.normal(0, 10, n), np.exp(dice.normal(0, 1, n))
    y, chance = mean + std * noise(dice, n), dice.uniform(size=n)
    z = np.array(scores(levels))
    rows = (
        Distribution(levels, tuple(m + s * z) if levels else (m, s), float(c))
        for m, s, c in zip(mean.tolist(), std.tolist(), chance, strict=True)
    )
    return Sample(objects(rows), y, np.ones(n), np.arange(n))


def refitted(seed: int, n: int, noise: Noise, levels: tuple[int, ...] = (), **how: Any) -> Outcome:
    return refit(MODEL, sample(seed, n, noise, levels), **{"method": "auto", "holdout": 0.3, "incumbent": None, **how})


@pytest.mark.parametrize("levels", [(), (50, 250, 500, 750, 950)], ids=["normal", "quantiles"])
def test_a_calibrated_regression_is_left_alone(levels: tuple[int, ...]) -> None:
    assert sum(refitted(seed, 1_000, normal(1.0), levels).passed for seed in range(20)) <= 3


def test_a_width_off_by_a_third_is_repaired() -> None:
    found = [refitted(seed, 2_000, normal(1.3)) for seed in range(12)]
    methods = [each.fitted.method for each in found if each.fitted is not None]
    assert len(methods) >= 10
    assert methods.count("variance_scaling") >= 9


def test_the_map_of_levels_wins_where_tails_are_heavy_and_width_alone_does_not_help() -> None:
    found = refitted(0, 6_000, heavy)
    assert found.fitted is not None
    assert (found.fitted.method, found.passed) == ("pit_isotonic", True)
    assert found.gate is not None
    assert passing(found.gate).candidates_judged == ["variance_scaling", "pit_isotonic"]


def test_where_both_help_the_map_of_levels_must_beat_the_factor_too() -> None:
    def skewed(dice: np.random.Generator, n: int) -> Any:
        return 2.5 * (dice.gamma(1.5, 1.0, n) - 1.0)

    earned = refitted(1, 6_000, skewed)
    assert earned.gate is not None
    assert passing(earned.gate).method == "pit_isotonic"
    assert passing(earned.gate).comparisons["simpler"]["gain_in_std_lower_bound"] > 0.0
    plain = refitted(1, 6_000, normal(2.0))
    assert plain.gate is not None
    assert (passing(plain.gate).method, passing(plain.gate).candidates_judged) == (
        "variance_scaling",
        ["variance_scaling", "pit_isotonic"],
    )


def test_fewer_labels_try_less_or_nothing() -> None:
    assert refitted(2, 199, normal(3.0)).reason == "there are 199 labels; at least 200 are needed"
    few = refitted(2, 999, normal(3.0))
    assert few.gate is not None
    assert passing(few.gate).candidates_judged == ["variance_scaling"]


def test_a_refit_must_beat_what_serves() -> None:
    first = refitted(3, 1_000, normal(2.0))
    again = refitted(4, 900, normal(2.0), incumbent=first.fitted)
    assert not again.passed
    assert "better than the calibrator in service" in again.reason


def test_another_version_must_not_be_harmed() -> None:
    right = sample(6, 400, normal(1.0))
    found = refitted(5, 900, normal(1.5), others={"right": Sample(right.x, right.y, right.weight, right.at + 600)})
    assert not found.passed
    assert "worse in segment model_version:right" in found.reason


def test_a_jump_of_what_is_served_waits_for_a_person() -> None:
    found = refitted(7, 2_000, lambda dice, n: dice.standard_normal(n) + 3.0)
    assert found.passed
    assert found.held is not None
    assert "served values would change by 0.4" in found.held
    assert refitted(7, 2_000, normal(2.0)).held is None


def gains(y: Any, raw: Any, candidate: Any) -> Any:
    """Return each row's gain over the model's own distribution, where all are alike."""
    (own,), (other,) = groups(raw), groups(candidate)
    return (crps(quantiles(own), y) - crps(quantiles(other), y)) / spreads(own)


def test_gains_are_of_the_crps_in_units_of_what_was_stated() -> None:
    dice = np.random.default_rng(8)
    mean, std = dice.normal(0, 10, 500), np.exp(dice.normal(0, 2, 500))
    y = dice.normal(mean, 2 * std)
    raw, wide = (distributions(np.column_stack([mean, width * std])) for width in (1.0, 2.0))
    # The score is that of 23 levels, of which more lie in the tails.
    exact = (crps_normal(y, mean, std) - crps_normal(y, mean, 2 * std)) / std
    assert gains(y, raw, wide).mean() == pytest.approx(exact.mean(), rel=0.2)
    found = judge_distributions(y, raw=raw, candidate=wide).evidence.comparisons["identity"]
    each = gains(y, raw, wide)
    assert found.gain_in_std == pytest.approx(each.mean())
    assert found.gain_in_std_lower_bound == pytest.approx(
        each.mean() - 1.6448536269514722 * each.std(ddof=1) / 500**0.5
    )
    assert found.crps_other == pytest.approx(crps_normal(y, mean, std).mean(), rel=0.1)


def test_a_gain_is_bounded_however_far_off_a_label_is() -> None:
    raw, wide = distributions([[0.0, 1.0]] * 500), distributions([[0.0, 2.0]] * 500)
    near, far = (
        judge_distributions([y] * 500, raw=raw, candidate=wide).evidence.comparisons["identity"].gain_in_std
        for y in (10.0, 1e12)
    )
    assert far == pytest.approx(near, abs=1e-3)


def test_a_rise_of_the_quantile_error_is_refused() -> None:
    dice = np.random.default_rng(9)
    mean = dice.normal(0, 5, 4_000)
    y = mean + np.where(dice.uniform(size=4_000) < 0.5, 0.0, dice.normal(0, 1, 4_000))
    blunt = distributions(np.column_stack([mean, np.full(4_000, 0.6)]))
    far = distributions(np.column_stack([mean + 0.35, np.full(4_000, 0.3)]))
    found = judge_distributions(y, raw=blunt, candidate=far)
    assert not found.passed
    assert "quantile calibration error significantly higher than with no calibrator" in found.reason


def test_evidence_has_the_fields_that_are_stored_and_shown() -> None:
    rows = sample(10, 200, normal(2.0))
    segment = DistributionSegment(rows.y, rows.x, rows.x, rows.x, rows.weight)
    result = judge_distributions(rows.y, raw=rows.x, candidate=rows.x, segments={"a:b": segment})
    text = json.dumps(msgspec.to_builtins(result.evidence), allow_nan=False)
    assert msgspec.json.decode(text, type=DistributionEvidence) == result.evidence
    comparison = json.loads(text)["comparisons"]["identity"]
    assert list(comparison) == [
        "crps",
        "crps_other",
        "crps_gain",
        "crps_gain_upper_bound",
        "gain_in_std",
        "gain_in_std_lower_bound",
        "quantile_ece",
        "quantile_ece_other",
        "quantile_error_squared",
        "quantile_error_squared_other",
        "quantile_error_squared_rise_lower_bound",
    ]
    assert list(json.loads(text)["segments"]["a:b"]) == ["rows", "gain_in_std", "gain_in_std_upper_bound"]
    assert result.lower_bound == comparison["gain_in_std_lower_bound"]


def test_a_segment_that_is_harmed_is_named() -> None:
    all_of = sample(10, 2_000, normal(2.0))
    part = sample(11, 300, normal(1.0))
    fitted = make("variance_scaling", task="regression").fit(all_of.x, all_of.y)
    segment = DistributionSegment(part.y, part.x, fitted.predict_proba(part.x), part.x, part.weight)
    few = DistributionSegment(*(np.asarray(each)[:20] for each in segment))
    found = judge_distributions(
        all_of.y, raw=all_of.x, candidate=fitted.predict_proba(all_of.x), segments={"a:b": segment, "a:c": few}
    )
    assert not found.passed
    assert "worse in segment a:b" in found.reason
    assert found.evidence.segments_with_few_labels == {"a:c": 20.0}


def test_rows_that_do_not_belong_together_are_errors() -> None:
    raw = distributions([[0.0, 1.0]] * 60)
    with pytest.raises(ValueError, match="judge the same 60 rows"):
        judge_distributions(np.zeros(60), raw=raw, candidate=raw[:50])
    with pytest.raises(ValueError, match="y has shape"):
        judge_distributions(np.zeros(50), raw=raw, candidate=raw)
    with pytest.raises(ValueError, match="states other levels"):
        judge_distributions(np.zeros(60), raw=raw, candidate=distributions([[0.0, 1.0]] * 60, (0.1, 0.9)))
    assert judge_distributions(np.zeros(49), raw=raw[:49], candidate=raw[:49]).reason.startswith("only 49 held-out")


# What calls for a refit


def test_the_gaps_are_those_of_the_quantile_error() -> None:
    found = sample(12, 4_000, normal(2.0))
    gaps = gaps_of(found, None)
    counts = gaps.sy.sum(axis=0)
    assert (counts.sum(), gaps.labels.sum()) == (4_000, pytest.approx(4_000))
    error, bound = quantile_ece(counts), lower_bound(gaps, 0.05)
    assert error is not None
    assert bound is not None
    assert 0.5 * error < bound < error
    repaired = Fitted(method="variance_scaling", task="regression", parameters={"scale": 2.0})
    right = lower_bound(gaps_of(found, repaired), 0.05)
    assert right is not None
    assert right < 0.01


def test_a_fault_is_dated_by_where_labels_fall() -> None:
    found = sample(13, 3_000, lambda dice, n: np.where(np.arange(n) < 1_800, 1.0, 2.0) * dice.standard_normal(n))
    assert 1_750 <= latest_onset(gaps_of(found, None)) <= 1_900
    assert latest_onset(gaps_of(sample(14, 3_000, normal(2.0)), None)) < 60


@pytest.mark.parametrize("width", [1.0, 2.0])
def test_a_lower_bound_is_seldom_above_the_truth(width: float) -> None:
    truth = quantile_ece(gaps_of(sample(99, 20_000, normal(width)), None).sy.sum(axis=0)) or 0.0
    bounds = [lower_bound(gaps_of(sample(seed, 400, normal(width)), None), 0.05) for seed in range(40)]
    assert sum(bound is not None and bound > truth for bound in bounds) <= 6


def test_what_moves_is_measured_in_levels() -> None:
    before = distributions([[0.0, 1.0]])
    weight = np.ones(1)
    assert mean_change(before, before, weight) == pytest.approx(0.0, abs=1e-12)
    assert mean_change(distributions([[100.0, 1.0]]), before, weight) == pytest.approx(0.5, abs=0.01)


def test_a_candidate_that_changes_nothing_is_said_to_be_the_same() -> None:
    rows = sample(0, 200, normal(1.0))
    found = judge_distributions(rows.y, raw=rows.x, candidate=rows.x)
    assert "no better than no calibrator on 200 held-out labels: CRPS the same" in found.reason


def test_a_refusal_names_the_candidate_with_the_most_to_gain() -> None:
    outcome = refitted(2, 1_000, lambda dice, n: 0.12 + dice.standard_normal(n))
    assert outcome.gate is not None
    judged = refusing(outcome.gate).judged
    best = max(judged, key=lambda name: judged[name].comparisons["identity"]["gain_in_std_lower_bound"])
    assert best != next(iter(judged))
    assert outcome.reason.startswith(f"{best}: ")
