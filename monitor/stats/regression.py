"""Errors of predictive distributions against labels, and their entries in summaries.

A distribution is stated as mean and standard deviation (then it is normal) or as quantiles. All is computed with the standard
library, one event after another, since a rollup must be reproducible on all machines.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .cells import Floats, Integers
from .entries import Entries, joined
from .summary import (
    AMOUNT_BITS,
    AMOUNTS,
    LOCATION_CELLS,
    LOWEST_BIT,
    PIT_CELLS,
    amount_slot,
    location_slot,
    pit_slot,
    stated_slot,
)

HALF: Final = 500
"""The level of the median, in thousandths."""

WHOLE: Final = 1000
NORMAL_INTERVALS: Final = (
    (500, 0.6744897501960817),
    (800, 1.2815515655446004),
    (900, 1.6448536269514722),
    (950, 1.959963984540054),
    (990, 2.5758293035489004),
)
"""Central intervals of a normal distribution: level in thousandths, and half the width in standard deviations."""

LARGEST_SQUARE: Final = 1e80
"""Limit of squared errors in units of the variance."""

DOUBLINGS: Final = 64
SLICES: Final = 64
LOWEST_POWER: Final = -24
"""Cells resolve locations from 2⁻²⁴ (6e-8) to 2⁴⁰ (1.1e12) to a 64th of a doubling; others join the outermost cells."""

PIT_EDGES: Final = tuple(i / PIT_CELLS for i in range(PIT_CELLS + 1))

_ROOT_2: Final = math.sqrt(2.0)
_ROOT_2PI: Final = math.sqrt(2.0 * math.pi)
_ROOT_PI: Final = math.sqrt(math.pi)
_PIT_EDGES: Final = np.array(PIT_EDGES)
_MIDDLE: Final = LOCATION_CELLS // 2


Levels = tuple[tuple[int, bool], ...]
"""Levels in thousandths, and whether each held."""


class Measured(NamedTuple):
    """The errors of a predictive distribution against a label."""

    pit: float  # probability integral transform, F(y)
    crps: float
    error: float  # mean or median - label
    squared_z: float | None  # squared error of a normal distribution in units of its variance
    intervals: Levels  # stated central intervals, and whether y lies in them
    quantiles: Levels  # stated quantiles, and whether y is at most these


def of_normal(mean: float, std: float, y: float) -> Measured:
    """Return the errors of a normal distribution against a label.

    With z = (y - mean)/std: PIT = Φ(z); CRPS = std·[z(2Φ(z) - 1) + 2φ(z) - 1/√π]; the central intervals of
    `NORMAL_INTERVALS`, closed. Gneiting & Raftery 2007 (doi:10.1198/016214506000001437).

    Parameters
    ----------
    mean, std : of the distribution, std > 0
    y : the label, in the same unit

    Examples
    --------
    >>> found = of_normal(0.0, 1.0, 1.0)
    >>> round(found.crps, 10), round(found.pit, 10), found.error, found.intervals[:2]
    (0.6024413576, 0.8413447461, -1.0, ((500, False), (800, True)))

    """
    error = mean - y
    z = error / std
    square = min(z * z, LARGEST_SQUARE)
    density = math.exp(-square / 2.0) / _ROOT_2PI
    return Measured(
        pit=math.erfc(z / _ROOT_2) / 2.0,
        crps=abs(error) * math.erf(abs(z) / _ROOT_2) + std * (2.0 * density - 1.0 / _ROOT_PI),
        error=error,
        squared_z=square,
        intervals=tuple([(level, abs(error) <= width * std) for level, width in NORMAL_INTERVALS]),
        quantiles=(),
    )


def of_quantiles(levels: tuple[int, ...], values: tuple[float, ...], y: float, *, chance: float) -> Measured:
    """Return the errors of stated quantiles against a label.

    The PIT is only known to lie between two stated levels, or outside all of them. It is drawn evenly from there by `chance`, so that
    it is uniform if the stated quantiles are correct, whatever lies between them; interpolation, or an assumed tail, would make
    correct quantiles look wrong. If the label equals quantiles, the PIT lies between the level before the lowest of them and the
    highest of them. CRPS is twice the mean over the levels of the pinball loss (q - y)(1[y <= q] - τ): all levels have equal weight,
    so uneven ones make it a weighted CRPS, which is also proper.
    Central intervals are the pairs of levels τ and 1 - τ, closed; a quantile holds where y <= q.
    Smith 1985 (doi:10.1002/for.3980040305), Gneiting & Ranjan 2011 (doi:10.1198/jbes.2010.08110).

    Parameters
    ----------
    levels : in thousandths, ascending, at least two
    values : the quantiles, in non-descending order
    y : the label, in the same unit
    chance : in (0, 1], independent of all else

    Examples
    --------
    >>> found = of_quantiles((100, 500, 900), (-1.0, 0.0, 1.0), 0.5, chance=0.25)
    >>> round(found.pit, 6), round(found.crps, 6), found.error, found.intervals, found.quantiles
    (0.6, 0.3, -0.5, ((800, True),), ((100, False), (500, False), (900, True)))

    """
    first, last = bisect_left(values, y), bisect_right(values, y)
    intervals, at_or_under = _held(levels, first, last)
    losses = [
        (value - y) * (WHOLE - level) if y <= value else (y - value) * level
        for level, value in zip(levels, values, strict=True)
    ]
    return Measured(
        pit=_drawn(levels, first, last, chance),
        crps=2.0 * math.fsum(losses) / (WHOLE * len(levels)),
        error=median(levels, values) - y,
        squared_z=None,
        intervals=intervals,
        quantiles=at_or_under,
    )


def _drawn(levels: tuple[int, ...], first: int, last: int, chance: float) -> float:
    """Return a PIT for a label above the quantiles before `first` and below those from `last`."""
    low = levels[first - 1] if first else 0
    upper = first if first == last else last - 1
    high = levels[upper] if upper < len(levels) else WHOLE
    return (low + chance * (high - low)) / WHOLE


@lru_cache(maxsize=4096)
def _held(levels: tuple[int, ...], first: int, last: int) -> tuple[Levels, Levels]:
    """Return the intervals and quantiles that hold for a label above those before `first` and below those from `last`."""
    return (
        tuple((level, low < last and high >= first) for level, low, high in _pairs(levels)),
        tuple((level, place >= first) for place, level in enumerate(levels)),
    )


@lru_cache(maxsize=1024)
def _pairs(levels: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return the central intervals among levels: their level, and the positions of their ends."""
    places = {level: place for place, level in enumerate(levels)}
    return tuple(
        (WHOLE - 2 * level, place, places[WHOLE - level])
        for level, place in places.items()
        if level < HALF and WHOLE - level in places
    )


