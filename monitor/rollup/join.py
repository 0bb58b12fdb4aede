"""Join predictions and labels in their order of receipt: new rows, repeats, conflicts, and changes of the sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from ..domain.events import LabelValue
from ..domain.records import ConflictKind, ConflictRow, EventRef, LabelRow, PredictionRow
from ..domain.settings import Model
from ..store.rows import objection, standing

Arrival = PredictionRow | LabelRow


@dataclass(slots=True)
class Change:
    """The change of one prediction by a batch."""

    row: PredictionRow
    fresh: bool  # the prediction itself is new
    before: LabelRow | None  # its label in the sums so far
    after: LabelRow | None  # its label in the sums from now on


@dataclass(slots=True)
class Joined:
    """The result of joining a batch."""

    predictions: list[PredictionRow] = field(default_factory=list)  # new rows
    labels: list[LabelRow] = field(default_factory=list)  # new rows
    waited: list[LabelRow] = field(default_factory=list)  # stored labels that count for a new prediction
    conflicts: list[ConflictRow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    duplicates: int = 0


class PassedOverPrediction(Struct, frozen=True, kw_only=True):
    """What is kept of a prediction that conflicts with the stored one."""

    timestamp: int
    model_version: str
    served: float
    raw: float | None


class PassedOverLabel(Struct, frozen=True, kw_only=True):
    """What is kept of a label that conflicts with the standing one, or is none of its model's."""

    label: LabelValue
    timestamp: int | None
    source: str | None


PassedOver = PassedOverPrediction | PassedOverLabel

_Before = tuple[bool, LabelRow | None]

"""Whether an event's prediction was stored before the batch, and its label in the sums then."""


class _Join:
    """One batch and the stored rows of its events, to which the batch is added row by row."""

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
        self.before: dict[EventRef, _Before] = {}

    def summed(self, ref: EventRef) -> LabelRow | None:
        """Return the label of a prediction in the sums; None without a prediction or a usable label."""
        rows = self.labels.get(ref)
        return standing(self.models[ref[0]], rows) if rows and ref in self.predictions else None

    def touch(self, ref: EventRef) -> None:
        if ref not in self.before:
            self.before[ref] = ref in self.predictions, self.summed(ref)

    def take_prediction(self, row: PredictionRow) -> None:
        ref = row.ref
        known = self.predictions.get(ref)
        if known is None:
            self.touch(ref)
            self.predictions[ref] = row
            self.result.predictions.append(row)
            self.refuse_passed_over(ref)
        elif known.digest == row.digest:
            self.result.duplicates += 1
        else:
            content = PassedOverPrediction(timestamp=row.at, model_version=row.version, served=row.p, raw=row.raw)
            self.refuse(row, "prediction", content)

    def refuse_passed_over(self, ref: EventRef) -> None:
        """Report waiting labels that do not count: those of a model without a task can only be checked now."""
        counts = None
        for row in self.labels.get(ref, ()):
            conflict = objection(self.models[ref[0]], counts, row)
            if conflict is None:
                counts = row
                self.result.waited.append(row)
            else:
                self.refuse(row, conflict, _content(row))

    def take_label(self, row: LabelRow) -> None:
        ref = row.ref
        rows = self.labels.get(ref, ())
        model = self.models[row.model_id]
        if rows and any(row.same_event(known) for known in rows):
            self.result.duplicates += 1
        elif model.task is not None and (conflict := objection(model, standing(model, rows), row)):
            self.refuse(row, conflict, _content(row))
        else:
            self.touch(ref)
            self.labels.setdefault(ref, []).append(row)
            self.result.labels.append(row)

    def refuse(self, row: Arrival, kind: ConflictKind, content: PassedOver) -> None:
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
        changes = []
        for ref, (stored, before) in self.before.items():
            row = self.predictions.get(ref)
            after = self.summed(ref)
            if row is not None and (not stored or after is not before):
                changes.append(Change(row, not stored, before, after))
        return changes


def _content(row: LabelRow) -> PassedOverLabel:
    return PassedOverLabel(label=msgspec.json.decode(row.label, type=LabelValue), timestamp=row.at, source=row.source)


def join(
    arrivals: Sequence[Arrival],
    predictions: dict[EventRef, PredictionRow],
    labels: dict[EventRef, list[LabelRow]],
    models: Mapping[int, Model],
) -> Joined:
    """Return the result of joining a batch with the stored rows of its events.

    The first prediction of an id stands. The first usable label stands until one supersedes it. An event equal to a stored
    row is a repeat; one that differs is a conflict.
    """
    state = _Join(predictions, labels, models)
    for row in arrivals:
        if isinstance(row, PredictionRow):
            state.take_prediction(row)
        else:
            state.take_label(row)
    state.result.changes = state.changes()
    return state.result
