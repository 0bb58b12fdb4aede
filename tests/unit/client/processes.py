"""Forked children of a client, and waiting for its threads."""

import os
import signal
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what must become true; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def forked(check: Callable[[], bool]) -> int:
    """Return the exit code of a child in which a check was made, 0 if it held; a child that hangs ends by itself."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest's own handler would go on with the tests
        signal.alarm(8)
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
