"""Gate of regressions: may this calibrator of distributions replace the one in service? By paired comparisons on later, held-out rows.

As `calwatch.calibrators.gate`, with another score. Against the incumbent and against no calibrator, on the same rows:

1. Continuous ranked probability score (CRPS): the one-sided lower bound of the mean paired gain is above 0, at a level divided by the
   number of candidates. Each row's gain is in units of the standard deviation that the model itself stated, which was known before the
   label: so the score stays proper, a row counts alike whatever its scale, and no single label can decide, since a change of width moves
   a CRPS by a bounded number of standard deviations however far off the label is.
2. Quantile calibration error, and the CRPS in the label's own unit: not significantly worse.
3. Segments: in none is the CRPS significantly worse, at a level divided by the number of segments judged.
4. Against one distribution for every row (that of the labels) the CRPS is better, by the same bound as in 1: where labels have nothing to
   do with predictions, wider distributions are the best fit, and would hide the fault.

All are scored by quantiles at the same levels: stated ones at theirs, normal distributions at those at which calibrated ones are served.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

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
from .distribution_rows import Group, crps, drawn_ranks, groups, labels, quantiles, spreads
from .distributions import WHOLE
from .gate import FEWEST_ROWS, LEVEL
from .numeric import Floats, Objects
from .rows import weights

LEVELS: Final = np.arange(1, 20) / 20
"""Levels of the quantile calibration error."""


class DistributionComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and an opponent on the same rows; gains are positive where the candidate is better."""

    crps: float  # in the label's unit
    crps_other: float
    crps_gain: float
    crps_gain_upper_bound: float
    gain_in_std: float  # in standard deviations, as the model stated them
    gain_in_std_lower_bound: float
    quantile_ece: float
    quantile_ece_other: float
    quantile_error_squared: float
    quantile_error_squared_other: float
    quantile_error_squared_rise_lower_bound: float

    @property
    def lower_bound(self) -> float:
        """The lower bound of the gain in standard deviations, which decides."""
        return self.gain_in_std_lower_bound


class DistributionConstantGain(msgspec.Struct, frozen=True, kw_only=True):
    """The gain over the distribution of all labels, given for every event."""

    gain_in_std: float
    gain_in_std_lower_bound: float


class DistributionSegmentGain(msgspec.Struct, frozen=True, kw_only=True):
    """The gain in one segment over what serves now."""

    rows: float
    gain_in_std: float
    gain_in_std_upper_bound: float


DistributionEvidence: TypeAlias = Evidence[DistributionComparison, DistributionConstantGain, DistributionSegmentGain]


class DistributionSegment(NamedTuple):
    """Held-out rows of one segment, shapes (n,)."""

    y: ArrayLike
    raw: Objects
    candidate: Objects
    now: Objects  # of what serves now
    sample_weight: ArrayLike


class _Scores(NamedTuple):
    """Scores of one calibrator's distributions, row by row; arrays of shape (n,)."""

    crps: Floats
    rank: Floats


class _Rows(NamedTuple):
    """Rows to judge on, with the model's own distributions."""

    groups: list[Group]  # raw
    y: Floats
    weight: Floats
    unit: Floats  # (n,) standard deviations, as stated


