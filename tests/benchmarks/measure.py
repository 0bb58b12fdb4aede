"""Time two things in turn and compare their medians."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure that holds on any machine."""

    what: str
    value: float
    limit: str | None = None


def seconds(work: Callable[[], object]) -> float:
    """Return how long one run takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def processor_seconds(work: Callable[[], object]) -> float:
    """Return how much of the processor's time one run takes, which other programs hardly change."""
    began = time.process_time()
    work()
    return time.process_time() - began


def ratio(first: Callable[[], object], second: Callable[[], object], *, runs: int) -> float:
    """Return the median time of the first over that of the second, run in turn after a warm-up of each."""
    first()
    second()
    pairs = [(seconds(first), seconds(second)) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


def repeated(work: Callable[[], object], times: int) -> Callable[[], None]:
    """Return the same work done many times."""

    def run() -> None:
        for _ in range(times):
            work()

    return run
