"""May this calibrator replace the one in service? Judged by paired comparisons on later, held-out rows.

A better mean is not enough: on a calibrated model a fit has the better mean in a third of all trials, and does harm. The gate compares
against the incumbent and against no calibrator, on the same rows:

1. Log loss: the one-sided lower bound of the mean paired gain is above 0, at a level that all candidates share (Bonferroni).
2. Brier score and debiased L2 calibration error: not *significantly* worse. A plain comparison would refuse half of all candidates that
   change nothing there, by noise alone; the first rule asks for proof of gain, so these two only refuse proof of harm.
3. Segments: in none is the log loss significantly worse, at a level divided by the number of segments judged. Rows of a small segment that
   all came true look alike, as if nothing were left to chance: by their spread alone, of repairs that harm nobody, a fifth to a half would
   be refused for one of 20 segments of 50 rows. So the variance of the mean is half that, and half what it would be if the truth lay
   midway, where neither is better, if that is more: then at most one in forty is refused, and harm is still seen.
4. Against a constant (the base rate of the same rows) the log loss is better, by the same bound as in 1. When labels have nothing to do
   with scores (shuffled, joined wrongly, a broken model), flattening every score is the best fit, and would win 1 to 3 while hiding
   the fault. The base rate is taken from the rows that it is judged on, which only makes it harder to beat.

Bounds are normal, on at least 50 rows with 10 of each outcome.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from .comparisons import (
    OPPONENTS,
    ROUNDING,
    Bound,
    Evidence,
    GateResult,
    Judging,
    bound_of,
    by_segment,
    mean_of,
    unproved,
)
from .numeric import Floats
from .parameters import SMALLEST
from .rows import classes, confidences, outcomes, vectors, weights
from .vectors import softmax_rows

LEVEL: Final = 0.05
BINS: Final = 15
FEWEST_ROWS: Final = 50
FEWEST_OF_EACH: Final = 10


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and an opponent on the same rows; gains are positive where the candidate is better."""

    log_loss: float  # nats
    log_loss_other: float
    log_loss_gain: float
    log_loss_gain_lower_bound: float
    brier_gain: float  # squared probability
    brier_gain_upper_bound: float
    debiased_l2_squared: float
    debiased_l2_squared_other: float
    debiased_l2_squared_rise_lower_bound: float

    @property
    def lower_bound(self) -> float:
        """The lower bound of the gain in log loss, which decides."""
        return self.log_loss_gain_lower_bound


class ConstantGain(msgspec.Struct, frozen=True, kw_only=True):
    """The gain over the base rate, given for every event."""

    log_loss_gain: float
    log_loss_gain_lower_bound: float


class SegmentGain(msgspec.Struct, frozen=True, kw_only=True):
    """The gain in one segment over what serves now."""

    rows: float
    log_loss_gain: float
    log_loss_gain_upper_bound: float


GateEvidence: TypeAlias = Evidence[Comparison, ConstantGain, SegmentGain]


class Segment(NamedTuple):
    """Held-out rows of one segment, and the probabilities for them: shapes (n,), or (n, K) of vectors."""

    y: ArrayLike
    candidate: ArrayLike
    now: ArrayLike  # of what serves now
    sample_weight: ArrayLike


class _Scores(NamedTuple):
    """Scores of one calibrator's probabilities, row by row; arrays of shape (n,)."""

    log_loss: Floats
    brier: Floats
    confidence: Floats
    right: Floats


def judge(
    y: ArrayLike,
    *,
    candidate: ArrayLike,
    identity: ArrayLike,
    incumbent: ArrayLike | None = None,
    simpler: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    share: float = 1.0,
    segments: Mapping[str, Segment] | None = None,
    level: float = LEVEL,
) -> GateResult:
    """Judge a candidate against the incumbent and identity on held-out rows.

    Parameters
    ----------
    y : array of shape (n,), outcomes 0 or 1; for vectors, labels 0 to K - 1
    candidate, identity, incumbent : arrays of shape (n,) or (n, K), probabilities for the same rows; identity's are the raw ones; without
        an incumbent, identity serves now
    simpler : array like those, of a simpler candidate that passed: a richer one must be significantly better than that too
    sample_weight : array of shape (n,), whole numbers: events that the rows stand for
    share : the candidate's share of the level; the shares of all candidates on these rows sum to 1
    segments : parts in which the candidate must not be worse, by name; those with under 50 labels are not judged
    level : chance of passing a calibrator that is no better

    Returns
    -------
    GateResult; gains are in nats (log loss) and squared probability (Brier), positive when the candidate is better

    Raises
    ------
    ValueError
        for arrays of different shapes, or that hold no probabilities.

    References
    ----------
    Debiased L2: Ferro, Fricker 2012, doi:10.1002/qj.1924; Kumar, Liang, Ma 2019, doi:10.48550/arXiv.1909.10155

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> raw = rng.uniform(0.01, 0.99, size=5_000)
    >>> true = 1 / (1 + ((1 - raw) / raw) ** 0.5)
    >>> y = rng.uniform(size=5_000) < true
    >>> judge(y, candidate=true, identity=raw).passed, judge(y, candidate=raw, identity=true).passed
    (True, False)

    """
    scores = _scored({"candidate": candidate, "identity": identity, "incumbent": incumbent, "simpler": simpler}, y)
    proposed = scores.pop("candidate")
    weight = weights(sample_weight, len(proposed.right))
    rows = float(weight.sum())
    refusal = _too_few(proposed.right, weight)
    if refusal:
        return GateResult(passed=False, reason=refusal, evidence=Judging(rows=rows, share=share, level=level))
    by_name, few = by_segment(segments or {}, _in_segment, level)
    return _verdict(
        Evidence(
            rows=rows,
            share=share,
            level=level,
            comparisons={
                name: _compare(proposed, other, weight, level * share, level) for name, other in scores.items()
            },
            constant=_against_constant(proposed, y, weight, level * share),
            segments=by_name,
            segments_with_few_labels=few,
        )
    )