def judge_distributions(
    y: ArrayLike,
    *,
    raw: Objects,
    candidate: Objects,
    incumbent: Objects | None = None,
    simpler: Objects | None = None,
    sample_weight: ArrayLike | None = None,
    share: float = 1.0,
    segments: Mapping[str, DistributionSegment] | None = None,
    level: float = LEVEL,
) -> GateResult:
    """Judge a candidate against the incumbent and identity on held-out rows.

    Parameters
    ----------
    y : array of shape (n,), labels
    raw, candidate, incumbent : arrays of shape (n,) of Distribution: the model's own, and the calibrated ones; without an incumbent,
        identity serves now
    simpler : array like those, of a simpler candidate that passed: a richer one must be significantly better than that too
    sample_weight : array of shape (n,), events that the rows stand for
    share : the candidate's share of the level; the shares of all candidates on these rows sum to 1
    segments : parts in which the candidate must not be worse, by name; those with under 50 labels are not judged
    level : chance of passing a calibrator that is no better

    Returns
    -------
    GateResult; gains are positive when the candidate is better, `gain_in_std` in standard deviations as the model stated them, `crps`
    and `crps_gain` in the label's unit

    Raises
    ------
    ValueError
        for arrays of different shapes, or other levels than the model's.

    References
    ----------
    Gneiting, Raftery 2007, doi:10.1198/016214506000001437; debiased error: Ferro, Fricker 2012, doi:10.1002/qj.1924

    Examples
    --------
    >>> from calwatch.calibrators.distribution_rows import distributions
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.normal(0.0, 5.0, 1_000)
    >>> y = rng.normal(mean, 2.0)
    >>> narrow, right = (distributions(np.column_stack([mean, np.full(1_000, std)])) for std in (1.0, 2.0))
    >>> judge_distributions(y, raw=narrow, candidate=right).passed, judge_distributions(y, raw=right, candidate=narrow).passed
    (True, False)

    """
    rows = _rows(y, raw, sample_weight)
    labels = float(rows.weight.sum())
    if labels < FEWEST_ROWS:
        reason = f"only {labels:g} held-out labels; the gate needs {FEWEST_ROWS}"
        return GateResult(passed=False, reason=reason, evidence=Judging(rows=labels, share=share, level=level))
    ours = _scored(rows, candidate, "candidate")
    others = {"identity": raw, "incumbent": incumbent, "simpler": simpler}
    by_name, few = by_segment(segments or {}, _in_segment, level)
    evidence = Evidence(
        rows=labels,
        share=share,
        level=level,
        comparisons={
            name: _compared(rows, ours, _scored(rows, other, name), level * share, level)
            for name, other in others.items()
            if other is not None
        },
        constant=_against_constant(rows, ours, level * share),
        segments=by_name,
        segments_with_few_labels=few,
    )
    objections = list(_objections(evidence))
    reason = "; ".join(objections) if objections else _praise(evidence)
    return GateResult(passed=not objections, reason=reason, evidence=evidence)


def _rows(y: ArrayLike, raw: Objects, sample_weight: ArrayLike | None) -> _Rows:
    label, grouped = labels(y, len(raw)), groups(raw)
    unit = np.ones(len(label))
    for group in grouped:
        unit[group.rows] = spreads(group)
    wide = unit > 0.0
    # Where all quantiles are one, calibrators change nothing: any unit will do.
    unit[~wide] = unit[wide].mean() if wide.any() else 1.0
    return _Rows(grouped, label, weights(sample_weight, len(label)), unit)


def _scored(rows: _Rows, served: Objects, name: str) -> _Scores:
    if served.shape != rows.y.shape:
        raise ValueError(f"{name} has shape {served.shape}; all judge the same {len(rows.y)} rows")
    scored = _Scores(np.empty(len(rows.y)), np.empty(len(rows.y)))
    for group in rows.groups:
        levels = quantiles(group).levels
        for part in groups(served[group.rows]):
            stated, place = quantiles(part), group.rows[part.rows]
            if stated.levels != levels:
                raise ValueError(f"{name} states other levels than the model, {stated.levels} instead of {levels}")
            scored.crps[place] = crps(stated, rows.y[place])
            scored.rank[place] = drawn_ranks(stated, rows.y[place])
    return scored


def _compared(rows: _Rows, ours: _Scores, other: _Scores, strict: float, level: float) -> DistributionComparison:
    weight = rows.weight
    relative, plain = (bound_of((other.crps - ours.crps) / unit, weight) for unit in (rows.unit, 1.0))
    squared, before = _squared_error(ours.rank, weight), _squared_error(other.rank, weight)
    worse = Bound(squared.value - before.value, bound_of(squared.influence - before.influence, weight).error)
    return DistributionComparison(
        crps=mean_of(ours.crps, weight),
        crps_other=mean_of(other.crps, weight),
        crps_gain=plain.mean,
        crps_gain_upper_bound=plain.high(level),
        gain_in_std=relative.mean,
        gain_in_std_lower_bound=relative.low(strict),
        quantile_ece=squared.absolute,
        quantile_ece_other=before.absolute,
        quantile_error_squared=squared.value,
        quantile_error_squared_other=before.value,
        quantile_error_squared_rise_lower_bound=worse.low(level),
    )


class _Squared(NamedTuple):
    """The debiased squared quantile calibration error, and the influence function that its standard error is made of."""

    value: float
    influence: Floats  # of each row, shape (n,)
    absolute: float  # the mean absolute error, with its noise


