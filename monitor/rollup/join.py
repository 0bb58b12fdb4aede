"""Join predictions and labels: who came first, what repeats, what conflicts, what changes in the sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ..domain.records import ConflictKind, ConflictRow, LabelRow, PredictionRow
from ..domain.settings import Model
from ..store.rows import objection, standing

EventRef = tuple[int, str]
Arrival = PredictionRow | LabelRow


@dataclass(slots=True)
class Change:
    """What a batch changed about one prediction."""

    row: PredictionRow
    fresh: bool  # the prediction itself is new
    before: LabelRow | None  # the label it was summed with
    after: LabelRow | None  # the label it is to be summed with


@dataclass(slots=True)
class Joined:
    """What a batch amounts to."""

    predictions: list[PredictionRow] = field(default_factory=list)  # new rows
    labels: list[LabelRow] = field(default_factory=list)  # new rows
    waited: list[LabelRow] = field(default_factory=list)  # that count, and came before their new predictions
    conflicts: list[ConflictRow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    duplicates: int = 0


class _Join:
    """One batch against what is stored; the known rows are extended as the batch goes."""

    def __init__(
        self,
        predictions: dict[EventRef, PredictionRow],
        labels: dict[EventRef, list[LabelRow]],
        models: Mapping[int, Model],
    ) -> None:
        self.predictions = predictions
        self.labels = labels
        self.models = models
        self.result = Joined()
        self.before: dict[EventRef, tuple[bool, LabelRow | None]] = {}  # touched -> (was it stored, its label then)

    def summed(self, ref: EventRef) -> LabelRow | None:
        """Return the label that a prediction is summed with; None where one of the two is not there."""
        rows = self.labels.get(ref)
        return standing(self.models[ref[0]], rows) if rows and ref in self.predictions else None

    def touch(self, ref: EventRef) -> None:
        if ref not in self.before:
            self.before[ref] = ref in self.predictions, self.summed(ref)

    def take_prediction(self, row: PredictionRow) -> None:
        ref = (row.model_id, row.event_id)
        known = self.predictions.get(ref)
        if known is None:
            self.touch(ref)
            self.predictions[ref] = row
            self.result.predictions.append(row)
            self.refuse_passed_over(ref)
        elif known.digest == row.digest:
            self.result.duplicates += 1
        else:
            content = {"timestamp": row.at, "model_version": row.version, "served": row.p, "raw": row.raw}
            self.refuse(row, "prediction", content)

    def refuse_passed_over(self, ref: EventRef) -> None:
        """Report waiting labels that don't count after all: those of a model without a task can be judged only now."""
        found = None
        for row in self.labels.get(ref, ()):
            kind = objection(self.models[ref[0]], found, row)
            if kind is None:
                found = row
                self.result.waited.append(row)
            else:
                self.refuse(row, kind, _content(row))

    def take_label(self, row: LabelRow) -> None:
        ref = (row.model_id, row.event_id)
        rows = self.labels.get(ref, ())
        model = self.models[row.model_id]
        if rows and any(row.same_event(known) for known in rows):
            self.result.duplicates += 1
        elif model.task is not None and (kind := objection(model, standing(model, rows), row)):
            self.refuse(row, kind, _content(row))
        else:
            self.touch(ref)
            self.labels.setdefault(ref, []).append(row)
            self.result.labels.append(row)

    def refuse(self, row: Arrival, kind: ConflictKind, content: dict[str, object]) -> None:
        self.result.conflicts.append(
            ConflictRow(
                key=row.key,
                model_id=row.model_id,
                event_id=row.event_id,
                kind=kind,
                received_at=row.received_at,
                content=msgspec.json.encode(content).decode(),
            )
        )

    def changes(self) -> list[Change]:
        found = []
        for ref, (stored, before) in self.before.items():
            row = self.predictions.get(ref)
            after = self.summed(ref)
            if row is not None and (not stored or after is not before):
                found.append(Change(row, not stored, before, after))
        return found


def _content(row: LabelRow) -> dict[str, object]:
    return {"label": msgspec.json.decode(row.label), "timestamp": row.at, "source": row.source}


def join(
    arrivals: Sequence[Arrival],
    predictions: dict[EventRef, PredictionRow],
    labels: dict[EventRef, list[LabelRow]],
    models: Mapping[int, Model],
) -> Joined:
    """Return what a batch amounts to, given the stored rows of the events it names.

    The first prediction of an id stands. The first usable label stands until one that supersedes it. What says the same
    as a row that is stored is a repeat; what says something else is a conflict.
    """
    state = _Join(predictions, labels, models)
    for row in arrivals:
        if isinstance(row, PredictionRow):
            state.take_prediction(row)
        else:
            state.take_label(row)
    state.result.changes = state.changes()
    return state.result
