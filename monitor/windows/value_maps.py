"""Conversion of values that are no probabilities to probabilities, by maps that are fitted once for a model version.

Agreement is converted by a beta distribution, which needs no labels. A score is converted by a line that is fitted on the first labels
that have matured and that it explains; only later predictions are evaluated with it. A line that reads all scores alike, where later
labels say that they differ, is fitted again.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Final, Literal

import numpy as np
from msgspec import Meta, Struct
from sqlalchemy import Connection

from ..calibrators.errors import NotIdentified
from ..calibrators.ladder import FEWEST_LABELS, FEWEST_OF_EACH
from ..domain.quantities import Moment
from ..domain.records import DAY_LEVEL, SeriesKey
from ..domain.times import DAY, HOUR, MINUTE, moment
from ..stats.cells import Cells, Floats
from ..stats.summary import VALUE_FIELDS, Scores, Summary
from ..stats.values import AGREEMENT, SCORE, UNREAD, Reading, beta_binomial, read
from ..store import mappings, rollups
from ..store.mappings import ValueMap
from ..store.rollups import Span
from .clock import Clocked
from .ranges import Range
from .score_line import ScoreLine, score_line
from .sums import buckets

log = logging.getLogger(__name__)

FEWEST_AGREEMENTS: Final = 200
"""Events that the beta distribution behind agreeing answers is learned from, at least."""

FLAT: Final = 0.2
"""A line with a slope of less than this share of the slope of later labels reads scores alike that differ."""

EVER: Final = 2**62


def cells_of(summary: Summary, scores: Scores, reading: Reading = UNREAD) -> Cells:
    """Return the cells of a model version's summary, with its values read as probabilities.

    Parameters
    ----------
    summary : sums as they are stored
    scores : served or raw
    reading : of the version, from `sums.readings`; for one bucket, `reading.at` its beginning

    """
    return read(summary, reading).cells(scores)


def reader(reading: Reading) -> Callable[[Summary, int | None], Cells]:
    """Return a function from a bucket's stored sums and its beginning to its served cells.

    A beginning of None stands for late labels, whose scores are not read: the map may have been fitted on them.
    """
    return lambda summary, begin: cells_of(summary, "served", reading.at(-1 if begin is None else begin))


def due(connection: Connection, clock: Clocked) -> list[ValueMap]:
    """Return the maps that can be made now: for versions that have values without one, and where a line has failed its check."""
    if clock.model.task != "confidence" or clock.newest_end is None:
        return []
    made = {
        (value_map.version, value_map.family): value_map for value_map in mappings.of_model(connection, clock.model.id)
    }
    maps = []
    start = clock.newest_end - clock.model.settings.longest_window
    for version, numbers in _versions(connection, clock).items():
        lacking = [family for family in (AGREEMENT, SCORE) if (version, family) not in made]
        line = made.get((version, SCORE))
        if not lacking and line is None:
            continue
        recent = _days(connection, numbers, start, clock.newest_end)
        stated = [family for family in lacking if recent.values(family).any()]
        maps += [_made(connection, clock, version, family, numbers) for family in stated]
        if line is not None and _is_flat(connection, clock, line, numbers):
            maps.append(_made(connection, clock, version, SCORE, numbers, since=line.until))
    return [value_map for value_map in maps if value_map is not None]


def _is_flat(connection: Connection, clock: Clocked, line: ValueMap, numbers: Sequence[int]) -> bool:
    """Tell whether a line reads scores alike of which the labels since say that they differ.

    A fault of the model is none of the line: scores that stop to tell anything, or tell the opposite, leave it in place.
    """
    end = clock.newest_end or 0
    table = _days(connection, numbers, max(line.until, end - clock.model.settings.longest_window), end).values(SCORE)
    if not _enough(table, _wanted(clock)):
        return False
    later = _line(table)
    return later is not None and abs(line.parameters["slope"]) < FLAT * abs(later.slope)


def _versions(connection: Connection, clock: Clocked) -> dict[str, list[int]]:
    """Return the series of each version as a whole."""
    by_version: dict[str, list[int]] = {}
    for key, number in sorted(rollups.series_ids(connection, clock.model.id).items()):
        if key.segment == "":
            by_version.setdefault(key.version, []).append(number)
    return by_version


def _days(connection: Connection, numbers: Sequence[int], start: int, end: int) -> Summary:
    span = Span(DAY_LEVEL, start - start % DAY, end)
    return Summary.of([blob for *_, blob in rollups.read(connection, numbers, [span])])


def _made(
    connection: Connection, clock: Clocked, version: str, family: str, numbers: Sequence[int], *, since: int = 0
) -> ValueMap | None:
    ever = _days(connection, numbers, since, EVER)
    fit = _agreement(clock, ever) if family == AGREEMENT else _score(connection, clock, version, ever, since)
    if fit is None:
        return None
    until, parameters = fit
    log.info("values of %s, version %s, are read by %s from now on: %s", clock.model.name, version, family, parameters)
    return ValueMap(model_id=clock.model.id, version=version, family=family, until=until, parameters=parameters)


Fit = tuple[int, dict[str, float]]
"""The end of the predictions that a map was fitted on, and its parameters."""


def _agreement(clock: Clocked, ever: Summary) -> Fit | None:
    counts = ever.values(AGREEMENT)[:, VALUE_FIELDS.index("en")]
    if counts.sum() < FEWEST_AGREEMENTS:
        return None
    a, b = beta_binomial(counts)
    return clock.newest_end or 0, {"a": a, "b": b}


def _score(connection: Connection, clock: Clocked, version: str, ever: Summary, since: int) -> Fit | None:
    wanted = _wanted(clock)
    if not _enough(ever.values(SCORE), wanted) or clock.matured_until is None or _line(ever.values(SCORE)) is None:
        return None
    table = np.zeros_like(ever.values(SCORE))
    for end, summary in _matured(connection, clock, version, (since, clock.matured_until)):
        table += summary.values(SCORE)
        if _enough(table, wanted):
            line = _line(table)
            if line is not None:
                return end, line._asdict()
            wanted *= 2
    return None


def _line(table: Floats) -> ScoreLine | None:
    try:
        return score_line(table)
    except NotIdentified:
        return None


def _wanted(clock: Clocked) -> int:
    return max(FEWEST_LABELS, clock.model.settings.minimum_labels)


def _enough(table: Floats, wanted: int) -> bool:
    n, sy = table[:, 0].sum(), table[:, 1].sum()
    return bool(n >= wanted and min(sy, n - sy) >= FEWEST_OF_EACH)


def _matured(connection: Connection, clock: Clocked, version: str, over: Range) -> Iterator[tuple[int, Summary]]:
    """Yield the matured buckets of a version in a range in the order of time, as (end, sums)."""

    def wanted(key: SeriesKey) -> bool:
        return key.version == version and key.segment == ""

    kept = clock.progress.minutes_from or 0
    for begin, same in groupby(buckets(connection, clock, *over, wanted), key=itemgetter(1)):
        end = begin + (MINUTE if begin >= kept else HOUR)
        if end <= over[1]:
            yield end, Summary.of([blob for *_, blob in same])


class ValueMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The map by which values that are no probabilities are converted to probabilities."""

    version: Annotated[str, Meta(description="the model version that it was fitted for")]
    family: Literal["agreement", "score"]
    parameters: Annotated[
        dict[str, float],
        Meta(
            description="agreement: `a` and `b`, k of m is read as (k + a)/(m + a + b); score: `slope` and `intercept` of its log odds, "
            "with scores below `low` or above `high` read as those"
        ),
    ]
    until: Annotated[Moment, Meta(description="fitted on predictions before this; scores are judged from here on")]


def mapping_of(maps: Collection[ValueMap], version: str | None) -> ValueMapping | None:
    """Return the newest map of a version, or of any."""
    newest = next((one for one in maps if version in {None, one.version}), None)
    if newest is None:
        return None
    return ValueMapping(
        version=newest.version,
        family=AGREEMENT if newest.family == AGREEMENT else SCORE,
        parameters=dict(newest.parameters),
        until=moment(newest.until),
    )