def median(levels: Sequence[int], values: Sequence[float]) -> float:
    """Return the median of stated quantiles: linear between the nearest levels, or the outermost value if .5 lies outside.

    >>> median((250, 750), (1.0, 3.0)), median((500, 900), (1.0, 3.0)), median((600, 900), (1.0, 3.0))
    (2.0, 1.0, 1.0)
    """
    place = bisect_left(levels, HALF)
    if place == len(levels):
        return values[-1]
    if place == 0 or levels[place] == HALF:
        return values[place]
    share = (HALF - levels[place - 1]) / (levels[place] - levels[place - 1])
    return values[place - 1] * (1.0 - share) + values[place] * share


def location(values: ArrayLike) -> Integers:
    """Return the cell of each prediction: 64 even slices per doubling on either side of 0, in ascending order.

    Parameters
    ----------
    values : array of shape (n,)

    Returns
    -------
    array of shape (n,), integers in [0, 8193), 4096 for 0

    Examples
    --------
    >>> location([0.0, 1.0, 1.99, 2.0, -1.0, 1e300]).tolist()
    [4096, 5633, 5696, 5697, 2559, 8192]

    """
    amounts = np.asarray(values, dtype=np.float64)
    share, power = np.frexp(np.abs(amounts))
    place = (power - 1 - LOWEST_POWER) * SLICES + np.floor((2.0 * share - 1.0) * SLICES).astype(np.int64)
    outward = np.clip(place, 0, DOUBLINGS * SLICES - 1) + 1
    cells: Integers = (_MIDDLE + np.sign(amounts).astype(np.int64) * outward).astype(np.int64)
    return cells


def _location_values() -> Floats:
    power, slice_ = np.divmod(np.arange(DOUBLINGS * SLICES), SLICES)
    middle = np.ldexp(1.0 + (slice_ + 0.5) / SLICES, power + LOWEST_POWER)
    values: Floats = np.concatenate([-middle[::-1], [0.0], middle])
    values.setflags(write=False)
    return values


LOCATION_VALUES: Final[Floats] = _location_values()
"""The middle of each cell of location; shape (8193,)."""


