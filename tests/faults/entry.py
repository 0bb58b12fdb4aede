"""Start the product again and again, with faults where a test wants them; the product itself has no hooks for that.

It is imported once, and each start is a fork of this process: that costs a tenth of a second instead of several.
Commands come in on standard input as one JSON object a line, and each gets one line of answer:

    {"start": {"argv", "environment", "log", "faults", "builds"}}  ->  {"pid"}
    {"poll": pid}  ->  {"status"}    exit status, minus the number of a signal, or null while it runs
"""

import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pysqlite3.dbapi2

import monitor.alert.job
import monitor.alert.notify
import monitor.api.app
import monitor.cli.main
import monitor.ingest.writer
import monitor.rollup.job
import monitor.store.alerts
import monitor.store.counters
import monitor.store.evaluations
import monitor.store.events
import monitor.store.journal
import monitor.store.lease
import monitor.store.migrate
import monitor.store.models
import monitor.store.rollups
import monitor.store.sequential
from monitor.store.engine import Database

PRELOADED = (pysqlite3.dbapi2, monitor.api.app)

POINTS = {
    "journal row written, not committed": ("monitor.store.journal", "append"),
    "model made, not committed": ("monitor.store.models", "create"),
    "effects computed, transaction not begun": ("monitor.rollup.job", "effects_of"),
    "lease locked by the roll-up": ("monitor.rollup.job", "hold"),
    "event rows written, not committed": ("monitor.store.events", "add_labels"),
    "sums written, not committed": ("monitor.rollup.job", "_add"),
    "counters written, not committed": ("monitor.store.counters", "add"),
    "journal rows deleted, not committed": ("monitor.store.journal", "remove"),
    "lease acquired": ("monitor.store.lease", "acquire"),
    "evaluations written, not committed": ("monitor.store.evaluations", "save"),
    "cohorts taken, not committed": ("monitor.store.sequential", "forget_due"),
    "tests stored, not committed": ("monitor.store.sequential", "save"),
    "alarms judged, transaction not begun": ("monitor.alert.job", "changes"),
    "alert recorded, not committed": ("monitor.store.alerts", "record"),
    "schema made, not committed": ("alembic.command", "upgrade"),
}
"""Points right after a function, by the module that defines it, or by one that imports it where only that one counts.

Those after a commit and after a post are made below.
"""

COMMITTED = "committed, not answered"
ROLLED_UP = "roll-up committed"
POSTED = "posted, not noted"


class Trap:
    """What happens at a point when it is reached for the nth time."""

    def __init__(self, fault: dict[str, Any]) -> None:
        self.point = fault["point"]
        self._left = fault.get("nth", 1)
        self._signal = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}[fault.get("act", "kill")]
        self._lock = threading.Lock()

    def reached(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)
                time.sleep(0.05)  # a signal to all threads may take a moment to stop this one


def set_trap(fault: dict[str, Any]) -> None:
    trap = Trap(fault)
    if trap.point == COMMITTED:
        after_commit(lambda: threading.current_thread().name == "journal", trap.reached)
    elif trap.point == ROLLED_UP:
        after_commit(journal_rows_went(), trap.reached)
    elif trap.point == POSTED:
        after_post(trap.reached)
    else:
        module, name = POINTS[trap.point]
        after(importlib.import_module(module), name, trap)


def after(owner: ModuleType, name: str, trap: Trap) -> None:
    original = getattr(owner, name)

    def trapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if result != []:  # an empty list says that nothing was found to do
            trap.reached()
        return result

    if original.__module__ == owner.__name__:
        replace_everywhere(original, trapped)
    else:
        setattr(owner, name, trapped)


def replace_everywhere(original: Callable[..., Any], other: Callable[..., Any]) -> None:
    """Replace a function in its own module and in all that imported it by name."""
    product = [module for name, module in sys.modules.items() if name.partition(".")[0] == "calwatch"]
    for module in (sys.modules[original.__module__], *product):
        for name, value in list(vars(module).items()):
            if value is original:
                setattr(module, name, other)


def after_commit(wanted: Callable[[], bool], reached: Callable[[], None]) -> None:
    original = Database.write

    @contextmanager
    def write(self: Database, *, patient: bool = False) -> Iterator[Any]:
        with original(self, patient=patient) as connection:
            yield connection
        if wanted():
            reached()

    Database.write = write  # type: ignore[method-assign]


def journal_rows_went() -> Callable[[], bool]:
    """Return whether the transaction that this thread has just committed deleted journal rows."""
    here = threading.local()
    original = monitor.store.journal.remove

    def remove(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        here.went = True

    def went() -> bool:
        found, here.went = getattr(here, "went", False), False
        return found

    replace_everywhere(original, remove)
    return went


def after_post(reached: Callable[[], None]) -> None:
    original = monitor.alert.notify.webhook

    def webhook(timeout: float) -> monitor.alert.notify.Send:
        send = original(timeout)

        def sent(url: str, body: bytes, notice: str) -> None:
            send(url, body, notice)
            reached()

        return sent

    replace_everywhere(original, webhook)


def answers_before_the_commit() -> None:
    """Be a build that breaks the promise of a 200."""
    commit, tell = monitor.ingest.writer.Writer._commit, monitor.ingest.writer._tell  # noqa: SLF001 - broken on purpose

    def hasty(self: monitor.ingest.writer.Writer, taken: list[Any]) -> None:
        tell(taken, None)
        time.sleep(0.05)
        commit(self, taken)

    monitor.ingest.writer._tell = lambda *_: None  # noqa: SLF001
    monitor.ingest.writer.Writer._commit = hasty  # type: ignore[method-assign]  # noqa: SLF001


def does_not_look_at_the_token() -> None:
    """Be a build whose leaders are not fenced."""
    replace_everywhere(monitor.store.lease.hold, lambda *_: None)


BUILDS = {"answers before the commit": answers_before_the_commit, "no fencing": does_not_look_at_the_token}


def run(argv: list[str], environment: dict[str, str], log: str, faults: list[Any], builds: list[str]) -> None:
    """Be the product, in a process just forked; never returns."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    os.chdir(Path(log).parent)
    os.environ.update(environment)
    sys.argv = ["calwatch", *argv]
    for name in builds:
        BUILDS[name]()
    for fault in faults:
        set_trap(fault)
    monitor.cli.main.run()


def start(arguments: dict[str, Any]) -> int:
    pid = os.fork()
    if not pid:
        run(**arguments)
        sys.exit(0)
    return pid


def poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def serve() -> None:
    """Answer commands until the test that sends them is gone, then end what it left."""
    alive: set[int] = set()
    answer: dict[str, int | None]
    for line in sys.stdin:
        command = json.loads(line)
        if "start" in command:
            pid = start(command["start"])
            alive.add(pid)
            answer = {"pid": pid}
        else:
            status = poll(command["poll"])
            if status is not None:
                alive.discard(command["poll"])
            answer = {"status": status}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in alive:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    serve()
