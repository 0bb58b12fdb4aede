"""The documentation says what is there: settings, calls, commands, metrics, figures, and nothing that is not."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from typer.main import get_command

from monitor.api.app import ROUTES
from monitor.api.metrics import CalibrationCollector
from monitor.calibrators.families import FAMILIES
from monitor.cli.main import app as command
from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.settings import SETTINGS
from monitor.runtime.config import PREFIX, Settings
from monitor.store.engine import Database
from monitor.windows import regression, scores
from monitor.windows.figures import Figure
from tests.session import locked

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
CALL = re.compile(r"(GET|POST|PUT|DELETE) (/\S*)")
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_README = 150
COMMANDS: dict[str, Any] = vars(get_command(command))["commands"]

Page = Callable[[str], ET.Element]


@pytest.fixture(scope="module")
def page(shared_folder: Path) -> Page:
    """Build all pages, where every warning is an error, and return how to get one by name."""
    built = shared_folder / "docs"
    with locked(shared_folder, "docs"):
        if not built.exists():
            sphinx = [
                sys.executable,
                "-m",
                "sphinx",
                "-q",
                "-n",
                "-W",
                "--keep-going",
                "-b",
                "xml",
                ROOT / "docs",
                built,
            ]
            done = subprocess.run(sphinx, cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

    @cache
    def of(name: str) -> ET.Element:
        return ET.parse(built / f"{name}.xml").getroot()  # noqa: S314 - Sphinx wrote it

    return of


def text_of(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def tables(page: ET.Element) -> list[list[list[str]]]:
    """Return the tables of a page as rows of cells, without their heads."""
    return [[[text_of(cell) for cell in row] for row in body] for body in page.iter("tbody")]


def first_column(page: ET.Element) -> list[str]:
    return [row[0] for table in tables(page) for row in table]


def headings(page: ET.Element) -> list[str]:
    return [text_of(title) for title in page.iter("title")]


def default_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}" if value != "" else "none"


def test_every_setting_is_in_the_table_with_its_default(page: Page):
    expected = {
        f"{PREFIX}{field.name.upper()}": (default_text(field.default), field.metadata["help"])
        for field in fields(Settings)
    }
    (table,) = tables(page("reference/process-settings"))
    assert expected == {name: (default, meaning) for name, _, default, meaning in table}


def test_every_model_setting_is_described_with_its_default(page: Page):
    written = {
        text_of(section.find("title")): text_of(section) for section in page("reference/model-settings").iter("section")
    }
    for name, setting in SETTINGS.items():
        default = msgspec.json.encode(setting.shown_default).decode()
        assert setting.sentence.replace("`", "") in written[name]
        assert f"Takes {setting.type.accepts}." in written[name]
        assert written[name].endswith(f"Default: {default}")


def test_every_call_is_in_the_reference(page: Page):
    served = {
        (method, re.sub(r"\{(\w+):path\}", r"{\1}", route.path))
        for part in ROUTES
        for route in part.router.routes
        for method in route.methods
    }
    served |= {("POST", "/v1/events")} | {("GET", path) for path in ("/metrics", "/healthz", "/readyz", "/", "/docs")}
    written = {CALL.fullmatch(text_of(code)) for code in page("reference/http-api").iter("literal")}
    assert served == {call.groups() for call in written if call}


def test_every_shape_that_a_call_names_is_in_the_reference(page: Page):
    linked = {each.get("refid") or each.get("refuri", "") for each in page("reference/http-api").iter("reference")}
    named = {each.rpartition("#shape-")[2] for each in linked if "#shape-" in each}
    shapes = {title.lower() for name in ("events", "http-shapes") for title in headings(page(f"reference/{name}"))}
    assert named
    assert named <= shapes


@pytest.mark.parametrize(("place", "event"), [(0, PredictionEvent), (1, LabelEvent)])
def test_every_field_of_an_event_is_in_the_reference_with_its_meaning(page: Page, place: int, event: type):
    meanings = {row[0]: row[-1] for row in tables(page("reference/events"))[place]}
    assert {"type", *(field.encode_name for field in msgspec.structs.fields(event))} == set(meanings)
    assert [name for name, meaning in meanings.items() if not meaning] == ["type"]


@pytest.mark.parametrize("figure", [*scores.FIGURES, *regression.FIGURES], ids=lambda figure: figure.name)
def test_every_figure_is_explained(page: Page, figure: Figure[Any]):
    (section,) = [
        each for each in page("explanation/figures").iter("section") if text_of(each.find("title")) == figure.title
    ]
    texts = (figure.sentence, f"When to worry. {figure.worry}", f"What to do. {figure.action}")
    assert [text for text in texts if text.replace("`", "") not in text_of(section)] == []


def test_every_metric_is_in_the_reference(page: Page, sqlite_database: Database):
    families = CalibrationCollector(sqlite_database, lambda: 0, most_series=1).collect()
    exported = {family.name: family.documentation for family in families}
    assert exported == {row[0]: row[-1] for table in tables(page("reference/metrics")) for row in table}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_in_the_reference(page: Page, name: str):
    assert any(f"calwatch {name}" in title for title in headings(page("reference/cli")))


def commands_shown() -> list[list[str]]:
    """Return the arguments of every command that a page shows in a block for the shell."""
    pages = [ROOT / "README.md", *(each for each in (ROOT / "docs").rglob("*.md") if "_build" not in each.parts)]
    shown = [line for each in pages for block in SHELL.findall(each.read_text()) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in shown if re.match(r"(\.venv/bin/)?calwatch ", line)]


@pytest.mark.parametrize("arguments", commands_shown(), ids=" ".join)
def test_a_command_that_is_shown_is_one(arguments: list[str]):
    found = get_command(command)
    while hasattr(found, "commands"):
        found, arguments = found.commands[arguments[0]], arguments[1:]
    options = {name for each in found.params for name in [*each.opts, *each.secondary_opts]}
    assert {each for each in arguments if each.startswith("--")} <= options


def test_every_family_of_calibrators_is_described(page: Page):
    assert {name for name, family in FAMILIES.items() if family.learns} == set(
        first_column(page("explanation/calibrators"))
    )


def test_decisions_are_numbered_and_dated():
    pages = sorted(each for each in (ROOT / "docs" / "decisions").glob("*.md") if each.stem != "index")
    starts = [each.read_text().split("\n## Context\n")[0] for each in pages]
    assert [str(number) for number in range(1, len(pages) + 1)] == [
        each.removeprefix("# ").split(".")[0] for each in starts
    ]
    assert all(re.search(r"^\d{4}-\d{2}-\d{2}, in force since ", each, re.MULTILINE) for each in starts)


def test_examples_of_the_generator_hold():
    modules = [ROOT / "docs" / "_ext" / name for name in ("markdown.py", "schemas.py")]
    subprocess.run([sys.executable, "-m", "doctest", *modules], cwd=modules[0].parent, check=True)


def test_no_page_names_a_place_of_one_machine():
    pages = [ROOT / "README.md", *(each for each in (ROOT / "docs").rglob("*.md") if "_build" not in each.parts)]
    assert [each for each in pages if re.search(r"/(root|home|tmp|work)/", each.read_text())] == []


def test_the_readme_is_short():
    assert len(README.splitlines()) <= LONGEST_README


def test_pictures_and_files_that_it_links_to_are_there():
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []
