"""Cox's recalibration line, a regression of outcomes on the log odds of confidences, and what shift or slope alone explain."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from .alike import stacked
from .cells import Cells, Floats, Integers

CLIP: Final = 1e-6
STEPS: Final = 60
HALVINGS: Final = 40
TOLERANCE: Final = 1e-7
"""Largest last step: Newton's method squares errors, so only rounding remains after it."""

HEIGHT: Final = 0
SLOPE: Final = 1
"""Places of the coefficients."""

Booleans = NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What each of two simple faults alone explains of the outcomes; arrays of shape (windows,)."""

    by_shift: Floats  # how much a shift raises the log-likelihood, in nats
    by_slope: Floats  # how much a slope does
    slope: Floats  # the slope that raises it most


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """Where Newton's method arrived; arrays with the windows as leading axis."""

    solved: Booleans
    coefficients: Floats  # those of the last step where it did not converge; shape (windows, 2)
    covariance: Floats  # 0 where it did not converge; shape (windows, 2, 2)
    gain: Floats  # log-likelihood less that of slope 1 and intercept 0


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
    fit = _newton(problem, free=(HEIGHT, SLOPE))
    covariance, back = fit.covariance, np.stack([np.ones(len(problem.middle)), -problem.middle], axis=1)
    variance = np.einsum("wi,wij,wj->w", back, covariance, back)
    for i in np.flatnonzero(fit.solved).tolist():
        height, slope = fit.coefficients[i].tolist()
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
    fit = _newton(problem, free=(HEIGHT,))
    if not fit.solved[0]:
        return None
    intercept = float(fit.coefficients[0, HEIGHT] - problem.middle[0])
    return Offset(intercept=intercept, intercept_error=math.sqrt(fit.covariance[0, HEIGHT, HEIGHT]))


def parts(cells: Cells, windows: Integers, middle: Floats) -> Parts:
    """Return what a shift alone and a slope alone explain in some windows.

    The shift is logit P(y = 1) = a + logit p, the slope logit P(y = 1) = m + s·(logit p - m). Where no likelihood is largest, as with one
    outcome only, the figures are those after 60 steps.

    Parameters
    ----------
    cells : sums of all windows
    windows : numbers of windows that have events, ascending; shape (w,)
    middle : m, log odds; shape (w,)

    Examples
    --------
    >>> sums = stacked([Cells.from_rows([0.9] * 100 + [0.1] * 100, [0, 1, 1, 1] * 25 + [1, 0, 0, 0] * 25)])
    >>> explained = parts(sums, np.array([0]), np.array([0.0]))
    >>> abs(explained.by_shift.round(6)).tolist(), explained.by_slope.round(1).tolist(), explained.slope.round(3).tolist()
    ([0.0], [18.5], [0.5])

    """
    problem = _observations(cells, windows).about(middle)
    shift, slope = (_newton(problem, free=(coefficient,)) for coefficient in (HEIGHT, SLOPE))
    return Parts(by_shift=shift.gain, by_slope=slope.gain, slope=slope.coefficients[:, SLOPE])


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
        return self.about(self._sums(self.weight * self.x) / self._sums(self.weight))

    def about(self, middle: Floats) -> "_Regressions":
        """Return the regressions of log odds, so far uncentred, with another middle; shape (windows,)."""
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


def _newton(problem: _Regressions, *, free: tuple[int, ...]) -> _Fit:
    """Return where damped steps from slope 1 and intercept 0 arrive; only the free coefficients move."""
    windows = len(problem.middle)
    coefficients, covariance = np.stack([problem.middle, np.ones(windows)], axis=1), np.zeros((windows, 2, 2))
    solved, number = np.zeros(windows, dtype=bool), np.arange(windows)
    at, (loss, gradient, curvature) = coefficients, problem.derivatives(coefficients)
    begun, reached = loss, loss.copy()
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
        coefficients[number], reached[number] = at, loss
    return _Fit(solved=solved, coefficients=coefficients, covariance=covariance, gain=begun - reached)


def _inverted(curvature: Floats, free: tuple[int, ...]) -> Floats:
    """Return the covariances, not finite for singular windows; a fixed coefficient has none."""
    covariance = np.zeros_like(curvature)
    (a, b), (_, c) = curvature[:, 0].T, curvature[:, 1].T
    with np.errstate(divide="ignore", invalid="ignore"):
        if len(free) == 1:
            covariance[:, free[0], free[0]] = 1 / (a, c)[free[0]]
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
