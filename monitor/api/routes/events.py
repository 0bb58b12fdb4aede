"""`POST /v1/events`: a plain ASGI endpoint, since a framework's own work would cost several times the rest on one event."""

import asyncio
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...domain.errors import MonitorError
from ...domain.events import MAX_EVENTS, LabelEvent, PredictionEvent, Receipt
from ...ingest.decode import LINE_TYPES, MAX_BODY_BYTES, Decoded, inflate
from ...ingest.writer import Ingest
from ..answers import PROBLEM
from ..bodies import read_body
from ..dependencies import JsonObject
from ..problems import of_error, problem, told
from ..strict import check_query

SMALL_BODY: Final = 32 * 1024
"""Up to here decoding is quicker than handing it to a thread."""

CONTENT_TYPES: Final = frozenset({"application/json", *LINE_TYPES})
MOST_ERRORS: Final = 100
_encoder: Final = msgspec.json.Encoder()


class EventsEndpoint:
    """Take a batch of events and answer once it is committed."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            if scope["query_string"]:
                check_query(QueryParams(scope["query_string"]), frozenset())
            answer = await self._answer(Headers(scope=scope), receive)
        except MonitorError as error:
            answer = of_error(error)
        await answer(scope, receive, send)

    async def _answer(self, headers: Headers, receive: Receive) -> Response:
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            allowed = " or ".join(sorted(CONTENT_TYPES))
            return problem(415, "Unknown content type", f"content-type is {content_type!r}: it must be {allowed}")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            return problem(415, "Unknown encoding", f"content-encoding is {encoding!r}: it must be gzip or absent")
        body = await read_body(headers, receive, MAX_BODY_BYTES)
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

    def _decode(self, body: bytes, content_type: str, encoding: str) -> Decoded:
        return self._ingest.decode(inflate(body) if encoding == "gzip" else body, content_type)


def _answer(receipt: Receipt) -> Response:
    if receipt.rejected and not receipt.accepted:
        return problem(
            422,
            "No event was usable",
            f"all {len(receipt.rejected)} events were rejected; the first: {receipt.rejected[0].reason}",
            [
                {"field": f"events[{each.index}]", "value": told(each.event_id), "reason": each.reason}
                for each in receipt.rejected[:MOST_ERRORS]
            ],
            **msgspec.to_builtins(receipt),
        )
    return Response(_encoder.encode(receipt), media_type="application/json")


def described() -> tuple[JsonObject, JsonObject]:
    """Return the OpenAPI description of the endpoint, and the schemas it refers to."""
    (prediction, label, receipt), schemas = msgspec.json.schema_components(
        (PredictionEvent, LabelEvent, Receipt), ref_template="#/components/schemas/{name}"
    )
    names = {"prediction": prediction["$ref"], "label": label["$ref"]}
    event = {"oneOf": [prediction, label], "discriminator": {"propertyName": "type", "mapping": names}}
    batch = {
        "type": "object",
        "required": ["events"],
        "properties": {"events": {"type": "array", "items": event, "maxItems": MAX_EVENTS}},
        "additionalProperties": False,
    }
    lines = {"type": "string", "description": "one event in JSON a line"}
    operation = {
        "summary": "Send Events",
        "description": "Predictions and labels. Answers after the accepted events are committed. A bad item never fails "
        "its neighbours. The body may be compressed with `Content-Encoding: gzip`; up to 10,000 items and 64 MiB inflated.",
        "operationId": "send_events",
        "tags": ["events"],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": batch, "example": EXAMPLE},
                "application/x-ndjson": {"schema": lines},
            },
        },
        "responses": {
            "200": {
                "description": "committed, with what was rejected and why",
                "content": {"application/json": {"schema": receipt}},
            },
            "400": {**PROBLEM, "description": "not a batch of events at all"},
            "413": {**PROBLEM, "description": "too large"},
            "415": {**PROBLEM, "description": "unknown content type or encoding"},
            "422": {
                **PROBLEM,
                "description": "no event was usable; beside the problem stand `accepted` and `rejected`",
            },
            "503": {**PROBLEM, "description": "storage does not answer, or is too far behind; see Retry-After"},
            "default": PROBLEM,
        },
    }
    return {"post": operation}, schemas


EXAMPLE: Final = {
    "events": [
        {
            "type": "prediction",
            "event_id": "1",
            "model": "my-model",
            "timestamp": "2026-01-05T12:00:00Z",
            "probability": 0.91,
        },
        {"type": "label", "event_id": "1", "model": "my-model", "label": 1},
    ]
}
