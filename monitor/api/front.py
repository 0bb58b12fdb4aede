"""The application's entrance: events go straight to their endpoint, past everything but the check of the key."""

import logging
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from .auth import Guard
from .paths import answering
from .problems import unexpected

log = logging.getLogger(__name__)

EVENTS: Final = "/v1/events"


class Application(FastAPI):
    """A FastAPI application with a way of its own for `POST /v1/events`, where its middleware costs more than the request.

    Parameters
    ----------
    events : the endpoint
    guard : says which requests surely pass; all others go the way of every other call

    """

    def __init__(self, *, events: ASGIApp, guard: Guard, **options: Any) -> None:
        super().__init__(**options)
        self._events = events
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        is_events = scope["type"] == "http" and scope["path"] == EVENTS and scope["method"] == "POST"
        if is_events and self._guard.admits_at_once(scope):
            await self._take(scope, receive, answering(send, bodiless=False))
        else:
            await super().__call__(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._events(scope, receive, send)
        except Exception:
            log.exception("a request with events failed")
            await unexpected()(scope, receive, send)
