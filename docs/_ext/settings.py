"""Tables of settings: of the process from its dataclass, of a model from their declarations."""

from dataclasses import Field, fields
from typing import Any, Final

from markdown import code, table, value

from monitor.domain.settings import SETTINGS
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
    """Return a section for each setting of a model."""
    return "\n\n".join(
        f"## `{name}`\n\n{setting.sentence}\n\n- Takes {setting.type.accepts}.\n- Default: {value(setting.shown_default)}"
        for name, setting in SETTINGS.items()
    )
