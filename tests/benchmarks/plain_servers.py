"""Servers that ingest is measured against, on the same web server: `python -m tests.benchmarks.plain_servers naive|decoding PORT`."""

import sys
from typing import Any

import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.benchmarks.ingest import Batch
from tests.benchmarks.naive import create_app

_decoder = msgspec.json.Decoder(Batch)


async def decoding(scope: Scope, receive: Receive, send: Send) -> None:
    """Decode a request's body, throw the events away, and answer."""
    if scope["type"] != "http":
        return
    body, more = b"", scope["method"] == "POST"
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body", False)
    accepted = len(_decoder.decode(body).events) if body else 0
    answer = msgspec.json.encode({"accepted": accepted, "rejected": []})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def main() -> None:
    """Serve what the arguments say."""
    kind, port = sys.argv[1], int(sys.argv[2])
    app: Any = decoding
    if kind == "naive":
        app = create_app()
        app.get("/healthz")(lambda: "ok")
    uvicorn.run(app, port=port, log_level="warning", access_log=False, server_header=False, lifespan="off")


if __name__ == "__main__":
    main()
