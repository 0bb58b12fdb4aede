"""Events of processes that have ended are taken over, and those that wait for the server are written to the disk."""

import threading
from typing import Final

from .delivery import Delivery
from .outbox import Outbox
from .spool import Spool

SEARCH_SECONDS: Final = 30.0
"""Pause between two searches for files of ended processes."""
AT_IT: Final = 0.1
"""Seconds to wait for a thread that takes over events; a signal handler may have interrupted it."""


class Recovery:
    """Looks after a spool while the process runs."""

    def __init__(self, spool: Spool, outbox: Outbox, delivery: Delivery, *, flush_seconds: float) -> None:
        self._spool = spool
        self._outbox = outbox
        self._delivery = delivery
        self._flush_seconds = flush_seconds
        self.reset()

    def reset(self) -> None:
        """Take a new lock, as a forked child must."""
        self._busy = threading.Lock()
        self._search_at = 0.0

    def step(self, now: float) -> float:
        """Take over what is there now and then; write what waits to the disk while the server does not answer; return the next time."""
        if now >= self._search_at:
            self._search_at = now + SEARCH_SECONDS
            self.take_over()
        if self._delivery.fails:
            self._spool.sync()
        return now + self._flush_seconds

    def take_over(self) -> None:
        """Take over all events of ended processes that the own file has room for; none once the client is closed."""
        with self._busy:
            while not self._outbox.closed and self._spool.search():
                if not self._outbox.recover(self._spool.take_over) and not self._thinned():
                    break
            if self._outbox.closed:
                self._spool.let_go()

    def end(self) -> None:
        """Let others take over what this client, which is closed, did not; a thread that is at it does so itself."""
        if self._busy.acquire(timeout=AT_IT):
            try:
                self._spool.let_go()
            finally:
                self._busy.release()

    def _thinned(self) -> bool:
        """Drop the oldest file of several, for which there is no room; return whether any event was dropped."""
        dropped = 0 if self._outbox.closed else self._spool.thin()
        self._outbox.give_up(dropped)
        return dropped > 0
