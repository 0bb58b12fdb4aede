"""Identity: the calibrator that changes nothing, which every other one has to beat."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from .distribution_rows import distributions, rows_to_fit
from .distributions import Distributions, OfMany, ToDistribution
from .estimator import Estimator
from .family import Family
from .numeric import ArrayLike, Floats, np
from .parameters import Unchecked, exactly
from .singles import Into, Singles, ToProbability, as_probability
from .vectors import OfMatrix, ToProbabilities, Vectors, as_vector, softmax_of_logits, softmax_rows


def _check(parameters: Unchecked, _task: str) -> Unchecked:
    exactly(parameters, set())
    return {}


def _scalar(_parameters: Unchecked) -> ToProbability:
    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            p = as_probability(p)
        return p

    return apply


def _array(_parameters: Unchecked) -> Into:
    def into(p: Floats, out: Floats) -> None:
        out[:] = p

    return into


def _of_vector(_parameters: Unchecked) -> ToProbabilities:
    def apply(probabilities: Sequence[float]) -> list[float]:
        return list(as_vector(probabilities))

    return apply


def _of_matrix(_parameters: Unchecked) -> OfMatrix:
    return np.copy


def _of_distribution(_parameters: Unchecked) -> ToDistribution:
    return lambda raw: raw


def _of_distributions(_parameters: Unchecked) -> OfMany:
    return lambda levels, values: (levels, values.copy())


class Identity(Estimator):
    """Return probabilities and distributions as they are.

    Parameters
    ----------
    task : `binary`, `confidence`, `multiclass` or `regression`
    logits : X holds logits instead of probabilities (multiclass only)

    """

    family = Family(
        method="identity",
        sentence="no change",
        parameters="{}",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        vectors=Vectors(
            scalar=_of_vector,
            scalar_of_logits=lambda _parameters: softmax_of_logits(1.0),
            array=_of_matrix,
            array_of_logits=lambda _parameters: softmax_rows,
        ),
        distributions=Distributions(scalar=_of_distribution, array=_of_distributions),
    )
    learns: ClassVar[bool] = False

    def __init__(self, *, task: str = "binary", logits: bool = False) -> None:
        self.task = task
        self.logits = logits

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Check the rows as every family does; there is nothing to learn."""
        if self.task == "regression":
            rows_to_fit(X, y, sample_weight, None)
        else:
            self._rows(X, y, sample_weight)
        return self

    def predict_proba(self, X: ArrayLike) -> Any:
        """Return X, shape (n,) or (n, K), or the softmax of logits; of a regression its distributions, shape (n,)."""
        return distributions(X) if self.task == "regression" else super().predict_proba(X)

    def _parameters(self) -> Unchecked:
        return {}

    def _restore(self, parameters: Unchecked) -> None:
        """Do nothing: there is nothing to learn."""
