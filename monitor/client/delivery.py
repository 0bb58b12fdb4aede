"""Deliver the outbox in batches, until the server has answered for each item.

A failed request (no answer, 5xx, 429, an invalid answer) is repeated after a random, growing pause; that is safe, since the server
counts an event once by its id. A batch that the server refuses as a whole is halved until the bad items are found.
"""

import random
import threading
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from ..domain.errors import Unavailable
from ..domain.times import Uniform, backoff
from .limited import LimitedWarnings, kind_of
from .outbox import Outbox
from .transport import Answer, Transport

PATH: Final = "/v1/events"
REFUSED: Final = frozenset({400, 413, 422})
TOO_LARGE: Final = 413

LARGEST_BATCH: Final = 8 << 20
"""Bytes of a batch before compression, well under the server's limit."""
SMALLEST_BATCH: Final = 64 << 10
"""Smallest limit in bytes that answers of 413 lead to."""
MOST_REFUSALS: Final = 40
"""Refused requests per batch after which the rest is given up: enough to find four bad items among 1,000."""
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 30.0
LONGEST_RETRY_AFTER: Final = 300.0


class Rejection(msgspec.Struct):
    """One item that the server rejected."""

    index: int | None = None
    event_id: str | None = None
    reason: str = ""


class Receipt(msgspec.Struct):
    """The server's answer: a receipt for a batch, or a problem with it."""

    accepted: int | None = None
    rejected: list[Rejection] = []
    title: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The server answered for each item of the batch."""

    sent: int
    rejected: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The server will never accept the batch as it is."""

    reason: str
    too_large: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The same request may succeed later."""

    reason: str
    retry_after: float | None = None


def judge(answer: Answer, count: int) -> Settled | Refused | Failed:
    """Return the verdict of an answer on a batch of `count` items."""
    receipt = _receipt(answer.body)
    if answer.status in {200, 422} and receipt is not None and receipt.accepted is not None:
        sent = min(max(0, receipt.accepted), count)
        return Settled(
            sent=sent, rejected=count - sent, reasons=tuple(_shown(rejection) for rejection in receipt.rejected)
        )
    problem = "no receipt" if receipt is None else receipt.detail or receipt.title or "no receipt"
    reason = f"status {answer.status}, {problem}"
    if answer.status in REFUSED:
        return Refused(reason=reason, too_large=answer.status == TOO_LARGE)
    return Failed(reason=reason, retry_after=answer.retry_after)


class Delivery:
    """Sends batches, one request per step at most, and returns the time of the next step."""

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        warnings: LimitedWarnings,
        *,
        batch_size: int,
        flush_seconds: float,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._warnings = warnings
        self._batch_size = batch_size
        self._flush_seconds = flush_seconds
        self._uniform = uniform
        self.reset()

    def reset(self) -> None:
        """Forget all requests under way, as a forked child must."""
        # Reentrant, since a signal handler or a log handler may close the client in here; what is active then goes on.
        self._busy = threading.RLock()
        self._active = False
        self._pieces: list[int] = []  # sizes of the remaining parts of a refused batch, the oldest items last
        self._refusals = 0
        self._failures = 0
        self._not_before = 0.0  # as the server asked
        self._due = 0.0  # by our own schedule
        self._flushes = 0
        self._largest = LARGEST_BATCH

    @property
    def fails(self) -> bool:
        """Whether the last request had no answer."""
        return self._failures > 0

    def drain(self, deadline: float) -> None:
        """Send all that is queued, in the calling thread, until a time of the monotonic clock."""
        if not self._busy.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return  # the other thread waits for an answer
        try:
            due = time.monotonic()
            while not self._active and self._outbox.stats.queued and due < deadline:
                time.sleep(max(0.0, due - time.monotonic()))
                self._outbox.hurry()
                due = max(self._step(due, deadline - due), time.monotonic())
        finally:
            self._busy.release()

    def step(self, now: float) -> float:
        """Send one batch if it is due; return the time of the next step."""
        with self._busy:
            return self._step(now, None)

    def _step(self, now: float, within: float | None) -> float:
        if now < self._not_before or (now < self._due and not self._hurried()):
            return max(self._not_before, self._due)
        self._active = True
        try:
            return self._send_batch(now, within)
        finally:
            self._active = False

    def _send_batch(self, now: float, within: float | None) -> float:
        self._flushes = self._outbox.flushes
        batch = self._outbox.front(self._pieces[-1] if self._pieces else self._batch_size, self._largest)
        if batch:
            self._conclude(self._send(batch, within), batch, now)
        else:
            self._due = now + self._flush_seconds
        return max(self._not_before, self._due)

    def _hurried(self) -> bool:
        """Return whether to send early: a whole batch is waiting, or somebody flushes."""
        return self._outbox.flushes != self._flushes or (not self._failures and self._outbox.urgent)

    def _send(self, batch: list[bytes], within: float | None) -> Settled | Refused | Failed:
        try:
            answer = self._transport.post(PATH, b'{"events":[' + b",".join(batch) + b"]}", timeout=within)
            return judge(answer, len(batch))
        except Unavailable as error:
            return Failed(reason=str(error))

    def _conclude(self, verdict: Settled | Refused | Failed, batch: list[bytes], now: float) -> None:
        match verdict:
            case Settled():
                self._settle(verdict)
            case Refused():
                self._refuse(verdict, batch)
            case Failed():
                self._fail(verdict, now)
                return
        self._failures = 0
        self._due = now if self._pieces or self._outbox.urgent else now + self._flush_seconds

    def _settle(self, verdict: Settled) -> None:
        self._outbox.settle(sent=verdict.sent, rejected=verdict.rejected)
        self._take_off(verdict.sent + verdict.rejected)
        if verdict.rejected:
            self._warn(verdict)

    def _warn(self, verdict: Settled) -> None:
        kinds: dict[str, list[str]] = {}
        for reason in verdict.reasons or ("for no reason given",):
            kinds.setdefault(kind_of(reason), []).append(reason)
        counts = f"{verdict.rejected} of {verdict.sent + verdict.rejected}"
        for kind, reasons in kinds.items():
            self._warnings.warn("rejected", f"the server rejected {counts}: {'; '.join(reasons[:3])}", kind)

    def _refuse(self, verdict: Refused, batch: list[bytes]) -> None:
        """Halve a refused batch, or give it up if it is a single item or has too many bad ones."""
        self._refusals += 1
        if verdict.too_large:
            self._largest = max(SMALLEST_BATCH, min(self._largest, sum(map(len, batch))) // 2)
        if len(batch) > 1 and self._refusals < MOST_REFUSALS:
            self._split(len(batch))
            return
        self._settle(Settled(sent=0, rejected=len(batch), reasons=(verdict.reason,)))

    def _split(self, count: int) -> None:
        whole = self._pieces.pop() if self._pieces else count
        half = count // 2
        self._pieces += [whole - half, half]

    def _take_off(self, count: int) -> None:
        if self._pieces:
            self._pieces[-1] -= count
            if self._pieces[-1] <= 0:
                self._pieces.pop()
        if not self._pieces:
            self._refusals = 0

    def _fail(self, verdict: Failed, now: float) -> None:
        self._due = now + backoff(
            self._failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE, least=0.0, uniform=self._uniform
        )
        self._failures += 1
        if verdict.retry_after is not None:
            # Our own random pause is added, so that a fleet does not return at one moment.
            self._not_before = self._due + min(max(0.0, verdict.retry_after), LONGEST_RETRY_AFTER)
        self._warnings.warn("failed", f"events wait, {self._outbox.stats.queued} so far: {verdict.reason}")


def _receipt(body: bytes) -> Receipt | None:
    try:
        return _RECEIPTS.decode(body)
    except msgspec.MsgspecError:
        return None


def _shown(rejection: Rejection) -> str:
    return f"{rejection.event_id!r}: {rejection.reason}"[:300]


_RECEIPTS: Final = msgspec.json.Decoder(Receipt)
