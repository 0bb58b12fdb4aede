"""A part's results as a page of the documentation: what was measured, when, on what, and by which command."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Ratio

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = ROOT / "docs" / "benchmarks"
PACKAGES: Final = ("numpy", "scipy", "scikit-learn", "msgspec", "sqlalchemy")


def write(part: str, about: str, options: Sequence[str], results: Iterable[Ratio | str]) -> None:
    """Write the page of one part.

    Parameters
    ----------
    part : its name, as the command takes it
    about : what it measures
    options : what else the command was given
    results : in their order

    """
    page = [
        f"# {part.replace('_', ' ').capitalize()}",
        about,
        facts(" ".join(["python -m tests.benchmarks", part, *options])),
        *_bodies(results),
    ]
    (PAGES / f"{part}.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


def facts(command: str) -> str:
    """Return when and on what this runs, as a table."""
    lines = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}, at commit {_commit()}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
        "command": f"`{command}`",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in lines.items())])


def _commit() -> str:
    changed = _git("status", "--porcelain", "--", "monitor", "tests", "migrations")
    return _git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _bodies(results: Iterable[Ratio | str]) -> list[str]:
    """Return tables and sentences as they are, and ratios that follow one another as one table."""
    bodies: list[str] = []
    ratios: list[Ratio] = []
    for result in [*results, ""]:
        if isinstance(result, Ratio):
            ratios.append(result)
            continue
        bodies += [_table(ratios)] if ratios else []
        bodies += [result] if result else []
        ratios = []
    return bodies


def _table(ratios: Sequence[Ratio]) -> str:
    rows = (f"| {ratio.what.strip()} | {ratio.value:.2f} | {ratio.limit or ''} |" for ratio in ratios)
    return "\n".join(["| what | value | limit |", "| --- | --: | --- |", *rows])
