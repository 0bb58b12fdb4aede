"""Checks of an event's vectors: they sum to 1, agree with each other, and are the average of an ensemble's members."""

import math
from typing import Any, Final

from msgspec.structs import force_setattr

from ..domain.events import TASK_OF_FORM, Fault, PredictionEvent, quoted
from ..domain.rounding import SUMMED
from .precision import COARSELY, sum_fault

AVERAGE_TOLERANCE: Final = 1e-3
"""Largest difference between an average and its members': clients round."""


def logits_fault(event: PredictionEvent) -> Fault | None:
    """Return the fault of logits that mask every class."""
    logits = event.logits or [-math.inf]
    if max(logits.values() if isinstance(logits, dict) else logits) > -math.inf:
        return None
    return Fault("not_finite", "logits are all -inf: must have one class at least that is not masked")


def probabilities_fault(event: PredictionEvent) -> Fault | None:
    """Return the fault of an event's vectors, the served one and the model's own."""
    vector, raw = event.probabilities or [], event.raw_probabilities
    if fault := sum_fault("probabilities", vector, COARSELY):
        return fault
    if raw is None:
        return None
    if type(raw) is not type(vector):
        return Fault(
            "wrong_type", "raw_probabilities and probabilities differ in kind: must both be arrays or both be objects"
        )
    if isinstance(raw, dict) and isinstance(vector, dict) and raw.keys() != vector.keys():
        odd = min(raw.keys() ^ vector.keys())
        return Fault(
            "unknown_class", f"{quoted(odd)} is in one of raw_probabilities and probabilities: must be in both"
        )
    if len(raw) != len(vector):
        return Fault(
            "wrong_length", f"raw_probabilities has {len(raw)} values: must have {len(vector)}, as probabilities"
        )
    return sum_fault("raw_probabilities", raw, COARSELY)


def members_fault(event: PredictionEvent) -> Fault | None:
    """Return the fault of an ensemble's members; set their average if the event leaves it out."""
    members: list[Any] = event.members or []
    vectors = isinstance(members[0], list)
    if any(isinstance(member, list) is not vectors for member in members):
        return Fault("wrong_type", "members holds both numbers and arrays: must be all probabilities, or all vectors")
    if vectors and (fault := _vectors_fault(members)):
        return fault
    average = averages(members) if vectors else math.fsum(members) / len(members)
    form = "probabilities" if vectors else "probability"
    if getattr(event, form) is not None:
        own = form if getattr(event, f"raw_{form}") is None else f"raw_{form}"
        return _average_fault(own, getattr(event, own), average)
    return _set(event, form, average)


def averages(vectors: list[list[float]]) -> list[float]:
    """Return the average of vectors, entry by entry.

    >>> averages([[0.5, 0.5], [1.0, 0.0]])
    [0.75, 0.25]
    """
    return [math.fsum(entries) / len(vectors) for entries in zip(*vectors, strict=True)]


def _vectors_fault(members: list[list[float]]) -> Fault | None:
    classes = len(members[0])
    for place, member in enumerate(members):
        if len(member) != classes:
            return Fault(
                "wrong_length", f"members[{place}] has {len(member)} values: must have {classes}, as the first member"
            )
        if fault := sum_fault(f"members[{place}]", member, COARSELY):
            return fault
    return None


def _average_fault(own: str, stated: Any, average: Any) -> Fault | None:
    """Return the fault of an event whose value differs from the average of its members."""
    if isinstance(stated, dict):
        return Fault("wrong_type", f"{own} is an object: must be an array, as each of members is")
    pairs = {own: (stated, average)}
    if isinstance(stated, list):
        if len(stated) != len(average):
            return Fault(
                "wrong_length", f"{own} has {len(stated)} values: must have {len(average)}, as each of members"
            )
        pairs = {f"{own}[{place}]": pair for place, pair in enumerate(zip(stated, average, strict=True))}
    for field, (value, expected) in pairs.items():
        if abs(value - expected) > AVERAGE_TOLERANCE + SUMMED:
            calibrated = "" if own.startswith("raw_") else f"; send a calibrated value with this as raw_{own}"
            return Fault(
                "out_of_range",
                f"{field} is {quoted(value)}: must be the average of members, {expected:.6g}, or absent{calibrated}",
            )
    return None


def _set(event: PredictionEvent, form: str, average: Any) -> Fault | None:
    """Set the served value of an event with nothing but members to their average."""
    others = [name for name in TASK_OF_FORM if getattr(event, name) is not None]
    if others and set(others) <= {"probability", "probabilities"}:
        what = "vectors" if form == "probabilities" else "probabilities"
        return Fault("wrong_form", f"members are {what} beside {others[0]}: must come with {form}")
    if not others and getattr(event, f"raw_{form}") is None:
        force_setattr(event, form, average)
    return None
