"""Explain why an item of a request cannot be read: the fault, its place, and what would be right.

The decoder decides, of an item as it is or with its numbers as numbers; this module explains, so it is slow and may be thorough.
"""

import difflib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, get_args

import msgspec

from ..domain.events import (
    MAX_AMOUNT,
    MAX_CALIBRATOR,
    MAX_CLASSES,
    MAX_LEVELS,
    MAX_MEMBERS,
    MAX_NAME,
    MAX_SAMPLES,
    MAX_SCORE,
    MAX_SEGMENTS,
    TOO_DEEP,
    WHOLE,
    Fault,
    Source,
    quoted,
)
from ..domain.names import has_control
from ..domain.rounding import HIGHEST, LOWEST
from .clothes import as_meant
from .parse import parse, repeated_key, unreadable, unreadable_text


def explain(text: bytes, error: Exception | None) -> tuple[Fault, str | None, str | None]:
    """Return the reason for which the decoder refused an item, and the item's id and model where they are usable.

    `error` is what the decoder said, the last resort where nothing here finds a fault; None where it only saw repeated
    keys.
    """
    if isinstance(error, RecursionError):
        return TOO_DEEP, None, None
    try:
        return _explain(text, error)
    except RecursionError:
        return TOO_DEEP, None, None
    except json.JSONDecodeError as problem:
        return Fault("not_json", f"item is not JSON: {problem.msg} at its character {problem.pos + 1}"), None, None


def _explain(text: bytes, error: Exception | None) -> tuple[Fault, str | None, str | None]:
    item = as_meant(parse(text, dict))
    event_id, model = _usable_name(item, "event_id"), _usable_name(item, "model")
    repeated = repeated_key(text)
    if repeated is not None:
        return Fault("duplicate_key", f"{quoted(repeated)} occurs twice: must occur once in an object"), event_id, model
    return _first_fault(item) or Fault("wrong_type", f"item can't be read: {error}"), event_id, model


def _usable_name(item: Any, field: str) -> str | None:
    name = item.get(field) if isinstance(item, dict) else None
    if not isinstance(name, str) or _name(field, name) or unreadable_text(name, field):
        return None
    return None if has_control(name) else name


def _first_fault(item: Any) -> Fault | None:
    if not isinstance(item, dict):
        return Fault("wrong_type", f"item is {quoted(item)}: must be an object")
    if fault := unreadable(item, ""):
        return fault
    if "type" not in item:
        return Fault("missing_field", 'type is missing: must be "prediction" or "label"')
    event_type = item["type"]
    if not isinstance(event_type, str) or event_type not in FIELDS:
        return Fault("unknown_type", f'type is {quoted(event_type)}: must be "prediction" or "label"')
    return _unknown_field(item, event_type) or _missing_field(item, event_type) or _bad_field(item, event_type)


def _unknown_field(item: Mapping[str, object], event_type: str) -> Fault | None:
    for key in item:
        if key not in FIELDS[event_type]:
            nearest = difflib.get_close_matches(key, FIELDS[event_type], 1) if len(key) <= _LONGEST_TYPO else []
            hint = f'did you mean "{nearest[0]}"?' if nearest else f"must be among {', '.join(FIELDS[event_type])}"
            return Fault("unknown_field", f"{quoted(key)} is not a field of a {event_type}: {hint}")
    return None


def _missing_field(item: Mapping[str, object], event_type: str) -> Fault | None:
    for key in REQUIRED[event_type]:
        if key not in item:
            return Fault(
                "missing_field", f"{key} is missing: a {event_type} must have {', '.join(REQUIRED[event_type])}"
            )
    return None


def _bad_field(item: Mapping[str, object], event_type: str) -> Fault | None:
    for key, value in item.items():
        if value is None and key not in REQUIRED[event_type] and FIELDS[event_type][key] is not _flag:
            continue
        if fault := FIELDS[event_type][key](key, value):
            return fault
    return None


def _kind(field: str, value: Any) -> None:
    """Accept a field that was checked before."""


