"""The commands of `calwatch`, from the program itself."""

from collections.abc import Iterator
from typing import Any

from markdown import code, table
from typer import Context
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from monitor.cli.main import app


def listed() -> str:
    """Return a section for each command."""
    return "\n\n".join(_section(name, command) for name, command in _below("calwatch", get_command(app)))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield the commands of a group with their full names."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for part, child in command.commands.items():
        yield from _below(f"{name} {part}", child)


def _section(name: str, command: Any) -> str:
    usage = " ".join([name, *command.collect_usage_pieces(Context(command))])
    parts = [f"## `{name}`", command.help, f"```text\n{usage}\n```"]
    if command.params:
        parts.append(table(["parameter", "default", "meaning"], map(_row, command.params)))
    return "\n\n".join(parts)


def _row(parameter: Any) -> list[str]:
    names = [parameter.name.upper()] if isinstance(parameter, TyperArgument) else parameter.opts
    return [", ".join(map(code, [*names, *parameter.secondary_opts])), _default(parameter), parameter.help]


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.secondary_opts and parameter.default is not None:
        return code((parameter.opts if parameter.default else parameter.secondary_opts)[0])
    return "" if parameter.default in {None, False} else code(str(parameter.default))
