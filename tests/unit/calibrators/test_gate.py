# mypy: disable-error-code="attr-defined"
# Evidence is of the kind that a test made.
"""Gate: it lets repairs through and does no harm."""

import dataclasses
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import asdict
from scipy.special import expit, softmax
from sklearn.metrics import brier_score_loss, log_loss

from monitor.calibrators.comparisons import GateResult
from monitor.calibrators.families import make
from monitor.calibrators.gate import GateEvidence, Segment, judge
from monitor.calibrators.ladder import ladder
from monitor.calibrators.numeric import Floats
from monitor.calibrators.rows import logit


def stream(seed: int, n: int, temperature: float) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 2.0, n)
    return expit(scores), (rng.uniform(size=n) < expit(scores / temperature)).astype(float)


def refit(p: Floats, y: Floats) -> list[GateResult]:
    """Fit the ladder on the first 70 %, gate on the rest."""
    cut = int(0.7 * len(p))
    methods = ladder("binary", right=int(y.sum()), wrong=int((1 - y).sum())).methods
    fitted = [make(method, task="binary").fit(p[:cut], y[:cut]) for method in methods]
    return [
        judge(y[cut:], candidate=one.predict_proba(p[cut:]), identity=p[cut:], share=1 / len(fitted)) for one in fitted
    ]


def naive_debiased(p: Floats, y: Floats) -> float:
    total = 0.0
    for b in range(15):
        inside = ((p > b / 15) | ((b == 0) & (p == 0.0))) & (p <= (b + 1) / 15)
        n = int(inside.sum())
        if n > 1:
            m = y[inside].mean()
            total += n * (p[inside].mean() - m) ** 2 - n * m * (1 - m) / (n - 1)
    return total / len(p)


@pytest.fixture(scope="module")
def calibrated() -> list[list[GateResult]]:
    return [refit(*stream(seed, 2_000, 1.0)) for seed in range(100)]


def test_gate_promotes_at_most_one_in_twenty_on_calibrated_streams(calibrated: list[list[GateResult]]) -> None:
    assert sum(any(one.passed for one in results) for results in calibrated) <= 5


def test_better_mean_alone_would_promote_a_quarter_on_calibrated_streams(calibrated: list[list[GateResult]]) -> None:
    gains = [results[0].evidence.comparisons["identity"].log_loss_gain for results in calibrated]
    assert sum(gain > 0.0 for gain in gains) >= 25


def test_gate_passes_nine_in_ten_repairs_of_a_temperature_of_one_and_a_half() -> None:
    passed = [any(one.passed for one in refit(*stream(seed, 5_000, 1.5))) for seed in range(30)]
    assert sum(passed) >= 27


def test_gate_refuses_what_was_fitted_on_shuffled_labels() -> None:
    promoted = 0
    for seed in range(100):
        p, y = stream(seed, 3_000, 1.0)
        y = np.random.default_rng(seed + 1000).permutation(y)
        cut = 2_000
        line = np.full(1_000, y[:cut].mean()) + 1e-3 * (p[cut:] - 0.5)  # what a fit comes to: nearly flat
        result = judge(y[cut:], candidate=line, identity=p[cut:])
        assert result.evidence.comparisons["identity"].log_loss_gain_lower_bound > 0.0
        promoted += result.passed
    assert promoted <= 8
    assert "base rate" in result.reason


def test_scores_that_are_all_the_same_are_no_better_than_the_base_rate_but_for_rounding() -> None:
    raw, y = np.full(90, 0.9), np.tile([0.0, 1.0, 1.0], 30)
    candidate = make("temperature", task="binary").fit(np.full(210, 0.9), np.tile([0.0, 1.0, 1.0], 70))
    result = judge(y, candidate=candidate.predict_proba(raw), identity=raw)
    assert abs(result.evidence.constant.log_loss_gain) < 1e-9
    assert not result.passed
    assert "base rate" in result.reason


def test_gate_wants_more_than_the_incumbent_and_more_than_identity() -> None:
    p, y = stream(0, 5_000, 3.0)
    good, bad = expit(logit(p) / 3.0), expit(logit(p) * 2.0)
    assert judge(y, candidate=good, identity=p, incumbent=bad).passed
    against_good = judge(y, candidate=good, identity=p, incumbent=good)
    assert not against_good.passed
    assert "no better than the calibrator in service on 5000 held-out labels: log loss the same" in against_good.reason
    against_identity = judge(y, candidate=p, identity=p, incumbent=bad)
    assert not against_identity.passed
    assert against_identity.reason.startswith("no better than no calibrator on 5000 held-out labels: ")


