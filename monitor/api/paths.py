"""Normalise requests before anything else reads them: a model's path in one form, HEAD as GET; and add headers to every answer."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import problem

MODELS: Final = "/v1/models/"
ON_A_MODEL: Final = f"{MODELS}{{model}}/"
ENCODED_SLASH: Final = "%2F"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Recognised:
    """The pattern by which a path parameter is told from a part of a model's name with unencoded slashes."""

    pattern: str  # of the percent-encoded parameter
    slashes: bool = False  # it takes all parts up to the end of the path


class Calls:
    """The calls on a model, recognised by the part of the path after its name."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._by_word: dict[str, list[_Call]] = {}
        for route in routes:
            if isinstance(route, APIRoute) and route.path.startswith(ON_A_MODEL):
                call = _Call(route)
                self._by_word.setdefault(call.word, []).append(call)

    def normalised(self, path: str, raw: bytes | None) -> str:
        """Return a path in which a model's name, and an event's id, is one percent-encoded part.

        Names may contain slashes, which callers may send as they are or as `%2F`. A name that is encoded is always understood;
        after an unencoded one, whatever looks like a call is taken as one.
        """
        if not path.startswith(MODELS):
            return path
        encoded = raw if raw is not None else quote(path).encode()
        parts = [unquote_to_bytes(part).decode() for part in encoded.split(b"/")]
        if parts[1:3] != ["v1", "models"]:  # somebody encoded slashes outside the name
            parts = path.split("/")
        return MODELS + self._normalised([quote(part, safe="") for part in parts[3:]])

    def _normalised(self, parts: list[str]) -> str:
        for size in range(1, len(parts)):
            call = self._call("/".join(parts[size:]), encoded=size == 1)
            if call is not None:
                return f"{ENCODED_SLASH.join(parts[:size])}/{call}"
        return ENCODED_SLASH.join(parts)

    def _call(self, tail: str, *, encoded: bool) -> str | None:
        known = self._by_word.get(tail.partition("/")[0], ())
        return next((text for call in known if (text := call.normalised(tail, encoded=encoded)) is not None), None)


class _Call:
    """One route, below a model's name."""

    def __init__(self, route: APIRoute) -> None:
        template = route.path.removeprefix(ON_A_MODEL)
        recognised = _recognised(route)
        whole = {name: marker.pattern for name, marker in recognised.items() if marker.slashes}
        self.word = template.partition("/")[0]
        self._likely = _pattern(template, {name: marker.pattern for name, marker in recognised.items()})
        self._possible = _pattern(template, whole)
        self._with_slashes = next(iter(whole), None)

    def normalised(self, tail: str, *, encoded: bool) -> str | None:
        """Return the path with each parameter as one part, or None if it is not of this route.

        Parameters
        ----------
        tail : what follows the model's name
        encoded : whether the name is encoded, so that any text may be a parameter

        """
        match = (self._possible if encoded else self._likely).fullmatch(tail)
        if match is None or self._with_slashes is None:
            return None if match is None else tail
        start = match.start(self._with_slashes)
        return tail[:start] + tail[start:].replace("/", ENCODED_SLASH)


def _recognised(route: APIRoute) -> dict[str, Recognised]:
    return {
        field.name: marker
        for field in route.dependant.path_params
        for marker in field.field_info.metadata
        if isinstance(marker, Recognised)
    }


def _pattern(template: str, patterns: dict[str, str]) -> re.Pattern[str]:
    """Return the pattern of a template; a parameter without one of its own is a single part."""
    texts = _PARAMETER.split(template)  # by turns: text, name of a parameter, text …
    return re.compile(
        "".join(
            f"(?P<{text}>{patterns.get(text, '[^/]*')})" if place % 2 else re.escape(text)
            for place, text in enumerate(texts)
        )
    )


class RequestNormaliser:
    """ASGI middleware that gives every request one form before anything else reads it: an encoded path, and GET for HEAD."""

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self.app = app
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bodiless = scope["method"] == "HEAD"
        answer = answering(send, bodiless=bodiless)
        try:
            path = self._calls.normalised(scope["path"], scope.get("raw_path"))
        except UnicodeDecodeError:
            await problem(400, "Unusable address", "the path is not UTF-8")(scope, receive, answer)
            return
        changed = {"path": path, "method": "GET"} if bodiless else {"path": path}
        await self.app({**scope, **changed}, receive, answer)


def answering(send: Send, *, bodiless: bool) -> Send:
    """Return what sends the answer to a request, with a header that every answer has, and without a body for HEAD."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]}
        elif bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return answer
