"""The table of exported metrics, from a scrape of an empty database."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown import code, table

from monitor.api.exposition import Family
from monitor.api.metrics import CalibrationCollector
from monitor.store.engine import Database
from monitor.store.migrate import upgrade


def exported() -> str:
    """Return a table of metrics for each set of labels."""
    groups: dict[tuple[str, ...], list[Family]] = {}
    for family in _scraped():
        groups.setdefault(family.labels, []).append(family)
    return "\n\n".join(_group(labels, families) for labels, families in groups.items())


def _group(labels: Sequence[str], families: Sequence[Family]) -> str:
    heading = f"## By {', '.join(map(code, labels))}" if labels else "## Without labels"
    rows = ([code(each.name), each.type, each.documentation] for each in families)
    return f"{heading}\n\n{table(['metric', 'type', 'meaning'], rows)}"


def _scraped() -> Iterator[Family]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
        upgrade(database)
        yield from CalibrationCollector(database, lambda: 0, most_series=1).collect()
        database.close()