@pytest.mark.parametrize(("share", "z"), [(1.0, 1.6448536269514722), (0.25, 2.2414027276049473)])
def test_gate_bound_is_the_normal_one_at_a_level_shared_by_the_candidates(share: float, z: float) -> None:
    p, y = stream(1, 1_000, 1.5)
    ours = expit(logit(p) / 1.5)
    found = judge(y, candidate=ours, identity=p, share=share).evidence.comparisons["identity"]
    gain = -np.log(np.where(y > 0, p, 1 - p)) + np.log(np.where(y > 0, ours, 1 - ours))
    assert found.log_loss == pytest.approx(log_loss(y, ours), abs=1e-12)
    assert found.log_loss_gain == pytest.approx(log_loss(y, p) - log_loss(y, ours), abs=1e-12)
    assert found.log_loss_gain_lower_bound == pytest.approx(gain.mean() - z * gain.std(ddof=1) / 1000**0.5, abs=1e-12)
    assert found.brier_gain == pytest.approx(brier_score_loss(y, p) - brier_score_loss(y, ours), abs=1e-12)


def test_gate_debiased_error_is_that_of_right_closed_bins() -> None:
    rng = np.random.default_rng(2)
    p = rng.integers(0, 31, 2_000) / 30.0  # every second value lies on an edge
    y = (rng.uniform(size=2_000) < 0.1 + 0.7 * p).astype(float)
    found = judge(y, candidate=p, identity=np.sqrt(p)).evidence.comparisons["identity"]
    assert found.debiased_l2_squared == pytest.approx(naive_debiased(p, y), abs=1e-12)
    assert found.debiased_l2_squared_other == pytest.approx(naive_debiased(np.sqrt(p), y), abs=1e-12)


def test_gate_weights_count_rows() -> None:
    p, y = stream(3, 800, 1.5)
    weight = np.random.default_rng(4).integers(0, 5, 800)
    ours = expit(logit(p) / 1.4)
    weighted = judge(y, candidate=ours, identity=p, incumbent=p**2, sample_weight=weight)
    many = [np.repeat(column, weight) for column in (y, ours, p, p**2)]
    repeated = judge(many[0], candidate=many[1], identity=many[2], incumbent=many[3])
    for opponent in ("identity", "incumbent"):
        one, other = (asdict(result.evidence.comparisons[opponent]) for result in (weighted, repeated))
        assert one == pytest.approx(other, abs=1e-12)
    assert asdict(weighted.evidence.constant) == pytest.approx(asdict(repeated.evidence.constant), abs=1e-12)
    assert weighted.reason == repeated.reason


def test_gate_refuses_a_significantly_worse_brier_score() -> None:
    y = np.tile([0.0, 1.0], 1_000)
    sure = np.where(y > 0, 0.999, 0.001)
    sure[:40] = 1.0 - np.where(y[:40] > 0, 1.0, 0.0)  # two in a hundred: certain, and wrong
    mild = np.where(y > 0, 0.65, 0.35)
    result = judge(y, candidate=mild, identity=sure)
    assert result.evidence.comparisons["identity"].log_loss_gain_lower_bound > 0.0
    assert not result.passed
    assert "Brier score significantly higher than with no calibrator, by" in result.reason
    assert "calibration error (debiased L2) significantly higher than with no calibrator:" in result.reason


def test_gate_seldom_blames_calibration_error_that_did_not_rise() -> None:
    blamed = 0
    for seed in range(200):
        p, y = stream(seed, 1_500, 1.0)
        base = np.full_like(p, 0.5)  # calibrated too, with all its mass in one bin
        found = judge(y, candidate=p, identity=base).evidence.comparisons["identity"]
        blamed += found.debiased_l2_squared_rise_lower_bound > 0.0
    assert blamed <= 14


