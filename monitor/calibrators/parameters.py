"""Parameters: which methods exist, which tasks each calibrates, and what its parameters must be. Plain Python, without NumPy.

A new calibrator has five places, and a test that compares them: one line in `PARAMETERS` with its checker here, its estimator in a module
of its own, which `families.FAMILIES` lists, its form for one prediction in `scalar`, and its form for arrays in `monitor.client.arrays`.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from .errors import BadDocument

TASKS: Final = ("binary", "multiclass", "confidence", "regression")
SINGLE: Final = ("binary", "confidence")
"""The tasks whose events carry one probability."""
PROBABILITIES: Final = ("binary", "multiclass", "confidence")
REGRESSIONS: Final = ("regression",)

LOWEST: Final = 1e-6
"""A single probability is clipped to [LOWEST, HIGHEST] before its logit is taken."""
HIGHEST: Final = 1.0 - LOWEST
SMALLEST: Final = 1e-15
"""An entry of a probability vector is at least this before its logarithm is taken."""
SUM_TOLERANCE: Final = 1e-3
"""How far from 1 a probability vector may sum."""

NARROWEST: Final = 1e-3
WIDEST: Final = 1e3
"""How narrow and how wide variance scaling may make a distribution, in its own width."""
COLDEST: Final = 1e-3
HOTTEST: Final = 1e3
STEEPEST: Final = 1e4
MOST_CLASSES: Final = 1_000_000
MOST_KNOTS: Final = 20_000
LONGEST_VECTOR: Final = 1_000
"""Classes of a calibrator with parameters for each class."""

Parameters = Mapping[str, Any]


class Method(NamedTuple):
    """What a document of one method may say."""

    tasks: tuple[str, ...]  # which it calibrates
    check: Callable[
        [Parameters, str], dict[str, Any]
    ]  # parameters and task → parameters with every number in its one form


def slopes(x: list[float], y: list[float]) -> list[float]:
    """Return the slope of each piece between two knots."""
    return [
        (above - below) / (after - before)
        for (before, after), (below, above) in zip(pairwise(x), pairwise(y), strict=True)
    ]


def rising_side(square: float, slope: float) -> tuple[float, float]:
    """Return between which probabilities square·l² + slope·l rises, l = logit(p); equal ones where it nowhere does.

    Examples
    --------
    >>> rising_side(0.0, 1.0) == (LOWEST, HIGHEST)
    True
    >>> rising_side(0.5, 0.0)[0], rising_side(-0.5, 0.0)[1]
    (0.5, 0.5)

    """
    if square == 0.0:
        return (LOWEST, HIGHEST) if slope > 0.0 else (LOWEST, LOWEST)
    vertex = _sigmoid(-slope / (2.0 * square))
    return (max(LOWEST, vertex), max(HIGHEST, vertex)) if square > 0.0 else (min(LOWEST, vertex), min(HIGHEST, vertex))


def _sigmoid(z: float) -> float:
    grown = math.exp(-abs(z))
    return (1.0 if z >= 0.0 else grown) / (1.0 + grown)


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


def _variance_scaling(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"scale"})
    return {"scale": _number(parameters, "scale", NARROWEST, WIDEST)}


def _pit_isotonic(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"x", "y"})
    x, y = _numbers(parameters, "x"), _numbers(parameters, "y")
    if len(x) != len(y):
        raise BadDocument("parameters.y", len(y), f"it must have as many entries as x, {len(x)}")
    if any(after < before for before, after in pairwise(x)):
        raise BadDocument("parameters.x", x, "it must not decrease")
    if any(after <= before for before, after in pairwise([0.0, *y, 1.0])):
        raise BadDocument("parameters.y", y, "it must be strictly increasing, between 0 and 1")
    return {"x": x, "y": y}


def _beta(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"a", "b", "c"})
    a, b = (_number(parameters, name, 0.0, STEEPEST) for name in "ab")
    if a == b == 0.0:
        raise BadDocument("parameters.a", a, "a and b must not both be 0, or every score becomes the same")
    return {"a": a, "b": b, "c": _number(parameters, "c", -STEEPEST, STEEPEST)}


def _quadratic_logit(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"square", "slope", "intercept"})
    checked = {name: _number(parameters, name, -STEEPEST, STEEPEST) for name in ("square", "slope", "intercept")}
    low, high = rising_side(checked["square"], checked["slope"])
    if not low < high:
        raise BadDocument("parameters.slope", checked["slope"], "with this square, every score becomes the same")
    return checked


def _scaling_binning(parameters: Parameters, _task: str) -> dict[str, Any]:
    _exactly(parameters, {"edges", "values"})
    edges, values = _numbers(parameters, "edges"), _numbers(parameters, "values")
    if len(values) != len(edges) + 1:
        raise BadDocument("parameters.values", len(values), f"it must have one entry more than edges, {len(edges) + 1}")
    if any(after <= before for before, after in pairwise(edges)):
        raise BadDocument("parameters.edges", edges, "it must be strictly increasing")
    if any(after < before for before, after in pairwise(values)):
        raise BadDocument("parameters.values", values, "it must not decrease")
    return {"edges": edges, "values": values}


def _vector(parameters: Parameters, _task: str) -> dict[str, Any]:
    named = {"classes"} & set(parameters)
    _exactly(parameters, {"slopes", "intercepts"} | named)
    slopes = _per_class(parameters, "slopes", 0.0)
    intercepts = _per_class(parameters, "intercepts", -STEEPEST)
    if len(intercepts) != len(slopes):
        raise BadDocument(
            "parameters.intercepts", len(intercepts), f"it must have as many entries as slopes, {len(slopes)}"
        )
    if 0.0 in slopes:
        place = slopes.index(0.0)
        raise BadDocument(f"parameters.slopes[{place}]", 0.0, "it must be positive, or this class's score says nothing")
    checked: dict[str, Any] = {"slopes": slopes, "intercepts": intercepts}
    return checked | ({"classes": _class_names(parameters["classes"], len(slopes))} if named else {})


def _class_names(names: Any, count: int) -> list[str]:
    """Return the names of the classes, in the order of slopes: what an object by class is read by."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise BadDocument("parameters.classes", names, "it must be a list of names")
    if len(names) != count or len(set(names)) != count:
        raise BadDocument("parameters.classes", names, f"it must have {count} different names, as slopes has entries")
    return list(names)


def _per_class(parameters: Parameters, field: str, low: float) -> list[float]:
    values = parameters[field]
    if not isinstance(values, list | tuple) or not 2 <= len(values) <= LONGEST_VECTOR:  # noqa: PLR2004  one class is no choice
        raise BadDocument(f"parameters.{field}", values, f"it must be a list of 2 to {LONGEST_VECTOR} numbers")
    return [_within(f"parameters.{field}[{i}]", value, low, STEEPEST) for i, value in enumerate(values)]


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
    "identity": Method(TASKS, _no_parameters),
    "temperature": Method(PROBABILITIES, _temperature),
    "platt": Method(SINGLE, _platt),
    "beta": Method(SINGLE, _beta),
    "quadratic_logit": Method(SINGLE, _quadratic_logit),
    "scaling_binning": Method(SINGLE, _scaling_binning),
    "isotonic": Method(SINGLE, _isotonic),
    "structured_vector": Method(("multiclass",), _vector),
    "vector": Method(("multiclass",), _vector),
    "variance_scaling": Method(REGRESSIONS, _variance_scaling),
    "pit_isotonic": Method(REGRESSIONS, _pit_isotonic),
}
"""The methods that exist: one line each."""
