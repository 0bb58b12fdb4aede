"""Platt scaling: a slope and an intercept on the logit."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from .errors import NotIdentified
from .estimator import Calibrator
from .logistic import fit_rising_line
from .parameters import STEEPEST
from .rows import Floats, confidences, logit


class Platt(Calibrator):
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
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=50_000)
    >>> y = rng.uniform(size=50_000) < 1 / (1 + np.exp(-0.5 * np.log(p / (1 - p)) - 1.0))
    >>> fitted = Platt().fit(p, y)
    >>> abs(fitted.slope_ - 0.5) < 0.02, abs(fitted.intercept_ - 1.0) < 0.04
    (True, True)

    """

    method: ClassVar[str] = "platt"

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit slope and intercept.

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
            when all outcomes or all scores are the same, the line runs away, or the slope is not positive: higher scores are not
            more often right.

        """
        p, outcome, weight = self._rows(X, y, sample_weight)
        line = fit_rising_line(logit(p), outcome, weight)
        if not max(line.slope, abs(line.intercept)) <= STEEPEST:
            raise NotIdentified(f"slope {line.slope:.4g} and intercept {line.intercept:.4g} run away")
        self.slope_, self.intercept_ = line
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities, shape (n,)."""
        self.check_fitted()
        return np.asarray(expit(self.slope_ * logit(confidences(X)) + self.intercept_))

    def _parameters(self) -> dict[str, Any]:
        return {"slope": float(self.slope_), "intercept": float(self.intercept_)}

    def _restore(self, parameters: dict[str, Any]) -> None:
        self.slope_, self.intercept_ = parameters["slope"], parameters["intercept"]
