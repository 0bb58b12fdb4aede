"""Quadratic logit: Platt's line with a bend, for maps whose ends need more or less of a repair than their middle."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from .errors import NotIdentified
from .estimator import Calibrator
from .logistic import fit_rising
from .parameters import STEEPEST, rising_side
from .rows import Floats, confidences, logit


class QuadraticLogit(Calibrator):
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
    >>> rng = np.random.default_rng(0)
    >>> l = rng.uniform(-4, 4, size=50_000)
    >>> y = rng.uniform(size=50_000) < 1 / (1 + np.exp(-(0.1 * l**2 + 1.2 * l - 0.5)))
    >>> fitted = QuadraticLogit().fit(1 / (1 + np.exp(-l)), y)
    >>> abs(fitted.square_ - 0.1) < 0.03, abs(fitted.slope_ - 1.2) < 0.06, abs(fitted.intercept_ + 0.5) < 0.1
    (True, True, True)

    """

    method: ClassVar[str] = "quadratic_logit"

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the parabola.

        Parameters
        ----------
        X : array of shape (n,), probabilities
        y : array of shape (n,), outcomes 0 or 1
        sample_weight : array of shape (n,), how often each row counts

        Raises
        ------
        ValueError
            when the rows are not usable.
        NotIdentified
            when all outcomes or all scores are the same, higher scores are not more often right, or the parameters run away.

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

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities, shape (n,)."""
        self.check_fitted()
        score = logit(np.clip(confidences(X), *rising_side(self.square_, self.slope_)))
        return np.asarray(expit((self.square_ * score + self.slope_) * score + self.intercept_))

    def _parameters(self) -> dict[str, Any]:
        return {"square": float(self.square_), "slope": float(self.slope_), "intercept": float(self.intercept_)}

    def _restore(self, parameters: dict[str, Any]) -> None:
        self.square_, self.slope_ = parameters["square"], parameters["slope"]
        self.intercept_ = parameters["intercept"]
