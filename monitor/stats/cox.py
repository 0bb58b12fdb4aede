"""Cox's recalibration line: outcomes regressed on the log odds of the confidences, and the direction of a model's error."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import expit, log_expit, logit

from monitor.stats.cells import Cells, Floats
from monitor.stats.scores import folded

CLIP: Final = 1e-6
STEPS: Final = 60
HALVINGS: Final = 40
TOLERANCE: Final = 1e-7
"""Of the last step: Newton's method squares errors, so that what is left after it is rounding."""
SIGNIFICANT: Final = 1.96

Direction = Literal["overconfident", "underconfident", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cox:
    """The line logit P(y = 1) = intercept + slope·logit p; slope 1 and intercept 0 are calibrated, a slope under 1 is overconfident."""

    slope: float
    intercept: float
    slope_error: float  # standard errors
    intercept_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """The line with its slope held at 1: logit P(y = 1) = intercept + logit p."""

    intercept: float
    intercept_error: float


def cox(cells: Cells) -> Cox | None:
    """Return Cox's slope and intercept by maximum likelihood, or None where they are not identified.

    Not identified: no events, one class only, one confidence only, or confidences that separate the classes (the slope is then infinite).
    Each cell enters as two groups, its events with y = 1 and those with y = 0, each at its own mean confidence, clipped to
    [1e-6, 1 - 1e-6]. Damped Newton steps. Cox 1958 (doi:10.1093/biomet/45.3-4.562).

    Examples
    --------
    >>> line = cox(Cells.from_rows([0.2] * 4 + [0.8] * 4, [0, 0, 1, 1, 0, 0, 1, 1]))
    >>> abs(round(line.slope, 9)), abs(round(line.intercept, 9))
    (0.0, 0.0)

    """
    x, weight, sign = _observations(cells)
    if _separated(x, sign):
        return None
    middle = float(np.average(x, weights=weight))  # centred, so that the two coefficients hardly depend on each other
    design = np.stack([np.ones_like(x), x - middle])
    problem = _Problem(weight=weight, sign=sign, design=design, shift=np.zeros_like(x))
    found = _newton(problem, np.array([middle, 1.0]))
    if found is None:
        return None
    (height, slope), covariance = found
    back = np.array([1.0, -middle])
    return Cox(
        slope=float(slope),
        intercept=float(height - slope * middle),
        slope_error=math.sqrt(covariance[1, 1]),
        intercept_error=math.sqrt(back @ covariance @ back),
    )


def offset(cells: Cells) -> Offset | None:
    """Return the intercept at slope 1 by maximum likelihood, or None unless both outcomes occur.

    Examples
    --------
    >>> round(offset(Cells.from_rows([0.5, 0.5, 0.5, 0.5], [0, 1, 1, 1])).intercept, 6)
    1.098612

    """
    x, weight, sign = _observations(cells)
    if abs(sign.sum()) == len(sign):
        return None
    found = _newton(_Problem(weight=weight, sign=sign, design=np.ones((1, len(x))), shift=x), np.zeros(1))
    if found is None:
        return None
    (intercept,), covariance = found
    return Offset(intercept=float(intercept), intercept_error=math.sqrt(covariance[0, 0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """A weighted logistic regression: log odds are shift + coefficients @ design."""

    weight: Floats  # events of each group, shape (groups,)
    sign: Floats  # +1 where y = 1, -1 where y = 0, shape (groups,)
    design: Floats  # shape (coefficients, groups)
    shift: Floats  # shape (groups,)

    def loss(self, coefficients: Floats) -> float:
        return -float(self.weight @ log_expit(self.sign * (self.shift + coefficients @ self.design)))

    def derivatives(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Return the direction in which the loss falls and its second derivatives."""
        mean = expit(self.shift + coefficients @ self.design)
        gradient = self.design @ (self.weight * ((self.sign > 0) - mean))
        return gradient, (self.design * (self.weight * mean * (1 - mean))) @ self.design.T


def _observations(cells: Cells) -> tuple[Floats, Floats, Floats]:
    """Return log odds, number of events and sign of the outcome, one per cell and outcome that occurs."""
    counts = np.concatenate([cells.sy, cells.n - cells.sy])
    totals = np.concatenate([cells.spy, cells.sp - cells.spy])
    sign = np.repeat([1.0, -1.0], len(cells.n))
    full = counts > 0
    means = np.clip(totals[full] / counts[full], CLIP, 1 - CLIP)
    return logit(means), counts[full], sign[full]


def _separated(x: Floats, sign: Floats) -> bool:
    ones, zeros = x[sign > 0], x[sign < 0]
    if not len(ones) or not len(zeros):
        return True
    return bool(ones.min() >= zeros.max() or ones.max() <= zeros.min())


def _newton(problem: _Problem, start: Floats) -> tuple[Floats, Floats] | None:
    """Return coefficients and their covariance, or None where the steps do not settle."""
    coefficients, loss = start, problem.loss(start)
    for _ in range(STEPS):
        gradient, curvature = problem.derivatives(coefficients)
        try:
            covariance: Floats = np.linalg.inv(curvature).astype(np.float64)
        except np.linalg.LinAlgError:
            return None
        step = covariance @ gradient
        if not np.isfinite(step).all():
            return None
        if np.abs(step).max() <= TOLERANCE * (1 + np.abs(coefficients).max()):
            return coefficients + step, covariance
        coefficients, loss = _damped(problem, coefficients, step, loss)
    return None


def _damped(problem: _Problem, start: Floats, step: Floats, loss: float) -> tuple[Floats, float]:
    """Return where the step leads and the loss there, the step halved until the loss falls."""
    allowed = loss * (1 + 1e-14)  # rounding, close to the minimum
    for halving in range(HALVINGS):
        candidate = start + step / 2**halving
        reached = problem.loss(candidate)
        if reached <= allowed:
            break
    return candidate, reached


def direction(cells: Cells, line: Cox | None, *, binary: bool) -> Direction:
    """Return whether the model's answers are surer than they should be, less sure, or neither to a significant degree.

    First the sign of Σ(confidence - right) over answers where it is significant (abs(z) ≥ 1.96), a binary model's forecasts being folded
    about .5 into answers; failing that Cox's slope where 1 lies outside its 95 % interval: below 1 is overconfident.

    Parameters
    ----------
    cells : sums over the fixed cells
    line : the result of `cox` for them
    binary : whether p is the probability of class 1, not of the answer

    Examples
    --------
    >>> sums = Cells.from_rows([0.9] * 100 + [0.1] * 100, [0, 1] * 100)
    >>> direction(sums, cox(sums), binary=True)
    'overconfident'

    """
    answers = folded(cells) if binary else cells
    gap, variance = float((answers.sp - answers.sy).sum()), float((answers.sp - answers.spp).sum())
    if gap != 0 and gap**2 >= SIGNIFICANT**2 * max(variance, 0.0):
        return "overconfident" if gap > 0 else "underconfident"
    if line is None or abs(line.slope - 1) <= SIGNIFICANT * line.slope_error:
        return "none"
    return "overconfident" if line.slope < 1 else "underconfident"
