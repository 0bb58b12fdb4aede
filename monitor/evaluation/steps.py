"""Steps of the sequential tests of a model version, from sums of events to evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

import numpy as np

from ..stats.cells import Cells, Floats
from ..stats.sequential.betting import SUMS, Entries
from ..stats.sequential.evidence import Clusters, Evidence
from ..stats.summary import PIT_CELLS, Summary, cell_sums
from ..stats.values import has_values

TWENTIETHS: Final = 20

Read = Callable[[Summary, int | None], Cells]
"""Returns the served cells of a bucket from its sums and its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A bucket of time to be added to the tests of a version."""

    version: str
    begin: int  # in event time
    end: int
    singles: list[bytes] = field(default_factory=list)  # sums of events without a cluster
    clusters: list[bytes] = field(default_factory=list)  # sums of clusters that opened then, one by one


def advanced(evidence: Evidence, step: Step, *, task: str, threshold: float, read: Read) -> Evidence:
    """Return the tests after a step: the events of a cluster bet together, all others alone."""
    if task == "regression":
        return evidence.advanced_pit(*_counts(step), threshold=threshold)
    return evidence.advanced(*_cells(step, read), threshold=threshold)


def taught(evidence: Evidence, late: Step, *, task: str, read: Read) -> Evidence:
    """Return the tests after labels that came too late to be bet on."""
    return evidence.taught_pit(*_counts(late)) if task == "regression" else evidence.taught(*_cells(late, read))


def advanced_through(
    evidence: Evidence, steps: Sequence[Step], *, task: str, threshold: float, read: Read
) -> tuple[Evidence, list[Step]]:
    """Return the tests after several steps of one version, and which of them had labels that could be tested.

    Plain steps are added together.
    """
    counted: list[Step] = []
    for plain, some in groupby(steps, key=lambda step: _is_plain(step, task)):
        group = list(some)
        if plain:
            entries = _entries(group)
            evidence = evidence.advanced_through(entries, threshold=threshold)
            counted += [group[row] for row in np.unique(entries.row)]
            continue
        for step in group:
            after = advanced(evidence, step, task=task, threshold=threshold, read=read)
            counted += [step] if after.steps > evidence.steps else []
            evidence = after
    return evidence, counted


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
