"""Summaries of the events of a time bucket, as sparse vectors of integers.

Every figure is a sum, stored as a fixed-point integer (2⁻³⁰), so that addition is associative: any window is the sum of
its buckets, in any order, bit for bit, and a corrected label subtracts exactly what it added.

A slot is a position in the vector: a scalar, a field of a cell, or a field of a class's cell. The encoded form is the
occupied slots in ascending order (uint16, little-endian) followed by their values (int64, little-endian); zeros are
not stored, so that equal sums are equal bytes.

An event without a raw score counts in the cells of kind "both"; one with a raw score counts in "served" and in "raw".
Served figures are the sum of the first two, raw figures of the first and the last.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from .cells import CELLS, SIXTIETHS, Cells, Floats, Integers, interval

ONE: Final = 1 << 30
"""The fixed-point unit: sums of ratios and losses are multiples of 1/ONE."""

LIMIT: Final = 1 << 62
"""Limit of sums in a bucket, half that of int64."""

Kind = Literal["both", "served", "raw"]
Scores = Literal["served", "raw"]
KINDS: Final[tuple[Kind, ...]] = ("both", "served", "raw")
CELL_FIELDS: Final = ("n", "sy", "sp", "spp", "spy", "en", "esp", "hn", "hsy", "hsp")
COUNTED_FIELDS: Final = frozenset({"n", "sy", "en", "hn", "hsy"})
TOTALS: Final = ("events", "labels", "late", "undeclared")
LOSSES: Final = ("log_loss", "clipped", "brier", "spiegelhalter_numerator", "spiegelhalter_denominator")
CLASS_FIELDS: Final = ("n", "sp", "sy")
MAX_CLASSES: Final = 100
"""Largest number of classes with classwise cells."""

PIT_CELLS: Final = 200
PIT_FIELDS: Final = ("n", "hn")
"""Regression: labelled events per equal cell of the probability integral transform, and those of the random half."""

THOUSANDTHS: Final = 1001
STATED_FIELDS: Final = ("stated", "hits")
"""Regression: number of times a level was stated, and held."""

STATED: Final = ("interval", "quantile")
"""Levels of central intervals, which hold if the label lies within, and of quantiles, which hold if it is at most these."""

AMOUNTS: Final = ("crps", "error", "absolute_error", "squared_z")
AMOUNT_CHUNKS: Final = 17
AMOUNT_BITS: Final = 32
LOWEST_BIT: Final = -272
"""Regression: exact sums in the label's unit, in chunks of 32 bits, the lowest of unit 2⁻²⁷²."""

LOCATION_CELLS: Final = 8193
"""Regression: predictions per cell of location, 64 cells per doubling on either side of 0."""

VALUE_FIELDS: Final = ("n", "sy", "en", "hn", "hsy")
VALUES: Final = {"verbalized": THOUSANDTHS, "agreement": 1325, "score": 2049}
"""Confidences that are not taken at their word, and how many places each has: thousandths; k of m samples for m up to 50, in the
order of m, then k; scores, 16 places per doubling either side of 0."""

_RESERVED: Final = 16
_KIND_SIZE: Final = _RESERVED + CELLS * len(CELL_FIELDS)
_CLASS_SIZE: Final = SIXTIETHS * len(CLASS_FIELDS)
_CLASS_BASE: Final = _RESERVED + len(KINDS) * _KIND_SIZE
_PREDICTED_BASE: Final = _CLASS_BASE + MAX_CLASSES * _CLASS_SIZE
_PIT_BASE: Final = _PREDICTED_BASE + MAX_CLASSES
_STATED_BASE: Final = _PIT_BASE + PIT_CELLS * len(PIT_FIELDS)
_STATED_SIZE: Final = THOUSANDTHS * len(STATED_FIELDS)
_AMOUNT_BASE: Final = _STATED_BASE + len(STATED) * _STATED_SIZE
_LOCATION_BASE: Final = _AMOUNT_BASE + len(AMOUNTS) * AMOUNT_CHUNKS
_VALUE_BASE: Final = _LOCATION_BASE + LOCATION_CELLS
_VALUE_BASES: Final = {
    name: _VALUE_BASE + len(VALUE_FIELDS) * sum(list(VALUES.values())[:i]) for i, name in enumerate(VALUES)
}
SLOTS: Final = _VALUE_BASE + len(VALUE_FIELDS) * sum(VALUES.values())
_SIZES: Final = np.array([_RESERVED + _KIND_SIZE, _CLASS_BASE, _PIT_BASE, SLOTS])
"""Possible lengths of a summary's arrays: without cells of raw scores, all cells, also classes, all slots."""
_CELL_SLOTS: Final = slice(_RESERVED, _KIND_SIZE)
_LOSS_SLOTS: Final = slice(0, len(LOSSES))
_UNITS: Final = np.array([[1.0 if name in COUNTED_FIELDS else float(ONE)] for name in CELL_FIELDS])
_ENTRY_BYTES: Final = 10
_HALF: Final = 4294967296.0
_EXACT: Final = 2.0**53
"""Limit below which floats hold and add integers exactly."""