def _text(field: str, value: Any, limit: int) -> Fault | None:
    if not isinstance(value, str):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be a string")
    if 1 <= len(value) <= limit:
        return None
    return Fault("bad_name", f"{field} is {quoted(value)} of {len(value)} characters: must have 1 to {limit}")


def _name(field: str, value: Any) -> Fault | None:
    return _text(field, value, MAX_NAME)


def _version(field: str, value: Any) -> Fault | None:
    return None if value == "" else _name(field, value)


def _side_text(field: str, value: Any) -> Fault | None:
    return None if isinstance(value, str) else Fault("wrong_type", f"{field} is {quoted(value)}: must be a string")


def _key(field: str, value: str) -> Fault | None:
    return _name(f"a key of {field}", value)


def _number(field: str, value: Any) -> Fault | None:
    if isinstance(value, bool):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be a number, not a boolean")
    if isinstance(value, str):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be a number, not a string")
    if not isinstance(value, int | float):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be a number")
    return None


def _ratio(field: str, value: Any) -> Fault | None:
    if fault := _number(field, value):
        return fault
    return (
        None
        if LOWEST <= value <= HIGHEST
        else Fault("out_of_range", f"{field} is {quoted(value)}: must be between 0 and 1")
    )


def _amount(field: str, value: Any, limit: float) -> Fault | None:
    if fault := _number(field, value):
        return fault
    if abs(value) <= limit:
        return None
    return Fault("out_of_range", f"{field} is {quoted(value)}: must be between {-limit:.10g} and {limit:.10g}")


def _spread(field: str, value: Any) -> Fault | None:
    if fault := _amount(field, value, MAX_AMOUNT):
        return fault
    return None if value > 0 else Fault("out_of_range", f"{field} is {quoted(value)}: must be above 0")


def _quantiles(field: str, value: Any) -> Fault | None:
    if not isinstance(value, dict):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be an object by level")
    for key, member in value.items():
        if fault := _key(field, key) or _amount(f"{field}[{quoted(key)}]", member, MAX_AMOUNT):
            return fault
    if len(value) in range(2, MAX_LEVELS + 1):
        return None
    return Fault("wrong_length", f"{field} has {len(value)} levels: must have 2 to {MAX_LEVELS}")


def _source(field: str, value: Any) -> Fault | None:
    sources = get_args(Source)
    if not isinstance(value, str):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be one of {', '.join(sources)}")
    if value in sources:
        return None
    return Fault("out_of_range", f"{field} is {quoted(value)}: must be one of {', '.join(sources)}")


def _integer(field: str, value: Any, allowed: range) -> Fault | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be an integer")
    if value in allowed:
        return None
    return Fault("out_of_range", f"{field} is {quoted(value)}: must be from {allowed.start} to {allowed.stop - 1}")


def _calibrator(field: str, value: Any) -> Fault | None:
    return _integer(field, value, range(1, MAX_CALIBRATOR + 1))


def _ratios(field: str, value: Any) -> Fault | None:
    return _vector(field, value, _ratio)


def _logits(field: str, value: Any) -> Fault | None:
    return _vector(field, value, _number)


def _vector(field: str, value: Any, check: Callable[[str, Any], Fault | None]) -> Fault | None:
    if not isinstance(value, list | dict):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be an array, or an object by class")
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(key, str) and (fault := _key(field, key)):
            return fault
        if fault := check(f"{field}[{quoted(key)}]", member):
            return fault
    if len(value) in range(2, MAX_CLASSES + 1):
        return None
    return Fault("wrong_length", f"{field} has {len(value)} values: must have 2 to {MAX_CLASSES}, one per class")


def _members(field: str, value: Any) -> Fault | None:
    if not isinstance(value, list):
        return Fault(
            "wrong_type", f"{field} is {quoted(value)}: must be an array of one probability or vector per member"
        )
    for place, member in enumerate(value):
        check = partial(_vector, check=_ratio) if isinstance(member, list) else _ratio
        if fault := check(f"{field}[{place}]", member):
            return fault
    if len(value) in range(2, MAX_MEMBERS + 1):
        return None
    return Fault("wrong_length", f"{field} has {len(value)} values: must have 2 to {MAX_MEMBERS}, one per member")


