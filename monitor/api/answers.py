"""Answers of routes: the structs that they are made of, and how the API's description names them."""

from collections.abc import Iterable
from itertools import chain
from types import UnionType
from typing import Any, Final, get_args

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

REFERENCE: Final = "#/components/schemas/{name}"
_ENCODER: Final = msgspec.json.Encoder()

PROBLEM: Final = {
    "description": "What went wrong",
    "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}},
}


class Described(dict[str, Any]):
    """An answer as OpenAPI describes it, and the structs that the description refers to."""

    structs: tuple[type[Struct], ...]


def gives(
    shape: Any, description: str = "OK", status: int = 200, *, parts: tuple[type[Struct], ...] = ()
) -> dict[int | str, dict[str, Any]]:
    """Return a call's answers for its description.

    Parameters
    ----------
    shape : a msgspec struct, or a union of several
    description : what the answer is, in words
    status : of the answer
    parts : structs that fields described by `any_of` hold

    """
    structs = get_args(shape) if isinstance(shape, UnionType) else (shape,)
    schemas, _ = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    described = Described(description=description, content={"application/json": {"schema": schema}})
    described.structs = (*structs, *parts)
    return {status: described, "default": PROBLEM}


def any_of(*structs: type[Struct], null: bool = False) -> Meta:
    """Return the description of a field that holds one of several structs: msgspec describes unions of tagged ones only.

    Parameters
    ----------
    null : whether it may be null too

    """
    references: list[dict[str, str]] = [{"$ref": REFERENCE.format(name=struct.__name__)} for struct in structs]
    return Meta(extra_json_schema={"anyOf": [*references, *([{"type": "null"}] if null else [])]})


def components(responses: Iterable[Any]) -> dict[str, Any]:
    """Return the schemas that described answers refer to, by name."""
    structs = chain.from_iterable(response.structs for response in responses if isinstance(response, Described))
    return msgspec.json.schema_components(structs, ref_template=REFERENCE)[1]


def answer(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a struct, or an object of JSON, as an answer; a number that is not finite is null."""
    return Response(_ENCODER.encode(content), status_code=status, headers=headers, media_type="application/json")
