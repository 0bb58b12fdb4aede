"""What routes work with."""

from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Connection

from monitor.errors import NotFound
from monitor.records import Model
from monitor.store import models
from monitor.wiring import Services


def services(request: Request) -> Services:
    """Return the services of this process."""
    found: Services = request.app.state.services
    return found


Context = Annotated[Services, Depends(services)]
JsonObject = dict[str, Any]


def model_named(connection: Connection, name: str) -> Model:
    """Return a model.

    Raises
    ------
    NotFound
        when there is none of this name.

    """
    found = models.by_name(connection, name)
    if found is None:
        raise NotFound(f"there is no model {name!r}")
    return found
