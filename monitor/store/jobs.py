"""When each job last succeeded."""

from sqlalchemy import Connection, select

from .bulk import upsert
from .schema import job


def succeeded(connection: Connection, name: str, now: int) -> None:
    """Note that a job ran to its end."""
    upsert(connection, job, [{"name": name, "last_success_at": now, "failures": 0}], sums=["failures"])


def failed(connection: Connection, name: str) -> None:
    """Note that a job failed."""
    upsert(connection, job, [{"name": name, "failures": 1}], sums=["failures"])


def read(connection: Connection) -> dict[str, tuple[int | None, int]]:
    """Return (last success, failures) by job."""
    return {row.name: (row.last_success_at, row.failures) for row in connection.execute(select(job))}
