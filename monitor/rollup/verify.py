"""Recompute a model's rollups from its event rows, and list the differences.

This deliberately shares no code with the roll-up: plain integers in dictionaries, one event after another, no arrays.
Common to both are only the meaning of an event (its outcome and losses) and the layout of a summary.
"""

import hashlib
import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec
from sqlalchemy import Connection

from ..domain.records import (
    DAY_LEVEL,
    HOUR_LEVEL,
    LEVEL_STEP,
    MINUTE_LEVEL,
    OTHER,
    REFERENCE_SEGMENT,
    LabelRow,
    PredictionRow,
    Progress,
    SeriesKey,
    counted_as_other,
)
from ..domain.settings import CLASS, Model, Revision
from ..domain.times import DAY, LATEST, MINUTE, SECOND, floor, rfc3339
from ..stats.cells import CELLS, EDGES, SIXTIETHS
from ..stats.summary import (
    AMOUNT_CHUNKS,
    CELL_FIELDS,
    MAX_CLASSES,
    ONE,
    PIT_CELLS,
    VALUES,
    Kind,
    amount_slot,
    cell_slot,
    class_slot,
    decode,
    location_slot,
    loss_slot,
    pit_slot,
    predicted_slot,
    slot_name,
    stated_slot,
    total_slot,
    value_slot,
)
from ..store import clusters, counters, events, models, rollups, sequential
from ..store.clusters import Cluster, ClusterKey
from ..store.payload import payload_of, vectors_of
from ..store.rows import (
    OWN_SEGMENTS,
    answered,
    is_undeclared_label,
    judged,
    measured,
    own_values,
    scores_of,
    truth_index,
    value_of,
)
from ..store.standing import standing_labels
from .misread import misread

CHUNK: Final = 2000
TEN_SECONDS: Final = 10 * SECOND
TWO_DAYS: Final = 2 * DAY
MOST_REPEATS: Final = 20
"""Events stored twice that are listed at most."""

LEVEL_NAME: Final = {MINUTE_LEVEL: "minute", HOUR_LEVEL: "hour", DAY_LEVEL: "day"}

Bucket = tuple[SeriesKey, int, int]
"""A series, a level and a beginning."""

Term = tuple[int, int]
"""A slot, and the amount that one event adds to it."""

