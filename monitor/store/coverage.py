"""Coverage: how many predictions there were and how many of them are labelled, without reading whole summaries."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Executable, Integer, bindparam, func, select, union_all

from ..stats.summary import total_slot
from .rollups import Span
from .schema import rollup, series

_NAMES: Final = ("events", "labels", "late")
_SLOTS: Final = {total_slot(name): name for name in _NAMES}
"""The totals, whose slots are the first of all."""

_ENTRY_BYTES: Final = 10


class Totals(NamedTuple):
    """What one stored bucket counts."""

    version: str
    calibrator: int  # 0: none was named
    level: int
    begin: int
    predictions: int
    labelled: int
    late: int


def totals(connection: Connection, model_id: int, spans: Sequence[Span]) -> list[Totals]:
    """Return the counts of each stored bucket of a model as a whole within spans that share none, by series, in no order."""
    if not spans:
        return []
    values: dict[str, Any] = {"model": model_id}
    for i, span in enumerate(spans):
        values |= {f"level_{i}": span.level, f"first_{i}": span.first, f"last_{i}": span.last}
    return [_totals(row) for row in connection.execute(_reading(len(spans)), values)]


@lru_cache(maxsize=64)
def _reading(spans: int) -> Executable:
    """Return the query for so many spans: of a summary only the first slots, and their values, which follow all slots."""
    size = func.length(rollup.c.summary, type_=Integer())
    head = func.substr(rollup.c.summary, 1, 2 * len(_NAMES))
    tail = func.substr(rollup.c.summary, size // _ENTRY_BYTES * 2 + 1, 8 * len(_NAMES))
    parts = [
        select(series.c.version, series.c.calibrator, rollup.c.level, rollup.c.bucket, size, head, tail)
        .join_from(series, rollup, series.c.id == rollup.c.series_id)
        .where(
            series.c.model_id == bindparam("model"),
            series.c.segment == "",
            rollup.c.level == bindparam(f"level_{i}"),
            rollup.c.bucket >= bindparam(f"first_{i}"),
            rollup.c.bucket < bindparam(f"last_{i}"),
        )
        for i in range(spans)
    ]
    return union_all(*parts)


def _totals(row: Any) -> Totals:
    version, calibrator, level, begin, size, head, tail = row
    count = min(len(_NAMES), size // _ENTRY_BYTES)
    slots = struct.unpack_from(f"<{count}H", head)
    values = struct.unpack_from(f"<{count}q", tail)
    found = {_SLOTS[slot]: value for slot, value in zip(slots, values, strict=True) if slot in _SLOTS}
    counts = (found.get(name, 0) for name in _NAMES)
    return Totals(version, calibrator, level, begin, *counts)
