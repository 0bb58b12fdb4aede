"""Many rows at once, each database's own way."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Table, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY


def append(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Append rows of the named columns to a table: COPY on Postgres, one prepared statement on SQLite."""
    if connection.dialect.name == "postgresql":
        with connection.connection.cursor() as cursor, cursor.copy(_copy_statement(table, tuple(names))) as copy:
            for row in rows:
                copy.write_row(row)
        return
    values = list(rows)
    if values:
        connection.exec_driver_sql(_insert_statement(connection, table, tuple(names)), values)


@lru_cache(maxsize=64)
def _copy_statement(table: Table, names: tuple[str, ...]) -> Any:
    from psycopg import sql  # noqa: PLC0415 - the driver is an extra

    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)


_insert_statements: dict[tuple[str, tuple[str, ...]], str] = {}


def _insert_statement(connection: Connection, table: Table, names: tuple[str, ...]) -> str:
    known = _insert_statements.get((table.name, names))
    if known is None:
        compiled = insert(table).values({name: bindparam(name) for name in names}).compile(dialect=connection.dialect)
        known = _insert_statements[table.name, names] = str(compiled)
    return known


def among(
    connection: Connection, column: Column[Any] | ColumnElement[Any], numbers: Sequence[int]
) -> ColumnElement[bool]:
    """Return the condition that a column is one of many integers, as one parameter however many they are."""
    if connection.dialect.name == "postgresql":
        return column == func.any(bindparam(None, list(numbers), type_=ARRAY(BigInteger)))
    listed = func.json_each(msgspec.json.encode(list(numbers)).decode()).table_valued("value")
    return column.in_(select(listed.c.value))
