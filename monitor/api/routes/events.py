"""`POST /v1/events`: a plain ASGI endpoint, since for a single event a framework costs several times all else."""

import asyncio
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...domain.errors import MonitorError
from ...domain.events import MAX_EVENTS, LabelEvent, PredictionEvent, Receipt, Rejection
from ...domain.quantities import Count
from ...ingest.decode import LINE_TYPES, MAX_BODY_BYTES, Decoded, inflate
from ...ingest.writer import Ingest
from .. import problems
from ..answers import PROBLEM, Described, answer, described
from ..bodies import read_body
from ..problems import MEDIA_TYPE, MOST_ERRORS, UNNAMED, FieldError, Problem, of_error, problem, told
from ..schemas import Schema, schema
from ..strict import check_query

SMALL_BODY: Final = 32 * 1024
"""Bodies up to this many bytes are decoded faster than they are handed to a thread."""

CONTENT_TYPES: Final = frozenset({"application/json", *LINE_TYPES})


class EventsEndpoint:
    """Accepts a batch of events and answers once it is committed."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            if scope["query_string"]:
                check_query(QueryParams(scope["query_string"]), frozenset())
            response = await self._answer(Headers(scope=scope), receive)
        except MonitorError as error:
            response = of_error(error)
        await response(scope, receive, send)

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


class AllRejected(Problem, kw_only=True):
    """A batch without a single usable event."""

    accepted: Count
    rejected: list[Rejection]


def _answer(receipt: Receipt) -> Response:
    return problems.answer(_all_rejected(receipt)) if receipt.rejected and not receipt.accepted else answer(receipt)


def _all_rejected(receipt: Receipt) -> AllRejected:
    return AllRejected(
        type=UNNAMED,
        title="No event was usable",
        status=422,
        detail=f"all {len(receipt.rejected)} events were rejected; the first: {receipt.rejected[0].reason}",
        errors=[
            FieldError(f"events[{rejection.index}]", told(rejection.event_id), rejection.reason)
            for rejection in receipt.rejected[:MOST_ERRORS]
        ],
        accepted=receipt.accepted,
        rejected=receipt.rejected,
    )


def operation() -> Schema:
    """Return the OpenAPI description of the endpoint."""
    prediction, label = schema(PredictionEvent), schema(LabelEvent)
    names = {"prediction": prediction["$ref"], "label": label["$ref"]}
    event = {"oneOf": [prediction, label], "discriminator": {"propertyName": "type", "mapping": names}}
    batch = {
        "type": "object",
        "required": ["events"],
        "properties": {"events": {"type": "array", "items": event, "maxItems": MAX_EVENTS}},
        "additionalProperties": False,
    }
    lines = {"type": "string", "description": "one event in JSON a line"}
    return {
        "summary": "Send Events",
        "description": "Predictions and labels. Answers after the accepted events are committed. A bad item never fails "
        'its neighbours. A number may be decimal text, as in `"0.83"`. The body may be compressed with '
        "`Content-Encoding: gzip`; up to 10,000 items and 64 MiB inflated.",
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
            "200": described(Receipt, description="committed, with what was rejected and why"),
            "400": _problem("not a batch of events at all"),
            "413": _problem("too large"),
            "415": _problem("unknown content type or encoding"),
            "422": _problem("no event was usable; beside the problem stand `accepted` and `rejected`", AllRejected),
            "503": _problem("storage does not answer, or is too far behind; see Retry-After"),
            "default": PROBLEM,
        },
    }


def _problem(description: str, shape: type[Problem] = Problem) -> Described:
    return described(shape, media_type=MEDIA_TYPE, description=description)


SHAPES: Final = (PredictionEvent, LabelEvent, Receipt, AllRejected)

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
