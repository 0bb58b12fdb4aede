"""Estimate a window's figures before its labels come, and compare the estimate with the true figures later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from ..domain.alerts import MISCALIBRATION
from ..domain.estimates import Estimated, EstimateMap, Inside, Truth
from ..domain.names import CHAMPION
from ..domain.settings import Model
from ..domain.times import HOUR, ceil, floor, moment, parse_duration
from ..stats import reliability, scores
from ..stats.cells import Cells
from ..stats.expectation import Curve, calibration_map, expected_under
from ..stats.summary import Summary
from ..store import alerts, estimates, versions
from ..store.engine import Database
from ..store.estimates import Estimate
from ..store.lease import hold
from ..windows.clock import Clocked, clocked
from ..windows.onset import since_of
from ..windows.ranges import Range, widened
from ..windows.rows import of_version
from ..windows.sums import Place, by_place

LOOK_BACK: Final = 4
"""Where the longest window has too few labels, as after labels stopped coming, the map is fitted on this many times its length."""

FEWEST_LABELS: Final = 30
"""A window that will have fewer labels has no estimate: its figures would be noise."""

AT_ONCE: Final = 200
"""Estimates that one run compares with the truth at most."""

Sums = Mapping[Range, Mapping[Place, Summary]]


def estimated(connection: Connection, clock: Clocked, windows: Sequence[str], end: int) -> list[Estimate]:
    """Return the estimates of windows with this end, for every version with a calibration map.

    The map is that of the longest window whose labels have matured, or of one `LOOK_BACK` times as long where that has too few. Neither the
    map nor the windows reach back beyond the last promotion, before which another map held, or beyond the beginning of a fault of the
    version on which an alert fires: the map of before is what broke.
    """
    if not _has_map(clock):
        return []
    promoted, broke = _promoted(connection, clock), _broke(connection, clock)
    earliest = {version: max(promoted, at) for version, at in broke.items()}
    spans = {start: _spans(clock, windows, end, start) for start in {promoted, *earliest.values()}}
    asked = {over for span in spans.values() for over in span.all() if over[0] < over[1]}
    sums = by_place(connection, clock.model, asked, "")
    model_versions = {version for places in sums.values() for version, _ in places}
    return [
        Estimate(id=0, model_id=clock.model.id, expected=expected)
        for version in sorted(model_versions)
        for expected in _of_version(clock, version, spans[earliest.get(version, promoted)], sums)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spans:
    """The windows to estimate, and those whose map may hold, all since one moment."""

    windows: Mapping[str, Range]
    maps: Sequence[Range]

    def all(self) -> Iterator[Range]:
        """Yield every range."""
        yield from self.windows.values()
        yield from self.maps


def _spans(clock: Clocked, windows: Sequence[str], end: int, earliest: int) -> _Spans:
    ranges = {window: _range(clock, parse_duration("window", window), end, earliest) for window in windows}
    return _Spans(windows=ranges, maps=_map_ranges(clock, earliest))


def _of_version(clock: Clocked, version: str, spans: _Spans, sums: Sums) -> Iterator[Estimated]:
    """Yield the estimates of the windows of a version."""
    known = _known(version, spans.maps, sums, clock.model.settings.minimum_labels)
    for window, over in spans.windows.items():
        summary = sums.get(over, {}).get((version, ""))
        coming = None if summary is None else served(summary)
        expected = _expected(clock, known, coming, version=version, window=window, over=over)
        if expected is not None:
            yield expected


def _has_map(clock: Clocked) -> bool:
    """Return whether there can be a map: there are confidences, and there have been enough labels."""
    settings, task = clock.model.settings, clock.model.task
    return task not in {None, "regression"} and clock.progress.labels >= settings.minimum_labels


def _promoted(connection: Connection, clock: Clocked) -> int:
    """Return the first whole hour after the last promotion; hours are kept as long as the model."""
    champion = versions.aliases(connection, clock.model.id).get(CHAMPION)
    if champion is None or champion.since_event_time is None:
        return 0
    return ceil(champion.since_event_time + 1, HOUR)


def _broke(connection: Connection, clock: Clocked) -> dict[str, int]:
    """Return the first whole hour after the estimated beginning of each fault on which an alert fires, by version."""
    until = clock.matured_until
    firing = alerts.firing_now(connection, (MISCALIBRATION,)).get(clock.model.id, [])
    versions_off = {one.alarm.version for one in firing if not one.alarm.segment}
    began = {} if until is None else {name: _began(connection, clock, name, until) for name in versions_off}
    return {version: at for version, at in began.items() if at is not None}


def _began(connection: Connection, clock: Clocked, version: str, until: int) -> int | None:
    since = since_of(connection, clock, of_version(version), until=until)
    return None if since is None else ceil(since.at, HOUR)


def _range(clock: Clocked, length: int, end: int, earliest: int) -> Range:
    start, last = widened(end - length, end, clock.progress.minutes_from)
    return max(start, earliest), last


def _map_ranges(clock: Clocked, earliest: int) -> list[Range]:
    if clock.matured_until is None:
        return []
    return [
        _range(clock, times * clock.model.settings.longest_window, clock.matured_until, earliest)
        for times in (1, LOOK_BACK)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A window whose calibration map is assumed to hold."""

    over: Range
    labelled: int
    coverage: float  # share of its predictions that have a label
    curves: Sequence[Curve]


