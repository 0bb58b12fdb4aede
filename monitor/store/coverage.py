"""Counts of predictions and labels per bucket, read without the rest of the summaries."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import Connection, Executable, Integer, bindparam, func, select, union_all

from ..stats.summary import total_slot
from .rollups import Span, in_span, span_bounds
from .schema import rollup, series

_NAMES: Final = ("events", "labels", "late")
_SLOTS: Final = {total_slot(name): name for name in _NAMES}
"""The totals by slot; these are the first slots of a summary."""

_ENTRY_BYTES: Final = 10


class Totals(NamedTuple):
    """The counts of one stored bucket."""

    version: str
    calibrator: int  # 0: none was named
    level: int
    begin: int
    predictions: int
    labelled: int
    late: int


def totals(connection: Connection, model_id: int, spans: Sequence[Span]) -> list[Totals]:
    """Return the counts of each bucket of a model as a whole within disjoint spans, by series, in no order."""
    if not spans:
        return []
    rows = connection.execute(_query(len(spans)), {"model": model_id, **span_bounds(spans)})
    return [Totals(*bucket, *_counts(size, head, tail)) for *bucket, size, head, tail in rows]


@lru_cache(maxsize=64)
def _query(spans: int) -> Executable:
    """Return the query for a number of spans: the first slots of each summary, and their values, which follow all slots."""
    size = func.length(rollup.c.summary, type_=Integer())
    head = func.substr(rollup.c.summary, 1, 2 * len(_NAMES))
    tail = func.substr(rollup.c.summary, size // _ENTRY_BYTES * 2 + 1, 8 * len(_NAMES))
    parts = [
        select(series.c.version, series.c.calibrator, rollup.c.level, rollup.c.bucket, size, head, tail)
        .join_from(series, rollup, series.c.id == rollup.c.series_id)
        .where(series.c.model_id == bindparam("model"), series.c.segment == "", *in_span(i))
        for i in range(spans)
    ]
    return union_all(*parts)


def _counts(size: int, head: bytes, tail: bytes) -> list[int]:
    """Return predictions, labels and late labels from the first slots of a summary and their values."""
    count = min(len(_NAMES), size // _ENTRY_BYTES)
    slots = struct.unpack_from(f"<{count}H", head)
    values = struct.unpack_from(f"<{count}q", tail)
    by_name = {_SLOTS[slot]: value for slot, value in zip(slots, values, strict=True) if slot in _SLOTS}
    return [by_name.get(name, 0) for name in _NAMES]
