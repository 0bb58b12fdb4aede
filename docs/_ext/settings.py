"""Tables of settings: of the process from its dataclass, of a model from the API's description."""

from dataclasses import Field, fields
from typing import Any, Final

import http_api
from markdown import code, table, value

from monitor.runtime.config import PREFIX, Settings

TYPES: Final[dict[Any, str]] = {str: "text", int: "whole number", float: "number"}


def of_process() -> str:
    """Return the table of environment variables."""
    return table(
        ["variable", "type", "default", "meaning"],
        (
            [code(PREFIX + each.name.upper()), _allowed(each), _default(each), each.metadata["help"]]
            for each in fields(Settings)
        ),
    )


def _allowed(field: Field[Any]) -> str:
    if "choices" in field.metadata:
        return "one of " + ", ".join(map(code, field.metadata["choices"]))
    least = f", at least {field.metadata['least']:g}" if "least" in field.metadata else ""
    return TYPES[field.type] + least


def _default(field: Field[Any]) -> str:
    if field.default == "":
        return "none"
    return code(f"{field.default:g}" if isinstance(field.default, float) else str(field.default))


def of_models() -> str:
    """Return the table of what `PUT /v1/models/{model}` takes."""
    body = http_api.operation("put", "/v1/models/{model}")["requestBody"]["content"]["application/json"]["schema"]
    properties = http_api.resolved(body)["properties"]
    return table(
        ["setting", "type", "default", "meaning"],
        (
            [code(name), http_api.type_of(schema), value(schema.get("default")), schema.get("description", "")]
            for name, schema in properties.items()
        ),
    )
