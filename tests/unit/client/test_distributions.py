"""Distributions in process: calibrated, logged with what made them, never an exception into serving code."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.calibrators.compiled import compile_distribution
from monitor.calibrators.distributions import Distribution
from monitor.calibrators.document import seal
from monitor.client import Client
from monitor.domain.events import PredictionEvent

SCALING = {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2.0}}
LEVELS = {"method": "pit_isotonic", "task": "regression", "parameters": {"x": [0.01, 0.99], "y": [0.1, 0.9]}}
PLATT = {"method": "platt", "task": "binary", "parameters": {"slope": 2.0, "intercept": 0.0}}


def version(fitted: dict[str, Any], number: int = 3) -> dict[str, Any]:
    return seal(fitted, model="m", number=number, fitted_from={}, gate=None, created_at="2026-01-05T12:00:00Z")


def started(path: Path, fitted: dict[str, Any] | None) -> Client:
    """Return a client whose calibrator comes from a file, since nobody listens where it asks."""
    if fitted is None:
        return Client("http://127.0.0.1:9", "m", timeout=0.1)
    path.write_text(json.dumps(version(fitted)))
    return Client("http://127.0.0.1:9", "m", timeout=0.1, bootstrap=path)


@pytest.fixture
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    found = started(tmp_path / "version.json", request.param)
    yield found
    found.close(timeout=0)


def logged(client: Client) -> PredictionEvent:
    """Return the event that was logged last."""
    return msgspec.json.decode(client._outbox.front(100, 1 << 20)[-1], type=PredictionEvent)  # noqa: SLF001  what would go over the wire


@pytest.mark.parametrize("client", [None], indirect=True)
def test_without_a_calibrator_a_distribution_is_served_as_it_came(client: Client) -> None:
    found = client.calibrated_distribution(mean=1.5, std=2)
    assert (found.mean, found.std, found.version) == (1.5, 2.0, None)
    assert client.log(distribution=found) == found.event_id
    event = logged(client)
    assert (event.mean, event.std, event.raw_mean, event.calibrator_version) == (1.5, 2.0, None, None)
    quantiles = client.calibrated_distribution(quantiles={0.1: 1, 0.9: 3})
    assert (quantiles.quantiles, quantiles.mean) == ({0.1: 1.0, 0.9: 3.0}, None)


@pytest.mark.parametrize("client", [SCALING], indirect=True)
def test_served_raw_and_version_are_logged_together(client: Client) -> None:
    found = client.calibrated_distribution("order 7", mean=1.5, std=2.0)
    assert (found.mean, found.std, found.raw_std, found.version) == (1.5, 4.0, 2.0, 3)
    assert client.log(distribution=found, segments={"country": "CH"}) == "order 7"
    event = logged(client)
    assert (event.mean, event.std, event.raw_mean, event.raw_std, event.calibrator_version) == (1.5, 4.0, 1.5, 2.0, 3)


@pytest.mark.parametrize("client", [SCALING], indirect=True)
def test_levels_keep_the_names_that_they_were_given(client: Client) -> None:
    found = client.calibrated_distribution(quantiles={"0.9": 4, ".10": 1, 0.5: np.float32(2)})
    assert found.quantiles == {".10": 0.0, 0.5: 2.0, "0.9": 6.0}
    client.log(distribution=found)
    event = logged(client)
    assert (event.quantiles, event.raw_quantiles) == (
        {".10": 0.0, "0.5": 2.0, "0.9": 6.0},
        {"0.9": 4.0, ".10": 1.0, "0.5": 2.0},
    )


@pytest.mark.parametrize("client", [LEVELS], indirect=True)
def test_a_normal_distribution_comes_back_as_quantiles(client: Client) -> None:
    found = client.calibrated_distribution(mean=10.0, std=2.0)
    expected = compile_distribution(LEVELS)(Distribution((), (10.0, 2.0)))
    assert (found.mean, found.std, found.raw_mean) == (None, None, 10.0)
    assert found.quantiles == {
        level / 1000: value for level, value in zip(expected.levels, expected.values, strict=True)
    }
    assert found.quantiles[0.5] == pytest.approx(10.0)
    client.log(distribution=found)
    event = logged(client)
    assert event.quantiles is not None
    assert (len(event.quantiles), event.raw_mean, event.raw_std, event.calibrator_version) == (23, 10.0, 2.0, 3)


@pytest.mark.parametrize("client", [SCALING, LEVELS], indirect=True)
@pytest.mark.parametrize("given", [{"std": 2.0}, {"std": np.array([[2.0], [1.0]])}], ids=["one width", "a width each"])
def test_arrays_agree_with_one_by_one(client: Client, given: dict[str, Any]) -> None:
    means = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    many = client.calibrated_distribution(mean=means, **given)
    widths = np.broadcast_to(np.asarray(given["std"]), means.shape)
    for place in np.ndindex(means.shape):
        one = client.calibrated_distribution(mean=means[place], std=widths[place])
        if one.quantiles is None:
            assert (many.mean[place], many.std[place]) == (one.mean, one.std)
        else:
            assert {level: values[place] for level, values in (many.quantiles or {}).items()} == one.quantiles
    assert (many.version, many.event_id) == (3, None)


@pytest.mark.parametrize("client", [SCALING, LEVELS], indirect=True)
def test_arrays_of_quantiles_agree_with_one_by_one(client: Client) -> None:
    given = {0.1: np.array([1.0, 5.0]), 0.5: np.array([2.0, 5.0]), 0.9: np.array([4.0, 9.0])}
    many = client.calibrated_distribution(quantiles=given)
    for i in range(2):
        one = client.calibrated_distribution(quantiles={level: values[i] for level, values in given.items()})
        assert {level: values[i] for level, values in (many.quantiles or {}).items()} == one.quantiles


UNUSABLE: list[dict[str, Any]] = [
    {},
    {"mean": 1.0},
    {"mean": 1.0, "std": 0.0},
    {"mean": math.nan, "std": 1.0},
    {"mean": "much", "std": 1.0},
    {"mean": np.array([1.0, math.nan]), "std": 1.0},
    {"mean": np.ones(2), "std": np.ones(3)},
    {"quantiles": {0.1: 2.0, 0.9: 1.0}},
    {"quantiles": {0.1: 2.0}},
    {"quantiles": {1.5: 2.0, 0.5: 1.0}},
    {"quantiles": {0.1: np.array([2.0, 1.0]), 0.9: np.array([1.0, 2.0])}},
    {"quantiles": 7},
    {"mean": 1.0, "std": 1.0, "quantiles": {0.1: 1.0, 0.9: 2.0}},
]


@pytest.mark.parametrize("client", [None, SCALING, LEVELS], indirect=True)
@pytest.mark.parametrize("given", UNUSABLE, ids=str)
def test_what_is_no_distribution_comes_back_as_it_came(client: Client, given: dict[str, Any]) -> None:
    found = client.calibrated_distribution(**given)
    assert found.version is None
    assert (found.mean is given.get("mean"), found.std is given.get("std")) == (True, True)
    client.log(distribution=found)


@pytest.mark.parametrize("client", [PLATT], indirect=True)
def test_a_calibrator_of_probabilities_leaves_distributions_alone(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.calibrated_distribution(mean=1.0, std=2.0)[:2] == (1.0, 2.0)
    assert "takes probabilities" in caplog.text


@pytest.mark.parametrize("client", [SCALING], indirect=True)
def test_a_calibrator_of_distributions_leaves_probabilities_alone(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.calibrate(0.3) == 0.3
    assert client.calibrate(np.array([0.3])).tolist() == [0.3]
    assert client.calibrated(0.3).version is None
    assert "takes distributions" in caplog.text


@pytest.mark.parametrize("client", [SCALING], indirect=True)
def test_fields_of_one_s_own_are_stamped_with_the_version_in_force(client: Client) -> None:
    client.log(mean=1.0, std=4.0, raw_mean=1.0, raw_std=2.0)
    assert logged(client).calibrator_version == 3
    client.log(quantiles={0.1: 1.0, 0.9: 2.0}, raw_quantiles={0.1: 1.2, 0.9: 1.8}, calibrator_version=2)
    event = logged(client)
    assert (event.raw_quantiles, event.calibrator_version) == ({"0.1": 1.2, "0.9": 1.8}, 2)
    before = client.stats().dropped
    client.log(mean=1.0, std=4.0, raw_mean=math.nan, raw_std=2.0)
    assert client.stats().dropped == before + 1


def test_no_numpy_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "version.json"
    path.write_text(json.dumps(version(LEVELS)))
    program = """
import sys
sys.modules["numpy"] = sys.modules["scipy"] = None  # an import of either fails
from monitor.client import Client
client = Client("http://127.0.0.1:9", "m", timeout=0.1, bootstrap=sys.argv[1])
found = client.calibrated_distribution(mean=10.0, std=2.0)
print(round(found.quantiles[0.5], 6), found.version, bool(client.log(distribution=found)))
client.close(timeout=0)
"""
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10.0", "3", "True"]
