"""What waits for the sequential tests: labels that came after their cohort was taken in, and labels that share a cluster.

A cohort is taken in once it has matured, from the sums per bucket. A label that is its prediction's first and comes after
that is summed apart, by when it was rolled up, and taken in as a step of its own; later corrections of it change scores, not
evidence. What clusters add up to is kept beside the sums until it is taken in.
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
"""Which slots of a summary the sequential tests read: labelled events, by their served score; shape (SLOTS,)."""


class Carried(NamedTuple):
    """Stored sums that are to be taken in as late ones."""

    series: SeriesKey
    cluster: int | None  # None: all events, those of clusters among them
    summary: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """Sums that wait for the sequential tests."""

    late: Sums
    clusters: Sums  # targets have the cluster's key at their end


Place = tuple[SeriesKey, tuple[int, ...]]
"""A series, and the rest of a target: level, beginning, and of clusters their key."""


def cluster_keys(key: bytes, clusters: Iterable[str | None]) -> dict[str, int]:
    """Return the keys that sums of clusters are stored under: 63 bits that nobody outside can foresee."""
    return {
        cluster: int.from_bytes(hashlib.blake2b(cluster.encode(), digest_size=8, key=key).digest(), "little") >> 1
        for cluster in set(clusters)
        if cluster is not None
    }


def passed_over(taken: Mapping[int, Taken], minutes: Mapping[int, int]) -> dict[int, int]:
    """Return which models' tests stand within an hour whose minutes go, and the end of that hour.

    No sum would tell any more what of the hour they have taken in, so the rest of it is handed over as late labels.
    """
    standing = {m: come.until for m, come in taken.items() if come.until is not None and come.until % HOUR}
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
    """Return what changes add to what waits for the sequential tests.

    Parameters
    ----------
    entries : of the changes; rows are their positions
    taken : what the tests have taken in, by model
    keys : of the clusters, by name
    now : when the changes are rolled up: the time of what is late
    carried : what is late besides

    """
    late, early = _apart(changes, taken)
    moment = (LATE_LEVEL, floor(now, MINUTE))
    clustered = [i for i in (*late, *early) if changes[i].row.cluster is not None]
    passed = set(late)

    def of_cluster(i: int) -> Place:
        row = changes[i].row
        begin = moment if i in passed else (MINUTE_LEVEL, floor(row.at, MINUTE))
        return _whole(row), (*begin, keys[row.cluster or ""])

    whole = [each for each in carried if each.cluster is None]
    apart = [each for each in carried if each.cluster is not None]
    return Waiting(
        late=_summed(
            [*((_whole(changes[i].row), moment) for i in late), *((each.series, moment) for each in whole)],
            [_of_changes(late, entries, len(changes)), _of_stored(whole, len(late))],
        ),
        clusters=_summed(
            [*map(of_cluster, clustered), *((each.series, (*moment, each.cluster or 0)) for each in apart)],
            [_of_changes(clustered, entries, len(changes)), _of_stored(apart, len(clustered))],
        ),
    )


def _apart(changes: Sequence[Change], taken: Mapping[int, Taken]) -> tuple[list[int], list[int]]:
    """Return which changes are first labels of cohorts that were taken in, and which are of clusters in cohorts that were not.

    The validation set is no evidence of how the model does.
    """
    until = {model_id: come.until or 0 for model_id, come in taken.items()}
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


def _whole(row: PredictionRow) -> SeriesKey:
    return SeriesKey(row.model_id, row.version, row.calibrator or 0, "")


def _of_changes(chosen: Sequence[int], entries: Entries, count: int) -> Entries:
    """Return what the tests read of the chosen changes' entries; rows are places among the chosen."""
    if not chosen:
        return joined([])
    place = np.full(count, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    rows, slots, values = entries
    kept = (place[rows] >= 0) & TESTED[slots]
    return place[rows[kept]], slots[kept], values[kept]


def _of_stored(carried: Sequence[Carried], first: int) -> Entries:
    """Return what the tests read of stored sums; rows are their places, counted from `first`."""
    if not carried:
        return joined([])
    rows, slots, values = decode_all([each.summary for each in carried])
    kept = TESTED[slots]
    return rows[kept] + first, slots[kept], values[kept]


def _summed(places: Iterable[Place], parts: list[Entries]) -> Sums:
    """Return entries, whose rows are positions among the places, added up by place."""
    series: dict[SeriesKey, int] = {}
    targets: dict[tuple[int, ...], int] = {}
    numbers = [targets.setdefault((series.setdefault(key, len(series)), *rest), len(targets)) for key, rest in places]
    if not numbers:
        return Sums([], [], joined([]))
    rows, slots, values = joined(parts)
    return Sums(list(series), list(targets), gather(np.array(numbers, dtype=np.int64)[rows], slots, values))
