"""Effects of events on tables and sums, read and computed before the transaction that writes them."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from ..domain.delays import Seen, delay_bucket
from ..domain.events import PredictionEvent
from ..domain.records import MINUTE_LEVEL, LabelRow, PredictionRow, Progress, SeriesKey
from ..domain.settings import Model
from ..domain.times import HOUR, floor, micros
from ..stats.summary import ONE
from ..store import rollups, sequential
from ..store.batch import Event
from ..store.events import event_key, hash_key, labels_of, predictions_of
from ..store.models import by_ids, progress_of, revisions
from ..store.payload import confidences
from ..store.rollups import Span
from ..store.rows import outcome
from ..store.sequential import Taken
from ..store.summaries import Summaries
from .join import Arrival, EventRef, Joined, join
from .late import Carried, cluster_keys, passed_over, waiting
from .sums import Sums, Target, entries_of, merged, sums_of

MINUTES_KEPT: Final = 48 * HOUR

HISTORY: Final = HOUR

"""A prediction that is received so long after its own time is history that was fed in, not live traffic."""

_json: Final = msgspec.json.Encoder()

_canonical: Final = msgspec.msgpack.Encoder(order="deterministic")

CounterKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Addition:
    """Sums that are to be added to a table of summaries."""

    table: Summaries
    sums: Sums
    stored: dict[Target, bytes]  # of the sums' buckets, what was there before
    summaries: list[bytes]  # and what is to be there


@dataclass(frozen=True, slots=True)
class Effects:
    """All that some events change, ready to be written."""

    joined: Joined
    additions: list[Addition]
    progress: dict[int, Progress]
    stale_minutes: dict[int, int]  # model -> minute rollups before this go
    taken: dict[int, Taken]  # what the sequential tests had taken in
    passed: dict[int, int]  # model -> what is before this counts as taken in from now on
    delays: dict[tuple[int, int], Seen]
    counts: dict[CounterKey, int]


class Received(NamedTuple):
    """An event with its model and when it came."""

    event: Event
    model_id: int
    received_at: int


def effects_of(connection: Connection, received: Sequence[Received], now: int) -> Effects:
    """Read what the events touch and compute what they change; writes nothing."""
    models = by_ids(connection, {each.model_id for each in received})
    key = hash_key(connection)
    known = [each for each in received if each.model_id in models]
    effects = effects_of_rows(connection, [_row_of(each, models[each.model_id], key, now) for each in known])
    effects.counts["events_dropped", "model_deleted"] = len(received) - len(known)
    return effects


def effects_of_rows(connection: Connection, arrivals: Sequence[Arrival]) -> Effects:
    """Read what rows that are to be stored touch and compute what they change; writes nothing."""
    models = by_ids(connection, {row.model_id for row in arrivals})
    known_revisions = revisions(connection, list(models))
    before = progress_of(connection, list(models))
    key = hash_key(connection)
    keys = sorted({row.key for row in arrivals})
    predictions = predictions_of(connection, keys)
    joined = join(arrivals, predictions, labels_of(connection, keys), models)
    progress = _advanced(before, joined, _label_times(joined, predictions))
    minutes = {model_id: state.minutes_from or 0 for model_id, state in progress.items()}
    clusters = {change.row.cluster for change in joined.changes}
    entries = entries_of(joined.changes, models, known_revisions, halves(key, clusters))
    taken = sequential.taken(connection, list(models))
    passed = passed_over(taken, minutes)
    waits = waiting(
        joined.changes,
        entries,
        {model_id: replace(come, until=passed.get(model_id, come.until)) for model_id, come in taken.items()},
        cluster_keys(key, clusters),
        now=max((row.rolled_at for row in arrivals), default=0),
        carried=[
            each
            for model_id, until in passed.items()
            for each in _carried(connection, model_id, taken[model_id], until)
        ],
    )
    return Effects(
        joined=joined,
        additions=[
            addition_of(connection, rollups.SUMS, sums_of(joined.changes, entries, known_revisions, minutes)),
            addition_of(connection, rollups.SUMS, waits.late),
            addition_of(connection, rollups.CLUSTERS, waits.clusters),
        ],
        progress=progress,
        stale_minutes={m: at for m, at in minutes.items() if at > (before[m].minutes_from or 0)},
        taken=taken,
        passed=passed,
        delays=_delays(joined, models),
        counts=_counts(arrivals, joined),
    )


def _carried(connection: Connection, model_id: int, taken: Taken, until: int) -> list[Carried]:
    """Return the sums of the minutes from where a model's tests stand until a moment, of those that count."""
    whole = {n: key for key, n in rollups.series_ids(connection, model_id).items() if not key.segment}
    span = Span(MINUTE_LEVEL, taken.until or 0, until)
    apart = sequential.clusters(connection, list(whole), span)
    found = [(number, begin, None, blob) for number, _, begin, blob in rollups.read(connection, list(whole), [span])]
    return [
        Carried(whole[number], cluster, blob)
        for number, begin, cluster, blob in (*found, *apart)
        if begin >= taken.beginning(whole[number].version)
    ]


