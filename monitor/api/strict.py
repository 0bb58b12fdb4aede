"""Routes that accept what they document and nothing else: known parameters, each once, and declared JSON."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from ..domain.errors import BadInput
from .bodies import must_be_json, parsed, read_body
from .freshness import marked

MAX_BODY_BYTES: Final = 16 * 2**20
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that checks a whole request before the framework does."""

    def get_route_handler(self) -> Handler:
        """Return the handler of a request."""
        handle = super().get_route_handler()
        known = frozenset(_names(self.dependant))
        described = "requestBody" in (self.openapi_extra or {})  # taken as `SentJson`
        takes_body = described or self.body_field is not None
        required = described or (self.body_field is not None and self.body_field.field_info.is_required())

        async def strictly(request: Request) -> Response:
            check_query(request.query_params, known)
            if request.method in WITH_BODY:
                request = await JsonRequest.read(request, required=required)
                if not takes_body:
                    check_empty(await request.json())
            return marked(request, await handle(request))

        return strictly


class JsonRequest(Request):
    """A request whose body is already read and decoded."""

    content: dict[str, Any]

    @classmethod
    async def read(cls, request: Request, *, required: bool) -> "JsonRequest":
        """Return the request with its body; an empty body is an empty object where none is required."""
        must_be_json(request.headers)
        body = await read_body(request.headers.get("content-length", ""), request.receive, MAX_BODY_BYTES)
        decoded = cls(request.scope, request.receive)
        decoded._body = body  # where starlette keeps a body once it is read
        decoded.content = {} if not body and not required else parsed(body)
        return decoded

    async def json(self) -> dict[str, Any]:
        """Return the JSON object of the body."""
        return self.content


def check_query(parameters: QueryParams, known: frozenset[str]) -> None:
    """Refuse unknown parameters, and known ones that are repeated.

    Raises
    ------
    BadInput
        naming the parameter.

    """
    names = [name for name, _ in parameters.multi_items()]
    for name in names:
        if name not in known:
            listed = f"this call takes {', '.join(sorted(known))}" if known else "this call takes none"
            raise BadInput(name, parameters[name], f"there is no such parameter; {listed}")
        if names.count(name) > 1:
            raise BadInput(name, parameters.getlist(name), "is given more than once")


def check_empty(body: Mapping[str, object]) -> None:
    """Refuse a body with any field, for a call that takes none.

    Raises
    ------
    BadInput
        naming its first key.

    """
    if body:
        name, value = next(iter(body.items()))
        raise BadInput(name, value, "there is no such field; this call takes an empty object")


def _names(dependant: Dependant) -> Iterable[str]:
    for field in dependant.query_params:
        shape = field.field_info.annotation
        yield from shape.model_fields if isinstance(shape, type) and issubclass(shape, BaseModel) else [field.alias]
