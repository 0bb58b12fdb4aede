"""API keys, stored as hashes."""

import hashlib
import secrets

from sqlalchemy import Connection, insert, select, update

from .schema import api_key

PREFIX = "cw_"


def digest_of(key: str) -> str:
    """Return the hash of a key; a plain one is enough, since keys are random."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(connection: Connection, name: str, now: int) -> str:
    """Create a key and return it; it cannot be shown again."""
    key = PREFIX + secrets.token_urlsafe(32)
    connection.execute(insert(api_key).values(name=name, digest=digest_of(key), created_at=now))
    return key


def valid(connection: Connection) -> dict[str, str]:
    """Return the names of all valid keys by hash."""
    rows = connection.execute(select(api_key.c.digest, api_key.c.name).where(api_key.c.revoked_at.is_(None)))
    return {row.digest: row.name for row in rows}


def listed(connection: Connection) -> list[tuple[int, str, int, int | None]]:
    """Return the id, name, creation and revocation of all keys."""
    rows = connection.execute(select(api_key).order_by(api_key.c.id))
    return [(row.id, row.name, row.created_at, row.revoked_at) for row in rows]


def revoke(connection: Connection, number: int, now: int) -> bool:
    """Revoke a key; return whether it was valid."""
    ended = connection.execute(
        update(api_key).where(api_key.c.id == number, api_key.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return ended.rowcount == 1