def _row_of(each: Received, model: Model, key: bytes, now: int) -> Arrival:
    event = each.event
    hashed = event_key(key, model.id, event.event_id)
    if isinstance(event, PredictionEvent):
        p, raw, payload = confidences(event, model.classes)
        return PredictionRow(
            key=hashed,
            model_id=model.id,
            event_id=event.event_id,
            at=micros(event.timestamp),
            received_at=each.received_at,
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
        received_at=each.received_at,
        rolled_at=now,
        source=event.source,
        supersedes=event.supersedes,
    )


def _digest(event: PredictionEvent) -> int:
    digest = hashlib.blake2b(_canonical.encode(event), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def halves(key: bytes, clusters: Iterable[str | None]) -> dict[str, bool]:
    """Return which clusters are in the random half that bounds take their signs from."""
    return {
        cluster: bool(hashlib.blake2b(cluster.encode(), digest_size=1, key=key).digest()[0] & 1)
        for cluster in set(clusters)
        if cluster is not None
    }


def _label_times(joined: Joined, predictions: Mapping[EventRef, PredictionRow]) -> Iterator[tuple[int, int]]:
    """Yield the models and times of new labels whose predictions are known, and of those that waited for theirs until now.

    Until a prediction is known nobody can say whether its labels are of traffic or of the validation set, which moves no model's time.

    Parameters
    ----------
    predictions : all that are known of the labels' events, by model and event

    """
    for label in chain(joined.labels, joined.waited):
        if label.at is not None:
            row = predictions.get((label.model_id, label.event_id))
            if row is not None and not row.reference:
                yield label.model_id, label.at


def _advanced(
    before: Mapping[int, Progress], joined: Joined, label_times: Iterable[tuple[int, int]]
) -> dict[int, Progress]:
    """Return how far models have come with their traffic."""
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
    found: dict[int, int] = {}
    for model_id, at in times:
        if at > found.get(model_id, -1):
            found[model_id] = at
    return found


def _later(one: int | None, other: int | None) -> int | None:
    return max((at for at in (one, other) if at is not None), default=None)


def _minutes_from(kept_from: int | None, newest_prediction: int | None) -> int | None:
    if newest_prediction is None:
        return kept_from
    return max(kept_from or 0, floor(newest_prediction - MINUTES_KEPT, HOUR))


def addition_of(connection: Connection, table: Summaries, sums: Sums) -> Addition:
    """Return what a table of summaries holds once some sums are added to it; writes nothing."""
    stored = _stored(connection, table, sums)
    return Addition(table, sums, stored, merged(sums, stored))


def _stored(connection: Connection, table: Summaries, sums: Sums) -> dict[Target, bytes]:
    ids = series_ids(connection, sums.series)
    numbers = [ids.get(key) for key in sums.series]
    places = {number: place for place, number in enumerate(numbers) if number is not None}
    wanted = [(number, *rest) for place, *rest in sums.targets if (number := numbers[place]) is not None]
    return {(places[number], *rest): blob for (number, *rest), blob in table.fetch(connection, wanted).items()}


def series_ids(connection: Connection, series: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
    """Return the numbers of all series of the models that some series belong to."""
    found: dict[SeriesKey, int] = {}
    for model_id in sorted({key.model_id for key in series}):
        found |= rollups.every_series(connection, model_id)
    return found


def _delays(joined: Joined, models: Mapping[int, Model]) -> dict[tuple[int, int], Seen]:
    """Return how many first labels of traffic came per bucket of delay, and what they said; sums in fixed point."""
    found: dict[tuple[int, int], list[int]] = {}
    for change in joined.changes:
        if change.before is None and change.after is not None and not change.row.reference:
            row, delay = change.row, _delay(change.row, change.after)
            if delay is not None:
                sums = found.setdefault((row.model_id, delay_bucket(delay)), [0, 0, 0, 0])
                sums[0] += 1
                y = outcome(models[row.model_id], row, change.after.label)
                if y is not None:
                    sums[1] += y
                    sums[2] += round(row.p * ONE)
                    sums[3] += round((y - row.p) * (y - row.p) * ONE)
    return {key: Seen(count=n, sy=sy, sp=sp, squares=squares) for key, (n, sy, sp, squares) in found.items()}


def _delay(row: PredictionRow, label: LabelRow) -> int | None:
    """Return how long a label took; None for one without a time of a prediction that came as history: it tells nothing."""
    if label.at is not None:
        return max(0, label.at - row.at)
    if row.received_at - row.at > HISTORY:
        return None
    return max(0, label.received_at - max(row.at, row.received_at))


def _counts(arrivals: Sequence[Arrival], joined: Joined) -> dict[CounterKey, int]:
    predictions = sum(isinstance(row, PredictionRow) for row in arrivals)
    unusable = sum(row.kind == "unusable_label" for row in joined.conflicts)
    return {
        ("events_ingested", "prediction"): predictions,
        ("events_ingested", "label"): len(arrivals) - predictions,
        ("events_duplicate", ""): joined.duplicates,
        ("label_conflicts", ""): sum(row.kind == "label" for row in joined.conflicts),
        ("prediction_conflicts", ""): sum(row.kind == "prediction" for row in joined.conflicts),
        ("events_rejected", "unknown_class"): unusable,
    }
