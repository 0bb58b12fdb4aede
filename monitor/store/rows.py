"""Scores and segments of prediction rows, and their outcomes by label rows."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from ..domain import former_labels
from ..domain.errors import Corrupt
from ..domain.events import LabelValue
from ..domain.labels import amount_of, binary_outcome, class_index, is_undeclared, was_right
from ..domain.records import LabelRow, PredictionRow
from ..domain.settings import Model
from ..stats.entries import binary_losses, top, vector_losses
from ..stats.regression import Measured, of_normal, of_quantiles
from ..stats.summary import MAX_CLASSES, Kind
from ..stats.values import Value, agreement_place, score_place, thousandth
from .payload import Payload, chance_of, payload_of, quantiles_of, vectors_of

Score = tuple[Kind, float]
"""The kind of a score, and its confidence."""

Judged = tuple[Kind, float, int, float, bool, float]
"""A score and its outcome: kind, confidence, y, log loss, whether that was clipped, Brier score."""

_labels: Final[msgspec.json.Decoder[LabelValue]] = msgspec.json.Decoder(LabelValue)


def scores_of(model: Model, row: PredictionRow) -> list[Score]:
    """Return the probabilities of a prediction: one, or the served and the raw one; none for a regression or a score."""
    if model.task == "regression" or is_score(model, row):
        return []
    return [("both", row.p)] if row.raw is None else [("served", row.p), ("raw", row.raw)]


def is_score(model: Model, row: PredictionRow) -> bool:
    """Return whether a prediction has a score on a scale of its own instead of a probability."""
    # A search for the word costs a tenth of decoding, and most payloads do not hold it.
    return (
        model.task == "confidence"
        and row.payload is not None
        and b"score" in row.payload
        and payload_of(row).score is not None
    )


def value_of(model: Model, row: PredictionRow) -> Value | None:
    """Return the value of a prediction that is not a probability as it stands: a score, an agreement or a verbalized confidence.

    None for all others, and for values served by a calibrator, which are probabilities.
    """
    payload = row.payload
    if model.task != "confidence" or row.raw is not None or payload is None:
        return None
    if b"confidence_source" not in payload and b"score" not in payload:
        return None
    sent = payload_of(row)
    if sent.score is not None:
        return "score", score_place(sent.score)
    if sent.samples is not None and sent.agreeing is not None:
        return "agreement", agreement_place(sent.agreeing, sent.samples)
    return ("verbalized", thousandth(row.p)) if sent.confidence_source == "verbalized" else None


def differ_by_version_only(one: PredictionRow, other: PredictionRow) -> bool:
    """Return whether two predictions of one event are equal in all that was sent but the model's version."""
    return _sent(one) == _sent(other)


def _sent(row: PredictionRow) -> tuple[object, ...]:
    segments = None if row.segments is None else msgspec.json.decode(row.segments)
    return row.at, row.calibrator, segments, row.cluster, row.p, row.raw, payload_of(row), row.reference


OWN_SEGMENTS: Final = ("confidence_source", "samples")
"""Fields of an event that may be declared as segments; a segment sent under the same name takes precedence."""


def segments_of(row: PredictionRow, declared: Sequence[str]) -> dict[str, str]:
    """Return the segments of a prediction: those sent, and declared ones that are fields of the event."""
    sent: dict[str, str] = {} if row.segments is None else msgspec.json.decode(row.segments, type=dict[str, str])
    if row.payload is None or b"confidence_source" not in row.payload or not own_segments(tuple(declared)):
        return sent
    return own_values(payload_of(row), own_segments(tuple(declared))) | sent


def own_values(payload: Payload, names: Sequence[str]) -> dict[str, str]:
    """Return the values of the fields that an event has, by name."""
    return {name: str(value) for name in names if (value := getattr(payload, name)) is not None}


