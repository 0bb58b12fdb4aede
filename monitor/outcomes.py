"""What a stored prediction says, and what a label makes of it."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from monitor.errors import Corrupt
from monitor.records import Model, PredictionRow
from monitor.stats.entries import binary_losses, softmax, top, vector_losses
from monitor.stats.summary import Kind
from monitor.wire import PredictionEvent, binary_outcome, class_index, was_right

Score = tuple[Kind, float]
"""A kind of score and its confidence."""

Judged = tuple[Kind, float, int, float, bool, float]
"""A score with its outcome: kind, confidence, y, log loss, whether that was clipped, Brier score."""

Vector = list[float] | dict[str, float]

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder()


def confidences(event: PredictionEvent, classes: Sequence[str] | None) -> tuple[float, float | None, bytes | None]:
    """Return served confidence, raw confidence and the payload to keep of a prediction event."""
    kept: dict[str, Any] = {} if event.metadata is None else {"metadata": event.metadata}
    if event.probability is not None:
        return event.probability, event.raw_probability, _encoder.encode(kept) if kept else None
    if event.confidence is not None:
        kept["answer"] = event.prediction
        return event.confidence, event.raw_confidence, _encoder.encode(kept)
    served, raw = _vectors_sent(event)
    kept |= served if raw is None else {**served, "raw": raw}
    p = max(_vector(kept, classes))
    return p, None if raw is None else max(in_order(raw, classes)), _encoder.encode(kept)


def _vectors_sent(event: PredictionEvent) -> tuple[dict[str, Vector], Vector | None]:
    if event.logits is not None:
        return {"logits": event.logits}, None
    if event.probabilities is None:
        raise Corrupt("a prediction event carries no score")
    return {"vector": event.probabilities}, event.raw_probabilities


def in_order(values: Vector, classes: Sequence[str] | None) -> list[float]:
    """Return a vector, sent as an array or by class, in the order of the classes."""
    return [values[name] for name in classes or ()] if isinstance(values, dict) else values


def payload_of(row: PredictionRow) -> dict[str, Any]:
    """Return what is kept of a prediction beyond its confidence."""
    kept: dict[str, Any] = {} if row.payload is None else _decoder.decode(row.payload)
    return kept


def _vector(kept: dict[str, Any], classes: Sequence[str] | None) -> list[float]:
    if "logits" in kept:
        return softmax(in_order(kept["logits"], classes))
    return in_order(kept["vector"], classes)


def vectors_of(row: PredictionRow, classes: Sequence[str] | None) -> tuple[list[float], list[float]]:
    """Return the served and the raw vector of a multiclass prediction."""
    kept = payload_of(row)
    served = _vector(kept, classes)
    return served, in_order(kept["raw"], classes) if "raw" in kept else served


def scores_of(row: PredictionRow) -> list[Score]:
    """Return the scores of a prediction: one, or the served and the raw one."""
    return [("both", row.p)] if row.raw is None else [("served", row.p), ("raw", row.raw)]


def usable(model: Model, row: PredictionRow, label: str) -> bool:
    """Return whether a label says something about a prediction: whether it is one of the model's classes."""
    return bool(_JUDGES[model.task or "binary"](model, row, msgspec.json.decode(label)))


def judged(model: Model, row: PredictionRow, label: str) -> list[Judged]:
    """Return the prediction's scores with their outcomes; empty for a label that is not one of the classes."""
    return _JUDGES[model.task or "binary"](model, row, msgspec.json.decode(label))


def truth_index(model: Model, label: str) -> int | None:
    """Return the index of the class that a label names."""
    return class_index(msgspec.json.decode(label), model.classes or ())


def _judge_binary(model: Model, row: PredictionRow, label: Any) -> list[Judged]:
    y = binary_outcome(label, model.classes)
    return [] if y is None else [(kind, p, y, *binary_losses(p, y)) for kind, p in scores_of(row)]


def _judge_confidence(_model: Model, row: PredictionRow, label: Any) -> list[Judged]:
    right = was_right(payload_of(row).get("answer"), label)
    if right is None:
        return []
    y = int(right)
    return [(kind, p, y, *binary_losses(p, y)) for kind, p in scores_of(row)]


def _judge_multiclass(model: Model, row: PredictionRow, label: Any) -> list[Judged]:
    truth = class_index(label, model.classes or ())
    if truth is None:
        return []
    served, raw = vectors_of(row, model.classes)
    return [_judge_vector(kind, p, raw if kind == "raw" else served, truth) for kind, p in scores_of(row)]


def _judge_vector(kind: Kind, p: float, vector: list[float], truth: int) -> Judged:
    return kind, p, int(top(vector) == truth), *vector_losses(vector, truth)


_JUDGES: Final[dict[str, Callable[[Model, PredictionRow, Any], list[Judged]]]] = {
    "binary": _judge_binary,
    "multiclass": _judge_multiclass,
    "confidence": _judge_confidence,
}
