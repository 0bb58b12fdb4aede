"""Dependencies of routes: services, caller, time, and parameters of the path."""

from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import unquote

from fastapi import Depends, Path, Request
from pydantic import AfterValidator

from ..domain.errors import BadInput
from ..domain.names import name_fault
from ..runtime.replays import Replays
from ..runtime.wiring import Services
from ..store import models
from .paths import Recognised

ModelName = Annotated[
    str,
    Path(description="Its name, percent-encoded; slashes in it may stand as they are."),
    AfterValidator(unquote),
]
"""One part of the path, in which `RequestNormaliser` left the name percent-encoded."""

EventId = Annotated[
    str, Path(description="The event's id, percent-encoded."), AfterValidator(unquote), Recognised(".*", slashes=True)
]

model_named: Final = models.named


def services(request: Request) -> Services:
    """Return the services of this process."""
    running: Services = request.app.state.services
    return running


def replays_of(request: Request) -> Replays:
    """Return the replays of this process."""
    running: Replays = request.app.state.replays
    return running


def moment(request: Request) -> int:
    """Return the time of the request, in microseconds since 1970."""
    now: int = request.app.state.now()
    return now


class Caller(NamedTuple):
    """Who made a request, and when."""

    name: str  # for the audit log
    now: int


def caller(request: Request) -> Caller:
    """Return the caller, named by its API key if it sent one."""
    name: str | None = getattr(request.state, "key_name", None)
    return Caller("api" if name is None else f"api key {name}", moment(request))


async def sent_json(request: Request) -> dict[str, Any]:
    """Return the body of the request, a JSON object yet to be checked."""
    body: dict[str, Any] = await request.json()
    return body


SentJson = Annotated[dict[str, Any], Depends(sent_json)]
"""The body of a route that describes it by `takes` and checks it itself."""

Context = Annotated[Services, Depends(services)]
Running = Annotated[Replays, Depends(replays_of)]
By = Annotated[Caller, Depends(caller)]
Now = Annotated[int, Depends(moment)]


def usable(field: str, value: str | None) -> str | None:
    """Return a name from a request, or None.

    Raises
    ------
    BadInput
        when it can't be a name.

    """
    fault = None if not value else name_fault(value)
    if fault is not None:
        raise BadInput(field, value, fault)
    return value
