"""Migrations: they end in the tables that the code knows, on both databases, and rows that are there stay."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from monitor.rollup.verify import differences_of
from monitor.store import events, versions
from monitor.store.migrate import _config, upgrade
from monitor.store.schema import metadata


def unlike(database):
    """Return how the tables of a database differ from those that the code knows."""
    with database.read() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def test_migrations_end_in_the_schema(database):
    assert unlike(database) == []


def test_rows_of_0_2_0_are_traffic_and_go_on_being_joined(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.75), make.prediction("b", 0.25), make.label("b", 0))
    with feed.database.write() as connection:
        connection.execute(text("INSERT INTO alias VALUES (:id, 'champion', 3, 5, 6, NULL)"), {"id": model.id})
        connection.execute(text("INSERT INTO refit VALUES (:id, 5, 7, :no, 0)"), {"id": model.id, "no": False})
        command.downgrade(_config(connection), "0002")
    upgrade(feed.database)
    assert unlike(feed.database) == []
    feed.take(make.label("a", 1), make.prediction("c", 0.5, reference=True), make.label("c", 1))
    with feed.database.read() as connection:
        rows = {row.event_id: row.reference for chunk in events.scan(connection, model.id) for row in chunk}
        apart = [row.event_id for chunk in events.scan(connection, model.id, reference=True) for row in chunk]
        champion = versions.aliases(connection, model.id)["champion"]
        refit = connection.execute(text("SELECT attempted_at, labels, reference_labels FROM refit")).one()
    assert (rows, apart) == ({"a": False, "b": False}, ["c"])
    assert (champion.number, champion.since_event_time, champion.share) == (3, 6, None)
    assert tuple(refit) == (5, 7, 0)
    assert (feed.progress(model).predictions, feed.progress(model).labels) == (2, 2)
    with feed.database.read() as connection:
        assert differences_of(connection, model) == []
