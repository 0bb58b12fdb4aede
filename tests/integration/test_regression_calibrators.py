"""Calibrators of regressions end to end, on both databases: from labels over the gate to what is served and logged."""

import random
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest

from monitor.calibrators.distributions import Distribution, compile_distribution
from monitor.store import models
from monitor.verify import verify

LEVELS = (50, 250, 500, 750, 950)
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
SETTINGS = {"label_delay": "0s", "minimum_labels": 200, "windows": ["1h"], "alert_policy": "window"}
M = "/v1/models/m"
CALIBRATORS = f"{M}/calibrators"


def raw_of(kind, mean, std):
    if kind == "normal":
        return Distribution((), (mean, std))
    return Distribution(LEVELS, tuple(NormalDist(mean, std).inv_cdf(level / 1000) for level in LEVELS))


def fields(distribution, raw=""):
    if not distribution.levels:
        return dict(zip((f"{raw}mean", f"{raw}std"), distribution.values, strict=True))
    named = zip(distribution.levels, distribution.values, strict=True)
    return {f"{raw}quantiles": {f"{level / 1000:g}": value for level, value in named}}


def traffic(tools, kind, count, *, begin=START, spread=2.0, seed=1, champion=None, version=None):
    """Return predictions that state a standard deviation of 1, calibrated where a champion serves, and labels of another."""
    dice, events = random.Random(seed), []
    apply = None if champion is None else compile_distribution(champion)
    for i in range(count):
        at, mean, name = begin + timedelta(seconds=10 * i), dice.gauss(50, 10), f"{begin:%d %H} e{i} {version}"
        raw = raw_of(kind, mean, 1.0)
        said = fields(raw)
        if apply is not None:
            said = fields(apply(raw)) | fields(raw, "raw_") | {"calibrator_version": champion["number"]}
        events.append(tools.prediction(name, timestamp=at.isoformat(), model_version=version, **said))
        events.append(tools.label(name, dice.gauss(mean, spread)))
    return events


def differences(api):
    with api.services.database.read() as connection:
        return verify(connection, models.by_name(connection, "m"))


@pytest.mark.parametrize("kind", ["normal", "quantiles"])
def test_an_overconfident_regression_is_repaired_by_itself(api, tools, clock, kind):
    api.put("m", status=201, recalibration="auto", **SETTINGS)
    api.send(*traffic(tools, kind, 1000))
    api.judge()
    before = api.get(f"{M}/calibration", window="1h")
    assert (before["verdict"], before["direction"]) == ("miscalibrated", "overconfident")
    champion = api.get(f"{CALIBRATORS}/champion")
    assert (champion["method"], champion["task"]) == ("variance_scaling", "regression")
    assert 1.8 < champion["parameters"]["scale"] < 2.2
    assert champion["gate"]["comparisons"]["identity"]["gain_in_std_lower_bound"] > 0
    assert champion["gate"]["candidates_judged"] == ["variance_scaling"]
    clock.advance(timedelta(hours=2))
    later = START + timedelta(hours=3, minutes=10)
    api.send(*traffic(tools, kind, 600, begin=later, seed=2, champion=champion))
    api.judge()
    after = api.get(f"{M}/calibration", window="1h")
    assert after["verdict"] == "calibrated"
    assert after["quantile_ece"] < before["quantile_ece"] / 3
    assert after["crps"] < before["crps"]
    assert api.get(f"{M}/alerts")["alerts"][0]["state"] == "resolved"
    assert differences(api) == []
