"""Steps of the sequential tests of a model version, from sums of events to evidence."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import groupby, pairwise
from typing import Final

import numpy as np

from ..stats.cells import Cells, Floats
from ..stats.sequential.betting import SUMS, Entries
from ..stats.sequential.evidence import Clusters, Evidence
from ..stats.sequential.guarantee import Deciding
from ..stats.sequential.selection import Labelling
from ..stats.sequential.together import advanced_together
from ..stats.summary import PIT_CELLS, Summary, cell_sums
from ..stats.values import has_values

TWENTIETHS: Final = 20

Read = Callable[[Summary, int | None], Cells]
"""Returns the served cells of a bucket from its sums and its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A bucket of time to be added to the tests of a version."""

    version: str
    segment: str = ""  # empty: all events of the version
    begin: int  # in event time
    end: int
    singles: list[bytes] = field(default_factory=list)  # sums of events without a cluster
    clusters: list[bytes] = field(default_factory=list)  # sums of clusters that opened then, one by one


def advanced(evidence: Evidence, step: Step, *, task: str, threshold: float, decides: Deciding, read: Read) -> Evidence:
    """Return the tests after a step: the events of a cluster bet together, all others alone."""
    if task == "regression":
        return evidence.advanced_pit(*_counts(step), threshold=threshold, decides=decides)
    return evidence.advanced(*_cells(step, read), threshold=threshold, decides=decides)


def taught(evidence: Evidence, late: Step, *, task: str, read: Read) -> Evidence:
    """Return the tests after labels that came too late to be bet on."""
    return evidence.taught_pit(*_counts(late)) if task == "regression" else evidence.taught(*_cells(late, read))


def labelling(steps: Sequence[Step], late: Sequence[Step], *, task: str, read: Read) -> Labelling | None:
    """Return which predictions of steps had a label, and the late labels of others; None of regressions and where there is neither."""
    if task == "regression" or not (steps or late):
        return None
    timely, late = (_parts(some, task) for some in (steps, late))
    told = reduce(operator.add, (_labelling(step, read) for step in timely), Labelling.begin())
    return reduce(operator.add, (_labelling(step, read).late for step in late), told)


def _parts(steps: Sequence[Step], task: str) -> Sequence[Step]:
    """Return steps, as one where none holds values whose reading depends on its time."""
    if task == "confidence" or not steps:
        return steps
    singles, clusters = ([blob for step in steps for blob in getattr(step, part)] for part in ("singles", "clusters"))
    return [replace(steps[-1], singles=singles, clusters=clusters)]


def _labelling(step: Step, read: Read) -> Labelling:
    seen = Labelling.of_cells(read(Summary.of(step.singles), step.begin))
    if not step.clusters:
        return seen
    names = ("en", "esp", "n", "sy", "sp")
    if has_values(Summary.of(step.clusters)):
        apart = [read(Summary.of([blob]), step.begin) for blob in step.clusters]
        sums = [np.array([getattr(cells, name).sum() for cells in apart]) for name in names]
    else:
        cluster, _, cells = cell_sums(step.clusters, ("both", "served"), names)
        sums = [np.bincount(cluster, column, len(step.clusters)) for column in cells.T]
    return seen + Labelling.of_clusters(*sums)


def advanced_through(
    evidence: Evidence, steps: Sequence[Step], *, task: str, threshold: float, decides: Deciding, read: Read
) -> tuple[Evidence, list[Step]]:
    """Return the tests after several steps of one version, and which of them had labels that could be tested.

    Plain steps are added together.
    """
    counted: list[Step] = []
    for plain, some in groupby(steps, key=lambda step: _is_plain(step, task)):
        group = list(some)
        if plain:
            entries = _entries(group)
            evidence = evidence.advanced_through(entries, threshold=threshold, decides=decides)
            counted += [group[row] for row in np.unique(entries.row)]
            continue
        for step in group:
            after = advanced(evidence, step, task=task, threshold=threshold, decides=decides, read=read)
            counted += [step] if after.steps > evidence.steps else []
            evidence = after
    return evidence, counted


Tested = tuple[Evidence, list[Step]]
"""Tests after some steps, and which of the steps had labels that could be tested."""


def advanced_side_by_side(
    tests: Sequence[Evidence], steps: Sequence[Sequence[Step]], *, task: str, threshold: float, reads: Sequence[Read]
) -> list[Tested]:
    """Return the tests of several streams after the steps of each; plain steps are added together.

    Parameters
    ----------
    steps, reads : of each stream

    """
    after: dict[int, Tested] = {}
    plain = [i for i, own in enumerate(steps) if all(_is_plain(step, task) for step in own)]
    for i in sorted(set(range(len(tests))) - set(plain)):
        after[i] = advanced_through(tests[i], steps[i], task=task, threshold=threshold, decides="log_e", read=reads[i])
    together = _side_by_side([tests[i] for i in plain], [steps[i] for i in plain], threshold) if plain else []
    after |= dict(zip(plain, together, strict=True))
    return [after[i] for i in range(len(tests))]


def _side_by_side(tests: Sequence[Evidence], steps: Sequence[Sequence[Step]], threshold: float) -> list[Tested]:
    begins = sorted({step.begin for own in steps for step in own})
    if not begins:
        return [(test, []) for test in tests]
    number, rows = {begin: i for i, begin in enumerate(begins)}, len(tests)
    placed = [(number[step.begin] * rows + i, step) for i, own in enumerate(steps) for step in own]
    owner = np.repeat([place for place, _ in placed], [len(step.singles) for _, step in placed])
    row, cell, sums = cell_sums([blob for _, step in placed for blob in step.singles], ("both", "served"), SUMS)
    together = Entries.gathered(len(begins) * rows, owner[row], cell, sums)
    after, labels = advanced_together(tests, _apart(together, rows), threshold=threshold)
    return [(test, [step for step in steps[i] if labels[number[step.begin], i]]) for i, test in enumerate(after)]


def _apart(entries: Entries, rows: int) -> list[Entries]:
    """Return entries cut into steps of so many rows."""
    bounds = np.searchsorted(entries.row, np.arange(0, entries.rows + 1, rows))
    return [
        Entries(
            rows=rows,
            row=entries.row[first:last] - i * rows,
            cell=entries.cell[first:last],
            **{name: getattr(entries, name)[first:last] for name in SUMS},
        )
        for i, (first, last) in enumerate(pairwise(bounds))
    ]


def _is_plain(step: Step, task: str) -> bool:
    """Return whether a step has neither clusters nor values to be read as probabilities: its cells are enough."""
    if step.clusters or task == "regression":
        return False
    return task != "confidence" or not has_values(Summary.of(step.singles))


def _entries(steps: Sequence[Step]) -> Entries:
    owner = np.repeat(np.arange(len(steps)), [len(step.singles) for step in steps])
    row, cell, sums = cell_sums([blob for step in steps for blob in step.singles], ("both", "served"), SUMS)
    return Entries.gathered(len(steps), owner[row], cell, sums)


def _counts(step: Step) -> tuple[Floats, Floats]:
    """Return a regression's labelled events per twentieth, without a cluster and of each cluster."""
    clusters = np.array([_twentieths(Summary.of([blob])) for blob in step.clusters]).reshape(-1, TWENTIETHS)
    return _twentieths(Summary.of(step.singles)), clusters


def _twentieths(summary: Summary) -> Floats:
    counts: Floats = summary.pit()[:, 0].reshape(TWENTIETHS, PIT_CELLS // TWENTIETHS).sum(axis=1)
    return counts


def _cells(step: Step, read: Read) -> tuple[Cells, Clusters | None]:
    return read(Summary.of(step.singles), step.begin), _clusters(step.clusters, read, step.begin)


def _clusters(parts: Sequence[bytes], read: Read, begin: int) -> Clusters | None:
    """Return the sums of clusters, their values read as probabilities."""
    if not parts:
        return None
    if not has_values(Summary.of(parts)):
        cluster, cell, sums = cell_sums(parts, ("both", "served"), ("n", "sy", "sp"))
        labelled = sums[:, 0] > 0
        return Clusters(cluster[labelled], cell[labelled], *np.ascontiguousarray(sums[labelled].T))
    apart = [read(Summary.of([blob]), begin) for blob in parts]
    n, sy, sp = (np.array([getattr(cells, name) for cells in apart]) for name in ("n", "sy", "sp"))
    cluster, cell = np.nonzero(n)
    return Clusters(cluster, cell, n[cluster, cell], sy[cluster, cell], sp[cluster, cell])
