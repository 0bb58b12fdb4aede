"""Small requests that arrive together are read together: for one event, Python's calls cost far more than its bytes."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from ..domain.errors import MonitorError
from .ingest import Ingest, Stale
from .writer import PlainRequest, Waiting


class _Request(NamedTuple):
    body: bytes
    answer: "asyncio.Future[int | None]"


class Gathering:
    """The requests of one turn of the event loop. Only used on that loop."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._requests: list[_Request] = []
        self._readings: set[asyncio.Task[None]] = set()  # so that none is collected before it is done

    def take(self, body: bytes) -> "asyncio.Future[int | None]":
        """Take the body of a request, in JSON; return how many events were committed, all of it; None if it is not plain."""
        if not self._requests:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._read)  # behind all that arrived with it
        answer: asyncio.Future[int | None] = self._loop.create_future()
        self._requests.append(_Request(body, answer))
        return answer

    def _read(self) -> None:
        requests, self._requests = self._requests, []
        self._settle(requests)

    def _settle(self, requests: Sequence[_Request]) -> None:
        """Queue requests that are plain; halve others until those that are not plain stand alone."""
        try:
            read = self._ingest.read_together([one.body for one in requests])
        except Stale as stale:
            reading = self._loop.create_task(self._settle_later(requests, stale.models))
            self._readings.add(reading)
            reading.add_done_callback(self._readings.discard)
            return
        if read is not None:
            self._queue(requests, *read)
        elif len(requests) > 1:
            middle = len(requests) // 2
            self._settle(requests[:middle])
            self._settle(requests[middle:])
        else:
            _leave(requests)

    async def _settle_later(self, requests: Sequence[_Request], models: Sequence[str]) -> None:
        """Settle requests once their models have been read again, in a thread; of models that are not known yet, leave them."""
        try:
            known = await run_in_threadpool(lambda: all(self._ingest.directory.find(name) for name in models))
        except MonitorError as error:
            _fail(requests, error)
            return
        if known:
            self._settle(requests)
        else:
            _leave(requests)

    def _queue(self, requests: Sequence[_Request], request: PlainRequest, counts: Sequence[int]) -> None:
        waiting = [Waiting(one.answer, count) for one, count in zip(requests, counts, strict=True)]
        try:
            self._ingest.writer.submit_plain(request, waiting)
        except MonitorError as error:
            _fail(requests, error)


def _leave(requests: Sequence[_Request]) -> None:
    for one in requests:
        if not one.answer.done():
            one.answer.set_result(None)


def _fail(requests: Sequence[_Request], error: MonitorError) -> None:
    for one in requests:
        if not one.answer.done():
            one.answer.set_exception(error)
