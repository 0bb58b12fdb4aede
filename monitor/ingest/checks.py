"""Checks of a decoded event: fields that must agree with each other, and limits that no type states."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import force_setattr

from ..domain.events import (
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    TASK_OF_FORM,
    TOO_DEEP,
    Event,
    Fault,
    LabelEvent,
    PredictionEvent,
    form_of,
    levels_of,
    quoted,
    thousandth,
)
from ..domain.names import UNADDRESSABLE, has_control
from .precision import COARSELY, order_fault
from .side_fields import settle
from .vectors import logits_fault, members_fault, probabilities_fault

CLOCK_SKEW: Final = timedelta(minutes=5)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

SHARE_TOLERANCE: Final = 1e-6
"""Largest difference of a confidence from agreeing / samples, since clients round."""

VERBALIZED_DIGITS: Final = 6

_ENCODER: Final = msgspec.json.Encoder()

_MANY_DIGITS: Final = re.compile(rb"\d{19}")


def fault_of(event: Event, latest: datetime) -> Fault | None:
    """Return the fault of an event whose fields have the right types, or None."""
    if event.timestamp is not None and not EPOCH <= event.timestamp <= latest:
        return Fault(
            "bad_time",
            f"timestamp is {event.timestamp.isoformat()}: must be from 1970 to five minutes ahead of the server's clock,"
            f" which says {(latest - CLOCK_SKEW).isoformat(timespec='seconds')}",
        )
    if isinstance(event, LabelEvent):
        return _control_fault("label", event.label) or settle(event)
    fault = _form_fault(event) or settle(event)
    if fault is None and event.metadata is not None:
        fault = _metadata_fault(event.metadata)
    return fault


def _form_fault(event: PredictionEvent) -> Fault | None:
    if _is_plain(event):
        return None
    if event.members is not None and (fault := members_fault(event)):
        return fault
    form = form_of(event)
    others, none = _OTHERS_THAN[form]
    return _FAULTS[form](event) if others(event) == none else _mixture_fault(event)


def _is_plain(event: PredictionEvent) -> bool:
    """Return whether an event has a probability and no field that could conflict with it; the common case, kept cheap."""
    return (
        event.probability is not None
        and event.probabilities is None
        and event.raw_probabilities is None
        and event.logits is None
        and event.confidence is None
        and event.raw_confidence is None
        and event.prediction is None
        and event.confidence_source is None
        and event.agreeing is None
        and event.samples is None
        and event.score is None
        and event.mean is None
        and event.std is None
        and event.quantiles is None
        and event.raw_mean is None
        and event.raw_std is None
        and event.raw_quantiles is None
        and event.members is None
    )


_BESIDE: Final = {
    "raw_probability": ("probability",),
    "raw_probabilities": ("probabilities",),
    "raw_confidence": ("confidence",),
    "prediction": ("confidence", "score"),
    "confidence_source": ("confidence", "score"),
    "agreeing": ("confidence",),
    "samples": ("confidence",),
    "std": ("mean",),
    "raw_mean": ("mean", "quantiles"),
    "raw_std": ("mean", "quantiles"),
    "raw_quantiles": ("quantiles",),
    "members": ("probability", "probabilities"),
}

"""The forms that each other field may accompany."""


def _others_than(form: str) -> tuple[Callable[[PredictionEvent], Any], tuple[None, ...]]:
    """Return a getter for the fields that conflict with `form`, and its result when none is set."""
    fields = [name for name in TASK_OF_FORM if name != form]
    fields += [name for name, forms in _BESIDE.items() if form not in forms]
    return attrgetter(*fields), (None,) * len(fields)


_OTHERS_THAN: Final = {form: _others_than(form) for form in TASK_OF_FORM}


def _mixture_fault(event: PredictionEvent) -> Fault | None:
    """Return which fields conflict."""
    stated = [form for form in TASK_OF_FORM if getattr(event, form) is not None]
    if len(stated) > 1:
        return _number_fault(stated)
    for field, forms in _BESIDE.items():
        if getattr(event, field) is not None and not set(forms) & set(stated or ["confidence"]):
            beside = " or ".join(forms)
            return Fault("wrong_form", f"{field} is given without {beside}: must come with it")
    return None


def _number_fault(forms: list[str]) -> Fault:
    return Fault(
        "wrong_form" if forms else "missing_field",
        f"{' and '.join(forms) or 'no score'} given: must have exactly one of {', '.join(TASK_OF_FORM)}",
    )


def _confidence_fault(event: PredictionEvent) -> Fault | None:
    if event.confidence is None and (fault := _unstated_fault(event)):
        return fault
    return _answer_fault(event.prediction, "confidence") or _source_fault(event)


def _unstated_fault(event: PredictionEvent) -> Fault | None:
    """Return the fault of an event without a confidence; `agreeing` of `samples` may state it instead."""
    if event.raw_confidence is not None:
        return Fault("wrong_form", "raw_confidence is given without confidence: must come with it")
    if event.confidence_source == "self_consistency" or event.agreeing is not None or event.samples is not None:
        return None
    if event.confidence_source is None:
        return _number_fault([])
    return Fault(
        "missing_field",
        f"confidence is missing although confidence_source is {event.confidence_source}: send no event without a confidence",
    )


def _source_fault(event: PredictionEvent) -> Fault | None:
    """Return the fault of a confidence's source; round a verbalized one, and set that of agreeing answers."""
    source = event.confidence_source
    own = "confidence" if event.raw_confidence is None else "raw_confidence"
    if source == "self_consistency" or event.agreeing is not None or event.samples is not None:
        return _agreement_fault(event, own)
    if source == "verbalized":
        force_setattr(event, own, round(getattr(event, own), VERBALIZED_DIGITS))
    return None


