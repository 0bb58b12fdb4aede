"""Move what SQLite's write-ahead log holds into the database, in a thread of its own, so that no commit waits for it."""

import logging
import threading
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 5.0

PASSIVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"
"""Moves what no reader needs any more, and blocks nobody."""


class Checkpoints:
    """A thread that checkpoints now and then while there are commits; begun by the first one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._due = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def note(self) -> None:
        """Note a commit."""
        if self._thread is None:
            self._begin()
        self._due.set()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(EVERY_SECONDS):
            self._due.wait()
            self._due.clear()
            if not self._closed.is_set():
                self._checkpoint()

    def _checkpoint(self) -> None:
        """Checkpoint once; what fails now, such as on a full disk, is tried again after the next commit."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(PASSIVE)
        except DBAPIError as error:
            log.warning("the write-ahead log could not be checkpointed: %s", error.orig)
