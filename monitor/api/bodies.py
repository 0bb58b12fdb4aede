"""Request bodies: read up to a limit, and accepted as JSON only if declared as JSON."""

from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive

from ..domain.errors import BadInput, TooLarge, Unavailable
from ..ingest.parse import repeated_key, without_mark

MAX_DEPTH: Final = 20
MOST_DIGITS: Final = 18
_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


async def read_body(declared: str, receive: Receive, limit: int) -> bytes:
    """Return a request's body, whose length is declared, if at all, as text.

    Raises
    ------
    TooLarge
        as soon as its size is known to exceed the limit.
    Unavailable
        when the client disconnects first.

    """
    if declared.isascii() and declared.isdigit() and (len(declared) > MOST_DIGITS or int(declared) > limit):
        raise TooLarge(f"the body may have at most {limit} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("the client disconnected")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body may have at most {limit} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def must_be_json(headers: Headers) -> None:
    """Refuse a body that is not declared as JSON; a web page of another origin can't send one without a preflight.

    Raises
    ------
    HTTPException
        with status 415.

    """
    declared = headers.get("content-type", "")
    if declared.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"content-type is {declared!r}: it must be application/json")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise HTTPException(415, f"content-encoding is {encoding!r}: only /v1/events takes compressed bodies")


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises
    ------
    BadInput
        when it is not a JSON object, is nested too deeply, or repeats a key.

    """
    body = without_mark(body)
    start = body[:80].decode("utf-8", "replace")
    try:
        content = msgspec.json.decode(body)
        repeated = repeated_key(body)
    except _REFUSALS as error:
        reason = "must not be empty" if not body else str(error).removeprefix("JSON is malformed: ")
        raise BadInput("body", start, f"is not a JSON object: {reason}") from error
    if not isinstance(content, dict):
        raise BadInput("body", start, "must be a JSON object")
    if repeated is not None:
        raise BadInput(repeated, None, "is given more than once")
    if _depth(content) > MAX_DEPTH:
        raise BadInput("body", start, f"may be nested at most {MAX_DEPTH} levels deep")
    return content


def _depth(value: Any) -> int:
    """Return the nesting depth of a value, counted up to one beyond the limit."""
    level, row = 0, [value]
    while row and level <= MAX_DEPTH:
        level += 1
        members: list[Any] = []
        for outer in row:
            members += outer.values() if isinstance(outer, dict) else outer
        row = [inner for inner in members if isinstance(inner, dict | list)]
    return level
