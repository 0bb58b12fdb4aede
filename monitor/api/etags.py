"""Entity tags: a client that holds the current version is answered 304, without a body (RFC 9110, section 13.1.2)."""

from fastapi import Request
from msgspec import Struct
from starlette.responses import Response

from .answers import answer

NOT_MODIFIED = 304


def answer_unless_known(request: Request, tag: str, content: Struct) -> Response:
    """Return an answer under an entity tag, without a body where `If-None-Match` names the tag."""
    quoted = f'"{tag}"'
    headers = {"ETag": quoted, "Cache-Control": "no-cache"}
    if matches(",".join(request.headers.getlist("if-none-match")), quoted):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return answer(content, headers=headers)


def matches(header: str, quoted: str) -> bool:
    """Return whether an `If-None-Match` header names a tag.

    >>> matches('"a", W/"b"', '"b"'), matches('"a"', '"b"'), matches("*", '"b"')
    (True, False, True)
    """
    return header.strip() == "*" or quoted in {tag.strip().removeprefix("W/") for tag in header.split(",")}
