"""Isotonic regression: any map that does not decrease, for when labels are plenty."""

from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from monitor.calibrators.estimator import Calibrator
from monitor.calibrators.parameters import MOST_KNOTS
from monitor.calibrators.rows import Floats, Integers, confidences

# Confidences closer than this are one: it keeps every slope between knots finite.
DECIMALS: Final = 15


class Isotonic(Calibrator):
    """Map each p to how often such answers were right, pooled until the map does not decrease.

    Equal p are averaged, blocks found by pooling adjacent violators, their values clipped to [1/(n + 2), 1 - 1/(n + 2)] with n the total
    weight, and the map interpolated linearly between block centres (mean p); it is constant beyond the first and last.

    Parameters
    ----------
    task : `binary` or `confidence`

    Attributes
    ----------
    x_ : array of shape (blocks,), block centres, strictly increasing
    y_ : array of shape (blocks,), block values, not decreasing

    References
    ----------
    Zadrozny, Elkan 2002, doi:10.1145/775047.775151

    Examples
    --------
    >>> fitted = Isotonic().fit([0.1, 0.2, 0.3, 0.4, 0.65, 0.7, 0.8, 0.9, 1.0], [0, 0, 0, 1, 0, 1, 1, 1, 1])
    >>> fitted.x_.round(3).tolist(), fitted.y_.round(3).tolist()
    ([0.2, 0.525, 0.85], [0.091, 0.5, 0.909])

    """

    method: ClassVar[str] = "isotonic"

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the blocks.

        Parameters
        ----------
        X : array of shape (n,), probabilities
        y : array of shape (n,), outcomes 0 or 1
        sample_weight : array of shape (n,), how often each row counts

        Raises
        ------
        ValueError
            when the rows are not usable, or make more blocks than a document may hold.
        NotIdentified
            when all outcomes are the same.

        """
        p, outcome, weight = self._rows(X, y, sample_weight)
        value, place = np.unique(np.round(p, DECIMALS), return_inverse=True)
        total = np.bincount(place, weights=weight).astype(np.float64)
        observed = np.bincount(place, weights=weight * outcome) / total
        pooled = isotonic_regression(observed, weights=total)
        starts = np.asarray(pooled.blocks[:-1], dtype=np.int64)
        self.x_ = _centres(value, total, starts)
        edge = 1.0 / (total.sum() + 2.0)
        self.y_ = np.maximum.accumulate(np.clip(np.asarray(pooled.x)[starts], edge, 1.0 - edge))
        if len(self.x_) > MOST_KNOTS:
            raise ValueError(
                f"the rows make {len(self.x_)} blocks; a document holds {MOST_KNOTS}: fit on cells instead"
            )
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities, shape (n,)."""
        self.check_fitted()
        return np.asarray(np.interp(confidences(X), self.x_, self.y_))

    def _parameters(self) -> dict[str, Any]:
        return {"x": self.x_.tolist(), "y": self.y_.tolist()}

    def _restore(self, parameters: dict[str, Any]) -> None:
        self.x_, self.y_ = np.array(parameters["x"]), np.array(parameters["y"])


def _centres(value: Floats, total: Floats, starts: Integers) -> Floats:
    centre = np.add.reduceat(value * total, starts) / np.add.reduceat(total, starts)
    # Rounding must not carry a mean out of its block, or centres could meet.
    last = np.append(starts[1:], len(value)) - 1
    return np.asarray(np.clip(centre, value[starts], value[last]), dtype=np.float64)
