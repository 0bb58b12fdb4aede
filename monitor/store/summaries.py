"""Tables of encoded summaries, keyed by integers."""

from collections.abc import Container, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, delete, exists, select

from .bulk import append, listed, update_each

Key = tuple[int, ...]
"""The values of the key columns, in the order of the table."""


class Summaries:
    """A table whose last column is an encoded summary and whose other columns are its key."""

    def __init__(self, table: Table) -> None:
        *key, self.summary = table.columns
        self.table = table
        self.key = tuple(key)

    def fetch(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, bytes]:
        """Return the stored summaries under these keys."""
        if not keys:
            return {}
        wanted = listed(connection, keys, self.key)
        query = select(*self.key, self.summary).join_from(wanted, self.table, self._is_in(wanted))
        return {tuple(key): bytes(blob) for *key, blob in connection.execute(query)}

    def replace(self, connection: Connection, summaries: Mapping[Key, bytes], known: Container[Key]) -> None:
        """Store summaries, replacing those under known keys; an empty summary deletes the row."""
        fresh = [(*key, blob) for key, blob in summaries.items() if blob and key not in known]
        changed = [(*key, blob) for key, blob in summaries.items() if blob and key in known]
        append(connection, self.table, [column.name for column in self.table.columns], fresh)
        update_each(connection, self.key, self.summary, changed)
        self._remove(connection, [key for key, blob in summaries.items() if not blob and key in known])

    def _remove(self, connection: Connection, keys: Sequence[Key]) -> None:
        if keys:
            unwanted = listed(connection, keys, self.key)
            same = exists(select(unwanted.c[self.key[0].name]).where(self._is_in(unwanted)))
            connection.execute(delete(self.table).where(same))

    def _is_in(self, rows: FromClause) -> ColumnElement[bool]:
        return and_(*(column == rows.c[column.name] for column in self.key))
