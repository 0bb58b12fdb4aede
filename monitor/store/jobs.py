"""Successes and failures of the jobs."""

from sqlalchemy import Connection, select

from .bulk import upsert
from .schema import job


def succeeded(connection: Connection, name: str, now: int) -> None:
    """Note a success of a job."""
    upsert(connection, job, [{"name": name, "last_success_at": now, "failures": 0}], sums=["failures"])


def failed(connection: Connection, name: str) -> None:
    """Note a failure of a job."""
    upsert(connection, job, [{"name": name, "failures": 1}], sums=["failures"])


def read(connection: Connection) -> dict[str, tuple[int | None, int]]:
    """Return the last success and the number of failures of each job."""
    return {row.name: (row.last_success_at, row.failures) for row in connection.execute(select(job))}
