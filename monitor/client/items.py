"""Encode events as JSON, once per event, so that a resend is equal byte for byte.

The server checks all values; only what JSON cannot express is checked here: NaN and infinities would arrive as null.
"""

import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from ..domain.errors import BadInput
from ..domain.events import LabelEvent, PredictionEvent
from .plain import class_name, labelled, plain

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
    "prediction",
    "label",
)


def encode(item: PredictionEvent | LabelEvent) -> bytes:
    """Return an event's JSON.

    Raises
    ------
    Exception
        of any type, when a value has no JSON form, a number is not finite, or the event is too large.

    """
    try:
        encoded = _ENCODER.encode(item)
    except RecursionError:
        raise ValueError("the event is nested too deeply, or holds itself") from None
    if len(encoded) > LARGEST_ITEM:
        raise ValueError(f"the event takes {len(encoded)} bytes; it must be at most {LARGEST_ITEM}")
    if b"null" in encoded or b"NaN" in encoded or b"Infinity" in encoded:
        encoded = _masked(item, encoded)
        _check_finite(encoded)
    return encoded


def beside(side_field: Mapping[str, Any] | None) -> msgspec.Raw | None:
    """Return the JSON of metadata or segments.

    Raises
    ------
    Exception
        of any type, when a value has no JSON form.

    """
    return None if side_field is None else msgspec.Raw(_SIDE_ENCODER.encode(side_field))


def by_class(vector: Any) -> Any:
    """Return a vector with the names of its classes as text, where it is an object by class or a labelled series.

    Raises
    ------
    TypeError
        for a key that is no name.
    ValueError
        for two keys of one name.

    Examples
    --------
    >>> by_class({True: 0.75, False: 0.25}), by_class([0.75, 0.25])
    ({'true': 0.75, 'false': 0.25}, [0.75, 0.25])

    """
    if not isinstance(vector, Mapping):
        series = None if type(vector) is list else labelled(vector)
        return vector if series is None else by_class(series)
    if all(type(key) is str for key in vector):
        return vector
    named = {class_name(key): value for key, value in vector.items()}
    if len(named) != len(vector):
        raise ValueError("two keys name the same class")
    return named


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
    if isinstance(event_id, str | UUID):
        return str(event_id)
    if isinstance(event_id, bool) or not hasattr(type(event_id), "__index__"):
        raise BadInput("event_id", event_id, "it must be text, a UUID or a whole number")
    return str(operator.index(event_id))


def _masked(item: PredictionEvent | LabelEvent, encoded: bytes) -> bytes:
    """Return an event's JSON with the logits of masked classes as text, since JSON has no infinity."""
    if isinstance(item, LabelEvent) or item.logits is None:
        return encoded
    logits = msgspec.to_builtins(item.logits, enc_hook=plain)
    if isinstance(logits, dict):
        logits = {name: _logit(value) for name, value in logits.items()}
    elif isinstance(logits, list | tuple):
        logits = [_logit(value) for value in logits]
    return _ENCODER.encode(msgspec.structs.replace(item, logits=logits))


def _logit(value: Any) -> Any:
    return "-inf" if value == -math.inf else value


def _check_finite(encoded: bytes) -> None:
    fields = json.loads(encoded, parse_constant=_nothing)
    for name in NUMERIC:
        if _holds_none(fields.get(name, 0)):
            raise ValueError(f"{name} must be finite; it is or holds a NaN, an infinity or None")


def _nothing(_constant: str) -> None:
    """Read a constant that JSON does not have, which a decimal number may be, as null."""


def _holds_none(value: Any) -> bool:
    """Return whether a value, or an entry of it at any depth, is null."""
    if isinstance(value, dict | list):
        return any(map(_holds_none, value.values() if isinstance(value, dict) else value))
    return value is None


def _side(value: Any) -> Any:
    """Return a value of metadata or segments; booleans come here as keys alone."""
    return class_name(value) if isinstance(value, bool) else plain(value)


_ENCODER: Final = msgspec.json.Encoder(enc_hook=plain, decimal_format="number")
_SIDE_ENCODER: Final = msgspec.json.Encoder(enc_hook=_side)
"""Of fields that hold no numbers to calculate with: decimal numbers stay text, which keeps all their digits."""
