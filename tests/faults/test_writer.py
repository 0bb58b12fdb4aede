"""The thread that writes the journal: nothing that happens to one request may end it."""

from collections.abc import Iterator

import pytest

from monitor.domain.errors import Unavailable
from monitor.domain.refusals import Refusals
from monitor.ingest.writer import Writer
from monitor.store import journal
from monitor.store.engine import Database
from monitor.store.journal import JournalRow


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    found = Writer(database, limit=1000)
    found.start()
    yield found
    found.stop()


def row(events: int) -> JournalRow:
    return JournalRow(id=0, received_at=events, events=events, rejected=Refusals(), batch=b"p")


def stored(database: Database) -> list[int]:
    with database.read() as connection:
        return [each.events for each in journal.oldest(connection, 10_000)]


def test_writer_goes_on_after_a_request_was_given_up(writer: Writer, database: Database) -> None:
    with database.write() as connection:  # SQLite's writer waits here, so that the second request is still in the queue
        journal.append(connection, [row(1)])
        first = writer.submit(row(2))
        given_up = writer.submit(row(3))
        given_up.cancel()
    first.result(timeout=10)
    writer.submit(row(4)).result(timeout=10)
    assert sorted({*stored(database)} - {3}) == [1, 2, 4]


def test_writer_does_not_store_what_was_given_up_before_it_looked(database: Database) -> None:
    writer = Writer(database, limit=1000)
    writer.submit(row(1)).cancel()
    kept = writer.submit(row(2))
    writer.start()
    kept.result(timeout=10)
    writer.stop()
    assert stored(database) == [2]


def test_writer_tells_every_request_of_a_failed_commit_and_goes_on(writer: Writer, database: Database) -> None:
    broken = JournalRow(id=0, received_at=0, events=1, rejected=Refusals(), batch=None)
    with pytest.raises(Unavailable, match="could not be written"):
        writer.submit(broken).result(timeout=10)
    writer.submit(row(5)).result(timeout=10)
    assert stored(database) == [5]


def test_writer_writes_what_is_queued_before_it_stops_and_takes_nothing_after(database: Database) -> None:
    writer = Writer(database, limit=1000)
    queued = [writer.submit(row(i)) for i in range(1, 20)]
    writer.start()
    writer.stop()
    assert all(each.done() for each in queued)
    assert stored(database) == list(range(1, 20))
    with pytest.raises(Unavailable, match="stopping"):
        writer.submit(row(20))
