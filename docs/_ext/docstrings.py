"""Docstrings as our code writes them, for autodoc: parameters are `name : meaning`, which NumPy's form takes for a type."""

import re
from typing import Any, Final

from sphinx.application import Sphinx

PARAMETER: Final = re.compile(r"(?P<names>\w[\w, ]*) : (?P<meaning>.+)")


def meanings(_app: Sphinx, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Put the meaning of each parameter on a line of its own, where NumPy's form has it."""
    section, result = "", []
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and lines[number + 1].startswith("---"):
            section = line
        parameter = PARAMETER.fullmatch(line) if section == "Parameters" else None
        result += [line] if parameter is None else [parameter["names"], f"    {parameter['meaning']}"]
    lines[:] = result


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen before napoleon does."""
    app.connect("autodoc-process-docstring", meanings, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
