"""Outcomes that happen more often or less often than expected: the part of miscalibration that the threshold `ratio` limits."""

from collections.abc import Iterator
from typing import Final, Literal

from ..domain.alerts import MISCALIBRATION, Alarm
from ..domain.quantities import Moment
from ..domain.sequential import RatioEvidence
from ..domain.settings import RATIO
from ..domain.times import micros, parse_duration, rfc3339
from ..stats import outcomes
from ..stats.outcomes import Count
from ..stats.summary import Summary
from ..store import ratios
from ..windows.ranges import Range, doubled, first_after, widened
from ..windows.sums import by_place
from .kind import Watch
from .promise import e_value, shown
from .story import FaultEvidence
from .transitions import RESOLVED_SHARE, Finding, percent

ENDS_AT: Final = 0.025
"""Error rate of each of the bounds that end an alarm: it ends where more or fewer outcomes would have shown that it still holds."""


class RatioFault(FaultEvidence, frozen=True, kw_only=True):
    """Results of the test of observed over expected outcomes."""

    policy: Literal["ratio"] = RATIO
    observed: float
    expected: float
    off_by_at_least: float | None = None
    e_value: float | None = None
    log_e_peak: float | None = None
    fires_at: float | None = None
    labels: int
    false_alarm_rate: float
    level: float | None = None
    tested_since: Moment | None = None
    until: Moment | None = None

    @property
    def at_least(self) -> float | None:
        """The factor that it has been off by at the least."""
        return self.off_by_at_least

    @property
    def error(self) -> str | None:
        """What has a limit, in words."""
        times = f"{self.observed / self.expected:.3g} times" if self.expected else "not"
        return f"outcomes are {times} those expected; the factor, either way, is"


def ratio_findings(watch: Watch) -> Iterator[Finding]:
    """Yield the findings of the tests whose alarm does not fire, and of the time since it fired where it does."""
    firing = {alarm.version: since for alarm, since in watch.firing(MISCALIBRATION) if alarm.window == RATIO}
    limit = watch.settings.thresholds.get(RATIO)
    if limit is not None:
        for _, test in ratios.newest(watch.connection, watch.model.id):
            if test.version not in firing:
                yield _finding(test)
    for version, since in firing.items():
        ended = None if limit is None else _ended(watch, version, since, limit)
        if ended is not None:
            yield ended


def _finding(test: RatioEvidence) -> Finding:
    reached = test.until if test.peaked_at is None else test.peaked_at
    evidence = RatioFault(
        observed=test.observed,
        expected=test.expected,
        off_by_at_least=test.off_by_at_least,
        e_value=shown(test.log_e_peak),
        log_e_peak=test.log_e_peak,
        fires_at=test.fires_at,
        labels=test.labels,
        direction=test.direction,
        threshold=test.threshold,
        false_alarm_rate=test.false_alarm_rate,
        level=test.level,
        tested_since=test.since,
        until=test.until,
    )
    return Finding(
        alarm=_alarm(test.version),
        start=micros(test.since),
        end=micros(reached),
        enough=True,
        beyond=test.log_e_peak >= test.limit and not test.held,
        back=False,  # a test says when there is something, never that there is nothing
        claim=f"{test.observed:,.4g} outcomes where {test.expected:,.4g} were expected, of {test.labels:,} labels since "
        f"{rfc3339(micros(test.since))}, gave an e-value of {e_value(test.log_e_peak)} (it fires at {e_value(test.limit)}). A model within "
        f"the limit reaches that with probability at most {percent(test.level or 0.0)}, however long it is watched; in any of the model's "
        f"tests, {percent(test.false_alarm_rate)}.",
        relief="",
        evidence=evidence,
    )


def _alarm(version: str) -> Alarm:
    return Alarm(MISCALIBRATION, RATIO, version, "")


def _ended(watch: Watch, version: str, since: int, limit: float) -> Finding | None:
    """Return the finding of the shortest time since an alarm fired that shows that it is over; None where none does."""
    kept, end = watch.clock.progress.minutes_from, watch.clock.matured_until
    if end is None:
        return None
    earliest = first_after(max(since, watch.promoted or 0) - 1, kept)
    length = min(parse_duration("window", window) for window in watch.settings.windows)
    wide = {over: widened(*over, kept) for over in doubled(end - length, end, earliest)}
    sums = by_place(watch.connection, watch.model, set(wide.values()), "")
    for over in wide.values():
        counted = outcomes.count(sums[over].get((version, ""), Summary.of([])).cells("served"))
        if _is_back(counted, limit):
            return _end(watch, version, over, counted, limit)
    return None


def _is_back(counted: Count, limit: float) -> bool:
    """Return whether outcomes are clearly within a limit either way, and enough to show it."""
    if not counted.expected:
        return False
    low, high = outcomes.interval(counted, ENDS_AT)
    clear = limit**RESOLVED_SHARE
    return 1 / clear < counted.ratio < clear and low > 1 / limit and high < limit


def _end(watch: Watch, version: str, over: Range, counted: Count, limit: float) -> Finding:
    return Finding(
        alarm=_alarm(version),
        start=over[0],
        end=over[1],
        enough=True,
        beyond=False,
        back=True,
        claim="",
        relief=f"Outcomes happen {counted.ratio:.3g} times as often as expected, back within the limit {limit:g}. The test starts again.",
        evidence=RatioFault(
            threshold=limit,
            observed=counted.observed,
            expected=counted.expected,
            labels=counted.labels,
            false_alarm_rate=watch.settings.false_alarm_rate,
        ),
    )