def _scored(probabilities: Mapping[str, ArrayLike | None], y: ArrayLike) -> dict[str, _Scores]:
    arrays = {name: np.asarray(p) for name, p in probabilities.items() if p is not None}
    shape = arrays["candidate"].shape
    for name, array in arrays.items():
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}; candidate has {shape}, and all judge the same rows")
    score: Callable[[Any, Any, str], _Scores] = _score_vectors if len(shape) > 1 else _score_singles
    return {name: score(array, y, name) for name, array in arrays.items()}


def _score_singles(values: ArrayLike, labels: ArrayLike, name: str) -> _Scores:
    p = confidences(values, name)
    y = outcomes(labels, len(p))
    chosen = np.where(y > 0.0, p, 1.0 - p)
    return _Scores(-np.log(np.maximum(chosen, SMALLEST)), (p - y) ** 2, p, y)


def _score_vectors(values: ArrayLike, labels: ArrayLike, name: str) -> _Scores:
    p = vectors(values, name)
    y, row = classes(labels, *p.shape), np.arange(len(p))
    chosen = p[row, y]
    brier = (p**2).sum(axis=1) - 2.0 * chosen + 1.0
    answer = p.argmax(axis=1)
    return _Scores(-np.log(np.maximum(chosen, SMALLEST)), brier, p[row, answer], (answer == y).astype(np.float64))


def _too_few(right: Floats, weight: Floats) -> str | None:
    rows, ones = float(weight.sum()), float(weight @ right)
    rarer = min(ones, rows - ones)
    if rows < FEWEST_ROWS:
        return f"only {rows:g} held-out labels; the gate needs {FEWEST_ROWS}"
    if rarer < FEWEST_OF_EACH:
        return f"the rarer outcome has only {rarer:g} of {rows:g} held-out labels; the gate needs {FEWEST_OF_EACH}"
    return None


def _compare(ours: _Scores, other: _Scores, weight: Floats, strict: float, level: float) -> Comparison:
    log_loss = bound_of(other.log_loss - ours.log_loss, weight)
    brier = bound_of(other.brier - ours.brier, weight)
    squared, before = _debiased(ours, weight), _debiased(other, weight)
    # The gaps inside the influences carry their own noise. That makes up for the second-order term, which is all there is where both are
    # calibrated: measured from 200 to 10,000 rows, the error comes out 1 to 1.5 times the true one.
    worse = Bound(squared.value - before.value, bound_of(squared.influence - before.influence, weight).error)
    return Comparison(
        log_loss=mean_of(ours.log_loss, weight),
        log_loss_other=mean_of(other.log_loss, weight),
        log_loss_gain=log_loss.mean,
        log_loss_gain_lower_bound=log_loss.low(strict),
        brier_gain=brier.mean,
        brier_gain_upper_bound=brier.high(level),
        debiased_l2_squared=squared.value,
        debiased_l2_squared_other=before.value,
        debiased_l2_squared_rise_lower_bound=worse.low(level),
    )


class _Debiased(NamedTuple):
    """The debiased squared L2 calibration error, and the influence function that its standard error is made of."""

    value: float
    influence: Floats  # of each row, shape (n,)


def _debiased(scores: _Scores, weight: Floats) -> _Debiased:
    """Return Σ_b [n(p̄ - m)² - n·m(1 - m)/(n - 1)] / N over right-closed equal-width bins with n ≥ 2."""
    place = np.maximum(np.searchsorted(np.arange(BINS + 1) / BINS, scores.confidence, side="left") - 1, 0)
    n, sp, sy = (
        np.bincount(place, weights=part, minlength=BINS)
        for part in (weight, weight * scores.confidence, weight * scores.right)
    )
    used, total = n > 1.0, float(weight.sum())
    count = np.where(used, n, 2.0)
    gap, m = np.where(used, (sp - sy) / count, 0.0), np.where(used, sy / count, 0.0)
    value = float((n * gap**2 - np.where(used, n * m * (1.0 - m) / (count - 1.0), 0.0)).sum()) / total
    influence = 2.0 * gap[place] * (scores.confidence - scores.right) - gap[place] ** 2
    return _Debiased(value, influence)


