"""Parameters of documents: bounds and checks that families share.

A check returns a value in its one form, or raises BadDocument with the field, the value and the bounds.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from .errors import BadDocument

LOWEST: Final = 1e-6
"""A single probability is clipped to [LOWEST, HIGHEST] before its logit is taken."""
HIGHEST: Final = 1.0 - LOWEST
SMALLEST: Final = 1e-15
"""An entry of a probability vector is at least this before its logarithm is taken."""

STEEPEST: Final = 1e4
"""The largest slope or intercept on a logit."""
MOST_KNOTS: Final = 20_000
LONGEST_VECTOR: Final = 1_000
"""Classes of a calibrator with parameters for each class."""

Unchecked = Mapping[str, object]


def exactly(parameters: Unchecked, expected: set[str]) -> None:
    """Check that parameters have the expected keys, and no others."""
    if set(parameters) != expected:
        raise BadDocument("parameters", dict(parameters), f"its keys must be {sorted(expected)}")


def number(parameters: Unchecked, field: str, low: float, high: float) -> float:
    """Return a number in [low, high]."""
    return _within(f"parameters.{field}", parameters[field], low, high)


def count(parameters: Unchecked, field: str, low: int, high: int) -> int:
    """Return a whole number in [low, high]."""
    value = number(parameters, field, low, high)
    if int(value) != value:
        raise BadDocument(f"parameters.{field}", value, "it must be a whole number")
    return int(value)


def numbers(parameters: Unchecked, field: str) -> list[float]:
    """Return a list of 1 to 20,000 numbers in [0, 1]."""
    values = parameters[field]
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MOST_KNOTS:
        raise BadDocument(f"parameters.{field}", values, f"it must be a list of 1 to {MOST_KNOTS} numbers")
    return [_within(f"parameters.{field}[{i}]", value, 0.0, 1.0) for i, value in enumerate(values)]


def numbers_by_class(parameters: Unchecked, field: str, low: float) -> list[float]:
    """Return a list of 2 to 1,000 numbers, one for each class, in [low, 1e4]."""
    values = parameters[field]
    if not isinstance(values, list | tuple) or not 2 <= len(values) <= LONGEST_VECTOR:  # noqa: PLR2004  one class is no choice
        raise BadDocument(f"parameters.{field}", values, f"it must be a list of 2 to {LONGEST_VECTOR} numbers")
    return [_within(f"parameters.{field}[{i}]", value, low, STEEPEST) for i, value in enumerate(values)]


def as_many(field: str, values: list[float], other: str, others: list[float], *, more: int = 0) -> None:
    """Check that a list is as long as another, or longer by `more`."""
    expected = len(others) + more
    if len(values) != expected:
        longer = "one entry more than" if more else "as many entries as"
        raise BadDocument(f"parameters.{field}", len(values), f"it must have {longer} {other}, {expected}")


def rising(field: str, values: list[float], reason: str = "it must be strictly increasing") -> None:
    """Check that numbers increase strictly."""
    if any(after <= before for before, after in pairwise(values)):
        raise BadDocument(f"parameters.{field}", values, reason)


def not_falling(field: str, values: list[float]) -> None:
    """Check that numbers do not decrease."""
    if any(after < before for before, after in pairwise(values)):
        raise BadDocument(f"parameters.{field}", values, "it must not decrease")


def _within(field: str, value: object, low: float, high: float) -> float:
    # Compared before it is converted: an integer of a thousand digits is no float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadDocument(field, value, f"it must be a number from {low:g} to {high:g}")
    return float(value) + 0.0  # -0.0 becomes 0.0: one number, one text
