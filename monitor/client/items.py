"""Encode events as JSON, once per event, so that a resend is equal byte for byte.

The server checks all values; only what JSON cannot express is checked here: NaN and infinities would arrive as null.
"""

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from ..domain.events import LabelEvent, PredictionEvent

T = TypeVar("T")

LARGEST_ITEM: Final = 1 << 20
"""Largest size of one event in bytes; the server would refuse a larger one, which would only fill the queue."""
LONGEST_ID: Final = 200


# Constructors check nothing and here take values of any type: the server checks them.
prediction: Final[Callable[..., PredictionEvent]] = PredictionEvent
label: Final[Callable[..., LabelEvent]] = LabelEvent

NUMERIC: Final = (
    "probability",
    "probabilities",
    "logits",
    "confidence",
    "raw_probability",
    "raw_probabilities",
    "raw_confidence",
    "agreeing",
    "samples",
    "score",
    "mean",
    "std",
    "quantiles",
    "raw_mean",
    "raw_std",
    "raw_quantiles",
    "members",
    "label",
)


def encode(item: PredictionEvent | LabelEvent) -> bytes:
    """Return an event's JSON.

    Raises
    ------
    Exception
        of any type, when a value has no JSON form, a number is not finite, or the event is too large.

    """
    encoded = _ENCODER.encode(item)
    if len(encoded) > LARGEST_ITEM:
        raise ValueError(f"the event takes {len(encoded)} bytes; it must be at most {LARGEST_ITEM}")
    if b"null" in encoded:
        _check_finite(encoded)
    return encoded


def by_level(quantiles: Mapping[str, T] | Mapping[float, T]) -> dict[str, T]:
    """Return quantiles by level as text; a numeric level is rounded to nine digits, which removes binary noise.

    >>> by_level({0.1 + 0.2: 1.0, "0.9": 2.0})
    {'0.3': 1.0, '0.9': 2.0}
    """
    named = {level if isinstance(level, str) else f"{float(level):.9g}": value for level, value in quantiles.items()}
    if len(named) != len(quantiles):
        raise ValueError("quantiles holds a level twice")
    return named


def text_id(event_id: Any) -> str:
    """Return an id, given as text, UUID or integer, as text."""
    text = event_id if type(event_id) is str else _text_id(event_id)
    if not 1 <= len(text) <= LONGEST_ID:
        raise ValueError(f"event_id has {len(text)} characters; it must have 1 to {LONGEST_ID}")
    return text


def _text_id(event_id: Any) -> str:
    if isinstance(event_id, bool):
        raise TypeError("event_id is a bool; it must be text, a UUID or a whole number")
    if isinstance(event_id, str | UUID):
        return str(event_id)
    return str(operator.index(event_id))


def _check_finite(encoded: bytes) -> None:
    fields = msgspec.json.decode(encoded)
    for name in NUMERIC:
        if _holds_none(fields.get(name, 0)):
            raise ValueError(f"{name} must be finite; it is or holds a NaN, an infinity or None")


def _holds_none(value: Any) -> bool:
    """Return whether a value, or an entry of it at any depth, is null."""
    if isinstance(value, dict | list):
        return any(map(_holds_none, value.values() if isinstance(value, dict) else value))
    return value is None


def _plain(value: Any) -> Any:
    """Return a value of NumPy, pandas or PyTorch, or of a subclass of number or text, as a plain Python value."""
    for plain, convert in _CONVERSIONS:
        if isinstance(value, plain):
            return convert(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_CONVERSIONS: Final[tuple[tuple[type, Any], ...]] = (
    (float, float),
    (str, str.__str__),
    (datetime, datetime.isoformat),
)
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_plain)
