"""What every request passes first: a model's address in one form, HEAD for every GET, and headers for every answer."""

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem

MODELS: Final = ["v1", "models"]
ALIASES: Final = frozenset({"champion", "challenger"})
CALLS: Final = frozenset(
    {
        "alerts",
        "audit",
        "calibrate",
        "calibration",
        "calibrators",
        "drift",
        "estimate",
        "evidence",
        "history",
        "labels",
        "predict-set",
        "reference",
        "replay",
        "segments",
        "serving",
        "thresholds",
    }
)


class Front:
    """ASGI middleware that settles what a request is for before anything else looks at it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bodiless = scope["method"] == "HEAD"
        answer = _answering(send, bodiless=bodiless)
        try:
            path = settled(scope["path"], scope.get("raw_path"))
        except UnicodeDecodeError:
            await problem(400, "Unusable address", "the path is not UTF-8")(scope, receive, answer)
            return
        changed = {"path": path, "method": "GET"} if bodiless else {"path": path}
        await self.app({**scope, **changed}, receive, answer)


def settled(path: str, raw: bytes | None) -> str:
    """Return a path in which a model's name, and an event's id, is one percent-encoded part.

    Names may contain slashes, which callers may send as they are or as `%2F`. Who encodes them is always understood; sent
    as they are, what looks like a call at the end of the path is one.

    >>> settled("/v1/models/org/net/calibration", b"/v1/models/org/net/calibration")
    '/v1/models/org%2Fnet/calibration'
    >>> settled("/v1/models/org/calibration", b"/v1/models/org%2Fcalibration")
    '/v1/models/org%2Fcalibration'
    """
    if not path.startswith("/v1/models/"):
        return path
    given = raw if raw is not None else quote(path).encode()
    parts = [unquote_to_bytes(part).decode() for part in given.split(b"/")]
    if parts[1:3] != MODELS:  # somebody encoded the slashes that are none of a name's
        parts = path.split("/")
    return "/".join(["", *MODELS, *(quote(part, safe="") for part in _read(parts[3:]))])


def _read(parts: list[str]) -> list[str]:
    """Return a model's name and the call upon it, each part decoded."""
    if (call := _call(parts[1:], loose=True)) is not None:
        return [parts[0], *call]
    for size in range(2, len(parts)):
        if (call := _call(parts[size:], loose=False)) is not None:
            return ["/".join(parts[:size]), *call]
    return ["/".join(parts)]


def _call(tail: list[str], *, loose: bool) -> list[str] | None:
    """Return the parts of a call, None where there is none; loosely, anything may stand where a version belongs."""
    if not tail:
        return []
    if tail[0] == "events" and len(tail) > 1:
        return ["events", "/".join(tail[1:])]
    if tail[0] == "calibrators" and len(tail) > 1:
        version, *more = tail[1:]
        named = loose or version in ALIASES or version.isdigit() or (version == "rollback" and not more)
        return tail if named and more in ([], ["promote"], ["difference"], ["map"]) else None
    return tail if len(tail) == 1 and tail[0] in CALLS else None


def _answering(send: Send, *, bodiless: bool) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]}
        elif bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return answer
