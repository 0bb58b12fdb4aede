"""Calibrator documents: what a valid one is, its canonical JSON and its hash. Plain Python, without NumPy.

A fitted calibrator is `{"method", "task", "parameters"}`; a sealed version adds whose it is, where it came from and a hash. Numbers are
brought to one form before they are hashed (1 and 1.0 are the same temperature), so that a store which rewrites JSON does no harm.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from monitor.calibrators.errors import BadDocument

TASKS: Final = ("binary", "multiclass", "confidence")
HASHED: Final = ("model", "number", "method", "task", "parameters")

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
LONGEST_NAME: Final = 200


class Checked(NamedTuple):
    """The working part of a document, valid and with every number in its one form."""

    method: str
    task: str
    parameters: dict[str, Any]


def check(document: Any) -> Checked:
    """Return the working part of a document, or say what is wrong with it.

    A document that carries a hash is also held against it.

    Raises
    ------
    BadDocument
        for an unknown method or task, a missing, unknown, infinite or unordered parameter, or a hash that does not fit.

    Examples
    --------
    >>> check({"method": "temperature", "task": "binary", "parameters": {"temperature": 2}}).parameters
    {'temperature': 2.0}

    """
    if not isinstance(document, Mapping):
        raise BadDocument("document", document, "it must be an object")
    checked = _check_working_part(document)
    if "sha256" in document:
        _check_hash(document, checked)
    return checked


def verify(document: Any) -> Checked:
    """Return the working part of a sealed document; unlike `check`, refuse one without a hash."""
    if isinstance(document, Mapping) and "sha256" not in document:
        raise BadDocument("sha256", None, "a sealed document carries its hash")
    return check(document)


def seal(
    fitted: Mapping[str, Any],
    *,
    model: str,
    number: int,
    fitted_from: Mapping[str, Any],
    gate: Mapping[str, Any] | None,
    created_at: str,
) -> dict[str, Any]:
    """Return the immutable, numbered version of a fitted calibrator, with its hash.

    Parameters
    ----------
    fitted : the `to_document()` of a fitted calibrator
    fitted_from : where the rows came from, as JSON
    gate : the evidence, as JSON; None when it was not gated
    created_at : RFC 3339 time

    Raises
    ------
    BadDocument
        when the fitted calibrator, the model's name or the number is not valid.

    """
    checked = _check_working_part(fitted)
    return {
        "model": model,
        "number": number,
        **checked._asdict(),
        "fitted_from": dict(fitted_from),
        "gate": None if gate is None else dict(gate),
        "created_at": created_at,
        "sha256": _digest(model, number, checked),
    }


def canonical(value: Any) -> bytes:
    """Return JSON in its one form: keys sorted, no spaces, UTF-8, floats in their shortest round-trip digits.

    Raises
    ------
    ValueError
        for NaN, infinities and text that is not Unicode.

    Examples
    --------
    >>> canonical({"b": 0.1, "a": [1, None]})
    b'{"a":[1,null],"b":0.1}'

    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_working_part(document: Mapping[str, Any]) -> Checked:
    method, task = _one_of(document, "method", PARAMETERS), _one_of(document, "task", TASKS)
    parameters = document.get("parameters")
    if not isinstance(parameters, Mapping):
        raise BadDocument("parameters", parameters, "it must be an object")
    return Checked(method, task, PARAMETERS[method](parameters, task))


def _check_hash(document: Mapping[str, Any], checked: Checked) -> None:
    expected = _digest(document.get("model"), document.get("number"), checked)
    if document["sha256"] != expected:
        raise BadDocument("sha256", document["sha256"], f"the content hashes to {expected}")


def _digest(model: Any, number: Any, checked: Checked) -> str:
    if not isinstance(model, str) or not 1 <= len(model) <= LONGEST_NAME:
        raise BadDocument("model", model, f"it must be a name of 1 to {LONGEST_NAME} characters")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**63:
        raise BadDocument("number", number, "it must be a whole number from 1")
    try:
        text = canonical(dict(zip(HASHED, (model, number, *checked), strict=True)))
    except UnicodeEncodeError as error:
        raise BadDocument("model", model, "it must be valid Unicode") from error
    return hashlib.sha256(text).hexdigest()


def _no_parameters(parameters: Mapping[str, Any], _task: str) -> dict[str, Any]:
    _exactly(parameters, set())
    return {}


def _temperature(parameters: Mapping[str, Any], task: str) -> dict[str, Any]:
    _exactly(parameters, {"temperature", "classes"} if task == "confidence" else {"temperature"})
    checked: dict[str, Any] = {"temperature": _number(parameters, "temperature", COLDEST, HOTTEST)}
    if task == "confidence":
        checked["classes"] = _count(parameters, "classes", 2, MOST_CLASSES)
    return checked


def _platt(parameters: Mapping[str, Any], task: str) -> dict[str, Any]:
    _of_single_probabilities("platt", task)
    _exactly(parameters, {"slope", "intercept"})
    slope = _number(parameters, "slope", 0.0, STEEPEST)
    if slope == 0.0:
        raise BadDocument("parameters.slope", slope, "it must be positive, or every score becomes the same")
    return {"slope": slope, "intercept": _number(parameters, "intercept", -STEEPEST, STEEPEST)}


def _isotonic(parameters: Mapping[str, Any], task: str) -> dict[str, Any]:
    _of_single_probabilities("isotonic", task)
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


def _one_of(document: Mapping[str, Any], field: str, allowed: Any) -> str:
    value = document.get(field)
    if not isinstance(value, str) or value not in allowed:
        raise BadDocument(field, value, f"it must be one of {', '.join(allowed)}")
    return value


def _of_single_probabilities(method: str, task: str) -> None:
    if task == "multiclass":
        raise BadDocument("task", task, f"{method} calibrates single probabilities: binary or confidence")


def _exactly(parameters: Mapping[str, Any], expected: set[str]) -> None:
    if set(parameters) != expected:
        raise BadDocument("parameters", dict(parameters), f"its keys must be {sorted(expected)}")


def _numbers(parameters: Mapping[str, Any], field: str) -> list[float]:
    values = parameters[field]
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MOST_KNOTS:
        raise BadDocument(f"parameters.{field}", values, f"it must be a list of 1 to {MOST_KNOTS} numbers")
    return [_within(f"parameters.{field}[{i}]", value, 0.0, 1.0) for i, value in enumerate(values)]


def _number(parameters: Mapping[str, Any], field: str, low: float, high: float) -> float:
    return _within(f"parameters.{field}", parameters[field], low, high)


def _count(parameters: Mapping[str, Any], field: str, low: int, high: int) -> int:
    value = parameters[field]
    if int(_within(f"parameters.{field}", value, low, high)) != value:
        raise BadDocument(f"parameters.{field}", value, "it must be a whole number")
    return int(value)


def _within(field: str, value: Any, low: float, high: float) -> float:
    # Compared before it is converted: an integer of a thousand digits is no float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadDocument(field, value, f"it must be a number from {low:g} to {high:g}")
    return float(value) + 0.0  # -0.0 becomes 0.0: one number, one text


PARAMETERS: Final[dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]]] = {
    "identity": _no_parameters,
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
}
"""How each method's parameters are checked; its keys are the methods that exist."""
