"""Probability vectors of multiclass models: the forms of a family's map, and the arithmetic that families share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Never, TypeVar

from ..domain import rounding
from .numeric import Floats, np
from .singles import Failed, OfArray, clipped, in_range, refuse

CHUNK: Final = 1 << 16
"""Numbers that are calibrated at a time."""

ToProbabilities = Callable[[Sequence[float]], list[float]]
OfMatrix = Callable[[Floats], Floats]
"""Calibrates an array of shape (n, K)."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors(Generic[P]):
    """What a family makes of its parameters: functions of probability vectors, and of the logits of all classes.

    Those of one vector raise ValueError for fewer than two entries, entries that are no probabilities (or not finite, of logits), a sum
    off 1 by more than 1e-3, or another number of classes than the parameters have. Those of arrays take checked rows.
    """

    scalar: Callable[[P], ToProbabilities]
    scalar_of_logits: Callable[[P], ToProbabilities]
    array: Callable[[P], OfMatrix]
    array_of_logits: Callable[[P], OfMatrix]  # of logits less the highest of their row


def _refuse(_parameters: object) -> Never:
    raise ValueError("this family does not calibrate probability vectors")


NO_VECTORS: Final[Vectors[Any]] = Vectors(
    scalar=_refuse, scalar_of_logits=_refuse, array=_refuse, array_of_logits=_refuse
)


def softmax(scores: Sequence[float], beta: float) -> list[float]:
    """Return the softmax of scores multiplied by beta."""
    highest = max(scores)
    grown = [math.exp((score - highest) * beta) for score in scores]
    total = sum(grown)
    return [one / total for one in grown]


def softmax_rows(scores: Floats) -> Floats:
    """Return the softmax of each row; shape (n, K)."""
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def as_vector(probabilities: Sequence[float]) -> Sequence[float]:
    """Return the distribution that a list means: as it is, or clamped and brought to the sum 1 where rounding put it out of place.

    Raises
    ------
    ValueError
        for a list that is no distribution over two classes or more.

    Examples
    --------
    >>> as_vector([1.0000001, 0.0]), as_vector([0.51, 0.51])
    ([1.0, 0.0], [0.5, 0.5])

    """
    if len(probabilities) > 1 and rounding.needs_nothing(probabilities):
        return probabilities
    if len(probabilities) < 2 or not all(rounding.LOWEST <= p <= rounding.HIGHEST for p in probabilities):  # noqa: PLR2004  one class is no choice
        raise ValueError("probabilities must be at least two numbers in [0, 1]")
    if rounding.off_by(probabilities) > rounding.COARSE + rounding.SUMMED:
        raise ValueError(
            f"probabilities sum to {sum(probabilities)}; they must sum to 1 within {rounding.SUM_TOLERANCE}"
        )
    return rounding.as_distribution(probabilities)


def rows_in_pieces(calibrate: OfMatrix) -> OfArray:
    """Return the function of arrays of shape (n, K) that calibrates piece by piece.

    It raises ValueError for rows that are no distributions; given `failed`, it reports the error there, and such rows stay as they are.
    """

    def apply(p: Floats, failed: Failed | None = None) -> Floats:
        if p.shape[1] < 2:  # noqa: PLR2004  one class is no choice
            raise ValueError(f"probabilities of at least two classes must sum to 1 within {rounding.SUM_TOLERANCE}")
        served, step = np.empty(p.shape), max(1, CHUNK // p.shape[1])
        for start in range(0, len(p), step):
            rows = p[start : start + step]
            are_good = in_range(rows) and bool((np.abs(rows.sum(axis=1) - 1.0) <= rounding.SUM_TOLERANCE).all())
            served[start : start + step] = calibrate(rows) if are_good else _calibrated_some(calibrate, rows, failed)
        return served

    return apply


def _calibrated_some(calibrate: OfMatrix, rows: Floats, failed: Failed | None) -> Floats:
    within, is_none = as_vectors(rows)
    if is_none.any():
        refuse(
            ValueError(f"probabilities must be in [0, 1], and must sum to 1 within {rounding.SUM_TOLERANCE}"), failed
        )
        within[is_none] = 1.0 / rows.shape[1]
    served = calibrate(within)
    served[is_none] = rows[is_none]
    return served


def as_vectors(rows: Floats) -> tuple[Floats, Any]:
    """Return the distributions that rows mean, as `as_vector` does, and which rows are none, shape (n,)."""
    within, beyond = clipped(rows)
    total = within.sum(axis=1)
    off = np.abs(total - 1.0)
    is_none = beyond.any(axis=1) | ~(off <= rounding.COARSE + rounding.SUMMED)
    coarse = ~is_none & (off > rounding.SUM_TOLERANCE + rounding.SUMMED)
    within[coarse] /= total[coarse, None]
    return within, is_none


def check_logits(logits: Sequence[float]) -> None:
    """Raise ValueError unless a list holds two logits or more, one of them finite; that of a masked class is -inf."""
    if len(logits) < 2 or not all(logit < math.inf for logit in logits) or max(logits) == -math.inf:  # noqa: PLR2004  one class is no choice
        raise ValueError("logits must be at least two numbers, finite or -inf, and not all -inf")


def softmax_of_logits(beta: float) -> ToProbabilities:
    """Return logits of one event → softmax(beta · logits)."""

    def apply(logits: Sequence[float]) -> list[float]:
        check_logits(logits)
        return softmax(logits, beta)

    return apply


def other_classes(length: int, classes: int) -> ValueError:
    """Return the error for a vector of another number of classes than a calibrator has parameters for."""
    return ValueError(f"there are {length} classes; this calibrator was fitted on {classes}")
