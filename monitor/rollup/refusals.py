"""Events that did not count: those that ingest refused, and those that conflict with what is stored."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from ..domain.events import quoted
from ..domain.records import ConflictKind, ConflictRow
from ..store import counters, models, refusals
from ..store.counters import CONFLICTS, REJECTED
from ..store.journal import JournalRow
from ..store.refusals import KEPT, Refusal

CODES: Final[dict[ConflictKind, str]] = {
    "prediction": "prediction_conflict",
    "label": "label_conflict",
    "unusable_label": "unknown_class",
    "ambiguous_label": "ambiguous_label",
    "right_or_answer": "ambiguous_label",
}

REASONS: Final[dict[ConflictKind, str]] = {
    "prediction": "another prediction of this event is stored: the first of each model_version counts",
    "label": "label is {label}, and another label of this event stands: send it with supersedes to correct that one",
    "unusable_label": "label is {label}: no class of the model",
    "ambiguous_label": "label is {label}, and the versions gave different answers: name one as model_version",
    "right_or_answer": "label is {label} beside an answer that is itself true or false, so it may say that the answer was right, or"
    " which one is: send the right answer as text, with supersedes",
}


def add_conflicts(connection: Connection, conflicts: Sequence[ConflictRow]) -> None:
    """Count conflicting events by model, and list the last of them."""
    counters.add_by_model(connection, Counter((row.model_id, *_counter(row.kind)) for row in conflicts))
    refusals.add(connection, [_entry(row) for row in conflicts[-KEPT:]])


def _counter(kind: ConflictKind) -> tuple[str, str]:
    return (CONFLICTS[kind], "") if kind in CONFLICTS else (REJECTED, CODES[kind])


def _entry(row: ConflictRow) -> Refusal:
    content = msgspec.json.decode(row.content, type=dict[str, object])
    return Refusal(
        model_id=row.model_id,
        received_at=row.received_at,
        event_id=row.event_id,
        code=CODES[row.kind],
        reason=REASONS[row.kind].format(label=quoted(content.get("label"))),
    )


def add_refused(connection: Connection, rows: Sequence[JournalRow]) -> None:
    """Count the events that ingest refused, by model where there is one of that name, and list the last of them."""
    names = {name for row in rows for name, _, _ in row.rejected.counts if name is not None}
    ids = models.ids_of(connection, names)
    counts: Counter[tuple[int, str, str]] = Counter()
    of_none: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for name, code, count in row.rejected.counts:
            if name is not None and name in ids:
                counts[ids[name], REJECTED, code] += count
            else:
                of_none[REJECTED, code] += count
    counters.add(connection, of_none)
    counters.add_by_model(connection, counts)
    refusals.add(connection, list(_listed(rows, ids)))


def _listed(rows: Iterable[JournalRow], ids: dict[str, int]) -> Iterator[Refusal]:
    for row in rows:
        for item in row.rejected.last:
            if item.model in ids:
                yield Refusal(
                    model_id=ids[item.model],
                    received_at=row.received_at,
                    event_id=item.event_id,
                    code=item.code,
                    reason=item.reason,
                )
