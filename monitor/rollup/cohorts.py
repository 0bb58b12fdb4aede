"""Sums that wait for the sequential tests: cohorts of single events, and clusters.

A cohort is taken once it has matured, with the labels that have come by then. The first label of a prediction that comes after that is
late: it is summed apart, and only teaches the tests. Later corrections change scores, not evidence. The events of a cluster are one bet,
summed in the cluster's own row.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..domain.cohorts import DUE_STEP, bucket_of, due_of
from ..domain.records import PredictionRow, SeriesKey
from ..domain.times import ceil
from ..stats.cells import CELLS
from ..stats.entries import Entries, joined
from ..stats.summary import (
    PIT_CELLS,
    SLOTS,
    VALUES,
    cell_slot,
    decode_all,
    encode_all,
    gather,
    pit_slot,
    total_slot,
    value_slot,
)
from ..store.clusters import Cluster, ClusterKey
from ..store.sequential import LATE, Taken
from .join import Change
from .sums import Sums

Part = Literal["summary", "rest"]


def _mask(of_cells: Sequence[str], of_values: Sequence[str], totals: Sequence[str] = ()) -> NDArray[np.bool_]:
    chosen = np.zeros(SLOTS, dtype=bool)
    for kind in ("both", "served"):
        for name in of_cells:
            chosen[[cell_slot(kind, cell, name) for cell in range(CELLS)]] = True
    chosen[[pit_slot(cell, "n") for cell in range(PIT_CELLS)]] = True
    for family, places in VALUES.items():
        chosen[[value_slot(family, place, name) for place in range(places) for name in of_values]] = True
    chosen[[total_slot(name) for name in totals]] = True
    chosen.setflags(write=False)
    return chosen


TESTED: Final = _mask(("n", "sy", "sp", "spp", "spy"), ("n", "sy"))
"""Mask of the summary slots that bets are made from: labelled events by served score; shape (SLOTS,)."""

COUNTED: Final = _mask(("n", "sy", "sp", "spp", "spy", "en", "esp"), ("n", "sy", "en"), ("events", "labels"))
"""Mask of these and of the counts of all predictions, labelled or not, which say how many got a label in time; shape (SLOTS,)."""


def cluster_keys(key: bytes, clusters: Iterable[str | None]) -> dict[str, int]:
    """Return the keys of clusters for storage: 63 bits of a keyed hash, which outsiders cannot predict."""
    return {
        cluster: int.from_bytes(hashlib.blake2b(cluster.encode(), digest_size=8, key=key).digest(), "little") >> 1
        for cluster in set(clusters)
        if cluster is not None
    }


def cohort_sums(changes: Sequence[Change], entries: Entries, taken: Mapping[int, Taken]) -> Sums:
    """Return what changes of events without a cluster add to the cohorts that wait; targets are (series, due, bucket).

    The validation set is no evidence about the model in service.

    Parameters
    ----------
    entries : of the changes; rows are their positions
    taken : progress of the tests, by model

    """
    series: dict[SeriesKey, int] = {}
    targets: dict[tuple[int, ...], int] = {}
    target = np.full(len(changes), -1, dtype=np.int64)
    is_late = np.zeros(len(changes), dtype=bool)
    for i, change in enumerate(changes):
        row = change.row
        if row.reference or row.cluster is not None:
            continue
        due = due_of(row)
        if due <= taken[row.model_id].until:
            if not _is_first_label(change):
                continue
            due, is_late[i] = LATE, True
        place = series.setdefault(row.series(), len(series))
        target[i] = targets.setdefault((place, due, bucket_of(row)), len(targets))
    return Sums(list(series), list(targets), _summed(entries, target, is_late))


def _is_first_label(change: Change) -> bool:
    return change.before is None and change.after is not None


def _summed(entries: Entries, target: NDArray[np.int64], is_late: NDArray[np.bool_]) -> Entries:
    """Return the entries of changes summed by target, -1 meaning none; only labels of late ones."""
    rows, slots, values = entries
    kept = (target[rows] >= 0) & np.where(is_late[rows], TESTED[slots], COUNTED[slots])
    return gather(target[rows[kept]], slots[kept], values[kept])


@dataclass(slots=True)
class _Gathering:
    """A cluster with the changes of a batch that add to it."""

    cluster: Cluster
    part_of: dict[int, Part] = field(default_factory=dict)  # by position of the change


def clusters_of(changes: Sequence[Change], keys: Mapping[str, int]) -> list[ClusterKey]:
    """Return the clusters that changes belong to."""
    return list({_key(change.row, keys) for change in changes if _is_clustered(change.row)})


def _is_clustered(row: PredictionRow) -> bool:
    return row.cluster is not None and not row.reference


def _key(row: PredictionRow, keys: Mapping[str, int]) -> ClusterKey:
    return ClusterKey(row.model_id, row.version, keys[row.cluster or ""])


def gathered_clusters(
    changes: Sequence[Change],
    entries: Entries,
    taken: Mapping[int, Taken],
    keys: Mapping[str, int],
    *,
    stored: Mapping[ClusterKey, Cluster],
    spans: Mapping[int, int],
) -> dict[ClusterKey, Cluster]:
    """Return the clusters that changes add to, as they are afterwards.

    A cluster opens with its first prediction. How long it gathers events is fixed then, whatever they do: one that were closed when it
    falls silent would be chosen by its outcome. Predictions of releases that kept no clusters open none.

    Parameters
    ----------
    entries : of the changes; rows are their positions
    taken : progress of the tests, by model
    keys : of the clusters, by name
    stored : the clusters as they are stored
    spans : how long new ones gather events, by model

    """
    gathering = {key: _Gathering(cluster) for key, cluster in stored.items()}
    clustered = [i for i, change in enumerate(changes) if _is_clustered(changes[i].row)]
    for i in sorted((i for i in clustered if changes[i].fresh), key=lambda i: changes[i].row.at):
        row = changes[i].row
        gathering.setdefault(_key(row, keys), _Gathering(_opened(row, spans[row.model_id])))
    for i in clustered:
        cluster = gathering.get(_key(changes[i].row, keys))
        part = None if cluster is None else _part(changes[i], cluster.cluster, taken)
        if cluster is not None and part is not None:
            cluster.part_of[i] = part
    return _gathered(gathering, entries, len(changes))


def _opened(row: PredictionRow, span: int) -> Cluster:
    closes = row.at + span
    due = ceil(max(closes, row.received_at), DUE_STEP)
    return Cluster(opened=row.at, closes=closes, due=due, summary=b"", rest=b"", waits=True)


def _part(change: Change, cluster: Cluster, taken: Mapping[int, Taken]) -> Part | None:
    """Return which sums of a cluster a change adds to; None: to none."""
    if cluster.due <= taken[change.row.model_id].until:
        return "rest" if _is_first_label(change) else None
    return "summary" if change.row.at <= cluster.closes else "rest"


def _gathered(gathering: Mapping[ClusterKey, _Gathering], entries: Entries, count: int) -> dict[ClusterKey, Cluster]:
    changed = {key: one for key, one in gathering.items() if one.part_of}
    bets = _added({key: one.cluster.summary for key, one in changed.items()}, changed, "summary", entries, count)
    rests = _added({key: one.cluster.rest for key, one in changed.items()}, changed, "rest", entries, count)
    return {
        key: replace(one.cluster, summary=bets[key], rest=rests[key], waits=one.cluster.waits or bool(rests[key]))
        for key, one in changed.items()
    }


def _added(
    before: Mapping[ClusterKey, bytes],
    gathering: Mapping[ClusterKey, _Gathering],
    part: Part,
    entries: Entries,
    count: int,
) -> dict[ClusterKey, bytes]:
    """Return one part of the sums of clusters, with the changes that add to it."""
    target = np.full(count, -1, dtype=np.int64)
    for number, one in enumerate(gathering.values()):
        target[[i for i, own in one.part_of.items() if own == part]] = number
    sums = _summed(entries, target, np.full(count, part == "rest"))
    blobs = encode_all(len(before), *gather(*joined([decode_all(list(before.values())), sums])))
    return dict(zip(before, blobs, strict=True))
