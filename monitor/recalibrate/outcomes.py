"""Outcomes of a refit, as the API answers them."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ..store.calibrators import Calibrator, Fitted, FittedFrom, Gate, RefusedGate
from ..store.impact import DecisionImpact


class Refitted(Calibrator, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new version, and whether it is in service."""

    promoted: bool
    reason: str
    decisions: Annotated[
        list[DecisionImpact], Meta(description="of each declared decision, what it selects before and after")
    ]


class Refused(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A refit that gave no version, and why; of a dry run, what it would have registered."""

    number: None
    promoted: Literal[False]
    reason: str
    gate: Gate | RefusedGate | None
    dry_run: Literal[True] | None = None
    held: Annotated[str | UnsetType | None, Meta(description="of a dry run: why a person would have to decide")] = UNSET
    passed: bool | None = None
    fitted: Fitted | UnsetType | None = UNSET
    fitted_from: FittedFrom | None = None
