"""Rows that may be stored already, the same on both databases."""

import pytest
from sqlalchemy import select

from monitor.store.bulk import insert_new, upsert
from monitor.store.migrate import upgrade
from monitor.store.schema import counter, model


@pytest.fixture
def connection(database):
    upgrade(database)
    with database.write() as open_connection:
        yield open_connection


def counters(connection):
    return {row.label: row.value for row in connection.execute(select(counter))}


def count(label, value):
    return {"name": "n", "label": label, "value": value}


def test_upsert_inserts_what_is_new_and_replaces_what_is_stored(connection):
    upsert(connection, counter, [count("a", 1), count("b", 2)])
    upsert(connection, counter, [count("b", 5), count("c", 3)])
    assert counters(connection) == {"a": 1, "b": 5, "c": 3}


def test_upsert_adds_sums_to_what_is_stored_and_repeats_of_a_key_too(connection):
    upsert(connection, counter, [count("a", 1)], sums=["value"])
    upsert(connection, counter, [count("a", 2), count("a", 4), count("b", 3)], sums=["value"])
    assert counters(connection) == {"a": 7, "b": 3}


def test_upsert_leaves_columns_that_the_rows_lack(connection):
    row = {"name": "m", "settings": "{}", "revision": 1, "created_at": 5}
    upsert(connection, model, [row | {"task": "binary"}], key=["name"])
    upsert(connection, model, [row | {"revision": 2}], key=["name"])
    stored = connection.execute(select(model)).one()
    assert (stored.task, stored.revision) == ("binary", 2)


def test_insert_new_leaves_what_is_stored_and_counts_the_rest(connection):
    assert insert_new(connection, counter, [count("a", 1), count("b", 2)]) == 2
    assert insert_new(connection, counter, [count("b", 9), count("c", 3), count("d", 4)]) == 2
    assert insert_new(connection, counter, [count("b", 9)]) == 0
    assert counters(connection) == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_no_rows_change_nothing(connection):
    upsert(connection, counter, [])
    assert insert_new(connection, counter, []) == 0
    assert counters(connection) == {}
