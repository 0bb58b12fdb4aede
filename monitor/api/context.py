"""What routes work with."""

from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from fastapi import Depends, Path, Request
from pydantic import AfterValidator
from sqlalchemy import Connection
from starlette.responses import Response

from monitor.declare import name_fault
from monitor.errors import BadInput, NotFound
from monitor.records import Model
from monitor.store import models
from monitor.wiring import Services

JsonObject = dict[str, Any]

ModelName = Annotated[
    str,
    Path(description="Its name, percent-encoded; slashes in it may stand as they are."),
    AfterValidator(unquote),
]
"""A part of the path in which `Front` left a percent-encoded name."""

EventId = Annotated[str, Path(description="The event's id, percent-encoded."), AfterValidator(unquote)]

_encoder: Final = msgspec.json.Encoder()


def services(request: Request) -> Services:
    """Return the services of this process."""
    found: Services = request.app.state.services
    return found


def moment(request: Request) -> int:
    """Return what time it is, in microseconds since 1970."""
    now: int = request.app.state.now()
    return now


Context = Annotated[Services, Depends(services)]
Now = Annotated[int, Depends(moment)]


def answer(content: JsonObject, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON; a figure that is not finite is null."""
    return Response(_encoder.encode(content), status_code=status, headers=headers, media_type="application/json")


def model_named(connection: Connection, name: str, *, lock: bool = False) -> Model:
    """Return a model, locked against other changes where one is to follow.

    Raises
    ------
    NotFound
        when there is none of this name.

    """
    found = None if name_fault(name) else models.by_name(connection, name, lock=lock)
    if found is None:
        raise NotFound(f"there is no model {name!r}")
    return found


def usable(field: str, value: str | None) -> str | None:
    """Return a name that a caller asks for.

    Raises
    ------
    BadInput
        when nothing can have this name.

    """
    fault = None if not value else name_fault(value)
    if fault is not None:
        raise BadInput(field, value, fault)
    return value
