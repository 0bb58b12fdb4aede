"""Alerts on missing labels: too few of the predictions whose label is due have one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

from sqlalchemy import Connection

from ..domain.settings import ModelSettings
from ..domain.times import DAY, HOUR, MINUTE, floor, parse_duration, rfc3339
from ..stats.reliability import clopper_pearson_upper
from ..store import coverage
from ..windows.clock import Clocked, learned_now
from ..windows.ranges import Range, matured_until, merged, spans, widened
from .miscalibration import EVEN_ODDS
from .transitions import Finding, percent

FEWER_SHARE: Final = 0.8

"""Labels are missing where fewer than this share of the usual ones came, and are back at `BACK_SHARE`."""

BACK_SHARE: Final = 0.9

MOST_GROWTH: Final = 4

"""The same hours of the week before tell nothing of what is usual where there are so many times as many predictions now."""

MISSING_LABELS: Final = "missing_labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many predictions there were, and how many of them are labelled."""

    predictions: int = 0
    labelled: int = 0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(predictions=self.predictions + other.predictions, labelled=self.labelled + other.labelled)

    @property
    def share(self) -> float:
        """The labelled share, 0 without predictions."""
        return self.labelled / self.predictions if self.predictions else 0.0

    def at_most(self, alpha: float) -> float:
        """Return an upper bound of the share that is ever labelled, by Clopper and Pearson; it fails with probability alpha."""
        return float(clopper_pearson_upper(self.labelled, self.predictions, 1 - alpha))

    def at_least(self, alpha: float) -> float:
        """Return a lower bound of it."""
        return 1 - float(clopper_pearson_upper(self.predictions - self.labelled, self.predictions, 1 - alpha))


def labels_finding(
    now: Coverage,
    usual: Coverage,
    week_before: Coverage,
    *,
    window: str,
    version: str,
    over: tuple[int, int],
    usual_over: tuple[int, int],
    settings: ModelSettings,
) -> Finding:
    """Return what the labels of a window say about the alarm on missing ones.

    It fires where the share of labelled predictions is surely, by an upper bound at the model's false alarm rate, under 0.8 of the
    usual share, and under 0.8 of what the same hours a week before surely had, so that nobody is called on the weekends of those who
    label.
    It ends where a bound of even odds is above 0.9 of the usual share, also where the labels of the same window came after all.

    Parameters
    ----------
    now : predictions of the window, whose labels are due
    usual : those of the history before it
    week_before : those of the same hours a week before; not looked at where they were far fewer
    over, usual_over : beginning and end of the window and of that history

    """
    rate = settings.false_alarm_rate
    comparable = 0 < now.predictions <= MOST_GROWTH * week_before.predictions
    expected = min(usual.share, week_before.at_least(rate)) if comparable else usual.share
    highest, lowest = now.at_most(rate), now.at_least(EVEN_ODDS)
    said = f"{percent(now.share)} of the {now.predictions:,} predictions over {window} whose label is due have one"
    usually = f"{percent(usual.share)} of the {usual.predictions:,} before"
    return Finding(
        kind=MISSING_LABELS,
        window=window,
        version=version,
        segment="",
        start=over[0],
        end=over[1],
        enough=now.predictions > 0 and usual.labelled > 0 and usual.predictions >= settings.minimum_labels,
        beyond=highest < FEWER_SHARE * expected,
        back=lowest >= BACK_SHARE * usual.share,
        anew=False,
        claim=f"{said}, but {usually}; by chance so few come in at most {percent(rate)} of windows",
        relief=f"{said} again, as {usually}",
        evidence={
            "label_coverage": now.share,
            "label_coverage_upper_bound": highest,
            "usual_label_coverage": usual.share,
            "week_before_label_coverage": week_before.share if comparable else None,
            "threshold": FEWER_SHARE * expected,
            "predictions": now.predictions,
            "labelled": now.labelled,
            "usual_predictions": usual.predictions,
            "usual_labelled": usual.labelled,
            "start": rfc3339(over[0]),
            "end": rfc3339(over[1]),
            "usual_start": rfc3339(usual_over[0]),
            "usual_end": rfc3339(usual_over[1]),
            "false_alarm_rate": rate,
        },
    )


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
    asked = [_asked(clock, window, due) for window in settings.windows]
    since = {None, *firing.values()}
    ranges = {each.usual(settings.longest_window, at) for each in asked for at in since}
    counted = _counted(connection, clock, ranges | {part for each in asked for part in (each.now, each.week_before)})
    for each in asked:
        for version, found in counted[each.now].items():
            over = each.usual(settings.longest_window, firing.get((each.window, version)))
            yield labels_finding(
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
