"""The entries (event, slot, value) that events add to summaries.

Losses use the standard library's logarithm, one by one: NumPy's differs in the last bit between processors, and a rollup
must be reproducible on all of them.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cells import SIXTIETHS, Integers, place
from .summary import (
    CLASS_FIELDS,
    KINDS,
    Kind,
    cell_slot,
    class_slot,
    fixed,
    gather,
    kind_base,
    loss_slot,
    predicted_slot,
    total_slot,
)

Entries = tuple[Integers, Integers, Integers]
LOG_CLIP: Final = 1e-15
_BASE: Final = {kind: kind_base(kind) for kind in KINDS}
_CELL_STRIDE: Final = cell_slot("both", 1, "n") - cell_slot("both", 0, "n")
_CLASS_EDGES: Final = np.arange(SIXTIETHS + 1) / SIXTIETHS


class Scored(NamedTuple):
    """One score of an event, with its kind, and its losses once the outcome is known."""

    event: int
    half: bool
    kind: Kind
    p: float
    y: int
    log_loss: float
    clipped: bool
    brier: float


def log_loss(q: float) -> tuple[float, bool]:
    """Return -ln q of the outcome's probability q, and whether q was clipped."""
    return (-math.log(LOG_CLIP), True) if q < LOG_CLIP else (-math.log(q), False)


def binary_losses(p: float, y: int) -> tuple[float, bool, float]:
    """Return log loss, whether it was clipped, and the Brier score (p - y)² of a single confidence."""
    loss, clipped = log_loss(p if y else 1.0 - p)
    return loss, clipped, (p - y) * (p - y)


def vector_losses(vector: list[float], truth: int) -> tuple[float, bool, float]:
    """Return log loss, whether it was clipped, and the multiclass Brier score Σ(p_j - y_j)² of a vector."""
    loss, clipped = log_loss(vector[truth])
    squares = math.fsum(map(float.__mul__, vector, vector))
    return loss, clipped, squares - 2.0 * vector[truth] + 1.0


