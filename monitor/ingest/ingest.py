"""From a request's body to its place in the journal, with no joins and no row per event."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ..domain.events import Receipt
from ..domain.refusals import Refusals
from ..domain.times import moment
from ..store.batch import Body, BodyForm, encode
from ..store.engine import Database
from ..store.journal import JournalRow
from .decode import Decoded, check_all, decode_events, is_lines
from .directory import Directory, Shape, first_shapes
from .plain import Plain, plain, plain_together
from .writer import PlainRequest, Writer


class Stale(Exception):
    """Models have to be read again before events of theirs are accepted."""

    def __init__(self, models: Sequence[str]) -> None:
        super().__init__(*models)
        self.models = models


class Ingest:
    """Decodes, checks and journals requests."""

    def __init__(self, database: Database, now: Callable[[], int], *, limit: int) -> None:
        self._now = now
        self.directory = Directory(database, now)
        self.writer = Writer(database, limit)

    def decode(self, body: bytes, content_type: str) -> Decoded:
        """Return a request's events and rejections, before the checks against their models."""
        return decode_events(body, content_type, now=moment(self._now()))

    def read_plain(self, body: bytes, content_type: str) -> PlainRequest | None:
        """Return a plain request whose models are known and agree with it; None for any other, which `decode` and `admit` take."""
        received_at, lines = self._now(), is_lines(content_type)
        found = plain(body, lines=lines, now=moment(received_at))
        return None if found is None else self._accepted(found, "lines" if lines else "request", received_at)

    def read_together(self, bodies: Sequence[bytes]) -> tuple[PlainRequest, list[int]] | None:
        """Return small requests of JSON as one, and the number of events of each; None unless each is such a one.

        Raises
        ------
        Stale
            when models have to be read again first.

        """
        received_at = self._now()
        found = plain_together(bodies, moment(received_at))
        if found is None:
            return None
        stale = [name for name in found[0].models if not self.directory.is_current(name)]
        if stale:
            raise Stale(stale)
        accepted = self._accepted(found[0], "requests", received_at)
        return None if accepted is None else (accepted, found[1])

    def _accepted(self, found: Plain, form: BodyForm, received_at: int) -> PlainRequest | None:
        models = {name: self.directory.find(name) for name in found.models}
        if not all(model is not None and model.accepted for model in models.values()) or not found.agrees(models.get):
            return None
        ids = {name: model.id for name, model in models.items() if model is not None}
        body = Body(form=form, models=ids, content=found.body)
        return PlainRequest(received_at=received_at, events=found.events, body=body)

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
