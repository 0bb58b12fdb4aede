"""One factor that makes every predictive distribution wider or narrower, and leaves means and medians."""

import math
from collections.abc import Sequence
from typing import Final, Self, TypedDict

from .distribution_estimator import DistributionCalibrator
from .distribution_rows import Group, groups, middles, rows_to_fit, spreads
from .distributions import WHOLE, Distribution, Distributions, OfMany, ToDistribution, median_place
from .errors import NotIdentified
from .family import Family
from .numeric import ArrayLike, Floats, Objects, np
from .parameters import Unchecked, exactly, number

NARROWEST: Final = 1e-3
WIDEST: Final = 1e3

HALVINGS: Final = 48
_ROOT_PI: Final = math.sqrt(math.pi)
_ROOT_2PI: Final = math.sqrt(2.0 * math.pi)


class _Parameters(TypedDict):
    scale: float


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"scale"})
    return {"scale": number(parameters, "scale", NARROWEST, WIDEST)}


def _scalar(parameters: _Parameters) -> ToDistribution:
    scale = parameters["scale"]

    def apply(raw: Distribution) -> Distribution:
        if not raw.levels:
            mean, std = raw.values
            return Distribution((), (mean, scale * std), raw.chance)
        middle = raw.location
        return Distribution(raw.levels, tuple([middle + scale * (value - middle) for value in raw.values]), raw.chance)

    return apply


def _array(parameters: _Parameters) -> OfMany:
    scale = parameters["scale"]

    def apply(levels: tuple[int, ...], values: Floats) -> tuple[tuple[int, ...], Floats]:
        if not levels:
            return levels, np.stack([values[:, 0], scale * values[:, 1]], axis=1)
        base, start, end, share = median_place(levels)
        middle = values[:, [base]] + share * (values[:, [end]] - values[:, [start]])
        return levels, middle + scale * (values - middle)

    return apply


class VarianceScaling(DistributionCalibrator):
    """Multiply each standard deviation by s, or each quantile's distance from its median: s > 1 cures overconfidence.

    s minimises the mean continuous ranked probability score, each row's in units of its own standard deviation (of quantiles, that of the
    normal distribution with the two outermost). For normal distributions that is the s with mean exp(-z²/2s²) = 1/√2,
    z = (y - mean)/std. Where errors are normal, it estimates what the maximum of the likelihood, √(mean z²), estimates, from 1.24 times
    as many labels; but one wrong label hardly moves it, and moves the likelihood's without bound. Means and medians stay, so a bias is not
    cured, and a user of the point prediction alone sees no change. s must lie in [1e-3, 1e3].

    Parameters
    ----------
    task : `regression`
    levels : of quantiles, in (0, 1), where X holds them as numbers; by default such an X holds means and standard deviations

    Attributes
    ----------
    scale_ : s

    References
    ----------
    Levi, Gispan, Giladi, Fetaya 2019, doi:10.48550/arXiv.1905.11659; Laves, Ihler, Fast, Kahrs, Ortmaier 2021,
    doi:10.48550/arXiv.2104.12376

    Examples
    --------
    >>> mean_and_std, y = [[0.0, 1.0]] * 4, [-3.0, -1.0, 1.0, 3.0]
    >>> fitted = VarianceScaling().fit(mean_and_std, y)
    >>> [round(float(value), 3) for value in fitted.predict_proba([[5.0, 2.0]])[0].values]
    [5.0, 5.026]

    """

    family = Family(
        method="variance_scaling",
        sentence="every distribution wider or narrower by one factor",
        parameters="{scale}",
        check=_check,
        distributions=Distributions(scalar=_scalar, array=_array),
        tried_from=200,
    )

    def fit(self, X: ArrayLike | Objects, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the factor.

        Parameters
        ----------
        X : array of shape (n,) of `calwatch.calibrators.distributions.Distribution`; or of shape (n, 2), means and standard deviations;
            or with `levels`, of shape (n, levels), quantiles
        y : array of shape (n,), labels in the unit of the predictions
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows.
        NotIdentified
            for no best factor in [1e-3, 1e3], or distributions without any width.

        """
        rows, label, weight = rows_to_fit(X, y, sample_weight, self.levels)
        self.scale_ = math.exp(_root(_Slopes(groups(rows), label, weight)))
        return self

    def _parameters(self) -> _Parameters:
        return {"scale": float(self.scale_)}

    def _restore(self, parameters: _Parameters) -> None:
        self.scale_ = parameters["scale"]


class _Slopes:
    """The derivative by s of the weighted mean score, which is convex in s."""

    def __init__(self, rows: Sequence[Group], y: Floats, weight: Floats) -> None:
        wide = [(group, spreads(group)) for group in rows]
        self._normal = [
            (np.abs(y[group.rows] - middles(group)) / spread, weight[group.rows])
            for group, spread in wide
            if not group.levels
        ]
        self._stated = [_stated(group, y, weight, spread) for group, spread in wide if group.levels]
        if not self._normal and not any(share.any() for *_, share in self._stated):
            raise NotIdentified("all quantiles of each distribution are the same: there is no width to scale")

    def __call__(self, scale: float) -> float:
        total = 0.0
        for z, weight in self._normal:
            total += float(weight @ (2.0 * np.exp(-0.5 * (z / scale) ** 2) / _ROOT_2PI - 1.0 / _ROOT_PI))
        for gap, error, level, share in self._stated:
            total += float(share @ (gap * ((error[:, None] <= scale * gap) - level)).mean(axis=1))
        return total


def _stated(group: Group, y: Floats, weight: Floats, spread: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return distances of quantiles and of labels from the medians, the levels, and the weights of rows."""
    middle, wide = middles(group), spread > 0.0
    share = np.divide(2.0 * weight[group.rows], spread, out=np.zeros_like(spread), where=wide)
    return group.values - middle[:, None], y[group.rows] - middle, np.array(group.levels) / WHOLE, share


def _root(slope: _Slopes) -> float:
    """Return log s at the derivative's change of sign."""
    low, high = math.log(NARROWEST), math.log(WIDEST)
    if slope(WIDEST) < 0.0:
        raise NotIdentified(f"labels lie more than {WIDEST:g} times farther off than the distributions say")
    if slope(NARROWEST) > 0.0:
        raise NotIdentified(f"labels lie more than {1 / NARROWEST:g} times closer than the distributions say")
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if slope(math.exp(middle)) < 0.0 else (low, middle)
    return (low + high) / 2.0
