"""Calibrated models live in peace; broken ones are found, refitted once, and right again; all under the same settings.

A few of each every time, for 100 days; `make soak` lets twenty of each live for 200.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.simulation import World, simulated
from tests.session import locked

POSTGRES_SEEDS: Final = (13,)

TWO_WINDOWS: Final = 15 * 24 * 3600 * 10**6
"""After so many microseconds the longest window and the one before it, which lends it its signs, lie behind a shift."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def days(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("days"))


@pytest.fixture
def report(request: pytest.FixtureRequest, shared_folder: Path, days: int) -> dict[str, Any]:
    """Return what happened in a model's life, which whoever asks first lets it live; `param` is database, seed and kind."""
    database, seed, kind = request.param
    path = shared_folder / f"life-{database}-{seed}-{kind}.json"
    with locked(shared_folder, path.stem):
        if not path.exists():
            world = World(seed=seed, shifts=kind == "shifting", days=days)
            path.write_text(json.dumps(asdict(simulated(request.getfixturevalue(f"{database}_url"), world))))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test the report of every life of its kind."""
    marker = metafunc.definition.get_closest_marker("lives")
    if marker is None:
        return
    seeds = range(metafunc.config.getoption("lives"))
    lives = [*(("sqlite", seed) for seed in seeds), *(("postgres", seed) for seed in POSTGRES_SEEDS)]
    cases = [pytest.param((database, seed, marker.args[0]), id=f"{database}-{seed}") for database, seed in lives]
    metafunc.parametrize("report", cases, indirect=True)


def fired(report: dict[str, Any], kind: str) -> list[int]:
    """Return when alarms of a kind began to fire."""
    return [each["at"] for each in report["alarms"] if (each["kind"], each["state"]) == (kind, "firing")]


@pytest.mark.lives("calibrated")
def test_calibrated_model_is_left_in_peace(report: dict[str, Any], days: int) -> None:
    assert report["predictions"] > 250 * days
    assert report["alarms"] == []
    assert report["promoted_at"] == []
    assert report["refusals"] == []


@pytest.mark.lives("shifting")
def test_shift_is_alarmed_and_not_before_it_came(report: dict[str, Any]) -> None:
    assert fired(report, "miscalibration")
    assert min(each["at"] for each in report["alarms"]) > report["shift_at"]
    assert min(fired(report, "miscalibration")) < report["shift_at"] + TWO_WINDOWS


@pytest.mark.lives("shifting")
def test_shift_is_repaired_by_one_promotion(report: dict[str, Any]) -> None:
    assert report["raw_ece"] == pytest.approx(0.10, abs=1e-6)
    assert len(report["promoted_at"]) == 1
    assert len(report["fitted_from"]) == 1
    assert report["served_ece"] < 0.03


@pytest.mark.lives("shifting")
def test_alarm_ends_after_the_promotion_and_stays_ended(report: dict[str, Any]) -> None:
    (promoted,) = report["promoted_at"]
    changes = [each for each in report["alarms"] if each["kind"] == "miscalibration"]
    last = {each["window"]: each for each in changes}
    assert all(at <= promoted for at in fired(report, "miscalibration"))
    assert {each["state"] for each in last.values()} == {"resolved"}
    assert all(each["at"] > promoted for each in last.values())
