"""Refits of regressions: the candidates, the gate on distributions, and the gaps that call for a refit."""

from collections.abc import Mapping

import numpy as np

from ..calibrators.comparisons import GateResult
from ..calibrators.distribution_gate import DistributionSegment, judge_distributions
from ..calibrators.distribution_rows import completed_ranks, drawn_ranks, groups, quantiles
from ..calibrators.distributions import WHOLE
from ..calibrators.estimator import Estimator
from ..calibrators.families import from_document
from ..calibrators.ladder import FEWEST_LABELS, Ladder, tried
from ..calibrators.numeric import Floats, Objects
from ..stats.onset import Gaps
from ..stats.quantiles import PIT_BINS, signed_lower_bound
from ..store.calibrators import Fitted
from ..windows.samples import Sample


def distribution_ladder(labels: int) -> Ladder:
    """Return the families that `auto` tries on a regression: a factor from 200 labels, a map of levels from 1,000.

    >>> distribution_ladder(999).methods, distribution_ladder(1000).methods
    (('variance_scaling',), ('variance_scaling', 'pit_isotonic'))
    >>> distribution_ladder(150).refusal
    'there are 150 labels; at least 200 are needed'
    """
    if labels < FEWEST_LABELS:
        there = f"there are {labels} labels" if labels else "there are no labels"
        return Ladder(methods=(), refusal=f"{there}; at least {FEWEST_LABELS} are needed")
    return Ladder(methods=tried("regression", labels), refusal=None)


def judged(
    rows: Sample,
    candidate: Estimator,
    *,
    incumbent: Estimator | None,
    simpler: Estimator | None,
    share: float,
    parts: Mapping[str, Sample],
) -> GateResult:
    """Return the gate's result for a candidate on held-out rows, and on parts of them."""
    return judge_distributions(
        rows.y,
        raw=rows.x,
        candidate=served(candidate, rows.x),
        incumbent=None if incumbent is None else served(incumbent, rows.x),
        simpler=None if simpler is None else served(simpler, rows.x),
        sample_weight=rows.weight,
        share=share,
        segments={
            name: DistributionSegment(part.y, part.x, served(candidate, part.x), served(incumbent, part.x), part.weight)
            for name, part in parts.items()
        },
    )


def served(calibrator: Estimator | None, raw: Objects) -> Objects:
    """Return distributions as a calibrator serves them; None changes nothing."""
    if calibrator is None:
        return raw
    distributions: Objects = np.asarray(calibrator.predict_proba(raw), dtype=object)
    return distributions


def mean_change(after: Objects, before: Objects, sample_weight: Floats) -> float:
    """Return the mean change of distributions in levels: the mean over rows and levels q of |F(x) - q|, F after, x the quantile before.

    Doubling the width of a normal distribution changes it by .10, a shift by its standard deviation by .23.

    >>> from calwatch.calibrators.distribution_rows import distributions
    >>> one, wide, far = (distributions([values]) for values in ((0.0, 1.0), (0.0, 2.0), (1.0, 1.0)))
    >>> round(mean_change(wide, one, np.ones(1)), 1), round(mean_change(far, one, np.ones(1)), 2)
    (0.1, 0.23)
    """
    moved = np.zeros(len(before))
    for group in groups(before):
        old = quantiles(group)
        for new in groups(after[group.rows]):
            known = old.values[new.rows]
            ranks = np.stack([completed_ranks(new, known[:, k]) for k in range(known.shape[1])], axis=1)
            moved[group.rows[new.rows]] = np.abs(ranks - np.array(old.levels) / WHOLE).mean(axis=1)
    return float(sample_weight @ moved / sample_weight.sum())


def gaps_of(sample: Sample, incumbent: Fitted | None) -> Gaps:
    """Return the observed and expected labels in each twentieth of the probability integral transform of what is served.

    The twentieths take the place of bins of confidence: Σ gap²/variance is Pearson's statistic, and a miscalibration can be dated.
    """
    calibrator = None if incumbent is None else from_document(incumbent.working_part)
    rank = np.empty(len(sample.y))
    for group in groups(served(calibrator, sample.x)):
        rank[group.rows] = drawn_ranks(quantiles(group), sample.y[group.rows])
    at, moment = np.unique(sample.at, return_inverse=True)
    place = np.clip(np.searchsorted(np.arange(PIT_BINS + 1) / PIT_BINS, rank, side="left") - 1, 0, PIT_BINS - 1)
    shape = (len(at), PIT_BINS)
    hits = np.bincount(moment * PIT_BINS + place, weights=sample.weight, minlength=shape[0] * PIT_BINS).reshape(shape)
    return Gaps.of_ranks(at, hits.astype(np.float64))


def lower_bound(gaps: Gaps, alpha: float) -> float | None:
    """Return a lower bound of the quantile calibration error, None with fewer than two moments.

    Signs are taken from every second moment, the bound is over the others.
    """
    signs_from, rest = (gaps.sy[part].sum(axis=0) for part in (slice(0, None, 2), slice(1, None, 2)))
    excess = np.cumsum(signs_from - signs_from.sum() / PIT_BINS)[:-1]
    return signed_lower_bound(rest, np.sign(excess), alpha)
