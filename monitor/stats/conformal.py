"""Conformal prediction: sets of answers that contain the right one with a promised probability, for any model."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .cells import Floats

RATE: Final = 0.005
"""Step of the level of adaptive sets per event."""

WARM_UP: Final = 100
"""Labelled events before adaptive sets are judged."""

EVERYTHING: Final = 1.0
"""The threshold at which all answers are in the set."""

NOTHING: Final = -1.0


def rank(n: float, coverage: float) -> int:
    """Return the rank of the threshold among n ascending scores, ⌈(n + 1)(1 - alpha)⌉; above n there is none.

    >>> rank(99, 0.9), rank(8, 0.9)
    (90, 9)
    """
    return math.ceil(round((n + 1) * coverage, 9))


def conformal_threshold(scores: ArrayLike, weights: ArrayLike, coverage: float) -> float:
    """Return the largest score of answers in the set: the ⌈(n + 1)(1 - alpha)⌉-th smallest, or 1 if n is too small.

    The score of an answer is 1 - its probability. If scores of old and new events are exchangeable, the set contains the right
    answer with a probability from 1 - alpha to 1 - alpha + 1/(n + 1), plus the share of old scores that tie at the threshold.
    Vovk, Gammerman & Shafer 2005 (doi:10.1007/b106715); Angelopoulos & Bates 2023 (doi:10.1561/2200000101).

    Parameters
    ----------
    scores : array of shape (m,), in [0, 1], of the right answers; for events in cells the upper end
    weights : array of shape (m,), number of events with each score
    coverage : 1 - alpha

    Examples
    --------
    >>> conformal_threshold([0.1, 0.4, 0.2], [5, 1, 3], 0.8), conformal_threshold([0.1], [3], 0.9)
    (0.2, 1.0)

    """
    values, counts = np.asarray(scores, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    order = np.argsort(values)
    reached = np.cumsum(counts[order])
    total = float(reached[-1]) if len(reached) else 0.0
    wanted = rank(total, coverage)
    if wanted > total:
        return EVERYTHING
    return float(values[order][np.searchsorted(reached, wanted)])


def binary_scores(lower: ArrayLike, upper: ArrayLike, n: ArrayLike, sy: ArrayLike) -> tuple[Floats, Floats]:
    """Return the scores of a binary model's right answers, at the upper ends of cells, and their numbers of events.

    An event with y = 1 has the score 1 - p, one with y = 0 the score p.

    Parameters
    ----------
    lower, upper : arrays of shape (cells,), ends of the probabilities of class 1 in each cell
    n, sy : arrays of shape (cells,), labelled events and those with y = 1

    Returns
    -------
    scores, weights : arrays of shape (2·cells,), those of y = 1 first

    Examples
    --------
    >>> scores, weights = binary_scores([0.75], [0.8], [10.0], [7.0])
    >>> scores.tolist(), weights.tolist()
    ([0.25, 0.8], [7.0, 3.0])

    """
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    ones = np.asarray(sy, dtype=np.float64)
    scores = np.concatenate([1.0 - np.minimum(low, high), np.maximum(low, high)])
    return scores, np.concatenate([ones, np.asarray(n, dtype=np.float64) - ones])


def vector_scores(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Return 1 - the probability of each event's right answer; shape (n,).

    >>> vector_scores([[0.75, 0.25], [0.5, 0.5]], [1, 0]).tolist()
    [0.75, 0.5]
    """
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(1.0 - p[np.arange(len(p)), np.asarray(labels, dtype=np.int64)])


def prediction_sets(probabilities: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Return the prediction set of each event: the answers whose score, 1 - their probability, is at most the threshold.

    Parameters
    ----------
    probabilities : array of shape (n, K), or (n,) for class 1 of a binary model

    Returns
    -------
    array of shape (n, K), for a binary model (n, 2) with class 0 first

    Examples
    --------
    >>> prediction_sets([0.95, 0.5], 0.25).tolist(), prediction_sets([[0.5, 0.5, 0.0]], 0.5).tolist()
    ([[False, True], [False, False]], [[True, True, False]])

    """
    p = np.asarray(probabilities, dtype=np.float64)
    scores = np.stack([p, 1.0 - p], axis=1) if p.ndim == 1 else 1.0 - p
    return np.asarray(scores <= threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """The state of adaptive sets."""

    alpha: float  # present level; at 0 or less sets hold all answers, at 1 or more none
    threshold: float
    labelled: int  # judged events
    covered: float  # judged events whose set held the right answer

    @property
    def coverage(self) -> float | None:
        """The share of sets that held the right answer; None before any event was judged."""
        return self.covered / self.labelled if self.labelled else None


def adapted(
    moments: ArrayLike, scores: ArrayLike, weights: ArrayLike, *, coverage: float, rate: float = RATE
) -> Adapted:
    """Return the level at which sets keep their promised coverage although scores drift.

    Adaptive conformal inference (Gibbs & Candès 2021, doi:10.48550/arXiv.2106.00170): alpha ← alpha + rate·(target - err), event by
    event, with a threshold from all earlier events. The n events of one moment are judged by one threshold, and their mean error moves
    the level once, by 1 - (1 - rate)ⁿ instead of the rate: the sum of n steps if errors fall as alpha rises, never more than 1,
    and the rate itself for n = 1. The mean of the errors, so weighted, tends to the target for any scores.

    Parameters
    ----------
    moments : array of shape (m,), times; events of equal times are judged together
    scores : array of shape (m,), of right answers, in [0, 1]
    weights : array of shape (m,), number of events with each score
    coverage : 1 - target
    rate : step per event

    Examples
    --------
    >>> times = np.arange(4000)
    >>> drifting = np.where(times < 2000, 0.1, 0.3) + times % 10 / 100
    >>> found = adapted(times, drifting, np.ones(4000), coverage=0.9)
    >>> abs(found.coverage - 0.9) < 0.01
    True

    """
    values, place = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    _, when = np.unique(np.asarray(moments), return_inverse=True)
    keys, row = np.unique(when * max(len(values), 1) + place, return_inverse=True)
    counts = np.bincount(row, weights=np.asarray(weights, dtype=np.float64), minlength=len(keys))
    moment, score = np.divmod(keys, max(len(values), 1))
    ends = np.searchsorted(moment, np.arange(moment[-1] + 1 if len(moment) else 0), side="right").tolist()
    held, total = np.zeros(len(values)), 0.0
    alpha, labelled, covered = 1.0 - coverage, 0.0, 0.0
    for first, end in pairwise([0, *ends]):
        some, n = counts[first:end], float(counts[first:end].sum())
        if total >= WARM_UP and n > 0:
            threshold = _quantile(values, held, total, alpha)
            inside = float(some[values[score[first:end]] <= threshold].sum())
            alpha += (1.0 - (1.0 - rate) ** n) * ((1.0 - coverage) - (1.0 - inside / n))
            labelled, covered = labelled + n, covered + inside
        held[score[first:end]] += some
        total += n
    threshold = _quantile(values, held, total, alpha)
    return Adapted(alpha=alpha, threshold=threshold, labelled=round(labelled), covered=covered)


def _quantile(values: Floats, held: Floats, total: float, alpha: float) -> float:
    """Return the threshold of a level from distinct ascending scores and their counts."""
    wanted = rank(total, 1.0 - alpha)
    if wanted > total:
        return EVERYTHING
    return NOTHING if wanted <= 0 else float(values[np.searchsorted(np.cumsum(held), wanted)])
