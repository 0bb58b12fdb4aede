"""Logistic curves: a sum of features through the sigmoid, fitted by Newton's method, with Platt's smoothed targets."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.parameters import STEEPEST
from monitor.calibrators.rows import Floats

MOST_STEPS: Final = 250
LONGEST_STEP: Final = (
    4.0  # of any row's logit: a longer one can end where all rows are saturated and the Hessian says nothing
)
SETTLED: Final = 1e-8  # a last step that moves every logit by less; the next would move them by its square
ENOUGH_DECREASE: Final = 1e-4
ROUNDING: Final = 1e-15  # of the mean log loss, per unit of the largest logit
ALIKE: Final = 1e-9  # features whose correlation is nearer to 1 can't be told apart


class Line(NamedTuple):
    """A slope and an intercept."""

    slope: float
    intercept: float


class Rising(NamedTuple):
    """How much of each of two features, neither negative, and an intercept."""

    first: float
    second: float
    intercept: float


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
    slope, intercept = _newton(((scores - centre) / spread)[:, None], smoothed(y, weight), share)
    return Line(float(slope / spread), float(intercept - slope * centre / spread))


def fit_rising(features: Floats, y: Floats, weight: Floats) -> Rising:
    """Return the non-negative a and b, and c, of P(y = 1) = sigmoid(a·first + b·second + c) with the least log loss.

    The loss is convex, so its least value where neither may be negative is that without the condition, or one with a = 0, or one with
    b = 0: at most three fits find it exactly.

    Parameters
    ----------
    features : array of shape (n, 2), any finite numbers
    y : array of shape (n,), 0 or 1; smoothed here
    weight : array of shape (n,), positive

    Raises
    ------
    NotIdentified
        when the rows do not tell the features apart, neither coefficient is positive, or one runs away.

    """
    share, target = weight / weight.sum(), smoothed(y, weight)
    centred = features - share @ features
    spread = np.sqrt(share @ centred**2)
    if not (spread > 1e-9 * (1.0 + np.abs(features).max(axis=0))).all():  # less is rounding
        raise NotIdentified("all scores are the same")
    unit = centred / spread
    found = [_plane(unit, target, share)]
    if found[0].min(initial=0.0, where=[True, True, False]) < 0.0:
        found = [_edge(unit, target, share, i) for i in (0, 1)]
    best = min(found, key=lambda at: _loss(_with_ones(unit), target, share, at))
    a, b = best[:2] / spread
    c = best[2] - np.array([a, b]) @ (share @ features)
    if not max(a, b) > 0.0:
        raise NotIdentified("no curve that rises fits: higher scores are not more often right; are labels swapped?")
    if not max(a, b, abs(c)) <= STEEPEST:
        raise NotIdentified(f"the coefficients {a:.4g}, {b:.4g} and {c:.4g} run away")
    return Rising(float(a), float(b), float(c))


def smoothed(y: Floats, weight: Floats) -> Floats:
    """Return Platt's targets: (N₊ + 1)/(N₊ + 2) for y = 1 and 1/(N₋ + 2) for y = 0, with which a fit always exists."""
    positive = weight @ y
    negative = weight.sum() - positive
    return np.where(y > 0.0, (positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0))


def _plane(unit: Floats, target: Floats, share: Floats) -> Floats:
    """Fit both features, turned so that they are uncorrelated and Newton's equations well conditioned."""
    variances, directions = np.linalg.eigh((unit * share[:, None]).T @ unit)
    if not variances[0] > ALIKE:
        raise NotIdentified("the scores take too few values to tell the curve's two sides apart")
    turn = directions / np.sqrt(variances)
    *turned, intercept = _newton(unit @ turn, target, share)
    return np.append(turn @ turned, intercept)


def _edge(unit: Floats, target: Floats, share: Floats, feature: int) -> Floats:
    """Fit one feature alone; without it where it would be negative."""
    slope, intercept = _newton(unit[:, [feature]], target, share)
    at = np.zeros(3)
    rate = share @ target
    at[feature], at[2] = (slope, intercept) if slope > 0.0 else (0.0, math.log(rate / (1.0 - rate)))
    return at


def _newton(features: Floats, target: Floats, share: Floats) -> Floats:
    """Return the coefficients of standardised features, and last the intercept, with the least log loss."""
    design = _with_ones(features)
    rate = share @ target
    line = np.zeros(design.shape[1])
    line[-1] = math.log(rate / (1.0 - rate))

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
        loss = _loss_along(design, target, share)
        line = line + _length(loss, line, step, longest=longest, slope=slope, rounding=rounding) * step
    raise NotIdentified("the curve did not settle")


def _with_ones(features: Floats) -> Floats:
    return np.column_stack([features, np.ones(len(features))])


def _loss(design: Floats, target: Floats, share: Floats, at: Floats) -> float:
    z = design @ at
    return float(share @ (np.logaddexp(0.0, z) - target * z))


def _loss_along(design: Floats, target: Floats, share: Floats) -> Callable[[Floats], float]:
    return lambda at: _loss(design, target, share, at)


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
