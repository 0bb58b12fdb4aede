"""Errors as answers: RFC 9457 problem documents, made in one place."""

import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from monitor.errors import BadInput, Conflict, MonitorError, NotFound, TooLarge, Unavailable, shown

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
STATUS: Final[dict[type[MonitorError], tuple[int, str]]] = {
    BadInput: (422, "Unusable value"),
    NotFound: (404, "Not found"),
    Conflict: (409, "Conflict"),
    TooLarge: (413, "Too large"),
    Unavailable: (503, "Not available now"),
}
TITLES: Final = {
    401: "Key needed",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    500: "Internal error",
}


def problem(
    status: int,
    title: str,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return an error answer."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": errors or []}
    return JSONResponse(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def of_error(error: MonitorError) -> JSONResponse:
    """Return the answer that an error of ours becomes."""
    status, title = STATUS.get(type(error), (500, "Internal error"))
    errors = None
    if isinstance(error, BadInput):
        status = 400 if error.field == "body" else 422
        errors = [{"field": error.field, "value": shown(error.value), "reason": error.reason}]
    headers = {"Retry-After": f"{error.retry_after:.0f}"} if isinstance(error, Unavailable) else None
    return problem(status, title, str(error), errors, headers)


def of_validation(error: RequestValidationError) -> JSONResponse:
    """Return the answer to a request whose parameters do not parse."""
    errors = [
        {
            "field": ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0]),
            "value": shown(found.get("input")),
            "reason": _reason(found),
        }
        for found in error.errors()
    ]
    detail = "; ".join(f"{each['field']} is {each['value']}: {each['reason']}" for each in errors)
    return problem(422, "Unusable value", detail, errors)


def _reason(found: dict[str, Any]) -> str:
    return "there is no such parameter" if found["type"] == "extra_forbidden" else str(found["msg"])


def install(app: FastAPI) -> None:
    """Turn every error of an app into a problem document."""

    @app.exception_handler(MonitorError)
    def _ours(_request: Request, error: MonitorError) -> JSONResponse:
        if type(error) not in STATUS:
            log.error("unexpected: %s", error)
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def _validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(error)

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, TITLES.get(error.status_code, "Error"), str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return problem(500, TITLES[500], "something went wrong; the server's log says what")
