"""Refit: what is promoted, what is refused and why, on labels whose truth is known; the whole of it is `make benchmarks`' gate."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy.special import expit, logit

from monitor.calibrators.errors import BadDocument
from monitor.calibrators.families import from_document
from monitor.domain.errors import BadInput
from monitor.domain.settings import Model, ModelSettings, Task
from monitor.recalibrate.guards import guarded, label_rate_jump, mean_change
from monitor.recalibrate.refit import HOLDOUT, Outcome, judged_document, refit
from monitor.store.calibrators import Fitted, FittedFrom, RefusedGate
from monitor.windows.samples import Sample, Segments
from tests.benchmarks.gate import (
    CALIBRATED,
    FIVE,
    FIVE_TOO_SURE,
    TOO_SURE,
    Flips,
    Promoted,
    model_of,
    promoted,
    sample_of,
)
from tests.gates import passing, refusing

BINARY = Model(id=1, name="m", task="binary", classes=None, settings=ModelSettings(), revision=1, created_at=0)
TRUSTING = replace(BINARY, settings=ModelSettings(trusted_sources=("audit",)))
LIMITS = ModelSettings().guards


def rows(seed: int, n: int, *, slope: float = 1.0, shift: float = 0.0, late: float = 1.0) -> Sample:
    """Return labels, one a moment, that come true by a line on the logit; the last third of scores is raised to a power."""
    dice = np.random.default_rng(seed)
    p = dice.uniform(size=n) ** np.where(np.arange(n) >= 0.7 * n, late, 1.0)
    p = np.clip(p, 0.001, 0.999)
    y = (dice.uniform(size=n) < expit(slope * logit(p) + shift)).astype(np.int64)
    return Sample(p, y, np.ones(n), np.arange(n))


def auto(sample: Sample, model: Model = BINARY, **given: Any) -> Outcome:
    return refit(model, sample, method="auto", holdout=HOLDOUT, **({"incumbent": None} | given))


# Rates, on few seeds of what the benchmark measures on a thousand


@pytest.fixture(scope="module")
def needless() -> list[Promoted]:
    return [promoted(world, n, 8) for world in (*CALIBRATED, FIVE) for n in (300, 1_000, 3_000)]


def test_refits_of_calibrated_models_are_seldom_promoted(needless: list[Promoted]) -> None:
    assert sum(found.any for found in needless) <= 0.05 * sum(found.seeds for found in needless)


def test_refits_of_calibrated_models_do_no_harm(needless: list[Promoted]) -> None:
    assert sum(found.harmful for found in needless) <= 0.01 * sum(found.seeds for found in needless)


@pytest.mark.parametrize(("n", "fewest"), [(2_000, 15), (5_000, 19)])
def test_refits_of_a_temperature_with_a_shift_are_promoted(n: int, fewest: int) -> None:
    found = promoted(TOO_SURE[0], n, 20)
    assert found.any >= fewest
    assert found.harmful == 0


def test_refits_of_vectors_that_are_too_sure_are_promoted() -> None:
    assert promoted(FIVE_TOO_SURE, 2_000, 10).any == 10


@pytest.mark.parametrize("one_sided", [False, True])
def test_a_trusted_source_keeps_wrong_labels_from_doing_harm(one_sided: bool) -> None:  # noqa: FBT001  a parameter of pytest's
    wrong = Flips(share=0.2, one_sided=one_sided)
    blind = promoted(CALIBRATED[0], 5_000, 10, wrong)
    told = promoted(CALIBRATED[0], 5_000, 20, replace(wrong, trusted=0.25))
    assert blind.harmful + blind.held == 10  # nothing else could tell
    assert (told.harmful, told.any) <= (0, 2)


# Which family


def test_a_richer_family_wins_where_it_is_significantly_better_than_the_simplest_that_passes() -> None:
    outcome = auto(rows(0, 20_000, slope=1 / 1.5, shift=0.5))
    assert outcome.fitted is not None
    assert outcome.fitted.method == "platt"
    assert outcome.gate is not None
    assert passing(outcome.gate).comparisons["simpler"]["log_loss_gain_lower_bound"] > 0.0
    assert "the simpler candidate that passed" in passing(outcome.gate).others["beta"].reason
    assert "isotonic" in passing(outcome.gate).candidates_judged


def test_the_simplest_family_wins_where_no_other_is_significantly_better() -> None:
    outcome = auto(rows(0, 5_000, slope=1 / 1.5))
    assert outcome.fitted is not None
    assert outcome.fitted.method == "temperature"
    assert set(passing(outcome.gate).others) == {"platt", "beta", "quadratic_logit"}


def test_a_class_without_labels_is_named_and_takes_no_parameters_of_its_own() -> None:
    sample = sample_of(FIVE, 2_000, 0, Flips())
    outcome = auto(sample.part(sample.y != 3), model_of(FIVE, Flips()))
    assert outcome.gate is not None
    assert outcome.gate.not_tried.keys() == {"structured_vector"}
    assert "names the class d; at least 10 of each class are needed" in outcome.reason
    by_name = refit(
        model_of(FIVE, Flips()), sample.part(sample.y != 3), method="vector", holdout=HOLDOUT, incumbent=None
    )
    assert by_name.reason.endswith("names the class d; at least 10 of each class are needed")


def test_a_refusal_names_the_best_candidate_and_keeps_the_evidence_of_all() -> None:
    outcome = auto(rows(2, 3_000))
    assert not outcome.passed
    assert outcome.gate is not None
    assert set(refusing(outcome.gate).judged) == {"temperature", "platt", "beta", "quadratic_logit"}
    assert outcome.reason.count("held-out labels") == 1
    assert "refused too, with smaller gains" in outcome.reason
    assert msgspec.json.decode(msgspec.json.encode(outcome.gate), type=RefusedGate) == outcome.gate


def test_one_outcome_only_is_refused_in_words() -> None:
    sample = rows(2, 500)
    assert (
        auto(replace(sample, y=np.ones(500, dtype=int))).reason
        == "all 500 labels say the same; both outcomes are needed"
    )


# Segments and what serves


def test_a_repair_that_harms_a_declared_segment_is_refused() -> None:
    sample = rows(3, 6_000, slope=0.4)
    sound = rows(4, 600)
    segments = Segments(
        samples={"country:nl": sound, "country:mt": sound.part(np.arange(600) < 40)}, left_out={"x:y": 3}
    )
    alone, judged = auto(sample), auto(sample, segments=segments)
    assert alone.passed
    assert not judged.passed
    assert "worse in segment country:nl: log loss higher by" in judged.reason
    assert judged.gate is not None
    assert refusing(judged.gate).judged["temperature"].segments_with_few_labels == {"country:mt": 40}
    assert judged.gate.segments_left_out == {"x:y": 3}


def test_segments_are_judged_against_the_calibrator_in_service() -> None:
    sample, sound = rows(3, 6_000, slope=0.4), rows(4, 600, slope=0.4)
    incumbent = temperature(1.2)
    outcome = auto(sample, incumbent=incumbent, segments=Segments(samples={"a:b": sound}))
    assert outcome.passed
    served = from_document(incumbent.working_part).predict_proba(sound.x)
    ours = from_document(outcome.fitted.working_part).predict_proba(sound.x)
    gain = np.log(np.where(sound.y, ours, 1 - ours)) - np.log(np.where(sound.y, served, 1 - served))
    assert outcome.gate is not None
    assert passing(outcome.gate).segments["a:b"]["log_loss_gain"] == pytest.approx(gain.mean(), abs=1e-12)


# Trusted sources


def trusting(seed: int, n: int, share: float) -> Sample:
    """Return labels of which a share is from a trusted source, and right; the others were denied at every second one."""
    sample = rows(seed, n, slope=0.5)
    dice = np.random.default_rng([seed, 1])
    trusted = dice.uniform(size=n) < share
    return replace(sample, y=np.where(trusted | (dice.uniform(size=n) < 0.5), sample.y, 0), trusted=trusted)


def test_trusted_labels_alone_judge_and_are_fitted_on() -> None:
    sample = trusting(0, 12_000, 0.3)
    outcome = auto(sample, TRUSTING)
    assert outcome.passed
    assert outcome.held is None
    source = outcome.fitted_from
    assert source.labels + source.holdout_labels == int(sample.trusted.sum())
    assert source.holdout_labels == pytest.approx(0.3 * sample.trusted.sum(), rel=0.02)
    assert source.trusted_sources == ["audit"]
    assert expit(logit(0.9) / from_document(outcome.fitted.working_part).temperature_) == pytest.approx(0.75, abs=0.04)  # type: ignore[attr-defined]


def test_too_few_trusted_labels_are_refused_with_the_number_needed() -> None:
    sample = trusting(0, 4_000, 0.02)
    labels = int(sample.trusted.sum())
    assert auto(sample, TRUSTING).reason == (
        f"{labels} of 4000 labels are from trusted sources (audit), which alone judge; at least 167 are needed to hold out 50"
    )


def test_a_fit_on_labels_that_are_not_trusted_is_left_to_a_person() -> None:
    sample = rows(5, 9_000, shift=1.5)
    trusted = np.zeros(9_000, dtype=bool)
    trusted[np.linspace(0, 8_999, 190).astype(int)] = True
    outcome = refit(TRUSTING, replace(sample, trusted=trusted), method="platt", holdout=0.5, incumbent=None)
    assert outcome.passed
    assert outcome.held is not None
    assert "labels fitted on are not from trusted sources" in outcome.held
    assert outcome.reason.endswith(f"A person must decide: {outcome.held}")


# Guards


def test_a_jump_of_the_label_rate_is_left_to_a_person() -> None:
    calm, jumped = rows(6, 6_000, slope=0.4), rows(6, 6_000, slope=0.4, late=0.3)
    assert (auto(calm).passed, auto(calm).held) == (True, None)
    outcome = auto(jumped)
    assert outcome.passed
    assert outcome.held is not None
    assert outcome.held.startswith("the share of labels that say 1 jumped from 0.5")
    assert outcome.gate is not None
    assert passing(outcome.gate).held == outcome.held
    assert passing(outcome.gate).guards.label_rate_jump.value > 0.1


def test_a_large_change_of_what_is_served_is_left_to_a_person() -> None:
    sample = rows(7, 6_000, slope=0.2)
    tolerant = replace(BINARY, settings=ModelSettings(guards=LIMITS | {"mean_change": 0.3}))
    strict = replace(BINARY, settings=ModelSettings(guards=LIMITS | {"mean_change": 0.1}))
    assert auto(sample, tolerant).held is None
    outcome = auto(sample, strict)
    assert outcome.passed
    assert outcome.held is not None
    assert outcome.held.startswith("served values would change by 0.")
    later = sample.split(HOLDOUT)[1]
    moved = np.abs(from_document(outcome.fitted.working_part).predict_proba(later.x) - later.x).mean()
    assert outcome.gate is not None
    assert passing(outcome.gate).guards.mean_change.value == pytest.approx(
        moved, abs=1e-3
    )  # a cell stands for its rows


def test_a_change_is_measured_from_what_serves_now() -> None:
    sample = rows(0, 5_000, slope=1 / 2)
    outcome = auto(sample, incumbent=temperature(1.5))
    assert outcome.gate is not None
    assert outcome.fitted is not None
    whole = sample.split(HOLDOUT)[1].pooled()
    ours, now = (
        from_document(fitted.working_part).predict_proba(whole.x) for fitted in (outcome.fitted, temperature(1.5))
    )
    found = passing(outcome.gate).guards.mean_change.value
    assert found == pytest.approx(mean_change(ours, now, whole.weight), rel=1e-6)


def test_labels_of_other_versions_judge_from_when_labels_are_held_out() -> None:
    sample, other = rows(0, 2_000, slope=1 / 2), rows(1, 2_000, slope=1 / 2)
    outcome = auto(sample, others={"other": other})
    assert outcome.gate is not None
    later = int((other.at >= sample.split(HOLDOUT)[1].at.min()).sum())
    assert passing(outcome.gate).segments["model_version:other"]["rows"] == later < 1_000


def test_a_jump_needs_to_be_more_than_chance() -> None:
    jumps = 0
    for seed in range(300):
        dice = np.random.default_rng(seed)
        before, after = dice.multinomial(140, [0.4, 0.6]), dice.multinomial(60, [0.4, 0.6])
        jumps += label_rate_jump(before, after).sure
    assert jumps <= 9
    assert label_rate_jump([1400, 600], [360, 240]).sure


def test_a_jump_of_vectors_is_that_of_the_class_that_moved_most() -> None:
    jump = label_rate_jump([500, 300, 200], [120, 70, 110])
    assert (jump.outcome, jump.before) == (2, 0.2)
    assert jump.size == pytest.approx(110 / 300 - 0.2)
    said = guarded(LIMITS, jump=jump, named=("a", "b", "c"), change=0.0, untrusted=0, labels=1_000).held
    assert said is not None
    assert "say c jumped from 0.200" in said


def test_mean_change_of_two_classes_is_that_of_one_probability() -> None:
    dice = np.random.default_rng(0)
    ours, now, weight = dice.uniform(size=50), dice.uniform(size=50), dice.integers(1, 5, 50)
    before, after = (np.column_stack([1 - each, each]) for each in (ours, now))
    assert mean_change(before, after, weight) == pytest.approx(mean_change(ours, now, weight))
    assert mean_change(ours, now, weight) == pytest.approx(np.average(np.abs(ours - now), weights=weight))


# Fitted elsewhere


def temperature(value: float, task: Task = "binary") -> Fitted:
    return Fitted(method="temperature", task=task, parameters={"temperature": value})


def judged(fitted: Fitted, sample: Sample, model: Model = BINARY, **given: Any) -> Outcome:
    return judged_document(model, sample, fitted, **({"holdout": HOLDOUT, "incumbent": None} | given))


def test_a_calibrator_fitted_elsewhere_passes_the_same_gate_or_not() -> None:
    sample = rows(8, 5_000, slope=0.5)
    good, bad = judged(temperature(2.0), sample), judged(temperature(0.5), sample)
    assert good.passed
    assert good.fitted == temperature(2.0)
    assert good.fitted_from == FittedFrom(registered=True, holdout_labels=1_500)
    assert (bad.passed, bad.fitted) == (False, None)
    assert bad.reason.startswith("temperature: no better than no calibrator on 1500 held-out labels")
    assert not judged(temperature(2.0), sample, incumbent=temperature(2.0)).passed
    assert not judged(temperature(2.0), sample, segments=Segments(samples={"a:b": rows(9, 800, slope=1.2)})).passed


def test_a_calibrator_fitted_elsewhere_is_judged_as_one_fitted_here() -> None:
    sample = rows(8, 5_000, slope=0.5)
    here = refit(BINARY, sample, method="platt", holdout=HOLDOUT, incumbent=None)
    assert here.fitted is not None
    there = judged(here.fitted, sample)
    assert (there.passed, there.reason) == (here.passed, here.reason)


def test_a_calibrator_fitted_elsewhere_that_was_not_judged_waits_for_a_person() -> None:
    outcome = judged(temperature(2.0), rows(8, 100), holdout=0.0)
    assert (outcome.passed, outcome.gate, outcome.fitted) == (False, None, temperature(2.0))
    assert judged(temperature(2.0), rows(8, 0)).reason == "there are no labels to judge on"


def test_a_calibrator_fitted_elsewhere_must_fit_the_model() -> None:
    with pytest.raises(BadInput, match=r"document\.task"):
        judged(temperature(2.0, "multiclass"), rows(8, 500))
    with pytest.raises(BadDocument):
        judged(temperature(-1.0), rows(8, 500))
    three = Fitted(method="vector", task="multiclass", parameters={"slopes": [1.0] * 3, "intercepts": [0.0] * 3})
    with pytest.raises(BadInput, match=r"document\.parameters"):
        judged(three, sample_of(FIVE, 500, 0, Flips()), model_of(FIVE, Flips()))


# Samples


def test_a_pooled_sample_has_the_sums_of_its_rows() -> None:
    sample = rows(10, 4_000)
    pooled = sample.pooled()
    assert pooled.labels == 4_000
    assert pooled.right == sample.right
    assert len(pooled.y) < 1_000
    assert pooled.weight @ pooled.x == pytest.approx(sample.x.sum())
    assert pooled.weight @ (pooled.x * pooled.y) == pytest.approx((sample.x * sample.y).sum())


def test_the_cut_is_where_trusted_labels_are_held_out() -> None:
    sample = replace(rows(11, 1_000), trusted=np.arange(1_000) < 500)
    assert sample.cut(0.3) == 350
    earlier, later = sample.split(0.3)
    assert (len(earlier.y), len(later.y)) == (350, 150)
