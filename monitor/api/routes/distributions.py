"""Distributions over HTTP: what a regression's champion makes of some."""

from collections.abc import Mapping
from typing import Any, Final

from ...calibrators.compiled import compile_distribution
from ...calibrators.distributions import Distribution
from ...domain.errors import BadInput
from ...domain.events import MAX_AMOUNT, MAX_LEVELS, level_name, levels_of
from ...domain.settings import Model
from ..dependencies import JsonObject

MOST: Final = 10_000
NO_CALIBRATOR: Final = {"method": "identity", "task": "regression", "parameters": {}}


def check_kind(model: Model, *, probabilities: bool, distributions: bool) -> None:
    """Refuse what a model does not take: distributions where it gives probabilities, probabilities of a regression, both, or neither.

    Raises
    ------
    BadInput
        saying what the model takes.

    """
    if probabilities and distributions:
        raise BadInput("distributions", "…", "must be left out beside probabilities")
    if distributions and model.task not in {None, "regression"}:
        raise BadInput("distributions", "…", f"must be left out: this {model.task} model takes probabilities")
    if not distributions and model.task == "regression":
        raise BadInput(
            "probabilities", "…", "must be left out: this regression takes distributions, as {mean, std} or {quantiles}"
        )
    if not distributions and not probabilities:
        raise BadInput("probabilities", None, "must be given, or distributions of a regression")


def calibrated(document: JsonObject | None, given: list[dict[str, Any]]) -> list[JsonObject]:
    """Return distributions as a calibrator serves them; None serves them as they are.

    Raises
    ------
    BadInput
        naming the first that is none.

    """
    if len(given) > MOST:
        raise BadInput("distributions", len(given), f"must be at most {MOST} at once")
    apply = compile_distribution(document or NO_CALIBRATOR)
    found = []
    for place, each in enumerate(given):
        try:
            found.append(fields_of(apply(distribution(each)), named=each.get("quantiles")))
        except BadInput as error:
            raise BadInput(f"distributions[{place}].{error.field}", error.value, error.reason) from error
        except ValueError as error:
            raise BadInput(f"distributions[{place}]", each, str(error)) from error
    return found


def distribution(given: Mapping[str, Any]) -> Distribution:
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
    by_level = sorted(zip(levels, (_amount("quantiles", value) for value in quantiles.values()), strict=True))
    try:
        return Distribution(tuple(level for level, _ in by_level), tuple(value for _, value in by_level))
    except ValueError as error:
        raise BadInput("quantiles", quantiles, str(error)) from error


def _amount(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_AMOUNT:
        raise BadInput(name, value, f"must be a number between {-MAX_AMOUNT:g} and {MAX_AMOUNT:g}")
    return float(value)


def fields_of(served: Distribution, named: Mapping[str, Any] | None = None) -> JsonObject:
    """Return a distribution as fields.

    Parameters
    ----------
    named : quantiles whose spelling of levels is kept

    Examples
    --------
    >>> fields_of(Distribution((), (1.0, 2.5))), fields_of(Distribution((50, 950), (1.0, 2.0)), named={".05": 0})
    ({'mean': 1.0, 'std': 2.5}, {'quantiles': {'.05': 1.0, '0.95': 2.0}})

    """
    if not served.levels:
        return dict(zip(("mean", "std"), served.values, strict=True))
    names = tuple(named or ())
    spelled = dict(zip(levels_of(names) or (), names, strict=True))
    levels = (spelled.get(level, level_name(level)) for level in served.levels)
    return {"quantiles": dict(zip(levels, served.values, strict=True))}
