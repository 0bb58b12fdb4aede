"""Predictive distributions as JSON: a mean and a standard deviation, or quantiles by level."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ...calibrators.distributions import Distribution
from ...domain.errors import BadInput
from ...domain.events import MAX_AMOUNT, MAX_LEVELS, level_name, levels_of
from ...domain.rounding import ascending


def distribution(fields: Mapping[str, Any]) -> Distribution:
    """Return the distribution that a mean and a standard deviation, or quantiles, state.

    Raises
    ------
    BadInput
        naming the unusable field.

    Examples
    --------
    >>> distribution({"mean": 1, "std": 2.5}).values, distribution({"quantiles": {"0.9": 3, "0.1": 1}}).levels
    ((1.0, 2.5), (100, 900))

    """
    names = set(fields)
    if names == {"mean", "std"}:
        values = tuple(_amount(name, fields[name]) for name in ("mean", "std"))
        if not values[1] > 0.0:
            raise BadInput("std", fields["std"], "must be above 0")
        return Distribution((), values)
    if names != {"quantiles"}:
        raise BadInput("distribution", sorted(names), "must have mean and std, or quantiles, and nothing else")
    return _of_quantiles(fields["quantiles"])


def _of_quantiles(quantiles: Any) -> Distribution:
    if not isinstance(quantiles, Mapping) or not 2 <= len(quantiles) <= MAX_LEVELS:  # noqa: PLR2004  one is no distribution
        raise BadInput("quantiles", quantiles, f"must be 2 to {MAX_LEVELS} quantiles by level")
    levels = levels_of(tuple(quantiles)) if all(isinstance(name, str) for name in quantiles) else None
    if levels is None or len(set(levels)) < len(levels):
        raise BadInput(
            "quantiles", list(quantiles), "must have levels in decimals as 0.05, from 0.001 to 0.999, each once"
        )
    by_level = sorted(zip(levels, (_amount("quantiles", value) for value in quantiles.values()), strict=True))
    try:
        return Distribution(tuple(level for level, _ in by_level), tuple(ascending([value for _, value in by_level])))
    except ValueError as error:
        raise BadInput("quantiles", quantiles, str(error)) from error


def _amount(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_AMOUNT:
        raise BadInput(name, value, f"must be a number between {-MAX_AMOUNT:g} and {MAX_AMOUNT:g}")
    return float(value)


class Stated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A predictive distribution: mean and standard deviation, or quantiles by level."""

    mean: float | UnsetType = UNSET
    std: float | UnsetType = UNSET
    quantiles: dict[str, float] | UnsetType = UNSET


def stated(served: Distribution, named: Mapping[str, Any] | None = None) -> Stated:
    """Return a distribution as it is answered.

    Parameters
    ----------
    named : quantiles whose spelling of levels is kept

    Examples
    --------
    >>> stated(Distribution((), (1.0, 2.5)))
    Stated(mean=1.0, std=2.5, quantiles=UNSET)
    >>> stated(Distribution((50, 950), (1.0, 2.0)), named={".05": 0}).quantiles
    {'.05': 1.0, '0.95': 2.0}

    """
    if not served.levels:
        mean, std = served.values
        return Stated(mean=mean, std=std)
    names = tuple(named or ())
    spelled = dict(zip(levels_of(names) or (), names, strict=True))
    levels = (spelled.get(level, level_name(level)) for level in served.levels)
    return Stated(quantiles=dict(zip(levels, served.values, strict=True)))
