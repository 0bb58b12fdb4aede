"""Values of an item that are not written as the decoder takes them: numbers as decimal text, and NaN for what is missing beside them."""

import math
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..domain.events import Event, decimal
from .parse import NotFinite, Repeated, parse, unreadable, without_repeats

MASKED: Final = ("-inf", "-infinity")
"""Minus infinity, for which JSON has no number, as text or as Python writes it."""


def as_meant(item: Any) -> Any:
    """Return an item with its numbers as numbers; all else, and what means no number, as it is.

    >>> as_meant({"probability": "0.25", "samples": 5.0, "prediction": "0.25"})
    {'probability': 0.25, 'samples': 5, 'prediction': '0.25'}
    """
    if not isinstance(item, dict):
        return item
    return {key: _READ[key](value) if key in _READ else value for key, value in item.items()}


def event_as_meant(text: bytes) -> Event | None:
    """Return the event of an item that the decoder refused, once its numbers are numbers; None where it is refused all the same."""
    try:
        item = as_meant(parse(text, without_repeats))
        return None if unreadable(item, "") else _convert(item)
    except (Repeated, RecursionError, ValueError):
        return None


def _convert(item: Any) -> Event:
    event: Event = msgspec.convert(item, Event)
    return event


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    number = decimal(value)
    return value if number is None else number


def _whole(value: Any) -> Any:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value.partition(".")[0])
    return int(value) if isinstance(value, float) and value.is_integer() else value


_DIGITS: Final = re.compile(r"[0-9]{1,10}(\.0{1,20})?")


def _numbers(value: Any) -> Any:
    """Return the numbers of arrays, also of arrays of arrays, or of objects."""
    if isinstance(value, list):
        return [_numbers(entry) if isinstance(entry, list) else _number(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _number(entry) for key, entry in value.items()}
    return value


def _logits(value: Any) -> Any:
    """Return logits, of which that of a masked class may be minus infinity, in any of its spellings."""
    if isinstance(value, list):
        return [_logit(entry) for entry in value]
    return {key: _logit(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _logit(value: Any) -> Any:
    return -math.inf if str(value).lower() in MASKED else _number(value)


def _present(value: Any) -> Any:
    """Return the value of a side field without the NaN that stand for what is missing in it."""
    if isinstance(value, NotFinite):
        return None
    if isinstance(value, list):
        return [_present(entry) for entry in value]
    return {key: _present(entry) for key, entry in value.items()} if isinstance(value, dict) else value


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "probability": _number,
    "raw_probability": _number,
    "probabilities": _numbers,
    "raw_probabilities": _numbers,
    "logits": _logits,
    "confidence": _number,
    "raw_confidence": _number,
    "score": _number,
    "mean": _number,
    "std": _number,
    "quantiles": _numbers,
    "raw_mean": _number,
    "raw_std": _number,
    "raw_quantiles": _numbers,
    "members": _numbers,
    "calibrator_version": _whole,
    "agreeing": _whole,
    "samples": _whole,
    "segments": _present,
    "cluster": _present,
    "model_version": _present,
    "source": _present,
    "metadata": _present,
}
