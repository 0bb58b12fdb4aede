"""The open clients of a process: reset in a forked child, and made to hand over their events when the process ends.

A process ends by one of several doors. `atexit` is the usual one; children of multiprocessing, joblib and billiard leave by their package's
finalizers, and Celery's by a signal of its own. Those packages are never imported here: where a process uses them, they are loaded.
"""

import atexit
import functools
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, Final, Protocol

LAST: Final = -100
"""Priority of a finalizer that runs after those of queues and pools, which may log."""
TERMINATED: Final = 128 + signal.SIGTERM
"""Exit status of a process that ends by SIGTERM, as shells state it."""


class Open(Protocol):
    """An open client, as its process sees it."""

    patience: float  # seconds that its events may take at exit

    def after_fork(self) -> None:
        """Begin anew in a forked child."""

    def hurry(self) -> None:
        """Send what is queued without waiting for more."""

    def hand_over(self, deadline: float) -> None:
        """Send what is queued until a time of the monotonic clock; from now on, `log` waits until its event is sent."""


class Living:
    """The open clients of this process."""

    def __init__(self) -> None:
        self._open: set[Open] = set()  # kept until closed, even if nobody else does
        self._all: weakref.WeakSet[Open] = weakref.WeakSet()
        self._hooked: set[str] = set()
        atexit.register(self.finish)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def opened(self, client: Open) -> None:
        """Keep a client until it is closed."""
        self._all.add(client)
        self._open.add(client)

    def closed(self, client: Open) -> None:
        """Let go a client that was closed; in a forked child it needs new locks still."""
        self._open.discard(client)

    def hook(self) -> None:
        """Find the doors by which this process may leave; cheap, and repeated in every process that logs."""
        for name, install in _HOOKS.items():
            module = sys.modules.get(name)
            if module is not None and name not in self._hooked:
                self._hooked.add(name)
                install(module, self)

    def finish(self, **_: Any) -> None:
        """Let all clients hand over, at the same time and no longer than the most patient one would take."""
        clients = tuple(self._open)
        deadline = time.monotonic() + max((client.patience for client in clients), default=0.0)
        for client in clients:
            client.hurry()
        for client in clients:
            client.hand_over(deadline)

    def renew(self) -> None:
        """Install the hooks again, since a child of multiprocessing forgets its finalizers when it begins."""
        self._hooked.clear()
        self.hook()

    def _after_fork(self) -> None:
        self._hooked.clear()
        for client in tuple(self._all):
            client.after_fork()


@functools.cache
def living() -> Living:
    """Return the open clients of this process; hooks of the interpreter are installed once, since they cannot be removed."""
    return Living()


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as `sys.exit` does, unless the application handles it or this is not the main thread."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(TERMINATED)


def _finalize(util: ModuleType, clients: Living) -> None:
    util.Finalize(None, clients.finish, exitpriority=LAST)
    util.register_after_fork(clients, Living.renew)


def _listen(signals: ModuleType, clients: Living) -> None:
    signals.worker_process_shutdown.connect(clients.finish, weak=False, dispatch_uid="calwatch-client")


_HOOKS: Final[dict[str, Callable[[ModuleType, Living], None]]] = {
    "multiprocessing.util": _finalize,
    "billiard.util": _finalize,
    "celery.signals": _listen,
}
