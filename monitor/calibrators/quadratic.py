"""Quadratic logit: Platt's line with a bend, for maps whose ends need more or less of a repair than their middle."""

import math
from typing import Self, TypedDict

from .errors import BadDocument, NotIdentified
from .estimator import Estimator
from .family import Family
from .logistic import fit_rising
from .numeric import ArrayLike, Floats, np
from .parameters import HIGHEST, LOWEST, STEEPEST, Unchecked, exactly, number
from .rows import logit
from .singles import Into, Singles, ToProbability, as_probability, logit_into, sigmoid_in_place


class _Parameters(TypedDict):
    square: float
    slope: float
    intercept: float


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"square", "slope", "intercept"})
    square, slope, intercept = (
        number(parameters, name, -STEEPEST, STEEPEST) for name in ("square", "slope", "intercept")
    )
    low, high = rising_side(square, slope)
    if not low < high:
        raise BadDocument("parameters.slope", slope, "with this square, every score becomes the same")
    return {"square": square, "slope": slope, "intercept": intercept}


def rising_side(square: float, slope: float) -> tuple[float, float]:
    """Return the probabilities between which square·l² + slope·l rises, l = logit(p); equal ones where it rises nowhere.

    Examples
    --------
    >>> rising_side(0.0, 1.0) == (LOWEST, HIGHEST)
    True
    >>> rising_side(0.5, 0.0)[0], rising_side(-0.5, 0.0)[1]
    (0.5, 0.5)

    """
    if square == 0.0:
        return (LOWEST, HIGHEST) if slope > 0.0 else (LOWEST, LOWEST)
    vertex = _sigmoid(-slope / (2.0 * square))
    return (max(LOWEST, vertex), max(HIGHEST, vertex)) if square > 0.0 else (min(LOWEST, vertex), min(HIGHEST, vertex))


def _sigmoid(z: float) -> float:
    grown = math.exp(-abs(z))
    return (1.0 if z >= 0.0 else grown) / (1.0 + grown)


def _scalar(parameters: _Parameters) -> ToProbability:
    square, slope, intercept = parameters["square"], parameters["slope"], parameters["intercept"]
    log, exp, (low, high) = math.log, math.exp, rising_side(square, slope)

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            p = as_probability(p)
        clipped = low if p < low else high if p > high else p  # noqa: FURB136  min() is four times slower
        score = log(clipped / (1.0 - clipped))
        z = (square * score + slope) * score + intercept
        if z >= 0.0:
            return 1.0 / (1.0 + exp(-z))
        grown = exp(z)
        return grown / (1.0 + grown)

    return apply


def _array(parameters: _Parameters) -> Into:
    square, slope, intercept = parameters["square"], parameters["slope"], parameters["intercept"]
    low, high = rising_side(square, slope)

    def into(p: Floats, out: Floats) -> None:
        logit_into(p, low, high, out)
        score = out.copy()
        out *= square
        out += slope
        out *= score
        out += intercept
        sigmoid_in_place(out)

    return into


class QuadraticLogit(Estimator):
    """Bend the logit: sigmoid(square · l² + slope · l + intercept) with l = logit(p), kept on the side where it rises.

    p is clipped to [1e-6, 1 - 1e-6], and to the side of the parabola's vertex on which it rises: beyond the vertex the map is constant, so
    that it never decreases. The parameters minimise the log loss against Platt's smoothed targets among the parabolas that do not decrease
    between the lowest and the highest logit of the rows: with these as l₀ and l₁, slope and square are such that the derivative is
    a·(l₁ - l) + b·(l - l₀) with a, b ≥ 0. square = 0 is Platt's line.

    Parameters
    ----------
    task : `binary` or `confidence`

    Attributes
    ----------
    square_, slope_, intercept_ : the fitted parabola

    References
    ----------
    Platt 1999; Lin, Lin, Weng 2007, doi:10.1007/s10994-007-5018-6 (for the line and its targets; the quadratic term is added)

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> l = rng.uniform(-4, 4, size=50_000)
    >>> y = rng.uniform(size=50_000) < 1 / (1 + np.exp(-(0.1 * l**2 + 1.2 * l - 0.5)))
    >>> fitted = QuadraticLogit().fit(1 / (1 + np.exp(-l)), y)
    >>> abs(fitted.square_ - 0.1) < 0.03, abs(fitted.slope_ - 1.2) < 0.06, abs(fitted.intercept_ + 0.5) < 0.1
    (True, True, True)

    """

    family = Family(
        method="quadratic_logit",
        sentence="a parabola on the logit, where it rises",
        parameters="{square, slope, intercept}",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        tried_from=1_000,
        curve=True,
    )

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the parabola.

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
        score = logit(p)
        low, high = float(score.min()), float(score.max())
        # Integrals of (high - l) and (l - low): sums of them with coefficients ≥ 0 are the parabolas that rise between low and high.
        features = np.column_stack([(high - score / 2.0) * score, (score / 2.0 - low) * score])
        falling, rising, intercept = fit_rising(features, outcome, weight)
        square, slope = (rising - falling) / 2.0, falling * high - rising * low
        if not max(abs(square), abs(slope)) <= STEEPEST:
            raise NotIdentified(f"square {square:.4g} and slope {slope:.4g} run away")
        self.square_, self.slope_, self.intercept_ = square, slope, intercept
        return self

    def _parameters(self) -> _Parameters:
        return {"square": float(self.square_), "slope": float(self.slope_), "intercept": float(self.intercept_)}

    def _restore(self, parameters: _Parameters) -> None:
        self.square_, self.slope_ = parameters["square"], parameters["slope"]
        self.intercept_ = parameters["intercept"]
