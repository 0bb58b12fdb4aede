"""Encode accepted events for the journal: as columns, packed and compressed."""

import zlib
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import fields

from ..domain.errors import Corrupt
from ..domain.events import Event, LabelEvent, PredictionEvent

_COMPRESSED: Final = b"z"
_PLAIN: Final = b"p"
_WORTH_COMPRESSING: Final = 1024
_FIELDS: Final = {
    PredictionEvent: tuple(f for f in PredictionEvent.__struct_fields__ if f != "model"),
    LabelEvent: tuple(f for f in LabelEvent.__struct_fields__ if f != "model"),
}
_DEFAULTS: Final = {cls: {f.name: f.default for f in fields(cls)} for cls in (PredictionEvent, LabelEvent)}
_VALUES_OF: Final = {cls: attrgetter(*fields) for cls, fields in _FIELDS.items()}
_UNREADABLE: Final = (
    zlib.error,
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    StopIteration,
    RecursionError,
)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder()


def encode(events: Sequence[Event], model_ids: Sequence[int]) -> bytes:
    """Return events and the ids of their models as one blob."""
    kinds = bytes(isinstance(event, LabelEvent) for event in events)
    columns = [
        _columns(cls, [event for event in events if type(event) is cls]) for cls in (PredictionEvent, LabelEvent)
    ]
    packed = _encoder.encode((kinds, list(model_ids), *columns))
    if len(packed) < _WORTH_COMPRESSING:
        return _PLAIN + packed
    return _COMPRESSED + zlib.compress(packed, 1)


def _columns(cls: type[Event], events: list[Any]) -> dict[str, tuple[Any, ...]]:
    columns = zip(_FIELDS[cls], zip(*map(_VALUES_OF[cls], events), strict=True), strict=False)
    left_out = {default: (default,) * len(events) for default in (None, False)}
    return {name: values for name, values in columns if values != left_out.get(_DEFAULTS[cls][name])}


def decode(blob: bytes) -> tuple[list[Event], list[int]]:
    """Return the events of a blob, with `model` left empty, and the ids of their models.

    Raises
    ------
    Corrupt
        when the blob was not made by `encode`.

    """
    try:
        packed = zlib.decompress(blob[1:]) if blob[:1] == _COMPRESSED else blob[1:]
        kinds, model_ids, predictions, labels = _decoder.decode(packed)
        rows = [_rows(PredictionEvent, predictions), _rows(LabelEvent, labels)]
        events = [next(rows[kind]) for kind in kinds]
        if len(events) != len(model_ids):
            raise ValueError(f"{len(events)} events for {len(model_ids)} models")
    except _UNREADABLE as error:
        raise Corrupt(f"a journal batch of {len(blob)} bytes does not decode: {error}") from error
    return events, model_ids


def _rows(cls: type[Event], columns: dict[str, list[Any]]) -> Iterator[Any]:
    names = tuple(columns)
    if not names:
        return iter(())
    return (cls(model="", **dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True))
