"""The table of exported metrics, from a scrape of an empty database."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from markdown import code, table
from prometheus_client.core import Metric

from monitor.api.metrics import CalibrationCollector
from monitor.store.engine import Database
from monitor.store.migrate import upgrade


def exported() -> str:
    """Return the table of all metrics."""
    return table(
        ["metric", "type", "labels", "meaning"],
        ([code(_name(each)), each.type, _labels(each), each.documentation] for each in families()),
    )


def families() -> list[Metric]:
    """Return the families of one scrape, in its order."""
    return list(_scraped())


def _scraped() -> Iterator[Metric]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
        upgrade(database)
        yield from CalibrationCollector(database, lambda: 0).collect()
        database.close()


def _name(family: Metric) -> str:
    """Return the name that a scrape shows: counters end in _total."""
    return family.name + ("_total" if family.type == "counter" else "")


def _labels(family: Metric) -> str:
    return ", ".join(map(code, getattr(family, "_labelnames", ())))
