"""The part of a client that hands its events over: a queue, a thread that sends, and the ends of a process."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ..domain.errors import BadInput
from .delivery import Delivery
from .lifecycle import living
from .limited import LimitedWarnings, described
from .memory import Memory
from .outbox import Outbox, Stats
from .recovery import Recovery
from .spool import Spool
from .strict import check
from .transport import Transport
from .worker import Step, Worker


class Sender:
    """Sends the events of one process, by a thread while it runs and in the thread that ends it.

    Parameters
    ----------
    waiting : where events wait
    transport : the way to the server
    warnings : what goes wrong is told there
    batch_size, flush_seconds : largest number of events per request, and longest wait for a full batch
    patience : seconds that the last events may take
    block_seconds : longest wait for room in a full queue
    strict : True: raise BadInput for what would be dropped
    also : further work of the thread

    """

    def __init__(
        self,
        waiting: Memory | Spool,
        transport: Transport,
        warnings: LimitedWarnings,
        *,
        batch_size: int,
        flush_seconds: float,
        patience: float,
        block_seconds: float,
        strict: bool,
        also: Sequence[Step],
    ) -> None:
        self.patience = patience
        self._block_seconds = block_seconds
        self._strict = strict
        self._warnings = warnings
        self._transport = transport
        self._worker = Worker((self._keep, self._deliver, *also), warnings, when_left=living().finish)
        self._outbox = Outbox(waiting, batch_size=batch_size, wake=self._worker.wake)
        self._delivery = Delivery(self._outbox, transport, warnings, batch_size=batch_size, flush_seconds=flush_seconds)
        self._recovery = (
            Recovery(waiting, self._outbox, self._delivery, flush_seconds=flush_seconds)
            if isinstance(waiting, Spool)
            else None
        )
        self._closed = False
        self._ends: float | None = None  # time by which the last events must be sent, on the monotonic clock
        living().opened(self)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the server has answered for all events queued so far; return False after `timeout` seconds.

        With a spool, these are also the events of processes that ended before.
        """
        if not self._worker.running:
            self._run()
        if self._recovery is not None:
            self._recovery.take_over()
        return self._outbox.flush(timeout)

    def stats(self) -> Stats:
        """Return counts of logged events; a forked child counts from zero."""
        return self._outbox.stats

    def close(self, timeout: float | None = None) -> bool:
        """Send what is queued for a bounded time, by default the client's `timeout`, and stop; return whether none was dropped.

        The rest stay in the spool for the next process; without a spool they are counted as dropped. The last calibrator can still be
        applied.
        """
        if self._closed:
            return True
        deadline = time.monotonic() + (self.patience if timeout is None else timeout)
        try:
            self._send_all(deadline)
        finally:  # a second Ctrl-C may interrupt the wait
            self._closed = True
            dropped = self._outbox.close()
            if self._recovery is not None:
                self._recovery.end()
            living().closed(self)
            if dropped:
                self._warnings.warn("closed", f"closed with {dropped} events unsent, counted as dropped")
        self._worker.join(min(1.0, deadline - time.monotonic()))
        return dropped == 0

    def after_fork(self) -> None:
        """Begin anew in a forked child, with an empty queue; called by the hook of the process."""
        for part in (self._worker, self._outbox, self._transport, self._delivery):
            part.reset()
        if self._recovery is not None:
            self._recovery.reset()
        self._ends = None
        if self._closed:
            self._outbox.close()

    def hurry(self) -> None:
        """Send what is queued at once, without waiting for the answer."""
        self._outbox.hurry()

    def hand_over(self, deadline: float) -> None:
        """Send what is queued until a time of the monotonic clock, and from then on each event before `log` returns.

        Called when the process ends: other exit handlers and threads may still log.
        """
        self._ends = deadline if self._ends is None else min(self._ends, deadline)
        try:
            self._send_all(self._ends)
        finally:  # a second Ctrl-C may interrupt the wait
            self._abandon()

    def _send_all(self, deadline: float) -> None:
        """Send what is queued in this thread, since at exit no thread can be started."""
        self._worker.stop()
        self._delivery.drain(deadline)

    def _abandon(self) -> None:
        dropped = self._outbox.abandon()
        if dropped:
            self._warnings.warn("closed", f"the process ends with {dropped} events unsent, counted as dropped")

    def _run(self) -> None:
        """Have queued events sent: by a thread, or in this one while the process ends."""
        if self._closed:
            return
        if self._ends is None:
            living().hook()
            self._worker.start()
            return
        if not self._delivery.fails:  # a thread may go on for long after the hooks have run
            self._ends = max(self._ends, time.monotonic() + self.patience)
        self.hand_over(self._ends)

    def __enter__(self) -> Self:
        """Open a client again if it was closed; with a spool, begin to send what earlier processes left."""
        if self._closed:
            self._closed = False
            self._worker.reset()
            self._outbox.reopen()
            living().opened(self)
        if self._recovery is not None:
            self._run()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close without blocking the event loop."""
        import asyncio  # noqa: PLC0415  most clients need none

        await asyncio.to_thread(self.close)

    def _put(self, item: bytes) -> None:
        if self._strict:
            check(item)
        if not self._outbox.add(item, self._block_seconds):
            self._warnings.warn("full", "event dropped: the queue is full, or the client closed")
        if not self._worker.running:
            self._run()

    def _drop(self, error: Exception, events: int = 1) -> None:
        for _ in range(events):
            self._outbox.drop()
        if self._strict and isinstance(error, BadInput):
            raise error
        if self._strict:
            raise BadInput("event", "unusable", described(error)) from error
        self._warnings.fault("dropped", "event dropped", error)

    def _keep(self, now: float) -> float:
        return float("inf") if self._recovery is None else self._recovery.step(now)

    def _deliver(self, now: float) -> float:
        return self._delivery.step(now)
