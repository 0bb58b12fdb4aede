"""Answers of routes: the structs that they are made of, and how the API's description names them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

Ratio = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Moment = Annotated[datetime, Meta(tz=True)]

REFERENCE: Final = "#/components/schemas/{name}"
_ENCODER: Final = msgspec.json.Encoder()

PROBLEM: Final = {
    "description": "What went wrong",
    "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}},
}


class Described(dict[str, Any]):
    """An answer as OpenAPI describes it, and the type that the description was made from."""

    shape: Any


def gives(shape: Any, description: str = "OK", status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return a call's answers for its description.

    Parameters
    ----------
    shape : a msgspec struct, or a union of several
    description : what the answer is, in words
    status : of the answer

    """
    (schema,), _ = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    described = Described(description=description, content={"application/json": {"schema": schema}})
    described.shape = shape
    return {status: described, "default": PROBLEM}


def components(responses: Iterable[Any]) -> dict[str, Any]:
    """Return the schemas that described answers refer to, by name."""
    shapes = [response.shape for response in responses if isinstance(response, Described)]
    return msgspec.json.schema_components(shapes, ref_template=REFERENCE)[1]


def answer(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a struct, or an object of JSON, as an answer; a number that is not finite is null."""
    return Response(_ENCODER.encode(content), status_code=status, headers=headers, media_type="application/json")
