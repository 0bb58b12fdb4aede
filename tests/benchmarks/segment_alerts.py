"""Which segments the alert `segment` names: of ten, two are off in opposite directions; they are looked at every minute."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from monitor.stats.cells import Floats, Integers, place
from monitor.stats.sequential.betting import SUMS, Entries
from monitor.stats.sequential.ledger import Ledger
from monitor.stats.sequential.spending import level
from tests.benchmarks.streams import table

SEEDS: Final = 100
SEGMENTS: Final = 10
LABELS: Final = 3_000
MINUTES: Final = 30 * 24 * 60
THRESHOLD: Final = 0.02
"""That of segments, with the default threshold of the model."""

RATE: Final = 0.01

Flags = np.ndarray[tuple[int, int], np.dtype[np.bool_]]


def reached(gaps: Sequence[float], seeds: Sequence[int], *, labels: int = LABELS, minutes: int = MINUTES) -> Flags:
    """Return which segments' tests ever reach their mark, whatever minute one looks at; shape (seeds, segments).

    Segments are independent of one another, so the tests of all of them, in all runs, take their k-th minute with labels together.

    Parameters
    ----------
    gaps : by how much the outcomes of each segment are off; its confidences are uniform in (.2, .8)
    seeds : one a run
    labels : of each segment
    minutes : over which these are spread

    """
    rows = len(seeds) * len(gaps)
    at, p, y = np.empty((rows, labels), dtype=np.int64), np.empty((rows, labels)), np.empty((rows, labels))
    for run, seed in enumerate(seeds):
        dice, own = np.random.default_rng(seed), slice(run * len(gaps), (run + 1) * len(gaps))
        at[own] = np.sort(dice.integers(0, minutes, (len(gaps), labels)), axis=1)
        p[own] = dice.uniform(0.2, 0.8, (len(gaps), labels))
        y[own] = dice.random((len(gaps), labels)) < p[own] + np.array(gaps)[:, np.newaxis]
    ledger = Ledger.begin(rows)
    for entries in _steps(at, p, y):
        ledger = ledger.advanced(entries, THRESHOLD)
    marks = [-np.log(level(start, RATE)) for start in range(1, len(gaps) + 1)]
    order = at[:, 0].reshape(len(seeds), len(gaps)).argsort(axis=1, kind="stable").argsort(axis=1)
    flags: Flags = ledger.peak.reshape(len(seeds), len(gaps)) >= np.array(marks)[order]
    return flags


def _steps(at: Integers, p: Floats, y: Floats) -> Iterator[Entries]:
    """Yield the k-th minute with labels of each row, for k = 1, 2, …"""
    fresh = np.diff(at, axis=1, prepend=-1) > 0
    step = np.cumsum(fresh, axis=1) - 1
    row = np.broadcast_to(np.arange(len(at))[:, np.newaxis], at.shape)
    order = np.argsort(step, axis=None, kind="stable")
    bounds = np.searchsorted(step.ravel()[order], np.arange(step.max() + 2))
    sums = np.stack([np.ones_like(p), y, p, p * p, p * y], axis=-1).reshape(-1, len(SUMS))
    cells, rows = place(p.ravel()), row.ravel()
    for first, last in pairwise(bounds):
        own = order[first:last]
        yield Entries.gathered(len(at), rows[own], cells[own], sums[own])


CASES: Final[dict[str, tuple[float, ...]]] = {
    "two off by .08 in opposite directions": (0.08, -0.08, *[0.0] * (SEGMENTS - 2)),
    "two off by .14 in opposite directions": (0.14, -0.14, *[0.0] * (SEGMENTS - 2)),
    "all calibrated": (0.0,) * SEGMENTS,
    "all off by .02, which is their threshold": (0.02,) * SEGMENTS,
}


def run() -> Iterator[str]:
    """Yield a table: of so many runs, in how many the alert names the segments that are off, and another one."""
    body = []
    for name, gaps in CASES.items():
        flags, off = reached(gaps, range(SEEDS)), np.abs(gaps) > THRESHOLD
        both = int(flags[:, off].all(axis=1).sum()) if off.any() else None
        body.append([name, "" if both is None else str(both), str(int(flags[:, ~off].any(axis=1).sum()))])
    yield (
        f"{SEGMENTS} segments of {LABELS:,} labels over 30 days, looked at every minute, at a threshold of {THRESHOLD:g} and a rate of "
        f"{RATE:g}: of {SEEDS} runs, in how many the alert names the segments that are off, and another."
    )
    yield table(["segments", "names all that are off", "names another"], body)
