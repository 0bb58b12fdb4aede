"""Beta calibration: Platt's line with a slope of its own on each side of one half."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from .estimator import Calibrator
from .logistic import fit_rising
from .parameters import HIGHEST, LOWEST
from .rows import Floats, confidences


class Beta(Calibrator):
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
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=50_000)
    >>> y = rng.uniform(size=50_000) < 1 / (1 + np.exp(-(0.5 * np.log(p) - 2.0 * np.log(1 - p) - 0.3)))
    >>> fitted = Beta().fit(p, y)
    >>> abs(fitted.a_ - 0.5) < 0.05, abs(fitted.b_ - 2.0) < 0.1, abs(fitted.c_ + 0.3) < 0.1
    (True, True, True)

    """

    method: ClassVar[str] = "beta"

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit a, b and c.

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
        self.a_, self.b_, self.c_ = fit_rising(_logarithms(p), outcome, weight)
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities, shape (n,)."""
        self.check_fitted()
        return np.asarray(expit(_logarithms(confidences(X)) @ [self.a_, self.b_] + self.c_))

    def _parameters(self) -> dict[str, Any]:
        return {"a": float(self.a_), "b": float(self.b_), "c": float(self.c_)}

    def _restore(self, parameters: dict[str, Any]) -> None:
        self.a_, self.b_, self.c_ = parameters["a"], parameters["b"], parameters["c"]


def _logarithms(p: Floats) -> Floats:
    clipped = np.clip(p, LOWEST, HIGHEST)
    return np.column_stack([np.log(clipped), -np.log(1.0 - clipped)])