@lru_cache(maxsize=256)
def own_segments(declared: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fields of an event that are declared as segments, alone or in a pair."""
    keys = {key for segment in declared for key in segment.split(",")}
    return tuple(name for name in OWN_SEGMENTS if name in keys)


def answer_of(model: Model, row: PredictionRow) -> int | None:
    """Return the index of the class with the largest raw score; None for models whose classes are not counted."""
    classes = model.as_of(row.revision).classes
    if model.task != "multiclass" or classes is None or len(classes) > MAX_CLASSES:
        return None
    return top(vectors_of(row, model.classes)[1])


def amount(label: str) -> float | None:
    """Return the number that a label of a regression states, or None."""
    return amount_of(_decoded(label))


def usable(model: Model, label: str) -> bool:
    """Return whether a label is valid for a model; any label is while the task is unknown."""
    if model.task is None or model.task == "confidence":
        return True
    if model.task == "regression":
        return _amount(model, label) is not None
    return _truth(model, label) is not None


def _amount(model: Model, label: str) -> float | None:
    """Return the number that a label states under a model's rules; text stated none under the former ones."""
    value = _decoded(label)
    return None if isinstance(value, str) and not model.rules else amount_of(value)


def judged(model: Model, row: PredictionRow, label: str) -> list[Judged]:
    """Return the scores of a prediction with their outcomes; empty for a label outside the classes, and for a regression."""
    if model.task == "regression":
        return []
    if model.task == "multiclass":
        if is_undeclared_label(model, row, label):
            return [(kind, p, 0, 0.0, False, 0.0) for kind, p in scores_of(model, row)]
        return _judged_vectors(model, row, truth_index(model, row, label))
    y = _outcome(model, row, label)
    if y is None or is_score(model, row):
        return []
    if row.raw is None:
        return [("both", row.p, y, *binary_losses(row.p, y))]
    return [("served", row.p, y, *binary_losses(row.p, y)), ("raw", row.raw, y, *binary_losses(row.raw, y))]


def measured(model: Model, row: PredictionRow, label: str) -> Measured | None:
    """Return the errors of a regression's predictive distribution against a label; None for other models."""
    y = _amount(model.as_of(row.revision), label) if model.task == "regression" else None
    if y is None:
        return None
    sent = payload_of(row)
    if sent.quantiles is not None:
        return of_quantiles(*quantiles_of(sent.quantiles), y, chance=chance_of(row))
    if sent.mean is None or sent.std is None:
        raise Corrupt(f"event {row.event_id} of a regression has no predictive distribution")
    return of_normal(sent.mean, sent.std, y)


def outcome(model: Model, row: PredictionRow, label: str) -> int | None:
    """Return whether the event of the served probability happened; None for a score or an unusable label."""
    if is_score(model, row):
        return None
    if model.task in {"binary", "confidence"}:
        return _outcome(model, row, label)
    truth = truth_index(model, row, label) if model.task == "multiclass" else None
    return None if truth is None else int(top(vectors_of(row, model.classes)[0]) == truth)


def answered(model: Model, row: PredictionRow, label: str) -> int | None:
    """Return whether an answer was right, also one with a score; None for models without answers."""
    return _outcome(model, row, label) if model.task == "confidence" else None


def label_value(label: LabelRow) -> LabelValue:
    """Return the value of a label, as it was sent."""
    return _decoded(label.label)


def truth_index(model: Model, row: PredictionRow, label: str) -> int | None:
    """Return the index of the class of a label of a prediction, as labels were read when it was summed."""
    truth = _truth(model.as_of(row.revision), label)
    return None if truth == UNDECLARED else truth


def is_undeclared_label(model: Model, row: PredictionRow, label: str) -> bool:
    """Return whether the label of a prediction names a class that had never been declared: it is wrong, whatever the answer was."""
    return model.task == "multiclass" and _truth(model.as_of(row.revision), label) == UNDECLARED


UNDECLARED: Final = -1
"""The index of a class that was never declared."""


def _outcome(model: Model, row: PredictionRow, label: str) -> int | None:
    if model.task == "confidence":
        right = _RIGHT[model.as_of(row.revision).rules](answer_given(row), _decoded(label))
        return None if right is None else int(right)
    return _truth(model.as_of(row.revision), label)


def answer_given(row: PredictionRow) -> str | float:
    """Return the answer of a prediction with a confidence.

    Raises
    ------
    Corrupt
        when it has none.

    """
    answer = payload_of(row).answer
    if answer is None:
        raise Corrupt(f"event {row.event_id} of a model of confidences has no answer")
    return answer


def _judged_vectors(model: Model, row: PredictionRow, truth: int | None) -> list[Judged]:
    if truth is None:
        return []
    served, raw = vectors_of(row, model.classes)
    return [_judged_vector(kind, p, raw if kind == "raw" else served, truth) for kind, p in scores_of(model, row)]


def _judged_vector(kind: Kind, p: float, vector: list[float], truth: int) -> Judged:
    return kind, p, int(top(vector) == truth), *vector_losses(vector, truth)


@lru_cache(maxsize=4096)
def _decoded(label: str) -> LabelValue:
    return _labels.decode(label)


def _truth(model: Model, label: str) -> int | None:
    """Return the index of the class of a label among a model's classes, or UNDECLARED; of a binary model, 1 is the positive class."""
    return _read(model.rules, model.task, model.classes, model.ordered, label)


@lru_cache(maxsize=4096)
def _read(rules: int, task: str | None, classes: tuple[str, ...] | None, ordered: bool, label: str) -> int | None:  # noqa: FBT001 - local
    value = _decoded(label)
    if task == "binary":
        return (binary_outcome if rules else former_labels.binary_outcome)(value, classes)
    if not rules:
        return former_labels.class_index(value, classes or ())
    index = class_index(value, classes or (), ordered=ordered)
    return UNDECLARED if index is None and classes and is_undeclared(value, classes, ordered=ordered) else index


_RIGHT: Final = (former_labels.was_right, was_right)
"""Whether an answer was right, by the number of the rules that its label is read by."""
