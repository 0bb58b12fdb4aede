"""Isotonic PIT: each quantile is served from the level that labels have shown it to have."""

from functools import lru_cache
from itertools import accumulate
from typing import Final, Self, TypedDict

from .distribution_estimator import DistributionCalibrator
from .distribution_rows import completed_ranks, groups, rows_to_fit
from .distributions import (
    SERVED_LEVELS,
    Distribution,
    Distributions,
    OfMany,
    Place,
    ToDistribution,
    inverted,
    places,
)
from .errors import NotIdentified
from .family import Family
from .numeric import ArrayLike, Floats, Objects, np
from .parameters import Unchecked, as_many, exactly, not_falling, numbers, rising

KNOTS: Final = tuple(k / 200 for k in range(1, 200))
"""Frequencies that the map is kept at: .005, .010 … .995."""


class _Parameters(TypedDict):
    x: list[float]
    y: list[float]


def _check(parameters: Unchecked, _task: str) -> _Parameters:
    exactly(parameters, {"x", "y"})
    x, y = numbers(parameters, "x"), numbers(parameters, "y")
    as_many("y", y, "x", x)
    not_falling("x", x)
    rising("y", [0.0, *y, 1.0], "it must be strictly increasing, between 0 and 1")
    return {"x": x, "y": y}


def _scalar(parameters: _Parameters) -> ToDistribution:
    x, y = parameters["x"], parameters["y"]

    @lru_cache(maxsize=64)
    def plan(levels: tuple[int, ...]) -> tuple[Place, ...]:
        return places(levels, inverted(x, y, levels))

    normal = inverted(x, y, SERVED_LEVELS)

    def apply(raw: Distribution) -> Distribution:
        values = raw.values
        if not raw.levels:
            mean, std = values
            return Distribution(SERVED_LEVELS, tuple([mean + z * std for z in normal]), raw.chance)
        served = [values[base] + share * (values[end] - values[start]) for base, start, end, share in plan(raw.levels)]
        # Rounding may put the end of one line an ulp above the beginning of the next.
        return Distribution(raw.levels, tuple(accumulate(served, max)), raw.chance)

    return apply


def _array(parameters: _Parameters) -> OfMany:
    x, y = parameters["x"], parameters["y"]
    normal = np.array(inverted(x, y, SERVED_LEVELS))

    def apply(levels: tuple[int, ...], values: Floats) -> tuple[tuple[int, ...], Floats]:
        if not levels:
            return SERVED_LEVELS, values[:, :1] + normal * values[:, 1:]
        base, start, end, share = zip(*places(levels, inverted(x, y, levels)), strict=True)
        served = values[:, base] + np.array(share) * (values[:, end] - values[:, start])
        return levels, np.maximum.accumulate(served, axis=1)

    return apply


class PitIsotonic(DistributionCalibrator):
    """Serve at level q the raw quantile at level R⁻¹(q), R(p) being the frequency of labels at or under the raw quantile at level p.

    R is the distribution function of the probability integral transforms F(y) of the labels: the isotonic regression of their own
    frequencies, which rise already. It is kept where it is .005, .010 … .995, at the i/(n + 1) plotting positions, linear in between and
    from (0, 0) and to (1, 1). Any shape is cured that is the same in all distributions: bias in units of the standard deviation, a wrong
    width, heavy or uneven tails.

    A normal distribution is served by quantiles, at the levels `calwatch.calibrators.distributions.SERVED_LEVELS`, since it is normal no
    longer; quantiles are served at their own levels. Between and beyond stated quantiles F is completed, alike when R is learned and when
    it is applied: so a quantile beyond the outermost is placed where labels were, as far as there were any.

    Parameters
    ----------
    task : `regression`
    levels : of quantiles, in (0, 1), where X holds them as numbers; by default such an X holds means and standard deviations

    Attributes
    ----------
    x_ : array of shape (199,), raw levels, not falling
    y_ : array of shape (199,), frequencies of labels at or under them, rising

    References
    ----------
    Kuleshov, Fenner, Ermon 2018, doi:10.48550/arXiv.1807.00263

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, y = np.tile([0.0, 1.0], (20_000, 1)), rng.normal(0.5, 2.0, 20_000)
    >>> served = PitIsotonic().fit(X, y).predict_proba([[0.0, 1.0]])[0]
    >>> [round(served.values[served.levels.index(level)], 1) for level in (150, 500, 850)]
    [-1.5, 0.5, 2.6]

    """

    family = Family(
        method="pit_isotonic",
        sentence="each quantile from the level that labels show it to have: bias and heavy tails too",
        parameters="{x, y}",
        check=_check,
        distributions=Distributions(scalar=_scalar, array=_array),
        tried_from=1_000,
    )

    def fit(self, X: ArrayLike | Objects, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the map of levels.

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
            for half of the labels or more beyond all that the distributions hold for possible.

        """
        rows, label, weight = rows_to_fit(X, y, sample_weight, self.levels)
        rank = np.empty(len(label))
        for group in groups(rows):
            rank[group.rows] = completed_ranks(group, label[group.rows])
        self.x_, self.y_ = _positions(rank, weight), np.array(KNOTS)
        if self.x_[len(KNOTS) // 2] in (0.0, 1.0):
            raise NotIdentified("most labels lie beyond all that the distributions hold for possible")
        return self

    def _parameters(self) -> _Parameters:
        return {"x": self.x_.tolist(), "y": self.y_.tolist()}

    def _restore(self, parameters: _Parameters) -> None:
        self.x_, self.y_ = np.array(parameters["x"]), np.array(parameters["y"])


def _positions(rank: Floats, weight: Floats) -> Floats:
    """Return the ranks at the frequencies of KNOTS, each rank at its plotting position i/(n + 1), one of weight w as w rows."""
    order = np.argsort(rank, kind="stable")
    last = np.cumsum(weight[order])
    first = last - weight[order] + np.minimum(weight[order], 1.0)
    position = np.column_stack([first, last]).ravel() / (last[-1] + 1.0)
    return np.asarray(np.interp(KNOTS, position, np.repeat(rank[order], 2)))
