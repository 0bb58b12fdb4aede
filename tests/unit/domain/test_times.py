"""Pauses before a retry."""

import random

from monitor.domain.times import backoff


def longest(_low: float, high: float) -> float:
    return high


def shortest(low: float, _high: float) -> float:
    return low


def test_backoff_doubles_from_the_first_pause_up_to_the_limit() -> None:
    assert [backoff(n, first=2, longest=15, least=0.0, uniform=longest) for n in range(5)] == [2, 4, 8, 15, 15]


def test_backoff_leaves_at_least_the_given_share() -> None:
    assert backoff(1, first=2, longest=15, least=0.5, uniform=shortest) == 2
    assert backoff(1, first=2, longest=15, least=0.0, uniform=shortest) == 0


def test_backoff_differs_from_one_caller_to_the_next() -> None:
    drawn = {backoff(3, first=1, longest=60, least=0.5, uniform=random.uniform) for _ in range(10)}
    assert len(drawn) > 1
    assert all(4 <= pause <= 8 for pause in drawn)


def test_backoff_stays_at_the_limit_however_many_failures() -> None:
    assert backoff(100_000, first=1, longest=60, least=0.5, uniform=longest) == 60
