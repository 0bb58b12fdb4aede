"""Send the same requests over many connections for some seconds: `python -m tests.benchmarks.http_load PORT CONNECTIONS SECONDS < BODIES`.

In a process of its own, which does next to nothing for each request. Prints how many were answered with 200, and how long they took.
"""

import asyncio
import gc
import json
import sys
import time
from functools import partial

OK = b" 200 "
WARM_UP = 0.5


class Sender(asyncio.Protocol):
    """A connection that sends its next request once the last is answered."""

    def __init__(self, requests: list[bytes], since: float, until: float, took: list[float]) -> None:
        self.requests = requests
        self.since = since
        self.until = until
        self.took = took
        self.sent = 0
        self.began = 0.0
        self.waiting = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.requests[self.sent % len(self.requests)])
        self.sent += 1

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        head, separator, rest = self.waiting.partition(b"\r\n\r\n")
        if not separator or len(rest) < _length(head):
            return
        if OK not in head[:16]:
            self.ended.set_exception(RuntimeError(self.waiting.decode(errors="replace")[:500]))
            self.transport.close()
            return
        self.waiting = b""
        now = time.perf_counter()
        if self.began >= self.since:
            self.took.append(now - self.began)
        if now < self.until:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _length(head: bytes) -> int:
    found = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return int(found or b"0")


def request(body: bytes) -> bytes:
    """Return the bytes of a request."""
    head = f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def load(port: int, bodies: list[bytes], connections: int, seconds: float) -> tuple[list[float], float]:
    """Return how long each request took that began after a moment in which all connections were made, and all of them together."""
    requests = [request(body) for body in bodies]
    loop = asyncio.get_running_loop()
    took: list[float] = []
    since = time.perf_counter() + WARM_UP
    senders = []
    for place in range(connections):
        mine = requests[place % len(requests) :] + requests[: place % len(requests)]
        _, sender = await loop.create_connection(partial(Sender, mine, since, since + seconds, took), "127.0.0.1", port)
        senders.append(sender)
    await asyncio.gather(*(sender.ended for sender in senders))
    return took, time.perf_counter() - since


def main() -> None:
    """Run what the arguments say."""
    gc.disable()
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    bodies = sys.stdin.buffer.read().splitlines()
    took, lasted = asyncio.run(load(port, bodies, connections, seconds))
    took.sort()
    answered = {
        "requests": len(took),
        "seconds": lasted,
        "p50": took[len(took) // 2],
        "p99": took[int(len(took) * 0.99)],
    }
    sys.stdout.write(json.dumps(answered))


if __name__ == "__main__":
    main()
