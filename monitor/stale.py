"""Stale clients: what events say they were served with, against what is in service."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import Connection

from .alarms import Finding, stale
from .domain.times import MINUTE, parse_duration
from .store import coverage, versions
from .windows.clock import Clocked
from .windows.ranges import Range, doubled, first_after, spans, widened

FEWEST: Final = 50
"""Predictions that tell anything; where the last ones are fewer, the stretch of time that they are looked for in is doubled."""

CANARY: Final = "canary"
"""How the audit log's words for what happens to a canary begin."""

Served = Counter[int]
"""How many predictions each calibrator served; 0 stands for none."""


def findings(connection: Connection, clock: Clocked, model_versions: Collection[str], now: int) -> Iterator[Finding]:
    """Yield what the newest predictions of model versions say about the alarm on stale clients.

    Judged is what was predicted, and had time to be, since clients could have followed the last change of the champion. A canary's
    number is right as long as it serves and, once it has ended, until the champion changes.
    """
    settings = clock.model.settings
    champion = versions.aliases(connection, clock.model.id).get(versions.CHAMPION)
    if champion is None or clock.newest_end is None or now < champion.since + settings.stale_after:
        return
    since = champion.since if champion.since_event_time is None else champion.since_event_time
    right = {champion.number or 0, *_canaries(connection, clock, champion.since)}
    waiting = set(model_versions)
    for over in _stretches(clock, first_after(since + settings.stale_after, clock.progress.minutes_from)):
        served = _served(connection, clock, over)
        for version in sorted(waiting):
            counts = served.get(version, Served())
            if counts.total() >= FEWEST:
                waiting.discard(version)
                yield stale(
                    counts,
                    right,
                    champion=champion.number,
                    since=since,
                    version=version,
                    over=over,
                    settings=settings,
                )
        if not waiting:
            return


def _canaries(connection: Connection, clock: Clocked, since: int) -> set[int]:
    """Return the versions that serve a share of traffic, or did so since a moment."""
    challenger = versions.aliases(connection, clock.model.id).get(versions.CHALLENGER)
    now = {challenger.number} if challenger is not None and challenger.share is not None else set()
    before = {
        entry["detail"].get("number")
        for entry in versions.audited(connection, clock.model.id)
        if entry["at"] >= since and entry["action"].startswith(CANARY)
    }
    return {number for number in now | before if number is not None}


def _stretches(clock: Clocked, earliest: int) -> list[Range]:
    """Return the last stretch of time and longer ones, up to the longest window, all of them after a moment."""
    if clock.newest_end is None:
        return []
    end, length = clock.newest_end, max(clock.model.settings.stale_after, MINUTE)
    longest = max(length, *(parse_duration("window", window) for window in clock.model.settings.windows))
    found = doubled(end - length, end, max(earliest, end - longest))
    return [widened(*each, clock.progress.minutes_from) for each in found]


def _served(connection: Connection, clock: Clocked, over: Range) -> dict[str, Served]:
    found: dict[str, Served] = {}
    for each in coverage.totals(connection, clock.model.id, spans(*over)):
        found.setdefault(each.version, Served())[each.calibrator] += each.predictions
    return found
