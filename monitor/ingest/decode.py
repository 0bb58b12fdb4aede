"""Decompress and decode a request body into events, rejecting bad items without failing their neighbours.

A body is first decoded whole. Only where that fails is it cut into items, each decoded alone by the same decoder, so that
the answer for an item does not depend on the other items of the request.
"""

import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from ..domain.errors import BadInput, TooLarge
from ..domain.events import MAX_EVENTS, Event, Fault, Rejection
from ..domain.labels import Declared, check_against
from ..domain.names import has_control
from .checks import CLOCK_SKEW, all_clean, fault_of, unclean_name
from .clothes import event_as_meant
from .explain import explain
from .parse import repeated_key, without_mark
from .precision import imprecision

MAX_BODY_BYTES: Final = 64 * 2**20
MAX_ITEM_BYTES: Final = 4 * 2**20
MAX_NESTED: Final = 1_000_000
MAX_STRINGS: Final = 8_000_000
MAX_GZIP_MEMBERS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The events and rejections of a request."""

    received: int  # items in the request, good and bad
    accepted: list[Event]  # in the order of the request
    indexes: Sequence[int]  # positions of the accepted events in the request
    rejected: list[Rejection]  # in the order of the request

    def __post_init__(self) -> None:
        counts = len(self.accepted), len(self.indexes), len(self.rejected)
        if self.received != counts[0] + counts[2] or counts[0] != counts[1]:
            raise ValueError(f"{self.received} items received, but {counts} accepted, indexed and rejected")


def decode_events(body: bytes, content_type: str, *, now: datetime) -> Decoded:
    """Return the events of a request body, and a rejection for each bad item.

    Raises `BadInput` for a body that is no list of items at all, and `TooLarge` for more items than a request may have.
    """
    body = without_mark(body)
    if body.count(b"{") + body.count(b"[") > MAX_NESTED:
        raise TooLarge(f"a request may have at most {MAX_NESTED} objects and arrays in all")
    lines = is_lines(content_type)
    events = _decode_whole(body) if len(body) <= MAX_ITEM_BYTES and not lines else None
    if events is not None:
        return _sorted_out(events, now)
    return _sorted_out([_decode_item(text) for text in _counted(_lines(body) if lines else _items(body))], now)


def is_lines(content_type: str) -> bool:
    """Return whether a content type is newline-delimited JSON."""
    return content_type.partition(";")[0].strip().lower() in LINE_TYPES


LINE_TYPES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)


def check_all(decoded: Decoded, declared: Callable[[str], Declared | None]) -> Decoded:
    """Return a request whose events that disagree with their model's settings are rejected."""
    rejected, kept = [], []
    for index, event in zip(decoded.indexes, decoded.accepted, strict=True):
        settings = declared(event.model)
        fault = None if settings is None else _fault_under(settings, event)
        if fault is None:
            kept.append((index, event))
        else:
            rejected.append(fault.at(index, event.event_id, event.model))
    if not rejected:
        return decoded
    return Decoded(
        received=decoded.received,
        accepted=[event for _, event in kept],
        indexes=[index for index, _ in kept],
        rejected=sorted(decoded.rejected + rejected, key=lambda rejection: rejection.index),
    )


def _fault_under(settings: Declared, event: Event) -> Fault | None:
    return check_against(event, settings) or (None if settings.normalize else imprecision(event))


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    events: list[Event]


_Refused = tuple[Fault, str | None, str | None]
"""What is wrong with an item, and its id and model where they are usable."""

_WHOLE: Final = msgspec.json.Decoder(_Envelope)
_ITEM: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)
_ENCODER: Final = msgspec.json.Encoder()
_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _decode_whole(body: bytes) -> list[Event] | None:
    try:
        envelope = _WHOLE.decode(body)
        if len(envelope.events) > MAX_EVENTS:
            raise _too_many()
        return envelope.events if _accounts_for_keys(body, envelope) else None
    except _REFUSALS:
        return None


def _decode_item(text: bytes) -> Event | _Refused:
    if len(text) > MAX_ITEM_BYTES:
        return Fault("too_large", f"item is {len(text)} bytes long: must be at most {MAX_ITEM_BYTES}"), None, None
    try:
        event = _ITEM.decode(text)
        sound = _accounts_for_keys(text, event) or repeated_key(text) is None
    except _REFUSALS as error:
        meant = event_as_meant(text)
        return explain(text, error) if meant is None else meant
    return event if sound else explain(text, None)


def _accounts_for_keys(text: bytes, decoded: Any) -> bool:
    """Return True where counting keys proves that a text repeats none; False means that it may repeat one.

    The decoder silently keeps the last of repeated keys. Once escaped quotes are out of the way, `":` occurs once for each
    key and once for each string that begins with a colon, in the text as in what is encoded again from what it decoded
    to. The second can't have more of them, and has fewer if a key was dropped (or a field is at its default, for which
    the text is decoded once more, to what keeps everything). An escaped colon or a space before one would upset the count.
    """
    bare = _without_escapes(text)
    if (b"\\" in bare and b"\\u003" in bare) or _has_space_before_colon(bare):
        return False
    keys = bare.count(b'":')
    return keys == _keys_of(decoded) or keys == _keys_of(msgspec.json.decode(text))


def _has_space_before_colon(text: bytes) -> bool:
    return _SPACED_COLON.search(text) is not None and _SPACED_KEY.search(text) is not None


# The first is quick, since a search for one literal byte is; the second is right.
_SPACED_COLON: Final = re.compile(rb":(?<=[ \t\r\n]:)")
_SPACED_KEY: Final = re.compile(rb'"[ \t\r\n]+:')