def _against_constant(ours: _Scores, y: ArrayLike, weight: Floats, strict: float) -> ConstantGain:
    label, place = np.unique(np.asarray(y), return_inverse=True)
    share = np.bincount(place, weights=weight, minlength=len(label)) / weight.sum()
    gain = bound_of(-np.log(np.maximum(share, SMALLEST))[place] - ours.log_loss, weight)
    return ConstantGain(log_loss_gain=gain.mean, log_loss_gain_lower_bound=gain.low(strict))


def _in_segment(name: str, segment: Segment, level: float) -> SegmentGain:
    scores = _scored({"candidate": segment.candidate, f"segment {name}": segment.now}, segment.y)
    ours, now = scores.values()
    weight = weights(segment.sample_weight, len(ours.right))
    rows, seen = float(weight.sum()), bound_of(now.log_loss - ours.log_loss, weight)
    variance, expected = seen.error**2, mean_of(_variance(segment), weight) / rows
    bound = Bound(seen.mean, math.sqrt((variance + max(variance, expected)) / 2.0))
    return SegmentGain(rows=rows, log_loss_gain=bound.mean, log_loss_gain_upper_bound=bound.high(level))


def _variance(segment: Segment) -> Floats:
    """Return the variance of each row's gain in log loss, with the truth half way between both, shape (n,)."""
    ours, now = (np.log(np.maximum(_whole(p), SMALLEST)) for p in (segment.candidate, segment.now))
    gain, half = ours - now, softmax_rows((ours + now) / 2.0)
    mean = (half * gain).sum(axis=1, keepdims=True)
    return np.asarray((half * (gain - mean) ** 2).sum(axis=1))


def _whole(p: ArrayLike) -> Floats:
    """Return the probabilities of all outcomes, shape (n, K)."""
    array = np.asarray(p, dtype=np.float64)
    return array if array.ndim > 1 else np.column_stack([1.0 - array, array])


def _verdict(evidence: GateEvidence) -> GateResult:
    objections = list(_objections(evidence))
    reason = "; ".join(objections) if objections else _praise(evidence)
    return GateResult(passed=not objections, reason=reason, evidence=evidence)


def _objections(evidence: GateEvidence) -> Iterator[str]:
    for name, comparison in evidence.comparisons.items():
        yield from _objections_to(comparison, name, evidence.rows)
    constant = evidence.constant
    if not constant.log_loss_gain_lower_bound > ROUNDING:
        yield (
            "scores do not predict the labels significantly better than the base rate does (log loss gain "
            f"{constant.log_loss_gain:.5f}, lower bound {constant.log_loss_gain_lower_bound:.5f}): check the labels and the model first"
        )
    for name, segment in evidence.segments.items():
        if segment.log_loss_gain_upper_bound < 0.0:
            yield (
                f"worse in segment {name}: log loss higher by {-segment.log_loss_gain:.5f} on {segment.rows:g} labels "
                f"(lower bound {-segment.log_loss_gain_upper_bound:.5f})"
            )


def _objections_to(comparison: Comparison, name: str, rows: float) -> Iterator[str]:
    if not comparison.lower_bound > ROUNDING:
        yield unproved(name, comparison.log_loss_gain, comparison.lower_bound, rows=rows, score="log loss")
    if comparison.brier_gain_upper_bound < 0.0:
        yield f"Brier score significantly higher than with {OPPONENTS[name]}, by {-comparison.brier_gain:.5f}"
    if comparison.debiased_l2_squared_rise_lower_bound > 0.0:
        before, after = comparison.debiased_l2_squared_other, comparison.debiased_l2_squared
        yield (
            f"calibration error (debiased L2) significantly higher than with {OPPONENTS[name]}: {_root(after):.4f}, was "
            f"{_root(before):.4f}"
        )


def _praise(evidence: GateEvidence) -> str:
    comparison = evidence.comparisons[evidence.now]
    before, after = comparison.debiased_l2_squared_other, comparison.debiased_l2_squared
    return (
        f"log loss {comparison.log_loss:.4f} on {evidence.rows:g} held-out labels, {comparison.log_loss_other:.4f} with "
        f"{OPPONENTS[evidence.now]}: lower by {comparison.log_loss_gain:.5f} (lower bound {comparison.lower_bound:.5f}); calibration "
        f"error (debiased L2) {_root(after):.4f}, was {_root(before):.4f}"
    )


def _root(squared: float) -> float:
    return math.sqrt(max(squared, 0.0))