def _agreement_fault(event: PredictionEvent, own: str) -> Fault | None:
    agreeing, samples = event.agreeing, event.samples
    if event.confidence_source != "self_consistency":
        return Fault(
            "wrong_form",
            f"confidence_source is {quoted(event.confidence_source)}: must be self_consistency where agreeing and samples are given",
        )
    if agreeing is None or samples is None:
        missing = "agreeing" if agreeing is None else "samples"
        return Fault("missing_field", f"{missing} is missing: self_consistency must come with agreeing and samples")
    if agreeing > samples:
        return Fault("out_of_range", f"agreeing is {agreeing}: must be at most samples, which is {samples}")
    share, stated = agreeing / samples, getattr(event, own)
    if stated is not None and abs(stated - share) > SHARE_TOLERANCE:
        return Fault(
            "out_of_range",
            f"{own} is {quoted(stated)}: must be agreeing over samples, {share:.6g}, or absent"
            + ("; send a calibrated confidence with this as raw_confidence" if own == "confidence" else ""),
        )
    force_setattr(event, own, share)
    return None


def _score_fault(event: PredictionEvent) -> Fault | None:
    if event.confidence_source in {"verbalized", "self_consistency"}:
        return Fault(
            "wrong_form",
            f"confidence_source is {event.confidence_source}: must be logprob, judge or other beside a score; send"
            " this value as confidence",
        )
    return _answer_fault(event.prediction, "score")


def _mean_fault(event: PredictionEvent) -> Fault | None:
    if event.std is None:
        return Fault("missing_field", "std is missing: a mean must come with its standard deviation, above 0")
    return _raw_fault(event)


def _quantiles_fault(event: PredictionEvent) -> Fault | None:
    return _levels_fault("quantiles", event.quantiles or {}) or _raw_fault(event)


def _raw_fault(event: PredictionEvent) -> Fault | None:
    """Return the fault of the model's own distribution beside the calibrated one."""
    mean, std, quantiles = event.raw_mean, event.raw_std, event.raw_quantiles
    if (mean is None) != (std is None):
        stated, missing = ("raw_mean", "raw_std") if std is None else ("raw_std", "raw_mean")
        return Fault("missing_field", f"{missing} is missing: {stated} must come with it")
    if quantiles is None:
        return None
    if mean is not None:
        return Fault("wrong_form", "raw_mean and raw_quantiles given: must have only the one that the model gave")
    return _levels_fault("raw_quantiles", quantiles)


def _levels_fault(field: str, quantiles: dict[str, float]) -> Fault | None:
    levels = levels_of(tuple(quantiles))
    if levels is None:
        odd = next(name for name in quantiles if thousandth(name) is None)
        return Fault(
            "out_of_range", f"{field} has the level {quoted(odd)}: must have decimals such as 0.05, from 0.001 to 0.999"
        )
    ordered = sorted(zip(levels, quantiles, strict=True))
    for (level, name), (next_level, next_name) in pairwise(ordered):
        if level == next_level:
            return Fault(
                "duplicate_key", f"{field} has {quoted(name)} and {quoted(next_name)}: must have each level once"
            )
    return order_fault(field, {name: quantiles[name] for _, name in ordered}, COARSELY)


