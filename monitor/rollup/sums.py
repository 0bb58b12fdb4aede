"""Sum the changes of a batch per series, level and bucket of time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from ..domain.records import (
    DAY_LEVEL,
    HOUR_LEVEL,
    LEVEL_STEP,
    MINUTE_LEVEL,
    REFERENCE_SEGMENT,
    LabelRow,
    PredictionRow,
    SeriesKey,
    counted_as_other,
)
from ..domain.segments import counted_segment
from ..domain.settings import Model, Revision
from ..domain.times import MINUTE
from ..stats.cells import Integers
from ..stats.entries import (
    Entries,
    Scored,
    added,
    expanded,
    joined,
    negated,
    of_answers,
    of_arrivals,
    of_classes,
    of_counts,
    of_outcomes,
)
from ..stats.regression import of_locations, of_measured
from ..stats.summary import MAX_CLASSES, decode_all, encode_all, gather
from ..stats.values import of_labelled_values, of_values
from ..store.payload import vectors_of
from ..store.rows import (
    answer_of,
    answered,
    is_undeclared_label,
    judged,
    measured,
    own_segments,
    scores_of,
    segments_of,
    truth_index,
    value_of,
)
from .join import Change

Target = tuple[int, ...]
"""A bucket: the position of its series in a list, its level and its beginning; for sums of clusters also the cluster's key."""

_HALF_BIT: Final = 1

_SERIES_SHIFT: Final = 34  # minutes since 1970 until past the year 9999

_LEVEL_SHIFT: Final = 60

_START_MASK: Final = (1 << _SERIES_SHIFT) - 1

_SERIES_MASK: Final = (1 << (_LEVEL_SHIFT - _SERIES_SHIFT)) - 1

_STEPS: Final = np.array([LEVEL_STEP[level] for level in (MINUTE_LEVEL, HOUR_LEVEL, DAY_LEVEL)])


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums per bucket."""

    series: list[SeriesKey]
    targets: list[Target]
    entries: Entries  # gathered; rows are positions in `targets`


def series_of(row: PredictionRow, revision: Revision) -> list[SeriesKey]:
    """Return the series of a prediction: the model as a whole, and one per declared segment or pair that it has a value for.

    A prediction of the validation set counts only in that set's own series.
    """
    if row.reference:
        return [row.series(REFERENCE_SEGMENT)]
    keys = [row.series()]
    if revision.segments and (row.segments or own_segments(revision.segments)):
        values = segments_of(row, revision.segments)
        others = counted_as_other(row.unnamed)
        segments = (counted_segment(declared, values, others) for declared in revision.segments)
        keys += [row.series(name) for name in segments if name is not None]
    return keys


def is_late(row: PredictionRow, label: LabelRow, revision: Revision) -> bool:
    """Return whether a label's own time is later than the declared delay allows."""
    return label.at is not None and revision.label_delay is not None and label.at - row.at > revision.label_delay


def in_half(row: PredictionRow, half_of: Mapping[str, bool]) -> bool:
    """Return whether an event is in the random half that sets the signs of the bounds: by cluster, else by id."""
    return bool(row.key & _HALF_BIT) if row.cluster is None else half_of[row.cluster]


def entries_of(
    changes: Sequence[Change],
    models: Mapping[int, Model],
    revisions: Mapping[tuple[int, int], Revision],
    half_of: Mapping[str, bool],
) -> Entries:
    """Return the entries that changes add to the sums; rows are positions of the changes."""
    after = [(i, change.row, change.after) for i, change in enumerate(changes) if change.after is not None]
    before = [(i, change.row, change.before) for i, change in enumerate(changes) if change.before is not None]
    return joined(
        [
            *_arrived([(i, change.row) for i, change in enumerate(changes) if change.fresh], models),
            *_answers([(i, change.row) for i, change in enumerate(changes) if change.fresh], models),
            *_labelled(after, models, revisions, half_of),
            *map(negated, _labelled(before, models, revisions, half_of)),
        ]
    )


def staked(
    changes: Sequence[Change], entries: Entries, models: Mapping[int, Model], half_of: Mapping[str, bool]
) -> Entries:
    """Return the entries that bets are made from: without the outcomes by labels of classes that were never declared."""
    undeclared: list[Scored] = []
    taken_back: list[Scored] = []
    for i, change in enumerate(changes):
        for label, scored in ((change.after, undeclared), (change.before, taken_back)):
            model = models[change.row.model_id]
            if label is not None and is_undeclared_label(model, change.row, label.label):
                half = in_half(change.row, half_of)
                scored += [Scored(i, half, *score) for score in judged(model, change.row, label.label)]
    if not undeclared and not taken_back:
        return entries
    return joined([entries, negated(of_outcomes(undeclared)), of_outcomes(taken_back)])