_EDGES: Final[list[float]] = EDGES.tolist()
_PIT_EDGES: Final = [i / PIT_CELLS for i in range(PIT_CELLS + 1)]
_CLASS_EDGES: Final = [i / SIXTIETHS for i in range(SIXTIETHS + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A sum whose stored and recomputed values differ."""

    series: SeriesKey | None  # None: the model as a whole
    level: int | None
    bucket: int | None
    what: str  # a slot, or a count of the model
    stored: str
    recomputed: str

    def __str__(self) -> str:
        return f"{self._place()}{self.what}: stored {self.stored}, rows give {self.recomputed}"

    def _place(self) -> str:
        if self.series is None or self.level is None or self.bucket is None:
            return ""
        named = [f"version {self.series.version or 'none'}", f"calibrator {self.series.calibrator or 'none'}"]
        named += [f"segment {self.series.segment}"] if self.series.segment else []
        return f"{', '.join(named)}, {LEVEL_NAME[self.level]} {rfc3339(self.bucket)}: "


@dataclass(slots=True)
class _Recomputed:
    """The sums of all rows."""

    buckets: dict[Bucket, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    cohorts: dict[str, dict[Bucket, Counter[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    clusters: dict[str, dict[Bucket, Counter[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )
    predictions: int = 0
    labels: int = 0
    undeclared: int = 0


@dataclass(frozen=True, slots=True)
class _Settings:
    """The inputs to a model's sums other than its rows."""

    model: Model
    revisions: Mapping[tuple[int, int], Revision]
    minutes_from: int
    taken_until: int  # cohorts due by this are tested, so that their sums are gone
    clusters: Mapping[ClusterKey, Cluster]  # as they are stored: when they opened depends on the order of arrival
    secret: bytes


def differences_of(connection: Connection, model: Model) -> list[Difference]:
    """Return the differences between a model's stored rollups and its rows, which should be read in one snapshot.

    Memory grows with the number of buckets, not with the number of events.
    """
    progress = models.progress_of(connection, [model.id])[model.id]
    settings = _Settings(
        model,
        models.revisions(connection, [model.id]),
        progress.minutes_from or 0,
        progress.taken_until or 0,
        clusters.of_model(connection, model.id),
        events.hash_key(connection),
    )
    rows = _Recomputed()
    values: list[Difference] = []
    for row, label in _labelled(connection, model):
        _add(rows, settings, row, label)
        values += [_difference(None, *value) for value in misread(row, model.classes)]
    return [
        *values,
        *_counts(progress, rows, sum(counters.undeclared(connection).get(model.id, {}).values())),
        *_repeats(connection, model),
        *_buckets(rollups.everything(connection, model.id), rows.buckets),
        *_waiting(_stored_cohorts(connection, model, settings), rows.cohorts),
        *_waiting(_stored_clusters(settings), rows.clusters),
    ]


def _stored_cohorts(connection: Connection, model: Model, settings: _Settings) -> dict[str, dict[Bucket, bytes]]:
    series = {number: key for key, number in rollups.every_series(connection, model.id).items()}
    stored: dict[str, dict[Bucket, bytes]] = defaultdict(dict)
    for waiting in sequential.due(connection, list(series), LATEST, LATEST):
        if waiting.due > settings.taken_until:
            stored[_cohort_name(waiting.due)][series[waiting.series], MINUTE_LEVEL, waiting.bucket] = waiting.summary
    return stored


def _stored_clusters(settings: _Settings) -> dict[str, dict[Bucket, bytes]]:
    """Return the sums to be bet on of the clusters that were not taken yet."""
    stored: dict[str, dict[Bucket, bytes]] = defaultdict(dict)
    for key, cluster in settings.clusters.items():
        if cluster.due > settings.taken_until and cluster.summary:
            stored[_cluster_name(key.key)][_place(key, cluster)] = cluster.summary
    return stored


def _place(key: ClusterKey, cluster: Cluster) -> Bucket:
    return SeriesKey(key.model_id, key.version, 0, key.segment), MINUTE_LEVEL, floor(cluster.opened, MINUTE)


def _cohort_name(due: int) -> str:
    return f"cohort due {rfc3339(due)}"


def _cluster_name(key: int) -> str:
    return f"cluster {key:016x}"


def _labelled(connection: Connection, model: Model) -> Iterator[tuple[PredictionRow, LabelRow | None]]:
    for chunk in events.scan(connection, model.id, chunk=CHUNK, reference=None):
        yield from zip(chunk, standing_labels(connection, model, chunk), strict=True)


def _add(rows: _Recomputed, settings: _Settings, row: PredictionRow, label: LabelRow | None) -> None:
    terms = _arrival(settings.model, row) + ([] if label is None else _outcome(settings, row, label))
    terms += _answer(settings.model, row)
    rows.predictions += not row.reference
    rows.labels += label is not None and not row.reference
    for series in _series(settings, row):
        for level, step in LEVEL_STEP.items():
            if level != MINUTE_LEVEL or (row.at >= settings.minutes_from and not row.reference):
                bucket = rows.buckets[series, level, floor(row.at, step)]
                for slot, value in terms:
                    bucket[slot] += value
    is_undeclared = label is not None and is_undeclared_label(settings.model, row, label.label)
    rows.undeclared += is_undeclared
    if not row.reference and not row.is_of_other_version:
        staked = [*_arrival(settings.model, row), (total_slot("labels"), 1)] if is_undeclared else terms
        _add_waiting(rows, settings, row, staked, label)


def _add_waiting(
    rows: _Recomputed, settings: _Settings, row: PredictionRow, terms: list[Term], label: LabelRow | None
) -> None:
    """Add an event to what waits for the sequential tests: of its version, its segments, and classes with thresholds."""
    parts = [(series, terms) for series in _series(settings, row)]
    parts += [
        (row.series(CLASS + name), _terms_of_class(settings.model, row, label, index))
        for index, name in _classes(settings, row)
    ]
    for series, own in parts:
        waiting = _waiting_in(rows, settings, row, series)
        if waiting is not None:
            for slot, value in own:
                waiting[slot] += value if _is_counted(slot) else 0


def _classes(settings: _Settings, row: PredictionRow) -> list[tuple[int, str]]:
    """Return index and name of the classes that had a threshold when an event came."""
    names = (settings.model.as_of(row.revision).classes or ()) if settings.model.task == "multiclass" else ()
    if len(names) > MAX_CLASSES:
        return []
    wanted = settings.revisions[row.model_id, row.revision].classes
    return [(index, name) for index, name in enumerate(names) if name in wanted]


def _terms_of_class(model: Model, row: PredictionRow, label: LabelRow | None, index: int) -> list[Term]:
    """Return what an event adds to the sums of one class, which is a binary question."""
    p = vectors_of(row, model.classes)[0][index]
    terms = [
        (total_slot("events"), 1),
        (cell_slot("both", _cell(p), "en"), 1),
        (cell_slot("both", _cell(p), "esp"), _fixed(p)),
    ]
    if label is None:
        return terms
    truth = truth_index(model, row, label.label)
    told = [] if truth is None else _cell_terms("both", p, int(truth == index), half=False)
    return [*terms, (total_slot("labels"), 1), *told]


def _waiting_in(rows: _Recomputed, settings: _Settings, row: PredictionRow, series: SeriesKey) -> Counter[int] | None:
    """Return the sums that an event adds to in one series, while they wait for the sequential tests."""
    if row.cluster is None:
        due = max(row.at, row.received_at)
        due += -due % TEN_SECONDS
        if due <= settings.taken_until:
            return None
        step = LEVEL_STEP[HOUR_LEVEL if due - row.at > TWO_DAYS else MINUTE_LEVEL]
        return rows.cohorts[_cohort_name(due)][series, MINUTE_LEVEL, floor(row.at, step)]
    digest = hashlib.blake2b(row.cluster.encode(), digest_size=8, key=settings.secret).digest()
    key = ClusterKey(row.model_id, row.version, series.segment, int.from_bytes(digest, "little") // 2)
    cluster = settings.clusters.get(key)
    if cluster is None or cluster.due <= settings.taken_until or row.at > cluster.closes:
        return None
    return rows.clusters[_cluster_name(key.key)][_place(key, cluster)]


@lru_cache(maxsize=4096)
def _is_counted(slot: int) -> bool:
    """Return whether the sequential tests read a slot, by its name."""
    words = slot_name(slot).split()
    first, last = words[0], words[-1]
    if first in {"both", "served"}:
        return "cell" in words and last in {"n", "sy", "sp", "spp", "spy", "en", "esp"}
    if first == "pit":
        return last == "n"
    return first in {"events", "labels"} or (first in VALUES and last in {"n", "sy", "en"})


def _series(settings: _Settings, row: PredictionRow) -> list[SeriesKey]:
    own = own_values(payload_of(row), OWN_SEGMENTS) if settings.model.task == "confidence" else {}
    sent = own | (msgspec.json.decode(row.segments) if row.segments else {})
    declared = settings.revisions[row.model_id, row.revision].segments
    others = counted_as_other(row.unnamed)
    traffic = [
        "",
        *(f"{name}:{OTHER if name in others else value}" for name in declared for value in _values(name, sent)),
    ]
    segments = [REFERENCE_SEGMENT] if row.reference else traffic
    return [row.series(segment) for segment in segments]


def _values(declared: str, sent: Mapping[str, str]) -> list[str]:
    """Return an event's value of a declared segment or pair, or none."""
    if "," not in declared:
        return [sent[declared]] if declared in sent else []
    parts = [sent.get(key) for key in declared.split(",")]
    texts = ["".join("\\" * (sign in "\\,") + sign for sign in part) for part in parts if part is not None]
    return [",".join(texts)] if len(texts) == len(parts) else []


def _fixed(value: float) -> int:
    return round(value * ONE)


def _cell(p: float) -> int:
    return CELLS - 1 if p >= 1.0 else bisect_left(_EDGES, p)


def _arrival(model: Model, row: PredictionRow) -> list[Term]:
    terms = [(total_slot("events"), 1)]
    for kind, p in scores_of(model, row):
        terms += [(cell_slot(kind, _cell(p), "en"), 1), (cell_slot(kind, _cell(p), "esp"), _fixed(p))]
    if model.task == "regression":
        terms.append((location_slot(_location(row.p if row.raw is None else row.raw)), 1))
    value = value_of(model, row)
    return terms if value is None else [*terms, (value_slot(*value, "en"), 1)]


def _location(value: float) -> int:
    """Return the cell of a prediction: of 4096 either side of 0, 64 of each doubling from 2⁻²⁴ on."""
    share, power = math.frexp(abs(value))
    outward = 1 + min(max((power + 23) * 64 + math.floor((2.0 * share - 1.0) * 64), 0), 4095)
    return 4096 + (outward if value > 0 else -outward if value < 0 else 0)


def _answer(now: Model, row: PredictionRow) -> list[Term]:
    model = now.as_of(row.revision)
    if model.task != "multiclass" or len(model.classes or ()) > MAX_CLASSES:
        return []
    raw = vectors_of(row, model.classes)[1]
    return [(predicted_slot(max(range(len(raw)), key=raw.__getitem__)), 1)]


def _outcome(settings: _Settings, row: PredictionRow, label: LabelRow) -> list[Term]:
    terms = [(total_slot("labels"), 1)]
    delay = settings.revisions[row.model_id, row.revision].label_delay
    if label.at is not None and delay is not None and label.at - row.at > delay:
        terms.append((total_slot("late"), 1))
    if is_undeclared_label(settings.model, row, label.label):
        terms.append((total_slot("undeclared"), 1))
    half = _in_half(settings, row)
    for kind, p, y, log_loss, clipped, brier in judged(settings.model, row, label.label):
        terms += _cell_terms(kind, p, y, half=half)
        losses = {
            "log_loss": _fixed(log_loss),
            "clipped": int(clipped),
            "brier": _fixed(brier),
            "spiegelhalter_numerator": _fixed((y - p) * (1.0 - 2.0 * p)),
            "spiegelhalter_denominator": _fixed((1.0 - 2.0 * p) * (1.0 - 2.0 * p) * p * (1.0 - p)),
        }
        terms += [(loss_slot(kind, name), value) for name, value in losses.items()]
    terms += _class_terms(settings.model, row, label) + _value_terms(settings.model, row, label, half=half)
    return terms + _measured_terms(settings.model, row, label, half=half)


def _cell_terms(kind: Kind, p: float, y: int, *, half: bool) -> list[Term]:
    sums = {"n": 1, "sy": y, "sp": _fixed(p), "spp": _fixed(p * p), "spy": _fixed(p) if y else 0}
    if half:
        sums |= {"hn": 1, "hsy": y, "hsp": _fixed(p)}
    return [(cell_slot(kind, _cell(p), name), sums[name]) for name in CELL_FIELDS if name in sums]


def _value_terms(model: Model, row: PredictionRow, label: LabelRow, *, half: bool) -> list[Term]:
    value = value_of(model, row)
    if value is None:
        return []
    y = answered(model, row, label.label) or 0
    sums = {"n": 1, "sy": y, "hn": int(half), "hsy": int(half and y)}
    return [(value_slot(*value, name), amount) for name, amount in sums.items()]


def _measured_terms(model: Model, row: PredictionRow, label: LabelRow, *, half: bool) -> list[Term]:
    error = measured(model, row, label.label)
    if error is None:
        return []
    cell = max(bisect_left(_PIT_EDGES, error.pit) - 1, 0)
    terms = [(pit_slot(cell, "n"), 1), (pit_slot(cell, "hn"), int(half))]
    for form, stated in (("interval", error.intervals), ("quantile", error.quantiles)):
        for level, held in stated:
            terms += [(stated_slot(form, level, "stated"), 1), (stated_slot(form, level, "hits"), int(held))]
    amounts = {"crps": error.crps, "error": error.error, "absolute_error": abs(error.error)}
    for name, value in (amounts | {"squared_z": error.squared_z or 0.0}).items():
        whole, sign = round(abs(Fraction(value)) * 2**272), -1 if value < 0 else 1
        digits = [(whole >> (32 * chunk)) % 2**32 for chunk in range(AMOUNT_CHUNKS)]
        terms += [(amount_slot(name, chunk), sign * digit) for chunk, digit in enumerate(digits) if digit]
    return terms


def _class_terms(now: Model, row: PredictionRow, label: LabelRow) -> list[Term]:
    model = now.as_of(row.revision)
    if model.task != "multiclass" or len(model.classes or ()) > MAX_CLASSES:
        return []
    truth = truth_index(model, row, label.label)
    if truth is None:
        return []
    terms = []
    for index, p in enumerate(vectors_of(row, model.classes)[0]):
        sixtieth = min(max(bisect_left(_CLASS_EDGES, p) - 1, 0), SIXTIETHS - 1)
        sums = {"n": 1, "sp": _fixed(p), "sy": int(index == truth)}
        terms += [(class_slot(index, sixtieth, name), value) for name, value in sums.items()]
    return terms


def _in_half(settings: _Settings, row: PredictionRow) -> bool:
    if row.cluster is None:
        return row.key % 2 == 1
    return hashlib.blake2b(row.cluster.encode(), digest_size=1, key=settings.secret).digest()[0] % 2 == 1


def _counts(progress: Progress, rows: _Recomputed, undeclared: int) -> list[Difference]:
    pairs = {
        "predictions": (progress.predictions, rows.predictions),
        "labels": (progress.labels, rows.labels),
        "labels of undeclared classes": (undeclared, rows.undeclared),
    }
    return [_difference(None, name, *map(str, pair)) for name, pair in pairs.items() if pair[0] != pair[1]]


def _repeats(connection: Connection, model: Model) -> list[Difference]:
    repeated = events.repeated(connection, model.id, MOST_REPEATS)
    return [_difference(None, f"predictions of event {name}", str(count), "1") for name, count in repeated]


def _buckets(stored: Mapping[Bucket, bytes], recomputed: Mapping[Bucket, Mapping[int, int]]) -> Iterator[Difference]:
    for bucket in sorted({*stored, *recomputed}):
        expected = {slot: value for slot, value in recomputed.get(bucket, {}).items() if value}
        try:
            actual = _decoded(stored.get(bucket))
        except ValueError as error:
            yield _difference(bucket, "summary", f"invalid bytes ({error})", f"{len(expected)} sums")
            continue
        for slot in sorted({*actual, *expected}):
            if actual.get(slot, 0) != expected.get(slot, 0):
                yield _difference(bucket, slot_name(slot), str(actual.get(slot, 0)), str(expected.get(slot, 0)))


def _waiting(
    stored: Mapping[str, Mapping[Bucket, bytes]], recomputed: Mapping[str, Mapping[Bucket, Mapping[int, int]]]
) -> Iterator[Difference]:
    for name in sorted({*stored, *recomputed}):
        for difference in _buckets(stored.get(name, {}), recomputed.get(name, {})):
            yield replace(difference, what=f"{name} {difference.what}")


def _decoded(blob: bytes | None) -> dict[int, int]:
    if blob is None:
        return {}
    slots, values = decode(blob)
    if not blob or not values.all():
        raise ValueError("zeros are stored, so equal sums may differ in their bytes")
    return dict(zip(slots.tolist(), values.tolist(), strict=True))


def _difference(bucket: Bucket | None, what: str, stored: str, recomputed: str) -> Difference:
    series, level, start = (None, None, None) if bucket is None else bucket
    return Difference(series=series, level=level, bucket=start, what=what, stored=stored, recomputed=recomputed)
