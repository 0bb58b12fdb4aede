"""Compute all changes that events cause, before the transaction that writes them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from ..domain.cohorts import MINUTES_KEPT
from ..domain.delays import Seen, delay_bucket
from ..domain.events import Event, PredictionEvent
from ..domain.records import EventRef, LabelRow, PredictionRow, Progress, SeriesKey
from ..domain.settings import Model
from ..domain.times import HOUR, floor, micros
from ..stats.summary import ONE
from ..store import clusters, rollups, sequential
from ..store.clusters import Cluster, ClusterKey
from ..store.counters import CORRECTED
from ..store.events import event_key, hash_key, labels_of, predictions_of
from ..store.models import by_ids, progress_of, revisions
from ..store.names import Name
from ..store.payload import confidences, corrections_of
from ..store.rows import outcome
from ..store.sequential import Taken
from ..store.summaries import Summaries
from .classes import sums_of_classes
from .cohorts import (
    class_clusters_of,
    class_cohort_sums,
    cluster_keys,
    clusters_of,
    cohort_sums,
    gathered_clusters,
)
from .join import Arrival, Joined, join
from .naming import counted_unnamed, name_all
from .sums import Sums, Target, entries_of, merged, staked, sums_of
from .undeclared import counted_undeclared

HISTORY: Final = HOUR
"""A prediction received later than this after its own time is imported history, not live traffic."""

_json: Final = msgspec.json.Encoder()

_canonical: Final = msgspec.msgpack.Encoder(order="deterministic")

CounterKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Addition:
    """Sums to be added to a table of summaries."""

    table: Summaries
    sums: Sums
    stored: dict[Target, bytes]  # summaries of the same buckets before
    summaries: list[bytes]  # summaries of all buckets after, in the order of the sums


@dataclass(frozen=True, slots=True)
class Effects:
    """All changes that events cause, ready to be written."""

    joined: Joined
    additions: list[Addition]
    clusters: dict[ClusterKey, Cluster]  # as they are afterwards
    progress: dict[int, Progress]
    stale_minutes: dict[int, int]  # model -> minute rollups before this are deleted
    taken: dict[int, Taken]  # progress of the sequential tests when this was computed
    delays: dict[tuple[int, int], Seen]
    names: list[Name]  # that are new
    counts: dict[CounterKey, int]
    counts_by_model: dict[tuple[int, str, str], int]


class Received(NamedTuple):
    """An event, its model and its time of receipt."""

    event: Event
    model_id: int
    received_at: int


def effects_of(connection: Connection, received: Sequence[Received], now: int) -> Effects:
    """Return the changes that events cause; writes nothing."""
    models = by_ids(connection, {one.model_id for one in received})
    key = hash_key(connection)
    keys = _Keys(key)
    rows = [_row_of(one, models[one.model_id], keys, now) for one in received if one.model_id in models]
    effects = effects_of_rows(connection, rows)
    effects.counts["events_dropped", "model_deleted"] = len(received) - len(rows)
    return effects


def effects_of_rows(connection: Connection, arrivals: Sequence[Arrival]) -> Effects:
    """Return the changes that new rows cause; writes nothing."""
    models = by_ids(connection, {row.model_id for row in arrivals})
    known_revisions = revisions(connection, list(models))
    before = progress_of(connection, list(models))
    new_names = name_all(
        connection, (row for row in arrivals if isinstance(row, PredictionRow)), models, known_revisions
    )
    key = hash_key(connection)
    keys = sorted({row.key for row in arrivals})
    predictions = predictions_of(connection, keys)
    joined = join(arrivals, predictions, labels_of(connection, keys), models)
    progress = _advanced(before, joined, _label_times(joined, predictions))
    minutes = {model_id: state.minutes_from or 0 for model_id, state in progress.items()}
    names = {change.row.cluster for change in joined.changes}
    half_of = halves(key, names)
    entries = entries_of(joined.changes, models, known_revisions, half_of)
    bets = staked(joined.changes, entries, models, half_of)
    taken = sequential.taken(connection, list(models))
    of_classes = list(sums_of_classes(joined.changes, models, known_revisions))
    cluster_names = cluster_keys(key, names)
    gathering = [(bets, clusters_of(joined.changes, cluster_names, known_revisions))]
    gathering += [(part.entries, class_clusters_of(joined.changes, cluster_names, part)) for part in of_classes]
    spans = {model_id: model.settings.cluster_span for model_id, model in models.items()}
    gathered: dict[ClusterKey, Cluster] = {}
    for part_entries, clustered in gathering:
        stored = clusters.of_keys(connection, sorted(set(chain.from_iterable(clustered.values()))))
        gathered |= gathered_clusters(joined.changes, part_entries, taken, clustered, stored=stored, spans=spans)
    return Effects(
        joined=joined,
        additions=[
            addition_of(connection, rollups.SUMS, sums_of(joined.changes, entries, known_revisions, minutes)),
            addition_of(connection, rollups.COHORTS, cohort_sums(joined.changes, bets, taken, known_revisions)),
            *(
                addition_of(connection, rollups.COHORTS, class_cohort_sums(joined.changes, part, taken))
                for part in of_classes
            ),
        ],
        clusters=gathered,
        progress=progress,
        stale_minutes={m: at for m, at in minutes.items() if at > (before[m].minutes_from or 0)},
        taken=taken,
        delays=_delays(joined, models),
        names=new_names,
        counts=_counts(arrivals, joined),
        counts_by_model={
            **Counter((row.model_id, CORRECTED, kind) for row in joined.predictions for kind in corrections_of(row)),
            **counted_unnamed(joined.predictions),
            **counted_undeclared(connection, joined.changes, models),
        },
    )


class _Keys(dict[EventRef, int]):
    """The keys of events, each hashed once: most come twice, as a prediction and as a label."""

    def __init__(self, secret: bytes) -> None:
        super().__init__()
        self.secret = secret

    def __missing__(self, ref: EventRef) -> int:
        key = self[ref] = event_key(self.secret, *ref)
        return key


def _row_of(received: Received, model: Model, keys: _Keys, now: int) -> Arrival:
    event = received.event
    hashed = keys[model.id, event.event_id]
    if isinstance(event, PredictionEvent):
        p, raw, payload = confidences(event, model.classes)
        return PredictionRow(
            key=hashed,
            model_id=model.id,
            event_id=event.event_id,
            at=micros(event.timestamp),
            received_at=received.received_at,
            rolled_at=now,
            version=event.model_version or "",
            calibrator=event.calibrator_version,
            segments=_json.encode(event.segments).decode() if event.segments else None,
            cluster=event.cluster,
            p=p,
            raw=raw,
            payload=payload,
            digest=_digest(event),
            revision=model.revision,
            reference=bool(event.reference),
        )
    return LabelRow(
        key=hashed,
        model_id=model.id,
        event_id=event.event_id,
        label=_json.encode(event.label).decode(),
        at=None if event.timestamp is None else micros(event.timestamp),
        received_at=received.received_at,
        rolled_at=now,
        source=event.source,
        supersedes=event.supersedes,
        version=event.model_version,
    )


def _digest(event: PredictionEvent) -> int:
    digest = hashlib.blake2b(_canonical.encode(event), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def halves(key: bytes, clusters: Iterable[str | None]) -> dict[str, bool]:
    """Return whether each cluster is in the random half that sets the signs of the bounds."""
    return {
        cluster: bool(hashlib.blake2b(cluster.encode(), digest_size=1, key=key).digest()[0] & 1)
        for cluster in set(clusters)
        if cluster is not None
    }


def _label_times(joined: Joined, predictions: Mapping[EventRef, Sequence[PredictionRow]]) -> Iterator[tuple[int, int]]:
    """Yield the models and times of labels, new or waiting, whose predictions are known and part of the traffic.

    The validation set does not move a model's time, and only the prediction says whether a label belongs to it.

    Parameters
    ----------
    predictions : the known predictions of the labels' events, by model and event

    """
    for label in chain(joined.labels, joined.waited):
        if label.at is not None and any(not row.reference for row in predictions.get(label.ref, ())):
            yield label.model_id, label.at


def _advanced(
    before: Mapping[int, Progress], joined: Joined, label_times: Iterable[tuple[int, int]]
) -> dict[int, Progress]:
    """Return the models' progress after their traffic."""
    rows = [row for row in joined.predictions if not row.reference]
    changes = [change for change in joined.changes if not change.row.reference]
    newest = _newest((row.model_id, row.at) for row in rows)
    received = _newest((row.model_id, row.received_at) for row in rows)
    labelled = _newest(label_times)
    predictions = Counter(change.row.model_id for change in changes if change.fresh)
    labels = Counter(change.row.model_id for change in changes if change.after is not None)
    labels.subtract(change.row.model_id for change in changes if change.before is not None)
    after = {}
    for model_id, state in before.items():
        newest_prediction = _later(state.newest_prediction, newest.get(model_id))
        after[model_id] = Progress(
            watermark=_later(_later(state.watermark, newest.get(model_id)), labelled.get(model_id)),
            newest_prediction=newest_prediction,
            received_at=_later(state.received_at, received.get(model_id)),
            minutes_from=_minutes_from(state.minutes_from, newest_prediction),
            predictions=state.predictions + predictions[model_id],
            labels=state.labels + labels[model_id],
        )
    return after


