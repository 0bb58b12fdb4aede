"""Request bodies: read up to a limit, and taken as JSON only where they say that they are."""

from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive

from ..domain.errors import BadInput, TooLarge, Unavailable
from ..ingest.explain import repeated_key

MAX_DEPTH: Final = 20
MOST_DIGITS: Final = 18
_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """Return a request's body.

    Raises
    ------
    TooLarge
        as soon as it is known to be over the limit.
    Unavailable
        when the client goes away first.

    """
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > MOST_DIGITS or int(declared) > limit):
        raise TooLarge(f"the body may have at most {limit} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("the client went away")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body may have at most {limit} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def must_be_json(headers: Headers) -> None:
    """Refuse a body that is not declared as JSON, which no page of another origin can send without being asked first.

    Raises
    ------
    HTTPException
        with status 415.

    """
    given = headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"content-type is {given!r}: it must be application/json")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise HTTPException(415, f"content-encoding is {encoding!r}: only /v1/events takes compressed bodies")


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises
    ------
    BadInput
        when it is anything else, is nested deeply, or gives a key twice.

    """
    start = body[:80].decode("utf-8", "replace")
    try:
        found = msgspec.json.decode(body)
        repeated = repeated_key(body)
    except _REFUSALS as error:
        reason = "must not be empty" if not body else str(error).removeprefix("JSON is malformed: ")
        raise BadInput("body", start, f"is not a JSON object: {reason}") from error
    if not isinstance(found, dict):
        raise BadInput("body", start, "must be a JSON object")
    if repeated is not None:
        raise BadInput(repeated, None, "is given more than once")
    if _depth(found) > MAX_DEPTH:
        raise BadInput("body", start, f"may be nested at most {MAX_DEPTH} levels deep")
    return found


def _depth(value: Any) -> int:
    """Return how deep a value is nested, counting no further than matters."""
    level, row = 0, [value]
    while row and level <= MAX_DEPTH:
        level += 1
        members: list[Any] = []
        for outer in row:
            members += outer.values() if isinstance(outer, dict) else outer
        row = [inner for inner in members if isinstance(inner, dict | list)]
    return level
