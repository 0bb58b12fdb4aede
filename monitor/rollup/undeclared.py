"""Count the labels of classes that were never declared, by name."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from ..domain.events import MAX_NAME
from ..domain.names import shortened
from ..domain.settings import Model
from ..store import counters
from ..store.counters import OTHER_NAMES, UNDECLARED
from ..store.rows import is_undeclared_label
from .join import Change

MOST_NAMES = 100
"""Names that are counted apart for each model; all further ones are counted together."""


def counted_undeclared(
    connection: Connection, changes: Sequence[Change], models: Mapping[int, Model]
) -> dict[tuple[int, str, str], int]:
    """Return how changes change the numbers of labels of classes that were never declared, by model, counter and name."""
    names: Counter[tuple[int, str]] = Counter()
    for change in changes:
        row = change.row
        for label, step in ((change.after, 1), (change.before, -1)):
            if label is not None and is_undeclared_label(models[row.model_id], row, label.label):
                names[row.model_id, _named(label.label)] += step
    counts: Counter[tuple[int, str, str]] = Counter()
    for model_id in {model_id for model_id, _ in names}:
        known = {name for counter, name in counters.of_model(connection, model_id) if counter == UNDECLARED}
        for (owner, name), step in names.items():
            if owner == model_id and step:
                if name not in known and len(known) < MOST_NAMES:
                    known.add(name)
                counts[model_id, UNDECLARED, name if name in known else OTHER_NAMES] += step
    return dict(counts)


def _named(label: str) -> str:
    return shortened(str(msgspec.json.decode(label)), MAX_NAME)