def _answer_fault(answer: str | float | None, form: str) -> Fault | None:
    if answer is None:
        return Fault("missing_field", f"prediction is missing: a {form} must come with the answer it belongs to")
    return _control_fault("prediction", answer)


def _control_fault(field: str, answer: str | float) -> Fault | None:
    if not isinstance(answer, str) or answer.isprintable() or _CONTROL_IN_ANSWER.search(answer) is None:
        return None
    return Fault(
        "bad_name", f"{field} is {quoted(answer)}: must not have control characters other than tabs and line ends"
    )


def _nothing(event: PredictionEvent) -> Fault | None:
    """Accept a form that the types of its fields check in full."""


_FAULTS: Final[dict[str, Callable[[PredictionEvent], Fault | None]]] = {
    "probability": _nothing,
    "probabilities": probabilities_fault,
    "logits": logits_fault,
    "confidence": _confidence_fault,
    "score": _score_fault,
    "mean": _mean_fault,
    "quantiles": _quantiles_fault,
}


def _packs(metadata: Mapping[str, object]) -> bool:
    try:
        msgspec.msgpack.encode(metadata)
    except OverflowError:
        return False
    return True


def _metadata_fault(metadata: Mapping[str, object]) -> Fault | None:
    try:
        text = _ENCODER.encode(metadata)
    except RecursionError:
        return TOO_DEEP
    if len(text) > MAX_METADATA_BYTES:
        return Fault("too_large", f"metadata is {len(text)} bytes long: must be at most {MAX_METADATA_BYTES}")
    if _MANY_DIGITS.search(text) and not _packs(metadata):
        return Fault("out_of_range", "metadata holds an integer beyond 64 bits: send it as text")
    nested = text.count(b"{") + text.count(b"[")
    return TOO_DEEP if nested > MAX_METADATA_DEPTH and _levels(metadata) > MAX_METADATA_DEPTH else None


def _levels(value: Any) -> int:
    """Return the depth of a nested value, counted no further than the limit."""
    level, row = 0, [value]
    while row and level <= MAX_METADATA_DEPTH:
        level += 1
        rows = [outer.values() if isinstance(outer, dict) else outer for outer in row]
        row = [inner for members in rows for inner in members if isinstance(inner, dict | list)]
    return level


def all_clean(events: Sequence[Event]) -> bool:
    """Return whether all names in a batch are usable, checked together."""
    predictions = [event for event in events if type(event) is PredictionEvent]
    labels = [event for event in events if type(event) is LabelEvent]
    models = {event.model for event in events}
    if not models.isdisjoint(UNADDRESSABLE):
        return False
    names: set[object] = set(models)
    names.update([event.model_version for event in events])
    names.update([event.cluster for event in predictions])
    names.update([event.source for event in labels])
    for segments in [event.segments for event in predictions if event.segments is not None]:
        names.update(segments, segments.values())
    for field in ("probabilities", "raw_probabilities", "logits"):
        vectors = map(attrgetter(field), predictions)
        names.update(*[vector for vector in vectors if type(vector) is dict])
    texts = [name for name in names if isinstance(name, str)]
    return not has_control("".join(texts)) and not has_control("".join([event.event_id for event in events]))


_CONTROL_IN_ANSWER: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def unclean_name(event: Event) -> Fault | None:
    """Return the fault of a name with control characters or one that cannot be part of an address, or None."""
    if event.model in UNADDRESSABLE:
        return Fault(
            "bad_name", f"model is {quoted(event.model)}: must not be . or .., which mean places in an address"
        )
    for field in _NAMES_OF[type(event)]:
        value = getattr(event, field)
        texts = [*value, *value.values()] if isinstance(value, dict) else [value]
        for text in texts:
            if isinstance(text, str) and has_control(text):
                return Fault("bad_name", f"{field} has {quoted(text)}: must not have control characters")
    return None


_NAMES_OF: Final[dict[type, tuple[str, ...]]] = {
    PredictionEvent: (
        "event_id",
        "model",
        "model_version",
        "cluster",
        "segments",
        "probabilities",
        "raw_probabilities",
        "logits",
    ),
    LabelEvent: ("event_id", "model", "source", "model_version"),
}
