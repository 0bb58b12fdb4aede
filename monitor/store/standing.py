"""The labels that count for predictions, also where several versions of a model predicted one event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from ..domain.labels import is_ambiguous, may_be_ambiguous, may_say_right, same_answer, says_right
from ..domain.records import ConflictKind, EventRef, LabelRow, PredictionRow
from ..domain.settings import Model
from .events import labels_of, predictions_of
from .rows import answer_given, label_value, usable

Scope = str | None
"""The version that a label is about; None for labels about every version."""


def scope_of(model: Model, label: LabelRow) -> Scope:
    """Return the version that a label is about: one that may say whether an answer was right is about the version it names."""
    if model.task == "confidence" and label.version and may_say_right(label_value(label)):
        return label.version
    return None


def same_event(model: Model, one: LabelRow, other: LabelRow) -> bool:
    """Return whether two labels of one event are equal apart from their receipt, and from versions that they are not about."""
    return one.same_content(other) and scope_of(model, one) == scope_of(model, other)


def objection(model: Model, stands: LabelRow | None, label: LabelRow) -> ConflictKind | None:
    """Return the kind of conflict that keeps a label from replacing the standing one; None if it may."""
    if not usable(model, label.label):
        return "unusable_label"
    return None if stands is None or label.supersedes else "label"


def objections(model: Model, labels: Iterable[LabelRow]) -> Iterator[tuple[LabelRow, ConflictKind | None]]:
    """Yield the labels of one event, oldest first, with the conflict that keeps each from counting for any version.

    Labels about one version and labels about every version are no conflict: which of them counts is known only with the predictions.
    """
    stands: dict[Scope, LabelRow] = {}
    for label in labels:
        scope = scope_of(model, label)
        conflict = objection(model, stands.get(scope), label)
        if conflict is None:
            stands[scope] = label
        yield label, conflict


def standing(
    model: Model, prediction: PredictionRow, versions: Sequence[PredictionRow], labels: Sequence[LabelRow]
) -> LabelRow | None:
    """Return the label that counts for a prediction: the first usable one that is about it, or the last that supersedes it.

    Parameters
    ----------
    versions : all predictions of the event, which differ by version
    labels : all labels of the event, oldest first

    """
    model = model.as_of(prediction.revision)
    if len(labels) == 1:
        (only,) = labels
        counts = usable(model, only.label) and (
            model.task != "confidence" or is_about(model, only, prediction, versions)
        )
        return only if counts else None
    stands = None
    for label, conflict in objections(model, labels):
        if (
            conflict is None
            and objection(model, stands, label) is None
            and is_about(model, label, prediction, versions)
        ):
            stands = label
    return stands


def is_about_any(model: Model, label: LabelRow, versions: Sequence[PredictionRow]) -> bool:
    """Return whether a label tells something about one of the predictions of its event."""
    return any(is_about(model, label, row, versions) for row in versions)


def is_about(model: Model, label: LabelRow, prediction: PredictionRow, versions: Sequence[PredictionRow]) -> bool:
    """Return whether a label tells something about a prediction.

    The true answer does so for each version. Whether an answer was right does so for the version that the label names, or, where it
    names none, if all versions gave the same answer. One that may do either tells nothing.
    """
    if model.task != "confidence":
        return True
    if is_ambiguous_beside(model, label, prediction):
        return False
    if len(versions) == 1 and not label.version:
        return True
    answer = answer_given(prediction)
    if not says_right(answer, label_value(label)):
        return True
    if label.version:
        return label.version == prediction.version
    return all(same_answer(answer, answer_given(other)) for other in versions)


def is_ambiguous_beside(model: Model, label: LabelRow, prediction: PredictionRow) -> bool:
    """Return whether a label may say that the answer of a prediction was right, or which answer is."""
    value = label_value(label)
    # Most labels are ambiguous beside no answer, which then need not be decoded.
    return (
        model.as_of(prediction.revision).rules > 0
        and may_be_ambiguous(value)
        and is_ambiguous(answer_given(prediction), value)
    )


def standing_labels(
    connection: Connection, model: Model, predictions: Sequence[PredictionRow]
) -> list[LabelRow | None]:
    """Return the labels that count for predictions of a model, in their order."""
    keys = [row.key for row in predictions]
    labels = labels_of(connection, keys)
    versions = _versions(connection, model, keys)
    return [
        standing(model, row, versions.get(row.ref, (row,)), labels[row.ref]) if row.ref in labels else None
        for row in predictions
    ]


def _versions(connection: Connection, model: Model, keys: Sequence[int]) -> Mapping[EventRef, Sequence[PredictionRow]]:
    """Return all predictions under these keys; none where labels count for every version whatever the others said."""
    return predictions_of(connection, keys) if model.task == "confidence" else {}
