"""How far scores moved on average, relative to their size: rounding moves every score by next to nothing, and may cross an edge of cells.

PSI and the like count cells alone, in which a constant score of .5 and one of .50000001 have nothing in common.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from .cells import Floats
from .regression import LOCATION_VALUES
from .values import SCORE_VALUES

LEAST_OF_CONFIDENCES: Final = 0.01
LEAST_OF_LOCATIONS: Final = 1 / 60
LEAST_OF_SCORES: Final = 1 / 15
"""Of values that are only counted by their place, the least move that counts is more than one place: one may be rounding."""

TINIEST_CONFIDENCE: Final = 1e-5
TINIEST_VALUE: Final = 4e-6
"""Sizes at which relative moves turn into absolute ones, so that 0 has a neighbourhood."""

_ELSEWHERE: Final = 1000.0
"""Distance of scores from confidences in one table: to send the one instead of the other is a move."""


@dataclass(frozen=True, slots=True)
class Move:
    """Mean relative distance that scores moved, and the least one that is a move and no rounding."""

    distance: float
    least: float

    @property
    def counts(self) -> bool:
        """Whether it is more than rounding."""
        return self.distance > self.least


def of_confidences(counts: tuple[ArrayLike, ArrayLike], sums: tuple[ArrayLike, ArrayLike]) -> Move | None:
    """Return how far confidences moved, relative to themselves or, above .5, to their distance from 1.

    This is the Wasserstein-1 distance of log[(p + ε)/(1 - p + ε)] with ε = 1e-5, each cell's events at the mean of their sample. Up to a
    hundredth is rounding: bfloat16, three decimals of .8, or 1e-7 beside 0 and 1.

    Parameters
    ----------
    counts : events per cell of both samples, of shape (CELLS,)
    sums : sums of their confidences

    Returns
    -------
    the move, None if either sample is empty

    Examples
    --------
    >>> rounded = of_confidences(([0, 9, 0], [0, 0, 9]), ([0, 4.5, 0], [0, 0, 9 * 0.50000001]))
    >>> rounded.distance < 1e-7, rounded.counts
    (True, False)

    """
    at = [
        _log_odds(np.asarray(n, dtype=np.float64), np.asarray(total, dtype=np.float64))
        for n, total in zip(counts, sums, strict=True)
    ]
    return _moved(counts, (at[0], at[1]), LEAST_OF_CONFIDENCES)


def of_scores(
    counts: tuple[ArrayLike, ArrayLike],
    confidences: tuple[tuple[ArrayLike, ArrayLike], tuple[ArrayLike, ArrayLike]],
) -> Move | None:
    """Return how far scores that are no probabilities moved, relative to their size, with confidences beside them.

    Parameters
    ----------
    counts : scores per place of both samples, of shape (2049,)
    confidences : counts and sums of both samples as in `of_confidences`

    """
    there = _ELSEWHERE + _relative(SCORE_VALUES)
    tables = [
        np.append(np.asarray(n, dtype=np.float64), scores) for n, scores in zip(confidences[0], counts, strict=True)
    ]
    at = [
        np.append(_log_odds(np.asarray(n, dtype=np.float64), np.asarray(total, dtype=np.float64)), there)
        for n, total in zip(*confidences, strict=True)
    ]
    return _moved((tables[0], tables[1]), (at[0], at[1]), LEAST_OF_SCORES)


def of_locations(counts: tuple[ArrayLike, ArrayLike]) -> Move | None:
    """Return how far the locations of predictive distributions moved, relative to their size.

    Parameters
    ----------
    counts : predictions per cell of location of both samples, of shape (8193,)

    """
    at = _relative(LOCATION_VALUES)
    return _moved(counts, (at, at), LEAST_OF_LOCATIONS)


def _log_odds(counts: Floats, sums: Floats) -> Floats:
    p = np.clip(np.divide(sums, counts, out=np.zeros(len(counts)), where=counts > 0), 0.0, 1.0)
    return np.asarray(np.log((p + TINIEST_CONFIDENCE) / (1.0 - p + TINIEST_CONFIDENCE)))


def _relative(values: Floats) -> Floats:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values) / TINIEST_VALUE))


def _moved(counts: tuple[ArrayLike, ArrayLike], at: tuple[Floats, Floats], least: float) -> Move | None:
    """Return the Wasserstein-1 distance of two samples with so many events at these places."""
    before, now = (np.asarray(table, dtype=np.float64) for table in counts)
    if not (before.any() and now.any()):
        return None
    places = np.concatenate([at[0][before > 0], at[1][now > 0]])
    shares = np.concatenate([before[before > 0] / before.sum(), -now[now > 0] / now.sum()])
    order = np.argsort(places, kind="stable")
    apart = np.abs(np.cumsum(shares[order])[:-1])
    return Move(float(apart @ np.diff(places[order])), least)
