"""HTTP requests to the server; nothing else in the client uses urllib3."""

# Resolving a name imports this codec. In the client's thread that import would leave a child that is forked meanwhile without the
# module, whose lock nobody there releases, and all its requests would wait for ever.
import encodings.idna  # noqa: F401
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url

from ..domain.errors import BadInput, Conflict, MonitorError, NotFound, TooLarge, Unavailable

LARGEST_ANSWER: Final = 16 << 20
"""Largest answer in bytes."""
COMPRESS_FROM: Final = 1024
"""Size in bytes above which a body is compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one request."""

    status: int
    body: bytes
    etag: str | None = None
    retry_after: float | None = None  # seconds that the server asks us to wait


class Transport:
    """Requests to one server over kept-alive connections."""

    def __init__(self, url: str, *, key: str | None, timeout: float) -> None:
        self._url = _checked_url(url)
        self._headers = {"User-Agent": "calwatch-client", "Accept": "application/json"} | _authorization(key)
        self._timeout = timeout
        self.reset()

    def reset(self) -> None:
        """Forget all connections, as a forked child must, since it shares its parent's sockets."""
        self._pool = urllib3.PoolManager(retries=False)

    def post(self, path: str, body: bytes, *, timeout: float | None = None) -> Answer:
        """Post JSON, compressed if large, within `timeout` or the client's own time limit.

        Raises
        ------
        Unavailable
            when no answer arrived.

        """
        headers = {"Content-Type": "application/json"}
        if len(body) > COMPRESS_FROM:
            body, headers["Content-Encoding"] = zlib.compress(body, level=1, wbits=31), "gzip"
        return self._request("POST", path, headers, body, timeout)

    def get(self, path: str, *, etag: str | None) -> Answer:
        """Fetch a document unless it is still the one with this ETag.

        Raises
        ------
        Unavailable
            when no answer arrived.

        """
        return self._request("GET", path, {} if etag is None else {"If-None-Match": etag}, None)

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, timeout: float | None = None
    ) -> Answer:
        limit = self._timeout if timeout is None else timeout
        try:
            # A redirect is not followed: it would send the key to another host.
            response = self._pool.request(
                method,
                self._url + path,
                headers=self._headers | headers,
                body=body,
                redirect=False,
                timeout=urllib3.Timeout(connect=min(limit, self._timeout), read=limit),
                preload_content=False,
            )
            return _answer(response)
        except (HTTPError, OSError) as error:
            raise Unavailable(f"{method} {self._url}{path}: {error}") from error


class _Fault(msgspec.Struct):
    """A field that the server refused."""

    field: str = ""
    value: Any = None
    reason: str = ""


class _Problem(msgspec.Struct):
    """The server's refusal of a request."""

    detail: str = ""
    errors: list[_Fault] = []


def answered(answer: Answer) -> dict[str, Any]:
    """Return the object of a successful answer.

    Raises
    ------
    MonitorError
        of the type that corresponds to the server's refusal.

    """
    try:
        if answer.status < HTTPStatus.BAD_REQUEST:
            return msgspec.json.decode(answer.body, type=dict[str, Any])
        problem = msgspec.json.decode(answer.body, type=_Problem)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"status {answer.status}, with an answer that is not the server's") from error
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and problem.errors:
        first = problem.errors[0]
        raise BadInput(first.field, first.value, first.reason)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unavailable(f"status {answer.status}, {problem.detail}")
    raise _ERRORS.get(answer.status, MonitorError)(problem.detail or f"status {answer.status}")


_ERRORS: Final[dict[int, type[MonitorError]]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge,
}


def _answer(response: urllib3.BaseHTTPResponse) -> Answer:
    body = response.read(LARGEST_ANSWER + 1, decode_content=True)
    if len(body) > LARGEST_ANSWER:
        response.close()
        raise HTTPError(f"the answer is larger than {LARGEST_ANSWER} bytes")
    response.drain_conn()
    response.release_conn()
    return Answer(
        status=response.status,
        body=body,
        etag=response.headers.get("ETag"),
        retry_after=_seconds(response.headers.get("Retry-After")),
    )


def _seconds(retry_after: str | None) -> float | None:
    """Return a Retry-After header, seconds or a date, in seconds; None if it is missing or invalid."""
    if retry_after is None:
        return None
    try:
        return urllib3.Retry().parse_retry_after(retry_after)
    except (HTTPError, ValueError, OverflowError):
        return None


def _checked_url(url: str) -> str:
    try:
        parts = parse_url(url)
    except (LocationParseError, AttributeError, TypeError) as error:
        raise BadInput("url", url, "it must be the server's address, like http://calwatch:8080") from error
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise BadInput("url", url, "it must begin with http:// or https:// and name a host")
    return url.rstrip("/")


def _authorization(key: str | None) -> dict[str, str]:
    if key is None:
        return {}
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadInput("key", "…", "it must be printable ASCII without spaces")
    return {"Authorization": f"Bearer {key}"}
