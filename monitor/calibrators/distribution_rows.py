"""Rows of predictive distributions, checked, and grouped into matrices of distributions with the same levels."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .distributions import SERVED_LEVELS, WHOLE, Distribution, median_place, scores
from .errors import NotIdentified
from .numeric import ArrayLike, Floats, Integers, Objects, np, special
from .rows import weights


class Group(NamedTuple):
    """Rows with the same levels."""

    levels: tuple[int, ...]  # in thousandths; empty: normal
    values: Floats  # (m, levels), or (m, 2): mean and standard deviation
    chance: Floats  # (m,)
    rows: Integers  # (m,) their places among all rows


def distributions(X: Any, levels: Sequence[float] | None = None, name: str = "X") -> Objects:
    """Return rows as distributions, shape (n,); raise ValueError unless each is one.

    Parameters
    ----------
    X : array of shape (n,) of Distribution; or of shape (n, 2), means and standard deviations; or of shape (n, levels), quantiles
    levels : of the quantiles, in (0, 1), to three decimals

    """
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        return _checked(X, name)
    if isinstance(X, list | tuple) and X and all(isinstance(row, Distribution) for row in X):
        return objects(X)
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is not an array of numbers or distributions: {error}") from error
    width = 2 if levels is None else len(levels)
    if values.ndim != 2 or values.shape[1] != width:  # noqa: PLR2004  rows and columns
        what = (
            "means and standard deviations have shape (n, 2)"
            if levels is None
            else f"quantiles have shape (n, {width})"
        )
        raise ValueError(f"{name} has shape {values.shape}; {what}")
    named = () if levels is None else tuple(round(WHOLE * level) for level in levels)
    return objects(Distribution(named, tuple(row)) for row in values.tolist())


def _checked(rows: Objects, name: str) -> Objects:
    odd = next((row for row in rows if not isinstance(row, Distribution)), None)
    if odd is not None:
        raise ValueError(f"{name} holds {odd!r}; it must hold distributions")
    return rows


def objects(rows: Iterable[Distribution]) -> Objects:
    """Return distributions as an array of shape (n,)."""
    listed = list(rows)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


def groups(rows: Objects) -> list[Group]:
    """Return rows as matrices, those with the same levels together."""
    places: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.levels, []).append(i)
    return [
        Group(
            levels,
            np.array([rows[i].values for i in alike], dtype=np.float64),
            np.array([rows[i].chance for i in alike], dtype=np.float64),
            np.array(alike, dtype=np.int64),
        )
        for levels, alike in places.items()
    ]


def rows_to_fit(
    X: Any,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    levels: Sequence[float] | None,
) -> tuple[Objects, Floats, Floats]:
    """Return distributions, labels and weights to fit on, without rows of weight 0.

    Raises
    ------
    ValueError
        for unusable rows.
    NotIdentified
        for rows without weight.

    """
    rows = distributions(X, levels)
    label, weight = labels(y, len(rows)), weights(sample_weight, len(rows))
    used = weight > 0.0
    if not used.any():
        raise NotIdentified("there are no rows to fit on")
    return rows[used], label[used], weight[used]


def labels(y: ArrayLike, rows: int) -> Floats:
    """Return labels as an array of shape (n,); raise ValueError unless they are finite."""
    try:
        label = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"y is not an array of numbers: {error}") from error
    if label.shape != (rows,):
        raise ValueError(f"y has shape {label.shape}; with {rows} rows it must be ({rows},)")
    if not np.isfinite(label).all():
        raise ValueError("y holds values that are not finite")
    return label


def middles(group: Group) -> Floats:
    """Return the mean, or the median of quantiles, of each row of a group."""
    if not group.levels:
        return group.values[:, 0]
    base, start, end, share = median_place(group.levels)
    return np.asarray(group.values[:, base] + share * (group.values[:, end] - group.values[:, start]))


def spreads(group: Group) -> Floats:
    """Return the standard deviation of each row of a group; of quantiles, that of the normal distribution with the two outermost."""
    if not group.levels:
        return group.values[:, 1]
    z = scores(group.levels)
    return np.asarray((group.values[:, -1] - group.values[:, 0]) / (z[-1] - z[0]))


def quantiles(group: Group) -> Group:
    """Return a group by quantiles: normal distributions at the levels that calibrated ones are served by."""
    if group.levels:
        return group
    mean, std = group.values[:, :1], group.values[:, 1:]
    return group._replace(levels=SERVED_LEVELS, values=mean + std * np.array(scores(SERVED_LEVELS)))


def completed_ranks(group: Group, y: Floats) -> Floats:
    """Return each label's level in its distribution, completed by the rule of `calwatch.calibrators.distributions`; shape (m,).

    Where the label equals several quantiles, its level is drawn evenly from between theirs.
    """
    if not group.levels:
        return np.asarray(special.ndtr((y - group.values[:, 0]) / group.values[:, 1]))
    values, z, row = group.values, np.array(scores(group.levels)), np.arange(len(y))
    first, last = _around(values, y)
    low, high = np.clip(first - 1, 0, len(z) - 2), np.clip(first, 1, len(z) - 1)
    inner = _line(y, (values[row, low], z[low]), (values[row, high], z[high]))
    below = _tail(y - values[:, 0], spreads(group)) + z[0]
    above = _tail(y - values[:, -1], spreads(group)) + z[-1]
    joined = special.ndtr(np.where(first == 0, below, np.where(last == len(z), above, inner)))
    level = np.array(group.levels) / WHOLE
    lower, upper = level[np.minimum(first, len(z) - 1)], level[np.maximum(last - 1, 0)]
    return np.asarray(np.where(first < last, lower + group.chance * (upper - lower), joined))


def _around(values: Floats, y: Floats) -> tuple[Integers, Integers]:
    """Return the number of quantiles below each label, and at or below it; shapes (m,)."""
    return (values < y[:, None]).sum(axis=1), (values <= y[:, None]).sum(axis=1)


def _line(at: Floats, low: tuple[Floats, Floats], high: tuple[Floats, Floats]) -> Floats:
    width = high[0] - low[0]
    share = np.divide(at - low[0], width, out=np.zeros_like(at), where=width > 0.0)
    return np.asarray(low[1] + share * (high[1] - low[1]))


def _tail(distance: Floats, spread: Floats) -> Floats:
    far = np.copysign(np.inf, distance)
    return np.divide(distance, spread, out=far, where=spread > 0.0)


def drawn_ranks(group: Group, y: Floats) -> Floats:
    """Return the probability integral transform of each label in a group of quantiles, as a regression's figures use it; shape (m,).

    It is drawn evenly from between the stated levels that the label lies between, as `calwatch.stats.regression.of_quantiles` says.
    """
    first, last = _around(group.values, y)
    edges = np.array([0, *group.levels, WHOLE]) / WHOLE
    low, high = edges[first], edges[np.where(first == last, first, last - 1) + 1]
    return np.asarray(low + group.chance * (high - low))


def crps(group: Group, y: Floats) -> Floats:
    """Return the continuous ranked probability score of each row of a group of quantiles, shape (m,).

    Twice the mean over the levels of the pinball loss (q - y)(1[y <= q] - τ), as `calwatch.stats.regression.of_quantiles`.
    Gneiting & Ranjan 2011 (doi:10.1198/jbes.2010.08110).
    """
    level = np.array(group.levels) / WHOLE
    gap = group.values - y[:, None]
    return np.asarray(2.0 * (gap * ((gap >= 0.0) - level)).mean(axis=1))
