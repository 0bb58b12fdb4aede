"""Predictive distributions as they are stated in JSON: `mean` and `std`, or `quantiles` by level. Plain Python, without NumPy."""

from collections.abc import Mapping
from typing import Any

from .calibrators.distributions import WHOLE, Distribution
from .domain.errors import BadInput
from .domain.events import MAX_AMOUNT, MAX_LEVELS, levels_of

Fields = dict[str, Any]


def distribution(given: Mapping[str, Any]) -> Distribution:
    """Return the distribution that fields state.

    Raises
    ------
    BadInput
        naming the field that is not usable.

    Examples
    --------
    >>> distribution({"mean": 1, "std": 2.5}).values, distribution({"quantiles": {"0.9": 3, "0.1": 1}}).levels
    ((1.0, 2.5), (100, 900))

    """
    names = set(given)
    if names == {"mean", "std"}:
        values = tuple(_amount(name, given[name]) for name in ("mean", "std"))
        if not values[1] > 0.0:
            raise BadInput("std", given["std"], "must be above 0")
        return Distribution((), values)
    if names != {"quantiles"}:
        raise BadInput("distribution", sorted(names), "must have mean and std, or quantiles, and nothing else")
    return _of_quantiles(given["quantiles"])


def _of_quantiles(quantiles: Any) -> Distribution:
    if not isinstance(quantiles, Mapping) or not 2 <= len(quantiles) <= MAX_LEVELS:  # noqa: PLR2004  one is no distribution
        raise BadInput("quantiles", quantiles, f"must be 2 to {MAX_LEVELS} quantiles by level")
    levels = levels_of(tuple(quantiles)) if all(isinstance(name, str) for name in quantiles) else None
    if levels is None or len(set(levels)) < len(levels):
        raise BadInput(
            "quantiles", list(quantiles), "must have levels in decimals as 0.05, from 0.001 to 0.999, each once"
        )
    found = sorted(zip(levels, (_amount("quantiles", value) for value in quantiles.values()), strict=True))
    try:
        return Distribution(tuple(level for level, _ in found), tuple(value for _, value in found))
    except ValueError as error:
        raise BadInput("quantiles", quantiles, str(error)) from error


def _amount(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_AMOUNT:
        raise BadInput(name, value, f"must be a number between {-MAX_AMOUNT:g} and {MAX_AMOUNT:g}")
    return float(value)


def fields_of(found: Distribution, raw: str = "", named: Mapping[str, Any] | None = None) -> Fields:
    """Return the fields that state a distribution.

    Parameters
    ----------
    raw : put before each field's name: `raw_` for what the model itself said
    named : quantiles whose levels' spelling is to be kept

    Examples
    --------
    >>> fields_of(Distribution((), (1.0, 2.5)), "raw_"), fields_of(Distribution((50, 950), (1.0, 2.0)), named={".05": 0})
    ({'raw_mean': 1.0, 'raw_std': 2.5}, {'quantiles': {'.05': 1.0, '0.95': 2.0}})

    """
    if not found.levels:
        return dict(zip((f"{raw}mean", f"{raw}std"), found.values, strict=True))
    names = tuple(named or ())
    spelled = dict(zip(levels_of(names) or (), names, strict=True))
    levels = (spelled.get(level, f"{level / WHOLE:g}") for level in found.levels)
    return {f"{raw}quantiles": dict(zip(levels, found.values, strict=True))}
