"""The thread that commits the journal: what is queued during one commit shares the next."""

import asyncio
import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..domain.errors import Unavailable
from ..domain.refusals import Refusals
from ..store import journal
from ..store.batch import Body, encode_bodies
from ..store.engine import Database
from ..store.journal import JournalRow

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the journal's length is looked at."""

ENTRIES_PER_COMMIT: Final = 512

EVENTS_PER_ROW: Final = 4000
"""Plain requests of so many events, about, share a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRequest:
    """A request whose every event is accepted."""

    received_at: int
    events: int
    body: Body


class Waiting(NamedTuple):
    """Who waits for the commit of a request: on an event loop, for its number of events; None says that nothing of it was taken."""

    answer: "asyncio.Future[int | None]"
    events: int


@dataclass(frozen=True, slots=True)
class PlainEntry:
    """Plain requests that wait for their commit, on one event loop."""

    request: PlainRequest
    waiting: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class RowEntry:
    """Any other request."""

    row: JournalRow
    done: Future[None]


Entry = PlainEntry | RowEntry


class Writer:
    """Commits what is queued in a thread of its own."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._watch = threading.Thread(target=self._look, name="backlog", daemon=True)
        self._stopped = threading.Event()
        self._stopping = False
        self._full = False

    def start(self) -> None:
        """Start the thread, and another that looks at how far the roll-up is behind."""
        self._thread.start()
        self._watch.start()

    def stop(self) -> None:
        """Commit the queue, then end the thread."""
        self._stopping = True
        self._stopped.set()
        self._queue.put(None)
        self._thread.join()
        self._watch.join()

    def submit(self, row: JournalRow) -> Future[None]:
        """Queue a row; the future is done once it is committed.

        Raises
        ------
        Unavailable
            while the roll-up is too far behind, and when the process stops.

        """
        self._refuse_what_is_too_much()
        done: Future[None] = Future()
        self._queue.put(RowEntry(row, done))
        return done

    def submit_plain(self, request: PlainRequest, waiting: Sequence[Waiting]) -> None:
        """Queue plain requests, whose answers are known once they are committed; raises the same."""
        self._refuse_what_is_too_much()
        self._queue.put(PlainEntry(request, waiting))

    def _refuse_what_is_too_much(self) -> None:
        if self._stopping:
            raise Unavailable("this process is stopping")
        if self._full:
            raise Unavailable(f"more than {self._limit} events wait to be rolled up", retry_after=5.0)

    def _run(self) -> None:
        running = True
        while running:
            taken = self._take()
            running = None not in taken
            # A cancelled request is not written; from here on it can no longer be cancelled.
            self._commit([entry for entry in taken if entry is not None and _is_wanted(entry)])

    def _take(self) -> list[Entry | None]:
        """Wait for entries and return them."""
        taken = [self._queue.get()]
        while len(taken) < ENTRIES_PER_COMMIT and not self._queue.empty():
            taken.append(self._queue.get())
        return taken

    def _commit(self, taken: list[Entry]) -> None:
        if not taken:
            return
        failure: Unavailable | None = None
        try:
            rows = list(_rows(taken))
            with self._database.write() as connection:
                journal.append(connection, rows)
        except Exception as error:  # noqa: BLE001 - every waiting request must hear of it
            log.warning("a commit of %d requests failed: %s", len(taken), error)
            failure = Unavailable(f"the journal could not be written: {error}")
        _tell(taken, failure)

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            self._look_at_backlog()

    def _look_at_backlog(self) -> None:
        try:
            with self._database.read() as connection:
                waiting, _ = journal.backlog(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must go on
            log.warning("the backlog could not be read: %s", error)
            return
        self._full = waiting > self._limit


def _is_wanted(entry: Entry) -> bool:
    """Return whether nobody has given an entry up, and let nobody do so from here on where that can be."""
    if isinstance(entry, PlainEntry):
        return not all(one.answer.cancelled() for one in entry.waiting)
    return entry.done.set_running_or_notify_cancel()


def _rows(taken: Sequence[Entry]) -> Iterator[JournalRow]:
    """Yield the rows of entries, in their order; plain requests that follow one another share rows."""
    waiting: list[PlainRequest] = []
    for entry in taken:
        if isinstance(entry, RowEntry):
            yield from _together(waiting)
            waiting = []
            yield entry.row
            continue
        waiting.append(entry.request)
        if sum(one.events for one in waiting) >= EVENTS_PER_ROW:
            yield from _together(waiting)
            waiting = []
    yield from _together(waiting)


def _together(requests: Sequence[PlainRequest]) -> Iterator[JournalRow]:
    """Yield the row of plain requests that were received within the same moment, if there are any."""
    if requests:
        yield JournalRow(
            id=0,
            received_at=max(one.received_at for one in requests),
            events=sum(one.events for one in requests),
            rejected=Refusals(),
            batch=encode_bodies([one.body for one in requests]),
        )


def _tell(taken: Sequence[Entry], failure: Unavailable | None) -> None:
    """Tell all that wait what came of it; each event loop is woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
    for entry in taken:
        if isinstance(entry, PlainEntry):
            by_loop.setdefault(entry.waiting[0].answer.get_loop(), []).extend(entry.waiting)
        elif failure is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(failure)
    for loop, waiting in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_finish, waiting, failure)


def _finish(waiting: Sequence[Waiting], failure: Unavailable | None) -> None:
    for answer, events in waiting:
        if answer.done():  # cancelled: nobody waits for it
            continue
        if failure is None:
            answer.set_result(events)
        else:
            answer.set_exception(failure)
