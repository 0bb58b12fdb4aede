"""When each job last succeeded."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from .schema import job


def succeeded(connection: Connection, name: str, now: int) -> None:
    """Note that a job ran to its end."""
    _note(connection, name, last_success_at=now, failures=0)


def failed(connection: Connection, name: str) -> None:
    """Note that a job failed."""
    _note(connection, name, last_success_at=None, failures=1)


def _note(connection: Connection, name: str, *, last_success_at: int | None, failures: int) -> None:
    build = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = build(job).values(name=name, last_success_at=last_success_at, failures=failures)
    changed = {"failures": job.c.failures + failures} | (
        {} if last_success_at is None else {"last_success_at": last_success_at}
    )
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))


def read(connection: Connection) -> dict[str, tuple[int | None, int]]:
    """Return (last success, failures) by job."""
    return {row.name: (row.last_success_at, row.failures) for row in connection.execute(select(job))}
