"""What `Client.log` costs the thread that serves, in its processor time.

It is compared with what such a thread does anyhow to be watched: a labelled counter and a histogram of prometheus_client, and a span of
OpenTelemetry that carries the fields of the event. Events and spans are then sent by threads of their own, which is not counted.
"""

import contextlib
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry, Counter, Histogram

from monitor import Client
from monitor.client.ids import TimeOrderedIds
from tests.benchmarks.measure import Ratio

NOWHERE = "http://127.0.0.1:9"
CALLS, RUNS = 500, 41

Work = Callable[[], object]


def run() -> Iterator[Ratio]:
    """Yield what an event costs, over each of the others."""
    logging.getLogger("calwatch.client").setLevel(logging.ERROR)  # it warns that there is no server
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        memory, spool = (
            stack.enter_context(contextlib.closing(_client(where))) for where in (None, Path(folder) / "spool")
        )
        metrics, span = _metrics(), _span(stack)
        works: list[Work] = [
            metrics,
            span,
            lambda: memory.log(probability=0.83),
            lambda: memory.log("order-1", probability=0.83),
            lambda: spool.log(probability=0.83),
        ]
        prometheus, telemetry, event, event_with_id, spooled = medians(works)
    yield Ratio("log: over a labelled Counter.inc and Histogram.observe", event / prometheus, "≤ 2")
    yield Ratio("log with an id of the caller's: over the same", event_with_id / prometheus, "≤ 2")
    yield Ratio("log with a spool: over the same", spooled / prometheus)
    yield Ratio("log: over a span of OpenTelemetry", event / telemetry)
    yield Ratio("log with an id of the caller's: over the same span", event_with_id / telemetry)
    yield Ratio("log with a spool: over log without", spooled / event)
    yield Ratio("log, in microseconds", event * 1e6)
    yield Ratio("log with a spool, in microseconds", spooled * 1e6)


def medians(works: Sequence[Work]) -> list[float]:
    """Return the seconds of one call of each, taken in turn, so that what else the machine does hits all alike."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(RUNS + 1):
        for work, seconds in zip(works, taken, strict=True):
            began = time.thread_time()
            for _ in range(CALLS):
                work()
            if turn:  # the first is a warm-up
                seconds.append((time.thread_time() - began) / CALLS)
    return [statistics.median(seconds) for seconds in taken]


def _client(spool: Path | None) -> Client:
    client = Client(NOWHERE, "churn", model_version="7", timeout=0.05, spool=spool)
    client.patience = 0.0
    return client


def _metrics() -> Work:
    registry = CollectorRegistry()
    predictions = Counter("predictions", "Predictions.", ["model", "version"], registry=registry)
    scores = Histogram("scores", "Their values.", ["model", "version"], registry=registry)

    def observe() -> None:
        predictions.labels("churn", "7").inc()
        scores.labels("churn", "7").observe(0.83)

    return observe


class Nowhere(SpanExporter):
    """Exports nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002  the interface's own name
        return SpanExportResult.SUCCESS


def _span(stack: contextlib.ExitStack) -> Work:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    stack.callback(provider.shutdown)
    tracer, ids = provider.get_tracer("benchmark"), TimeOrderedIds()

    def trace() -> None:
        with tracer.start_as_current_span("prediction") as span:
            span.set_attributes(
                {
                    "event_id": ids.new(),
                    "model": "churn",
                    "model_version": "7",
                    "timestamp": datetime.now(UTC).isoformat(),
                    "probability": 0.83,
                }
            )

    return trace
