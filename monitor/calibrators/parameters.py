"""Parameters: which methods exist, which tasks each calibrates, and what its parameters must be. Plain Python, without NumPy.

A new calibrator has five places, and a test that compares them: one line in `PARAMETERS` with its checker here, its estimator in a module
of its own, which `families.FAMILIES` lists, its form for one prediction in `scalar`, and its form for arrays in `monitor.client.arrays`.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from monitor.calibrators.errors import BadDocument

TASKS: Final = ("binary", "multiclass", "confidence", "regression")
SINGLE: Final = ("binary", "confidence")
"""The tasks whose events carry one probability."""
PROBABILITIES: Final = ("binary", "multiclass", "confidence")

LOWEST: Final = 1e-6
"""A single probability is clipped to [LOWEST, HIGHEST] before its logit is taken."""
HIGHEST: Final = 1.0 - LOWEST
SMALLEST: Final = 1e-15
"""An entry of a probability vector is at least this before its logarithm is taken."""
SUM_TOLERANCE: Final = 1e-3
"""How far from 1 a probability vector may sum."""

COLDEST: Final = 1e-3
HOTTEST: Final = 1e3
STEEPEST: Final = 1e4
MOST_CLASSES: Final = 1_000_000
MOST_KNOTS: Final = 20_000

Parameters = Mapping[str, Any]


class Method(NamedTuple):
    """What a document of one method may say."""

    tasks: tuple[str, ...]  # which it calibrates
    check: Callable[
        [Parameters, str], dict[str, Any]
    ]  # parameters and task → parameters with every number in its one form


def _no_parameters(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, set())
    return {}


def _temperature(parameters: Parameters, task: str) -> dict[str, Any]:
    _exactly(parameters, {"temperature", "classes"} if task == "confidence" else {"temperature"})
    checked: dict[str, Any] = {"temperature": _number(parameters, "temperature", COLDEST, HOTTEST)}
    if task == "confidence":
        checked["classes"] = _count(parameters, "classes", 2, MOST_CLASSES)
    return checked


def _platt(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"slope", "intercept"})
    slope = _number(parameters, "slope", 0.0, STEEPEST)
    if slope == 0.0:
        raise BadDocument("parameters.slope", slope, "it must be positive, or every score becomes the same")
    return {"slope": slope, "intercept": _number(parameters, "intercept", -STEEPEST, STEEPEST)}


def _isotonic(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"x", "y"})
    x, y = _numbers(parameters, "x"), _numbers(parameters, "y")
    if len(x) != len(y):
        raise BadDocument("parameters.y", len(y), f"it must have as many entries as x, {len(x)}")
    if any(after <= before for before, after in pairwise(x)):
        raise BadDocument("parameters.x", x, "it must be strictly increasing")
    if any(after < before for before, after in pairwise(y)):
        raise BadDocument("parameters.y", y, "it must not decrease")
    if not all(math.isfinite(slope) for slope in slopes(x, y)):
        raise BadDocument("parameters.x", x, "its entries lie too close together")
    return {"x": x, "y": y}


def slopes(x: list[float], y: list[float]) -> list[float]:
    """Return the slope of each piece between two knots."""
    return [
        (above - below) / (after - before)
        for (before, after), (below, above) in zip(pairwise(x), pairwise(y), strict=True)
    ]


def _exactly(parameters: Parameters, expected: set[str]) -> None:
    if set(parameters) != expected:
        raise BadDocument("parameters", dict(parameters), f"its keys must be {sorted(expected)}")


def _numbers(parameters: Parameters, field: str) -> list[float]:
    values = parameters[field]
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MOST_KNOTS:
        raise BadDocument(f"parameters.{field}", values, f"it must be a list of 1 to {MOST_KNOTS} numbers")
    return [_within(f"parameters.{field}[{i}]", value, 0.0, 1.0) for i, value in enumerate(values)]


def _number(parameters: Parameters, field: str, low: float, high: float) -> float:
    return _within(f"parameters.{field}", parameters[field], low, high)


def _count(parameters: Parameters, field: str, low: int, high: int) -> int:
    value = parameters[field]
    if int(_within(f"parameters.{field}", value, low, high)) != value:
        raise BadDocument(f"parameters.{field}", value, "it must be a whole number")
    return int(value)


def _within(field: str, value: Any, low: float, high: float) -> float:
    # Compared before it is converted: an integer of a thousand digits is no float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadDocument(field, value, f"it must be a number from {low:g} to {high:g}")
    return float(value) + 0.0  # -0.0 becomes 0.0: one number, one text


PARAMETERS: Final[dict[str, Method]] = {
    "identity": Method(PROBABILITIES, _no_parameters),
    "temperature": Method(PROBABILITIES, _temperature),
    "platt": Method(SINGLE, _platt),
    "isotonic": Method(SINGLE, _isotonic),
}
"""The methods that exist: one line each."""
