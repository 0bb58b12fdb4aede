"""Answers that count what was accepted before they were asked for, as far as the roll-up keeps up; else they say `stale`."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ..domain.times import SECOND
from ..store import journal
from ..store.engine import Database

KEEPS_UP: Final = 5 * SECOND
"""A roll-up that has left events waiting for longer is behind, and not waited for."""

PATIENCE_SECONDS: Final = 1.0

POLL_SECONDS: Final = 0.03

STALE: Final = {
    "type": "boolean",
    "description": "Present and true where events that were accepted before are not counted: the roll-up does not keep up.",
}


class Freshness:
    """Waits for the roll-up, wherever it runs; all requests of a process share one look at the journal at a time.

    Parameters
    ----------
    wake : starts the roll-up, if this process runs it

    """

    def __init__(self, database: Database, wake: Callable[[], object]) -> None:
        self._database = database
        self._wake = wake
        self._looking = False
        self._looked_at = float("-inf")
        self._oldest: int | None = None

    async def is_stale(self, now: int) -> bool:
        """Wait until what is stored by now is rolled up, at most a second; return whether some of it is not."""
        waiting = await run_in_threadpool(self._waiting)
        if waiting is None:
            return False
        if now - waiting.received_at > KEEPS_UP:
            return True
        until = time.monotonic() + PATIENCE_SECONDS
        while not await self._is_past(waiting.newest):
            if time.monotonic() > until:
                return True
        return False

    async def _is_past(self, newest: int) -> bool:
        """Wake the roll-up and look a little later whether it is past a batch."""
        asked = time.monotonic()
        self._wake()
        await asyncio.sleep(POLL_SECONDS)
        if not self._looking and time.monotonic() - self._looked_at >= POLL_SECONDS:
            self._looking = True
            try:
                began, waiting = time.monotonic(), await run_in_threadpool(self._waiting)
                self._looked_at, self._oldest = began, None if waiting is None else waiting.oldest
            finally:
                self._looking = False
        return self._looked_at >= asked and (self._oldest is None or self._oldest > newest)

    def _waiting(self) -> journal.Waiting | None:
        with self._database.read() as connection:
            return journal.waiting(connection)


async def _wait(request: Request) -> None:
    state = request.app.state
    request.state.is_stale = await state.freshness.is_stale(state.now())


CURRENT: Final = Depends(_wait)
"""The dependency of routes whose answers or effects depend on events."""


def is_current(route: APIRoute) -> bool:
    """Return whether a route waits for the roll-up."""
    return any(dependency.call is _wait for dependency in route.dependant.dependencies)


def mark_stale(request: Request, *, is_stale: bool) -> None:
    """Note that an answer does not count all that was accepted before, whatever the roll-up has done."""
    request.state.is_stale = request.state.is_stale or is_stale


def marked(request: Request, response: Response) -> Response:
    """Return the answer of a route, with `stale` if it does not count all that was accepted before."""
    body = bytes(response.body)
    if not getattr(request.state, "is_stale", False) or not body.startswith(b"{"):
        return response
    rest = body[1:]
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(b'{"stale":true' + (rest if rest == b"}" else b"," + rest), response.status_code, headers)
