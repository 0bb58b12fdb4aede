"""A load that knows what was acknowledged: small batches, each sent until it is, each with an hour to itself."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass
from typing import Self

from monitor.domain.times import HOUR, rfc3339


@dataclass(slots=True)
class Batch:
    """Events sent in one request. Its predictions have an hour of their model's history to themselves."""

    model: str
    at: int
    predictions: list[str]
    labels: list[str]
    of_earlier: int = 0  # how many of the labels, the last, are for the batch before
    tries: int = 0
    acknowledged: bool = False

    @property
    def events(self) -> list[tuple[str, str]]:
        return [("prediction", name) for name in self.predictions] + [("label", name) for name in self.labels]

    def body(self) -> bytes:
        predictions = [
            {
                "type": "prediction",
                "event_id": name,
                "model": self.model,
                "timestamp": rfc3339(self.at + 60_000_000 * i),
                "probability": 0.05 + 0.09 * i,
            }
            for i, name in enumerate(self.predictions)
        ]
        labels = [
            {"type": "label", "event_id": name, "model": self.model, "label": len(name) % 2} for name in self.labels
        ]
        return json.dumps({"events": predictions + labels}).encode()


class Load:
    """Clients that send small batches, each again and again until it is acknowledged."""

    def __init__(self, *ports: int, clients: int = 4, pause: float = 0.01) -> None:
        self._ports = ports
        self._pause = pause
        self._ended = threading.Event()
        self.batches: list[Batch] = []
        self.refusals: list[str] = []
        self._new_model = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Return once all clients have had their last batch acknowledged, or can't get it through for long."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def begin_a_model(self) -> None:
        """Let the next batch be for a model that does not exist yet."""
        self._new_model.set()

    @property
    def acknowledged(self) -> int:
        return sum(batch.acknowledged for batch in list(self.batches))

    def _client(self, number: int) -> None:
        dice = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[number % len(self._ports)], timeout=15)
        before: Batch | None = None
        generation = k = 0
        while not self._ended.is_set():
            if number == 0 and self._new_model.is_set():
                self._new_model.clear()
                generation, before = generation + 1, None
            before = self._batch(f"m{number}-{generation}", f"{number}-{k}", k, dice.randint(1, 8), before)
            self.batches.append(before)
            self._deliver(connection, before)
            k += 1
            time.sleep(self._pause)
        connection.close()

    def _batch(self, model: str, name: str, hour: int, size: int, before: Batch | None) -> Batch:
        """Return a batch: predictions, labels for half of them, and labels for the other half of the batch before."""
        predictions = [f"{name}-{i}" for i in range(size)]
        earlier = [] if before is None else before.predictions[len(before.predictions) // 2 :]
        return Batch(model, (24 + hour) * HOUR, predictions, [*predictions[: size // 2], *earlier], len(earlier))

    def _deliver(self, connection: http.client.HTTPConnection, batch: Batch) -> None:
        body, give_up = batch.body(), 0.0
        while not batch.acknowledged:
            give_up = give_up or (time.monotonic() + 30 if self._ended.is_set() else 0.0)
            if give_up and time.monotonic() > give_up:
                return
            batch.tries += 1
            try:
                connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self._note(batch, answer.status, answer.read())
            except (OSError, http.client.HTTPException):
                connection.close()
            if not batch.acknowledged:
                time.sleep(0.02)

    def _note(self, batch: Batch, status: int, content: bytes) -> None:
        if status == 200 and json.loads(content) == {"accepted": len(batch.events), "rejected": []}:
            batch.acknowledged = True
        elif status != 503:
            self.refusals.append(f"{status} {content[:500]!r}")
