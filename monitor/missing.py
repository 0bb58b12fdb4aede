"""Missing labels: how many predictions are labelled of those whose label is due, and how many usually are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

from sqlalchemy import Connection

from .alarms import Coverage, Finding, missing_labels
from .domain.times import DAY, HOUR, MINUTE, floor, parse_duration
from .store import coverage
from .windows.clock import Clocked, learned_now
from .windows.ranges import Range, matured_until, merged, spans, widened

HISTORIES: Final = 4
"""How many of the longest window are looked at for what is usual."""

WEEK: Final = 7 * DAY

SETTLING: Final = HOUR
"""Predictions that came as history have so long after their receipt to get the labels that are fed in with them."""

Firing = Mapping[tuple[str, str], int]
"""Since when alarms on missing labels fire, by window and model version."""

Counts = Mapping[str, Coverage]
"""Coverage by model version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A window, and what it is compared with."""

    window: str
    now: Range
    week_before: Range

    def usual(self, longest: int, since: int | None) -> Range:
        """Return the history before the window, or before the one that fired the alarm."""
        start = self.now[0] if since is None else min(self.now[0], since - (self.now[1] - self.now[0]))
        return max(0, floor(start - HISTORIES * longest, DAY)), floor(start, HOUR)


def findings(connection: Connection, clock: Clocked, firing: Firing, now: int) -> Iterator[Finding]:
    """Yield what the newest windows whose labels are due say about the alarms on missing ones."""
    due = _due(connection, clock, now)
    if due is None:
        return
    settings = clock.model.settings
    longest = max(parse_duration("window", window) for window in settings.windows)
    asked = [_asked(clock, window, due) for window in settings.windows]
    since = {None, *firing.values()}
    ranges = {each.usual(longest, at) for each in asked for at in since}
    counted = _counted(connection, clock, ranges | {part for each in asked for part in (each.now, each.week_before)})
    for each in asked:
        for version, found in counted[each.now].items():
            over = each.usual(longest, firing.get((each.window, version)))
            yield missing_labels(
                found,
                _usual(counted[over], version, settings.minimum_labels),
                counted[each.week_before].get(version, Coverage()),
                window=each.window,
                version=version,
                over=each.now,
                usual_over=over,
                settings=settings,
            )


def _due(connection: Connection, clock: Clocked, now: int) -> int | None:
    """Return until when labels are due: the declared delay has passed, and the one that they really take."""
    progress = clock.progress
    if progress.watermark is None or progress.received_at is None:
        return None
    if progress.received_at - progress.watermark > SETTLING and now < progress.received_at + SETTLING:
        return None
    learned = learned_now(connection, clock.model, progress, now)
    return matured_until(progress, max(clock.delay, learned), now)


def _asked(clock: Clocked, window: str, due: int) -> _Asked:
    length = parse_duration("window", window)
    kept = clock.progress.minutes_from
    end = floor(due, MINUTE if length < DAY else HOUR)
    return _Asked(
        window=window,
        now=widened(end - length, end, kept),
        week_before=(floor(end - length - WEEK, HOUR), floor(end - WEEK + HOUR - 1, HOUR)),
    )


def _usual(counts: Counts, version: str, minimum: int) -> Coverage:
    """Return what is usual of a version, or of all of them where it is too young to have anything usual of its own."""
    own = counts.get(version, Coverage())
    return own if own.predictions >= minimum else reduce(Coverage.__add__, counts.values(), Coverage())


def _counted(connection: Connection, clock: Clocked, ranges: set[Range]) -> dict[Range, dict[str, Coverage]]:
    parts = {each: spans(*each) for each in ranges}
    read = coverage.totals(connection, clock.model.id, merged(part for each in parts.values() for part in each))
    found: dict[Range, dict[str, Coverage]] = {each: {} for each in ranges}
    for each, wanted in parts.items():
        for bucket in read:
            if any(span.level == bucket.level and span.first <= bucket.begin < span.last for span in wanted):
                more = Coverage(predictions=bucket.predictions, labelled=bucket.labelled)
                found[each][bucket.version] = found[each].get(bucket.version, Coverage()) + more
    return found
