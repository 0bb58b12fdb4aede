"""Logistic curves: a sum of features through the sigmoid, fitted by Newton's method, with Platt's smoothed targets."""

import math
from typing import Final, NamedTuple

from .errors import NotIdentified
from .numeric import Floats, np
from .parameters import STEEPEST

MOST_STEPS: Final = 250
LONGEST_STEP: Final = 4.0
"""Of any row's logit: a longer one can end where all rows are saturated and the Hessian vanishes."""
SETTLED: Final = 1e-8  # a last step that moves every logit by less; the next would move them by its square
ENOUGH_DECREASE: Final = 1e-4
PIECE: Final = 8_192
ROUNDING: Final = 1e-15  # of the mean log loss, per unit of the largest logit
FLAT: Final = 1e-12  # a slope of the mean log loss, per unit of a standardised feature
ALIKE: Final = 1e-9  # features whose correlation is nearer to 1 can't be told apart


class Line(NamedTuple):
    """A slope and an intercept."""

    slope: float
    intercept: float


class Rising(NamedTuple):
    """Coefficients of two features, neither negative, and an intercept."""

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
        for scores that are all the same.

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
    loss = _Loss(((scores - centre) / spread)[:, None], smoothed(y, weight), share)
    slope, intercept = _newton(loss)
    return Line(float(slope / spread), float(intercept - slope * centre / spread))


def fit_rising_line(scores: Floats, y: Floats, weight: Floats) -> Line:
    """Return the line of `fit_line`, provided that it rises.

    Raises
    ------
    NotIdentified
        for scores that are all the same, or a slope that is not positive.

    """
    line = fit_line(scores, y, weight)
    if line.slope <= 0.0:
        raise NotIdentified(
            f"the slope is {line.slope:.4g}: higher scores are not more often right; are labels swapped?"
        )
    return line


def fit_rising(features: Floats, y: Floats, weight: Floats) -> Rising:
    """Return a, b and c of P(y = 1) = sigmoid(a·first + b·second + c) with the least log loss, a and b not negative.

    The loss is convex: where its least value has a negative a or b, the least value without one lies at a = 0 or at b = 0.

    Parameters
    ----------
    features : array of shape (n, 2), any finite numbers
    y : array of shape (n,), 0 or 1; smoothed here
    weight : array of shape (n,), positive

    Raises
    ------
    NotIdentified
        for features that the rows do not tell apart, coefficients of which none is positive, or one that runs away.

    """
    share, target = weight / weight.sum(), smoothed(y, weight)
    centre = share @ features
    spread = np.sqrt(share @ (features - centre) ** 2)
    if not (spread > 1e-9 * (1.0 + np.abs(features).max(axis=0))).all():  # less is rounding
        raise NotIdentified("all scores are the same")
    best = _least(_Loss((features - centre) / spread, target, share))
    a, b = best[:2] / spread
    c = best[2] - np.array([a, b]) @ centre
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


class _Point(NamedTuple):
    """The mean log loss at some coefficients, with its derivatives."""

    loss: float
    gradient: Floats
    hessian: Floats
    farthest: float  # the largest |logit| of any row


class _Loss:
    """The mean log loss of coefficients of features, shape (n, k), and last an intercept."""

    def __init__(self, features: Floats, target: Floats, share: Floats) -> None:
        self.features, self.target, self.share = features, target, share
        self.design = np.column_stack([features, np.ones(len(features))])

    def __call__(self, at: Floats) -> _Point:
        """Return the loss and its derivatives, summed in pieces that stay in the processor's cache."""
        pieces = [self._piece(at, slice(start, start + PIECE)) for start in range(0, len(self.share), PIECE)]
        losses, gradients, hessians, farthest = zip(*pieces, strict=True)
        return _Point(sum(losses), sum(gradients), sum(hessians), max(farthest))

    def _piece(self, at: Floats, rows: slice) -> _Point:
        design, target, share = self.design[rows], self.target[rows], self.share[rows]
        z = design @ at
        size = np.abs(z)
        shrunk = np.exp(-size)
        mean = np.where(z >= 0.0, 1.0, shrunk) / (1.0 + shrunk)
        loss = share @ (np.maximum(z, 0.0) + np.log1p(shrunk) - target * z)
        gradient = (share * (mean - target)) @ design
        hessian = (design * (share * mean * (1.0 - mean))[:, None]).T @ design
        return _Point(float(loss), gradient, hessian, float(size.max()))

    def reach(self, step: Floats) -> float:
        """Return the largest move of any row's logit by a step."""
        return float(np.abs(self.design @ step).max())

    def constant(self) -> Floats:
        """Return the best coefficients with the intercept alone."""
        at, rate = np.zeros(self.design.shape[1]), float(self.share @ self.target)
        at[-1] = math.log(rate / (1.0 - rate))
        return at


def _least(loss: _Loss) -> Floats:
    try:
        best = _plane(loss)
    except NotIdentified:  # the least value may run away where a coefficient may be negative, and not where it may not
        best = _edge(loss)
        if loss(best).gradient[:2].min() < -FLAT:
            raise
    return best if best[:2].min() >= 0.0 else _edge(loss)


def _edge(loss: _Loss) -> Floats:
    """Return the better fit with one feature alone, or with neither where both would be negative."""
    best, least = loss.constant(), math.inf
    for feature in (0, 1):
        alone = _Loss(loss.features[:, [feature]], loss.target, loss.share)
        slope, intercept = line = _newton(alone)
        if slope > 0.0 and alone(line).loss < least:
            best, least = np.zeros(3), alone(line).loss
            best[[feature, 2]] = slope, intercept
    return best


def _plane(loss: _Loss) -> Floats:
    """Fit both features, turned so that they are uncorrelated and Newton's equations well conditioned."""
    variances, directions = np.linalg.eigh((loss.features * loss.share[:, None]).T @ loss.features)
    if not variances[0] > ALIKE:
        raise NotIdentified("the scores take too few values to tell the curve's two sides apart")
    turn = directions / np.sqrt(variances)
    turned = _newton(_Loss(loss.features @ turn, loss.target, loss.share))
    return np.append(turn @ turned[:2], turned[2])


def _newton(loss: _Loss) -> Floats:
    """Return the coefficients of standardised features with the least loss."""
    at = loss.constant()
    here = loss(at)
    for _ in range(MOST_STEPS):
        step = _solved(here.hessian, -here.gradient)
        slope, reach = float(here.gradient @ step), loss.reach(step)
        rounding = ROUNDING * (1.0 + here.farthest)
        if reach <= SETTLED or abs(slope) <= rounding / 100.0:
            return np.asarray(at + step)
        length = min(1.0, LONGEST_STEP / reach)
        while (there := loss(at + length * step)).loss > here.loss + rounding + ENOUGH_DECREASE * length * slope:
            length /= 2.0
        at, here = at + length * step, there
    raise NotIdentified("the curve did not settle")


def _solved(hessian: Floats, right: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(hessian, right), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise NotIdentified("the weight lies on scores that are all the same") from error