def total_slot(name: str) -> int:
    """Return the slot of a count over all events: `events`, `labels`, `late` or `undeclared`."""
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


def predicted_slot(index: int) -> int:
    """Return the slot for the number of answers of a class."""
    return _PREDICTED_BASE + index


def pit_slot(cell: int, field: str) -> int:
    """Return the slot of one field of one cell of the probability integral transform."""
    return _PIT_BASE + cell * len(PIT_FIELDS) + PIT_FIELDS.index(field)


def stated_slot(form: str, thousandth: int, field: str) -> int:
    """Return the slot of one field of a stated level, of intervals or of quantiles."""
    return (
        _STATED_BASE + STATED.index(form) * _STATED_SIZE + thousandth * len(STATED_FIELDS) + STATED_FIELDS.index(field)
    )


def amount_slot(name: str, chunk: int) -> int:
    """Return the slot of one chunk of a sum in the label's unit."""
    return _AMOUNT_BASE + AMOUNTS.index(name) * AMOUNT_CHUNKS + chunk


def location_slot(cell: int) -> int:
    """Return the slot for the number of predictions at a location."""
    return _LOCATION_BASE + cell


def value_slot(family: str, place: int, field: str) -> int:
    """Return the slot of one field of one place of a family of values."""
    return _VALUE_BASES[family] + place * len(VALUE_FIELDS) + VALUE_FIELDS.index(field)


def slot_name(slot: int) -> str:
    """Return the name of the sum in a slot.

    >>> slot_name(total_slot("labels")), slot_name(cell_slot("served", 401, "sy")), slot_name(class_slot(2, 0, "n"))
    ('labels', 'served cell [1, 1] sy', 'class 2 sixtieth 0 n')
    """
    if slot < _RESERVED:
        return TOTALS[slot] if slot < len(TOTALS) else f"unused slot {slot}"
    if slot >= _PREDICTED_BASE:
        return _later_name(slot)
    if slot >= _CLASS_BASE:
        index, rest = divmod(slot - _CLASS_BASE, _CLASS_SIZE)
        sixtieth, field = divmod(rest, len(CLASS_FIELDS))
        return f"class {index} sixtieth {sixtieth} {CLASS_FIELDS[field]}"
    number, rest = divmod(slot - _RESERVED, _KIND_SIZE)
    if rest < _RESERVED:
        return f"{KINDS[number]} {LOSSES[rest]}" if rest < len(LOSSES) else f"unused slot {slot}"
    cell, field = divmod(rest - _RESERVED, len(CELL_FIELDS))
    return f"{KINDS[number]} cell {interval(cell)} {CELL_FIELDS[field]}"


