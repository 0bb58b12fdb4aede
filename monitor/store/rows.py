"""Stored events: what a prediction row states, and what a label row makes of it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from ..calibrators.distributions import WHOLE, Distribution
from ..domain.errors import BadInput, Corrupt
from ..domain.events import MAX_AMOUNT, MAX_LEVELS, PredictionEvent, levels_of
from ..domain.labels import amount_of, binary_outcome, class_index, was_right
from ..domain.records import ConflictKind, LabelRow, PredictionRow
from ..domain.settings import Model
from ..stats.entries import binary_losses, softmax, top, vector_losses
from ..stats.regression import Measured, median, of_normal, of_quantiles
from ..stats.summary import MAX_CLASSES, Kind
from ..stats.values import Value, agreement_place, score_place, thousandth

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
    if event.members is not None:
        kept["members"] = event.members
    if event.probability is not None:
        return event.probability, event.raw_probability, _encoder.encode(kept) if kept else None
    if event.confidence is not None or event.score is not None:
        kept |= {"answer": event.prediction, **_sent(event, "confidence_source", "agreeing", "samples", "score")}
        return event.confidence or 0.0, event.raw_confidence, _encoder.encode(kept)
    if event.mean is not None or event.quantiles is not None:
        kept |= _sent(event, "mean", "std", "quantiles", "raw_mean", "raw_std", "raw_quantiles")
        has_raw = "raw_mean" in kept or "raw_quantiles" in kept
        return _location(kept), _location(kept, "raw_") if has_raw else None, _encoder.encode(kept)
    served, raw = _vectors_sent(event)
    kept |= served if raw is None else {**served, "raw": raw}
    vectors = _vector(kept, classes), None if raw is None else in_order(raw, classes)
    for vector in vectors:
        if vector is not None and len(vector) != len(classes or ()):
            raise Corrupt(f"a vector has {len(vector)} values, but its model has {len(classes or ())} classes")
    return max(vectors[0]), None if vectors[1] is None else max(vectors[1]), _encoder.encode(kept)


def _sent(event: PredictionEvent, *fields: str) -> dict[str, Any]:
    return {field: value for field in fields if (value := getattr(event, field)) is not None}


def _location(kept: Mapping[str, Any], whose: str = "") -> float:
    """Return where a predictive distribution lies: its mean, or the median of its quantiles."""
    if f"{whose}quantiles" not in kept:
        return float(kept[f"{whose}mean"])
    return median(*quantiles_of(kept[f"{whose}quantiles"]))


def distributions_of(row: PredictionRow) -> tuple[Distribution, Distribution]:
    """Return the served and the raw predictive distribution of a regression."""
    kept = payload_of(row)
    return _distribution(row, kept, ""), _distribution(row, kept, "" if row.raw is None else "raw_")


def _distribution(row: PredictionRow, kept: Mapping[str, Any], whose: str) -> Distribution:
    if f"{whose}quantiles" not in kept:
        return Distribution((), (kept[f"{whose}mean"], kept[f"{whose}std"]), _chance(row))
    return Distribution(*quantiles_of(kept[f"{whose}quantiles"]), _chance(row))


def payload_of_distributions(row: PredictionRow, served: Distribution, raw: Distribution | None) -> bytes:
    """Return a regression's payload with other distributions in it; None where no calibrator made the served one."""
    fields = ("mean", "std", "quantiles")
    kept = {name: value for name, value in payload_of(row).items() if name.removeprefix("raw_") not in fields}
    return _encoder.encode(kept | fields_of(served) | ({} if raw is None else fields_of(raw, "raw_")))


def amount(label: str) -> float | None:
    """Return the number that a label of a regression says, None where it says none."""
    return amount_of(_decoded(label))


