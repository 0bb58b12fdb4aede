"""How long labels take to come, learned while many are still to come, and whether early ones are like late ones."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from monitor.domain.delays import Seen, delay_bucket, delay_limit
from monitor.domain.records import Progress
from monitor.domain.times import DAY, HOUR, SECOND
from monitor.stats.summary import ONE
from monitor.windows.delays import Aged, early_and_late, learned, quantile
from monitor.windows.ranges import learned_delay, own_time

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

NEVER = 0.1


def simulated(draw: Draw, days: int, count: int, seed: int) -> tuple[dict[int, int], list[Aged]]:
    """Return what is known of labels after some days of even traffic, a tenth of which is never labelled; delays in hours."""
    random = np.random.default_rng(seed)
    age = random.uniform(0, days * 24, count)
    delay = np.where(random.uniform(size=count) < NEVER, np.inf, draw(random, count))
    came = delay <= age
    seen = Counter(delay_bucket(int(hours * HOUR)) for hours in delay[came])
    hour = age.astype(int)
    everything, open_ = (np.bincount(each, minlength=days * 24) for each in (hour, hour[~came]))
    aged = [
        Aged(youngest=i * HOUR, oldest=(i + 1) * HOUR, predictions=int(n), unlabelled=int(u))
        for i, (n, u) in enumerate(zip(everything, open_, strict=True))
    ]
    return dict(seen), aged


DELAYS = {
    "exponential": (lambda random, count: random.exponential(24, count), stats.expon(scale=24)),
    "lognormal": (lambda random, count: random.lognormal(np.log(12), 1, count), stats.lognorm(1, scale=12)),
}


@pytest.mark.parametrize("name", DELAYS)
@pytest.mark.parametrize("days", [2, 3, 5])
def test_learned_quantile_is_right_in_the_first_days_when_that_of_seen_labels_is_not(name: str, days: int) -> None:
    draw, truth = DELAYS[name]
    came = truth.cdf(days * 24)  # of those that ever come, what can have been seen at all
    naive, ours = [], []
    for seed in range(20):
        seen, aged = simulated(draw, days, 5000, seed)
        naive.append(truth.cdf((quantile(seen, 0.9) or 0) / HOUR) / came)
        ours.append(truth.cdf((learned(seen, aged).quantile(0.9) or 0) / HOUR) / came)
    assert np.mean(naive) < 0.885
    # A bucket's limit is up to a fifth beyond the quantile itself, never before it.
    assert 0.895 < np.mean(ours) < 0.94


@pytest.mark.parametrize("name", DELAYS)
def test_share_that_is_never_labelled_is_told_from_what_is_not_labelled_yet(name: str) -> None:
    draw, truth = DELAYS[name]
    for days in (3, 20):
        seen, aged = simulated(draw, days, 20_000, days)
        labelled = sum(seen.values()) / 20_000
        expected = (1 - NEVER) * truth.cdf(days * 24)
        assert abs(learned(seen, aged).ever - expected) < 0.02
        assert days == 20 or labelled < expected - 0.15


def test_learned_delay_is_that_of_nearly_all_labels_once_all_have_had_their_time() -> None:
    for draw, truth in DELAYS.values():
        seen, aged = simulated(draw, 60, 20_000, 3)
        assert 0.985 < truth.cdf(learned_delay(seen, aged) / HOUR) < 0.998


def test_one_old_prediction_does_not_decide_what_is_learned() -> None:
    seen, aged = simulated(DELAYS["exponential"][0], 20, 20_000, 5)
    before = learned_delay(seen, aged)
    seen[delay_bucket(200 * DAY)] = 1
    aged.append(Aged(youngest=200 * DAY, oldest=201 * DAY, predictions=1, unlabelled=0))
    assert learned_delay(seen, aged) == before


def test_delay_is_learned_from_one_label_and_from_none() -> None:
    bucket = delay_bucket(7 * DAY)
    old = Aged(youngest=8 * DAY, oldest=9 * DAY, predictions=50, unlabelled=49)
    assert learned_delay({bucket: 1}, [old]) == delay_limit(bucket)
    assert learned_delay({bucket: 1}, []) == delay_limit(bucket)
    assert learned_delay({}, [old]) == 0
    assert learned({}, [old]).quantile(0.5) is None


def test_labels_older_than_any_prediction_that_is_left_still_teach() -> None:
    bucket = delay_bucket(DAY)
    assert learned_delay({bucket: 5}, [Aged(youngest=0, oldest=HOUR, predictions=9, unlabelled=9)]) == delay_limit(
        bucket
    )


def test_bucket_holds_delays_up_to_its_limit() -> None:
    assert delay_bucket(0) == delay_bucket(SECOND) == 0
    for bucket in (1, 7, 40, 90):
        assert delay_bucket(delay_limit(bucket) - 1) == bucket
        assert delay_bucket(delay_limit(bucket) + 2) == bucket + 1


def test_own_time_goes_on_while_nothing_comes() -> None:
    live = Progress(watermark=10 * DAY, newest_prediction=10 * DAY, received_at=10 * DAY)
    assert own_time(live, 12 * DAY) == 12 * DAY
    history = Progress(watermark=10 * DAY, newest_prediction=10 * DAY, received_at=500 * DAY)
    assert own_time(history, 500 * DAY + HOUR) == 10 * DAY + HOUR
    assert own_time(Progress(), DAY) is None


def labelled(random: np.random.Generator, count: int, shift: float) -> Seen:
    """Return the sums of labels whose outcomes are by so much likelier than their confidences say."""
    p = random.uniform(0.2, 0.8, count)
    y = random.uniform(size=count) < p + shift
    return Seen(
        count=count, sy=int(y.sum()), sp=round(float(p.sum()) * ONE), squares=round(float(((y - p) ** 2).sum()) * ONE)
    )


def test_labels_that_come_early_are_compared_with_those_that_come_late() -> None:
    random = np.random.default_rng(1)
    found = early_and_late(
        {20: labelled(random, 3000, 0.1), 30: labelled(random, 1500, 0.0), 40: labelled(random, 1500, 0.0)}
    )
    assert found is not None
    assert found.warns
    assert found.low < 0.1 < found.high
    assert abs(found.early - 0.1) < 0.03


def test_labels_that_are_alike_raise_no_warning_however_wrong_the_model() -> None:
    random = np.random.default_rng(2)
    z = []
    for _ in range(400):
        found = early_and_late({20: labelled(random, 300, 0.2), 40: labelled(random, 290, 0.2)})
        assert found is not None
        assert found.z is not None
        assert not found.warns or abs(found.z) > 3.29
        z.append(found.z)
    assert 0.9 < np.std(z) < 1.1
    assert np.mean(np.abs(z) > 1.96) < 0.08


def test_without_late_labels_there_is_nothing_to_compare() -> None:
    random = np.random.default_rng(3)
    assert early_and_late({}) is None
    assert early_and_late({20: labelled(random, 100, 0.0)}) is None
    assert early_and_late({20: labelled(random, 100, 0.0), 40: labelled(random, 1, 0.0)}) is None


def test_gaps_without_any_spread_have_no_z() -> None:
    same = Seen(count=10, sy=10, sp=10 * ONE, squares=0)
    found = early_and_late({20: same, 40: same})
    assert found is not None
    assert found.z is None
    assert not found.warns