def _later_name(slot: int) -> str:
    if slot >= _VALUE_BASE:
        family = max((name for name in VALUES if _VALUE_BASES[name] <= slot), key=_VALUE_BASES.__getitem__)
        place, field = divmod(slot - _VALUE_BASES[family], len(VALUE_FIELDS))
        return f"{family} {place} {VALUE_FIELDS[field]}"
    if slot >= _LOCATION_BASE:
        return f"location {slot - _LOCATION_BASE}"
    if slot >= _AMOUNT_BASE:
        name, chunk = divmod(slot - _AMOUNT_BASE, AMOUNT_CHUNKS)
        return f"{AMOUNTS[name]} chunk {chunk}"
    if slot >= _STATED_BASE:
        form, rest = divmod(slot - _STATED_BASE, _STATED_SIZE)
        thousandth, field = divmod(rest, len(STATED_FIELDS))
        return f"{STATED[form]} {thousandth / 1000} {STATED_FIELDS[field]}"
    if slot >= _PIT_BASE:
        cell, field = divmod(slot - _PIT_BASE, len(PIT_FIELDS))
        return f"pit {cell} {PIT_FIELDS[field]}"
    return f"predicted {slot - _PREDICTED_BASE}"


def fixed(values: Floats) -> Integers:
    """Return values as fixed-point integers, rounded half to even."""
    return np.rint(values * ONE).astype(np.int64)


