"""How a run of tests goes: what its workers share, what counts as a failure, and what could not run and why."""

import fcntl
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

LACKING: Final = "this machine lacks"
FOLDER: Final = pytest.StashKey[Path]()
"""Where a run keeps what its workers share."""


def could_not_run(what: str, remedy: str) -> NoReturn:
    """Fail a test for want of a program; the end of the run says so once for all such tests."""
    pytest.fail(f"{LACKING} {what}: {remedy}", pytrace=False)


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Keep other workers out meanwhile."""
    with (folder / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """Return a folder that all workers of this run share."""
    return pytestconfig.stash[FOLDER]


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process only runs tests that another one hands out."""
    return hasattr(config, "workerinput")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skips-fail", action="store_true", help="count every skipped test as a failure")
    parser.addoption("--kills", type=int, default=50, help="how often the server is killed on each database")
    parser.addoption("--deaths", type=int, default=3, help="how often serving code dies in each way")
    parser.addoption("--outage", type=float, default=3, help="how many seconds serving code goes without a server")
    parser.addoption("--lives", type=int, default=2, help="how many simulated models of each kind live on SQLite")
    parser.addoption("--days", type=int, default=100, help="how long simulated models live that stay calibrated")


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", None)
    config.stash[FOLDER] = Path(given["folder"] if given else tempfile.mkdtemp(prefix="calwatch-tests-"))
    config.stash[FOLDER].chmod(0o711)  # as root we run Postgres as another user


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if FOLDER in config.stash and not is_worker(config):
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and session.config.getoption("--skips-fail") and reporter.stats.get("skipped"):
        reporter.write_line("skipped tests count as failures here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Iterator[None]:
    """Say last, and once for each reason, what could not run."""
    yield
    stats = terminalreporter.stats
    reports = [report for outcome in ("failed", "error", "skipped") for report in stats.get(outcome, ())]
    reasons = Counter(reason for report in reports if (reason := _reason(report)) is not None)
    if reasons:
        terminalreporter.section(f"NOT RUN: {reasons.total()}", sep="*", red=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} because {reason}", red=True)


def _reason(report: Any) -> str | None:
    """Return why a test could not run, None if it did."""
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return next((line for line in report.longreprtext.splitlines() if line.startswith(LACKING)), None)
