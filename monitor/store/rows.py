"""Scores and segments of prediction rows, and their outcomes by label rows."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from ..domain.errors import Corrupt
from ..domain.events import LabelValue
from ..domain.labels import amount_of, binary_outcome, class_index, was_right
from ..domain.records import ConflictKind, LabelRow, PredictionRow
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
    """Return the scores of a prediction that are probabilities: one, or the served and the raw one, or none."""
    if model.task == "regression" or is_score(model, row):
        return []
    return [("both", row.p)] if row.raw is None else [("served", row.p), ("raw", row.raw)]


def is_score(model: Model, row: PredictionRow) -> bool:
    """Return whether a prediction says how sure the model was on a scale of its own, and no probability."""
    # Most payloads are told apart by a search for the word, at a tenth of the cost of reading them.
    return (
        model.task == "confidence"
        and row.payload is not None
        and b"score" in row.payload
        and payload_of(row).score is not None
    )


def value_of(model: Model, row: PredictionRow) -> Value | None:
    """Return the value of a prediction that can't be taken at its word.

    None for all others, and where a calibrator made what was served: that is a probability.
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


OWN_SEGMENTS: Final = ("confidence_source", "samples")

"""Fields of an event that may be declared as segments; a segment that the event itself names so comes first."""


def segments_of(row: PredictionRow, declared: Sequence[str]) -> dict[str, str]:
    """Return the segments of a prediction: those that were sent, and declared ones that are fields of its own."""
    sent: dict[str, str] = {} if row.segments is None else msgspec.json.decode(row.segments, type=dict[str, str])
    if row.payload is None or b"confidence_source" not in row.payload or not own_segments(tuple(declared)):
        return sent
    return own_values(payload_of(row), own_segments(tuple(declared))) | sent


def own_values(payload: Payload, names: Sequence[str]) -> dict[str, str]:
    """Return the values of those of an event's own fields that it has."""
    return {name: str(value) for name in names if (value := getattr(payload, name)) is not None}


@lru_cache(maxsize=256)
def own_segments(declared: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of an event's own fields are declared as segments, alone or in a pair."""
    keys = {key for each in declared for key in each.split(",")}
    return tuple(name for name in OWN_SEGMENTS if name in keys)


def answer_of(model: Model, row: PredictionRow) -> int | None:
    """Return the class that a prediction's raw scores name, by its index; None of models whose classes are not counted."""
    if model.task != "multiclass" or model.classes is None or len(model.classes) > MAX_CLASSES:
        return None
    return top(vectors_of(row, model.classes)[1])


def amount(label: str) -> float | None:
    """Return the number that a label of a regression states, or None."""
    return amount_of(_decoded(label))


def usable(model: Model, label: str) -> bool:
    """Return whether a label says something about a model's predictions; while its task is open, any label may."""
    if model.task is None or model.task == "confidence":
        return True
    if model.task == "regression":
        return amount_of(_decoded(label)) is not None
    return _truth(model.task, model.classes, label) is not None


def objection(model: Model, standing_now: LabelRow | None, row: LabelRow) -> ConflictKind | None:
    """Return why a label can't take the place of the one that stands, as a kind of conflict; None where it can."""
    if not usable(model, row.label):
        return "unusable_label"
    return None if standing_now is None or row.supersedes else "label"


def standing(model: Model, labels: Sequence[LabelRow]) -> LabelRow | None:
    """Return which of an event's labels counts: the first usable one, until one that supersedes it."""
    found = None
    for row in labels:
        if objection(model, found, row) is None:
            found = row
    return found


def judged(model: Model, row: PredictionRow, label: str) -> list[Judged]:
    """Return the prediction's scores with their outcomes; empty for a label that is not one of the classes, and of a regression."""
    if model.task == "regression":
        return []
    if model.task == "multiclass":
        return _judged_vectors(model, row, _truth(model.task, model.classes, label))
    y = _outcome(model, row, label)
    if y is None or is_score(model, row):
        return []
    if row.raw is None:
        return [("both", row.p, y, *binary_losses(row.p, y))]
    return [("served", row.p, y, *binary_losses(row.p, y)), ("raw", row.raw, y, *binary_losses(row.raw, y))]


def measured(model: Model, row: PredictionRow, label: str) -> Measured | None:
    """Return what a label says about the predictive distribution of a regression; None of other models."""
    y = amount_of(_decoded(label)) if model.task == "regression" else None
    if y is None:
        return None
    sent = payload_of(row)
    if sent.quantiles is not None:
        return of_quantiles(*quantiles_of(sent.quantiles), y, chance=chance_of(row))
    if sent.mean is None or sent.std is None:
        raise Corrupt(f"event {row.event_id} of a regression has no predictive distribution")
    return of_normal(sent.mean, sent.std, y)


def outcome(model: Model, row: PredictionRow, label: str) -> int | None:
    """Return whether what the served confidence is of came true; None where it is no probability, or nothing can be said."""
    if is_score(model, row):
        return None
    if model.task in {"binary", "confidence"}:
        return _outcome(model, row, label)
    truth = _truth(model.task, model.classes, label) if model.task == "multiclass" else None
    return None if truth is None else int(top(vectors_of(row, model.classes)[0]) == truth)


def answered(model: Model, row: PredictionRow, label: str) -> int | None:
    """Return whether the answer of a model of confidences was right, whatever says how sure it was; None of other models."""
    return _outcome(model, row, label) if model.task == "confidence" else None


def truth_index(model: Model, label: str) -> int | None:
    """Return the index of the class that a label names."""
    return _truth("multiclass", model.classes, label)


def _outcome(model: Model, row: PredictionRow, label: str) -> int | None:
    if model.task == "confidence":
        return int(was_right(_answer(row), _decoded(label)))
    return _truth("binary", model.classes, label)


def _answer(row: PredictionRow) -> str | float:
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


@lru_cache(maxsize=4096)
def _truth(task: str, classes: tuple[str, ...] | None, label: str) -> int | None:
    """Return the place that a label names among the classes: of binary ones, 1 is the positive class."""
    value = _decoded(label)
    return binary_outcome(value, classes) if task == "binary" else class_index(value, classes or ())
