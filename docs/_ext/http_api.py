"""The HTTP API, from its own OpenAPI description."""

import json
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

from markdown import code, table, value
from schemas import Schema, name_of, type_of, without_null

from monitor.api.app import create_app
from monitor.runtime.config import Settings
from monitor.runtime.wiring import build

GROUPS: Final = {
    "events": "Events",
    "models": "Models",
    "figures": "Figures",
    "calibrators": "Calibrators",
    "decisions": "Decisions",
    "operations": "Operations",
}
"""Headings, in the order of the page, by the description's tags."""

EVERYWHERE: Final = {"model", "If-None-Match", "if-none-match"}
"""Parameters that the page explains once."""

REFERENCE: Final = re.compile(r'"#/components/schemas/(\w+)"')

EVENTS: Final = ("PredictionEvent", "LabelEvent")
"""Shapes that have a page of their own."""


@cache
def description() -> dict[str, Any]:
    """Return the OpenAPI document of a server on an empty database."""
    with tempfile.TemporaryDirectory() as folder:
        services = build(Settings(database_url=f"sqlite:///{Path(folder) / 'empty.db'}"), with_jobs=False)
        document: dict[str, Any] = create_app(services, local=True).openapi()
        services.database.close()
    return document


def operation(method: str, path: str) -> dict[str, Any]:
    """Return what is said of one call."""
    found: dict[str, Any] = description()["paths"][path][method]
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and description of all calls."""
    for path, methods in description()["paths"].items():
        for method, described in methods.items():
            yield method.upper(), path, described


def resolved(schema: Schema) -> Schema:
    """Return the schema that a reference names."""
    while "$ref" in schema:
        schema = description()["components"]["schemas"][name_of(schema)]
    return schema


def calls() -> str:
    """Return a section for each call, grouped by what it is about."""
    parts = []
    for tag, heading in GROUPS.items():
        parts.append(f"## {heading}")
        parts.extend(_call(method, path, about) for method, path, about in operations() if about["tags"] == [tag])
    return "\n\n".join(parts)


def _call(method: str, path: str, about: Schema) -> str:
    parts = [f"### `{method} {path}`", cleandoc(about.get("description", ""))]
    asked = [_parameter(each) for each in about.get("parameters", []) if each["name"] not in EVERYWHERE]
    if asked:
        parts.append(table(["parameter", "type", "default", "meaning"], asked))
    if "requestBody" in about:
        parts.append("Body: " + "; ".join(_bodies(about["requestBody"]["content"])) + ".")
    parts.append(table(["status", "answer", "meaning"], (_answer(*each) for each in about["responses"].items())))
    return "\n\n".join(parts)


def _parameter(about: Schema) -> list[str]:
    schema = about.get("schema", {})
    default = "required" if about.get("required") else value(schema["default"]) if "default" in schema else ""
    meaning = about.get("description") or schema.get("description", "")
    return [code(about["name"]), type_of(without_null(schema)), default, meaning]


def _bodies(content: Schema) -> Iterator[str]:
    for kind, body in content.items():
        schema = body["schema"]
        inner = schema.get("properties")
        shape = "an object of " + _named(inner) if inner and "title" not in schema else type_of(schema)
        yield f"{shape}, as {code(kind)}"


def _named(properties: Schema) -> str:
    return ", ".join(f"{code(name)} ({type_of(schema)})" for name, schema in properties.items())


def _answer(status: str, about: Schema) -> list[str]:
    shapes = [type_of(body["schema"]) for body in about.get("content", {}).values() if body.get("schema")]
    meaning = about.get("description", "")
    if status != "default" and meaning == "Successful Response":
        meaning = HTTPStatus(int(status)).phrase
    return ["any other" if status == "default" else code(status), " or ".join(shapes), meaning]


def shapes() -> str:
    """Return a section for each shape of bodies and answers."""
    named = description()["components"]["schemas"]
    return "\n\n".join(_shape(name, named[name]) for name in sorted(named.keys() - EVENTS))


def event_fields() -> str:
    """Return the fields of both kinds of events."""
    named = description()["components"]["schemas"]
    return "\n\n".join(_shape(name, named[name]) for name in EVENTS)


def _shape(name: str, schema: Schema) -> str:
    parts = [f"(shape-{name.lower()})=\n## {name}", cleandoc(schema.get("description", ""))]
    if "properties" in schema:
        required = set(schema.get("required", ())) if name in _sent() else set()
        rows = [_field(name, field, required=name in required) for name, field in schema["properties"].items()]
        parts.append(table(["field", "type", "default", "meaning"], rows))
    return "\n\n".join(parts)


@cache
def _sent() -> frozenset[str]:
    """Return the names of the shapes that are sent, rather than answered: what they require is worth a word."""
    bodies = json.dumps([about.get("requestBody") for _, _, about in operations()])
    return frozenset(REFERENCE.findall(bodies))


def _field(name: str, schema: Schema, *, required: bool) -> list[str]:
    default = "required" if required else value(schema["default"]) if "default" in schema else ""
    return [code(name), type_of(schema), default, schema.get("description", "")]
