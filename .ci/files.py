"""Check the form of files: those named, or all that git knows. Print what is wrong, and fail if anything is."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

LARGEST = 300_000
"""Bytes; what is larger belongs elsewhere."""
COMMENTED = {"oxlintrc.json"}
BINARY = {".png", ".xz"}
PARSERS: dict[str, Callable[[str], Any]] = {".json": json.loads, ".toml": tomllib.loads, ".yaml": yaml.safe_load}
PARSERS[".yml"] = PARSERS[".yaml"]

FAULTS = {
    "a line ends in blanks": re.compile(r"[ \t]+$", re.MULTILINE),
    "a line ends in a carriage return": re.compile(r"\r"),
    "a conflict of a merge is left": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
    "it names a path of somebody's machine": re.compile(r"/(home|Users)/[a-z]\w*/"),
}


def faults_of(path: Path) -> Iterator[str]:
    """Yield what is wrong with a file."""
    if path.stat().st_size > LARGEST:
        yield f"it has over {LARGEST:,} bytes"
    if path.suffix in BINARY:
        return
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        yield "its last line has no end"
    if text.endswith("\n\n"):
        yield "it ends in empty lines"
    yield from (fault for fault, pattern in FAULTS.items() if pattern.search(text))
    if path.name not in COMMENTED:
        yield from unparsed(path.suffix, text)


def unparsed(suffix: str, text: str) -> Iterator[str]:
    """Yield why a file of JSON, TOML or YAML can't be read."""
    try:
        PARSERS.get(suffix, str)(text)
    except (ValueError, yaml.YAMLError) as error:
        yield f"it can't be parsed: {error}"


def tracked() -> list[str]:
    """Return the files that git knows and that are there."""
    known = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [name for name in known.split("\0") if Path(name).is_file()]


def main(names: list[str]) -> int:
    """Print the faults of files and return how many there are."""
    found = [f"{name}: {fault}" for name in names for fault in faults_of(Path(name))]
    print("\n".join(found), end="\n" if found else "")
    return len(found)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:] or tracked()), 1))
