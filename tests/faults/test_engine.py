"""Connections: what a session on either database may and may not do."""

import threading
import time

import pytest
from sqlalchemy import Connection, text

from monitor.domain.errors import Unavailable
from monitor.store import events
from monitor.store.engine import Database


def stand_still(connection: Connection) -> object:
    time.sleep(1)
    return connection.execute(text("SELECT 1")).scalar()


def test_postgres_ends_a_transaction_that_writes_and_stands_still(postgres_url: str) -> None:
    database = Database(postgres_url, idle_seconds=0.1)
    with pytest.raises(Unavailable), database.write() as connection:
        stand_still(connection)
    with database.write() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    database.close()


def test_postgres_lets_a_transaction_that_reads_stand_still(postgres_url: str) -> None:
    database = Database(postgres_url, idle_seconds=0.1)
    with database.write() as connection:
        connection.execute(text("SELECT 1"))
    with database.read() as connection:
        assert stand_still(connection) == 1
    database.close()


def test_postgres_plans_each_statement_for_the_tables_as_they_are(postgres_database: Database) -> None:
    for _ in range(20):
        with postgres_database.read() as connection:
            events.predictions_of(connection, [1, 2, 3])
    with postgres_database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar() == 0


def test_database_that_drains_ends_what_is_under_way_and_begins_nothing(database: Database) -> None:
    begun, refused = threading.Event(), threading.Event()

    def write() -> None:
        with database.write() as connection:
            begun.set()
            refused.wait(10)
            connection.execute(text("INSERT INTO job (name, failures) VALUES ('under way', 0)"))

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(10)
    database.drain()
    for transaction in (database.read, database.write):
        with pytest.raises(Unavailable, match="stopping"), transaction():
            pass
    refused.set()
    writer.join()
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM job")).scalar() == "under way"
