"""Access: by API key; on a loopback server without keys, only for programs on this machine."""

import time
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..domain.errors import MonitorError, shown
from ..store import keys
from ..store.engine import Database
from .problems import of_error, problem

FRESH_SECONDS: Final = 2.0
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LOCAL_HOSTS: Final = frozenset({b"localhost", b"127.0.0.1"})
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Paths that answer anybody, even while the keys can't be read."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guarded:
    """ASGI middleware that lets a request through or refuses it."""

    def __init__(self, app: ASGIApp, guard: "Guard") -> None:
        self.app = app
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        try:
            refusal = await self.guard.refusal(scope, Headers(scope=scope))
        except MonitorError as error:
            await of_error(error)(scope, receive, send)
            return
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            status, title, detail = refusal
            extra = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004 - HTTP
            await problem(status, title, detail, headers=extra)(scope, receive, send)


class Guard:
    """Knows who may call."""

    def __init__(self, database: Database, *, local: bool) -> None:
        self.database = database
        self.local = local
        self._keys: dict[str, str] = {}
        self._admitted: set[bytes] = set()  # headers with a valid key
        self._looked_at = float("-inf")

    def admits_at_once(self, scope: Scope) -> bool:
        """Return whether a request surely passes, by what was admitted before; else it has to be asked for in full."""
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            return False
        headers = dict(scope["headers"])
        if self.local and not self._keys:
            return b"origin" not in headers and headers.get(b"host", b"").partition(b":")[0] in _LOCAL_HOSTS
        return headers.get(b"authorization") in self._admitted

    async def refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        """Return status, title and detail of the refusal of a request; None for one that may pass."""
        known = await self._current_keys()
        if self.local and not known:
            return _foreign(scope["method"], headers)
        if not scope["path"].startswith("/v1/"):
            return None
        scheme, _, key = headers.get("authorization", "").partition(" ")
        name = known.get(keys.digest_of(key.strip())) if scheme.lower() == "bearer" else None
        if name is not None:
            scope.setdefault("state", {})["key_name"] = name
            self._admitted.add(headers["authorization"].encode("latin-1"))
            return None
        return 401, "Key needed", "send an API key as `Authorization: Bearer …`; `calwatch keys create NAME` makes one"

    async def _current_keys(self) -> dict[str, str]:
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            self._keys = await run_in_threadpool(self._read_keys)
            self._admitted.clear()
            self._looked_at = time.monotonic()
        return self._keys

    def _read_keys(self) -> dict[str, str]:
        with self.database.read() as connection:
            return keys.valid(connection)


def _foreign(method: str, headers: Headers) -> tuple[int, str, str] | None:
    """Refuse what a foreign web page may have sent: another host name, or a change from another origin."""
    host = headers.get("host", "")
    if _name_in(host) not in LOCAL_NAMES:
        return 403, "Forbidden", f"this server answers to localhost only, not to {shown(host)}: make an API key first"
    origin = headers.get("origin")
    if origin is not None and method not in SAFE_METHODS and origin.rpartition("://")[2].lower() != host.lower():
        return 403, "Forbidden", "changes from pages of another origin need an API key"
    return None


@lru_cache(maxsize=256)
def _name_in(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
