"""The outcome of a replay, read from the replay's own database."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import Connection

from ..domain.alerts import Transition
from ..domain.quantities import Count, Moment
from ..domain.settings import Model
from ..store import alerts, audit, versions
from ..store.audit import Action, Entry
from ..store.calibrators import Calibrator, FittedFrom, Gate, RefusedGate

MOST_ALERTS: Final = 2_000_000


class ReplayedStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step of a policy with a calibrator, and the labels behind it."""

    at: Annotated[Moment, Meta(description="in event time")]
    number: Annotated[int | None, Meta(description="within the replay")]
    restored: int | UnsetType | None = UNSET
    reason: str | None
    method: str | None
    fitted_from: FittedFrom | None
    gate: Gate | RefusedGate | None


class ReplayOutcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a policy would have done, newest first."""

    alerts: tuple[Transition, ...]
    promotions: tuple[ReplayedStep, ...]
    rollbacks: tuple[ReplayedStep, ...]
    proposals: tuple[ReplayedStep, ...]
    refusals: tuple[ReplayedStep, ...]
    evaluations: Count
    left_out: Annotated[Count, Meta(description="predictions of which only what a calibrator made of them is known")]


def outcome_of(connection: Connection, twin: Model, *, evaluations: int, left_out: int) -> ReplayOutcome:
    """Return the outcome of a replay of a model."""
    entries = audit.entries(connection, twin.id)
    documents = {document.number: document for document in versions.documents(connection, twin.id)}

    def steps(*actions: Action) -> tuple[ReplayedStep, ...]:
        return tuple(_step(entry, documents) for entry in reversed(entries) if entry.action in actions)

    return ReplayOutcome(
        alerts=tuple(alert.shown() for alert in alerts.transitions(connection, twin.id, MOST_ALERTS)),
        promotions=steps(Action.PROMOTE),
        rollbacks=steps(Action.ROLLBACK),
        proposals=steps(Action.PROPOSE, Action.SHADOW, Action.CANARY),
        refusals=steps(Action.REFUSE),
        evaluations=evaluations,
        left_out=left_out,
    )


def _step(entry: Entry, documents: Mapping[int, Calibrator]) -> ReplayedStep:
    detail = entry.detail
    document = None if detail.number is None else documents.get(detail.number)
    refused = None if isinstance(detail.gate, UnsetType) else detail.gate
    return ReplayedStep(
        at=detail.event_time or entry.at,
        number=detail.number,
        restored=detail.restored,
        reason=detail.reason,
        method=detail.method if document is None else document.method,
        fitted_from=detail.fitted_from if document is None else document.fitted_from,
        gate=refused if document is None else document.gate,
    )
