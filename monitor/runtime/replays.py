"""Replays run in threads of the server that was asked for them, and can be cancelled from any."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from ..domain.errors import MonitorError
from ..domain.settings import Model
from ..store import replays
from ..store.engine import Database
from .replay import Plan, history, replay_history

log = logging.getLogger(__name__)

NOTE_SECONDS: Final = 1.0

AT_ONCE: Final = 2
"""Replays of different models that a server runs at once; each takes a processor."""

STOPPED: Final = "the server was stopped"


class _Ended(Exception):
    """A replay is to end: cancelled, or with its server."""


class Replays:
    """The replays of a server."""

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database = database
        self._now = now
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="replay")
        self._stopping = threading.Event()

    def start(self, model: Model, plan: Plan, policy: Mapping[str, object]) -> int:
        """Begin a replay and return its number.

        Raises
        ------
        Conflict
            while another one of the model runs, in any server.

        """
        with self._database.write() as connection:
            number = replays.begin(connection, model.id, policy, self._now())
        self._pool.submit(self._run, number, model, plan)
        return number

    def stop(self) -> None:
        """End all replays."""
        self._stopping.set()
        self._pool.shutdown(wait=True)

    def _run(self, number: int, model: Model, plan: Plan) -> None:
        try:
            self._replay(number, model, plan)
        except _Ended:
            if self._stopping.is_set():
                self._fail(number, STOPPED)
        except MonitorError as error:
            self._fail(number, str(error))
        except Exception:
            log.exception("replay %d of model %s failed", number, model.name)
            self._fail(number, "something went wrong; the server's log says what")

    def _replay(self, number: int, model: Model, plan: Plan) -> None:
        note = self._noting(number)
        with self._database.read() as connection:
            past = history(connection, model, plan, self._now(), report=note)
        outcome = replay_history(model, plan, past, report=note)
        with self._database.write() as connection:
            replays.finish(connection, number, msgspec.json.encode(outcome), self._now())

    def _noting(self, number: int) -> Callable[[int, int], None]:
        """Return what notes the progress of a replay now and then, and ends it if it is to end."""
        noted = float("-inf")

        def note(done: int, total: int) -> None:
            nonlocal noted
            if self._stopping.is_set():
                raise _Ended
            if time.monotonic() - noted < NOTE_SECONDS:
                return
            noted = time.monotonic()
            with self._database.write() as connection:
                if not replays.advance(connection, number, done, total):
                    raise _Ended

        return note

    def _fail(self, number: int, reason: str) -> None:
        try:
            with self._database.write() as connection:
                replays.fail(connection, number, reason, self._now())
        except MonitorError as error:
            log.warning("the end of replay %d could not be stored: %s", number, error)
