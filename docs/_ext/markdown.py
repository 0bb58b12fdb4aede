"""Pieces of Markdown: tables, code and cells."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a table without the columns that are empty; a cell may hold Markdown, but no line ends.

    >>> print(table(["a", "b"], [["1", "x | y"]]))
    | a | b |
    | --- | --- |
    | 1 | x \| y |
    """
    filled = [column for column in zip(heads, *rows, strict=True) if any(column[1:])]
    first, *others = zip(*filled, strict=True)
    lines = [first, ["---"] * len(first), *others]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(text: str) -> str:
    """Return text as it may stand in a table."""
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """Return text set as code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def value(example: Any) -> str:
    """Return a value in JSON's spelling, set as code."""
    return code(msgspec.json.encode(example).decode())
