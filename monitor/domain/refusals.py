"""Refused events on their way from ingest to the roll-up, which counts and lists them by model."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from .events import Rejection

MOST_MODELS: Final = 20
"""Models whose refusals one request is counted for by name; whoever makes up names makes no counters."""

MOST_LISTED: Final = 20
"""Refusals of a request that are listed, the last ones."""

LONGEST_REASON: Final = 500


class Refused(Struct, frozen=True, array_like=True):
    """One refused event."""

    model: str
    event_id: str | None
    code: str
    reason: str


class Refusals(Struct, frozen=True, array_like=True):
    """The refused events of a request: numbers by model, where it is known, and code, and the last of them."""

    counts: list[tuple[str | None, str, int]] = []
    last: list[Refused] = []

    @classmethod
    def of(cls, rejections: Iterable[Rejection]) -> "Refusals":
        """Return the refusals of a request, of bounded size whatever was sent."""
        items = list(rejections)
        frequent = {name for name, _ in Counter(item.model for item in items).most_common(MOST_MODELS)}
        counts = Counter((item.model if item.model in frequent else None, item.code) for item in items)
        named = [
            Refused(item.model, item.event_id, item.code, item.reason[:LONGEST_REASON])
            for item in items
            if item.model is not None and item.model in frequent
        ]
        return cls([(name, code, count) for (name, code), count in counts.items()], named[-MOST_LISTED:])
