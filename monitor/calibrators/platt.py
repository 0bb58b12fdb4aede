"""Platt scaling: a slope and an intercept on the logit."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.estimator import Calibrator
from monitor.calibrators.parameters import STEEPEST
from monitor.calibrators.rows import Floats, confidences, logit

MOST_STEPS: Final = 250
LONGEST_STEP: Final = (
    4.0  # of any row's logit: a longer one can end where all rows are saturated and the Hessian says nothing
)
SETTLED: Final = 1e-8  # a last step that moves every logit by less; the next would move them by its square
ENOUGH_DECREASE: Final = 1e-4
ROUNDING: Final = 1e-15  # of the mean log loss, per unit of the largest logit


class Line(NamedTuple):
    """A slope and an intercept."""

    slope: float
    intercept: float


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
        line = fit_line(logit(p), outcome, weight)
        if line.slope <= 0.0:
            raise NotIdentified(
                f"the slope is {line.slope:.4g}: higher scores are not more often right; are labels swapped?"
            )
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


def fit_line(scores: Floats, y: Floats, weight: Floats) -> Line:
    """Return the slope and intercept of P(y = 1) = sigmoid(slope·score + intercept), by Newton's method with step-halving.

    Parameters
    ----------
    scores : array of shape (n,), any finite numbers (logits, margins)
    y : array of shape (n,), 0 or 1; smoothed here
    weight : array of shape (n,), positive

    Raises
    ------
    NotIdentified
        when all scores are the same.

    Examples
    --------
    >>> fit_line(np.array([5.0, -4.0, 1.0]), np.array([1.0, 0.0, 0.0]), np.ones(3)).slope.__round__(5)
    0.20261

    """
    share = weight / weight.sum()
    centre = share @ scores
    spread = math.sqrt(share @ (scores - centre) ** 2)
    if not spread > 1e-9 * (1.0 + abs(centre)):  # less is rounding
        raise NotIdentified("all scores are the same")
    slope, intercept = _newton((scores - centre) / spread, _smoothed(y, weight), share)
    return Line(float(slope / spread), float(intercept - slope * centre / spread))


def _smoothed(y: Floats, weight: Floats) -> Floats:
    positive = weight @ y
    negative = weight.sum() - positive
    return np.where(y > 0.0, (positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0))


def _newton(scores: Floats, target: Floats, share: Floats) -> Floats:
    design = np.column_stack([scores, np.ones_like(scores)])
    rate = share @ target
    line = np.array([0.0, math.log(rate / (1.0 - rate))])

    def loss(at: Floats) -> float:
        z = design @ at
        return float(share @ (np.logaddexp(0.0, z) - target * z))

    for _ in range(MOST_STEPS):
        mean = expit(design @ line)
        gradient = design.T @ (share * (mean - target))
        hessian = (design * (share * mean * (1.0 - mean))[:, None]).T @ design
        step = _solved(hessian, -gradient)
        slope, reach = float(gradient @ step), float(np.abs(design @ step).max())
        rounding = ROUNDING * (1.0 + float(np.abs(design @ line).max()))
        if reach <= SETTLED or abs(slope) <= rounding / 100.0:
            return line + step
        longest = min(1.0, LONGEST_STEP / reach)
        line = line + _length(loss, line, step, longest=longest, slope=slope, rounding=rounding) * step
    raise NotIdentified("slope and intercept did not settle")


def _solved(hessian: Floats, right: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(hessian, right), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise NotIdentified("the weight lies on scores that are all the same") from error


def _length(
    loss: Callable[[Floats], float], line: Floats, step: Floats, *, longest: float, slope: float, rounding: float
) -> float:
    """Return the longest of 1, 1/2, 1/4 … of the longest step that lowers the loss as much as its slope promises."""
    length, now = longest, loss(line) + rounding
    while loss(line + length * step) > now + ENOUGH_DECREASE * length * slope:
        length /= 2.0
    return length
