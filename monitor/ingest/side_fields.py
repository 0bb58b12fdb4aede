"""Fields beside what an event says: what is missing or odd in them never sinks the event."""

from typing import Final

from msgspec.structs import force_setattr

from ..domain.events import MAX_ANSWER, MAX_NAME, Event, Fault, LabelEvent, PredictionEvent, quoted
from ..domain.names import shortened

_EXACT: Final = 2.0**53


def settle(event: Event) -> Fault | None:
    """Leave out what is missing in the side fields of an event and shorten what is long; return the fault of what cannot be settled."""
    if event.model_version == "":
        force_setattr(event, "model_version", None)
    if isinstance(event, LabelEvent):
        _settle_name(event, "source")
        if isinstance(event.label, str):
            force_setattr(event, "label", shortened(event.label, MAX_ANSWER))
        return None
    _settle_name(event, "cluster")
    if isinstance(event.prediction, str):
        force_setattr(event, "prediction", shortened(event.prediction, MAX_ANSWER))
    return None if event.segments is None else _settle_segments(event, event.segments)


def _settle_name(event: Event, field: str) -> None:
    name = getattr(event, field)
    if name is not None:
        force_setattr(event, field, shortened(name, MAX_NAME) or None)


def _settle_segments(event: PredictionEvent, segments: dict[str, str | int | float | bool | None]) -> Fault | None:
    """Return the fault of a segment's key; convert values to text, without those that are missing."""
    sent = len(segments)
    for key, value in list(segments.items()):
        if ":" in key:
            return Fault("bad_name", f"segments has the key {quoted(key)}: must not have a colon")
        if value is None or value == "":
            del segments[key]
        else:
            segments[key] = shortened(value, MAX_NAME) if isinstance(value, str) else _spelled(value)
    if sent and not segments:
        force_setattr(event, "segments", None)
    return None


def _spelled(value: float) -> str:
    """Return the text of a number or a boolean; a whole number may come with a decimal point from a column with gaps."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return quoted(value)
