"""Isotonic regression: any map that does not decrease, for when labels are plenty."""

from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from .estimator import Calibrator
from .parameters import MOST_KNOTS
from .rows import Floats, Integers, confidences

# Confidences are rounded to steps of 1e-15: it keeps every slope between knots finite.
STEPS: Final = 10**15


class Isotonic(Calibrator):
    """Map each p to how often such answers were right, pooled until the map does not decrease.

    Equal p are averaged and blocks found by pooling adjacent violators. The map is centered isotonic regression: each block, with all its
    p, is drawn together into one point at its mean p, and the map is linear between these points, so that it rises where plain isotonic
    regression is flat; it is constant beyond the first and last. Values are clipped to [1/(n + 2), 1 - 1/(n + 2)] with n the total weight.
    Oron and Flournoy leave blocks whose value is exactly 0 or 1 as they are; here these are drawn together too, so that the edge of a
    stretch without a single 1 does not say "almost never".

    Parameters
    ----------
    task : `binary` or `confidence`

    Attributes
    ----------
    x_ : array of shape (blocks,), block centres, strictly increasing
    y_ : array of shape (blocks,), block values, not decreasing

    References
    ----------
    Zadrozny, Elkan 2002, doi:10.1145/775047.775151; Oron, Flournoy 2017, doi:10.1080/19466315.2017.1286256

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
        value, total, ones = _distinct(*self._rows(X, y, sample_weight))
        starts = _blocks(total, ones)
        self.x_ = _centres(value, total, starts)
        edge = 1.0 / (total.sum() + 2.0)
        observed = np.add.reduceat(ones, starts) / np.add.reduceat(total, starts)
        self.y_ = np.maximum.accumulate(np.clip(observed, edge, 1.0 - edge))
        if len(self.x_) > MOST_KNOTS:
            raise ValueError(
                f"the rows make {len(self.x_)} blocks; a document holds {MOST_KNOTS}: fit on cells instead"
            )
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities, shape (n,)."""
        self.check_fitted()
        # Rounding must not carry a value beyond the last one, which may be 1.
        return np.asarray(np.minimum(np.interp(confidences(X), self.x_, self.y_), self.y_[-1]))

    def _parameters(self) -> dict[str, Any]:
        return {"x": self.x_.tolist(), "y": self.y_.tolist()}

    def _restore(self, parameters: dict[str, Any]) -> None:
        self.x_, self.y_ = np.array(parameters["x"]), np.array(parameters["y"])


def _distinct(p: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the distinct p in order, each with its weight and the weight of its ones."""
    step = p * STEPS
    np.rint(step, out=step)
    if (weight == 1.0).all():
        step, ones = _sorted(step, y)
    else:
        order = np.argsort(step, kind="stable")
        step, weight = step[order], weight[order]
        ones = weight * y[order]
    rises = step[1:] != step[:-1]
    step /= STEPS
    if rises.all():
        return step, weight, ones
    first = np.append(0, np.flatnonzero(rises) + 1)
    return step[first], np.add.reduceat(weight, first), np.add.reduceat(ones, first)


def _sorted(step: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return whole numbers in order, with their outcomes; in place.

    Both fit into one number, twice the one and the other, which floats hold up to 2⁵³, and numbers are sorted five times as fast as
    positions.
    """
    step *= 2.0
    step += y
    step.sort()
    half = step * 0.5
    np.floor(half, out=half)
    step -= half
    step -= half
    return half, step


def _blocks(total: Floats, ones: Floats) -> Integers:
    """Return where the blocks of isotonic regression begin.

    A block can only begin where the observed rate goes up: what lies between is pooled at once, which leaves a fifth of the rows or less.
    """
    single = bool((total == 1.0).all())
    rate = ones if single else ones / total
    starts = np.append(0, np.flatnonzero(rate[1:] > rate[:-1]) + 1)
    # Of single rows the sums of weights are counts, at a fifth of the cost.
    merged = np.diff(np.append(starts, len(total))) * 1.0 if single else np.add.reduceat(total, starts)
    pooled = isotonic_regression(np.add.reduceat(ones, starts) / merged, weights=merged)
    return np.asarray(starts[np.asarray(pooled.blocks[:-1])], dtype=np.int64)


def _centres(value: Floats, total: Floats, starts: Integers) -> Floats:
    centre = np.add.reduceat(value * total, starts) / np.add.reduceat(total, starts)
    # Rounding must not carry a mean out of its block, or centres could meet.
    last = np.append(starts[1:], len(value)) - 1
    return np.asarray(np.clip(centre, value[starts], value[last]), dtype=np.float64)
