"""Read and write many rows at once, in the fastest way of each database."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    LargeBinary,
    Table,
    TypeDecorator,
    and_,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import TypeEngine


def append(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Append rows of the named columns to a table: COPY on Postgres, one prepared statement on SQLite."""
    values = list(rows)
    if not values:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, _copy_statement(table, tuple(names)), values)
    else:
        columns = {name: _plain(column) for name, column in zip(names, zip(*values, strict=True), strict=True)}
        columns = {name: column for name, column in columns.items() if any(value is not None for value in column)}
        connection.exec_driver_sql(_insert_statement(table, tuple(columns)), list(zip(*columns.values(), strict=True)))


def _plain(column: tuple[Any, ...]) -> Sequence[Any]:
    """Return values of types that SQLite's driver binds directly.

    For None, bool and bytes it searches for an adapter first, which costs more than storing the row.
    """
    kinds = set(map(type, column))
    if bool in kinds:
        return [int(value) if type(value) is bool else value for value in column]
    return [bytearray(value) if type(value) is bytes else value for value in column] if bytes in kinds else column


def _copy(connection: Connection, statement: Any, rows: Iterable[Sequence[Any]]) -> None:
    driver: Any = connection.connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except connection.dialect.loaded_dbapi.OperationalError as error:
        raise OperationalError("COPY", None, error) from error  # as SQLAlchemy does with what goes through it


@lru_cache(maxsize=64)
def _copy_statement(table: Table, names: tuple[str, ...]) -> Any:
    from psycopg import sql  # noqa: PLC0415 - the driver is an extra

    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)


@lru_cache(maxsize=64)
def _insert_statement(table: Table, names: tuple[str, ...]) -> str:
    statement = insert(table).values({name: bindparam(name) for name in names}).compile(dialect=sqlite.dialect())
    if tuple(statement.positiontup or ()) != names:
        raise ValueError(f"{', '.join(names)} must be in the order of the columns of {table.name}")
    return str(statement)


def update_each(
    connection: Connection, key: Sequence[Column[Any]], column: Column[Any], rows: Sequence[Sequence[Any]]
) -> None:
    """Set one column of many rows, given as the values of the key columns and the new value."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        changed = _unnested(rows, [*key, column])
        same = and_(*(part == changed.c[part.name] for part in key))
        connection.execute(update(column.table).values({column.name: changed.c[column.name]}).where(same))
    else:
        *keys, new = map(_plain, zip(*rows, strict=True))
        connection.exec_driver_sql(_update_statement(tuple(key), column), list(zip(new, *keys, strict=True)))


@lru_cache(maxsize=64)
def _update_statement(key: tuple[Column[Any], ...], column: Column[Any]) -> str:
    same = and_(*(part == bindparam(f"key_{part.name}") for part in key))
    statement = update(column.table).values({column.name: bindparam("new")}).where(same)
    return str(statement.compile(dialect=sqlite.dialect()))


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str] = (),
    sums: Collection[str] = (),
) -> None:
    """Insert rows; a row whose key is stored replaces the stored row's other columns.

    Parameters
    ----------
    rows : values by column, the same columns in every row
    key : the columns of a unique constraint; by default the primary key
    sums : columns that are added to the stored ones instead of replacing them

    """
    if not rows:
        return
    statement = _insert(connection, table)
    unique = _key(table, key)
    changes = {
        name: table.c[name] + statement.excluded[name] if name in sums else statement.excluded[name]
        for name in rows[0]
        if name not in unique
    }
    connection.execute(statement.on_conflict_do_update(index_elements=unique, set_=changes), [*map(dict, rows)])


def insert_new(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str] = ()
) -> int:
    """Insert the rows whose key is not stored yet, and return their number.

    Parameters
    ----------
    rows : values by column, the same columns in every row
    key : the columns of a unique constraint; by default the primary key

    """
    if not rows:
        return 0
    statement = _insert(connection, table).on_conflict_do_nothing(index_elements=_key(table, key))
    return connection.execute(statement, [*map(dict, rows)], execution_options={"preserve_rowcount": True}).rowcount


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _key(table: Table, key: Sequence[str]) -> list[str]:
    return list(key or (column.name for column in table.primary_key))


def listed(connection: Connection, rows: Sequence[Sequence[int]], columns: Sequence[Column[Any]]) -> FromClause:
    """Return rows of integers as a table with the columns' names, bound as a few parameters."""
    if connection.dialect.name == "postgresql":
        return _unnested(rows, columns)
    row = func.json_each(msgspec.json.encode(rows).decode()).table_valued("value")
    parts = [func.json_extract(row.c.value, f"$[{i}]").label(column.name) for i, column in enumerate(columns)]
    return select(*parts).subquery()


def _unnested(rows: Sequence[Sequence[Any]], columns: Sequence[Column[Any]]) -> FromClause:
    arrays = [
        bindparam(None, values, type_=_Written(column.type))
        for values, column in zip(zip(*rows, strict=True), columns, strict=True)
    ]
    return func.unnest(*arrays).table_valued(*(column.name for column in columns)).render_derived()


class _Written(TypeDecorator[Any]):
    """An array of integers or bytes as text, which is 20 times faster than the driver's own conversion."""

    impl = ARRAY
    cache_ok = True

    def __init__(self, item_type: TypeEngine[Any]) -> None:
        super().__init__(item_type)
        self.item_type = item_type

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002 - SQLAlchemy's signature
        return _bytes_written if isinstance(self.item_type, LargeBinary) else _integers_written


def _integers_written(values: Iterable[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _bytes_written(values: Iterable[bytes]) -> str:
    return "{" + ",".join([rf'"\\x{value.hex()}"' for value in values]) + "}"


def among(
    connection: Connection, column: Column[Any] | ColumnElement[Any], numbers: Sequence[int]
) -> ColumnElement[bool]:
    """Return the condition that a column is one of many integers, bound as one parameter."""
    if connection.dialect.name == "postgresql":
        return column == func.any(bindparam(None, numbers, type_=_Written(BigInteger())))
    number = func.json_each(msgspec.json.encode(list(numbers)).decode()).table_valued("value")
    return column.in_(select(number.c.value))