def gather(
    rows: Integers, slots: Integers, values: Integers, *, in_runs: bool = False
) -> tuple[Integers, Integers, Integers]:
    """Add up entries that share row and slot.

    Parameters
    ----------
    rows, slots, values : integer arrays of shape (n,)
    in_runs : whether they are a few gathered parts one after the other, which takes less time

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
    order = np.argsort(keys, kind="stable" if in_runs else None)
    keys, terms = keys[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    sums = np.add.reduceat(terms, first)
    _check_range(terms, first)
    keep = sums != 0
    kept = keys[first[keep]]
    row = kept // SLOTS
    return row, kept - row * SLOTS, sums[keep]


def _check_range(terms: Integers, first: Integers) -> None:
    """Raise OverflowError where a sum of terms, each of them below LIMIT = 2⁶², leaves that range."""
    largest = max(int(terms.max()), -int(terms.min()))
    if largest * len(terms) < LIMIT:
        return
    # The sum in floats tells a wrapped sum from an honest one.
    if np.abs(np.add.reduceat(terms.astype(np.float64), first)).max() >= LIMIT:
        raise OverflowError("a sum in a rollup bucket would leave the range of 64-bit integers")


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
    counts, slots, values = _decoded(blobs)
    return np.repeat(np.arange(len(blobs)), counts), slots.astype(np.int64), values.astype(np.int64)


def _decoded(blobs: Sequence[bytes]) -> tuple[Integers, NDArray[np.uint16], Integers]:
    """Return the number of entries of each encoded summary, and all slots and values in turn."""
    lengths = np.fromiter(map(len, blobs), dtype=np.int64, count=len(blobs))
    counts, rest = np.divmod(lengths, _ENTRY_BYTES)
    if rest.any():
        raise ValueError(f"a summary is cut short: its bytes must be a multiple of {_ENTRY_BYTES}")
    pairs = list(zip(blobs, counts.tolist(), strict=True))
    slots = np.frombuffer(b"".join(blob[: 2 * n] for blob, n in pairs), dtype="<u2")
    values = np.frombuffer(b"".join(blob[2 * n :] for blob, n in pairs), dtype="<i8")
    ends = np.cumsum(counts)
    rises = slots[1:] > slots[:-1]
    rises[ends[(ends > 0) & (ends < len(slots))] - 1] = True  # from the last of a summary to the first of the next
    if len(slots) and (slots.max() >= SLOTS or not rises.all()):
        raise ValueError("a summary's slots are not ascending")
    return counts, slots, values


def cell_sums(
    blobs: Sequence[bytes], kinds: Collection[Kind], fields: Sequence[str]
) -> tuple[Integers, Integers, Floats]:
    """Return fields of the occupied cells of encoded summaries, summed over kinds of score.

    Parameters
    ----------
    blobs : encoded summaries
    kinds : kinds of score
    fields : names of a cell's fields

    Returns
    -------
    rows, cells, sums : positions of summary and cell, of shape (m,), ascending, and the sums of the fields, of shape (m, len(fields))

    """
    rows, slots, values = decode_all(blobs)
    kind, rest = np.divmod(slots - _RESERVED, _KIND_SIZE)
    cell, field = np.divmod(rest - _RESERVED, len(CELL_FIELDS))
    wanted_kinds, wanted_fields = [KINDS.index(name) for name in kinds], [CELL_FIELDS.index(name) for name in fields]
    chosen = np.isin(kind, wanted_kinds) & (rest >= _RESERVED) & np.isin(field, wanted_fields)
    keys, place = np.unique(rows[chosen] * CELLS + cell[chosen], return_inverse=True)
    column = np.zeros(len(CELL_FIELDS), dtype=np.int64)
    column[wanted_fields] = np.arange(len(fields))
    sums = np.zeros((len(keys), len(fields)))
    np.add.at(sums, (place, column[field[chosen]]), values[chosen])
    return keys // CELLS, keys % CELLS, sums / [1.0 if name in COUNTED_FIELDS else float(ONE) for name in fields]


@dataclass(frozen=True, slots=True)
class Summary:
    """The sum of up to two million buckets, in integers wider than a bucket's: `high`·2³² + `low` per slot.

    Both halves are integers below 2⁵³, which floats hold and add exactly, and NumPy adds floats by slot fastest.
    Arrays end early if all further slots are empty.
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
        size = _size(slots)
        high, low = _halves(slots, values, size, len(values))
        return cls(high, low)

    @classmethod
    def grouped(cls, blobs: Sequence[bytes], groups: Integers, chosen: NDArray[np.bool_]) -> list["Summary"]:
        """Return sums of the chosen groups of encoded summaries.

        Parameters
        ----------
        blobs : encoded summaries
        groups : array of shape (blobs,), the group of each summary
        chosen : array of shape (sums, groups), the groups of each sum

        """
        counts, slots, values = _decoded(blobs)
        size, count = _size(slots), chosen.shape[1]
        keys = slots + np.repeat(groups * size, counts)
        halves = (half.reshape(count, size) for half in _halves(keys, values, count * size, len(blobs)))
        high, low = (chosen.astype(np.float64) @ half for half in halves)
        return [cls(*rows) for rows in zip(high, low, strict=True)]

    def __add__(self, other: "Summary") -> "Summary":
        size = max(len(self.high), len(other.high))
        (high, low), (more_high, more_low) = self._padded(size), other._padded(size)
        return Summary(high + more_high, low + more_low)

    def _padded(self, size: int) -> tuple[Floats, Floats]:
        missing = size - len(self.high)
        return (np.pad(self.high, (0, missing)), np.pad(self.low, (0, missing))) if missing else (self.high, self.low)

    def count(self, slot: int) -> int:
        """Return the integer in a slot, exactly."""
        return (int(self.high[slot]) << 32) + int(self.low[slot]) if slot < len(self.high) else 0

    @property
    def events(self) -> int:
        """The number of predictions."""
        return self.count(total_slot("events"))

    @property
    def labels(self) -> int:
        """The number of labelled predictions."""
        return self.count(total_slot("labels"))

    @property
    def late(self) -> int:
        """The number of labels later than the declared delay, by their own time."""
        return self.count(total_slot("late"))

    @property
    def undeclared(self) -> int:
        """The number of labels of classes that were never declared: they have cells, but no losses of vectors."""
        return self.count(total_slot("undeclared"))

    def loss(self, scores: Scores, name: str) -> float:
        """Return a summed loss, or the number of `clipped` ones, of served or raw scores."""
        total = sum(self.count(loss_slot(kind, name)) for kind in _kinds(scores))
        return float(total) if name == "clipped" else total / ONE

    def cells(self, scores: Scores) -> Cells:
        """Return the sums of served or raw scores per cell."""
        return _cells(self.scored(scores, _CELL_SLOTS))

    def losses(self, scores: Scores) -> Floats:
        """Return all sums of `loss`, in the order of LOSSES."""
        return self.scored(scores, _LOSS_SLOTS) / [1.0 if name == "clipped" else float(ONE) for name in LOSSES]

    def scored(self, scores: Scores, slots: slice) -> Floats:
        """Return served (or raw) sums: events without a calibrator plus those with one."""
        both, own = (kind_base(kind) + slots.start for kind in _kinds(scores))
        sums = self._floats(both, slots.stop - slots.start)
        return sums + self._floats(own, slots.stop - slots.start) if own < len(self.high) else sums

    def classwise(self, classes: int) -> Floats:
        """Return n, Σp and Σy of each class's sixty cells; shape (classes, 60, 3)."""
        table = self._floats(_CLASS_BASE, classes * _CLASS_SIZE).reshape(classes, SIXTIETHS, len(CLASS_FIELDS))
        return np.divide(table, [1.0, float(ONE), 1.0], dtype=np.float64)

    def predicted(self, classes: int) -> Floats:
        """Return the number of answers per class; shape (classes,)."""
        return self._floats(_PREDICTED_BASE, classes)

    def pit(self) -> Floats:
        """Return the labelled events per cell of the probability integral transform, all and those of the half; shape (200, 2)."""
        return self._floats(_PIT_BASE, PIT_CELLS * len(PIT_FIELDS)).reshape(PIT_CELLS, len(PIT_FIELDS))

    def stated(self, form: str) -> Floats:
        """Return the number of times each thousandth was stated as a level, and held; shape (1001, 2)."""
        counts = self._floats(_STATED_BASE + STATED.index(form) * _STATED_SIZE, _STATED_SIZE)
        return counts.reshape(THOUSANDTHS, len(STATED_FIELDS))

    def amount(self, name: str) -> float:
        """Return a sum in the label's unit, exact but for one rounding."""
        first = amount_slot(name, 0)
        if len(self.high) < first + AMOUNT_CHUNKS:
            return 0.0
        return sum(self.count(first + k) << AMOUNT_BITS * k for k in range(AMOUNT_CHUNKS)) / (1 << -LOWEST_BIT)

    def locations(self) -> Floats:
        """Return the number of predictions per cell of location; shape (8193,)."""
        return self._floats(_LOCATION_BASE, LOCATION_CELLS)

    def values(self, family: str) -> Floats:
        """Return the fields of a family of values; shape (places, 5)."""
        places = VALUES[family]
        return self._floats(_VALUE_BASES[family], places * len(VALUE_FIELDS)).reshape(places, len(VALUE_FIELDS))

    def _floats(self, first: int, size: int) -> Floats:
        if len(self.high) < first + size:
            return np.zeros(size)
        part = slice(first, first + size)
        floats: Floats = self.high[part] * _HALF + self.low[part]
        return floats


