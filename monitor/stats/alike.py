"""Alike: windows that are computed together, at a fraction of the cost of one after another.

Sums of many windows are a record like that of one, whose arrays have the windows as a leading axis; a function for many
works along the last axis. What can't be computed is NaN in an array, and None where a figure of one window is returned.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .cells import Floats, Integers

Record = TypeVar("Record")


def stacked(windows: Sequence[Record]) -> Record:
    """Return records of arrays of one shape as one record, with a leading axis.

    >>> from monitor.stats.cells import Cells
    >>> stacked([Cells.from_rows([0.5], [1])] * 3).n.shape
    (3, 402)
    """
    kind = type(windows[0])
    names = [field.name for field in fields(cast("Any", kind))]
    return kind(**{name: np.stack([getattr(each, name) for each in windows]) for name in names})


def known(figure: Any) -> float | None:
    """Return a figure of one window, None where it can't be computed.

    >>> known(np.array([0.5])), known(np.nan)
    (0.5, None)
    """
    value = float(np.asarray(figure).item())
    return None if math.isnan(value) else value


def ratio(total: Floats, count: Floats) -> Floats:
    """Return total/count, NaN where the count is not positive.

    >>> ratio(np.array([1.0, 2.0]), np.array([4.0, 0.0])).tolist()
    [0.25, nan]
    """
    found: Floats = np.divide(total, count, out=np.full(np.shape(count), np.nan), where=np.asarray(count) > 0)
    return found


def placed(places: Integers, weights: Floats, size: int) -> Floats:
    """Return the sums of weights by place below `size`, along the last axis; shape (..., size).

    >>> placed(np.array([[0, 0], [1, 0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), 2).tolist()
    [[3.0, 0.0], [4.0, 3.0]]
    """
    windows = places.shape[:-1]
    first = size * np.arange(math.prod(windows)).reshape(*windows, 1)
    sums = np.bincount((places + first).ravel(), weights.ravel(), minlength=size * math.prod(windows))
    return np.asarray(sums, dtype=np.float64).reshape(*windows, size)


def rows(columns: Mapping[str, NDArray[Any] | Sequence[Any]]) -> list[dict[str, Any]]:
    """Return one object per window from columns by name; NaN in an array is None.

    >>> rows({"segment": ["a", "b"], "ece": np.array([0.1, np.nan])})
    [{'segment': 'a', 'ece': 0.1}, {'segment': 'b', 'ece': None}]
    """
    return [dict(zip(columns, row, strict=True)) for row in zip(*map(_plain, columns.values()), strict=True)]


def _plain(column: NDArray[Any] | Sequence[Any]) -> Sequence[Any]:
    if not isinstance(column, np.ndarray):
        return column
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
