"""Isotonic regression: any map that does not decrease, for many labels."""

import math
from bisect import bisect_right
from itertools import pairwise
from typing import Final, Self, TypedDict

from .errors import BadDocument
from .estimator import Estimator
from .family import Family
from .numeric import ArrayLike, Floats, Integers, np, optimize
from .parameters import MOST_KNOTS, Unchecked, as_many, exactly, not_falling, numbers, rising
from .singles import Into, Singles, ToProbability, as_probability

# Confidences are rounded to steps of 1e-15: it keeps every slope between knots finite.
STEPS: Final = 10**15


class _Parameters(TypedDict):
    x: list[float]
    y: list[float]


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"x", "y"})
    x, y = numbers(parameters, "x"), numbers(parameters, "y")
    as_many("y", y, "x", x)
    rising("x", x)
    not_falling("y", y)
    if not all(math.isfinite(slope) for slope in _slopes(x, y)):
        raise BadDocument("parameters.x", x, "its entries lie too close together")
    return {"x": x, "y": y}


def _slopes(x: list[float], y: list[float]) -> list[float]:
    """Return the slope of each piece between two knots."""
    return [
        (above - below) / (after - before)
        for (before, after), (below, above) in zip(pairwise(x), pairwise(y), strict=True)
    ]


def _scalar(parameters: _Parameters) -> ToProbability:
    x, y = parameters["x"], parameters["y"]
    slopes, first, last, knots = _slopes(x, y), y[0], y[-1], len(x)

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            p = as_probability(p)
        above = bisect_right(x, p)
        if above == 0:
            return first
        if above == knots:
            return last
        value = slopes[above - 1] * (p - x[above - 1]) + y[above - 1]
        return value if value < last else last  # noqa: FURB136  min() is four times slower; rounding must not carry it beyond 1

    return apply


def _array(parameters: _Parameters) -> Into:
    x, y = np.array(parameters["x"]), np.array(parameters["y"])

    def into(p: Floats, out: Floats) -> None:
        np.minimum(
            np.interp(p, x, y), y[-1], out=out
        )  # rounding must not carry a value beyond the last one, which may be 1

    return into


class Isotonic(Estimator):
    """Map each p to the frequency of right answers, pooled until the map does not decrease.

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

    family = Family(
        method="isotonic",
        sentence="any map that never falls, centred and interpolated",
        parameters="{x, y}",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        tried_from=10_000,
        curve=True,
    )

    def __init__(self, *, task: str = "binary") -> None:
        self.task = task

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the blocks.

        Parameters
        ----------
        X : array of shape (n,), probabilities
        y : array of shape (n,), outcomes 0 or 1
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows, or more blocks than a document may hold.
        NotIdentified
            for outcomes that are all the same.

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

    def _parameters(self) -> _Parameters:
        return {"x": self.x_.tolist(), "y": self.y_.tolist()}

    def _restore(self, parameters: _Parameters) -> None:
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
    pooled = optimize.isotonic_regression(np.add.reduceat(ones, starts) / merged, weights=merged)
    return np.asarray(starts[np.asarray(pooled.blocks[:-1])], dtype=np.int64)


def _centres(value: Floats, total: Floats, starts: Integers) -> Floats:
    centre = np.add.reduceat(value * total, starts) / np.add.reduceat(total, starts)
    # Rounding must not carry a mean out of its block, or centres could meet.
    last = np.append(starts[1:], len(value)) - 1
    return np.asarray(np.clip(centre, value[starts], value[last]), dtype=np.float64)