def test_gate_sees_calibration_error_that_rose() -> None:
    for seed in range(20):
        p, y = stream(seed, 1_500, 1.0)
        found = judge(y, candidate=expit(logit(p) * 2.0), identity=p).evidence.comparisons["identity"]
        assert found.debiased_l2_squared_rise_lower_bound > 0.0


def test_gate_refuses_a_repair_that_hurts_a_segment() -> None:
    p, y = stream(5, 6_000, 2.5)
    rng = np.random.default_rng(6)
    small = rng.uniform(size=6_000) < 0.1
    y[small] = rng.uniform(size=small.sum()) < p[small]  # calibrated as it was
    ours = expit(logit(p) / 2.5)
    chosen = {"country:nl": small, "country:de": ~small, "country:mt": np.arange(6_000) < 20}
    result = judge(y, candidate=ours, identity=p, segments=segments(chosen, y, ours, p))
    assert judge(y, candidate=ours, identity=p).passed
    assert not result.passed
    assert result.reason.startswith("worse in segment country:nl: log loss higher by 0.")
    assert f" on {small.sum()} labels (lower bound 0." in result.reason
    assert set(result.evidence.segments) == {"country:nl", "country:de"}
    assert result.evidence.segments_with_few_labels == {"country:mt": 20}


def segments(chosen: dict[str, Any], y: Floats, candidate: Floats, now: Floats) -> dict[str, Segment]:
    return {name: Segment(y[rows], candidate[rows], now[rows], np.ones(rows.sum())) for name, rows in chosen.items()}


def test_gate_shares_the_level_of_segments_among_those_it_judges() -> None:
    p, y = stream(5, 6_000, 1.0)
    ours, half, few = expit(logit(p) / 1.5), np.arange(6_000) < 3_000, np.arange(6_000) < 49
    bounds: list[tuple[float, float, float | None]] = []
    for chosen in ({"a:b": half}, {"a:b": half, "a:d": few}, {"a:b": half, "a:c": ~half}):
        found = judge(y, candidate=ours, identity=p, segments=segments(chosen, y, ours, p)).evidence.segments["a:b"]
        error = (found.log_loss_gain_upper_bound - found.log_loss_gain) / bounds[0][1] if bounds else None
        bounds.append((found.log_loss_gain, found.log_loss_gain_upper_bound - found.log_loss_gain, error))
    assert bounds[1][2] == pytest.approx(1.0)
    assert bounds[2][2] == pytest.approx(1.9599639845400545 / 1.6448536269514722)


def test_gate_seldom_loses_a_good_repair_to_one_of_many_small_segments() -> None:
    lost = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        true = np.clip(rng.beta(5.0, 0.5, 1_000), 1e-4, 1 - 1e-4)
        raw, y = expit(1.5 * logit(true)), (rng.uniform(size=1_000) < true).astype(float)
        chosen = {f"a:{i}": np.arange(1_000) // 50 == i for i in range(20)}
        evidence = judge(y, candidate=true, identity=raw, segments=segments(chosen, y, true, raw)).evidence
        lost += any(each.log_loss_gain_upper_bound < 0.0 for each in evidence.segments.values())
    assert lost <= 4  # by the spread alone 14


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        (20, 20, "only 40 held-out labels; the gate needs 50"),
        (191, 9, "the rarer outcome has only 9 of 200 held-out labels; the gate needs 10"),
        (0, 0, "only 0 held-out labels; the gate needs 50"),
    ],
)
def test_gate_gives_no_pass_on_too_little_evidence(right: int, wrong: int, reason: str) -> None:
    y = np.repeat([1.0, 0.0], [right, wrong])
    result = judge(y, candidate=0.1 + 0.8 * y, identity=0.4 + 0.2 * y)
    assert (result.passed, result.reason) == (False, reason)


def vectors(seed: int, n: int, temperature: float) -> tuple[Floats, Any]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 2.5, (n, 4))
    true = softmax(scores / temperature, axis=1)
    return softmax(scores, axis=1), (rng.uniform(size=(n, 1)) > true.cumsum(axis=1)[:, :-1]).sum(axis=1)


