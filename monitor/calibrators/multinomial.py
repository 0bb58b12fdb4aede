"""Multinomial lines: a slope and an intercept for each class on the logarithms of its probabilities, fitted by Newton's method."""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from .errors import NotIdentified
from .numeric import Floats, Integers, linalg, np
from .parameters import SMALLEST, STEEPEST

MOST_STEPS: Final = 100
SETTLED: Final = 1e-8  # a last step that moves no score by more; the next would move them by its square
RUNS_AWAY: Final = 1e-3  # a step as long as this that gains nothing leads nowhere
NO_GAIN: Final = 1e-20  # of the mean log loss, as a step promises it
ROUNDING: Final = 1e-14  # of the mean log loss, as it is measured
ENOUGH_DECREASE: Final = 1e-4
DEEPEST: Final = -math.log(SMALLEST)

LARGEST_SOLVED: Final = 200  # classes; of more, forming the Hessian costs more than multiplying with it
EXACTNESS: Final = 1e-4  # of a step that is found by conjugate gradients, relative to its gradient
CHUNK: Final = 1 << 15  # entries worked on at a time: they stay in the processor's cache


class Lines(NamedTuple):
    """A slope and an intercept for each class; arrays of shape (K,)."""

    slopes: Floats
    intercepts: Floats


def normal_logs(scores: Floats) -> Floats:
    """Return log p, at least log(1e-15), of the softmax of scores whose highest in a row is 0; shape (n, K)."""
    totals = np.empty(len(scores))
    for rows in _chunks(scores):
        totals[rows] = np.exp(scores[rows]).sum(axis=1)
    return np.maximum(scores - np.log(totals)[:, None], -DEEPEST)


def fit_lines(logs: Floats, label: Integers, share: Floats, *, start: float, ridge: float) -> Lines:
    """Return the lines that minimise the mean log loss + ridge·(Σ(slope - 1)² + Σ intercept²).

    Parameters
    ----------
    logs : array of shape (n, K), logarithms of probabilities, none under log(1e-15)
    label : array of shape (n,), 0 to K - 1
    share : array of shape (n,), positive, with the sum 1
    start : initial slope
    ridge : strength of the hold of slopes to 1 and of intercepts to 0

    Raises
    ------
    NotIdentified
        for lines that run away: the scores separate labels without an error.

    """
    loss = _Loss(logs, label, share, ridge)
    slopes, intercepts = np.split(_newton(loss, np.repeat([start, 0.0], logs.shape[1])), 2)
    return Lines(slopes, intercepts - intercepts.mean())


def usable(lines: Lines) -> Lines:
    """Return lines unchanged; raise NotIdentified for lines that a document cannot hold."""
    slopes, intercepts = lines
    if slopes.min() <= 0.0:
        raise NotIdentified(
            f"the slope of class {slopes.argmin()} is {slopes.min():.4g}: the likelier it seems, the rarer it is; are labels swapped?"
        )
    if not max(slopes.max(), np.abs(intercepts).max()) <= STEEPEST:
        raise NotIdentified(
            f"slopes up to {slopes.max():.4g} and intercepts up to {np.abs(intercepts).max():.4g} run away"
        )
    return lines


