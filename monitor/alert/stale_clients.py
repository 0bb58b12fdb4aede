"""Predictions served with another calibrator than the one in service."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sqlalchemy import Connection

from ..domain.alerts import Alarm, Evidence
from ..domain.names import CHALLENGER, CHAMPION, version_name
from ..domain.quantities import Moment
from ..domain.settings import ModelSettings
from ..domain.times import MINUTE, duration_text, micros, moment, rfc3339
from ..store import audit, coverage, versions
from ..store.audit import Action
from ..windows.clock import Clocked
from ..windows.ranges import Range, doubled, first_after, spans, widened
from .kind import Kind, Watch, Watched
from .transitions import Finding, percent

STALE_SHARE: Final = 0.1
"""Clients are stale where more than this share of predictions were not served with what is in service, and follow under `FRESH_SHARE`."""

FRESH_SHARE: Final = 0.05

STALE: Final = "stale"


class ClientsEvidence(Evidence, frozen=True, kw_only=True):
    """What predictions were served with, and what they should have been served with."""

    champion: int | None
    champion_since: Moment
    stale_share: float
    threshold: float
    served_with: dict[str, float]  # share of predictions by number of the calibrator, or `none`
    predictions: int
    start: Moment
    end: Moment


def clients_finding(
    served: Mapping[int, int],
    right: Collection[int],
    *,
    champion: int | None,
    since: int,
    version: str,
    over: tuple[int, int],
    settings: ModelSettings,
) -> Finding:
    """Return what predictions say about the alarm on clients that serve something else than what is in service.

    It fires where more than .1 of them were served with another calibrator, or with none, and ends where fewer than .05 are.

    Parameters
    ----------
    served : how many predictions each calibrator served; 0 stands for none
    right : the calibrators that may serve: the champion, and a canary
    champion, since : what is in service, None for no calibrator, and since when in event time
    over : beginning and end of the stretch of time that the predictions are of

    """
    total = sum(served.values())
    shares = {number: count / total for number, count in sorted(served.items()) if count}
    wrong = {number: share for number, share in shares.items() if number not in right}
    share = sum(wrong.values())
    of = f"of {total:,} predictions since {rfc3339(over[0])} were"
    served_by, unlike = _served_by(champion, since)
    instead = ", ".join(f"{percent(part)} by {version_name(number)}" for number, part in wrong.items())
    return Finding(
        alarm=Alarm(STALE, duration_text(settings.stale_after), version, ""),
        start=over[0],
        end=over[1],
        enough=True,
        beyond=share > STALE_SHARE,
        back=share < FRESH_SHARE,
        anew=False,
        claim=f"{percent(share)} {of} {unlike}. Instead: {instead}.",
        relief=f"{percent(1 - share)} {of} {served_by}.",
        evidence=ClientsEvidence(
            champion=champion,
            champion_since=moment(since),
            stale_share=share,
            threshold=STALE_SHARE,
            served_with={"none" if number == 0 else str(number): part for number, part in shares.items()},
            predictions=total,
            start=moment(over[0]),
            end=moment(over[1]),
        ),
    )


def _served_by(champion: int | None, since: int) -> tuple[str, str]:
    """Return in words what predictions should be served by, and what they are where they are not."""
    if not champion:
        none = f"none is in service since {rfc3339(since)}"
        return f"served by no calibrator, as {none}", f"served by a calibrator, although {none}"
    served = f"served by {version_name(champion)}, promoted at {rfc3339(since)}"
    return served, f"not {served}"


FEWEST: Final = 50
"""Predictions that tell anything; where the last ones are fewer, the stretch of time that they are looked for in is doubled."""

CANARIES: Final = frozenset({Action.CANARY, Action.CANARY_WAITS, Action.CANARY_STOP, Action.CANARY_END})
"""Steps of the audit log that a canary takes."""

Served = Counter[int]
"""How many predictions each calibrator served; 0 stands for none."""


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield the time that clients have to follow, which stands in place of a window."""
    yield duration_text(settings.stale_after), ""


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield what the newest predictions of each version say about the alarm on stale clients.

    Judged is what was predicted, and had time to be, since clients could have followed the last change of the champion. A canary's
    number is right as long as it serves and, once it has ended, until the champion changes.
    """
    connection, clock, settings = watch.connection, watch.clock, watch.settings
    champion = versions.aliases(connection, clock.model.id).get(CHAMPION)
    if champion is None or clock.newest_end is None or watch.now < champion.since + settings.stale_after:
        return
    since = champion.since if champion.since_event_time is None else champion.since_event_time
    right = {champion.number or 0, *_canaries(connection, clock, champion.since)}
    waiting = watch.versions()
    for over in _stretches(clock, first_after(since + settings.stale_after, clock.progress.minutes_from)):
        served = _served(connection, clock, over)
        enough = {version for version in waiting if served.get(version, Served()).total() >= FEWEST}
        for version in sorted(enough):
            yield clients_finding(
                served[version],
                right,
                champion=champion.number,
                since=since,
                version=version,
                over=over,
                settings=settings,
            )
        waiting -= enough
        if not waiting:
            return


def _canaries(connection: Connection, clock: Clocked, since: int) -> set[int]:
    """Return the versions that serve a share of traffic, or did so since a moment."""
    challenger = versions.aliases(connection, clock.model.id).get(CHALLENGER)
    now = {challenger.number} if challenger is not None and challenger.share is not None else set()
    before = {
        entry.detail.number
        for entry in audit.entries(connection, clock.model.id)
        if micros(entry.at) >= since and entry.action in CANARIES
    }
    return {number for number in now | before if number is not None}


def _stretches(clock: Clocked, earliest: int) -> list[Range]:
    """Return the last stretch of time and longer ones, up to the longest window, all of them after a moment."""
    if clock.newest_end is None:
        return []
    end, length = clock.newest_end, max(clock.model.settings.stale_after, MINUTE)
    longest = max(length, clock.model.settings.longest_window)
    stretches = doubled(end - length, end, max(earliest, end - longest))
    return [widened(*stretch, clock.progress.minutes_from) for stretch in stretches]


def _served(connection: Connection, clock: Clocked, over: Range) -> dict[str, Served]:
    by_version: dict[str, Served] = {}
    for totals in coverage.totals(connection, clock.model.id, spans(*over)):
        by_version.setdefault(totals.version, Served())[totals.calibrator] += totals.predictions
    return by_version


KIND: Final = Kind(
    name=STALE,
    sentence="Predictions are served with another calibrator than the one in service, or with none.",
    watched=watched,
    findings=findings,
)
