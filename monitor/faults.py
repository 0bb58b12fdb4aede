"""What can still be wrong with an event whose fields are each of the right kind."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import msgspec

from monitor.wire import (
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    TASK_OF_FORM,
    TOO_DEEP,
    Event,
    Fault,
    LabelEvent,
    PredictionEvent,
    Vector,
    quoted,
)

CLOCK_SKEW: Final = timedelta(minutes=5)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SUM_TOLERANCE: Final = 1e-3
UNADDRESSABLE: Final = frozenset({".", ".."})
"""What no model may be called, since clients take these out of an address, however they are written."""

_ENCODER: Final = msgspec.json.Encoder()
_MANY_DIGITS: Final = re.compile(rb"\d{19}")


def fault_of(event: Event, latest: datetime) -> Fault | None:
    """Return what is wrong with an event whose fields are each of the right kind."""
    if event.timestamp is not None and not EPOCH <= event.timestamp <= latest:
        return Fault(
            "bad_time",
            f"timestamp is {event.timestamp.isoformat()}: must be from 1970 to five minutes ahead of the server's clock,"
            f" which says {(latest - CLOCK_SKEW).isoformat(timespec='seconds')}",
        )
    if isinstance(event, LabelEvent):
        return None
    fault = _form_fault(event)
    if fault is None and event.segments is not None:
        fault = _segments_fault(event.segments)
    if fault is None and event.metadata is not None:
        fault = _metadata_fault(event.metadata)
    return fault


def _form_fault(event: PredictionEvent) -> Fault | None:
    vector, confidence = event.probabilities, event.confidence
    forms = (event.probability, vector, event.logits, confidence)
    if forms.count(None) != len(forms) - 1:
        given = [form for form, value in zip(TASK_OF_FORM, forms, strict=True) if value is not None]
        return Fault(
            "wrong_form" if given else "missing_field",
            f"{' and '.join(given) or 'no score'} given: must have exactly one of {', '.join(TASK_OF_FORM)}",
        )
    if vector is not None:
        return _without_served(event) or _vector_fault(vector, event.raw_probabilities)
    return _without_served(event) or _answer_fault(event.prediction, confidence)


def _without_served(event: PredictionEvent) -> Fault | None:
    if event.raw_probability is not None and event.probability is None:
        raw, served = "raw_probability", "probability"
    elif event.raw_probabilities is not None and event.probabilities is None:
        raw, served = "raw_probabilities", "probabilities"
    elif event.raw_confidence is not None and event.confidence is None:
        raw, served = "raw_confidence", "confidence"
    elif event.prediction is not None and event.confidence is None:
        raw, served = "prediction", "confidence"
    else:
        return None
    return Fault("wrong_form", f"{raw} is given without {served}: must stand beside it, and only there")


def _answer_fault(answer: str | float | None, confidence: float | None) -> Fault | None:
    if answer is None and confidence is not None:
        return Fault("missing_field", "prediction is missing: a confidence must come with the answer that it is of")
    if not isinstance(answer, str) or answer.isprintable() or _CONTROL_IN_ANSWER.search(answer) is None:
        return None
    return Fault("bad_name", f"prediction is {quoted(answer)}: must not have control characters but tabs and line ends")


def _vector_fault(vector: Vector, raw: Vector | None) -> Fault | None:
    if fault := _sum_fault("probabilities", vector):
        return fault
    if raw is None:
        return None
    if type(raw) is not type(vector):
        return Fault(
            "wrong_type", "raw_probabilities and probabilities differ in kind: must both be arrays, or objects"
        )
    if isinstance(raw, dict) and isinstance(vector, dict) and raw.keys() != vector.keys():
        odd = min(raw.keys() ^ vector.keys())
        return Fault(
            "unknown_class", f"{quoted(odd)} is in one of raw_probabilities and probabilities: must be in both"
        )
    if len(raw) != len(vector):
        return Fault(
            "wrong_length", f"raw_probabilities has {len(raw)} values: must have {len(vector)}, as probabilities"
        )
    return _sum_fault("raw_probabilities", raw)


def _sum_fault(field: str, vector: Vector) -> Fault | None:
    total = sum(vector.values() if isinstance(vector, dict) else vector)
    # The sum itself is rounded: .999 must pass whichever way it came about.
    if abs(total - 1.0) <= SUM_TOLERANCE + 1e-9:
        return None
    return Fault("bad_sum", f"{field} sums to {total:.6g}: must be 1 within {SUM_TOLERANCE}")


def _segments_fault(segments: dict[str, Any]) -> Fault | None:
    """Return what is wrong with segments, and turn their values to text where nothing is."""
    for key, value in segments.items():
        if ":" in key:
            return Fault("bad_name", f"segments has the key {quoted(key)}: must not have a colon")
        if not isinstance(value, str):
            segments[key] = quoted(value)
    return None


def _packs(metadata: dict[str, Any]) -> bool:
    try:
        msgspec.msgpack.encode(metadata)
    except OverflowError:
        return False
    return True


def _metadata_fault(metadata: dict[str, Any]) -> Fault | None:
    try:
        text = _ENCODER.encode(metadata)
    except RecursionError:
        return TOO_DEEP
    if len(text) > MAX_METADATA_BYTES:
        return Fault("too_large", f"metadata is {len(text)} bytes long: must be at most {MAX_METADATA_BYTES}")
    if _MANY_DIGITS.search(text) and not _packs(metadata):
        return Fault("out_of_range", "metadata holds an integer beyond 64 bits: send it as text")
    nested = text.count(b"{") + text.count(b"[")
    return TOO_DEEP if nested > MAX_METADATA_DEPTH and _levels(metadata) > MAX_METADATA_DEPTH else None


def _levels(value: Any) -> int:
    """Return how deep a value is nested, counting no further than matters."""
    level, row = 0, [value]
    while row and level <= MAX_METADATA_DEPTH:
        level += 1
        rows = [outer.values() if isinstance(outer, dict) else outer for outer in row]
        row = [inner for members in rows for inner in members if isinstance(inner, dict | list)]
    return level


def all_clean(events: Sequence[Event]) -> bool:
    """Return whether all names in a batch are fit to be names, by one look at all of them together."""
    predictions = [event for event in events if type(event) is PredictionEvent]
    labels = [event for event in events if type(event) is LabelEvent]
    models = {event.model for event in events}
    if not models.isdisjoint(UNADDRESSABLE):
        return False
    names: set[object] = set(models)
    names.update([event.model_version for event in predictions])
    names.update([event.cluster for event in predictions])
    names.update([event.label for event in labels])
    names.update([event.source for event in labels])
    for segments in [event.segments for event in predictions if event.segments is not None]:
        names.update(segments, segments.values())
    for field in ("probabilities", "raw_probabilities", "logits"):
        vectors = map(attrgetter(field), predictions)
        names.update(*[vector for vector in vectors if type(vector) is dict])
    texts = [name for name in names if isinstance(name, str)]
    return not has_control("".join(texts)) and not has_control("".join([event.event_id for event in events]))


def has_control(text: str) -> bool:
    """Return whether a text has a control character."""
    return not text.isprintable() and _CONTROL.search(text) is not None


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_ANSWER: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def unclean_name(event: Event) -> Fault | None:
    """Return which name of an event has a control character, or can't stand in an address, or None."""
    if event.model in UNADDRESSABLE:
        return Fault(
            "bad_name", f"model is {quoted(event.model)}: must not be . or .., which mean places in an address"
        )
    for field in _NAMES_OF[type(event)]:
        value = getattr(event, field)
        texts = [*value, *value.values()] if isinstance(value, dict) else [value]
        for text in texts:
            if isinstance(text, str) and has_control(text):
                return Fault("bad_name", f"{field} has {quoted(text)}: must not have control characters")
    return None


_NAMES_OF: Final[dict[type, tuple[str, ...]]] = {
    PredictionEvent: (
        "event_id",
        "model",
        "model_version",
        "cluster",
        "segments",
        "probabilities",
        "raw_probabilities",
        "logits",
    ),
    LabelEvent: ("event_id", "model", "label", "source"),
}
