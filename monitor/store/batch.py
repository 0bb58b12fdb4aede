"""Encode accepted events for the journal: requests in which nothing was odd as they came, all others as columns."""

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import fields, force_setattr

from ..domain.errors import Corrupt
from ..domain.events import Event, LabelEvent, PredictionEvent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_COMPRESSED: Final = b"z"
_PLAIN: Final = b"p"
_BODIES: Final = b"b"
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
    zstd.ZstdError,
)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder()


BodyForm = Literal["request", "lines", "requests"]
"""How a body is written; `requests` are an array of several."""


class Body(Struct, frozen=True, array_like=True):
    """The body of a request whose every event was accepted, and means what it says: nothing in it was shortened or left out."""

    form: BodyForm
    models: dict[str, int]  # ids by name, as they were when it was accepted
    content: bytes


class _Envelope(Struct):
    events: list[Event]


_whole: Final = msgspec.json.Decoder(_Envelope)
_lines: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_requests: Final = msgspec.json.Decoder(list[_Envelope])
_bodies: Final = msgspec.msgpack.Decoder(list[Body])


def encode_bodies(bodies: Sequence[Body]) -> bytes:
    """Return requests as one blob."""
    return _BODIES + zstd.compress(_encoder.encode(bodies), 1)


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
        when the blob was not made by `encode` or `encode_bodies`.

    """
    try:
        if blob[:1] == _BODIES:
            return _of_bodies(_bodies.decode(zstd.decompress(blob[1:])))
        packed = zlib.decompress(blob[1:]) if blob[:1] == _COMPRESSED else blob[1:]
        kinds, model_ids, predictions, labels = _decoder.decode(packed)
        rows = [_rows(PredictionEvent, predictions), _rows(LabelEvent, labels)]
        events = [next(rows[kind]) for kind in kinds]
        if len(events) != len(model_ids):
            raise ValueError(f"{len(events)} events for {len(model_ids)} models")
    except _UNREADABLE as error:
        raise Corrupt(f"a journal batch of {len(blob)} bytes does not decode: {error}") from error
    return events, model_ids


_DECODED: Final[dict[str, Callable[[bytes], list[Event]]]] = {
    "request": lambda content: _whole.decode(content).events,
    "lines": _lines.decode_lines,
    "requests": lambda content: [event for one in _requests.decode(content) for event in one.events],
}


def _of_bodies(bodies: Sequence[Body]) -> tuple[list[Event], list[int]]:
    events: list[Event] = []
    model_ids: list[int] = []
    for body in bodies:
        decoded = _DECODED[body.form](body.content)
        events += decoded
        model_ids += [body.models[event.model] for event in decoded]
    for event in events:
        force_setattr(event, "model", "")
    return events, model_ids


def _rows(cls: type[Event], columns: dict[str, list[Any]]) -> Iterator[Any]:
    names = tuple(columns)
    if not names:
        return iter(())
    return (cls(model="", **dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True))
