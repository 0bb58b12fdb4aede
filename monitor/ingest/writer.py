"""From a decoded request to a committed journal row, with no joins and no row per event."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final

from ..domain.errors import Unavailable
from ..domain.events import TASK_OF_FORM, Event, PredictionEvent, Receipt, form_of
from ..domain.refusals import Refusals
from ..domain.settings import Model, ModelSettings
from ..domain.times import moment
from ..store import journal, models
from ..store.batch import encode
from ..store.engine import Database
from ..store.journal import JournalRow
from .decode import Decoded, check_all, decode_events

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 1.0
"""How long a replica trusts what it read of a model's task and classes, and of the journal's length."""

ROWS_PER_COMMIT: Final = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """The task and classes of a model that is not stored yet."""

    task: str | None
    classes: tuple[str, ...] | None
    ordered: bool = True
    shorter: tuple[int, ...] = ()
    normalize: bool = False


class Directory:
    """The models by name: read again when stale, created on their first event."""

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database = database
        self._now = now
        self._known: dict[str, tuple[float, Model]] = {}

    def find(self, name: str) -> Model | None:
        """Return a model, or None if it does not exist yet."""
        entry = self._known.get(name)
        if entry is not None and time.monotonic() - entry[0] < FRESH_SECONDS:
            return entry[1]
        with self._database.read() as connection:
            model = models.by_name(connection, name)
        if model is None:
            self._known.pop(name, None)
            return None
        self._known[name] = (time.monotonic(), model)
        return model

    def forget(self, name: str) -> None:
        """Read a model again the next time, after it was changed or deleted."""
        self._known.pop(name, None)

    def is_fresh(self, name: str) -> bool:
        """Return whether neither finding a model nor accepting its events needs the database."""
        entry = self._known.get(name)
        return entry is not None and entry[1].accepted and time.monotonic() - entry[0] < FRESH_SECONDS

    def settle(self, name: str, shape: Shape) -> Model:
        """Create a model, or note that its events are accepted; set the task and classes that it lacks; return the stored model."""
        with self._database.write() as connection:
            model = models.create(connection, name, task=None, classes=None, settings=ModelSettings(), now=self._now())
            models.accept(connection, model.id, task=shape.task, classes=shape.classes, ordered=shape.ordered)
            stored = models.by_name(connection, name)
        if stored is None:
            raise Unavailable(f"model {name} was deleted while it was being created")
        self._known[name] = (time.monotonic(), stored)
        return stored


def first_shapes(events: Sequence[Event], known: Callable[[str], Shape | Model | None]) -> dict[str, Shape]:
    """Return the task and classes that first predictions set for models without them."""
    shapes: dict[str, Shape] = {}
    for event in events:
        if event.model in shapes:
            continue
        stored = known(event.model)
        if stored is not None and stored.task is not None and not _lacks_classes(stored):
            continue
        if isinstance(event, PredictionEvent):
            shape = _shape_of(event)
            if stored is None or stored.task in {None, shape.task}:
                declared = None if stored is None else stored.classes
                shape = shape if declared is None else Shape(shape.task, declared)
                shapes[event.model] = shape if stored is None else replace(shape, normalize=stored.normalize)
    return shapes


def _completed(stored: Shape | Model, shape: Shape) -> Shape:
    return Shape(shape.task, stored.classes or shape.classes, stored.normalize)


def _lacks_classes(stored: Shape | Model) -> bool:
    return stored.task == "multiclass" and stored.classes is None


def _shape_of(event: PredictionEvent) -> Shape:
    vector = event.probabilities if event.probabilities is not None else event.logits
    task = TASK_OF_FORM[form_of(event)]
    if vector is None:
        return Shape(task, None)
    numbered = tuple(map(str, range(len(vector))))
    if isinstance(vector, dict) and vector.keys() != set(numbered):
        return Shape(task, tuple(sorted(vector)), ordered=False)
    return Shape(task, numbered)


class Writer:
    """Commits journal rows in a thread of its own; rows queued during one commit share the next."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._queue: queue.SimpleQueue[tuple[JournalRow, Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._stopping = False
        self._full = False
        self._looked_at = float("-inf")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit the queue, then end the thread."""
        self._stopping = True
        self._queue.put(None)
        self._thread.join()

    def submit(self, row: JournalRow) -> Future[None]:
        """Queue a row; the future is done once it is committed.

        Raises
        ------
        Unavailable
            while the roll-up is too far behind, and when the process stops.

        """
        if self._stopping:
            raise Unavailable("this process is stopping")
        if self._full:
            raise Unavailable(f"more than {self._limit} events wait to be rolled up", retry_after=5.0)
        done: Future[None] = Future()
        self._queue.put((row, done))
        return done

    def _run(self) -> None:
        running = True
        while running:
            taken = self._take()
            running = None not in taken
            # A cancelled request is not written; from here on it can no longer be cancelled.
            self._commit([entry for entry in taken if entry is not None and entry[1].set_running_or_notify_cancel()])
            self._look_at_backlog()

    def _take(self) -> list[tuple[JournalRow, Future[None]] | None]:
        """Wait for rows and return them; wake up now and then while ingest is refused."""
        try:
            taken = [self._queue.get(timeout=FRESH_SECONDS if self._full else None)]
        except queue.Empty:
            return []
        while len(taken) < ROWS_PER_COMMIT and not self._queue.empty():
            taken.append(self._queue.get())
        return taken

    def _commit(self, taken: list[tuple[JournalRow, Future[None]]]) -> None:
        if not taken:
            return
        try:
            with self._database.write() as connection:
                journal.append(connection, [row for row, _ in taken])
        except Exception as error:  # noqa: BLE001 - every waiting request must hear of it
            log.warning("a commit of %d journal rows failed: %s", len(taken), error)
            for _, done in taken:
                done.set_exception(Unavailable(f"the journal could not be written: {error}"))
        else:
            for _, done in taken:
                done.set_result(None)

    def _look_at_backlog(self) -> None:
        if time.monotonic() - self._looked_at < FRESH_SECONDS:
            return
        self._looked_at = time.monotonic()
        try:
            with self._database.read() as connection:
                waiting, _ = journal.backlog(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must go on
            log.warning("the backlog could not be read: %s", error)
            return
        self._full = waiting > self._limit


class Ingest:
    """Decodes, checks and journals requests."""

    def __init__(self, database: Database, now: Callable[[], int], *, limit: int) -> None:
        self._now = now
        self.directory = Directory(database, now)
        self.writer = Writer(database, limit)

    def decode(self, body: bytes, content_type: str) -> Decoded:
        """Return a request's events and rejections, before the checks against their models."""
        return decode_events(body, content_type, now=moment(self._now()))

    def needs_database(self, decoded: Decoded) -> bool:
        """Return whether `admit` has to read or write models, and so must not run on the event loop."""
        return any(not self.directory.is_fresh(name) for name in {event.model for event in decoded.accepted})

    def admit(self, decoded: Decoded) -> tuple[Receipt, Future[None]]:
        """Check events against their models, creating new ones, and queue the valid events for the journal."""
        names = {event.model for event in decoded.accepted}
        stored = {name: self.directory.find(name) for name in names}
        shapes = first_shapes(decoded.accepted, stored.get)
        checked = check_all(decoded, lambda name: shapes.get(name) or stored[name])
        settled = {
            name: self.directory.settle(name, shapes.get(name, Shape(None, None)))
            for name in {event.model for event in checked.accepted}
            if name in shapes or (known := stored[name]) is None or not known.accepted
        }
        if settled:
            checked = check_all(checked, settled.get)  # another replica may have been first, with another task
        ids = {name: model.id for name, model in (stored | settled).items() if model is not None}
        return self._queue(checked, [ids[event.model] for event in checked.accepted])

    def _queue(self, checked: Decoded, model_ids: list[int]) -> tuple[Receipt, Future[None]]:
        row = JournalRow(
            id=0,
            received_at=self._now(),
            events=len(checked.accepted),
            rejected=Refusals.of(checked.rejected),
            batch=encode(checked.accepted, model_ids),
        )
        receipt = Receipt(accepted=len(checked.accepted), rejected=checked.rejected)
        if not row.events and not row.rejected.counts:
            nothing: Future[None] = Future()
            nothing.set_result(None)
            return receipt, nothing
        return receipt, self.writer.submit(row)