def test_gate_judges_vectors_by_their_whole_and_their_answer() -> None:
    p, y = vectors(0, 3_000, 2.0)
    ours = make("temperature", task="multiclass").fit(*vectors(1, 3_000, 2.0)).predict_proba(p)
    result = judge(y, candidate=ours, identity=p)
    found = result.evidence.comparisons["identity"]
    hot = np.eye(4)[y]
    assert result.passed
    assert found.log_loss == pytest.approx(log_loss(y, ours), abs=1e-12)
    assert found.brier_gain == pytest.approx((((p - hot) ** 2) - ((ours - hot) ** 2)).sum(axis=1).mean(), abs=1e-12)
    right = (p.argmax(axis=1) == y).astype(float)
    assert found.debiased_l2_squared_other == pytest.approx(naive_debiased(p.max(axis=1), right), abs=1e-12)


def test_gate_does_no_harm_to_calibrated_vectors() -> None:
    promoted = 0
    for seed in range(60):
        p, y = vectors(seed, 1_000, 1.0)
        fitted = make("temperature", task="multiclass").fit(p[:700], y[:700])
        promoted += judge(y[700:], candidate=fitted.predict_proba(p[700:]), identity=p[700:]).passed
    assert promoted <= 5


def test_gate_evidence_is_json_and_its_result_frozen() -> None:
    p, y = stream(7, 1_000, 2.0)
    ours = expit(logit(p) / 2)
    result = judge(y, candidate=ours, identity=p, incumbent=p, segments=segments({"a:b": p > 0.5}, y, ours, p))
    text = json.dumps(msgspec.to_builtins(result.evidence), allow_nan=False)
    assert msgspec.json.decode(text, type=GateEvidence) == result.evidence
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.passed = True  # type: ignore[misc]


def test_gate_evidence_has_the_fields_that_are_stored_and_shown() -> None:
    p, y = stream(7, 1_000, 2.0)
    ours = expit(logit(p) / 2)
    parts = segments({"a:b": p > 0.5, "a:c": p > 0.99}, y, ours, p)
    evidence = msgspec.to_builtins(judge(y, candidate=ours, identity=p, incumbent=p**2, segments=parts).evidence)
    assert list(evidence) == [
        "rows",
        "share",
        "level",
        "comparisons",
        "constant",
        "segments",
        "segments_with_few_labels",
    ]
    assert list(evidence["comparisons"]) == ["identity", "incumbent"]
    assert list(evidence["comparisons"]["incumbent"]) == [
        "log_loss",
        "log_loss_other",
        "log_loss_gain",
        "log_loss_gain_lower_bound",
        "brier_gain",
        "brier_gain_upper_bound",
        "debiased_l2_squared",
        "debiased_l2_squared_other",
        "debiased_l2_squared_rise_lower_bound",
    ]
    assert list(evidence["constant"]) == ["log_loss_gain", "log_loss_gain_lower_bound"]
    assert list(evidence["segments"]["a:b"]) == ["rows", "log_loss_gain", "log_loss_gain_upper_bound"]
    few = judge(y[:40], candidate=ours[:40], identity=p[:40])
    assert list(msgspec.to_builtins(few.evidence)) == ["rows", "share", "level"]
    assert few.lower_bound == -np.inf


def test_gate_reason_of_a_pass_states_before_and_after() -> None:
    p, y = stream(7, 2_000, 3.0)
    result = judge(y, candidate=expit(logit(p) / 3), identity=p)
    assert result.passed
    assert result.reason.startswith(
        f"log loss {log_loss(y, expit(logit(p) / 3)):.4f} on 2000 held-out labels, {log_loss(y, p):.4f} with no calibrator: "
        "lower by 0."
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"identity": [0.5, 0.5]}, "identity has shape"),
        ({"candidate": [0.5] * 59 + [float("nan")]}, r"candidate\[59\] is nan"),
        ({"incumbent": [1.5] * 60}, r"incumbent\[0\] is 1.5"),
        ({"sample_weight": [-1.0] * 60}, "sample_weight holds"),
        (
            {"segments": {"a:b": Segment([1.0] * 60, [0.5] * 60, [0.5] * 59, [1] * 60)}},
            r"segment a:b has shape \(59,\)",
        ),
    ],
)
def test_gate_names_what_is_wrong_with_its_arrays(change: dict[str, Any], why: str) -> None:
    arrays: dict[str, Any] = {"candidate": [0.5] * 60, "identity": [0.5] * 60}
    with pytest.raises(ValueError, match=why):
        judge([0.0, 1.0] * 30, **(arrays | change))
