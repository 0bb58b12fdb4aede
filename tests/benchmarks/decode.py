"""What checking a request costs, as a multiple of decoding its JSON with msgspec and no more."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import msgspec

from monitor.ingest.decode import decode_events
from tests.benchmarks.measure import Ratio, ratio, repeated

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def body(count: int) -> bytes:
    """Return a request of predictions and labels of a binary model."""
    events = []
    for i in range(count):
        if i % 2:
            events.append({"type": "label", "event_id": f"event-{i - 1}", "model": "churn", "label": i % 3 == 0})
        else:
            events.append(
                {
                    "type": "prediction",
                    "event_id": f"event-{i}",
                    "model": "churn",
                    "timestamp": "2026-01-05T11:00:00Z",
                    "probability": (i % 997) / 997,
                    "segments": {"country": "DE"},
                }
            )
    return msgspec.json.encode({"events": events})


def run() -> Iterator[Ratio]:
    """Yield the ratios for a batch, for one event, and for a batch with one bad item."""
    for what, sent, times in (("5,000 events", body(5000), 1), ("one event", body(1), 2000)):
        value = ratio(
            repeated(partial(decode_events, sent, "application/json", now=NOW), times),
            repeated(partial(msgspec.json.decode, sent), times),
            runs=9,
        )
        yield Ratio(f"decode and check a request of {what}: over msgspec alone, untyped", value)
    good = body(5000)
    bad = good.replace(b'"DE"', b"[]", 1)
    value = ratio(
        lambda: decode_events(bad, "application/json", now=NOW),
        lambda: decode_events(good, "application/json", now=NOW),
        runs=9,
    )
    yield Ratio("decode a request of 5,000 events with a bad item: over one without", value)