def _segments(field: str, value: Any) -> Fault | None:
    if not isinstance(value, dict):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be an object")
    for key, member in value.items():
        if fault := _key(field, key) or _segment(f"{field}[{quoted(key)}]", member):
            return fault
    if len(value) <= MAX_SEGMENTS:
        return None
    return Fault("wrong_length", f"{field} has {len(value)} keys: must have at most {MAX_SEGMENTS}")


def _segment(field: str, value: Any) -> Fault | None:
    if isinstance(value, dict | list):
        return Fault("wrong_type", f"{field} is {quoted(value)}: must be a string, a number or a boolean")
    return None if value is None or value == "" else _scalar(field, value)


def _scalar(field: str, value: Any) -> Fault | None:
    if isinstance(value, str):
        return None if value else Fault("bad_name", f"{field} is empty: must have at least one character")
    if isinstance(value, bool | float):
        return None
    if isinstance(value, int):
        return _integer(field, value, WHOLE)
    return Fault("wrong_type", f"{field} is {quoted(value)}: must be a string or a number")


def _answer(field: str, value: Any) -> Fault | None:
    if isinstance(value, bool):
        return Fault(
            "wrong_type",
            f"{field} is {quoted(value)}: must be a string or a number; where answers are true or false, send both answer and label as"
            " text, since a boolean label may also say that the answer was right, and is refused beside them",
        )
    return _scalar(field, value)


def _flag(field: str, value: Any) -> Fault | None:
    return (
        None if isinstance(value, bool) else Fault("wrong_type", f"{field} is {quoted(value)}: must be true or false")
    )


def _object(field: str, value: Any) -> Fault | None:
    return None if isinstance(value, dict) else Fault("wrong_type", f"{field} is {quoted(value)}: must be an object")


def _time(field: str, value: Any) -> Fault | None:
    example = "must be RFC 3339 with a zone, such as 2026-01-05T12:00:00Z"
    if not isinstance(value, str):
        return Fault("wrong_type", f"{field} is {quoted(value)}: {example}")
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return Fault("bad_time", f"{field} is {quoted(value)}: {example}")
    return None if moment.tzinfo else Fault("bad_time", f"{field} is {quoted(value)}, without a zone: {example}")


_LONGEST_TYPO: Final = 40
FIELDS: Final[dict[str, dict[str, Callable[[str, Any], Fault | None]]]] = {
    "prediction": {
        "type": _kind,
        "event_id": _name,
        "model": _name,
        "timestamp": _time,
        "model_version": _version,
        "segments": _segments,
        "cluster": _side_text,
        "calibrator_version": _calibrator,
        "probability": _ratio,
        "raw_probability": _ratio,
        "probabilities": _ratios,
        "raw_probabilities": _ratios,
        "logits": _logits,
        "confidence": _ratio,
        "raw_confidence": _ratio,
        "prediction": _answer,
        "confidence_source": _source,
        "agreeing": partial(_integer, allowed=range(MAX_SAMPLES + 1)),
        "samples": partial(_integer, allowed=range(1, MAX_SAMPLES + 1)),
        "score": partial(_amount, limit=MAX_SCORE),
        "mean": partial(_amount, limit=MAX_AMOUNT),
        "std": _spread,
        "quantiles": _quantiles,
        "raw_mean": partial(_amount, limit=MAX_AMOUNT),
        "raw_std": _spread,
        "raw_quantiles": _quantiles,
        "members": _members,
        "reference": _flag,
        "metadata": _object,
    },
    "label": {
        "type": _kind,
        "event_id": _name,
        "model": _name,
        "label": _scalar,
        "timestamp": _time,
        "source": _side_text,
        "supersedes": _flag,
        "model_version": _version,
    },
}
REQUIRED: Final = {
    "prediction": ("type", "event_id", "model", "timestamp"),
    "label": ("type", "event_id", "model", "label"),
}
