"""Values of other libraries as plain Python: the number, the name or the collection that each means."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

MISSING: Final = {"NAType", "NaTType"}
"""Types of pandas' marks for a value that is not there."""

DOUBLE: Final = 8
"""Bytes of a float of Python."""

PLAIN: Final = (bool, int, float, str, list, dict, type(None))


def plain(value: Any) -> Any:
    """Return the number, text, list, object or None that a value means.

    A float narrower than 64 bits is the shortest decimal that it rounds from: `np.float32(3.3)` is 3.3.

    Raises
    ------
    TypeError
        naming a type that means none of these.

    Examples
    --------
    >>> from fractions import Fraction
    >>> plain(Decimal("12.50")), plain(Decimal(7)), plain(Fraction(1, 4))
    (12.5, 7, 0.25)

    """
    if type(value).__name__ in MISSING:
        return None
    for accepted, convert in _CONVERSIONS:
        if isinstance(value, accepted):
            return convert(value)
    if _is_narrow(value):
        return float(str(value))
    if getattr(getattr(value, "dtype", None), "kind", None) == "M" and getattr(value, "shape", None) == ():
        return None if value != value else str(value)  # noqa: PLR0124  NaT differs; `tolist` may make a plain number of a time
    if hasattr(value, "tolist"):
        listed = value.tolist()
        if type(listed) in PLAIN:
            return listed
    return _as_number(value)


def is_missing(value: Any) -> bool:
    """Return whether a value of a table is not there: None, NaN or a mark of pandas."""
    name = type(value).__name__
    differs = isinstance(value, float) or name == "datetime64"  # from itself, where it is NaN or NumPy's NaT
    return value is None or name in MISSING or (differs and bool(value != value))  # noqa: PLR0124


def labelled(vector: Any) -> dict[Any, Any] | None:
    """Return the values of a labelled series by its labels; None for what has none, or where they only count its values.

    A series is what has an `index` of labels, one per value, as those of pandas do.

    Raises
    ------
    ValueError
        for a label that occurs twice.

    """
    index = getattr(vector, "index", None)
    if index is None or callable(index) or not hasattr(vector, "tolist"):
        return None
    labels, values = list(index), vector.tolist()
    if len(labels) != len(values) or labels == list(range(len(labels))):
        return None
    by_label = dict(zip(labels, values, strict=True))
    if len(by_label) != len(labels):
        raise ValueError("two values of the series have the same label")
    return by_label


def class_name(key: Any) -> str:
    """Return the name of a class that a key stands for: a boolean's as in JSON, a number's by its digits.

    >>> class_name(True), class_name(3), class_name(Decimal("1.0"))
    ('true', '3', '1.0')

    Raises
    ------
    TypeError
        naming a type that is no name.

    """
    name = plain(key)
    if isinstance(name, bool):
        return "true" if name else "false"
    if not isinstance(name, str | int | float) or name != name:  # noqa: PLR0124  NaN is the one that differs
        raise TypeError(f"a class is named by {type(key).__name__} {key!r:.80}; a name must be text or a number")
    return str(name)


def _of_decimal(value: Decimal) -> int | float:
    return int(value) if value.as_tuple().exponent == 0 else float(value)


def _of_enum(value: Enum) -> Any:
    return value.value if type(value.value) in PLAIN else plain(value.value)


_CONVERSIONS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (Enum, _of_enum),
    (bool, bool),
    (float, float),
    (int, operator.index),
    (str, str.__str__),
    (datetime, datetime.isoformat),
    (Decimal, _of_decimal),
    (Mapping, dict),
)


def _is_narrow(value: Any) -> bool:
    """Return whether a value is a single float of fewer than 64 bits, of NumPy or alike."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return kind == "f" and getattr(value, "shape", None) == () and value.dtype.itemsize < DOUBLE


def _as_number(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    if hasattr(type(value), "__index__"):
        return operator.index(value)
    if hasattr(type(value), "__float__"):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no number, text, or collection of them")
