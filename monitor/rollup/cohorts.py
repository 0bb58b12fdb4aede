"""Sums that wait for the sequential tests: cohorts of single events, and clusters.

A cohort is taken once it has matured, with the labels that have come by then. The first label of a prediction that comes after that is
late: it is summed apart, and only teaches the tests. Later corrections change scores, not evidence. The events of a cluster are one bet,
summed in the cluster's own row.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..domain.cohorts import DUE_STEP, bucket_of, due_of
from ..domain.records import PredictionRow, SeriesKey
from ..domain.settings import Revision
from ..domain.times import ceil
from ..stats.cells import CELLS, Integers
from ..stats.entries import Entries, added, expanded
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
from .classes import OfClass
from .join import Change
from .sums import Sums, series_of, series_of_all

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


def cohort_sums(
    changes: Sequence[Change],
    entries: Entries,
    taken: Mapping[int, Taken],
    revisions: Mapping[tuple[int, int], Revision],
    *,
    with_late: bool = True,
) -> Sums:
    """Return what changes of events without a cluster add to the cohorts that wait; targets are (series, due, bucket).

    Declared segments have cohorts of their own. The validation set is no evidence about the model in service.

    Parameters
    ----------
    entries : of the changes; rows are their positions
    taken : progress of the tests, by model
    revisions : segments declared when the events came, by model and number
    with_late : whether labels that came too late are summed too

    """
    cohorts = _cohorts(changes, taken, with_late=with_late)
    series, of_each, places = series_of_all([changes[i].row for i in cohorts], revisions)
    return _by_cohort(entries, len(changes), cohorts=cohorts, series=series, of_each=of_each, places=places)


def class_cohort_sums(
    changes: Sequence[Change], of_class: OfClass, taken: Mapping[int, Taken], *, with_late: bool = True
) -> Sums:
    """Return the same of one class, in series of its own.

    Parameters
    ----------
    of_class : what the changes add to its sums
    taken : progress of the tests, by model
    with_late : whether labels that came too late are summed too

    """
    cohorts = {i: cohort for i, cohort in _cohorts(changes, taken, with_late=with_late).items() if i in of_class.events}
    series: dict[SeriesKey, int] = {}
    places = [series.setdefault(changes[i].row.series(of_class.segment), len(series)) for i in cohorts]
    of_each = np.ones(len(places), dtype=np.int64)
    numbers = np.array(places, dtype=np.int64)
    return _by_cohort(
        of_class.entries, len(changes), cohorts=cohorts, series=list(series), of_each=of_each, places=numbers
    )


def _cohorts(changes: Sequence[Change], taken: Mapping[int, Taken], *, with_late: bool) -> dict[int, "_Cohort"]:
    """Return the cohorts of changes that add to one, by their positions."""
    cohorts = {i: cohort for i, change in enumerate(changes) if (cohort := _cohort_of(change, taken)) is not None}
    return {i: cohort for i, cohort in cohorts.items() if with_late or cohort.due != LATE}


def _by_cohort(
    entries: Entries,
    count: int,
    *,
    cohorts: Mapping[int, "_Cohort"],
    series: list[SeriesKey],
    of_each: Integers,
    places: Integers,
) -> Sums:
    """Return the entries of changes by series and cohort.

    Parameters
    ----------
    count : number of changes
    cohorts : by change
    of_each, places : number of series of each of these changes, and their positions, change after change

    """
    targets: dict[tuple[int, ...], int] = {}
    places_left = iter(places.tolist())
    target = [
        targets.setdefault((place, *cohort), len(targets))
        for cohort, times in zip(cohorts.values(), of_each.tolist(), strict=True)
        for place in islice(places_left, times)
    ]
    counts = np.zeros(count, dtype=np.int64)
    counts[list(cohorts)] = of_each
    is_late = np.zeros(count, dtype=bool)
    is_late[[i for i, cohort in cohorts.items() if cohort.due == LATE]] = True
    return Sums(series, list(targets), _summed(entries, counts, np.array(target, dtype=np.int64), is_late))


class _Cohort(NamedTuple):
    """The bucket of a cohort."""

    due: int  # or LATE
    bucket: int


def _cohort_of(change: Change, taken: Mapping[int, Taken]) -> _Cohort | None:
    """Return the cohort that a change adds to; None: to none."""
    row = change.row
    if row.reference or row.is_of_other_version or row.cluster is not None:
        return None
    due = due_of(row)
    if due > taken[row.model_id].until:
        return _Cohort(due, bucket_of(row))
    return _Cohort(LATE, bucket_of(row)) if _is_first_label(change) else None


def _is_first_label(change: Change) -> bool:
    return change.before is None and change.after is not None


def _summed(entries: Entries, counts: Integers, targets: Integers, is_late: NDArray[np.bool_]) -> Entries:
    """Return the entries of changes summed by target; only labels of late ones.

    Parameters
    ----------
    counts : number of targets of each change
    targets : of the first change, then of the second, and so on
    is_late : by change

    """
    rows, slots, values = entries
    kept = np.where(is_late[rows], TESTED[slots], COUNTED[slots])
    return gather(*expanded((rows[kept], slots[kept], values[kept]), counts, targets))


@dataclass(slots=True)
class _Gathering:
    """A cluster with the changes of a batch that add to it."""

    cluster: Cluster
    part_of: dict[int, Part] = field(default_factory=dict)  # by position of the change


ClustersOf = Mapping[int, Sequence[ClusterKey]]
"""The clusters that each change belongs to, by its position: of the model version as a whole, and of each declared segment."""


def clusters_of(
    changes: Sequence[Change], keys: Mapping[str, int], revisions: Mapping[tuple[int, int], Revision]
) -> ClustersOf:
    """Return the clusters that changes belong to.

    Parameters
    ----------
    keys : of the clusters, by name
    revisions : segments declared when the events came, by model and number

    """
    return {
        i: [
            ClusterKey(key.model_id, key.version, key.segment, keys[change.row.cluster])
            for key in series_of(change.row, revisions[change.row.model_id, change.row.revision])
        ]
        for i, change in enumerate(changes)
        if change.row.cluster is not None and not change.row.reference and not change.row.is_of_other_version
    }


def class_clusters_of(changes: Sequence[Change], keys: Mapping[str, int], of_class: OfClass) -> ClustersOf:
    """Return the clusters of one class that changes belong to.

    Parameters
    ----------
    keys : of the clusters, by name

    """
    return {
        i: [ClusterKey(row.model_id, row.version, of_class.segment, keys[row.cluster])]
        for i, row in ((i, changes[i].row) for i in sorted(of_class.events))
        if row.cluster is not None
    }


def gathered_clusters(
    changes: Sequence[Change],
    entries: Entries,
    taken: Mapping[int, Taken],
    clustered: ClustersOf,
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
    clustered : the clusters of the changes
    stored : the clusters as they are stored
    spans : how long new ones gather events, by model

    """
    gathering = {key: _Gathering(cluster) for key, cluster in stored.items()}
    for i in sorted(
        (i for i in clustered if changes[i].fresh), key=lambda i: (changes[i].row.at, changes[i].row.received_at)
    ):
        row = changes[i].row
        for key in clustered[i]:
            gathering.setdefault(key, _Gathering(_opened(row, spans[row.model_id])))
    for i, keys in clustered.items():
        for gathered in (gathering[key] for key in keys if key in gathering):
            part = _part(changes[i], gathered.cluster, taken)
            if part is not None:
                gathered.part_of[i] = part
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
    pairs = sorted(
        (i, number) for number, one in enumerate(gathering.values()) for i, own in one.part_of.items() if own == part
    )
    counts = np.bincount([i for i, _ in pairs], minlength=count)
    sums = _summed(
        entries, counts, np.array([number for _, number in pairs], dtype=np.int64), np.full(count, part == "rest")
    )
    blobs = encode_all(len(before), *added(decode_all(list(before.values())), sums))
    return dict(zip(before, blobs, strict=True))