def _known(version: str, maps: Sequence[Range], sums: Sums, minimum: int) -> _Known | None:
    """Return the first of some windows with enough labels of a version."""
    for over in maps:
        summary = sums.get(over, {}).get((version, ""))
        cells = None if summary is None else served(summary)
        labelled = 0 if cells is None else int(cells.n.sum())
        curves = calibration_map(cells) if cells is not None and labelled >= minimum else None
        if cells is not None and curves is not None:
            coverage = min(labelled / float(cells.en.sum()), 1.0)
            return _Known(over=over, labelled=labelled, coverage=coverage, curves=curves)
    return None


def _expected(
    clock: Clocked, known: _Known | None, coming: Cells | None, *, version: str, window: str, over: Range
) -> Estimated | None:
    """Return the estimate of a window, None where too little is known."""
    if known is None or coming is None or coming.en.sum() * known.coverage < FEWEST_LABELS:
        return None
    binary = clock.model.task == "binary"
    figures = expected_under(known.curves, coming, binary=binary, coverage=known.coverage)
    if figures is None:
        return None
    source = EstimateMap(start=moment(known.over[0]), end=moment(known.over[1]), labelled=known.labelled)
    return Estimated(
        version=version,
        window=window,
        start=moment(over[0]),
        end=moment(over[1]),
        predictions=int(coming.en.sum()),
        map=source,
        accuracy=figures.accuracy,
        accuracy_low=figures.accuracy_low,
        accuracy_high=figures.accuracy_high,
        ece=figures.ece,
        ece_low=figures.ece_low,
        ece_high=figures.ece_high,
        brier=figures.brier,
        brier_low=figures.brier_low,
        brier_high=figures.brier_high,
    )


def served(summary: Summary) -> Cells | None:
    """Return the served confidences of a window, None where some predictions have none."""
    cells = summary.cells("served")
    return cells if 0 < summary.events <= cells.en.sum() else None


def truth_of(clock: Clocked, made: Estimated, summary: Summary | None) -> Truth:
    """Return the true figures of a window, and which of them lie inside their estimated intervals.

    Parameters
    ----------
    summary : sums of the window now; None where its minutes are no longer kept

    """
    cells = None if summary is None else served(summary)
    labelled = 0 if cells is None else int(cells.n.sum())
    if cells is None or labelled < clock.model.settings.minimum_labels:
        return Truth(labelled=labelled, accuracy=None, ece=None, brier=None, inside=None)
    accuracy = scores.accuracy(cells, binary=clock.model.task == "binary")
    ece, brier = reliability.ece(reliability.bins_of(cells)), scores.brier(cells)
    inside = Inside(
        accuracy=_within(accuracy, made.accuracy_low, made.accuracy_high),
        ece=_within(ece, made.ece_low, made.ece_high),
        brier=_within(brier, made.brier_low, made.brier_high),
    )
    return Truth(labelled=labelled, accuracy=accuracy, ece=ece, brier=brier, inside=inside)


def _within(figure: float | None, low: float, high: float) -> bool:
    return figure is not None and low <= figure <= high


def _due(connection: Connection, clock: Clocked) -> tuple[list[str], int]:
    """Return the windows to estimate now and their common end, the last whole hour, unless it has matured.

    Whole hours keep the rows few, and their sums are still there once the labels have come.
    """
    end = 0 if clock.newest_end is None else floor(clock.newest_end, HOUR)
    if clock.matured_until is None or end <= clock.matured_until:
        return [], end
    made = estimates.windows_at(connection, clock.model.id, end)
    return [window for window in clock.model.settings.windows if window not in made], end


def _settled(connection: Connection, clock: Clocked) -> dict[int, Truth]:
    """Return the true figures of estimates whose windows have matured, by id of the estimate."""
    if clock.matured_until is None:
        return {}
    waiting = estimates.pending(connection, clock.model.id, clock.matured_until, AT_ONCE)
    kept = {one.over for one in waiting if widened(*one.over, clock.progress.minutes_from) == one.over}
    sums = by_place(connection, clock.model, kept, "") if kept else {}
    return {one.id: truth_of(clock, one.expected, sums.get(one.over, {}).get((one.version, ""))) for one in waiting}


def estimate_model(database: Database, token: int, model: Model, now: int) -> int:
    """Make the estimates of one model that are due, and settle those that have matured; return the number of both."""
    with database.read() as connection:
        clock = clocked(connection, model, now)
        windows, end = _due(connection, clock)
        made = estimated(connection, clock, windows, end) if windows else []
        truths = _settled(connection, clock)
    if made or truths:
        with database.write(patient=True) as connection:
            hold(connection, token)
            estimates.add(connection, made, now)
            estimates.settle(connection, truths)
    return len(made) + len(truths)