def _keys_of(decoded: Any) -> int:
    return _without_escapes(_ENCODER.encode(decoded)).count(b'":')


def _without_escapes(text: bytes) -> bytes:
    # Placeholders, so that what follows an escape does not move up to the quote before it.
    return text.replace(b"\\\\", b"..").replace(b'\\"', b"..") if b"\\" in text else text


def _counted(items: Iterator[bytes]) -> Iterator[bytes]:
    for index, item in enumerate(items):
        if index == MAX_EVENTS:
            raise _too_many()
        yield item


def _too_many() -> TooLarge:
    return TooLarge(f"a request may have at most {MAX_EVENTS} events: send them in several")


def _lines(body: bytes) -> Iterator[bytes]:
    return (line[0] for line in _LINE.finditer(body.replace(b"\n" + BOM_UTF8, b"\n")))


_LINE: Final = re.compile(rb"[^ \t\r\n][^\n]*")


def _items(body: bytes) -> Iterator[bytes]:
    """Split a body into the texts of its items, by brackets, commas and strings alone."""
    if body.count(b'"') > 2 * MAX_STRINGS:
        raise TooLarge(f"a request may have at most {MAX_STRINGS} strings in all")
    opening = _OPENING.match(body)
    if opening is None or _key(opening[1]) != "events":
        raise _unusable(body)
    position, following = opening.end(), opening[2]
    while following != b"]":
        end = _end_of_item(body, position)
        yield body[position:end]
        separator = _SEPARATOR.match(body, end)
        if separator is None:
            raise _unusable(body)
        position, following = separator.end(), separator[1]
    if _CLOSING.fullmatch(body, position) is None:
        raise _unusable(body)


_OPENING: Final = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*("(?:[^"\\]|\\.){6,36}")[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*(\])?')
_SEPARATOR: Final = re.compile(rb"[ \t\r\n]*([,\]])[ \t\r\n]*")
_CLOSING: Final = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)
_SCALAR: Final = re.compile(rb'(?:[^",\[\]{}]++|"(?:[^"\\]++|\\.)*+")++', re.DOTALL)
_CLOSER: Final = {b"{": b"}", b"[": b"]"}


def _key(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except _REFUSALS:
        return None


def _end_of_item(body: bytes, start: int) -> int:
    if body[start : start + 1] not in _CLOSER:
        scalar = _SCALAR.match(body, start)
        if scalar is None:
            raise _unusable(body)
        return scalar.end()
    position = start
    closers: list[bytes] = []
    while closers or position == start:
        bracket = _TO_BRACKET.match(body, position)
        if bracket is None:
            raise _unusable(body)
        if bracket[1] in _CLOSER:
            closers.append(_CLOSER[bracket[1]])
        elif closers.pop() != bracket[1]:
            raise _unusable(body)
        position = bracket.end()
    return position


def _unusable(body: bytes) -> BadInput:
    """Return the fault of a body that cannot be split into items."""
    shown = body[:200].decode("utf-8", "replace")
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError:
        return BadInput("body", shown, "nested too deeply to be read")
    except msgspec.DecodeError as error:
        return BadInput("body", shown, f"not JSON: {str(error).removeprefix('JSON is malformed: ')}")
    return BadInput("body", shown, 'must be an object with the one key "events", an array of events')


def _sorted_out(items: Sequence[Event | _Refused], now: datetime) -> Decoded:
    """Check decoded items, and separate the good from the bad."""
    latest = now + CLOCK_SKEW
    clean = all_clean([item for item in items if not isinstance(item, tuple)])
    judged = [_judged(item, latest, clean) for item in items]
    return Decoded(
        received=len(items),
        accepted=[event for event in judged if not isinstance(event, tuple)],
        indexes=[index for index, event in enumerate(judged) if not isinstance(event, tuple)],
        rejected=[item[0].at(index, item[1], item[2]) for index, item in enumerate(judged) if isinstance(item, tuple)],
    )


def _judged(item: Event | _Refused, latest: datetime, clean: bool) -> Event | _Refused:  # noqa: FBT001 - local
    if isinstance(item, tuple):
        return item
    fault = (None if clean else unclean_name(item)) or fault_of(item, latest)
    if fault is None:
        return item
    event_id, model = (None if has_control(name) else name for name in (item.event_id, item.model))
    return fault, event_id, model


def inflate(body: bytes, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the content of a gzip body of any number of members.

    Raises `TooLarge` as soon as it is more than `limit` bytes, and `BadInput` where the body is cut short, damaged or
    followed by anything else.
    """
    inflated = bytearray()
    position = 0
    for _ in range(MAX_GZIP_MEMBERS):
        position = _inflate_member(body, position, inflated, limit)
        if position == len(body):
            return bytes(inflated)
    raise BadInput("body", f"{len(body)} bytes", f"must be gzip of at most {MAX_GZIP_MEMBERS} members")


def _inflate_member(body: bytes, position: int, inflated: bytearray, limit: int) -> int:
    """Append the content of one member and return its end."""
    member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    while not member.eof:
        chunk = body[position : position + _CHUNK]
        if not chunk:
            raise BadInput("body", f"{len(body)} bytes", "must be whole gzip data: it ends too early")
        try:
            inflated += member.decompress(chunk, limit - len(inflated) + 1)
        except zlib.error as error:
            raise BadInput("body", f"{len(body)} bytes", f"must be gzip data: {error} near byte {position}") from error
        if len(inflated) > limit:
            raise TooLarge(f"the body inflates to more than {limit} bytes")
        position += len(chunk) - len(member.unused_data)
    return position


_CHUNK: Final = 64 * 1024
