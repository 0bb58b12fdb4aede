"""Check that the stored values of corrected predictions are what was sent means, by an arithmetic of its own."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ..domain.records import PredictionRow
from ..store.payload import Payload, payload_of

AS_IT_IS: Final = 0.001
"""Distance of a sum from 1 up to which a vector is not brought to it."""


class Misread(NamedTuple):
    """A stored value that differs from what was sent means."""

    what: str
    stored: str
    meant: str


def misread(row: PredictionRow, classes: Sequence[str] | None) -> Iterator[Misread]:
    """Yield the values of a prediction that differ from what was sent means; nothing for one that needed no correction."""
    if row.payload is None or b"corrected" not in row.payload:
        return
    sent = payload_of(row)
    pairs = {"served": (row.p, _served(sent, classes)), "raw": (row.raw, _raw(sent, classes))}
    for name, (stored, meant) in pairs.items():
        if meant is not None and stored != meant:
            yield Misread(f"{name} value of event {row.event_id}", str(stored), str(meant))


def _served(sent: Payload, classes: Sequence[str] | None) -> float | None:
    if sent.served_as_sent is not None:
        return _within(sent.served_as_sent)
    return None if sent.vector is None else _largest(sent.vector, classes)


def _raw(sent: Payload, classes: Sequence[str] | None) -> float | None:
    if sent.raw_as_sent is not None:
        return _within(sent.raw_as_sent)
    return None if sent.raw is None else _largest(sent.raw, classes)


def _largest(vector: list[float] | dict[str, float], classes: Sequence[str] | None) -> float:
    sent = [vector[name] for name in classes or () if name in vector] if isinstance(vector, dict) else vector
    entries = [*map(_within, sent)]
    total = sum(entries)
    largest = max(entries)
    return largest if abs(total - 1.0) <= AS_IT_IS + AS_IT_IS / 1e6 else largest / total


def _within(p: float) -> float:
    return min(max(p, 0.0), 1.0)
