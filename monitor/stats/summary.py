"""The summary: what a time bucket keeps of its events, as a sparse vector of integers.

Every figure is a sum, kept as a fixed-point integer (2⁻³⁰), so that addition is associative: any window is the sum of
its buckets, in any order, bit for bit, and a corrected label subtracts exactly what it once added.

A slot is a place in that vector: a scalar, a field of a cell, or a field of a class's cell. The encoded form is the
occupied slots in ascending order (uint16, little-endian) followed by their values (int64, little-endian); zeros are
not stored, so that equal sums are equal bytes.

An event without a raw score counts in the cells of kind "both"; one with a raw score counts in "served" and in "raw".
Served figures are the sum of the first two, raw ones of the first and the last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from monitor.stats.cells import CELLS, SIXTIETHS, Cells, Floats, Integers

ONE: Final = 1 << 30
"""The fixed-point unit: sums of ratios and losses are multiples of 1/ONE."""

LIMIT: Final = 1 << 62
"""No sum in a bucket may reach this; int64 ends at twice it."""

Kind = Literal["both", "served", "raw"]
Scores = Literal["served", "raw"]
KINDS: Final[tuple[Kind, ...]] = ("both", "served", "raw")
CELL_FIELDS: Final = ("n", "sy", "sp", "spp", "spy", "en", "esp", "hn", "hsy", "hsp")
COUNTED_FIELDS: Final = frozenset({"n", "sy", "en", "hn", "hsy"})
TOTALS: Final = ("events", "labels", "late")
LOSSES: Final = ("log_loss", "clipped", "brier", "spiegelhalter_numerator", "spiegelhalter_denominator")
CLASS_FIELDS: Final = ("n", "sp", "sy")
MAX_CLASSES: Final = 100
"""Classwise cells are kept for models of up to so many classes."""

_RESERVED: Final = 16
_KIND_SIZE: Final = _RESERVED + CELLS * len(CELL_FIELDS)
_CLASS_SIZE: Final = SIXTIETHS * len(CLASS_FIELDS)
_CLASS_BASE: Final = _RESERVED + len(KINDS) * _KIND_SIZE
SLOTS: Final = _CLASS_BASE + MAX_CLASSES * _CLASS_SIZE
_ENTRY_BYTES: Final = 10


def total_slot(name: str) -> int:
    """Return the slot of a count over all events: `events`, `labels` or `late`."""
    return TOTALS.index(name)


def kind_base(kind: Kind) -> int:
    """Return the first slot of a kind of score."""
    return _RESERVED + KINDS.index(kind) * _KIND_SIZE


def loss_slot(kind: Kind, name: str) -> int:
    """Return the slot of a summed loss of a kind of score."""
    return kind_base(kind) + LOSSES.index(name)


def cell_slot(kind: Kind, cell: int, field: str) -> int:
    """Return the slot of one field of one cell of a kind of score."""
    return kind_base(kind) + _RESERVED + cell * len(CELL_FIELDS) + CELL_FIELDS.index(field)


def class_slot(index: int, sixtieth: int, field: str) -> int:
    """Return the slot of one field of one of a class's sixty equal-width cells."""
    return _CLASS_BASE + index * _CLASS_SIZE + sixtieth * len(CLASS_FIELDS) + CLASS_FIELDS.index(field)


def fixed(values: Floats) -> Integers:
    """Return values as fixed-point integers, rounded half to even."""
    return np.rint(values * ONE).astype(np.int64)


