"""Evaluate the newest windows of every version and segment of a model, and store evaluations and drift."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs
from sqlalchemy import Connection

from ..domain.drift import FITTED_ON, FIXED, TRAILING, Drift, ReferenceKind
from ..domain.evaluations import Evaluation, Flag
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
from ..windows.drift import Reference, drift
from ..windows.evaluation import Asked, Question, evaluations_of
from ..windows.onset import dated
from ..windows.ranges import Range, widened
from ..windows.remedies import Breach, is_pending, remedies, with_remedy
from ..windows.rows import of_version
from ..windows.sums import Place, at_place, in_parts
from ..windows.verdicts import Standing

ByPlace = Mapping[Place, Summary]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A window to evaluate now, and the range that it is compared with."""

    window: str
    now: Range
    other: Range  # of an evaluation: just before, for the signs of the bound; of drift: the reference
    reference: Reference | None = None  # of drift


def comparisons(clock: Clocked) -> Iterator[Comparison]:
    """Yield the newest matured window of each length, to evaluate, and the newest one, whose drift needs no labels."""
    for window in clock.model.settings.windows:
        length = parse_duration("window", window)
        if clock.matured_until is not None:
            now = widened(clock.matured_until - length, clock.matured_until, clock.progress.minutes_from)
            yield Comparison(window=window, now=now, other=_before(now))
        if clock.newest_end is not None:
            now = widened(clock.newest_end - length, clock.newest_end, clock.progress.minutes_from)
            reference = reference_of(clock, *now)
            other = reference.start, reference.end
            yield Comparison(window=window, now=now, other=other, reference=reference)


