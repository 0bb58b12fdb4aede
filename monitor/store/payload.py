"""Payloads of prediction rows: the fields of the event beyond its confidence, exactly as sent."""

import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from ..calibrators.distributions import Distribution
from ..domain.errors import Corrupt
from ..domain.events import PredictionEvent, Vector, level_name, levels_of
from ..domain.labels import vector_of
from ..domain.records import PredictionRow
from ..domain.rounding import Correction, as_distribution, clamped, corrections, needs_nothing
from ..stats.entries import softmax
from ..stats.regression import median

Quantiles = dict[str, float]


class Payload(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The fields of a prediction event that its row has no column for; None where it has none."""

    metadata: dict[str, Any] | None = None
    members: list[float | list[float]] | None = None
    answer: str | int | float | None = None
    confidence_source: str | None = None
    agreeing: int | None = None
    samples: int | None = None
    score: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: Quantiles | None = None
    raw_mean: float | None = None
    raw_std: float | None = None
    raw_quantiles: Quantiles | None = None
    logits: Vector | None = None
    vector: Vector | None = None
    raw: Vector | None = None
    corrected: list[Correction] | None = None  # how what was sent differs from what is read
    served_as_sent: float | None = None  # of a single probability that was corrected
    raw_as_sent: float | None = None


NOTHING: Final = Payload()

_encoder: Final = msgspec.msgpack.Encoder()

_decoder: Final = msgspec.msgpack.Decoder(Payload)


def payload_of(row: PredictionRow) -> Payload:
    """Return the payload of a prediction.

    Raises
    ------
    Corrupt
        when the stored bytes are none.

    """
    if row.payload is None:
        return NOTHING
    try:
        return _decoder.decode(row.payload)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"the payload of event {row.event_id} does not decode: {error}") from error


def confidences(event: PredictionEvent, classes: Sequence[str] | None) -> tuple[float, float | None, bytes | None]:
    """Return the served confidence, the raw confidence and the encoded payload of a prediction event."""
    if event.probability is not None:
        return _single(event.probability, event.raw_probability, _of_probability(event))
    if event.confidence is not None or event.score is not None:
        return _single(event.confidence or 0.0, event.raw_confidence, _of_answer(event))
    if event.mean is not None or event.quantiles is not None:
        return _of_distribution(event)
    return _of_vector(event, classes)


def _single(served: float, raw: float | None, payload: bytes | None) -> tuple[float, float | None, bytes | None]:
    """Return single probabilities clamped, and their payload, which keeps them as they were sent where that changes them."""
    if 0.0 <= served <= 1.0 and (raw is None or 0.0 <= raw <= 1.0):
        return served, raw, payload
    sent = NOTHING if payload is None else _decoder.decode(payload)
    kept = msgspec.structs.replace(sent, corrected=["clamped"], served_as_sent=served, raw_as_sent=raw)
    return clamped(served), None if raw is None else clamped(raw), _encoder.encode(kept)


def _of_probability(event: PredictionEvent) -> bytes | None:
    if event.metadata is None and event.members is None:
        return None
    return _encoder.encode(Payload(metadata=event.metadata, members=event.members))


def _of_answer(event: PredictionEvent) -> bytes:
    payload = Payload(
        metadata=event.metadata,
        members=event.members,
        answer=event.prediction,
        confidence_source=event.confidence_source,
        agreeing=event.agreeing,
        samples=event.samples,
        score=event.score,
    )
    return _encoder.encode(payload)


def _of_distribution(event: PredictionEvent) -> tuple[float, float | None, bytes]:
    payload = Payload(
        metadata=event.metadata,
        members=event.members,
        mean=event.mean,
        std=event.std,
        quantiles=event.quantiles,
        raw_mean=event.raw_mean,
        raw_std=event.raw_std,
        raw_quantiles=event.raw_quantiles,
        corrected=_crossings(event.quantiles, event.raw_quantiles),
    )
    raw = None
    if event.raw_mean is not None or event.raw_quantiles is not None:
        raw = _location(event.raw_mean, event.raw_quantiles)
    return _location(event.mean, event.quantiles), raw, _encoder.encode(payload)


def _crossings(*sent: Quantiles | None) -> list[Correction] | None:
    return None if all(map(_rise, sent)) else ["sorted"]


def _rise(quantiles: Quantiles | None) -> bool:
    if quantiles is None:
        return True
    values = [quantiles[name] for name in _names_in_order(tuple(quantiles))]
    return values == sorted(values)


@lru_cache(maxsize=1024)
def _names_in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(names[i] for i in _order_of(names)[0])


def _location(mean: float | None, quantiles: Quantiles | None) -> float:
    """Return the mean of a predictive distribution, or the median of its quantiles."""
    if quantiles is not None:
        return median(*quantiles_of(quantiles))
    if mean is None:
        raise Corrupt("a predictive distribution has neither mean nor quantiles")
    return mean


def _of_vector(event: PredictionEvent, classes: Sequence[str] | None) -> tuple[float, float | None, bytes]:
    payload = Payload(
        metadata=event.metadata,
        members=event.members,
        logits=event.logits,
        vector=event.probabilities,
        raw=event.raw_probabilities,
        corrected=_of_sums(event.probabilities, event.raw_probabilities),
    )
    served = _served_vector(payload, classes)
    raw = None if payload.raw is None else _meant(payload, payload.raw, classes)
    for vector in (served, raw):
        if vector is not None and len(vector) != len(classes or ()):
            raise Corrupt(f"a vector has {len(vector)} values, but its model has {len(classes or ())} classes")
    return max(served), None if raw is None else max(raw), _encoder.encode(payload)


def vectors_of(row: PredictionRow, classes: Sequence[str] | None) -> tuple[list[float], list[float]]:
    """Return the served and the raw vector of a multiclass prediction, in the order of the classes."""
    payload = payload_of(row)
    served = _served_vector(payload, classes)
    return served, served if payload.raw is None else _meant(payload, payload.raw, classes)


def with_vectors(row: PredictionRow, served: Vector, raw: Vector | None) -> bytes:
    """Return the payload of a multiclass prediction with other vectors; `raw` is None without a calibrator."""
    return _encoder.encode(
        msgspec.structs.replace(payload_of(row), logits=None, vector=served, raw=raw, corrected=None)
    )


def _served_vector(payload: Payload, classes: Sequence[str] | None) -> list[float]:
    if payload.logits is not None:
        return softmax(vector_of(payload.logits, classes or (), nothing=-math.inf))
    if payload.vector is None:
        raise Corrupt("a prediction event carries no score")
    return _meant(payload, payload.vector, classes)


def _meant(payload: Payload, sent: Vector, classes: Sequence[str] | None) -> list[float]:
    """Return the vector that a sent one means, in the order of the classes."""
    vector = vector_of(sent, classes or ())
    return vector if payload.corrected is None else as_distribution(vector)


def _of_sums(*sent: Vector | None) -> list[Correction] | None:
    if all(map(_is_taken_as_it_is, sent)):
        return None
    return [*corrections([_entries(vector) for vector in sent if vector is not None])] or None


def _is_taken_as_it_is(vector: Vector | None) -> bool:
    return vector is None or needs_nothing(_entries(vector))


def _entries(vector: Vector) -> Collection[float]:
    return vector.values() if isinstance(vector, dict) else vector


def corrections_of(row: PredictionRow) -> Sequence[Correction]:
    """Return how what was read of a prediction differs from what was sent."""
    # A search for the word costs a tenth of decoding, and few payloads hold it.
    return () if row.payload is None or b"corrected" not in row.payload else payload_of(row).corrected or ()


def as_sent(row: PredictionRow) -> tuple[float, float | None]:
    """Return the served and the raw confidence of a prediction as they were sent, before they were clamped or brought to a sum."""
    sent = payload_of(row)
    if sent.served_as_sent is not None:
        return sent.served_as_sent, sent.raw_as_sent
    if sent.corrected is None or sent.vector is None:
        return row.p, row.raw
    return _largest(sent.vector), None if sent.raw is None else _largest(sent.raw)


def _largest(vector: Vector) -> float:
    return max(_entries(vector))


def distributions_of(row: PredictionRow) -> tuple[Distribution, Distribution]:
    """Return the served and the raw predictive distribution of a regression."""
    sent = payload_of(row)
    served = _distribution(row, sent.mean, sent.std, sent.quantiles)
    return served, served if row.raw is None else _distribution(row, sent.raw_mean, sent.raw_std, sent.raw_quantiles)


def with_distributions(row: PredictionRow, served: Distribution, raw: Distribution | None) -> bytes:
    """Return the payload of a regression with other distributions; `raw` is None without a calibrator."""
    mean, std, quantiles = _sent_as(served)
    raw_mean, raw_std, raw_quantiles = (None, None, None) if raw is None else _sent_as(raw)
    changed = msgspec.structs.replace(
        payload_of(row),
        mean=mean,
        std=std,
        quantiles=quantiles,
        raw_mean=raw_mean,
        raw_std=raw_std,
        raw_quantiles=raw_quantiles,
        corrected=None,
    )
    return _encoder.encode(changed)


def _distribution(
    row: PredictionRow, mean: float | None, std: float | None, quantiles: Quantiles | None
) -> Distribution:
    if quantiles is not None:
        return Distribution(*quantiles_of(quantiles), chance_of(row))
    if mean is None or std is None:
        raise Corrupt(f"event {row.event_id} has neither mean and standard deviation nor quantiles")
    return Distribution((), (mean, std), chance_of(row))


def _sent_as(distribution: Distribution) -> tuple[float | None, float | None, Quantiles | None]:
    if distribution.levels:
        return None, None, dict(zip(map(level_name, distribution.levels), distribution.values, strict=True))
    mean, std = distribution.values
    return mean, std, None


def chance_of(row: PredictionRow) -> float:
    """Return a number in (0, 1] that is the same for a row on every call.

    The key's lowest bit is left out: it chooses the random half.
    """
    return ((row.key >> 1) + 0.5) / 2**62


def quantiles_of(sent: Quantiles) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return quantiles as levels in thousandths, ascending, and their values; those that cross by rounding are sorted.

    >>> quantiles_of({"0.9": 3.0, ".1": 1.0}), quantiles_of({".1": 1.0000001, ".9": 1.0})
    (((100, 900), (1.0, 3.0)), ((100, 900), (1.0, 1.0000001)))
    """
    order, levels = _order_of(tuple(sent))
    values = list(sent.values())
    return levels, tuple(sorted([values[i] for i in order]))


@lru_cache(maxsize=1024)
def _order_of(names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    levels = levels_of(names)
    if levels is None:
        raise Corrupt(f"quantiles are stored by {', '.join(names)}, which are not levels")
    order = sorted(range(len(levels)), key=levels.__getitem__)
    return tuple(order), tuple(levels[i] for i in order)
