"""A database of one's own, for what-if questions: in a temporary file, empty, gone afterwards."""

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
    """Yield an empty database that nobody else sees and that promises nothing about power cuts.

    Parameters
    ----------
    hash_key : what event ids are hashed under, so that the same events fall into the same random half as elsewhere

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
    """Add a model under its own id and with its settings, as if it had no events yet; return it as it is stored."""
    models.insert_as(connection, replace(model, revision=1))
    found = models.by_name(connection, model.name)
    if found is None:
        raise LookupError(f"model {model.name} vanished while it was being made")
    return found
