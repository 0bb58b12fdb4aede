"""Probability vectors of multiclass models: the forms of a family's map, and the arithmetic that families share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Never, TypeVar

from .numeric import Floats, np
from .parameters import SUM_TOLERANCE
from .singles import check_probabilities

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


def check_vector(probabilities: Sequence[float]) -> None:
    """Raise ValueError unless a list is a distribution over two classes or more."""
    if len(probabilities) < 2 or not all(0.0 <= p <= 1.0 for p in probabilities):  # noqa: PLR2004  one class is no choice
        raise ValueError("probabilities must be at least two numbers in [0, 1]")
    if not abs(sum(probabilities) - 1.0) <= SUM_TOLERANCE:
        raise ValueError(f"probabilities sum to {sum(probabilities)}; they must sum to 1 within {SUM_TOLERANCE}")


def check_vectors(p: Floats) -> None:
    """Raise ValueError unless each row of an array of shape (n, K) is a distribution over two classes or more."""
    check_probabilities(p)
    if p.shape[1] < 2 or not (np.abs(p.sum(axis=1) - 1.0) <= SUM_TOLERANCE).all():  # noqa: PLR2004  one class is no choice
        raise ValueError(f"probabilities of at least two classes must sum to 1 within {SUM_TOLERANCE}")


def check_logits(logits: Sequence[float]) -> None:
    """Raise ValueError unless a list holds two finite numbers or more."""
    if len(logits) < 2 or not all(map(math.isfinite, logits)):  # noqa: PLR2004  one class is no choice
        raise ValueError("logits must be at least two finite numbers")


def softmax_of_logits(beta: float) -> ToProbabilities:
    """Return logits of one event → softmax(beta · logits)."""

    def apply(logits: Sequence[float]) -> list[float]:
        check_logits(logits)
        return softmax(logits, beta)

    return apply


def other_classes(length: int, classes: int) -> ValueError:
    """Return the error for a vector of another number of classes than a calibrator has parameters for."""
    return ValueError(f"there are {length} classes; this calibrator was fitted on {classes}")
