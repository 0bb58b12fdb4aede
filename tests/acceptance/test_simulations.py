"""Calibrated models live for 200 days in peace; broken ones are found, refitted once, and right again; all under the same settings.

A few of each every time, twenty with `--lives 20`, as `make soak` does.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

PROGRAM: Final = Path(__file__).with_name("simulation.py")
PROCESSES: Final = 2
LIVES: Final = 2
"""How many of each kind live on SQLite."""

POSTGRES_SEEDS: Final = (13,)

TWO_WINDOWS: Final = 15 * 24 * 3600 * 10**6
"""After so many microseconds the longest window and the one before it, which lends it its signs, lie behind a shift."""

Life = tuple[str, int, str]
"""Which database, which seed, and whether it stays calibrated or shifts."""


class Lives:
    """Runs of the simulation, a few at a time, each in a process and a database of its own."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path, stack: ExitStack) -> None:
        self._request, self._folder, self._stack = request, folder, stack
        self._pool = stack.enter_context(ThreadPoolExecutor(PROCESSES))
        self._runs: dict[Life, Future[dict[str, Any]]] = {}

    def begin(self, life: Life) -> None:
        """Queue a run."""
        if life not in self._runs:
            self._runs[life] = self._pool.submit(_run, self._url(life), life)

    def report(self, life: Life) -> dict[str, Any]:
        """Return what happened, when it has."""
        return self._runs[life].result()

    def drop_what_waits(self) -> None:
        """Begin no more runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _url(self, life: Life) -> str:
        if life[0] == "postgres":
            return str(self._stack.enter_context(self._request.getfixturevalue("postgres_template").copy()))
        path = self._folder / "-".join(map(str, life))
        shutil.copyfile(self._request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"


def _run(url: str, life: Life) -> dict[str, Any]:
    _, seed, kind = life
    done = subprocess.run([sys.executable, PROGRAM, url, str(seed), kind], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"the simulation of {life} failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def lives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    with ExitStack() as stack:
        found = Lives(request, tmp_path_factory.mktemp("lives"), stack)
        for item in request.session.items:
            callspec = getattr(item, "callspec", None)
            if item.path == Path(__file__) and callspec is not None:
                found.begin(callspec.params["report"])
        yield found
        found.drop_what_waits()


@pytest.fixture
def report(request: pytest.FixtureRequest, lives: Lives) -> dict[str, Any]:
    return lives.report(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test the report of every life of its kind."""
    marker = metafunc.definition.get_closest_marker("lives")
    if marker is None:
        return
    seeds = range(metafunc.config.getoption("lives", LIVES))
    lives = [*(("sqlite", seed) for seed in seeds), *(("postgres", seed) for seed in POSTGRES_SEEDS)]
    cases = [pytest.param((database, seed, marker.args[0]), id=f"{database}-{seed}") for database, seed in lives]
    metafunc.parametrize("report", cases, indirect=True)


def fired(report: dict[str, Any], kind: str) -> list[int]:
    """Return when alarms of a kind began to fire."""
    return [each["at"] for each in report["alarms"] if (each["kind"], each["state"]) == (kind, "firing")]


@pytest.mark.slow
@pytest.mark.lives("calibrated")
def test_calibrated_model_is_left_in_peace(report: dict[str, Any]) -> None:
    assert report["predictions"] > 50_000
    assert report["alarms"] == []
    assert report["promoted_at"] == []
    assert report["refusals"] == []


@pytest.mark.slow
@pytest.mark.lives("shifting")
def test_shift_is_alarmed_and_not_before_it_came(report: dict[str, Any]) -> None:
    assert fired(report, "miscalibration")
    assert min(each["at"] for each in report["alarms"]) > report["shift_at"]
    assert min(fired(report, "miscalibration")) < report["shift_at"] + TWO_WINDOWS


@pytest.mark.slow
@pytest.mark.lives("shifting")
def test_shift_is_repaired_by_one_promotion(report: dict[str, Any]) -> None:
    assert report["raw_ece"] == pytest.approx(0.10, abs=1e-6)
    assert len(report["promoted_at"]) == 1
    assert len(report["fitted_from"]) == 1
    assert report["served_ece"] < 0.03


@pytest.mark.slow
@pytest.mark.lives("shifting")
def test_alarm_ends_after_the_promotion_and_stays_ended(report: dict[str, Any]) -> None:
    (promoted,) = report["promoted_at"]
    changes = [each for each in report["alarms"] if each["kind"] == "miscalibration"]
    last = {each["window"]: each for each in changes}
    assert all(at <= promoted for at in fired(report, "miscalibration"))
    assert {each["state"] for each in last.values()} == {"resolved"}
    assert all(each["at"] > promoted for each in last.values())
