"""The one background thread: it takes the steps of its tasks as they become due."""

import threading
import time
from collections.abc import Callable
from typing import Final

from .limited import LimitedWarnings, described

Step = Callable[[float], float]
"""Does what is due at a time of the monotonic clock, and returns when it wants to be called next."""

AFTER_A_BUG: Final = 5.0


class Worker:
    """A daemon thread that is started when first needed, and again in a forked child."""

    def __init__(self, steps: tuple[Step, ...], warnings: LimitedWarnings) -> None:
        self._steps = steps
        self._warnings = warnings
        self.reset()

    def reset(self) -> None:
        """Forget the thread, which a forked child does not have."""
        self.running = False
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._starting = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()  # held while there is nothing to wake for

    def start(self) -> None:
        """Start the thread unless it runs, is being started by somebody else, or was stopped; never raise."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None and not self._stopped:
                thread = threading.Thread(target=self._run, name="calwatch-client", daemon=True)
                thread.start()
                self._thread = thread
            self.running = True
        except Exception as error:  # noqa: BLE001  no threads left, or the interpreter is going down: the next call tries again
            self._warnings.warn("thread", f"events wait: {described(error)}")
        finally:
            self._starting.release()

    def wake(self) -> None:
        """Let the tasks look at once; unlike an event's `set` this waits for no lock, so a signal handler may call it."""
        try:
            self._bell.release()
        except RuntimeError:
            return  # awake already

    def stop(self, timeout: float) -> None:
        """End the thread after its present step, waiting for it for a bounded time."""
        self._stopped = True
        self.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, timeout))

    def _run(self) -> None:
        while not self._stopped:
            due = min(self._taken(step) for step in self._steps)
            self._bell.acquire(timeout=max(0.0, min(due - time.monotonic(), threading.TIMEOUT_MAX)))

    def _taken(self, step: Step) -> float:
        now = time.monotonic()
        try:
            return step(now)
        except Exception as error:  # noqa: BLE001  the boundary of the job: whatever is wrong, later events still go
            self._warnings.warn("bug", f"{step.__qualname__} failed: {described(error)}")
            return now + AFTER_A_BUG
