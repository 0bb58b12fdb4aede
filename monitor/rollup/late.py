"""Sums that wait for the sequential tests: labels later than the test of their cohort, and labels that share a cluster.

A cohort is tested once it has matured, from the sums per bucket. The first label of a prediction that arrives after that
is summed separately, by the time of its roll-up, and tested as a step of its own; later corrections of it change scores, not
evidence. Sums of clusters are kept beside the other sums until they are tested.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from ..domain.records import LATE_LEVEL, MINUTE_LEVEL, PredictionRow, SeriesKey
from ..domain.times import HOUR, MINUTE, ceil, floor
from ..stats.cells import CELLS
from ..stats.entries import Entries, joined
from ..stats.summary import PIT_CELLS, SLOTS, VALUES, cell_slot, decode_all, gather, pit_slot, value_slot
from ..store.sequential import Taken
from .join import Change
from .sums import Sums


def _tested() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    chosen = np.zeros(SLOTS, dtype=bool)
    for kind in ("both", "served"):
        for name in ("n", "sy", "sp", "spp", "spy"):
            chosen[[cell_slot(kind, cell, name) for cell in range(CELLS)]] = True
    chosen[[pit_slot(cell, "n") for cell in range(PIT_CELLS)]] = True
    for family, places in VALUES.items():
        chosen[[value_slot(family, place, name) for place in range(places) for name in ("n", "sy")]] = True
    chosen.setflags(write=False)
    return chosen


TESTED: Final = _tested()
"""Mask of the summary slots that the sequential tests read: labelled events by served score; shape (SLOTS,)."""


class Carried(NamedTuple):
    """Stored sums that become late sums."""

    series: SeriesKey
    cluster: int | None  # None: sums of all events, in a cluster or not
    summary: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """Sums that wait for the sequential tests."""

    late: Sums
    clusters: Sums  # targets have the cluster's key at their end


Place = tuple[SeriesKey, tuple[int, ...]]
"""A series, and the rest of a target: level, beginning, and for clusters their key."""


def cluster_keys(key: bytes, clusters: Iterable[str | None]) -> dict[str, int]:
    """Return the keys of clusters for storage: 63 bits of a keyed hash, which outsiders cannot predict."""
    return {
        cluster: int.from_bytes(hashlib.blake2b(cluster.encode(), digest_size=8, key=key).digest(), "little") >> 1
        for cluster in set(clusters)
        if cluster is not None
    }


def passed_over(taken: Mapping[int, Taken], minutes: Mapping[int, int]) -> dict[int, int]:
    """Return the models whose tests are within an hour that loses its minute rollups, and the end of that hour.

    Without minutes, the tested part of the hour can no longer be told from the rest, so the rest becomes late labels.
    """
    standing = {m: tested.until for m, tested in taken.items() if tested.until is not None and tested.until % HOUR}
    return {m: ceil(until, HOUR) for m, until in standing.items() if minutes[m] > until}


def waiting(
    changes: Sequence[Change],
    entries: Entries,
    taken: Mapping[int, Taken],
    keys: Mapping[str, int],
    *,
    now: int = 0,
    carried: Sequence[Carried] = (),
) -> Waiting:
    """Return the sums that changes add to those that wait for the sequential tests.

    Parameters
    ----------
    entries : of the changes; rows are their positions
    taken : progress of the tests, by model
    keys : of the clusters, by name
    now : time of the roll-up, under which late labels are stored
    carried : stored sums that become late

    """
    late, early = _apart(changes, taken)
    moment = (LATE_LEVEL, floor(now, MINUTE))
    clustered = [i for i in (*late, *early) if changes[i].row.cluster is not None]
    passed = set(late)

    def of_cluster(i: int) -> Place:
        row = changes[i].row
        begin = moment if i in passed else (MINUTE_LEVEL, floor(row.at, MINUTE))
        return row.series(), (*begin, keys[row.cluster or ""])

    whole = [sums for sums in carried if sums.cluster is None]
    apart = [sums for sums in carried if sums.cluster is not None]
    return Waiting(
        late=_summed(
            [*((changes[i].row.series(), moment) for i in late), *((sums.series, moment) for sums in whole)],
            [_of_changes(late, entries, len(changes)), _of_stored(whole, len(late))],
        ),
        clusters=_summed(
            [*map(of_cluster, clustered), *((sums.series, (*moment, sums.cluster or 0)) for sums in apart)],
            [_of_changes(clustered, entries, len(changes)), _of_stored(apart, len(clustered))],
        ),
    )


def _apart(changes: Sequence[Change], taken: Mapping[int, Taken]) -> tuple[list[int], list[int]]:
    """Return the positions of first labels in tested cohorts, and of clustered events in untested cohorts.

    The validation set is no evidence about the model in service.
    """
    until = {model_id: tested.until or 0 for model_id, tested in taken.items()}
    late, early = [], []
    for i, change in enumerate(changes):
        if change.row.reference:
            continue
        if change.row.at >= until[change.row.model_id]:
            if change.row.cluster is not None:
                early.append(i)
        elif change.before is None and change.after is not None and _counts(change.row, taken):
            late.append(i)
    return late, early


def _counts(row: PredictionRow, taken: Mapping[int, Taken]) -> bool:
    return row.at >= taken[row.model_id].beginning(row.version)


def _of_changes(chosen: Sequence[int], entries: Entries, count: int) -> Entries:
    """Return the tested entries of the chosen changes; rows are positions among the chosen."""
    if not chosen:
        return joined([])
    place = np.full(count, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    rows, slots, values = entries
    kept = (place[rows] >= 0) & TESTED[slots]
    return place[rows[kept]], slots[kept], values[kept]


def _of_stored(carried: Sequence[Carried], first: int) -> Entries:
    """Return the tested entries of stored sums; rows are their positions, counted from `first`."""
    if not carried:
        return joined([])
    rows, slots, values = decode_all([sums.summary for sums in carried])
    kept = TESTED[slots]
    return rows[kept] + first, slots[kept], values[kept]


def _summed(places: Iterable[Place], parts: list[Entries]) -> Sums:
    """Return entries summed by place; their rows are positions among the places."""
    series: dict[SeriesKey, int] = {}
    targets: dict[tuple[int, ...], int] = {}
    numbers = [targets.setdefault((series.setdefault(key, len(series)), *rest), len(targets)) for key, rest in places]
    if not numbers:
        return Sums([], [], joined([]))
    rows, slots, values = joined(parts)
    return Sums(list(series), list(targets), gather(np.array(numbers, dtype=np.int64)[rows], slots, values))
