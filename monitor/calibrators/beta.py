"""Beta calibration: Platt's line with a slope of its own on each side of one half."""

import math
from typing import Self, TypedDict

from .errors import BadDocument
from .estimator import Estimator
from .family import Family
from .logistic import fit_rising
from .numeric import ArrayLike, Floats, np
from .parameters import HIGHEST, LOWEST, STEEPEST, Unchecked, exactly, number
from .singles import Into, Singles, ToProbability, as_probability, sigmoid_in_place


class _Parameters(TypedDict):
    a: float
    b: float
    c: float


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"a", "b", "c"})
    a, b = (number(parameters, name, 0.0, STEEPEST) for name in "ab")
    if a == b == 0.0:
        raise BadDocument("parameters.a", a, "a and b must not both be 0, or every score becomes the same")
    return {"a": a, "b": b, "c": number(parameters, "c", -STEEPEST, STEEPEST)}


def _scalar(parameters: _Parameters) -> ToProbability:
    a, b, c = parameters["a"], parameters["b"], parameters["c"]
    log, exp, low, high = math.log, math.exp, LOWEST, HIGHEST

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            p = as_probability(p)
        clipped = low if p < low else high if p > high else p  # noqa: FURB136  min() is four times slower
        z = a * log(clipped) - b * log(1.0 - clipped) + c
        if z >= 0.0:
            return 1.0 / (1.0 + exp(-z))
        grown = exp(z)
        return grown / (1.0 + grown)

    return apply


def _array(parameters: _Parameters) -> Into:
    a, b, c = parameters["a"], parameters["b"], parameters["c"]

    def into(p: Floats, out: Floats) -> None:
        np.clip(p, LOWEST, HIGHEST, out=out)
        rest = np.subtract(1.0, out)
        np.log(rest, out=rest)
        np.log(out, out=out)
        out *= a
        rest *= b
        out -= rest
        out += c
        sigmoid_in_place(out)

    return into


class Beta(Estimator):
    """Bend the logit: sigmoid(a · log p - b · log(1 - p) + c) with a, b ≥ 0.

    p is clipped to [1e-6, 1 - 1e-6]. a = b is Platt's line; a = b = 1, c = 0 changes nothing. The parameters minimise the log loss against
    Platt's smoothed targets, (N₊ + 1)/(N₊ + 2) for y = 1 and 1/(N₋ + 2) for y = 0, so that they exist even where the scores separate the
    outcomes; where the best a or b would be negative it is 0, and the map never decreases.

    Parameters
    ----------
    task : `binary` or `confidence`

    Attributes
    ----------
    a_, b_, c_ : the fitted parameters

    References
    ----------
    Kull, Silva Filho, Flach 2017, doi:10.1214/17-EJS1338SI

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=50_000)
    >>> y = rng.uniform(size=50_000) < 1 / (1 + np.exp(-(0.5 * np.log(p) - 2.0 * np.log(1 - p) - 0.3)))
    >>> fitted = Beta().fit(p, y)
    >>> abs(fitted.a_ - 0.5) < 0.05, abs(fitted.b_ - 2.0) < 0.1, abs(fitted.c_ + 0.3) < 0.1
    (True, True, True)

    """

    family = Family(
        method="beta",
        sentence="a·log p − b·log(1 − p) + c, with a and b ≥ 0",  # noqa: RUF001  a minus, for readers
        parameters="{a, b, c}",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        tried_from=1_000,
        curve=True,
    )

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a, b and c.

        Parameters
        ----------
        X : array of shape (n,), probabilities
        y : array of shape (n,), outcomes 0 or 1
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows.
        NotIdentified
            for outcomes or scores that are all the same, higher scores that are not more often right, or parameters that run away.

        """
        p, outcome, weight = self._rows(X, y, sample_weight)
        clipped = np.clip(p, LOWEST, HIGHEST)
        features = np.column_stack([np.log(clipped), -np.log(1.0 - clipped)])
        self.a_, self.b_, self.c_ = fit_rising(features, outcome, weight)
        return self

    def _parameters(self) -> _Parameters:
        return {"a": float(self.a_), "b": float(self.b_), "c": float(self.c_)}

    def _restore(self, parameters: _Parameters) -> None:
        self.a_, self.b_, self.c_ = parameters["a"], parameters["b"], parameters["c"]