class _Loss:
    """The mean log loss, with the ridge, of lines laid end to end: K slopes and K intercepts."""

    def __init__(self, logs: Floats, label: Integers, share: Floats, ridge: float) -> None:
        self.logs, self.label, self.share, self.ridge = logs, label, share, ridge
        self.classes, self.deepest = logs.shape[1], -float(logs.min())
        chosen = logs[np.arange(len(label)), label]
        sums = [np.bincount(label, weights=weight, minlength=self.classes) for weight in (share * chosen, share)]
        self.observed = np.concatenate(sums)
        self.middle = np.repeat([1.0, 0.0], self.classes)

    def value(self, lines: Floats) -> float:
        """Return the loss."""
        normals = sum(float(self.share[rows] @ log_totals) for rows, _, log_totals in self._softmaxed(lines))
        return normals - float(self.observed @ lines) + self.ridge * float(((lines - self.middle) ** 2).sum())

    def slope(self, lines: Floats, visit: Callable[[slice, Floats], None]) -> tuple[float, Floats]:
        """Return the loss and its gradient; call `visit` with the rows and probabilities of each chunk."""
        normals, expected = 0.0, np.zeros(2 * self.classes)
        for rows, p, log_totals in self._softmaxed(lines):
            share = self.share[rows]
            normals += float(share @ log_totals)
            expected[: self.classes] += np.einsum("i,ij,ij->j", share, p, self.logs[rows])
            expected[self.classes :] += share @ p
            visit(rows, p)
        away = lines - self.middle
        loss = normals - float(self.observed @ lines) + self.ridge * float((away**2).sum())
        return loss, expected - self.observed + 2.0 * self.ridge * away

    def _softmaxed(self, lines: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield rows, their probabilities and the logarithms of the softmax's denominators, chunk by chunk."""
        slopes, intercepts = np.split(lines, 2)
        for rows in _chunks(self.logs):
            p = self.logs[rows] * slopes
            p += intercepts
            highest = p.max(axis=1, keepdims=True)
            p -= highest
            np.exp(p, out=p)
            total = p.sum(axis=1, keepdims=True)
            p /= total
            yield rows, p, (highest + np.log(total))[:, 0]


def _chunks(matrix: Floats) -> Iterator[slice]:
    rows, classes = matrix.shape
    size = max(16, CHUNK // classes)
    for first in range(0, rows, size):
        yield slice(first, first + size)


def _newton(loss: _Loss, lines: Floats) -> Floats:
    curvature = _Solved if loss.classes <= LARGEST_SOLVED else _Multiplied
    for _ in range(MOST_STEPS):
        at = curvature(loss)
        now, gradient = loss.slope(lines, at.visit)
        step = at.solve(-gradient)
        gain, reach = -float(gradient @ step), _reach(step, loss.deepest)
        if reach <= SETTLED or (gain <= NO_GAIN and reach <= RUNS_AWAY):
            return np.asarray(lines + step)
        if gain <= NO_GAIN:
            break
        length = 1.0
        while loss.value(lines + length * step) > now - ENOUGH_DECREASE * length * gain + ROUNDING:
            length /= 2.0
        lines = lines + length * step
    raise NotIdentified("slopes and intercepts run away: the scores separate labels without an error")


def _reach(step: Floats, deepest: float) -> float:
    """Return an upper bound of the move of any score by a step."""
    slopes, intercepts = np.abs(np.split(step, 2))
    return float((deepest * slopes + intercepts).max())


class _Solved:
    """The Hessian, formed: for few classes."""

    def __init__(self, loss: _Loss) -> None:
        self.loss = loss
        self.hessian = np.zeros((2 * loss.classes, 2 * loss.classes))

    def visit(self, rows: slice, p: Floats) -> None:
        """Add the curvature of a chunk of rows: Σ share·(diag(p) - p pᵀ), by slopes (times log p) and by intercepts."""
        k, logs = self.loss.classes, self.loss.logs[rows]
        share = self.loss.share[rows]
        design = np.empty((len(p), 2 * k))
        np.multiply(p, np.sqrt(share)[:, None], out=design[:, k:])
        np.multiply(design[:, k:], logs, out=design[:, :k])
        self.hessian -= design.T @ design
        weighted, here = p * logs, np.arange(k)
        straight, bent = share @ weighted, np.einsum("i,ij,ij->j", share, weighted, logs)
        self.hessian[here, here] += bent
        self.hessian[here, k + here] += straight
        self.hessian[k + here, here] += straight
        self.hessian[k + here, k + here] += share @ p

    def solve(self, right: Floats) -> Floats:
        """Return the step whose product with the Hessian is the right side."""
        k = self.loss.classes
        self.hessian[np.diag_indices(2 * k)] += 2.0 * self.loss.ridge
        self.hessian[k:, k:] += 1.0 / k  # intercepts that all move alike change nothing: this keeps their sum
        try:
            return np.asarray(np.linalg.solve(self.hessian, right), dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise NotIdentified("the scores of a class are all the same, or separate its labels") from error


class _Multiplied:
    """The Hessian, only ever multiplied with: for many classes."""

    def __init__(self, loss: _Loss) -> None:
        self.loss = loss
        self.p = np.empty_like(loss.logs)
        self.blocks = np.zeros((3, loss.classes))

    def visit(self, rows: slice, p: Floats) -> None:
        """Keep a chunk's probabilities, and add the curvature of each class by itself."""
        self.p[rows] = p
        logs = self.loss.logs[rows]
        own = p * (1.0 - p) * self.loss.share[rows][:, None]
        bent = own * logs
        self.blocks += [np.einsum("ij,ij->j", bent, logs), bent.sum(axis=0), own.sum(axis=0)]

    def solve(self, right: Floats) -> Floats:
        """Return the step whose product with the Hessian is nearly the right side, by conjugate gradients."""
        size = len(right)
        step, _ = linalg.cg(
            linalg.LinearOperator((size, size), matvec=self._times, dtype=np.float64),
            right,
            rtol=EXACTNESS,
            maxiter=size,
            M=linalg.LinearOperator((size, size), matvec=self._preconditioner(), dtype=np.float64),
        )
        slopes, intercepts = np.split(step, 2)
        return np.concatenate([slopes, intercepts - intercepts.mean()])  # all moved alike change nothing

    def _times(self, step: Floats) -> Floats:
        slopes, intercepts = np.split(step.ravel(), 2)
        product = np.zeros(2 * self.loss.classes)
        for rows in _chunks(self.p):
            p, logs = self.p[rows], self.loss.logs[rows]
            moved = logs * slopes
            moved += intercepts
            moved -= np.einsum("ij,ij->i", p, moved)[:, None]
            moved *= p
            moved *= self.loss.share[rows][:, None]
            product[: self.loss.classes] += np.einsum("ij,ij->j", moved, logs)
            product[self.loss.classes :] += moved.sum(axis=0)
        return np.asarray(product + 2.0 * self.loss.ridge * step.ravel())

    def _preconditioner(self) -> Callable[[Floats], Floats]:
        """Return the solver of each class by itself, a block of two unknowns."""
        tiny = 1e-12
        bent, straight, flat = self.blocks
        bent, flat = bent + 2.0 * self.loss.ridge + tiny, flat + 2.0 * self.loss.ridge + tiny
        scale = 1.0 / np.maximum(bent * flat - straight**2, tiny * bent * flat)

        def solve(right: Floats) -> Floats:
            first, second = np.split(right.ravel(), 2)
            both = flat * first - straight * second, bent * second - straight * first
            return np.concatenate([scale * part for part in both])

        return solve
