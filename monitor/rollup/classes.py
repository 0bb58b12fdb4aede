"""Sums of single classes with thresholds of their own, which wait for their sequential tests.

A class is a binary question, "is it this one?", whose confidence is the class's part of the vector. Its sums are those of such events, in
the place of a segment that is named after the class; they are kept only while they wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..domain.records import LabelRow, PredictionRow
from ..domain.settings import CLASS, Model, Revision
from ..stats.entries import Entries, Scored, binary_losses, joined, negated, of_arrivals, of_counts, of_outcomes
from ..stats.summary import MAX_CLASSES
from ..store.payload import vectors_of
from ..store.rows import truth_index
from .join import Change

Revisions = Mapping[tuple[int, int], Revision]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfClass:
    """The events of a batch that add to the sums of one class."""

    segment: str  # `class=NAME`
    events: frozenset[int]  # positions of their changes
    entries: Entries  # rows are these positions


def sums_of_classes(changes: Sequence[Change], models: Mapping[int, Model], revisions: Revisions) -> Iterator[OfClass]:
    """Yield what changes add to each class that had a threshold when their events came.

    Parameters
    ----------
    models : by id
    revisions : by model and number

    """
    asked: dict[str, list[int]] = {}
    for i, change in enumerate(changes):
        row = change.row
        for name in (
            ()
            if row.reference or row.is_of_other_version
            else classes_of(models[row.model_id].as_of(row.revision), revisions[row.model_id, row.revision])
        ):
            asked.setdefault(name, []).append(i)
    for name, events in asked.items():
        yield OfClass(segment=CLASS + name, events=frozenset(events), entries=_entries(name, events, changes, models))


def classes_of(model: Model, revision: Revision) -> Sequence[str]:
    """Return the classes of a model that are summed apart; events have no others, and models with more classes than are summed none."""
    if model.task != "multiclass" or model.classes is None or len(model.classes) > MAX_CLASSES:
        return ()
    return [name for name in revision.classes if name in model.classes]


def _entries(name: str, events: Sequence[int], changes: Sequence[Change], models: Mapping[int, Model]) -> Entries:
    of_model = {
        number: model.classes.index(name)
        for number, model in models.items()
        if model.classes is not None and name in model.classes
    }
    p = {i: vectors_of(changes[i].row, models[changes[i].row.model_id].classes)[0] for i in events}
    confidences = {i: vector[of_model[changes[i].row.model_id]] for i, vector in p.items()}
    fresh = [i for i in events if changes[i].fresh]
    parts = [of_counts(fresh, "events"), _arrived(fresh, confidences)] if fresh else []
    for sign in ("after", "before"):
        labels: list[tuple[int, PredictionRow, LabelRow]] = [
            (i, changes[i].row, label) for i in events if (label := getattr(changes[i], sign)) is not None
        ]
        if labels:
            told = _labelled(labels, confidences, of_model, models)
            parts += told if sign == "after" else map(negated, told)
    return joined(parts)


def _arrived(fresh: Sequence[int], confidences: Mapping[int, float]) -> Entries:
    return of_arrivals(fresh, ["both"] * len(fresh), [confidences[i] for i in fresh])


def _labelled(
    labels: Sequence[tuple[int, PredictionRow, LabelRow]],
    confidences: Mapping[int, float],
    index_of: Mapping[int, int],
    models: Mapping[int, Model],
) -> list[Entries]:
    scored = []
    for i, row, label in labels:
        truth = truth_index(models[row.model_id], row, label.label)
        if truth is not None:
            p, y = confidences[i], int(truth == index_of[row.model_id])
            scored.append(Scored(i, False, "both", p, y, *binary_losses(p, y)))
    return [of_counts([i for i, _, _ in labels], "labels"), of_outcomes(scored)]
