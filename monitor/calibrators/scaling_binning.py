"""Scaling-binning: Platt's line, flattened to a few steps, whose calibration error can be measured."""

from bisect import bisect_right
from typing import Final, Self, TypedDict

from .estimator import Estimator
from .family import Family
from .logistic import fit_rising_line
from .numeric import ArrayLike, Floats, Integers, np, special
from .parameters import MOST_KNOTS, Unchecked, as_many, exactly, not_falling, numbers, rising
from .rows import logit
from .singles import Into, Singles, ToProbability, as_probability

FEWEST_BINS: Final = 2


class _Parameters(TypedDict):
    edges: list[float]
    values: list[float]


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"edges", "values"})
    edges, values = numbers(parameters, "edges"), numbers(parameters, "values")
    as_many("values", values, "edges", edges, more=1)
    rising("edges", edges)
    not_falling("values", values)
    return {"edges": edges, "values": values}


def _scalar(parameters: _Parameters) -> ToProbability:
    edges, values = parameters["edges"], parameters["values"]

    def apply(p: float) -> float:
        if not 0.0 <= p <= 1.0:
            p = as_probability(p)
        return values[bisect_right(edges, p)]

    return apply


def _array(parameters: _Parameters) -> Into:
    edges, values = np.array(parameters["edges"]), np.array(parameters["values"])

    def into(p: Floats, out: Floats) -> None:
        place = np.searchsorted(edges, p, side="right")
        np.take(values, place, out=out, mode="clip")  # nothing lies outside: clip is quicker

    return into


class ScalingBinning(Estimator):
    """Map each p to the mean of Platt's line over its bin; the bins hold equal weight.

    1. Platt's line g is fitted as `Platt` does it.
    2. Bins hold equal weights of the rows' scores; equal scores stay together, so that a bin may hold more than its share.
    3. Each bin's value is the weighted mean of g over its rows.

    Only the first step looks at labels, so nothing is gained by keeping a part of the rows from it: all three steps use all rows, as in the
    authors' own package. The order of the rows does not matter.

    Parameters
    ----------
    task : `binary` or `confidence`
    bins : number of bins, at least 2

    Attributes
    ----------
    edges_ : array of shape (B - 1,), strictly increasing; a p equal to an edge lies above it. B ≤ bins
    values_ : array of shape (B,), not decreasing

    References
    ----------
    Kumar, Liang, Ma 2019, doi:10.48550/arXiv.1909.10155

    Examples
    --------
    >>> fitted = ScalingBinning(bins=2).fit([0.1, 0.2, 0.3, 0.6, 0.7, 0.8], [0, 0, 1, 0, 1, 1])
    >>> fitted.edges_.round(6).tolist(), fitted.predict_proba([0.1, 0.3, 0.6]).round(3).tolist()
    ([0.45], [0.332, 0.332, 0.668])

    """

    family = Family(
        method="scaling_binning",
        sentence="the mean of a fitted map in each of 15 bins",
        parameters="{edges, values}",
        check=_check,
        singles=Singles(scalar=_scalar, array=_array),
        curve=True,
    )

    def __init__(self, *, task: str = "binary", bins: int = 15) -> None:
        self.task = task
        self.bins = bins

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the line, and flatten it.

        Parameters
        ----------
        X : array of shape (n,), probabilities
        y : array of shape (n,), outcomes 0 or 1
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows or numbers of bins.
        NotIdentified
            for outcomes or scores that are all the same, or higher scores that are not more often right.

        """
        if not FEWEST_BINS <= self.bins <= MOST_KNOTS:
            raise ValueError(f"bins is {self.bins}; it must be from {FEWEST_BINS} to {MOST_KNOTS}")
        p, outcome, weight = self._rows(X, y, sample_weight)
        fitted = fit_rising_line(logit(p), outcome, weight)
        value, place = np.unique(p, return_inverse=True)
        mass = np.bincount(place, weights=weight).astype(np.float64)
        starts = _starts(mass, self.bins)
        scaled = np.asarray(special.expit(fitted.slope * logit(value) + fitted.intercept))
        mean = np.add.reduceat(scaled * mass, starts) / np.add.reduceat(mass, starts)
        self.edges_ = _between(value[starts[1:] - 1], value[starts[1:]])
        self.values_ = np.maximum.accumulate(np.clip(mean, 0.0, 1.0))  # rounding must not make a step down
        return self

    def _parameters(self) -> _Parameters:
        return {"edges": self.edges_.tolist(), "values": self.values_.tolist()}

    def _restore(self, parameters: _Parameters) -> None:
        self.edges_, self.values_ = np.array(parameters["edges"]), np.array(parameters["values"])


def _starts(mass: Floats, bins: int) -> Integers:
    """Return the starts of bins among ordered scores: a score goes to the bin that holds the middle of its weight."""
    middle = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    placed = np.minimum(np.floor(middle * bins), bins - 1)
    return np.flatnonzero(np.diff(placed, prepend=-1.0)).astype(np.int64)


def _between(below: Floats, above: Floats) -> Floats:
    """Return edges half-way between the last score of a bin and the first of the next."""
    middle = (below + above) / 2.0
    return np.where(middle > below, middle, above)  # neighbouring floats have nothing between them
