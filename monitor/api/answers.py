"""Answers of routes, and how the API describes them and request bodies."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from .problems import MEDIA_TYPE, Problem
from .schemas import Schema, schema

_ENCODER: Final = msgspec.json.Encoder()


class Described(Schema):
    """The OpenAPI description of an answer or a request body, with the type that it describes."""

    shape: Any


def described(shape: Any, *, media_type: str = "application/json", **more: object) -> Described:
    """Return the description of an answer or a body."""
    description = Described(content={media_type: {"schema": schema(shape)}}, **more)
    description.shape = shape
    return description


PROBLEM: Final = described(Problem, media_type=MEDIA_TYPE, description="What went wrong")


def gives(shape: Any, description: str = "OK", status: int = 200) -> dict[int | str, Schema]:
    """Return the answers of a call for its description.

    Parameters
    ----------
    shape : a msgspec struct, or a union of several; fields may be unions of structs too
    description : what the answer is, in words
    status : of the answer

    """
    return {status: described(shape, description=description), "default": PROBLEM}


def takes(shape: Any) -> Schema:
    """Return the request body of a call for its description, as `openapi_extra` of the route."""
    return {"requestBody": described(shape, required=True)}


def answer(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a struct, or an object of JSON, as an answer; a number that is not finite is null."""
    return Response(_ENCODER.encode(content), status_code=status, headers=headers, media_type="application/json")
