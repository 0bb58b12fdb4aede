"""JSON schemas in words: what values a field may have."""

from collections.abc import Mapping
from typing import Any, Final

from markdown import value

Schema = Mapping[str, Any]

SEVERAL: Final = ("anyOf", "oneOf", "allOf")
PLAIN: Final = {"integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
BEYOND: Final = 1e15
"""A bound that is larger is one of the number's format."""


def name_of(schema: Schema) -> str:
    """Return the name of the shape that a schema refers to."""
    return str(schema["$ref"]).rsplit("/", 1)[1]


def type_of(schema: Schema) -> str:
    """Return in words what values a schema allows.

    >>> type_of({"anyOf": [{"type": "number", "minimum": 0.0, "maximum": 1.0}, {"type": "null"}]})
    'number from 0 to 1, or null'
    >>> type_of({"type": "array", "minItems": 2, "maxItems": 9, "items": {"type": "string"}})
    'list of 2 to 9: text'
    >>> type_of({"type": "array", "prefixItems": [{"type": "number"}, {"type": "integer", "minimum": 1}], "items": False})
    'list of number, then whole number from 1'
    """
    if "$ref" in schema:
        return f"[{name_of(schema)}](#shape-{name_of(schema).lower()})"
    for several in SEVERAL:
        if several in schema:
            return ", or ".join(dict.fromkeys(map(type_of, schema[several])))
    if "const" in schema:
        return value(schema["const"])
    if "enum" in schema:
        return ", ".join(map(value, schema["enum"]))
    return _plain(schema)


def without_null(schema: Schema) -> Schema:
    """Return a schema without the null that stands for a parameter that is not given."""
    if "anyOf" not in schema:
        return schema
    return {**schema, "anyOf": [each for each in schema["anyOf"] if each.get("type") != "null"]}


def _plain(schema: Schema) -> str:
    kind = schema.get("type")
    if "prefixItems" in schema:
        return "list of " + ", then ".join(map(type_of, schema["prefixItems"]))
    if kind == "array":
        count = _counted(schema, "minItems", "maxItems")
        return f"list of {count + ': ' if count else ''}{type_of(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"object of {type_of(inner)}" if isinstance(inner, Mapping) and inner else "object"
    if kind == "string":
        return _text(schema)
    return PLAIN.get(str(kind), "any value") + _bounded(schema)


def _text(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "time"
    count = _counted(schema, "minLength", "maxLength")
    return f"text of {count} characters" if count else str(schema.get("format", "text"))


def _counted(schema: Schema, least: str, most: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return f"at least {low:,}" if low is not None else f"at most {high:,}" if high is not None else ""


def _bounded(schema: Schema) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = [
        f"{word} {_number(schema[name])}" for name, word in words.items() if abs(schema.get(name, BEYOND)) < BEYOND
    ]
    return " " + " ".join(bounds) if bounds else ""


def _number(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else f"{bound:g}"
