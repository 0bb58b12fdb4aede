"""Migrate a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ..domain.errors import ConfigError
from .engine import Database
from .events import make_hash_key
from .schema import metadata

_ADVISORY_LOCK = 0x63616C77


def folder() -> Path:
    """Return the folder of the migrations: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]  # behind the link of an editable installation
    for candidate in (package / "migrations", package.parent / "migrations"):
        if (candidate / "env.py").exists():
            return candidate
    raise ConfigError("the migrations are missing from this installation")


def upgrade(database: Database) -> None:
    """Migrate to the newest schema; safe in several processes at once."""
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        command.upgrade(_config(connection), "head")
        make_hash_key(connection)


def pending(database: Database) -> bool:
    """Return whether a migration is due."""
    head = ScriptDirectory(str(folder())).get_current_head()
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() != head


def write_revision(database: Database, message: str) -> None:
    """Write a migration for the changes of the tables since the last one."""
    with database.write() as connection:
        command.revision(_config(connection), message=message, autogenerate=True)


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection, "metadata": metadata})
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    return config
