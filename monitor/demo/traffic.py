"""Images that arrive at random, answered through the client, and labels that follow hours later."""

import heapq
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from .. import Client
from .digits import Classifier, Digits

PER_HOUR: Final = 300.0
LABELLED: Final = 0.95
"""Share of images that are ever labelled."""
FASTEST_LABEL: Final = timedelta(minutes=10)
SLOWEST_LABEL: Final = timedelta(hours=2)


class Traffic:
    """Serves one model's traffic in event time, which moves with each call of `advance`."""

    def __init__(
        self, client: Client, classifier: Classifier, digits: Digits, rng: np.random.Generator, *, start: datetime
    ) -> None:
        self._client = client
        self._classifier = classifier
        self._digits = digits
        self._rng = rng
        self._next = start
        self._due: list[tuple[datetime, str, str]] = []
        self.degraded = False  # the scanner fails
        self.shuffled = False  # labels end up at other events
        self.predictions = 0
        self.labels = 0
        self.corrected_since: datetime | None = None  # first image answered through a calibrator

    def advance(self, until: datetime) -> None:
        """Serve the images that arrive before a moment, and send the labels known by then."""
        times = self._arrivals(until)
        if times:
            self._serve(times)
        while self._due and self._due[0][0] <= until:
            known, event_id, label = heapq.heappop(self._due)
            self._client.label(event_id, label, timestamp=known, source="review")
            self.labels += 1

    def _arrivals(self, until: datetime) -> list[datetime]:
        times = []
        while self._next < until:
            times.append(self._next)
            self._next += timedelta(hours=self._rng.exponential(1.0 / PER_HOUR))
        return times

    def _serve(self, times: list[datetime]) -> None:
        drawn = self._digits.draw(len(times), self._rng)
        seen = drawn.degraded(self._rng) if self.degraded else drawn
        labels = self._rng.permutation(drawn.truth) if self.shuffled else drawn.truth
        vectors: list[list[float]] = self._classifier.probabilities(seen.images).tolist()
        for at, raw, label in zip(times, vectors, labels, strict=True):
            answer = self._client.calibrated(raw)
            event_id = self._client.log(probabilities=answer, timestamp=at)
            if answer.version is not None and self.corrected_since is None:
                self.corrected_since = at
            if self._rng.random() < LABELLED:
                heapq.heappush(self._due, (at + self._delay(), event_id, str(label)))
        self.predictions += len(times)

    def _delay(self) -> timedelta:
        return FASTEST_LABEL + (SLOWEST_LABEL - FASTEST_LABEL) * self._rng.random()
