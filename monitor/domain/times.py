"""Times and durations: microseconds since 1970 in UTC inside, RFC 3339 and words like 24h outside; pauses before a retry."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .errors import BadInput

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SECOND: Final = 1_000_000

MINUTE: Final = 60 * SECOND

HOUR: Final = 60 * MINUTE

DAY: Final = 24 * HOUR

LATEST: Final = (datetime(9999, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)

_MICROSECOND: Final = timedelta(microseconds=1)

_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}

_DURATION: Final = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")


def micros(moment: datetime) -> int:
    """Return a moment as microseconds since 1970; it must carry a zone."""
    return (moment - EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return microseconds since 1970 as a moment in UTC."""
    return EPOCH + timedelta(microseconds=value)


def rfc3339(value: int) -> str:
    """Return microseconds since 1970 as RFC 3339, in UTC, to the second where that is exact."""
    return moment(value).isoformat().replace("+00:00", "Z")


def parse_time(field: str, text: Any) -> int:
    """Return an RFC 3339 time with a zone as microseconds since 1970.

    Raises
    ------
    BadInput
        when it does not parse, or has no zone.

    """
    try:
        parsed = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise BadInput(field, text, "must be an RFC 3339 time with a zone, such as 2026-01-05T12:00:00Z")
    return micros(parsed)


def parse_bound(field: str, text: Any) -> int:
    """Return one end of a range of time from a caller.

    Raises
    ------
    BadInput
        when it is no RFC 3339 time, or not one that events can have.

    """
    bound = parse_time(field, text)
    if not 0 <= bound < LATEST:
        raise BadInput(field, text, "must be from 1970 to 9998")
    return bound


def parse_duration(field: str, text: object) -> int:
    """Return a duration such as 0s, 15m, 24h or 7d in microseconds.

    Raises
    ------
    BadInput
        when it is not a whole number and a unit.

    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise BadInput(field, text, "must be a whole number and a unit: s, m, h, d or w, such as 15m or 24h")
    return int(match[1]) * _UNITS[match[2]]


def floor(value: int, step: int) -> int:
    """Return the largest multiple of `step` not above `value`."""
    return value - value % step


def ceil(value: int, step: int) -> int:
    """Return the smallest multiple of `step` not below `value`."""
    return -(-value // step) * step


LONGEST: Final = 3660 * DAY


def duration_text(value: int) -> str:
    """Return microseconds as the shortest exact duration."""
    seconds = value // 1_000_000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse_span(name: str, value: Any) -> int:
    """Return a duration in microseconds, of at most ten years.

    Raises
    ------
    BadInput
        when it is no duration, or longer.

    """
    span = parse_duration(name, value)
    if span > LONGEST:
        raise BadInput(name, value, "must be at most 3660d")
    return span


MOST_DOUBLINGS: Final = 20

Uniform = Callable[[float, float], float]
"""Draws a number between two, as `random.uniform` does."""


def backoff(failures: int, *, first: float, longest: float, least: float, uniform: Uniform) -> float:
    """Return the pause before the next try: twice as long after each failure, up to a limit, and shortened at random.

    Parameters
    ----------
    failures : in a row, before the one just seen
    first, longest : the pause after one failure, and the limit, in any unit of time
    least : the smallest share of the pause that chance leaves of it

    Examples
    --------
    >>> [backoff(n, first=0.5, longest=3.0, least=0.5, uniform=lambda low, high: high) for n in range(4)]
    [0.5, 1.0, 2.0, 3.0]

    """
    return uniform(least, 1.0) * min(longest, first * 2.0 ** min(failures, MOST_DOUBLINGS))
