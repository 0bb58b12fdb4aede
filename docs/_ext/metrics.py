"""The table of exported metrics, from a scrape of an empty database."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown import code, table
from prometheus_client.core import Metric

from monitor.api.metrics import CalibrationCollector
from monitor.store.engine import Database
from monitor.store.migrate import upgrade


def exported() -> str:
    """Return a table of metrics for each set of labels."""
    groups: dict[tuple[str, ...], list[Metric]] = {}
    for family in _scraped():
        groups.setdefault(tuple(getattr(family, "_labelnames", ())), []).append(family)
    return "\n\n".join(_group(labels, families) for labels, families in groups.items())


def _group(labels: Sequence[str], families: Sequence[Metric]) -> str:
    heading = f"## By {', '.join(map(code, labels))}" if labels else "## Without labels"
    rows = ([code(_name(each)), each.type, each.documentation] for each in families)
    return f"{heading}\n\n{table(['metric', 'type', 'meaning'], rows)}"


def _scraped() -> Iterator[Metric]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
        upgrade(database)
        yield from CalibrationCollector(database, lambda: 0).collect()
        database.close()


def _name(family: Metric) -> str:
    """Return the name that a scrape shows: counters end in _total."""
    return family.name + ("_total" if family.type == "counter" else "")