def gather(rows: Integers, slots: Integers, values: Integers) -> tuple[Integers, Integers, Integers]:
    """Add up entries that share row and slot.

    Parameters
    ----------
    rows, slots, values : integer arrays of shape (n,)

    Returns
    -------
    the same three for the distinct (row, slot) whose sum is not 0, sorted by row, then slot

    Raises
    ------
    OverflowError
        when a sum leaves the range that a bucket may hold.

    """
    if not len(rows):
        return rows, slots, values
    order = np.argsort(rows * SLOTS + slots, kind="stable")
    keys = (rows * SLOTS + slots)[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sums = np.add.reduceat(values[order], first)
    # Each term is below LIMIT = 2⁶², so the sum in floats tells a wrapped sum from an honest one.
    if np.abs(np.add.reduceat(values[order].astype(np.float64), first)).max() >= LIMIT:
        raise OverflowError("a sum in a rollup bucket would leave the range of 64-bit integers")
    keep = sums != 0
    kept = keys[first][keep]
    return kept // SLOTS, kept % SLOTS, sums[keep]


def encode(slots: Integers, values: Integers) -> bytes:
    """Return occupied slots (ascending) and their values as bytes."""
    return slots.astype("<u2").tobytes() + values.astype("<i8").tobytes()


def decode(blob: bytes) -> tuple[Integers, Integers]:
    """Return slots and values of an encoded summary.

    Raises
    ------
    ValueError
        when the bytes are not an encoded summary.

    """
    count, rest = divmod(len(blob), _ENTRY_BYTES)
    if rest:
        raise ValueError(f"a summary of {len(blob)} bytes is cut short: it must be a multiple of {_ENTRY_BYTES}")
    slots = np.frombuffer(blob, dtype="<u2", count=count).astype(np.int64)
    if count and (slots[-1] >= SLOTS or (np.diff(slots) <= 0).any()):
        raise ValueError("a summary's slots are not ascending")
    return slots, np.frombuffer(blob, dtype="<i8", count=count, offset=2 * count).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Summary:
    """The sum of any number of buckets, in integers wider than a bucket's: `high`·2³² + `low` per slot."""

    high: NDArray[np.int64]
    low: NDArray[np.int64]

    @classmethod
    def of(cls, blobs: Iterable[bytes]) -> "Summary":
        """Return the sum of encoded summaries; of none, the empty summary."""
        high = np.zeros(SLOTS, dtype=np.int64)
        low = np.zeros(SLOTS, dtype=np.int64)
        for blob in blobs:
            slots, values = decode(blob)
            high[slots] += values >> 32  # a blob's slots are distinct, so plain indexing adds each
            low[slots] += values & 0xFFFFFFFF
        return cls(high, low)

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(self.high + other.high, self.low + other.low)

    def count(self, slot: int) -> int:
        """Return the integer in a slot, exactly."""
        return (int(self.high[slot]) << 32) + int(self.low[slot])

    @property
    def events(self) -> int:
        """How many predictions."""
        return self.count(total_slot("events"))

    @property
    def labels(self) -> int:
        """How many of them have a label."""
        return self.count(total_slot("labels"))

    @property
    def late(self) -> int:
        """How many labels came later than the declared delay, by their own time."""
        return self.count(total_slot("late"))

    def loss(self, scores: Scores, name: str) -> float:
        """Return a summed loss (or, for `clipped`, its count) of served or of raw scores."""
        total = sum(self.count(loss_slot(kind, name)) for kind in _kinds(scores))
        return float(total) if name == "clipped" else total / ONE

    def cells(self, scores: Scores) -> Cells:
        """Return the sums of served or of raw scores, cell by cell."""
        both, own = (self._floats(kind_base(kind) + _RESERVED, CELLS * len(CELL_FIELDS)) for kind in _kinds(scores))
        table = (both + own).reshape(CELLS, len(CELL_FIELDS))
        return Cells(
            **{
                name: np.ascontiguousarray(table[:, i]) / (1.0 if name in COUNTED_FIELDS else float(ONE))
                for i, name in enumerate(CELL_FIELDS)
            }
        )

    def classwise(self, classes: int) -> Floats:
        """Return n, Σp and Σy of each class's sixty cells; shape (classes, 60, 3)."""
        table = self._floats(_CLASS_BASE, classes * _CLASS_SIZE).reshape(classes, SIXTIETHS, len(CLASS_FIELDS))
        return np.divide(table, [1.0, float(ONE), 1.0], dtype=np.float64)

    def _floats(self, first: int, size: int) -> Floats:
        part = slice(first, first + size)
        return np.add(np.multiply(self.high[part], 4294967296.0), self.low[part], dtype=np.float64)


def _kinds(scores: Scores) -> tuple[Kind, Kind]:
    return ("both", "raw") if scores == "raw" else ("both", "served")