def _arrived(rows: list[tuple[int, PredictionRow]], models: Mapping[int, Model]) -> list[Entries]:
    if not rows:
        return []
    scores = [(i, kind, p) for i, row in rows for kind, p in scores_of(models[row.model_id], row)]
    values = [(i, value) for i, row in rows if (value := value_of(models[row.model_id], row)) is not None]
    parts = [of_counts([i for i, _ in rows], "events")]
    parts += [of_arrivals(*zip(*scores, strict=True))] if scores else []
    locations = [
        (i, row.p if row.raw is None else row.raw) for i, row in rows if models[row.model_id].task == "regression"
    ]
    parts += [of_locations(*zip(*locations, strict=True))] if locations else []
    return [*parts, of_values(*zip(*values, strict=True))] if values else parts


def _answers(rows: list[tuple[int, PredictionRow]], models: Mapping[int, Model]) -> list[Entries]:
    answers = [(i, answer) for i, row in rows if (answer := answer_of(models[row.model_id], row)) is not None]
    return [of_answers(*zip(*answers, strict=True))] if answers else []


def _labelled(
    labels: list[tuple[int, PredictionRow, LabelRow]],
    models: Mapping[int, Model],
    revisions: Mapping[tuple[int, int], Revision],
    half_of: Mapping[str, bool],
) -> list[Entries]:
    if not labels:
        return []
    scored: list[Scored] = []
    late: list[int] = []
    undeclared: list[int] = []
    for i, row, label in labels:
        half = in_half(row, half_of)
        scored += [Scored(i, half, *score) for score in judged(models[row.model_id], row, label.label)]
        if is_late(row, label, revisions[row.model_id, row.revision]):
            late.append(i)
        if is_undeclared_label(models[row.model_id], row, label.label):
            undeclared.append(i)
    counts = [of_counts([i for i, _, _ in labels], "labels"), of_counts(late, "late")]
    counts.append(of_counts(undeclared, "undeclared"))
    return [
        *counts,
        of_outcomes(scored),
        *_classwise(labels, models),
        *_of_values(labels, models, half_of),
        *_of_measured(labels, models, half_of),
    ]


def _of_measured(
    labels: list[tuple[int, PredictionRow, LabelRow]], models: Mapping[int, Model], half_of: Mapping[str, bool]
) -> list[Entries]:
    errors = [
        (i, in_half(row, half_of), error)
        for i, row, label in labels
        if (error := measured(models[row.model_id], row, label.label)) is not None
    ]
    return [of_measured(*zip(*errors, strict=True))] if errors else []


def _of_values(
    labels: list[tuple[int, PredictionRow, LabelRow]], models: Mapping[int, Model], half_of: Mapping[str, bool]
) -> list[Entries]:
    values = []
    for i, row, label in labels:
        value = value_of(models[row.model_id], row)
        y = None if value is None else answered(models[row.model_id], row, label.label)
        if value is not None and y is not None:
            values.append((i, value, y, in_half(row, half_of)))
    return [of_labelled_values(*zip(*values, strict=True))] if values else []


def _classwise(labels: list[tuple[int, PredictionRow, LabelRow]], models: Mapping[int, Model]) -> list[Entries]:
    by_model: dict[tuple[int, int], list[tuple[int, list[float], int]]] = {}
    for i, row, label in labels:
        model = models[row.model_id].as_of(row.revision)
        if model.task != "multiclass" or model.classes is None or len(model.classes) > MAX_CLASSES:
            continue
        truth = truth_index(model, row, label.label)
        if truth is not None:
            by_model.setdefault((model.id, len(model.classes)), []).append(
                (i, vectors_of(row, model.classes)[0], truth)
            )
    return [
        of_classes([i for i, _, _ in rows], [vector for _, vector, _ in rows], [truth for _, _, truth in rows])
        for rows in by_model.values()
    ]