def chunks(values: ArrayLike) -> tuple[Integers, Integers, Integers]:
    """Return amounts, rounded half to even to multiples of 2⁻²⁷², in chunks of 32 bits with the amount's sign.

    Chunk k has the unit 2^(32k - 272), so that sums of chunks are exact for amounts of any magnitude, in any order.

    Parameters
    ----------
    values : array of shape (n,), of magnitudes below 2²⁷²

    Returns
    -------
    position of the amount, number of the chunk, and its value; arrays of shape (m,), without chunks of value 0

    Examples
    --------
    >>> places, numbers, found = chunks([0.0, -1.5])
    >>> places.tolist(), numbers.tolist(), found.tolist()
    ([1], [8], [-98304])

    """
    amounts = np.asarray(values, dtype=np.float64)
    share, power = np.frexp(np.ldexp(np.abs(amounts), -LOWEST_BIT))
    shift = np.maximum(power - 53, 0).astype(np.int64)
    whole = np.rint(np.ldexp(share, power - shift)).astype(np.int64)
    first, offset = np.divmod(shift, AMOUNT_BITS)
    low = (whole & _MASK) << offset
    high = ((whole >> AMOUNT_BITS) << offset) + (low >> AMOUNT_BITS)
    parts = (
        np.stack([low & _MASK, high & _MASK, high >> AMOUNT_BITS], axis=1) * np.sign(amounts).astype(np.int64)[:, None]
    )
    places, columns = np.nonzero(parts)
    return places, first[places] + columns, parts[places, columns]


_MASK: Final = (1 << AMOUNT_BITS) - 1


def of_locations(events: Sequence[int], values: Sequence[float]) -> Entries:
    """Return the entries of arriving predictions: their locations."""
    rows = np.array(events, dtype=np.int64)
    return rows, location_slot(0) + location(values), np.ones_like(rows)


def of_measured(events: Sequence[int], halves: Sequence[bool], measured: Sequence[Measured]) -> Entries:
    """Return the entries of labelled predictions: PIT, stated levels and whether they held, and amounts.

    Parameters
    ----------
    events : position of each event
    halves : whether each is in the random half
    measured : errors of each

    """
    if not measured:
        return joined([])
    return joined([*_pits(events, halves, measured), _stated(events, measured), *_amounts(events, measured)])


def _pits(events: Sequence[int], halves: Sequence[bool], measured: Sequence[Measured]) -> list[Entries]:
    rows = np.array(events, dtype=np.int64)
    place = np.searchsorted(_PIT_EDGES, np.array([error.pit for error in measured]), side="left") - 1
    cells = np.clip(place, 0, PIT_CELLS - 1).astype(np.int64) * (pit_slot(1, "n") - pit_slot(0, "n"))
    return [
        (rows, cells + pit_slot(0, "n"), np.ones_like(rows)),
        (rows, cells + pit_slot(0, "hn"), np.array(halves, dtype=np.int64)),
    ]


def _stated(events: Sequence[int], measured: Sequence[Measured]) -> Entries:
    slots = [_slots_of(error.intervals, error.quantiles) for error in measured]
    rows = np.repeat(np.array(events, dtype=np.int64), [len(stated) for stated in slots])
    return rows, np.concatenate(slots), np.ones_like(rows)


@lru_cache(maxsize=4096)
def _slots_of(intervals: Levels, quantiles: Levels) -> Integers:
    """Return the slots of stated levels and of those that held; few combinations occur."""
    levels = [("interval", *claim) for claim in intervals] + [("quantile", *claim) for claim in quantiles]
    stated = [stated_slot(form, level, "stated") for form, level, _ in levels]
    return np.array(
        [*stated, *(stated_slot(form, level, "hits") for form, level, held in levels if held)], dtype=np.int64
    )


def _amounts(events: Sequence[int], measured: Sequence[Measured]) -> list[Entries]:
    rows = np.array(events, dtype=np.int64)
    sums = dict(zip(AMOUNTS, zip(*map(amounts_of, measured), strict=True), strict=True))
    amounts = []
    for name, values in sums.items():
        places, numbers, parts = chunks([0.0 if value is None else value for value in values])
        amounts.append((rows[places], numbers + amount_slot(name, 0), parts))
    return amounts


def amounts_of(measured: Measured) -> tuple[float, float, float, float | None]:
    """Return an event's amounts in the label's unit, in the order of `AMOUNTS`."""
    return measured.crps, measured.error, abs(measured.error), measured.squared_z
