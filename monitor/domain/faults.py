"""A miscalibration in plain words: which way, since when, how bad, for whom, and what waits for a person."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from .evaluations import Direction
from .segments import readable
from .times import moment

BINARY: Final[dict[Direction, str]] = {
    "overestimates": "Says more than happens",
    "underestimates": "Says less than happens",
    "overconfident": "Is too extreme at both ends",
    "underconfident": "Is too timid at both ends",
}
ANSWERS: Final[dict[Direction, str]] = {
    "overconfident": "Is right less often than it says",
    "underconfident": "Is right more often than it says",
}
DISTRIBUTIONS: Final[dict[Direction, str]] = {
    "overconfident": "Is too narrow: labels lie outside its intervals more often than it says",
    "underconfident": "Is too wide: labels lie within its intervals more often than it says",
    "none": "Its quantiles do not hold as often as it says",
}
WORDS: Final = {"binary": BINARY, "regression": DISTRIBUTIONS}

UNCLEAR: Final = "Confidence does not mean what it says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """When a fault began, in event time."""

    at: int
    low: int | None  # None: it may be as old as the first label looked at, or older
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A miscalibration of a model version."""

    task: str | None
    direction: Direction | None
    since: Since | None
    error: str  # the name of the error that has a limit
    at_least: float | None  # of it; None: no more is known than that it is above the limit
    limit: float
    worst: str  # the segment, as key:value; empty for none


def sentence(fault: Fault) -> str:
    """Return a fault in plain words.

    >>> noon = 1_764_417_600_000_000
    >>> since = Since(at=noon, low=noon - 1_680_000_000, high=noon + 1_320_000_000)
    >>> sentence(Fault(task="binary", direction="overestimates", since=since, error="ECE", at_least=0.1, limit=0.05, worst="country:BR"))
    'Says more than happens since 29 Nov 12:00 UTC (between 11:32 and 12:22): ECE at least 0.1, limit 0.05; worst country=BR.'
    """
    words = direction_words(fault.task, fault.direction)
    began = "" if fault.since is None else f" {since_words(fault.since)}"
    how_bad = f"at least {fault.at_least:.3g}" if fault.at_least is not None else "above its limit"
    limit = f", limit {fault.limit:g}" if fault.at_least is not None else f" {fault.limit:g}"
    worst = f"; worst {readable(fault.worst)}" if fault.worst else ""
    return f"{words}{began}: {fault.error} {how_bad}{limit}{worst}."


def direction_words(task: str | None, direction: Direction | None) -> str:
    """Return the direction of a fault as what the model does.

    >>> direction_words("multiclass", "overconfident"), direction_words("binary", "none")
    ('Is right less often than it says', 'Confidence does not mean what it says')
    """
    return WORDS.get(task or "", ANSWERS).get(direction or "none", UNCLEAR)


def since_words(since: Since) -> str:
    """Return since when in words, with the interval.

    >>> noon = 1_764_417_600_000_000
    >>> since_words(Since(at=noon, low=None, high=noon + 60_000_000))
    'since 29 Nov 12:00 UTC (from the start, or before; 12:01 at the latest)'
    """
    at, high = (_utc(instant) for instant in (since.at, since.high))
    if since.low is None:
        return f"since {_shown(at)} UTC (from the start, or before; {_shown(high, at)} at the latest)"
    low = _utc(since.low)
    return f"since {_shown(at)} UTC (between {_shown(low, at)} and {_shown(high, at)})"


def _utc(instant: int) -> datetime:
    return moment(instant).astimezone(UTC)


def _shown(at: datetime, beside: datetime | None = None) -> str:
    """Return a time to the minute, with its day unless another time of the same day stands beside it."""
    clock = f"{at:%H:%M}"
    return clock if beside is not None and at.date() == beside.date() else f"{at.day} {at:%b} {clock}"