def quantiles_of(sent: dict[str, float]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the levels of quantiles, in thousandths and rising, and their values.

    >>> quantiles_of({"0.9": 3.0, ".1": 1.0})
    ((100, 900), (1.0, 3.0))
    """
    order, levels = _order_of(tuple(sent))
    values = list(sent.values())
    return levels, tuple([values[i] for i in order])


@lru_cache(maxsize=1024)
def _order_of(names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    levels = levels_of(names)
    if levels is None:
        raise Corrupt(f"quantiles by {', '.join(names)} are kept, which are no levels")
    order = sorted(range(len(levels)), key=levels.__getitem__)
    return tuple(order), tuple(levels[i] for i in order)


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
        and "score" in payload_of(row)
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
    kept = payload_of(row)
    if "score" in kept:
        return "score", score_place(kept["score"])
    if "samples" in kept:
        return "agreement", agreement_place(kept["agreeing"], kept["samples"])
    return ("verbalized", thousandth(row.p)) if kept.get("confidence_source") == "verbalized" else None


OWN_SEGMENTS: Final = ("confidence_source", "samples")

"""Fields of an event that may be declared as segments; a segment that the event itself names so comes first."""


def segments_of(row: PredictionRow, declared: Sequence[str]) -> dict[str, str]:
    """Return the segments of a prediction: those that were sent, and declared ones that are fields of its own."""
    sent: dict[str, str] = {} if row.segments is None else msgspec.json.decode(row.segments, type=dict[str, str])
    if row.payload is None or b"confidence_source" not in row.payload or not own_segments(tuple(declared)):
        return sent
    kept = payload_of(row)
    return {name: str(kept[name]) for name in own_segments(tuple(declared)) if name in kept} | sent


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
    kept = payload_of(row)
    if "quantiles" in kept:
        return of_quantiles(*quantiles_of(kept["quantiles"]), y, chance=_chance(row))
    return of_normal(kept["mean"], kept["std"], y)


def _chance(row: PredictionRow) -> float:
    """Return a number in (0, 1] that is the same whenever asked for; the lowest bit of the key chooses the random half."""
    return ((row.key >> 1) + 0.5) / 2**62


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
        return int(was_right(payload_of(row)["answer"], _decoded(label)))
    return _truth("binary", model.classes, label)


def _judged_vectors(model: Model, row: PredictionRow, truth: int | None) -> list[Judged]:
    if truth is None:
        return []
    served, raw = vectors_of(row, model.classes)
    return [_judged_vector(kind, p, raw if kind == "raw" else served, truth) for kind, p in scores_of(model, row)]


def _judged_vector(kind: Kind, p: float, vector: list[float], truth: int) -> Judged:
    return kind, p, int(top(vector) == truth), *vector_losses(vector, truth)


@lru_cache(maxsize=4096)
def _decoded(label: str) -> Any:
    return msgspec.json.decode(label)


@lru_cache(maxsize=4096)
def _truth(task: str, classes: tuple[str, ...] | None, label: str) -> int | None:
    """Return the place that a label names among the classes: of binary ones, 1 is the positive class."""
    value = _decoded(label)
    return binary_outcome(value, classes) if task == "binary" else class_index(value, classes or ())


Fields = dict[str, Any]


def distribution(given: Mapping[str, Any]) -> Distribution:
    """Return the distribution that fields state.

    Raises
    ------
    BadInput
        naming the field that is not usable.

    Examples
    --------
    >>> distribution({"mean": 1, "std": 2.5}).values, distribution({"quantiles": {"0.9": 3, "0.1": 1}}).levels
    ((1.0, 2.5), (100, 900))

    """
    names = set(given)
    if names == {"mean", "std"}:
        values = tuple(_amount(name, given[name]) for name in ("mean", "std"))
        if not values[1] > 0.0:
            raise BadInput("std", given["std"], "must be above 0")
        return Distribution((), values)
    if names != {"quantiles"}:
        raise BadInput("distribution", sorted(names), "must have mean and std, or quantiles, and nothing else")
    return _of_quantiles(given["quantiles"])


def _of_quantiles(quantiles: Any) -> Distribution:
    if not isinstance(quantiles, Mapping) or not 2 <= len(quantiles) <= MAX_LEVELS:  # noqa: PLR2004  one is no distribution
        raise BadInput("quantiles", quantiles, f"must be 2 to {MAX_LEVELS} quantiles by level")
    levels = levels_of(tuple(quantiles)) if all(isinstance(name, str) for name in quantiles) else None
    if levels is None or len(set(levels)) < len(levels):
        raise BadInput(
            "quantiles", list(quantiles), "must have levels in decimals as 0.05, from 0.001 to 0.999, each once"
        )
    found = sorted(zip(levels, (_amount("quantiles", value) for value in quantiles.values()), strict=True))
    try:
        return Distribution(tuple(level for level, _ in found), tuple(value for _, value in found))
    except ValueError as error:
        raise BadInput("quantiles", quantiles, str(error)) from error


def _amount(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_AMOUNT:
        raise BadInput(name, value, f"must be a number between {-MAX_AMOUNT:g} and {MAX_AMOUNT:g}")
    return float(value)


def fields_of(found: Distribution, raw: str = "", named: Mapping[str, Any] | None = None) -> Fields:
    """Return the fields that state a distribution.

    Parameters
    ----------
    raw : put before each field's name: `raw_` for what the model itself said
    named : quantiles whose levels' spelling is to be kept

    Examples
    --------
    >>> fields_of(Distribution((), (1.0, 2.5)), "raw_"), fields_of(Distribution((50, 950), (1.0, 2.0)), named={".05": 0})
    ({'raw_mean': 1.0, 'raw_std': 2.5}, {'quantiles': {'.05': 1.0, '0.95': 2.0}})

    """
    if not found.levels:
        return dict(zip((f"{raw}mean", f"{raw}std"), found.values, strict=True))
    names = tuple(named or ())
    spelled = dict(zip(levels_of(names) or (), names, strict=True))
    levels = (spelled.get(level, f"{level / WHOLE:g}") for level in found.levels)
    return {f"{raw}quantiles": dict(zip(levels, found.values, strict=True))}
