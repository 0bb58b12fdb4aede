"""The tree keeps its form: few folders on few floors, and imports that say where a thing lives."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "monitor"
CUSTOMARY = {"numpy": "np"}
"""Aliases that everybody knows."""


@cache
def imports() -> list[tuple[str, ast.Import | ast.ImportFrom]]:
    """Return every import in the package, with where it stands."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def test_package_has_few_entries():
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 20


def test_folders_stand_on_few_floors():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert len(layers) <= 9


def test_imports_of_the_package_are_relative():
    def names(node: ast.Import | ast.ImportFrom) -> list[str]:
        if isinstance(node, ast.Import):
            return [name.name for name in node.names]
        return [] if node.level else [node.module or ""]

    absolute = [
        place for place, node in imports() for name in names(node) if name.partition(".")[0] in {"monitor", "calwatch"}
    ]
    assert absolute == []


def test_imports_have_no_alias_but_customary_ones():
    renamed = [
        f"{place} {name.name} as {name.asname}"
        for place, node in imports()
        for name in node.names
        if name.asname not in {None, name.name} and CUSTOMARY.get(name.name) != name.asname
    ]
    assert renamed == []


def test_few_values_are_dicts_of_anything():
    found = sum(path.read_text().count("dict[str, Any]") for path in PACKAGE.rglob("*.py"))
    assert found < 40


@pytest.mark.parametrize("name", ["utils", "helpers", "common"])
def test_no_module_is_a_drawer(name: str):
    assert [path for path in PACKAGE.rglob("*") if path.stem == name] == []
