"""A row of a table of figures: API, Prometheus, documentation and page take name, unit and text from it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..domain.evaluations import Figures

Windows = TypeVar("Windows")

Column = NDArray[Any] | Sequence[float | None]
"""One value per window; what can't be computed is NaN or None."""

RATIO: Final = "ratio"
SCORE: Final = "score"
NATS: Final = "nats"
DEVIATIONS: Final = "standard deviations"
LOG_ODDS: Final = "log odds"
SLOPE: Final = "slope"
TIMES: Final = "times"
COUNT: Final = "count"
LABEL: Final = "unit of the label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure(Generic[Windows]):
    """A figure of an evaluation: how it is computed, what it says, and what to do about it.

    Texts are plain English, in the notation of Markdown.
    """

    name: str  # in the API, the history and the store
    title: str  # as people call it
    of: Callable[[Windows], Column]  # its values for many windows at once
    unit: str
    sentence: str  # what it says
    worry: str  # when to worry
    action: str  # what to do then
    exported: str | None = None  # its name in Prometheus, after `calibration_`
    listed: bool = False  # shown in the list of models


def computed(table: Iterable[Figure[Windows]], windows: Windows) -> list[Figures]:
    """Return the figures of a table for each of several windows."""
    columns = {figure.name: _plain(figure.of(windows)) for figure in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(column: Column) -> Sequence[float | None]:
    values: Sequence[float | None] = column.tolist() if isinstance(column, np.ndarray) else column
    return [None if value is None or not isfinite(value) else value for value in values]
