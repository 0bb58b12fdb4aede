"""Platt scaling: a slope and an intercept on the logit."""

from typing import Self, TypedDict

from .errors import BadDocument, NotIdentified
from .estimator import Estimator
from .family import Family
from .logistic import fit_rising_line
from .numeric import ArrayLike
from .parameters import STEEPEST, Unchecked, exactly, number
from .rows import logit
from .singles import Into, Singles, ToProbability, line, line_into


class _Parameters(TypedDict):
    slope: float
    intercept: float


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"slope", "intercept"})
    slope = number(parameters, "slope", 0.0, STEEPEST)
    if slope == 0.0:
        raise BadDocument("parameters.slope", slope, "it must be positive, or every score becomes the same")
    return {"slope": slope, "intercept": number(parameters, "intercept", -STEEPEST, STEEPEST)}


def _scalar(parameters: _Parameters) -> ToProbability:
    return line(parameters["slope"], parameters["intercept"])


def _array(parameters: _Parameters) -> Into:
    return line_into(parameters["slope"], parameters["intercept"])


class Platt(Estimator):
    """Move and stretch the logit: sigmoid(slope · logit(p) + intercept).

    p is clipped to [1e-6, 1 - 1e-6]. The two parameters minimise the log loss against Platt's smoothed targets, (N₊ + 1)/(N₊ + 2) for
    y = 1 and 1/(N₋ + 2) for y = 0, so that they exist even where the scores separate the outcomes.

    Parameters
    ----------
    task : `binary` or `confidence`

    Attributes
    ----------
    slope_, intercept_ : the fitted line

    References
    ----------
    Platt 1999; Lin, Lin, Weng 2007, doi:10.1007/s10994-007-5018-6 (its A and B are minus our slope and intercept)

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=50_000)
    >>> y = rng.uniform(size=50_000) < 1 / (1 + np.exp(-0.5 * np.log(p / (1 - p)) - 1.0))
    >>> fitted = Platt().fit(p, y)
    >>> abs(fitted.slope_ - 0.5) < 0.02, abs(fitted.intercept_ - 1.0) < 0.04
    (True, True)

    """

    family = Family(
        method="platt",
        sentence="a line on the logit",
        parameters="{slope, intercept} on the logit",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        tried_from=200,
    )

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit slope and intercept.

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
            for outcomes or scores that are all the same, a line that runs away, or a slope that is not positive: higher scores are not
            more often right.

        """
        p, outcome, weight = self._rows(X, y, sample_weight)
        fitted = fit_rising_line(logit(p), outcome, weight)
        if not max(fitted.slope, abs(fitted.intercept)) <= STEEPEST:
            raise NotIdentified(f"slope {fitted.slope:.4g} and intercept {fitted.intercept:.4g} run away")
        self.slope_, self.intercept_ = fitted
        return self

    def _parameters(self) -> _Parameters:
        return {"slope": float(self.slope_), "intercept": float(self.intercept_)}

    def _restore(self, parameters: _Parameters) -> None:
        self.slope_, self.intercept_ = parameters["slope"], parameters["intercept"]
