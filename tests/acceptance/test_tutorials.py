"""The tutorials and guides, run as their readers run them: their code against a real server, their output as they print it."""

import contextlib
import io
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest
import urllib3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
SHOWN_URL = "http://127.0.0.1:8080"
TOLERANCE = 0.03
"""Printed figures may differ by so much from those of the page: windows end at whole minutes, halves are drawn by a key of the database."""


@dataclass(frozen=True)
class Block:
    """A block of code of a page, or what such a block prints."""

    language: str
    text: str
    line: int


NOTHING = Block("", "", 0)


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text()
    return [Block(found[1], found[2], text.count("\n", 0, found.start(2))) for found in BLOCK.finditer(text)]


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Start the server by the command that the tutorials give, on a free port, and return its address."""
    (shown,) = [each.text for each in blocks("tutorials/index.md") if each.language == "sh"]
    variable, program, *arguments = shlex.split(shown)
    assert Path(program).name == "calwatch"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", *arguments, "--port", str(port)],
        cwd=folder,
        env={**os.environ, **dict([variable.split("=")])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield ready(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def ready(process: "subprocess.Popen[bytes]", url: str) -> str:
    deadline = time.monotonic() + 120
    while process.poll() is None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if urllib3.request("GET", f"{url}/readyz", retries=False).status == 200:
                return url
        assert time.monotonic() < deadline, "the server does not get ready"
        time.sleep(0.1)
    return pytest.fail(f"the server ended with {process.returncode}")


def run(page: str, url: str, instead: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a page's Python in one session and hold what it prints to the page; other addresses and paths stand in for those it shows."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block, after in pairwise([*blocks(page), NOTHING]):
        if block.language != "python":
            continue
        printed = io.StringIO()
        text = block.text
        for shown_there, here in {SHOWN_URL: url, **instead}.items():
            text = text.replace(shown_there, here)
        code = compile("\n" * block.line + text, str(DOCS / page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, names)  # noqa: S102 - what the page is for
        expected = after.text if after.language == "text" else ""
        assert alike(expected, printed.getvalue()), (
            f"line {block.line}: the page shows\n{expected}\nbut it is\n{printed.getvalue()}"
        )


def alike(expected: str, actual: str) -> bool:
    """Return whether two texts have the same words, and numbers that are as good as the same."""
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(actual), strict=False)
    return NUMBER.sub("#", expected) == NUMBER.sub("#", actual) and all(
        float(one) == pytest.approx(float(other), rel=TOLERANCE, abs=TOLERANCE) for one, other in pairs
    )


GUIDES = ["../README.md", *sorted(f"how-to/{page.name}" for page in (DOCS / "how-to").glob("*.md"))]
CURL = re.compile(r"curl -X (POST|PUT) (\S+) .*?-d '(.*?)'", re.DOTALL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server that knows the model of the guides."""
    with server(tmp_path_factory.mktemp("guides")) as url:
        put(f"{url}/v1/models/churn", '{"label_delay": "0s"}')
        yield url


def put(url: str, body: str, method: str = "PUT") -> None:
    answer = urllib3.request(method, url, body=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status in {200, 201}, answer.data


@pytest.mark.parametrize("page", GUIDES)
def test_the_code_of_a_guide_runs(page: str, shared: str, tmp_path: Path):
    run(page, shared, {"/var/lib/myservice": str(tmp_path)})


@pytest.mark.parametrize("page", GUIDES)
def test_what_a_guide_sends_by_curl_is_accepted(page: str, shared: str):
    for method, url, body in (found for each in blocks(page) for found in CURL.findall(each.text)):
        put(url.replace(SHOWN_URL, shared), body, method)


@pytest.mark.parametrize("page", ["binary-classifier", "language-model", "regression"])
def test_a_tutorial_runs_as_it_is_written(page: str, tmp_path: Path):
    with server(tmp_path) as url:
        run(f"tutorials/{page}.md", url)
