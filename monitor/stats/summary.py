"""The summary: what a time bucket keeps of its events, as a sparse vector of integers.

Every figure is a sum, kept as a fixed-point integer (2⁻³⁰), so that addition is associative: any window is the sum of
its buckets, in any order, bit for bit, and a corrected label subtracts exactly what it once added.

A slot is a place in that vector: a scalar, a field of a cell, or a field of a class's cell. The encoded form is the
occupied slots in ascending order (uint16, little-endian) followed by their values (int64, little-endian); zeros are
not stored, so that equal sums are equal bytes.

An event without a raw score counts in the cells of kind "both"; one with a raw score counts in "served" and in "raw".
Served figures are the sum of the first two, raw ones of the first and the last.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from monitor.stats.cells import CELLS, SIXTIETHS, Cells, Floats, Integers, interval

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


def slot_name(slot: int) -> str:
    """Return what is summed in a slot, in words.

    >>> slot_name(total_slot("labels")), slot_name(cell_slot("served", 401, "sy")), slot_name(class_slot(2, 0, "n"))
    ('labels', 'served cell [1, 1] sy', 'class 2 sixtieth 0 n')
    """
    if slot < _RESERVED:
        return TOTALS[slot] if slot < len(TOTALS) else f"unused slot {slot}"
    if slot >= _CLASS_BASE:
        index, rest = divmod(slot - _CLASS_BASE, _CLASS_SIZE)
        sixtieth, field = divmod(rest, len(CLASS_FIELDS))
        return f"class {index} sixtieth {sixtieth} {CLASS_FIELDS[field]}"
    number, rest = divmod(slot - _RESERVED, _KIND_SIZE)
    if rest < _RESERVED:
        return f"{KINDS[number]} {LOSSES[rest]}" if rest < len(LOSSES) else f"unused slot {slot}"
    cell, field = divmod(rest - _RESERVED, len(CELL_FIELDS))
    return f"{KINDS[number]} cell {interval(cell)} {CELL_FIELDS[field]}"


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
    keys = rows * SLOTS + slots
    order = np.argsort(keys)
    keys, terms = keys[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sums = np.add.reduceat(terms, first)
    # Each term is below LIMIT = 2⁶², so the sum in floats tells a wrapped sum from an honest one.
    if np.abs(np.add.reduceat(terms.astype(np.float64), first)).max() >= LIMIT:
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


def encode_all(count: int, rows: Integers, slots: Integers, values: Integers) -> list[bytes]:
    """Return the encoded summaries of `count` rows, from gathered entries; a row without entries is empty."""
    bounds = np.searchsorted(rows, np.arange(count + 1)).tolist()
    slot_bytes, value_bytes = slots.astype("<u2").tobytes(), values.astype("<i8").tobytes()
    return [slot_bytes[2 * first : 2 * last] + value_bytes[8 * first : 8 * last] for first, last in pairwise(bounds)]


def decode_all(blobs: Sequence[bytes]) -> tuple[Integers, Integers, Integers]:
    """Return the entries of encoded summaries; rows are the summaries' positions.

    Raises
    ------
    ValueError
        when one of them is not an encoded summary.

    """
    counts = [len(blob) // _ENTRY_BYTES for blob in blobs]
    if any(len(blob) % _ENTRY_BYTES for blob in blobs):
        raise ValueError(f"a summary is cut short: its bytes must be a multiple of {_ENTRY_BYTES}")
    slots = np.frombuffer(b"".join(blob[: 2 * n] for blob, n in zip(blobs, counts, strict=True)), dtype="<u2")
    values = np.frombuffer(b"".join(blob[2 * n :] for blob, n in zip(blobs, counts, strict=True)), dtype="<i8")
    rows = np.repeat(np.arange(len(blobs)), counts)
    keys = rows * SLOTS + slots
    if len(slots) and (slots.max() >= SLOTS or (np.diff(keys) <= 0).any()):
        raise ValueError("a summary's slots are not ascending")
    return rows, slots.astype(np.int64), values.astype(np.int64)


def cell_sums(
    blobs: Sequence[bytes], kinds: Collection[Kind], fields: Sequence[str]
) -> tuple[Integers, Integers, Floats]:
    """Return fields of the occupied cells of encoded summaries, kinds of score added up.

    Parameters
    ----------
    blobs : encoded summaries
    kinds : kinds of score
    fields : names of a cell's fields

    Returns
    -------
    rows, cells, sums : which summary and which cell, of shape (m,), in ascending order, and the fields' sums, of shape (m, len(fields))

    """
    rows, slots, values = decode_all(blobs)
    kind, rest = np.divmod(slots - _RESERVED, _KIND_SIZE)
    cell, field = np.divmod(rest - _RESERVED, len(CELL_FIELDS))
    wanted_kinds, wanted_fields = [KINDS.index(each) for each in kinds], [CELL_FIELDS.index(each) for each in fields]
    chosen = np.isin(kind, wanted_kinds) & (rest >= _RESERVED) & np.isin(field, wanted_fields)
    keys, place = np.unique(rows[chosen] * CELLS + cell[chosen], return_inverse=True)
    column = np.zeros(len(CELL_FIELDS), dtype=np.int64)
    column[wanted_fields] = np.arange(len(fields))
    sums = np.zeros((len(keys), len(fields)))
    np.add.at(sums, (place, column[field[chosen]]), values[chosen])
    return keys // CELLS, keys % CELLS, sums / [1.0 if each in COUNTED_FIELDS else float(ONE) for each in fields]


@dataclass(frozen=True, slots=True)
class Summary:
    """The sum of up to two million buckets, in integers wider than a bucket's: `high`·2³² + `low` per slot.

    Both halves are whole numbers below 2⁵³, which floats hold and add exactly, and NumPy adds floats by slot the fastest.
    Arrays end before the classes' slots where no class has any.
    """

    high: Floats
    low: Floats

    @classmethod
    def of(cls, blobs: Iterable[bytes]) -> "Summary":
        """Return the sum of encoded summaries; of none, the empty summary."""
        _, slots, values = decode_all(list(blobs))
        return cls.of_entries(slots, values)

    @classmethod
    def of_entries(cls, slots: Integers, values: Integers) -> "Summary":
        """Return the sum of decoded entries, arrays of shape (n,)."""
        size = SLOTS if len(slots) and slots.max() >= _CLASS_BASE else _CLASS_BASE
        halves = (values >> 32, values & 0xFFFFFFFF)
        high, low = (np.bincount(slots, weights=half.astype(np.float64), minlength=size) for half in halves)
        return cls(np.asarray(high, dtype=np.float64), np.asarray(low, dtype=np.float64))

    def __add__(self, other: "Summary") -> "Summary":
        size = max(len(self.high), len(other.high))
        (high, low), (more_high, more_low) = self._padded(size), other._padded(size)
        return Summary(high + more_high, low + more_low)

    def _padded(self, size: int) -> tuple[Floats, Floats]:
        missing = size - len(self.high)
        return (np.pad(self.high, (0, missing)), np.pad(self.low, (0, missing))) if missing else (self.high, self.low)

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
        if len(self.high) <= _CLASS_BASE:
            return np.zeros((classes, SIXTIETHS, len(CLASS_FIELDS)))
        table = self._floats(_CLASS_BASE, classes * _CLASS_SIZE).reshape(classes, SIXTIETHS, len(CLASS_FIELDS))
        return np.divide(table, [1.0, float(ONE), 1.0], dtype=np.float64)

    def _floats(self, first: int, size: int) -> Floats:
        part = slice(first, first + size)
        found: Floats = self.high[part] * 4294967296.0 + self.low[part]
        return found


def _kinds(scores: Scores) -> tuple[Kind, Kind]:
    return ("both", "raw") if scores == "raw" else ("both", "served")
