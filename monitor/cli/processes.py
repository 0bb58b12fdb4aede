"""Several server processes on one port: they share its socket, one that dies is replaced, and all end together."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

log = logging.getLogger("calwatch")

LOOK_SECONDS: Final = 0.2

STOP_SECONDS: Final = 15.0
"""A process that has not ended so long after it was asked to is killed."""

STEADY_SECONDS: Final = 5.0
"""A process that lived shorter than this is not replaced at once."""

UNUSABLE: Final = 2
"""The exit status of a process that its settings keep from starting."""


class Process:
    """One process of them, and those that replace it."""

    def __init__(self, command: Sequence[str], fd: int) -> None:
        self._command = command
        self._fd = fd
        self._begin()

    def _begin(self) -> None:
        self._began = time.monotonic()
        self.running = subprocess.Popen(self._command, pass_fds=[self._fd])  # noqa: S603 - our own command

    def look(self) -> int | None:
        """Replace the process if it ended; return its exit status if its settings are unusable."""
        status = self.running.poll()
        if status is None:
            return None
        is_young = time.monotonic() - self._began < STEADY_SECONDS
        if is_young:
            return status if status == UNUSABLE else None  # replaced a little later
        log.warning("process %d ended with %d and is replaced", self.running.pid, status)
        self._begin()
        return None


def serve_by(count: int, arguments: Sequence[str], fd: int, stop: threading.Event) -> int:
    """Run server processes until told to stop; return the exit status.

    Parameters
    ----------
    arguments : of `calwatch serve` for each, but for the socket
    fd : of the listening socket

    """
    command = [sys.executable, "-m", "monitor", "serve", "--fd", str(fd), *arguments]
    processes = [Process(command, fd) for _ in range(count)]
    status = 0
    while not status and not stop.wait(LOOK_SECONDS):
        status = next((ended for process in processes if (ended := process.look()) is not None), 0)
    _end([process.running for process in processes])
    return status


def _end(running: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("process %d did not end in time and is killed", process.pid)
            process.kill()
            process.wait()
