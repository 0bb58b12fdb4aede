"""The lease of the leader, with a fencing token.

The token grows whenever the lease changes hands. A transaction of the leader begins with `hold`, which locks the row and
compares the token, so that a leader that was paused past its lease can no longer change anything.
"""

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from ..domain.errors import LeaseLost
from .engine import Database, database_micros
from .schema import lease

LEADER = "leader"


def acquire(database: Database, holder: str, seconds: float, name: str = LEADER) -> int | None:
    """Take or renew a lease; return its token, or None while another process holds it.

    An expired lease that nobody else has taken is renewed under the same token, so work begun under it stays valid.
    """
    with database.write(patient=True) as connection:
        now = database_micros(connection)
        until = now + int(seconds * 1e6)
        renewed = connection.execute(
            update(lease)
            .where(lease.c.name == name, lease.c.holder == holder)
            .values(expires_at=until)
            .returning(lease.c.token)
        ).scalar()
        if renewed is not None:
            return int(renewed)
        taken = connection.execute(
            update(lease)
            .where(lease.c.name == name, lease.c.expires_at <= now)
            .values(holder=holder, token=lease.c.token + 1, expires_at=until)
            .returning(lease.c.token)
        ).scalar()
        if taken is not None:
            return int(taken)
        if connection.execute(select(lease.c.name).where(lease.c.name == name)).scalar() is not None:
            return None
        try:
            with connection.begin_nested():
                connection.execute(lease.insert().values(name=name, holder=holder, token=1, expires_at=until))
        except IntegrityError:
            return None
        return 1


def hold(connection: Connection, token: int, name: str = LEADER) -> None:
    """Lock the lease for this transaction and check its token.

    Raises
    ------
    LeaseLost
        when another process has taken over.

    """
    current = connection.execute(select(lease.c.token).where(lease.c.name == name).with_for_update()).scalar()
    if current != token:
        raise LeaseLost(f"lease {name}: our token is {token}, the lease is at {current}")


def fence(connection: Connection, name: str = LEADER) -> None:
    """Invalidate the leader's token before event rows and rollups are changed outside of its jobs."""
    connection.execute(select(lease.c.token).where(lease.c.name == name).with_for_update())
    connection.execute(update(lease).where(lease.c.name == name).values(token=lease.c.token + 1, expires_at=0))


def release(database: Database, holder: str, name: str = LEADER) -> None:
    """Give up a lease, so that the next leader need not wait."""
    with database.write(patient=True) as connection:
        connection.execute(update(lease).where(lease.c.name == name, lease.c.holder == holder).values(expires_at=0))
