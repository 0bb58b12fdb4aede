"""Move what SQLite's write-ahead log holds into the database, in a thread of its own, so that no commit waits for it."""

import logging
import threading
import time
from pathlib import Path
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25

EVERY_SECONDS: Final = 5.0
"""A checkpoint reaches the disk twice, for which a commit at that moment waits: so there are few."""

MOST_BYTES: Final = 32 * 2**20
"""A longer log is checkpointed at once; one that is shorter than half of this is not cut."""

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
        last = time.monotonic()
        while not self._closed.wait(LOOK_SECONDS):
            self._due.wait()
            if self._closed.is_set():
                return
            if time.monotonic() - last >= EVERY_SECONDS or self._length() > MOST_BYTES:
                self._due.clear()
                self._checkpoint()
                last = time.monotonic()

    def _length(self) -> int:
        try:
            return Path(f"{self._engine.url.database}-wal").stat().st_size
        except OSError:
            return 0

    def _checkpoint(self) -> None:
        """Checkpoint once; what fails now, such as on a full disk, is tried again after the next commit."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(PASSIVE)
        except DBAPIError as error:
            log.warning("the write-ahead log could not be checkpointed: %s", error.orig)
