"""The line by which scores that are no probabilities are read as log odds, fitted so that a few wild scores do not bend it."""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit, xlog1py, xlogy

from ..calibrators.errors import NotIdentified
from ..calibrators.logistic import Line, fit_line
from ..stats.cells import Floats
from ..stats.values import SCORE_VALUES

REACH: Final = 5.0
"""Scores farther beyond a quartile than this many times its distance from the median make no line, and are read as if they lay there."""

EXPLAINS: Final = 6.635
"""Least deviance that a line explains: of scores that tell nothing, 1 % do (χ² with one degree of freedom)."""


class ScoreLine(NamedTuple):
    """P(right) = sigmoid(slope · score + intercept), a score below `low` or above `high` counting as that."""

    slope: float
    intercept: float
    low: float
    high: float


def score_line(table: Floats) -> ScoreLine:
    """Return the line of the scores in a table, each score at the middle of its place, and the bounds within which it is read.

    It is fitted on the scores within 5 times the distance of median and quartile beyond the quartile on either side: one that stands for
    "unknown" (-9999 in a mean of log-probabilities) would flatten the line of all others. To leave out rows by their score biases no
    line, and of a normal distribution it is one row in 20,000 on a side.

    Parameters
    ----------
    table : array of shape (2049, 5), a row per place of scores; n and Σy are its first columns

    Raises
    ------
    NotIdentified
        when the scores are all the same, or do not tell right answers from wrong ones.

    Examples
    --------
    >>> table = np.zeros((2049, 5))
    >>> table[[900, 1100], 0], table[[900, 1100], 1] = (100, 100), (20, 80)
    >>> score_line(table).slope > 0
    True

    """
    used = np.flatnonzero(table[:, 0] > 0)
    low, high = _bounds(SCORE_VALUES[used], table[used, 0])
    used = used[(low <= SCORE_VALUES[used]) & (SCORE_VALUES[used] <= high)]
    scores, n, sy = SCORE_VALUES[used], table[used, 0], table[used, 1]
    line = _fitted(scores, n, sy)
    if _deviance(expit(line.slope * scores + line.intercept), n, sy) < EXPLAINS:
        raise NotIdentified("the scores do not tell right answers from wrong ones")
    return ScoreLine(*line, low, high)


def _bounds(scores: Floats, n: Floats) -> tuple[float, float]:
    """Return the lowest and the highest score that is read as it is; where half of all are the same, all are."""
    cumulated = np.cumsum(n) / n.sum()
    lower, middle, upper = scores[np.searchsorted(cumulated, [0.25, 0.5, 0.75])]
    below, above = middle - lower, upper - middle
    below, above = below or above, above or below
    if below == 0.0:
        return float(SCORE_VALUES[0]), float(SCORE_VALUES[-1])
    return float(lower - REACH * below), float(upper + REACH * above)


def _fitted(scores: Floats, n: Floats, sy: Floats) -> Line:
    weight = np.concatenate([sy, n - sy])
    used = weight > 0
    return fit_line(np.tile(scores, 2)[used], np.repeat([1.0, 0.0], len(n))[used], weight[used])


def _deviance(p: Floats, n: Floats, sy: Floats) -> float:
    """Return how much more likely the outcomes are with these probabilities than with their mean alone, as twice the log of the ratio."""
    mean = sy.sum() / n.sum()
    return float(2.0 * (_log_likelihood(p, n, sy) - _log_likelihood(np.full_like(p, mean), n, sy)))


def _log_likelihood(p: Floats, n: Floats, sy: Floats) -> float:
    return float((xlogy(sy, p) + xlog1py(n - sy, -p)).sum())
