"""`POST /v1/events`: a plain ASGI endpoint, since a framework's own work would cost several times the rest on one event."""

import asyncio
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from monitor.api.problems import of_error, problem
from monitor.decode import LINE_TYPES, MAX_BODY_BYTES, inflate
from monitor.errors import MonitorError, TooLarge, Unavailable
from monitor.ingest import Ingest
from monitor.wire import LabelEvent, PredictionEvent, Receipt

SMALL_BODY: Final = 32 * 1024
"""Up to here decoding is quicker than handing it to a thread."""

CONTENT_TYPES: Final = frozenset({"", "application/json", *LINE_TYPES})
_encoder: Final = msgspec.json.Encoder()


class EventsEndpoint:
    """Take a batch of events and answer once it is committed."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            answer = await self._answer(Headers(scope=scope), receive)
        except MonitorError as error:
            answer = of_error(error)
        await answer(scope, receive, send)

    async def _answer(self, headers: Headers, receive: Receive) -> Response:
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            allowed = " or ".join(sorted(CONTENT_TYPES - {""}))
            return problem(415, "Unknown content type", f"content-type is {content_type!r}: it must be {allowed}")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            return problem(415, "Unknown encoding", f"content-encoding is {encoding!r}: it must be gzip or absent")
        body = await _body(headers, receive)
        if len(body) <= SMALL_BODY and encoding == "identity":
            decoded = self._ingest.decode(body, content_type)
        else:
            decoded = await run_in_threadpool(self._decode, body, content_type, encoding)
        if self._ingest.needs_database(decoded):
            receipt, done = await run_in_threadpool(self._ingest.admit, decoded)
        else:
            receipt, done = self._ingest.admit(decoded)
        await asyncio.wrap_future(done)
        return _answer(receipt)

    def _decode(self, body: bytes, content_type: str, encoding: str) -> Any:
        return self._ingest.decode(inflate(body) if encoding == "gzip" else body, content_type)


async def _body(headers: Headers, receive: Receive) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {declared} bytes; it may have at most {MAX_BODY_BYTES}")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("the client went away")
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"the body may have at most {MAX_BODY_BYTES} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _answer(receipt: Receipt) -> Response:
    if receipt.rejected and not receipt.accepted:
        errors = [
            {"field": f"events[{each.index}]", "value": each.event_id, "reason": each.reason}
            for each in receipt.rejected[:100]
        ]
        content = {
            "type": "about:blank",
            "title": "No event was usable",
            "status": 422,
            "detail": f"all {len(receipt.rejected)} events were rejected; the first: {receipt.rejected[0].reason}",
            "errors": errors,
            **msgspec.to_builtins(receipt),
        }
        return JSONResponse(content, status_code=422, media_type="application/problem+json")
    return Response(_encoder.encode(receipt), media_type="application/json")


def openapi_path() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the OpenAPI description of the endpoint, and the schemas it refers to."""
    (prediction, label, receipt), schemas = msgspec.json.schema_components(
        (PredictionEvent, LabelEvent, Receipt), ref_template="#/components/schemas/{name}"
    )
    event = {"oneOf": [prediction, label], "discriminator": {"propertyName": "type"}}
    batch = {
        "type": "object",
        "required": ["events"],
        "properties": {"events": {"type": "array", "items": event, "maxItems": 10000}},
        "additionalProperties": False,
    }
    problem_body = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    operation = {
        "summary": "Send predictions and labels",
        "description": "Answers after the accepted events are committed. A bad item never fails its neighbours. "
        "The body may be compressed with `Content-Encoding: gzip`; up to 10,000 items and 64 MiB inflated.",
        "operationId": "send_events",
        "tags": ["events"],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": batch}, "application/x-ndjson": {"schema": event}},
        },
        "responses": {
            "200": {
                "description": "committed, with what was rejected and why",
                "content": {"application/json": {"schema": receipt}},
            },
            "400": {"description": "not a batch of events at all", **problem_body},
            "413": {"description": "too large", **problem_body},
            "415": {"description": "unknown content type or encoding", **problem_body},
            "422": {"description": "no event was usable", **problem_body},
            "503": {"description": "storage does not answer, or is too far behind; see Retry-After", **problem_body},
        },
    }
    return {"/v1/events": {"post": operation}}, schemas