def reference_of(clock: Clocked, start: int, end: int) -> Reference:
    """Return the reference of a range: the declared range, what the champion was fitted on, or the equally long range just before.

    The range just before also serves where the champion's range is declared and there is no champion. Validation sets are left to
    `baseline.compared_with`.
    """
    declared = clock.model.settings.reference
    kind: ReferenceKind
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
    """Return evaluations and drift of every version and segment of a model; where several versions serve, also of all together."""
    asked, standing = list(comparisons(clock)), Standing.read(connection, clock)
    validated = baseline.of_versions(connection, clock.model) if baseline.may_be_reference(clock) else {}
    evaluated: list[_Evaluated] = []
    drifts: list[Stored] = []
    for sums in in_parts(connection, clock.model, {over for one in asked for over in (one.now, one.other)}):
        evaluated += _evaluated(clock, asked, sums, standing)
        drifts += _drifts(clock, asked, sums, validated)
    judged = _flagged(clock.model, evaluated, standing)
    return [
        *(
            _stored(clock, one.window, one.place, _dated(connection, clock, one))
            for one in _with_remedies(connection, clock, judged)
        ),
        *drifts,
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluated:
    """The evaluation of a window of one version and segment."""

    window: str
    place: Place
    evaluation: Evaluation
    breach: Breach | None  # where it is off


def _evaluated(
    clock: Clocked, asked: Sequence[Comparison], sums: Mapping[Range, ByPlace], standing: Standing
) -> Iterator[_Evaluated]:
    """Yield the evaluations of some segments; computing all windows together costs least."""
    wanted = [
        (one.window, place, Asked(_question(clock, place, one.now), summary, at_place(sums[one.other], place)))
        for one in asked
        if one.reference is None
        for place, summary in {**sums[one.now], **_together(sums[one.now])}.items()
    ]
    evaluated = evaluations_of([question for *_, question in wanted])
    for (window, place, (_, summary, previous)), evaluation in zip(wanted, evaluated, strict=True):
        flag = None
        if segments.declared(clock.model, place[1]):
            log_e = segments.worthwhile(clock.model, evaluation, summary, previous)
            flag = Flag(e_value_log=log_e, flagged=False)
        told = standing.judged(structs.replace(evaluation, flag=flag))
        breach = Breach.of(clock.model, told, summary) if is_pending(told) else None
        yield _Evaluated(window=window, place=place, evaluation=told, breach=breach)


def _flagged(model: Model, evaluated: Sequence[_Evaluated], standing: Standing) -> list[_Evaluated]:
    """Return evaluations with the flags of segments, judged among all segments of the same version and window."""
    groups: dict[tuple[str, str], list[tuple[_Evaluated, Flag]]] = {}
    for one in evaluated:
        if one.evaluation.flag is not None:
            groups.setdefault((one.place[0], one.window), []).append((one, one.evaluation.flag))
    judged = [one for one in evaluated if one.evaluation.flag is None]
    for group in groups.values():
        flags = segments.flags(model, [flag.e_value_log for _, flag in group])
        for (one, flag), flagged in zip(group, flags, strict=True):
            told = structs.replace(one.evaluation, flag=structs.replace(flag, flagged=flagged))
            judged.append(replace(one, evaluation=standing.judged(told)))
    return judged


def _with_remedies(connection: Connection, clock: Clocked, judged: Sequence[_Evaluated]) -> Iterator[_Evaluated]:
    """Yield evaluations, those that are off with what to do about them."""
    breaches = {number: one.breach for number, one in enumerate(judged) if one.breach is not None}
    advice = dict(zip(breaches, remedies(connection, clock, [*breaches.values()]), strict=True))
    for number, one in enumerate(judged):
        yield replace(one, evaluation=with_remedy(one.evaluation, advice[number])) if number in advice else one


def _dated(connection: Connection, clock: Clocked, one: _Evaluated) -> Evaluation:
    """Return the evaluation of a window with when it began to be off; of segments, of which there may be many, as it is."""
    evaluation = one.evaluation
    return evaluation if evaluation.segment else dated(connection, clock, evaluation, of_version(evaluation.version))


def _drifts(
    clock: Clocked, asked: Sequence[Comparison], sums: Mapping[Range, ByPlace], validated: Mapping[str, Validation]
) -> Iterator[Stored]:
    """Yield the drift of some segments from their references."""
    nothing = Summary.of([])
    for one in asked:
        if one.reference is None:
            continue
        for place, summary in sums[one.now].items():
            before, reference = sums[one.other].get(place, nothing), one.reference
            if place[1] == "":
                reference, before = baseline.compared_with(clock, validated.get(place[0]), reference, before)
            yield _stored(clock, one.window, place, drift(_question(clock, place, one.now), summary, before, reference))


def _together(sums: ByPlace) -> dict[Place, Summary]:
    """Return the sums of each segment over all versions, where several serve."""
    versions = Counter(segment for _, segment in sums)
    return {
        place: total
        for segment, count in versions.items()
        if count > 1 and (total := at_place(sums, place := (ALL_VERSIONS, segment))) is not None
    }


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


def _stored(clock: Clocked, window: str, place: Place, result: Evaluation | Drift) -> Stored:
    version, segment = place
    return Stored(model_id=clock.model.id, version=version, segment=segment, window=window, result=result)


def make_maps(database: Database, token: int, model: Model, now: int) -> None:
    """Fit the maps that convert values to probabilities, once there is enough data for them."""
    with database.read() as connection:
        made = value_maps.due(connection, clocked(connection, model, now))
    if made:
        with database.write(patient=True) as connection:
            hold(connection, token)
            mappings.put(connection, made, now)


def evaluate_model(database: Database, token: int, model: Model, now: int) -> int:
    """Evaluate one model; return the number of results that were stored."""
    if model.task == "confidence":
        make_maps(database, token, model, now)
    with database.read() as connection:
        rows = figures(connection, clocked(connection, model, now))
    with database.write(patient=True) as connection:
        hold(connection, token)
        evaluations.save(connection, rows, now)
        evaluations.retain(connection, model.id, [(row.version, row.segment, row.window, row.kind) for row in rows])
    return len(rows)