def softmax(logits: list[float]) -> list[float]:
    """Return the probabilities of a vector of logits."""
    top = max(logits)
    powers = [math.exp(value - top) for value in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def top(vector: list[float]) -> int:
    """Return the index of the largest probability; the first of tied classes is the answer."""
    return vector.index(max(vector))


def of_arrivals(events: Sequence[int], kinds: Sequence[Kind], p: Sequence[float]) -> Entries:
    """Return the entries of arriving predictions: their count and confidence per kind of score."""
    rows = np.array(events, dtype=np.int64)
    values = np.array(p, dtype=np.float64)
    base = np.array([_BASE[kind] for kind in kinds], dtype=np.int64) + place(values) * _CELL_STRIDE
    offset = {name: cell_slot("both", 0, name) - kind_base("both") for name in ("en", "esp")}
    return _stack([(rows, base + offset["en"], np.ones_like(rows)), (rows, base + offset["esp"], fixed(values))])


def of_counts(events: list[int], name: str) -> Entries:
    """Return one count per event in a total: `events`, `labels`, `late` or `undeclared`."""
    rows = np.array(events, dtype=np.int64)
    return rows, np.full_like(rows, total_slot(name)), np.ones_like(rows)


def of_answers(events: Sequence[int], classes: Sequence[int]) -> Entries:
    """Return the entries of arriving answers: one for the class of each."""
    rows = np.array(events, dtype=np.int64)
    return rows, predicted_slot(0) + np.array(classes, dtype=np.int64), np.ones_like(rows)


def of_outcomes(scored: list[Scored]) -> Entries:
    """Return the entries of labelled scores: cell sums and losses."""
    if not scored:
        return joined([])
    event, in_half, kinds, confidence, outcomes, log_losses, clips, briers = zip(*scored, strict=True)
    rows = np.array(event, dtype=np.int64)
    p = np.array(confidence, dtype=np.float64)
    y = np.array(outcomes, dtype=np.int64)
    half = np.array(in_half, dtype=np.int64)
    base = np.array([_BASE[kind] for kind in kinds], dtype=np.int64)
    cell = base + place(p) * _CELL_STRIDE
    sums = fixed(p)
    outcome = y.astype(np.float64)
    spread = 1.0 - 2.0 * p
    cells: dict[str, Integers] = {
        "n": np.ones_like(rows),
        "sy": y,
        "sp": sums,
        "spp": fixed(p * p),
        "spy": sums * y,
        "hn": half,
        "hsy": half * y,
        "hsp": half * sums,
    }
    losses: dict[str, Integers] = {
        "log_loss": fixed(np.array(log_losses, dtype=np.float64)),
        "clipped": np.array(clips, dtype=np.int64),
        "brier": fixed(np.array(briers, dtype=np.float64)),
        "spiegelhalter_numerator": fixed((outcome - p) * spread),
        "spiegelhalter_denominator": fixed(spread * spread * p * (1.0 - p)),
    }
    parts = [(rows, cell + (cell_slot("both", 0, name) - kind_base("both")), values) for name, values in cells.items()]
    parts += [(rows, base + (loss_slot("both", name) - kind_base("both")), values) for name, values in losses.items()]
    return _stack(parts)


def of_classes(events: list[int], vectors: list[list[float]], truths: list[int]) -> Entries:
    """Return the entries of labelled vectors in the cells of their classes; all vectors have the same length."""
    table = np.array(vectors, dtype=np.float64)
    count, classes = table.shape
    rows = np.repeat(np.array(events, dtype=np.int64), classes)
    p = table.ravel()
    sixtieth = np.clip(np.searchsorted(_CLASS_EDGES, p, side="left") - 1, 0, SIXTIETHS - 1).astype(np.int64)
    index = np.tile(np.arange(classes, dtype=np.int64), count)
    base = class_slot(0, 0, "n") + (index * SIXTIETHS + sixtieth) * len(CLASS_FIELDS)
    happened = (index == np.repeat(np.array(truths, dtype=np.int64), classes)).astype(np.int64)
    values = {"n": np.ones_like(rows), "sp": fixed(p), "sy": happened}
    return _stack([(rows, base + CLASS_FIELDS.index(name), value) for name, value in values.items()])


def negated(entries: Entries) -> Entries:
    """Return entries that subtract others."""
    rows, slots, values = entries
    return rows, slots, -values


def joined(parts: list[Entries]) -> Entries:
    """Return all entries together, without those of value 0."""
    if not parts:
        empty: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    return _stack(parts)


def added(one: Entries, other: Entries) -> Entries:
    """Return the sum of two gathered sets of entries, gathered again."""
    rows, slots, values = (np.concatenate(pair) for pair in zip(one, other, strict=True))
    return gather(rows, slots, values, in_runs=True)


def _stack(parts: list[Entries]) -> Entries:
    rows, slots, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = values != 0
    return rows[kept], slots[kept], values[kept]


def expanded(entries: Entries, counts: Integers, targets: Integers) -> Entries:
    """Return the entries once per target of their event.

    Parameters
    ----------
    entries : entries whose rows are events
    counts : number of targets per event; shape (events,)
    targets : the targets of the first event, then those of the second, and so on; shape (sum of counts,)

    Returns
    -------
    entries whose rows are targets

    """
    rows, slots, values = entries
    times = counts[rows]
    return targets[repeated(rows, counts)], np.repeat(slots, times), np.repeat(values, times)


def repeated(rows: Integers, counts: Integers) -> Integers:
    """Return the positions of the parts of each row in turn, where row i has `counts[i]` consecutive parts.

    >>> repeated(np.array([2, 0]), np.array([2, 1, 3])).tolist()
    [3, 4, 5, 0, 1]
    """
    times = counts[rows]
    starts = (np.cumsum(counts) - counts)[rows]
    return np.repeat(starts - (np.cumsum(times) - times), times) + np.arange(times.sum())
