"""Turn changes of predictions into sums per series, level and time bucket."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from monitor.join import Change
from monitor.outcomes import judged, scores_of, truth_index, vectors_of
from monitor.records import (
    DAY_LEVEL,
    HOUR_LEVEL,
    LEVEL_STEP,
    MINUTE_LEVEL,
    LabelRow,
    Model,
    PredictionRow,
    Revision,
    SeriesKey,
)
from monitor.stats import entries as of
from monitor.stats.cells import Integers
from monitor.stats.entries import Entries, Scored
from monitor.stats.summary import MAX_CLASSES, Kind, decode, encode, gather
from monitor.times import floor

Target = tuple[SeriesKey, int, int]
"""A series, a level and a bucket's beginning."""

_HALF_BIT: Final = 1


def series_of(row: PredictionRow, revision: Revision) -> list[SeriesKey]:
    """Return the series that a prediction counts in: the model as a whole, and its value of each declared segment."""
    calibrator = row.calibrator or 0
    keys = [SeriesKey(row.model_id, row.version, calibrator, "")]
    if revision.segments and row.segments:
        values = msgspec.json.decode(row.segments, type=dict[str, str])
        keys += [
            SeriesKey(row.model_id, row.version, calibrator, f"{key}:{values[key]}")
            for key in revision.segments
            if key in values
        ]
    return keys


def is_late(row: PredictionRow, label: LabelRow, revision: Revision) -> bool:
    """Return whether a label came later than declared, by its own time."""
    return label.at is not None and revision.label_delay is not None and label.at - row.at > revision.label_delay


def in_half(row: PredictionRow, half_of: Mapping[str, bool]) -> bool:
    """Return whether an event is in the random half that bounds take their signs from: by cluster, else by id."""
    return bool(row.key & _HALF_BIT) if row.cluster is None else half_of[row.cluster]


def entries_of(
    changes: Sequence[Change],
    models: Mapping[int, Model],
    revisions: Mapping[tuple[int, int], Revision],
    half_of: Mapping[str, bool],
) -> Entries:
    """Return what changes add to the sums; rows are the changes' positions."""
    fresh = [i for i, change in enumerate(changes) if change.fresh]
    arrivals = [(i, kind, p) for i in fresh for kind, p in scores_of(changes[i].row)]
    parts = [of.of_counts(fresh, "events"), _arrivals(arrivals)]
    for sign, labels in (
        (1, [(i, c.row, c.after) for i, c in enumerate(changes) if c.after is not None]),
        (-1, [(i, c.row, c.before) for i, c in enumerate(changes) if c.before is not None]),
    ):
        if labels:
            added = _labelled(labels, models, revisions, half_of)
            parts.append(added if sign > 0 else of.negated(added))
    return of.joined(parts)


def _arrivals(arrivals: list[tuple[int, Kind, float]]) -> Entries:
    return of.of_arrivals([a[0] for a in arrivals], [a[1] for a in arrivals], [a[2] for a in arrivals])


def _labelled(
    labels: list[tuple[int, PredictionRow, LabelRow]],
    models: Mapping[int, Model],
    revisions: Mapping[tuple[int, int], Revision],
    half_of: Mapping[str, bool],
) -> Entries:
    scored: list[Scored] = []
    late: list[int] = []
    for i, row, label in labels:
        half = in_half(row, half_of)
        scored += [
            Scored(event=i, kind=kind, p=p, y=y, half=half, log_loss=loss, clipped=clipped, brier=brier)
            for kind, p, y, loss, clipped, brier in judged(models[row.model_id], row, label.label)
        ]
        if is_late(row, label, revisions[row.model_id, row.revision]):
            late.append(i)
    parts = [of.of_counts([i for i, _, _ in labels], "labels"), of.of_counts(late, "late"), of.of_outcomes(scored)]
    return of.joined(parts + _classwise(labels, models))


def _classwise(labels: list[tuple[int, PredictionRow, LabelRow]], models: Mapping[int, Model]) -> list[Entries]:
    by_model: dict[int, list[tuple[int, list[float], int]]] = {}
    for i, row, label in labels:
        model = models[row.model_id]
        if model.task != "multiclass" or model.classes is None or len(model.classes) > MAX_CLASSES:
            continue
        truth = truth_index(model, label.label)
        if truth is not None:
            by_model.setdefault(model.id, []).append((i, vectors_of(row, model.classes)[0], truth))
    return [
        of.of_classes([i for i, _, _ in rows], [vector for _, vector, _ in rows], [truth for _, _, truth in rows])
        for rows in by_model.values()
    ]


def sums_of(
    changes: Sequence[Change],
    entries: Entries,
    revisions: Mapping[tuple[int, int], Revision],
    minutes_from: Mapping[int, int],
) -> dict[Target, tuple[Integers, Integers]]:
    """Return the changes' entries added up per series, level and bucket: (slots, values), slots ascending.

    Minutes are summed where minute rollups are kept, hours and days always.
    """
    finest: dict[Target, int] = {}
    targets = []
    for change in changes:
        row = change.row
        level = MINUTE_LEVEL if row.at >= minutes_from[row.model_id] else HOUR_LEVEL
        start = floor(row.at, LEVEL_STEP[level])
        keys = series_of(row, revisions[row.model_id, row.revision])
        targets.append([finest.setdefault((key, level, start), len(finest)) for key in keys])
    rows, slots, values = gather(*of.expanded(entries, targets))
    found = dict(_split(list(finest), rows, slots, values))
    for level in (MINUTE_LEVEL, HOUR_LEVEL):
        found |= _parents(found, level)
    return found


def _parents(sums: Mapping[Target, tuple[Integers, Integers]], level: int) -> dict[Target, tuple[Integers, Integers]]:
    """Return the next coarser level's sums, those already there included."""
    coarser = level + 1
    step = LEVEL_STEP[coarser]
    index: dict[Target, int] = {}
    rows, slots, values = [], [], []
    for (key, at_level, start), (s, v) in sums.items():
        if at_level == level or at_level == coarser != DAY_LEVEL:
            row = index.setdefault((key, coarser, floor(start, step)), len(index))
            rows.append(np.full(len(s), row, dtype=np.int64))
            slots.append(s)
            values.append(v)
    if not rows:
        return {}
    return dict(_split(list(index), *gather(np.concatenate(rows), np.concatenate(slots), np.concatenate(values))))


def merged(sums: Mapping[Target, tuple[Integers, Integers]], stored: Mapping[Target, bytes]) -> dict[Target, bytes]:
    """Return the encoded summaries of the buckets once the sums are added to what is stored."""
    targets = list(sums)
    rows, slots, values = [], [], []
    for i, target in enumerate(targets):
        parts = [sums[target]] + ([decode(stored[target])] if target in stored else [])
        for s, v in parts:
            rows.append(np.full(len(s), i, dtype=np.int64))
            slots.append(s)
            values.append(v)
    if not rows:
        return {}
    total = gather(np.concatenate(rows), np.concatenate(slots), np.concatenate(values))
    result = dict.fromkeys(targets, b"")
    result.update({target: encode(s, v) for target, (s, v) in _split(targets, *total)})
    return result


def _split(
    targets: list[Target], rows: Integers, slots: Integers, values: Integers
) -> Iterable[tuple[Target, tuple[Integers, Integers]]]:
    """Yield each target's part of gathered entries."""
    bounds = np.searchsorted(rows, np.arange(len(targets) + 1)).tolist()
    for i, target in enumerate(targets):
        first, last = bounds[i], bounds[i + 1]
        if last > first:
            yield target, (slots[first:last], values[first:last])