def cells_of(summaries: Sequence[Summary], scores: Scores) -> Cells:
    """Return `Summary.cells` of many summaries as one, arrays of shape (summaries, cells)."""
    return _cells(np.stack([summary.scored(scores, _CELL_SLOTS) for summary in summaries]))


def _cells(sums: Floats) -> Cells:
    table = np.moveaxis(sums.reshape(*sums.shape[:-1], CELLS, len(CELL_FIELDS)), -1, 0)
    units = _UNITS.reshape(-1, *[1] * (table.ndim - 1))
    return Cells(**dict(zip(CELL_FIELDS, np.divide(table, units, order="C"), strict=True)))


def _size(slots: NDArray[np.integer[Any]]) -> int:
    return int(_SIZES[np.searchsorted(_SIZES, slots.max(), side="right")]) if len(slots) else int(_SIZES[0])


def _halves(keys: NDArray[np.integer[Any]], values: Integers, size: int, terms: int) -> tuple[Floats, Floats]:
    """Return the halves of the sums of values by key, each of at most the given number of terms."""
    if len(values) and float(np.abs(values).max()) * terms < _EXACT:
        total = np.bincount(keys, weights=values, minlength=size)
        high = np.floor(total / _HALF)
        return high, total - high * _HALF
    halves = (values >> 32, values & 0xFFFFFFFF)
    high, low = (np.bincount(keys, weights=half.astype(np.float64), minlength=size) for half in halves)
    return np.asarray(high, dtype=np.float64), np.asarray(low, dtype=np.float64)


def _kinds(scores: Scores) -> tuple[Kind, Kind]:
    return ("both", "raw") if scores == "raw" else ("both", "served")
