"""Too few of the predictions whose label is due have one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from typing import Final

from sqlalchemy import Connection

from ..domain.alerts import Alarm, Evidence
from ..domain.quantities import Moment
from ..domain.settings import ModelSettings
from ..domain.times import DAY, HOUR, MINUTE, floor, moment, parse_duration
from ..stats.reliability import clopper_pearson_upper
from ..store import coverage
from ..windows.clock import Clocked, learned_now
from ..windows.ranges import Range, matured_until, merged, spans, widened
from .kind import Kind, Watch, Watched
from .transitions import EVEN_ODDS, Finding, percent

FEWER_SHARE: Final = 0.8
"""Labels are missing where fewer than this share of the usual ones came, and are back at `BACK_SHARE`."""

BACK_SHARE: Final = 0.9

MOST_GROWTH: Final = 4
"""Growth of traffic within a week beyond which the same hours of the week before are not compared."""

MISSING_LABELS: Final = "missing_labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Numbers of predictions and of labelled ones."""

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
        """Return a lower bound of that share."""
        return 1 - float(clopper_pearson_upper(self.predictions - self.labelled, self.predictions, 1 - alpha))


class LabelsEvidence(Evidence, frozen=True, kw_only=True):
    """The labelled share of a window's predictions whose label is due, and the usual share."""

    label_coverage: float
    label_coverage_upper_bound: float
    usual_label_coverage: float
    week_before_label_coverage: float | None
    threshold: float
    predictions: int
    labelled: int
    usual_predictions: int
    usual_labelled: int
    start: Moment
    end: Moment
    usual_start: Moment
    usual_end: Moment
    false_alarm_rate: float


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
    """Return what the labels of a window say about the alert on missing ones.

    It fires where an upper bound of the share of labelled predictions, at the model's false alarm rate, is under 0.8 of the usual share,
    and under 0.8 of a lower bound of the share in the same hours a week before, so that nobody is called on weekends, when nobody labels.
    It ends where a bound at even odds is above 0.9 of the usual share, also where the labels of the same window came after all.

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
    usually = percent(usual.share)
    return Finding(
        alarm=Alarm(MISSING_LABELS, window, version, ""),
        start=over[0],
        end=over[1],
        enough=now.predictions > 0 and usual.labelled > 0 and usual.predictions >= settings.minimum_labels,
        beyond=highest < FEWER_SHARE * expected,
        back=lowest >= BACK_SHARE * usual.share,
        anew=False,
        claim=f"{said}; usually {usually} do. By chance, at most {percent(rate)} of windows show so few.",
        relief=f"{said} again; usually {usually} do.",
        evidence=LabelsEvidence(
            label_coverage=now.share,
            label_coverage_upper_bound=highest,
            usual_label_coverage=usual.share,
            week_before_label_coverage=week_before.share if comparable else None,
            threshold=FEWER_SHARE * expected,
            predictions=now.predictions,
            labelled=now.labelled,
            usual_predictions=usual.predictions,
            usual_labelled=usual.labelled,
            start=moment(over[0]),
            end=moment(over[1]),
            usual_start=moment(usual_over[0]),
            usual_end=moment(usual_over[1]),
            false_alarm_rate=rate,
        ),
    )


HISTORIES: Final = 4
"""Length of the history that gives the usual share, in longest windows."""

WEEK: Final = 7 * DAY

SETTLING: Final = HOUR
"""Time that imported predictions have after their receipt to get the labels that are imported with them."""

Counts = Mapping[str, Coverage]
"""Coverage by model version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A window, and the same hours of the week before."""

    window: str
    now: Range
    week_before: Range

    def usual(self, longest: int, since: int | None) -> Range:
        """Return the history before the window, or before the one that fired the alarm."""
        start = self.now[0] if since is None else min(self.now[0], since - (self.now[1] - self.now[0]))
        return max(0, floor(start - HISTORIES * longest, DAY)), floor(start, HOUR)


def watched(settings: ModelSettings) -> Iterator[Watched]:
    """Yield the windows whose labels are watched: all of them."""
    for window in settings.windows:
        yield window, ""


def findings(watch: Watch) -> Iterator[Finding]:
    """Yield the findings on missing labels of the newest windows whose labels are due."""
    due = _due(watch.connection, watch.clock, watch.now)
    if due is None:
        return
    settings = watch.settings
    firing = {(alarm.window, alarm.version): since for alarm, since in watch.firing(MISSING_LABELS)}
    asked = [_asked(watch.clock, window, due) for window in settings.windows]
    usual = {one.usual(settings.longest_window, since) for one in asked for since in (None, *firing.values())}
    counted = _counted(watch, usual | {over for one in asked for over in (one.now, one.week_before)})
    for one in asked:
        for version, covered in counted[one.now].items():
            over = one.usual(settings.longest_window, firing.get((one.window, version)))
            yield labels_finding(
                covered,
                _usual(counted[over], version, settings.minimum_labels),
                counted[one.week_before].get(version, Coverage()),
                window=one.window,
                version=version,
                over=one.now,
                usual_over=over,
                settings=settings,
            )


def _due(connection: Connection, clock: Clocked, now: int) -> int | None:
    """Return the moment before which all labels are due: both the declared and the learned delay have passed since."""
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
    """Return the usual coverage of a version; that of all versions while it has too few predictions of its own."""
    own = counts.get(version, Coverage())
    return own if own.predictions >= minimum else reduce(Coverage.__add__, counts.values(), Coverage())


def _counted(watch: Watch, ranges: set[Range]) -> dict[Range, dict[str, Coverage]]:
    parts = {over: spans(*over) for over in ranges}
    buckets = coverage.totals(watch.connection, watch.model.id, merged(chain.from_iterable(parts.values())))
    counted: dict[Range, dict[str, Coverage]] = {over: {} for over in ranges}
    for over, wanted in parts.items():
        for bucket in buckets:
            if any(span.level == bucket.level and span.first <= bucket.begin < span.last for span in wanted):
                more = Coverage(predictions=bucket.predictions, labelled=bucket.labelled)
                counted[over][bucket.version] = counted[over].get(bucket.version, Coverage()) + more
    return counted


KIND: Final = Kind(
    name=MISSING_LABELS,
    sentence="Fewer of the predictions whose label is due have one than usual.",
    watched=watched,
    findings=findings,
)
