"""Selective prediction: the risk of a model that answers only where its confidence is highest."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import digamma

from monitor.stats.cells import Cells, Floats
from monitor.stats.scores import folded

POINTS: Final = 20
SAME: Final = 12
"""Confidences that agree to so many decimals are tied: 1 - .9 and .1 are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPoint:
    """The risk of the answers of highest confidence, and how many of all they are; both ratios."""

    coverage: float
    risk: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Answers in groups of tied confidence, the highest first; every array has shape (groups,)."""

    n: Floats  # answers
    wrong: Floats  # wrong ones among them
    before: Floats  # answers of higher confidence
    wrong_before: Floats  # wrong ones among those


def ranking(cells: Cells, *, binary: bool) -> Ranking:
    """Return a model's answers by confidence, events of one cell tied; a binary model's are folded about .5.

    Parameters
    ----------
    cells : sums over the fixed cells, or those of `distinct` for a model whose confidences are of its answers
    binary : whether p is the probability of class 1, not of the answer

    Examples
    --------
    >>> ranking(Cells.from_rows([0.9, 0.6, 0.9], [1, 0, 0]), binary=False).n.tolist()
    [2.0, 1.0]

    """
    answers = folded(cells) if binary else cells
    full = np.flatnonzero(answers.n)
    confidence = np.round(answers.sp[full] / answers.n[full], SAME)
    order = np.argsort(-confidence)
    if not len(order):
        return Ranking(n=np.zeros(0), wrong=np.zeros(0), before=np.zeros(0), wrong_before=np.zeros(0))
    first = np.flatnonzero(np.diff(confidence[order], prepend=np.inf))
    n = np.add.reduceat(answers.n[full][order], first)
    wrong = n - np.add.reduceat(answers.sy[full][order], first)
    return Ranking(n=n, wrong=wrong, before=np.cumsum(n) - n, wrong_before=np.cumsum(wrong) - wrong)


def aurc(ranked: Ranking) -> float | None:
    """Return the area under the risk-coverage curve, (1/N)·Σᵢ errors(top i)/i, the mean over all orders of ties; None without events.

    Over a group of n tied answers of which the share r is wrong, with i answers and e errors before it, the terms add up to
    r·n + (e - r·i)·(H(i + n) - H(i)), where H are harmonic numbers. Over the fixed cells, whose events count as tied, it agrees with that
    of the rows within 1e-5 (measured at 20,000 rows). Geifman, Uziel & El-Yaniv 2019 (doi:10.48550/arXiv.1805.08206).

    Examples
    --------
    >>> round(aurc(ranking(Cells.from_rows([0.9, 0.8, 0.7], [1, 0, 1]), binary=False)), 9) == round((0 + 1 / 2 + 1 / 3) / 3, 9)
    True

    """
    total = ranked.n.sum()
    if total <= 0:
        return None
    rate = ranked.wrong / ranked.n
    harmonic = digamma(ranked.before + ranked.n + 1) - digamma(ranked.before + 1)
    return float((ranked.wrong + (ranked.wrong_before - rate * ranked.before) * harmonic).sum() / total)


def augrc(ranked: Ranking) -> float | None:
    """Return the area under the generalised risk-coverage curve, (1/N²)·Σᵢ errors(top i), the mean over all orders of ties.

    Half the chance that of two answers the one wrong is accepted first. Traub et al. 2024 (doi:10.48550/arXiv.2407.01032).

    Examples
    --------
    >>> round(augrc(ranking(Cells.from_rows([0.9, 0.8, 0.7], [1, 0, 1]), binary=False)), 9) == round((0 + 1 + 1) / 9, 9)
    True

    """
    total = ranked.n.sum()
    if total <= 0:
        return None
    return float((ranked.wrong_before * ranked.n + ranked.wrong * (ranked.n + 1) / 2).sum() / total**2)


def risk_coverage(ranked: Ranking, points: int = POINTS) -> list[RiskPoint]:
    """Return the risk-coverage curve at evenly spaced coverages up to 1: the share of wrong answers among the most confident.

    Within ties errors are spread evenly. No more points than answers, none without any.

    Examples
    --------
    >>> risk_coverage(ranking(Cells.from_rows([0.9, 0.8], [1, 0]), binary=False))
    [RiskPoint(coverage=0.5, risk=0.0), RiskPoint(coverage=1.0, risk=0.5)]

    """
    total = ranked.n.sum()
    count = min(points, int(total))
    accepted = total * np.arange(1, count + 1) / max(count, 1)
    reached = np.concatenate([[0.0], ranked.before + ranked.n])
    errors = np.interp(accepted, reached, np.concatenate([[0.0], ranked.wrong_before + ranked.wrong]))
    return [
        RiskPoint(coverage=coverage, risk=risk)
        for coverage, risk in zip((accepted / max(total, 1)).tolist(), (errors / accepted).tolist(), strict=True)
    ]
