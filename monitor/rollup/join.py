"""Join predictions and labels in their order of receipt: new rows, repeats, conflicts, and changes of the sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from ..domain.events import LabelValue
from ..domain.records import ConflictKind, ConflictRow, EventRef, LabelRow, PredictionRow
from ..domain.settings import Model
from ..store.payload import as_sent
from ..store.rows import differ_by_version_only, usable
from ..store.standing import is_about_any, is_ambiguous_beside, objection, objections, same_event, standing
from .alone import alone

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

_Before = dict[str, LabelRow | None]

"""The versions whose predictions of an event were stored before the batch, and their labels in the sums then."""


class _Join:
    """One batch and the stored rows of its events, to which the batch is added row by row."""

    def __init__(
        self,
        predictions: dict[EventRef, list[PredictionRow]],
        labels: dict[EventRef, list[LabelRow]],
        models: Mapping[int, Model],
    ) -> None:
        self.predictions = predictions
        self.labels = labels
        self.models = models
        self.result = Joined()
        self.before: dict[EventRef, _Before] = {}
        self.alone: dict[EventRef, Change] = {}

    def summed(self, row: PredictionRow) -> LabelRow | None:
        """Return the label of a prediction in the sums; None without a usable one."""
        labels = self.labels.get(row.ref)
        return standing(self.models[row.model_id], row, self.predictions[row.ref], labels) if labels else None

    def touch(self, ref: EventRef) -> None:
        if ref not in self.before:
            self.before[ref] = {row.version: self.summed(row) for row in self.predictions.get(ref, ())}

    def take_prediction(self, row: PredictionRow) -> None:
        versions = self.predictions.get(row.ref, ())
        known = next((known for known in versions if known.version == row.version), None)
        if known is not None:
            self.take_known(row, is_repeat=known.digest == row.digest)
        elif versions and not (row.version and all(other.version for other in versions)):
            self.take_known(row, is_repeat=any(differ_by_version_only(row, other) for other in versions))
        else:
            self.add_prediction(row)

    def take_known(self, row: PredictionRow, *, is_repeat: bool) -> None:
        """Pass over a prediction of an event that is stored, as a repeat or a conflict.

        A prediction that names no version may be of any, so that it never counts beside another one.
        """
        if is_repeat:
            self.result.duplicates += 1
        else:
            served, raw = as_sent(row)
            content = PassedOverPrediction(timestamp=row.at, model_version=row.version, served=served, raw=raw)
            self.refuse(row, "prediction", content)

    def add_prediction(self, row: PredictionRow) -> None:
        self.touch(row.ref)
        self.result.predictions.append(row)
        versions = self.predictions.setdefault(row.ref, [])
        labels = self.labels.get(row.ref)
        clear = self.clear_labels(row.ref) if labels else []
        versions.append(row)
        if labels and len(versions) == 1:
            self.refuse_passed_over(row.ref)
        elif labels and not row.reference and all(other.reference for other in versions[:-1]):
            self.result.waited += clear  # the first version that is traffic: its labels move the model's time
        for label in clear:
            self.report(label, self.ambiguity(label))

    def clear_labels(self, ref: EventRef) -> list[LabelRow]:
        stored = objections(self.models[ref[0]], self.labels[ref])
        return [label for label, conflict in stored if conflict is None and self.is_clear(label)]

    def is_clear(self, label: LabelRow) -> bool:
        """Return whether a label is about one of the versions that predicted its event, or may yet be about another."""
        model = self.models[label.model_id]
        if model.task != "confidence":
            return True
        versions = self.predictions.get(label.ref, ())
        named = [row for row in versions if row.version == label.version] if label.version else versions
        return not named or is_about_any(model, label, named)

    def ambiguity(self, label: LabelRow) -> ConflictKind | None:
        """Return why a label counts for none of the versions that predicted its event; None where it may count for one."""
        model = self.models[label.model_id]
        versions = self.predictions.get(label.ref, ())
        if versions and not any(usable(model.as_of(row.revision), label.label) for row in versions):
            return "unusable_label"
        if self.is_clear(label):
            return None
        is_truth = all(is_ambiguous_beside(model, label, row) for row in self.predictions[label.ref])
        return "right_or_answer" if is_truth else "ambiguous_label"

    def refuse_passed_over(self, ref: EventRef) -> None:
        """Report waiting labels that do not count: those of a model without a task can only be checked now."""
        for label, conflict in objections(self.models[ref[0]], self.labels[ref]):
            if conflict is None:
                self.result.waited.append(label)
            self.report(label, conflict)

    def take_label(self, row: LabelRow) -> None:
        ref = row.ref
        rows = self.labels.get(ref)
        model = self.models[row.model_id]
        if rows and any(same_event(model, row, known) for known in rows):
            self.result.duplicates += 1
            return
        conflict = None
        if model.task is not None:
            conflict = self.last_objection(model, [*rows, row]) if rows else objection(model, None, row)
        if conflict is None:
            self.touch(ref)
            self.labels.setdefault(ref, []).append(row)
            self.result.labels.append(row)
            conflict = self.ambiguity(row)
        self.report(row, conflict)

    @staticmethod
    def last_objection(model: Model, labels: Sequence[LabelRow]) -> ConflictKind | None:
        *_, (_, conflict) = objections(model, labels)
        return conflict

    def report(self, label: LabelRow, conflict: ConflictKind | None) -> None:
        if conflict is not None:
            self.refuse(label, conflict, _content(label))

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

    def take_alone(self, row: Arrival) -> None:
        """Take a prediction or a label of an event that stands alone; the other of the two may have come before."""
        ref = row.ref
        change, label = self.alone.get(ref), next(iter(self.labels.get(ref, ())), None)
        if isinstance(row, PredictionRow):
            self.result.predictions.append(row)
            self.predictions[ref] = [row]
            change = self.alone[ref] = Change(row, fresh=True, before=None, after=None)
        elif usable(self.models[row.model_id], row.label):
            self.result.labels.append(row)
            self.labels[ref] = [row]
            label = row
        else:
            self.report(row, "unusable_label")
            return
        if change is not None and label is not None:
            if usable(self.models[row.model_id].as_of(change.row.revision), label.label):
                change.after = label
            else:
                self.report(label, "unusable_label")

    def changes(self) -> list[Change]:
        changes = list(self.alone.values())
        for ref, before in self.before.items():
            for row in self.predictions.get(ref, ()):
                is_fresh, counted = row.version not in before, before.get(row.version)
                after = self.summed(row)
                if is_fresh or after is not counted:
                    changes.append(Change(row, is_fresh, counted, after))
        return changes


def _content(row: LabelRow) -> PassedOverLabel:
    return PassedOverLabel(label=msgspec.json.decode(row.label, type=LabelValue), timestamp=row.at, source=row.source)


def join(
    arrivals: Sequence[Arrival],
    predictions: dict[EventRef, list[PredictionRow]],
    labels: dict[EventRef, list[LabelRow]],
    models: Mapping[int, Model],
) -> Joined:
    """Return the result of joining a batch with the stored rows of its events.

    The first prediction of an id by each version stands. The first usable label stands until one supersedes it. An event equal to a
    stored row is a repeat; one that differs is a conflict.
    """
    apart = alone(arrivals, (predictions, labels), models)
    state = _Join(predictions, labels, models)
    for row in arrivals:
        if row.ref in apart:
            state.take_alone(row)
        elif isinstance(row, PredictionRow):
            state.take_prediction(row)
        else:
            state.take_label(row)
    state.result.changes = state.changes()
    return state.result