def _newest(times: Iterable[tuple[int, int]]) -> dict[int, int]:
    newest: dict[int, int] = {}
    for model_id, at in times:
        if at > newest.get(model_id, -1):
            newest[model_id] = at
    return newest


def _later(one: int | None, other: int | None) -> int | None:
    return max((at for at in (one, other) if at is not None), default=None)


def _minutes_from(kept_from: int | None, newest_prediction: int | None) -> int | None:
    if newest_prediction is None:
        return kept_from
    return max(kept_from or 0, floor(newest_prediction - MINUTES_KEPT, HOUR))


def addition_of(connection: Connection, table: Summaries, sums: Sums) -> Addition:
    """Return sums with the summaries of their buckets before and after; writes nothing."""
    stored = _stored(connection, table, sums)
    return Addition(table, sums, stored, merged(sums, stored))


def _stored(connection: Connection, table: Summaries, sums: Sums) -> dict[Target, bytes]:
    ids = series_ids(connection, sums.series)
    numbers = [ids.get(key) for key in sums.series]
    places = {number: place for place, number in enumerate(numbers) if number is not None}
    wanted = [(number, *rest) for place, *rest in sums.targets if (number := numbers[place]) is not None]
    return {(places[number], *rest): blob for (number, *rest), blob in table.fetch(connection, wanted).items()}