def _squared_error(rank: Floats, weight: Floats) -> _Squared:
    """Return the mean over levels q of (f - q)² - f(1 - f)/(n - 1), f the share of ranks at or under q."""
    total = float(weight.sum())
    under = rank[:, None] <= LEVELS
    share = weight @ under / total
    gap = share - LEVELS
    value = float((gap**2 - share * (1.0 - share) / (total - 1.0)).mean())
    influence = (2.0 * gap * (under - LEVELS) - gap**2).mean(axis=1)
    return _Squared(value, np.asarray(influence), float(np.abs(gap).mean()))


def _against_constant(rows: _Rows, ours: _Scores, strict: float) -> DistributionConstantGain:
    score, share = np.empty(len(rows.y)), rows.weight / rows.unit
    for group in rows.groups:
        stated = quantiles(group)
        same = _weighted_quantiles(rows.y, share, stated.levels)
        y = rows.y[group.rows]
        score[group.rows] = crps(stated._replace(values=np.broadcast_to(same, (len(y), len(same)))), y)
    gain = bound_of((score - ours.crps) / rows.unit, rows.weight)
    return DistributionConstantGain(gain_in_std=gain.mean, gain_in_std_lower_bound=gain.low(strict))


def _weighted_quantiles(y: Floats, share: Floats, levels: Sequence[int]) -> Floats:
    order = np.argsort(y, kind="stable")
    reached = np.cumsum(share[order])
    place = np.searchsorted(reached, np.array(levels) / WHOLE * reached[-1])
    return np.asarray(y[order][np.minimum(place, len(y) - 1)])


def _in_segment(name: str, segment: DistributionSegment, level: float) -> DistributionSegmentGain:
    rows = _rows(segment.y, segment.raw, segment.sample_weight)
    ours, now = (_scored(rows, served, f"segment {name}") for served in (segment.candidate, segment.now))
    bound = bound_of((now.crps - ours.crps) / rows.unit, rows.weight)
    return DistributionSegmentGain(
        rows=float(rows.weight.sum()), gain_in_std=bound.mean, gain_in_std_upper_bound=bound.high(level)
    )


def _objections(evidence: DistributionEvidence) -> Iterator[str]:
    for name, comparison in evidence.comparisons.items():
        yield from _objections_to(comparison, name, evidence.rows)
    constant = evidence.constant
    if not constant.gain_in_std_lower_bound > ROUNDING:
        yield (
            "distributions do not predict the labels significantly better than one constant distribution, that of all labels (CRPS gain "
            f"{constant.gain_in_std:.5f} standard deviations, lower bound {constant.gain_in_std_lower_bound:.5f}): check the labels and "
            "the model first"
        )
    for name, segment in evidence.segments.items():
        if segment.gain_in_std_upper_bound < 0.0:
            yield (
                f"worse in segment {name}: CRPS higher by {-segment.gain_in_std:.5f} standard deviations on {segment.rows:g} labels "
                f"(lower bound {-segment.gain_in_std_upper_bound:.5f})"
            )


def _objections_to(comparison: DistributionComparison, name: str, rows: float) -> Iterator[str]:
    if not comparison.lower_bound > ROUNDING:
        gain, low = comparison.gain_in_std, comparison.lower_bound
        yield unproved(name, gain, low, rows=rows, score="CRPS", unit=" standard deviations")
    if comparison.crps_gain_upper_bound < 0.0:
        yield f"CRPS significantly higher than with {OPPONENTS[name]}, by {-comparison.crps_gain:.5g}"
    if comparison.quantile_error_squared_rise_lower_bound > 0.0:
        after, before = comparison.quantile_ece, comparison.quantile_ece_other
        yield f"quantile calibration error significantly higher than with {OPPONENTS[name]}: {after:.4f}, was {before:.4f}"


def _praise(evidence: DistributionEvidence) -> str:
    comparison = evidence.comparisons[evidence.now]
    return (
        f"CRPS {comparison.crps:.4g} on {evidence.rows:g} held-out labels, {comparison.crps_other:.4g} with "
        f"{OPPONENTS[evidence.now]}: lower by {comparison.gain_in_std:.5f} standard deviations (lower bound "
        f"{comparison.lower_bound:.5f}); quantile calibration error {comparison.quantile_ece:.4f}, was "
        f"{comparison.quantile_ece_other:.4f}"
    )
