"""The background thread, which takes the steps of all tasks when they are due."""

import threading
import time
from collections.abc import Callable
from typing import Final

from .limited import LimitedWarnings, described

Step = Callable[[float], float]
"""Does the work due at a time of the monotonic clock, and returns the time of the next call."""

AFTER_A_BUG: Final = 5.0
LOOK: Final = 1.0
"""Seconds between two looks for other threads, in a child that a thread forked."""


class Worker:
    """A daemon thread, started when first needed and again in a forked child.

    Parameters
    ----------
    steps : the work of the thread
    warnings : what goes wrong is told there
    when_left : called before the thread ends because all others have, which runs no exit handler

    """

    def __init__(self, steps: tuple[Step, ...], warnings: LimitedWarnings, when_left: Callable[[], None]) -> None:
        self._steps = steps
        self._warnings = warnings
        self._when_left = when_left
        self.reset()

    def reset(self) -> None:
        """Forget the thread, which does not exist in a forked child."""
        self.running = False
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._starting = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()  # held while there is nothing to wake for

    def start(self) -> None:
        """Start the thread unless it runs, is being started, or was stopped; never raise."""
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="calwatch-client", daemon=True)
                self._thread.start()
            self.running = not self._stopped
        except Exception as error:  # noqa: BLE001  no threads left, or the interpreter shuts down: the next call tries again
            self._thread = None
            self._warnings.warn("thread", f"events wait: {described(error)}")
        finally:
            self._starting.release()

    def wake(self) -> None:
        """Run the tasks at once; unlike `Event.set` this waits for no lock, so a signal handler may call it."""
        try:
            self._bell.release()
        except RuntimeError:
            return  # already awake

    def stop(self) -> None:
        """Let the thread end after its current step."""
        self._stopped = True
        self.running = False
        self.wake()

    def join(self, timeout: float) -> None:
        """Wait for the end of a stopped thread, for a bounded time."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, timeout))

    def _run(self) -> None:
        longest = LOOK if _is_forked_by_a_thread() else threading.TIMEOUT_MAX
        while not self._stopped and self._thread is threading.current_thread():
            due = min(self._taken(step) for step in self._steps)
            self._bell.acquire(timeout=max(0.0, min(due - time.monotonic(), longest)))
            if longest == LOOK and _is_left():
                self._when_left()

    def _taken(self, step: Step) -> float:
        now = time.monotonic()
        try:
            return step(now)
        except Exception as error:  # noqa: BLE001  boundary of the thread: later events are still sent
            self._warnings.warn("bug", f"{step.__qualname__} failed: {described(error)}")
            return now + AFTER_A_BUG


def _is_forked_by_a_thread() -> bool:
    """Return whether the first thread of this process is one that forked it, whose end is no end of Python."""
    return type(threading.main_thread()).__name__ != "_MainThread"


def _is_left() -> bool:
    """Return whether only threads are left that nobody waits for; they would keep the process for ever."""
    first, others = threading.main_thread(), set(threading.enumerate()) - {threading.current_thread()}
    return all(thread.daemon and thread is not first for thread in others if thread.is_alive())
