"""Fresh databases for tests: copies of a migrated SQLite file, copies of a migrated Postgres database."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Pool, event

from monitor.store.engine import Database
from monitor.store.migrate import upgrade
from tests.postgres import PostgresTemplate
from tests.session import locked


@event.listens_for(Pool, "checkout")
def _wait_for_no_disk(connection: Any, *_: object) -> None:
    """Let SQLite return before the disk has what it wrote: tests end processes, never the machine."""
    if hasattr(connection, "total_changes"):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def sqlite_template(shared_folder: Path) -> Path:
    """Return an SQLite file with the schema in it, to be copied."""
    path = shared_folder / "template.db"
    with locked(shared_folder, "sqlite"):
        if not path.exists():
            with closing(Database(f"sqlite:///{path}")) as database:
                upgrade(database)
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a fresh, empty SQLite database."""
    path = tmp_path / "calwatch.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_template: PostgresTemplate) -> Iterator[str]:
    """Return the URL of a fresh, empty Postgres database."""
    with postgres_template.copy() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh, empty database: every test that takes it runs on both."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        yield opened


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    with closing(Database(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    with closing(Database(postgres_url)) as opened:
        yield opened
