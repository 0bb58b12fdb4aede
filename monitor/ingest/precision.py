"""How far rounding may put vectors and quantiles out of place: a little always, more where the model's setting `normalize` says so."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from ..domain.events import Event, Fault, LabelEvent, Vector, levels_of, quoted
from ..domain.rounding import COARSE, SINGLE, SUM_TOLERANCE, SUMMED, fall_of, needs_nothing, off_by


class Precision(NamedTuple):
    """The farthest that a vector's sum may be from 1, and that a quantile may cross another, relative to the largest."""

    of_sums: float
    of_order: float


FINELY: Final = Precision(SUM_TOLERANCE, SINGLE)
COARSELY: Final = Precision(COARSE, COARSE)


def imprecision(event: Event) -> Fault | None:
    """Return the fault of an event whose model takes no rounding beyond 32 bits."""
    if isinstance(event, LabelEvent) or (event.probability is not None and event.members is None):
        return None
    for field, vector in (("probabilities", event.probabilities), ("raw_probabilities", event.raw_probabilities)):
        if vector is not None and (fault := sum_fault(field, vector, FINELY)):
            return fault
    for place, member in enumerate(event.members or ()):
        if isinstance(member, list) and (fault := sum_fault(f"members[{place}]", member, FINELY)):
            return fault
    for field, quantiles in (("quantiles", event.quantiles), ("raw_quantiles", event.raw_quantiles)):
        if quantiles is not None and (fault := order_fault(field, _by_level(quantiles), FINELY)):
            return fault
    return None


def _by_level(quantiles: Mapping[str, float]) -> dict[str, float]:
    levels = levels_of(tuple(quantiles)) or ()
    return {name: quantiles[name] for _, name in sorted(zip(levels, quantiles, strict=True))}


def sum_fault(field: str, vector: Vector, precision: Precision) -> Fault | None:
    """Return the fault of a vector whose sum is farther from 1 than rounding explains."""
    values = vector.values() if isinstance(vector, dict) else vector
    if needs_nothing(values):
        return None
    off = off_by(values)
    if off <= precision.of_sums + SUMMED:
        return None
    return Fault("bad_sum", f"{field} sums to {sum(values):.6g}: must sum to 1 within {SUM_TOLERANCE}{_unless(off)}")


def order_fault(field: str, quantiles: Mapping[str, float], precision: Precision) -> Fault | None:
    """Return the fault of quantiles, in the order of their levels, that fall by more than rounding explains."""
    fall = fall_of([*quantiles.values()])
    if fall <= precision.of_order:
        return None
    largest = max(map(abs, quantiles.values()))
    for (name, value), (next_name, next_value) in pairwise(quantiles.items()):
        if value - next_value > precision.of_order * largest:
            return Fault(
                "bad_order",
                f"{field}[{quoted(next_name)}] is {quoted(next_value)}, under {quoted(value)} at {quoted(name)}:"
                f" must not fall as levels rise{_unless(fall)}",
            )
    return None


def _unless(off: float) -> str:
    return f"; the setting `normalize` takes rounding up to {COARSE}" if off <= COARSE + SUMMED else ""
