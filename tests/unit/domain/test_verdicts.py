"""The one rule of verdicts."""

import math
from itertools import product

import pytest

from monitor.domain.verdicts import is_half_way, verdict_of


@pytest.mark.parametrize(
    ("fires", "suspicious", "over", "labels_needed"),
    list(product((True, False), (True, False), (True, False), (0, 400))),
)
def test_a_verdict_follows_alerts_then_suspicions_then_labels(
    *, fires: bool, suspicious: bool, over: bool, labels_needed: int
) -> None:
    verdict = verdict_of(fires=fires, suspicious=suspicious, over=over, labels_needed=labels_needed)
    if fires:
        assert verdict == "miscalibrated"
    elif suspicious or over:
        assert verdict == "suspect"
    else:
        assert verdict == ("too_few_labels" if labels_needed else "calibrated")


def test_a_test_is_half_way_at_the_root_of_its_e_value() -> None:
    # At a level of .01 an alert fires at 100; half of its logarithm is reached at 10.
    assert not is_half_way(2.30, math.log(100))
    assert is_half_way(2.31, math.log(100))
    assert not is_half_way(2.31, math.log(400))
    assert not is_half_way(None, math.log(2))
    assert not is_half_way(9.0, math.inf)