def series_ids(connection: Connection, series: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
    """Return the ids of all series of the models that the given series belong to."""
    ids: dict[SeriesKey, int] = {}
    for model_id in sorted({key.model_id for key in series}):
        ids |= rollups.every_series(connection, model_id)
    return ids


def _delays(joined: Joined, models: Mapping[int, Model]) -> dict[tuple[int, int], Seen]:
    """Return first labels of traffic by bucket of delay: counts, and sums of outcomes and confidences in fixed point."""
    by_bucket: dict[tuple[int, int], list[int]] = {}
    for change in joined.changes:
        if change.before is None and change.after is not None and not change.row.reference:
            row, delay = change.row, _delay(change.row, change.after)
            if delay is not None:
                sums = by_bucket.setdefault((row.model_id, delay_bucket(delay)), [0, 0, 0, 0])
                sums[0] += 1
                y = outcome(models[row.model_id], row, change.after.label)
                if y is not None:
                    sums[1] += y
                    sums[2] += round(row.p * ONE)
                    sums[3] += round((y - row.p) * (y - row.p) * ONE)
    return {key: Seen(count=n, sy=sy, sp=sp, squares=squares) for key, (n, sy, sp, squares) in by_bucket.items()}


def _delay(row: PredictionRow, label: LabelRow) -> int | None:
    """Return the delay of a label; None for a label without time whose prediction is imported history."""
    if label.at is not None:
        return max(0, label.at - row.at)
    if row.received_at - row.at > HISTORY:
        return None
    return max(0, label.received_at - max(row.at, row.received_at))


def _counts(arrivals: Sequence[Arrival], joined: Joined) -> dict[CounterKey, int]:
    predictions = sum(isinstance(row, PredictionRow) for row in arrivals)
    return {
        ("events_ingested", "prediction"): predictions,
        ("events_ingested", "label"): len(arrivals) - predictions,
        ("events_duplicate", ""): joined.duplicates,
    }
