"""The lifespan of an ASGI application that logs: its clients hand over their events before the server leaves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from .client import Client

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def lifespan(*clients: Client, within: Lifespan | None = None) -> Lifespan:
    """Return the lifespan of a FastAPI or Starlette application, which closes clients at its end.

    uvicorn ends itself by SIGTERM once the application has shut down, and runs no exit handler of Python's: what is not sent in the
    lifespan is lost, except to a spool. A client is opened again if the application starts again, as in tests.

    Parameters
    ----------
    clients : closed at shutdown, one after the other
    within : the application's own lifespan; it ends first, so that it may still log

    Examples
    --------
    >>> client = Client("http://127.0.0.1:9", "churn")
    >>> app = {"lifespan": lifespan(client)}  # FastAPI(lifespan=lifespan(client))

    """

    @asynccontextmanager
    async def closing(app: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            for client in clients:
                await stack.enter_async_context(client)
            yield None if within is None else await stack.enter_async_context(within(app))

    return closing
