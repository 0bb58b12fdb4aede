"""Tools for computing many windows at once, at a fraction of the cost of one after another.

Sums of many windows are a record like that of one, whose arrays have the windows as a leading axis; functions for many
work along the last axis. An undefined figure is NaN in an array, and None for a single window.
"""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .cells import Floats, Integers

Record = TypeVar("Record")


def stacked(windows: Sequence[Record]) -> Record:
    """Return records of equally shaped arrays as one record with a leading axis.

    >>> from calwatch.stats.cells import Cells
    >>> stacked([Cells.from_rows([0.5], [1])] * 3).n.shape
    (3, 402)
    """
    record = type(windows[0])
    names = [field.name for field in fields(cast("Any", record))]
    return record(**{name: np.stack([getattr(window, name) for window in windows]) for name in names})


def known(figure: Any) -> float | None:
    """Return a figure of one window, None if it is NaN.

    >>> known(np.array([0.5])), known(np.nan)
    (0.5, None)
    """
    value = float(np.asarray(figure).item())
    return None if math.isnan(value) else value


def ratio(total: Floats, count: Floats) -> Floats:
    """Return total/count, NaN unless the count is positive.

    >>> ratio(np.array([1.0, 2.0]), np.array([4.0, 0.0])).tolist()
    [0.25, nan]
    """
    quotient: Floats = np.divide(total, count, out=np.full(np.shape(count), np.nan), where=np.asarray(count) > 0)
    return quotient


def placed(places: Integers, weights: Floats, size: int) -> Floats:
    """Return the sums of weights by place below `size`, along the last axis; shape (..., size).

    >>> placed(np.array([[0, 0], [1, 0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), 2).tolist()
    [[3.0, 0.0], [4.0, 3.0]]
    """
    windows = places.shape[:-1]
    first = size * np.arange(math.prod(windows)).reshape(*windows, 1)
    sums = np.bincount((places + first).ravel(), weights.ravel(), minlength=size * math.prod(windows))
    return np.asarray(sums, dtype=np.float64).reshape(*windows, size)


def plain(column: NDArray[Any]) -> list[Any]:
    """Return the values of an array, None for NaN.

    >>> plain(np.array([0.1, np.nan]))
    [0.1, None]
    """
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
