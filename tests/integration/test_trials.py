"""What follows by itself from calibrators being compared on live labels: watch, rollback, shadow, canary."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from monitor.times import HOUR
from tests.integration.test_lifecycle import BROKEN, Life

Lives = Callable[..., Life]


@pytest.fixture
def life(feed_on: Any, sqlite_database: Any, clock: Any) -> Lives:
    return lambda **declared: Life(feed_on(sqlite_database), clock, **declared)


@pytest.fixture
def life_on_both(feed: Any, clock: Any) -> Lives:
    return lambda **declared: Life(feed, clock, **declared)


def test_a_promotion_whose_drift_reverses_is_rolled_back_by_nobody_and_the_audit_log_says_why(
    life_on_both: Lives,
) -> None:
    one = life_on_both()
    one.until(one.champion, slope=BROKEN)
    for _ in range(2):
        one.pass_time(150, slope=BROKEN)
    assert one.champion() == 1
    one.until(lambda: one.champion() is None)
    (entry,) = one.audit("rollback")
    assert (1, None) == (entry["number"], entry["restored"])
    assert "version 1 is surely worse than no calibrator, which it replaced" in entry["reason"]
    trial = entry["trial"]
    assert trial["role"] == "watch"
    assert trial["brier"] > trial["brier_other"]
    assert trial["e_value_log"] > -np.log(0.01)
    assert 300 <= trial["labels"] <= one.sent
