"""An empty temporary database for replays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import URL, Connection, event, insert

from ..domain.settings import Model
from . import models
from .engine import Database
from .events import EVENT_KEY
from .schema import metadata, secret


@contextmanager
def scratch(hash_key: bytes) -> Iterator[Database]:
    """Yield an empty database in a temporary file, without durability.

    Parameters
    ----------
    hash_key : the secret of the original database, so that events fall into the same random half

    """
    with TemporaryDirectory(prefix="calwatch-") as folder:
        url = URL.create("sqlite", database=str(Path(folder) / "scratch.db"))
        database = Database(url.render_as_string())
        event.listen(database.engine, "connect", _hurry)
        try:
            with database.write() as connection:
                metadata.create_all(connection)
                connection.execute(insert(secret).values(name=EVENT_KEY, value=hash_key))
            yield database
        finally:
            database.close()


def _hurry(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.close()


def put_twin(connection: Connection, model: Model) -> Model:
    """Add a model with its own id and settings but without events; return the stored model."""
    return models.insert_as(connection, replace(model, revision=1))
