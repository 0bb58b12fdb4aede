"""The README says what is there: settings, calls, commands, metrics, and nothing that is not."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from monitor.api.app import ROUTES
from monitor.cli.main import app as command
from monitor.domain.settings import SETTINGS
from monitor.runtime.config import PREFIX, Settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
CALL = re.compile(r"`(GET|POST|PUT|DELETE) ([^`?\s]+)")


def rows_under(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and not set(line) <= set("| -")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def default_text(value: object) -> str:
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value != "" else "none"


def test_every_setting_is_in_the_table_with_its_default():
    expected = {
        f"`{PREFIX}{field.name.upper()}`": (default_text(field.default), field.metadata["help"])
        for field in fields(Settings)
    }
    actual = {row[0]: (row[1], row[2]) for row in rows_under("Settings") if row[0].startswith("`CALWATCH_")}
    assert expected == actual


def test_every_model_setting_is_described():
    described = {row[0].strip("`") for row in rows_under("Settings") if not row[0].startswith("`CALWATCH_")}
    assert set(SETTINGS) <= described


def test_every_call_is_in_the_table():
    served = {
        (method, re.sub(r"\{(\w+):path\}", r"{\1}", route.path))
        for part in ROUTES
        for route in part.router.routes
        for method in route.methods
    }
    served |= {("POST", "/v1/events")} | {("GET", path) for path in ("/metrics", "/healthz", "/readyz", "/", "/docs")}
    documented = {found.groups() for row in rows_under("API") for found in CALL.finditer(row[0])}
    assert served == documented


@pytest.mark.parametrize("name", sorted(get_command(command).commands))
def test_every_command_is_mentioned(name: str):
    assert f"`calwatch {name}" in README


def test_pictures_and_files_that_it_links_to_are_there():
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []
