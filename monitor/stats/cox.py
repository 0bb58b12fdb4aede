"""Cox's recalibration line, a regression of outcomes on the log odds of confidences, and the direction of a model's error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from .alike import stacked
from .cells import Cells, Floats, Integers
from .scores import folded

CLIP: Final = 1e-6
STEPS: Final = 60
HALVINGS: Final = 40
TOLERANCE: Final = 1e-7
"""Largest last step: Newton's method squares errors, so only rounding remains after it."""
SIGNIFICANT: Final = 1.96

Booleans = NDArray[np.bool_]
Direction = Literal["overconfident", "underconfident", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cox:
    """The line logit P(y = 1) = intercept + slope·logit p: calibrated at slope 1 and intercept 0, overconfident at slopes below 1."""

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
    """Return Cox's slope and intercept by maximum likelihood, or None if they are not identified.

    They are not identified without events, with one class or one confidence only, or if confidences separate the classes (the slope is
    then infinite). Each cell enters as two groups, its events with y = 1 and those with y = 0, each at its mean confidence, clipped to
    [1e-6, 1 - 1e-6]. Damped Newton steps. Cox 1958 (doi:10.1093/biomet/45.3-4.562).

    Examples
    --------
    >>> line = cox(Cells.from_rows([0.2] * 4 + [0.8] * 4, [0, 0, 1, 1, 0, 0, 1, 1]))
    >>> abs(round(line.slope, 9)), abs(round(line.intercept, 9))
    (0.0, 0.0)

    """
    return coxes(stacked([cells]))[0]


def coxes(cells: Cells) -> list[Cox | None]:
    """Return the `cox` of each window."""
    lines: list[Cox | None] = [None] * len(cells.n)
    identified, problem = _identified(cells)
    if problem is None:
        return lines
    solved, coefficients, covariance = _newton(problem, free=2)
    back = np.stack([np.ones(len(problem.middle)), -problem.middle], axis=1)
    variance = np.einsum("wi,wij,wj->w", back, covariance, back)
    for i in np.flatnonzero(solved).tolist():
        height, slope = coefficients[i].tolist()
        lines[identified[i]] = Cox(
            slope=slope,
            intercept=height - slope * float(problem.middle[i]),
            slope_error=math.sqrt(covariance[i, 1, 1]),
            intercept_error=math.sqrt(variance[i]),
        )
    return lines


def offset(cells: Cells) -> Offset | None:
    """Return the intercept at slope 1 by maximum likelihood, or None unless both outcomes occur.

    Examples
    --------
    >>> round(offset(Cells.from_rows([0.5, 0.5, 0.5, 0.5], [0, 1, 1, 1])).intercept, 6)
    1.098612

    """
    groups = _observations(stacked([cells]), np.arange(1))
    if abs(groups.sign.sum()) == len(groups.sign):
        return None
    problem = groups.centred()
    solved, coefficients, covariance = _newton(problem, free=1)
    if not solved[0]:
        return None
    intercept = float(coefficients[0, 0] - problem.middle[0])
    return Offset(intercept=intercept, intercept_error=math.sqrt(covariance[0, 0, 0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Regressions:
    """Weighted logistic regressions, one per window: log odds are height + slope·(x - middle)."""

    window: Integers  # of each group, ascending, shape (groups,)
    first: Integers  # the first group of each window, shape (windows,)
    x: Floats  # log odds of the confidences, shape (groups,)
    weight: Floats  # events, shape (groups,)
    sign: Floats  # +1 where y = 1, -1 where y = 0, shape (groups,)
    middle: Floats  # shape (windows,)

    @classmethod
    def of(cls, window: Integers, x: Floats, weight: Floats, sign: Floats) -> "_Regressions":
        """Return regressions of groups whose windows are numbered from 0 without gaps."""
        first = np.flatnonzero(np.diff(window, prepend=-1)).astype(np.int64)
        return cls(window=window, first=first, x=x, weight=weight, sign=sign, middle=np.zeros(len(first)))

    def centred(self) -> "_Regressions":
        """Return the regressions with the mean of x as the middle, so that the coefficients are nearly independent."""
        middle = self._sums(self.weight * self.x) / self._sums(self.weight)
        return replace(self, x=self.x - middle[self.window], middle=middle)

    def among(self, chosen: Booleans) -> "_Regressions":
        """Return the chosen windows."""
        kept = chosen[self.window]
        number = np.cumsum(chosen) - 1
        regressions = _Regressions.of(
            number[self.window[kept]].astype(np.int64), self.x[kept], self.weight[kept], self.sign[kept]
        )
        return replace(regressions, middle=self.middle[chosen])

    def separated(self) -> Booleans:
        """Return whether only one outcome occurs or confidences separate the two; shape (windows,)."""
        lowest, highest = (
            [np.where(self.sign == outcome, self.x, empty) for outcome in (1, -1)] for empty in (np.inf, -np.inf)
        )
        least_one, least_zero = (np.minimum.reduceat(extremes, self.first) for extremes in lowest)
        most_one, most_zero = (np.maximum.reduceat(extremes, self.first) for extremes in highest)
        separates: Booleans = (least_one >= most_zero) | (most_one <= least_zero)
        return separates

    def derivatives(self, coefficients: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the loss at coefficients of shape (windows, 2), its negative gradient and its second derivatives."""
        odds = self.sign * (coefficients[self.window, 0] + coefficients[self.window, 1] * self.x)
        small = np.exp(-np.abs(odds))
        loss = self.weight * (np.log1p(small) + np.maximum(-odds, 0.0))
        missed = np.where(odds > 0, small, 1.0) / (1.0 + small)  # the probability that was given to the other outcome
        pull = self.weight * self.sign * missed
        bend = self.weight * small / (1.0 + small) ** 2
        tilted = bend * self.x
        terms = np.stack([loss, pull, pull * self.x, bend, tilted, tilted * self.x])
        total, *gradient, height, mixed, slope = np.add.reduceat(terms, self.first, axis=1)
        curvature = np.stack([np.stack([height, mixed], axis=1), np.stack([mixed, slope], axis=1)], axis=1)
        return total, np.stack(gradient, axis=1), curvature

    def _sums(self, values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values, self.first), dtype=np.float64)


def _observations(cells: Cells, windows: Integers) -> _Regressions:
    """Return log odds, number of events and sign of the outcome per occupied cell and outcome; all windows have events."""
    n, sy, sp, spy = (getattr(cells, name)[windows] for name in ("n", "sy", "sp", "spy"))
    counts, totals = np.concatenate([sy, n - sy], axis=1), np.concatenate([spy, sp - spy], axis=1)
    window, column = np.nonzero(counts > 0)
    weight = counts[window, column]
    means = np.clip(totals[window, column] / weight, CLIP, 1 - CLIP)
    sign = np.where(column < n.shape[1], 1.0, -1.0)
    return _Regressions.of(window.astype(np.int64), logit(means), weight, sign)


def _identified(cells: Cells) -> tuple[list[int], _Regressions | None]:
    """Return the windows whose line is identified, and their regressions."""
    filled = np.flatnonzero(cells.n.any(axis=-1))
    if not len(filled):
        return [], None
    problem = _observations(cells, filled)
    chosen = ~problem.separated()
    return filled[chosen].tolist(), problem.among(chosen).centred() if chosen.any() else None


def _newton(problem: _Regressions, *, free: int) -> tuple[Booleans, Floats, Floats]:
    """Return the windows that converged, their coefficients and covariances; damped steps from slope 1 and intercept 0.

    Only the first `free` coefficients move.
    """
    windows = len(problem.middle)
    coefficients, covariance = np.stack([problem.middle, np.ones(windows)], axis=1), np.zeros((windows, 2, 2))
    solved, number = np.zeros(windows, dtype=bool), np.arange(windows)
    at, (loss, gradient, curvature) = coefficients, problem.derivatives(coefficients)
    for _ in range(STEPS):
        inverse = _inverted(curvature, free)
        step = np.einsum("wij,wj->wi", inverse, gradient)
        settled = np.abs(step).max(axis=1, initial=0) <= TOLERANCE * (1 + np.abs(at).max(axis=1, initial=0))
        done = number[settled]
        solved[done], coefficients[done], covariance[done] = True, (at + step)[settled], inverse[settled]
        going = ~settled & np.isfinite(step).all(axis=1)
        if not going.any():
            break
        if not going.all():
            problem, number, at, step, loss = (
                problem.among(going),
                number[going],
                at[going],
                step[going],
                loss[going],
            )
        at, loss, gradient, curvature = _damped(problem, at, step, loss)
    return solved, coefficients, covariance


def _inverted(curvature: Floats, free: int) -> Floats:
    """Return the covariances, not finite for singular windows; a fixed coefficient has none."""
    covariance = np.zeros_like(curvature)
    (a, b), (_, c) = curvature[:, 0].T, curvature[:, 1].T
    with np.errstate(divide="ignore", invalid="ignore"):
        if free == 1:
            covariance[:, 0, 0] = 1 / a
        else:
            covariance[:] = np.stack([np.stack([c, -b], axis=1), np.stack([-b, a], axis=1)], axis=1)
            covariance /= (a * c - b * b)[:, None, None]
    return covariance


def _damped(problem: _Regressions, start: Floats, step: Floats, loss: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the coefficients after a step, with loss and derivatives; each step is halved until the loss falls."""
    allowed = loss * (1 + 1e-14)  # rounding, close to the minimum
    for _ in range(HALVINGS):
        candidate = start + step
        reached, gradient, curvature = problem.derivatives(candidate)
        risen = reached > allowed
        if not risen.any():
            break
        step = np.where(risen[:, None], step / 2, step)
    return candidate, reached, gradient, curvature


def direction(cells: Cells, line: Cox | None, *, binary: bool) -> Direction:
    """Return whether a model is significantly overconfident, underconfident, or neither.

    The sign of Σ(confidence - right) over answers decides if it is significant (abs(z) ≥ 1.96), with forecasts of a binary model folded
    about .5 into answers; otherwise Cox's slope if 1 lies outside its 95 % interval: below 1 is overconfident.

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
    return directions(stacked([folded(cells) if binary else cells]), [line])[0]


def directions(answers: Cells, lines: Sequence[Cox | None]) -> list[Direction]:
    """Return the `direction` of each window from the sums of its answers, folded for a binary model."""
    gaps, variances = (answers.sp - answers.sy).sum(axis=-1), (answers.sp - answers.spp).sum(axis=-1)
    return [_direction(*row) for row in zip(gaps.tolist(), variances.tolist(), lines, strict=True)]


def _direction(gap: float, variance: float, line: Cox | None) -> Direction:
    if gap != 0 and gap**2 >= SIGNIFICANT**2 * max(variance, 0.0):
        return "overconfident" if gap > 0 else "underconfident"
    if line is None or abs(line.slope - 1) <= SIGNIFICANT * line.slope_error:
        return "none"
    return "overconfident" if line.slope < 1 else "underconfident"
