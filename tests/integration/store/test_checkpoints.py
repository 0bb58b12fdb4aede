"""The write-ahead log of SQLite stays short, although no commit checkpoints it."""

import time
from pathlib import Path

from sqlalchemy import text

from monitor.store.checkpoints import MOST_BYTES


def test_the_log_does_not_grow_with_what_is_written(sqlite_database):
    log = Path(f"{sqlite_database.engine.url.database}-wal")
    longest = written = 0
    with sqlite_database.write() as connection:
        connection.execute(text("CREATE TABLE filler (content BLOB)"))
    while written < 12 * MOST_BYTES:
        with sqlite_database.write() as connection:
            connection.execute(text("DELETE FROM filler"))
            connection.execute(text("INSERT INTO filler VALUES (randomblob(4000000))"))
        written += 4_000_000
        time.sleep(0.03)
        longest = max(longest, log.stat().st_size)
    assert longest < 6 * MOST_BYTES


def test_what_is_committed_is_in_the_database_once_it_is_closed(sqlite_database):
    with sqlite_database.write() as connection:
        connection.execute(text("CREATE TABLE filler (content BLOB)"))
    path = Path(sqlite_database.engine.url.database)
    sqlite_database.close()
    assert not Path(f"{path}-wal").exists() or Path(f"{path}-wal").stat().st_size == 0
