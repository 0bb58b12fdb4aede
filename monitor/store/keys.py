"""API keys: only their hashes are kept."""

import hashlib
import secrets

from sqlalchemy import Connection, insert, select, update

from .schema import api_key

PREFIX = "cw_"


def digest_of(key: str) -> str:
    """Return what is stored of a key; keys are random, so that a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def create(connection: Connection, name: str, now: int) -> str:
    """Make a key and return it; it can't be shown again."""
    key = PREFIX + secrets.token_urlsafe(32)
    connection.execute(insert(api_key).values(name=name, digest=digest_of(key), created_at=now))
    return key


def valid(connection: Connection) -> dict[str, str]:
    """Return the names of all keys that are in force, by their hashes."""
    rows = connection.execute(select(api_key.c.digest, api_key.c.name).where(api_key.c.revoked_at.is_(None)))
    return {row.digest: row.name for row in rows}


def listed(connection: Connection) -> list[tuple[int, str, int, int | None]]:
    """Return (id, name, created, revoked) of all keys."""
    rows = connection.execute(select(api_key).order_by(api_key.c.id))
    return [(row.id, row.name, row.created_at, row.revoked_at) for row in rows]


def revoke(connection: Connection, number: int, now: int) -> bool:
    """End a key; return whether there was one in force."""
    ended = connection.execute(
        update(api_key).where(api_key.c.id == number, api_key.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return ended.rowcount == 1
