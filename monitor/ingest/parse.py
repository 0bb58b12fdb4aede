"""Read the JSON of an item in plain Python, with all that the decoder would refuse: repeated keys, endless numbers, broken text."""

import json
import math
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from typing import Any, Final

from ..domain.events import Fault, quoted


class NotFinite:
    """A number beyond the range of floats, as it was written."""

    def __init__(self, written: str) -> None:
        self.written = written

    def __str__(self) -> str:
        return self.written


class Repeated(Exception):
    """A key occurs twice in one object."""


def without_mark(body: bytes) -> bytes:
    """Return a body in UTF-8 without the byte-order mark that it begins with, if any; one in UTF-16 with a mark is read as such.

    >>> without_mark("\ufeff{}".encode()), without_mark("{}".encode("utf-16"))
    (b'{}', b'{}')
    """
    if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        try:
            return body.decode("utf-16").encode()
        except UnicodeError:
            return body
    return body.removeprefix(BOM_UTF8)


def repeated_key(text: bytes) -> str | None:
    """Return a key that occurs twice in one object of a JSON text, or None."""
    try:
        parse(text, without_repeats)
    except Repeated as repeated:
        return str(repeated.args[0])
    return None


def parse(text: bytes, make_object: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """Return the value of a JSON text, with whatever bytes and numbers it has; objects are made of their members in order."""
    return json.loads(
        text.decode("utf-8", "surrogateescape"),
        object_pairs_hook=make_object,
        parse_constant=NotFinite,
        parse_float=_finite_float,
        parse_int=_finite_int,
    )


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of its members; raise `Repeated` for a key that occurs twice."""
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise Repeated(key)
        members[key] = value
    return members


def _finite_float(written: str) -> float | NotFinite:
    number = float(written)
    return number if math.isfinite(number) else NotFinite(written)


def _finite_int(written: str) -> int | NotFinite:
    return int(written) if math.isfinite(float(written)) else NotFinite(written)


def unreadable(value: Any, path: str) -> Fault | None:
    """Return the first number or text, at any depth, that cannot be stored."""
    if isinstance(value, NotFinite):
        return Fault("not_finite", f"{path} is {quoted(value)}: must be a finite number")
    if isinstance(value, str):
        return unreadable_text(value, path)
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        if isinstance(key, str) and (fault := unreadable_text(key, f"a key of {path or 'the item'}")):
            return fault
        if fault := unreadable(member, f"{path}[{quoted(key)}]" if path else str(key)):
            return fault
    return None


def unreadable_text(text: str, path: str) -> Fault | None:
    """Return the fault of a text that is not Unicode."""
    if _SURROGATE.search(text):
        return Fault("bad_text", f"{path} is {quoted(text)}: must be Unicode text, without lone surrogates, in UTF-8")
    return None


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
