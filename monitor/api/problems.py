"""Errors as answers: RFC 9457 problem documents, made in one place."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ..domain.errors import BadInput, Conflict, MonitorError, NotFound, TooLarge, Unavailable, shown

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
UNNAMED: Final = "about:blank"
"""The type of a problem that its status tells enough of (RFC 9457, section 4.2.1)."""

LONGEST_VALUE: Final = 200
MOST_ERRORS: Final = 100
TOLD_IN_DETAIL: Final = 5
STATUS: Final[dict[type[MonitorError], tuple[int, str]]] = {
    BadInput: (422, "Unusable value"),
    NotFound: (404, "Not found"),
    Conflict: (409, "Conflict"),
    TooLarge: (413, "Too large"),
    Unavailable: (503, "Not available now"),
}
TITLES: Final = {401: "Key needed", 415: "Unknown content type", 500: "Internal error"}


class FieldError(Struct, forbid_unknown_fields=True):
    """One thing that is wrong with a request."""

    field: str
    value: Any
    reason: str


class Problem(Struct, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError]


class ProblemResponse(Response):
    """A problem as an answer, whatever text the caller sent: a lone surrogate is escaped."""

    media_type = MEDIA_TYPE

    def render(self, content: Problem) -> bytes:
        """Return the body."""
        text = json.dumps(msgspec.to_builtins(content), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace")


def problem(
    status: int,
    title: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error answer."""
    return answer(Problem(type=UNNAMED, title=title, status=status, detail=detail, errors=list(errors)), headers)


def answer(content: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as an answer with its status."""
    return ProblemResponse(content, status_code=content.status, headers=headers)


def of_error(error: MonitorError) -> Response:
    """Return the answer for an error that calwatch raised."""
    status, title = STATUS.get(type(error), (500, "Internal error"))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(status, title, "something went wrong; the server's log says what")
    errors = []
    if isinstance(error, BadInput):
        status = 400 if error.field == "body" else status
        errors = [FieldError(error.field, told(error.value), error.reason)]
    headers = {"Retry-After": str(max(1, math.ceil(error.retry_after)))} if isinstance(error, Unavailable) else None
    return problem(status, title, str(error), errors, headers)


def told(value: Any) -> Any:
    """Return a value as a problem may repeat it: a short scalar as it is, anything else as a short text."""
    if value is None or isinstance(value, bool | int):
        return value if abs(value or 0) < 2**53 else shown(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else shown(value)
    if isinstance(value, str):
        return value if len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…"
    return shown(value)


def of_validation(error: RequestValidationError) -> Response:
    """Return the answer to a request with parameters or a body of the wrong form."""
    errors = [
        FieldError(
            field=".".join(str(part) for part in fault["loc"][1:]) or str(fault["loc"][0]),
            value=told(fault.get("input")) if fault["type"] != "missing" else None,
            reason=_reason(fault),
        )
        for fault in error.errors()
    ]
    detail = "; ".join(f"{wrong.field} is {shown(wrong.value)}: {wrong.reason}" for wrong in errors[:TOLD_IN_DETAIL])
    return problem(422, "Unusable value", detail, errors[:MOST_ERRORS])


def _reason(fault: Mapping[str, object]) -> str:
    if fault["type"] == "extra_forbidden":
        return "there is no such field"
    text = str(fault["msg"])
    return "must be given" if fault["type"] == "missing" else text.replace("Input should be", "must be")


def unexpected() -> Response:
    """Return the answer to a request that failed for no reason that is known."""
    return problem(500, TITLES[500], "something went wrong; the server's log says what")


def install(app: FastAPI) -> None:
    """Turn every error of an app into a problem document."""

    @app.exception_handler(MonitorError)
    def _ours(_request: Request, error: MonitorError) -> Response:
        if type(error) not in STATUS:
            log.error("unexpected", exc_info=error)
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def _validation(_request: Request, error: RequestValidationError) -> Response:
        return of_validation(error)

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        title = TITLES.get(error.status_code) or HTTPStatus(error.status_code).phrase.capitalize()
        return problem(error.status_code, title, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    def _unexpected(_request: Request, _error: Exception) -> Response:
        return unexpected()
