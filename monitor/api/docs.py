"""The API's description, and the page that shows it without loading anything from other servers."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute

from .answers import Described
from .freshness import STALE, is_current
from .routes import events
from .schemas import Schema, components

STATIC: Final = Path(__file__).parent / "static"
HEADERS: Final = {
    # Swagger UI sets styles on elements, and draws its marks from data: addresses.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
KEY: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, made by `calwatch keys create NAME`. A server on a loopback address needs none until there is one.",
}


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Add the page at /docs, and complete /openapi.json.

    Parameters
    ----------
    app : serves the page
    routes : those whose answers are described

    """

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers=HEADERS)

    app.mount("/docs/assets", StaticFiles(directory=str(files("fastapi_offline") / "static")), name="docs-assets")
    described = app.openapi

    def openapi() -> dict[str, Any]:
        schema = described()
        if "security" not in schema:
            _complete(schema, components([*events.SHAPES, *_shapes(routes)]))
            _describe_stale(schema, routes)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def _shapes(routes: Iterable[BaseRoute]) -> list[Any]:
    """Return the types of answers and request bodies."""
    return [
        described.shape
        for route in routes
        if isinstance(route, APIRoute)
        for described in (*route.responses.values(), *(route.openapi_extra or {}).values())
        if isinstance(described, Described)
    ]


def _describe_stale(schema: dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    """Add `stale` to the answers of routes that wait for the roll-up."""
    structs = schema["components"]["schemas"]
    for route in routes:
        if isinstance(route, APIRoute) and is_current(route):
            for described in route.responses.values():
                for name in _structs(described.get("content", {}).get("application/json", {}).get("schema", {})):
                    structs[name]["properties"]["stale"] = STALE


def _structs(shape: dict[str, Any]) -> list[str]:
    """Return the names of the structs that a schema is one of."""
    return [option["$ref"].rpartition("/")[2] for option in shape.get("anyOf", [shape]) if "$ref" in option]


def _complete(schema: dict[str, Any], structs: Schema) -> None:
    schema["paths"] = {"/v1/events": {"post": events.operation()}} | schema["paths"]
    parts = schema.setdefault("components", {})
    parts.setdefault("schemas", {}).update(structs)
    parts["securitySchemes"] = {"key": KEY}
    schema["security"] = [{"key": []}, {}]
