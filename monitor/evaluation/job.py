"""Evaluate: the newest window of every version and segment of every model, to stored figures."""

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from sqlalchemy import Connection

from ..domain.settings import Model
from ..domain.times import parse_duration
from ..stats.summary import Summary
from ..store import evaluations, mappings
from ..store.engine import Database
from ..store.evaluations import ALL_VERSIONS, Stored
from ..store.lease import hold
from ..windows import baseline, segments, value_maps
from ..windows.baseline import Validation
from ..windows.clock import Clocked, clocked
from ..windows.ranges import Range, widened
from ..windows.scores import FITTED_ON, FIXED, TRAILING, Question, Reference, drift, evaluations_of, finite
from ..windows.sums import Place, in_parts

Sums = Mapping[Place, Summary]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A window that is to be evaluated now, and the range that it is compared with."""

    kind: str  # calibration or drift
    window: str
    now: Range
    other: Range  # of calibration: just before, for the signs of the bound; of drift: the reference
    reference: Reference | None = None  # of drift


def comparisons(clock: Clocked) -> Iterator[Comparison]:
    """Yield what is to be evaluated: of each window the newest matured one, and the newest one, whose scores need no labels."""
    for window in clock.model.settings.windows:
        length = parse_duration("window", window)
        if clock.matured_until is not None:
            now = widened(clock.matured_until - length, clock.matured_until, clock.progress.minutes_from)
            yield Comparison(kind="calibration", window=window, now=now, other=_before(now))
        if clock.newest_end is not None:
            now = widened(clock.newest_end - length, clock.newest_end, clock.progress.minutes_from)
            found = reference_of(clock, *now)
            yield Comparison(kind="drift", window=window, now=now, other=(found.start, found.end), reference=found)


def reference_of(clock: Clocked, start: int, end: int) -> Reference:
    """Return what scores are compared with: the declared range, what the champion was fitted on, or the equally long range just before.

    Where the champion is declared and there is none, the range just before; `compared_with` knows of validation sets.
    """
    declared = clock.model.settings.reference
    if isinstance(declared, tuple):
        kind, over = FIXED, declared
    elif isinstance(clock.fitted_on, tuple):
        kind, over = FITTED_ON, clock.fitted_on
    else:
        kind, over = TRAILING, _before((start, end))
    first, last = widened(*over, clock.progress.minutes_from)
    return Reference(kind=kind, start=max(0, first), end=max(0, last))


def _before(now: Range) -> Range:
    return 2 * now[0] - now[1], now[0]


def figures(connection: Connection, clock: Clocked) -> list[Stored]:
    """Return the figures of every version and segment of a model, and where several versions serve, of all of them together."""
    asked = list(comparisons(clock))
    parts = in_parts(connection, clock.model, {each for one in asked for each in (one.now, one.other)})
    validated = baseline.of_versions(connection, clock.model) if baseline.may_be_reference(clock) else {}
    return _flagged(clock.model, [row for sums in parts for row in _compare(clock, asked, sums, validated)])


def _flagged(model: Model, rows: Sequence[Stored]) -> list[Stored]:
    """Return all figures, those of segments with whether they are flagged among the segments of their version and window."""
    groups: dict[tuple[str, str], list[Stored]] = {}
    for row in rows:
        if "e_value_log" in row.fields:
            groups.setdefault((row.version, row.window), []).append(row)
    found = [row for row in rows if "e_value_log" not in row.fields]
    for group in groups.values():
        fields = segments.flagged(model, [row.fields for row in group])
        found += [replace(row, fields=each) for row, each in zip(group, fields, strict=True)]
    return found


def _compare(
    clock: Clocked, asked: Sequence[Comparison], sums: Mapping[Range, Sums], validated: Mapping[str, Validation]
) -> Iterator[Stored]:
    """Yield the figures of some segments: the evaluations of all windows together, which costs least, then drift."""
    wanted = [
        (one, place, (_question(clock, place, one.now), summary, _before_of(place, sums[one.other])))
        for one in asked
        if one.reference is None
        for place, summary in {**sums[one.now], **_together(sums[one.now])}.items()
    ]
    for (one, place, part), fields in zip(wanted, evaluations_of([part for *_, part in wanted]), strict=True):
        if segments.declared(clock.model, place[1]):
            fields["e_value_log"] = segments.worthwhile(clock.model, fields, *part[1:])
        yield _stored(clock, one, place, fields)
    nothing = Summary.of([])
    for one in asked:
        if one.reference is not None:
            for place, summary in sums[one.now].items():
                before, reference = sums[one.other].get(place, nothing), one.reference
                if place[1] == "":
                    reference, before = baseline.compared_with(clock, validated.get(place[0]), reference, before)
                found = drift(_question(clock, place, one.now), summary, before, reference)
                yield _stored(clock, one, place, found)


def _before_of(place: Place, other: Sums) -> Summary | None:
    version, segment = place
    return _all_versions(other, segment) if version == ALL_VERSIONS else other.get(place)


def _together(sums: Sums) -> dict[Place, Summary]:
    """Return the sums of each segment over all versions, where there are several."""
    versions = Counter(segment for _, segment in sums)
    return {
        (ALL_VERSIONS, segment): total
        for segment, count in versions.items()
        if count > 1 and (total := _all_versions(sums, segment)) is not None
    }


def _all_versions(sums: Sums, segment: str) -> Summary | None:
    found = [summary for (_, each), summary in sums.items() if each == segment]
    return reduce(operator.add, found) if found else None


def _question(clock: Clocked, place: Place, now: Range) -> Question:
    version, segment = place
    start, end = now
    return Question(
        model=clock.model,
        version=None if version == ALL_VERSIONS else version,
        segment=segment,
        start=start,
        end=end,
        matured=clock.matured_until is not None and end <= clock.matured_until,
    )


def _stored(clock: Clocked, asked: Comparison, place: Place, fields: dict[str, Any]) -> Stored:
    version, segment = place
    return Stored(
        model_id=clock.model.id,
        version=version,
        segment=segment,
        window=asked.window,
        kind=asked.kind,
        end=asked.now[1],
        fields=finite(fields),
    )


def make_maps(database: Database, token: int, model: Model, now: int) -> None:
    """Make the maps by which values that are no probabilities are read, once there is enough to make them of."""
    with database.read() as connection:
        made = value_maps.due(connection, clocked(connection, model, now))
    if made:
        with database.write(patient=True) as connection:
            hold(connection, token)
            mappings.add(connection, made, now)


def evaluate_model(database: Database, token: int, model: Model, now: int) -> int:
    """Evaluate one model; return how many figures were stored."""
    if model.task == "confidence":
        make_maps(database, token, model, now)
    with database.read() as connection:
        rows = figures(connection, clocked(connection, model, now))
    with database.write(patient=True) as connection:
        hold(connection, token)
        evaluations.save(connection, rows, now)
        evaluations.retain(connection, model.id, [(row.version, row.segment, row.window, row.kind) for row in rows])
    return len(rows)
