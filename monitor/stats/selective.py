"""Selective prediction: the risk of a model that answers only at its highest confidences.

`augrc` is no figure of the monitor: it is here to be held against other packages and the literature.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from scipy.special import digamma

from .alike import known, placed, ratio, stacked
from .cells import CELLS, Cells, Floats, Integers, place
from .scores import folded

POINTS: Final = 20
MERGED: Final = ("n", "sy", "sp", "spp", "spy")
NARROW: Final = 1e-6
"""Spreads of confidences below this are rounding."""

SAME: Final = 12
"""Decimals to which tied confidences agree, such as 1 - .9 and .1."""


class RiskPoint(NamedTuple):
    """The risk of the answers of highest confidence, and their share of all answers."""

    coverage: float
    risk: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Answers in groups of tied confidence, highest first, window after window."""

    total: Floats  # answers of each window, shape (windows,)
    window: Integers  # of each group, shape (groups,), as all that follow
    n: Floats  # answers
    wrong: Floats  # wrong ones among them
    before: Floats  # answers of higher confidence
    wrong_before: Floats  # wrong ones among those
    late: Floats  # total shift of wrong answers from an even spread, from the covariance within a cell


def ranking(cells: Cells, *, binary: bool) -> Ranking:
    """Return a model's answers by confidence, events of one cell tied; a binary model's are folded about .5.

    Parameters
    ----------
    cells : sums over the fixed cells, or from `distinct` for a model with confidences of its answers
    binary : whether p is the probability of class 1, not of the answer

    Examples
    --------
    >>> ranking(Cells.from_rows([0.9, 0.6, 0.9], [1, 0, 0]), binary=False).n.tolist()
    [2.0, 1.0]

    """
    return rankings(stacked([cells]), binary=binary)


def rankings(cells: Cells, *, binary: bool) -> Ranking:
    """Return the `ranking` of many windows as one."""
    answers = _merged(folded(cells)) if binary else cells
    full = np.nonzero(answers.n)
    n, sy, sp = (getattr(answers, name)[full] for name in ("n", "sy", "sp"))
    confidence = np.round(sp / n, SAME)
    order = np.lexsort((-confidence, full[0]))
    window, confidence = full[0][order], confidence[order]
    first = np.flatnonzero((np.diff(confidence, prepend=np.inf) != 0) | (np.diff(window, prepend=-1) != 0))
    n, wrong, late = (
        np.add.reduceat(column[order], first) if len(first) else column for column in (n, n - sy, _late(answers, full))
    )
    total, window = answers.n.sum(axis=-1), window[first]
    before, wrong_before = (np.cumsum(count) - count for count in (n, wrong))
    start = np.searchsorted(window, window)
    return Ranking(
        total=total,
        window=window,
        n=n,
        wrong=wrong,
        before=before - before[start],
        wrong_before=wrong_before - wrong_before[start],
        late=late,
    )


def _merged(answers: Cells) -> Cells:
    """Return folded sums in which cells of equal confidence are merged."""
    at = place(answers.sp / np.maximum(answers.n, 1))
    return replace(answers, **{name: placed(at, getattr(answers, name), CELLS) for name in MERGED})


def _late(answers: Cells, full: tuple[Integers, ...]) -> Floats:
    """Return n²·cov(p, y)/(√12·sd(p)) per cell: n times the covariance of rank and outcome for evenly spread confidences."""
    n, sy, sp, spp, spy = (getattr(answers, name)[full] for name in MERGED)
    spread = np.sqrt(np.maximum(spp / n - (sp / n) ** 2, 0.0))
    together = spy - sp * sy / n
    late: Floats = np.where(spread > NARROW, n * together / (math.sqrt(12) * np.maximum(spread, NARROW)), 0.0)
    return late


def aurc(ranked: Ranking) -> float | None:
    """Return the area under the risk-coverage curve, (1/N)·Σᵢ errors(top i)/i, the mean over all orders of ties; None without events.

    For a group of n tied answers of which the share r is wrong, with i answers and e errors before it, the terms add up to
    r·n + (e - r·i)·(H(i + n) - H(i)), where H are harmonic numbers. Events of a cell count as tied except for the trend given by Σpy and
    Σp²; over the fixed cells the figure agrees with that of the rows within 1e-5 (measured: 2e-6).
    Geifman, Uziel & El-Yaniv 2019 (doi:10.48550/arXiv.1805.08206).

    Examples
    --------
    >>> round(aurc(ranking(Cells.from_rows([0.9, 0.8, 0.7], [1, 0, 1]), binary=False)), 9) == round((0 + 1 / 2 + 1 / 3) / 3, 9)
    True

    """
    return known(aurcs(ranked))


def aurcs(ranked: Ranking) -> Floats:
    """Return the `aurc` of each window."""
    rate = ranked.wrong / ranked.n
    harmonic = digamma(ranked.before + ranked.n + 1) - digamma(ranked.before + 1)
    even = ranked.wrong + (ranked.wrong_before - rate * ranked.before) * harmonic
    terms = even - ranked.late / (ranked.before + (ranked.n + 1) / 2)
    return ratio(np.bincount(ranked.window, terms, len(ranked.total)).astype(np.float64), ranked.total)


def augrc(ranked: Ranking) -> float | None:
    """Return the area under the generalised risk-coverage curve, (1/N²)·Σᵢ errors(top i), the mean over all orders of ties.

    This is half the probability that of two answers a wrong one is accepted first. Traub et al. 2024 (doi:10.48550/arXiv.2407.01032).

    Examples
    --------
    >>> round(augrc(ranking(Cells.from_rows([0.9, 0.8, 0.7], [1, 0, 1]), binary=False)), 9) == round((0 + 1 + 1) / 9, 9)
    True

    """
    total = ranked.n.sum()
    if total <= 0:
        return None
    return float((ranked.wrong_before * ranked.n + ranked.wrong * (ranked.n + 1) / 2 - ranked.late).sum() / total**2)


def risk_coverage(ranked: Ranking, points: int = POINTS) -> list[RiskPoint]:
    """Return the risk-coverage curve at evenly spaced coverages up to 1: the share of wrong answers among the most confident.

    Errors are spread evenly within ties. There are at most as many points as answers.

    Examples
    --------
    >>> risk_coverage(ranking(Cells.from_rows([0.9, 0.8], [1, 0]), binary=False))
    [RiskPoint(coverage=0.5, risk=0.0), RiskPoint(coverage=1.0, risk=0.5)]

    """
    return risk_coverages(ranked, points)[0]


def risk_coverages(ranked: Ranking, points: int = POINTS) -> list[list[RiskPoint]]:
    """Return the `risk_coverage` of each window."""
    counts = np.minimum(points, ranked.total).astype(np.int64)
    ends = np.cumsum(counts)
    window = np.repeat(np.arange(len(counts)), counts)
    coverage = (np.arange(len(window)) - (ends - counts)[window] + 1) / counts[window]
    accepted = ranked.total[window] * coverage
    earlier, wrong = np.cumsum(ranked.total) - ranked.total, np.cumsum(ranked.wrong)
    reached = np.concatenate([[0.0], np.cumsum(ranked.n)])  # over all windows in turn
    errors = np.interp(earlier[window] + accepted, reached, np.concatenate([[0.0], wrong]))
    before = np.interp(earlier, reached, np.concatenate([[0.0], wrong]))
    risk = (errors - before[window]) / accepted
    curves = list(map(RiskPoint._make, zip(coverage.tolist(), risk.tolist(), strict=True)))
    return [curves[first:last] for first, last in pairwise([0, *ends.tolist()])]
