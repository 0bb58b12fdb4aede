"""The fixed, fine partition of [0, 1] into cells, in which confidences are summed.

Cells are right-closed, (lower, upper], and the two ends p = 0 and p = 1 have cells of their own. The edges are the
sixtieths, so that 10, 12, 15, 20 and 30 equal-width bins are unions of cells, and a logistic grid, so that the last
thousandth below 1 (where modern networks put most of their answers) is resolved as well as the middle.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

BIN_COUNTS: Final = (10, 12, 15, 20, 30)
SIXTIETHS: Final = 60


def _edges() -> Floats:
    # Rounded, so that every machine's exp() yields the same edges; this also makes the middle of both grids one float.
    logistic = np.round(1.0 / (1.0 + np.exp(-np.linspace(-17.0, 17.0, 341))), 12)
    edges: Floats = np.unique(np.concatenate([np.arange(SIXTIETHS + 1) / SIXTIETHS, logistic]))
    edges.setflags(write=False)
    return edges


EDGES: Final[Floats] = _edges()
"""Upper edges of all cells but the last, ascending from 0 to 1; shape (CELLS - 1,)."""

CELLS: Final[int] = len(EDGES) + 1
"""The number of cells: p = 0, one per interval between edges, p = 1."""


def place(p: ArrayLike) -> Integers:
    """Return the cell of each confidence.

    Parameters
    ----------
    p : array of shape (n,), ratios in [0, 1]

    Returns
    -------
    array of shape (n,), integers in [0, CELLS)

    Examples
    --------
    >>> place([0.0, 0.07, 0.5, 1.0]).tolist() == [0, int(np.searchsorted(EDGES, 0.07)), int(np.searchsorted(EDGES, 0.5)), CELLS - 1]
    True

    """
    values = np.asarray(p, dtype=np.float64)
    cells: Integers = np.searchsorted(EDGES, values, side="left").astype(np.int64)
    cells[values >= 1.0] = CELLS - 1
    return cells


def interval(cell: int) -> str:
    """Return the confidences in a cell as an interval.

    >>> interval(0), interval(CELLS - 1), interval(int(place([0.49])[0]))
    ('[0, 0]', '[1, 1]', '(0.483333333333, 0.5]')
    """
    if cell in (0, CELLS - 1):
        return f"[{min(cell, 1)}, {min(cell, 1)}]"
    return f"({EDGES[cell - 1]:.12g}, {EDGES[cell]:.12g}]"


def bin_of_cell(bins: int) -> Integers:
    """Return the equal-width bin of each cell.

    Parameters
    ----------
    bins : one of 10, 12, 15, 20, 30 or 60

    Returns
    -------
    array of shape (CELLS,), integers in [0, bins)

    Raises
    ------
    ValueError
        when the bins are not unions of cells.

    """
    if bins not in (*BIN_COUNTS, SIXTIETHS):
        raise ValueError(f"bins is {bins}; it must be one of {', '.join(map(str, BIN_COUNTS))}")
    sixtieth_edges = np.arange(SIXTIETHS + 1) / SIXTIETHS
    edges = sixtieth_edges[:: SIXTIETHS // bins]
    place_of_edge = np.searchsorted(edges, EDGES, side="left") - 1
    return np.concatenate([np.clip(place_of_edge, 0, bins - 1), [bins - 1]]).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Sums of scored events per cell; every array has shape (CELLS,) and is float64.

    p is the confidence and y the outcome, 0 or 1. "Half" is a random half of the labelled events, fixed per event.
    """

    n: Floats  # labelled events
    sy: Floats  # Σ y
    sp: Floats  # Σ p
    spp: Floats  # Σ p²
    spy: Floats  # Σ p·y
    en: Floats  # all events, labelled or not
    esp: Floats  # Σ p over all events
    hn: Floats  # labelled events of the half
    hsy: Floats  # Σ y of the half
    hsp: Floats  # Σ p of the half

    @classmethod
    def from_rows(cls, p: ArrayLike, y: ArrayLike, half: ArrayLike | None = None) -> "Cells":
        """Return the sums of labelled events; without `half`, every second event is in the half."""
        confidence = np.asarray(p, dtype=np.float64)
        outcome = np.asarray(y, dtype=np.float64)
        chosen = np.arange(len(confidence)) % 2 == 1 if half is None else np.asarray(half, dtype=bool)
        cells = place(confidence)

        def total(weights: Floats) -> Floats:
            return np.bincount(cells, weights=weights, minlength=CELLS).astype(np.float64)

        ones = np.ones_like(confidence)
        return cls(
            n=total(ones),
            sy=total(outcome),
            sp=total(confidence),
            spp=total(confidence**2),
            spy=total(confidence * outcome),
            en=total(ones),
            esp=total(confidence),
            hn=total(ones * chosen),
            hsy=total(outcome * chosen),
            hsp=total(confidence * chosen),
        )

    def __add__(self, other: "Cells") -> "Cells":
        return Cells(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})