def sums_of(
    changes: Sequence[Change],
    entries: Entries,
    revisions: Mapping[tuple[int, int], Revision],
    minutes_from: Mapping[int, int],
) -> Sums:
    """Return the entries of changes, summed per series, level and bucket.

    Hours and days are always summed; minutes only of traffic, where minute rollups are kept.
    """
    if not changes:
        return Sums([], [], entries)
    at = np.array([change.row.at for change in changes], dtype=np.int64)
    kept_from = np.array([minutes_from[change.row.model_id] for change in changes], dtype=np.int64)
    series, counts, places = series_of_all([change.row for change in changes], revisions)
    traffic = np.array([not change.row.reference for change in changes])
    level = np.where(traffic & (at >= kept_from), MINUTE_LEVEL, HOUR_LEVEL)
    pairs = _keys(np.repeat(level, counts), places, np.repeat(at, counts))
    finest, targets = np.unique(pairs, return_inverse=True)
    sums = gather(*expanded(entries, counts, targets))
    hours, hour_sums = _coarser(HOUR_LEVEL, finest, sums)
    days, day_sums = _coarser(DAY_LEVEL, hours, hour_sums)
    minutes = int(np.searchsorted(finest, HOUR_LEVEL << _LEVEL_SHIFT))
    minute_sums = _first(sums, minutes)
    keys = np.concatenate([finest[:minutes], hours, days])
    offsets = (0, minutes, minutes + len(hours))
    return Sums(series, _targets(keys), _stacked(zip(offsets, (minute_sums, hour_sums, day_sums), strict=True)))


def series_of_all(
    rows: Sequence[PredictionRow], revisions: Mapping[tuple[int, int], Revision]
) -> tuple[list[SeriesKey], Integers, Integers]:
    """Return the series, the number of series of each row, and their positions, row after row."""
    series: dict[SeriesKey, int] = {}
    known: dict[tuple[object, ...], list[int]] = {}
    parts = []
    for row in rows:
        revision = revisions[row.model_id, row.revision]
        own = segments_of(row, revision.segments).items() if own_segments(revision.segments) else ()
        sent = (row.version, row.calibrator, row.segments, row.reference, row.unnamed)
        alike = (row.model_id, row.revision, *sent, *own)
        places = known.get(alike)
        if places is None:
            keys = series_of(row, revision)
            places = known[alike] = [series.setdefault(key, len(series)) for key in keys]
        parts.append(places)
    counts = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    return list(series), counts, np.fromiter(chain.from_iterable(parts), dtype=np.int64)


def _keys(level: Integers, series: Integers, at: Integers) -> Integers:
    """Return buckets as single integers, in the order of level, series and time."""
    start = at - at % _STEPS[level]
    keys: Integers = (level << _LEVEL_SHIFT) | (series << _SERIES_SHIFT) | (start // MINUTE)
    return keys


def _coarser(level: int, finer: Integers, sums: Entries) -> tuple[Integers, Entries]:
    """Return the buckets of a level that contain finer ones, and their sums; buckets of that level stay."""
    series = (finer >> _SERIES_SHIFT) & _SERIES_MASK
    start = (finer & _START_MASK) * MINUTE
    keys, parents = np.unique(_keys(np.full_like(finer, level), series, start), return_inverse=True)
    rows, slots, values = sums
    return keys, gather(parents[rows], slots, values)


def _first(sums: Entries, count: int) -> Entries:
    rows, slots, values = sums
    end = int(np.searchsorted(rows, count))
    return rows[:end], slots[:end], values[:end]


def _stacked(parts: Iterable[tuple[int, Entries]]) -> Entries:
    """Return entries concatenated, the rows of each part shifted by its offset."""
    rows, slots, values = zip(*((rows + offset, slots, values) for offset, (rows, slots, values) in parts), strict=True)
    return np.concatenate(rows), np.concatenate(slots), np.concatenate(values)


def _targets(keys: Integers) -> list[Target]:
    series = ((keys >> _SERIES_SHIFT) & _SERIES_MASK).tolist()
    starts = ((keys & _START_MASK) * MINUTE).tolist()
    return list(zip(series, (keys >> _LEVEL_SHIFT).tolist(), starts, strict=True))


def merged(sums: Sums, stored: Mapping[Target, bytes]) -> list[bytes]:
    """Return the encoded summaries of all buckets, stored sums included, in the order of the targets."""
    count = len(sums.targets)
    if not stored:
        return encode_all(count, *sums.entries)
    places = np.array([i for i, target in enumerate(sums.targets) if target in stored], dtype=np.int64)
    blobs = [stored[target] for target in sums.targets if target in stored]
    rows, slots, values = decode_all(blobs)
    return encode_all(count, *added(sums.entries, (places[rows], slots, values)))
