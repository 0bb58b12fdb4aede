"""`POST /v1/events`: a plain ASGI endpoint, since for a single event a framework costs several times all else."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ...domain.errors import MonitorError
from ...domain.events import MAX_EVENTS, LabelEvent, PredictionEvent, Receipt, Rejection
from ...domain.quantities import Count
from ...ingest.decode import LINE_TYPES, MAX_BODY_BYTES, inflate
from ...ingest.gathering import Gathering
from ...ingest.ingest import Ingest
from ...ingest.writer import Waiting
from .. import problems
from ..answers import PROBLEM, Described, answer, described
from ..bodies import MOST_DIGITS, read_body
from ..problems import MEDIA_TYPE, MOST_ERRORS, UNNAMED, FieldError, Problem, of_error, problem, told
from ..schemas import Schema, schema
from ..strict import check_query

T = TypeVar("T")

SMALL_BODY: Final = 128 * 1024
"""Bodies up to this many bytes are decoded at once."""

GATHERED_BODY: Final = 4096
"""Bodies up to this many bytes are read together with others that arrive with them."""

ACCEPTED: Final = b'{"accepted":%d,"rejected":[]}'

CONTENT_TYPES: Final = frozenset({"application/json", *LINE_TYPES})


class EventsEndpoint:
    """Accepts a batch of events and answers once it is committed."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._gathering = Gathering(ingest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            accepted, body = await self._take_small(scope, receive)
            if accepted is not None:
                await _send(send, ACCEPTED % accepted)
                return
            if scope["query_string"]:
                check_query(QueryParams(scope["query_string"]), frozenset())
            response = await self._answer(Headers(scope=scope), receive, body)
        except MonitorError as error:
            response = of_error(error)
        await response(scope, receive, send)

    async def _take_small(self, scope: Scope, receive: Receive) -> tuple[int | None, bytes | None]:
        """Return how many events of a small plain request were committed; None for any other, with its body where that was read."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if (
            scope["query_string"]
            or headers.get(b"content-type") != b"application/json"
            or b"content-encoding" in headers
            or not length.isdigit()
            or len(length) > MOST_DIGITS
            or int(length) > GATHERED_BODY
        ):
            return None, None
        body = await read_body(length.decode(), receive, GATHERED_BODY)
        return await self._gathering.take(body), body

    async def _answer(self, headers: Headers, receive: Receive, body: bytes | None) -> Response:
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            allowed = " or ".join(sorted(CONTENT_TYPES))
            return problem(415, "Unknown content type", f"content-type is {content_type!r}: it must be {allowed}")
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            return problem(415, "Unknown encoding", f"content-encoding is {encoding!r}: it must be gzip or absent")
        if body is None:
            body = await read_body(headers.get("content-length", ""), receive, MAX_BODY_BYTES)
            if encoding == "gzip":
                body = await run_in_threadpool(inflate, body)
            accepted = await self._take_plain(body, content_type)
            if accepted is not None:
                return Response(ACCEPTED % accepted, media_type="application/json")
        return await self._take_any(body, content_type)

    async def _take_plain(self, body: bytes, content_type: str) -> int | None:
        """Return how many events of a plain request were committed; None for any other."""
        request = await _in_time(body, self._ingest.read_plain, content_type)
        if request is None:
            return None
        committed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._ingest.writer.submit_plain(request, [Waiting(committed, request.events)])
        return await committed

    async def _take_any(self, body: bytes, content_type: str) -> Response:
        decoded = await _in_time(body, self._ingest.decode, content_type)
        if self._ingest.needs_database(decoded):
            receipt, done = await run_in_threadpool(self._ingest.admit, decoded)
        else:
            receipt, done = self._ingest.admit(decoded)
        await asyncio.wrap_future(done)
        return _answer(receipt)


async def _in_time(body: bytes, read: Callable[[bytes, str], T], content_type: str) -> T:
    """Return what reading a body gives; of a long one in a thread, so that others need not wait."""
    return read(body, content_type) if len(body) <= SMALL_BODY else await run_in_threadpool(read, body, content_type)


async def _send(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


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
