"""Move calibrators in and out of service; every step is logged in the same transaction."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct, UnsetType, structs
from sqlalchemy import Connection

from ..calibrators.ladder import PER_CLASS
from ..domain.errors import Conflict, NotFound
from ..domain.names import CHALLENGER, CHAMPION
from ..domain.quantities import Moment
from ..domain.records import Progress
from ..domain.settings import Model
from ..domain.times import micros, moment, rfc3339
from ..store import audit, versions
from ..store.audit import Action, Detail, Entry
from ..store.calibrators import Calibrator, Fitted, FittedFrom, Gate, sealed
from ..store.versions import Alias, Attempt

NO_MORE: Final = Detail()


def register(
    connection: Connection,
    model: Model,
    fitted: Fitted,
    *,
    fitted_from: FittedFrom,
    gate: Gate | None,
    actor: str,
    now: int,
) -> Calibrator:
    """Store a fitted calibrator as the next version and return its document."""
    document = sealed(
        _with_classes(fitted, model),
        model=model.name,
        number=versions.next_number(connection, model.id),
        fitted_from=fitted_from,
        gate=gate,
        created_at=rfc3339(now),
    )
    versions.add(connection, model.id, document, now)
    detail = Detail(number=document.number, method=document.method, sha256=document.sha256)
    audit.log(connection, model.id, at=now, actor=actor, action=Action.REGISTER, detail=detail)
    return document


def _with_classes(fitted: Fitted, model: Model) -> Fitted:
    """Return a calibrator that has parameters for each class with the names of the classes: clients may send objects by class."""
    if fitted.method not in PER_CLASS or model.classes is None:
        return fitted
    return structs.replace(fitted, parameters={**fitted.parameters, "classes": list(model.classes)})


def propose(
    connection: Connection,
    model: Model,
    number: int,
    progress: Progress,
    *,
    actor: str,
    now: int,
    held: str | None = None,
) -> None:
    """Let a version wait for a person's decision; `held` says why it needs one although it may promote itself."""
    versions.move(connection, model.id, CHALLENGER, _alias(number, progress, now))
    detail = Detail(number=number, held=held)
    audit.log(connection, model.id, at=now, actor=actor, action=Action.PROPOSE, detail=detail)


def shadow(connection: Connection, model: Model, number: int, progress: Progress, *, actor: str, now: int) -> None:
    """Let a version be scored on live labels without serving."""
    versions.move(connection, model.id, CHALLENGER, _alias(number, progress, now))
    audit.log(connection, model.id, at=now, actor=actor, action=Action.SHADOW, detail=Detail(number=number))


def canary(connection: Connection, model: Model, number: int, progress: Progress, *, actor: str, now: int) -> None:
    """Let a version serve the canary share of traffic."""
    share = model.settings.canary
    versions.move(connection, model.id, CHALLENGER, replace(_alias(number, progress, now), share=share))
    detail = Detail(number=number, share=share)
    audit.log(connection, model.id, at=now, actor=actor, action=Action.CANARY, detail=detail)


def end_canary(connection: Connection, model: Model, *, actor: str, now: int, grounds: Detail) -> None:
    """Let a canary stop serving and wait for a person's decision."""
    challenger = versions.aliases(connection, model.id)[CHALLENGER]
    versions.move(connection, model.id, CHALLENGER, replace(challenger, share=None))
    detail = structs.replace(grounds, number=challenger.number)
    audit.log(connection, model.id, at=now, actor=actor, action=Action.CANARY_END, detail=detail)


def dismiss(
    connection: Connection,
    model: Model,
    progress: Progress,
    *,
    action: Action,
    actor: str,
    now: int,
    grounds: Detail,
) -> None:
    """End the trial of a challenger; the next refit needs as many new labels as after any attempt, and after a rejection a newer alert."""
    number = versions.aliases(connection, model.id)[CHALLENGER].number
    versions.drop(connection, model.id, CHALLENGER)
    at = _note_attempt(connection, model, progress, now)
    answered = moment(at) if action is Action.REJECT else None
    detail = structs.replace(grounds, number=number, event_time=answered)
    audit.log(connection, model.id, at=now, actor=actor, action=action, detail=detail)


def promote(
    connection: Connection,
    model: Model,
    number: int,
    progress: Progress,
    *,
    actor: str,
    now: int,
    reason: str,
    grounds: Detail = NO_MORE,
) -> None:
    """Put a version in service.

    Parameters
    ----------
    reason, grounds : for the audit log, why and on what evidence

    Raises
    ------
    NotFound
        when there is no such version.

    """
    if versions.document(connection, model.id, number) is None:
        raise NotFound(f"model {model.name} has no calibrator {number}")
    aliases = versions.aliases(connection, model.id)
    replaced = aliases[CHAMPION].number if CHAMPION in aliases else None
    _free_from_waiting(connection, model)
    if replaced == number:
        return
    at = _serve(connection, model, number, progress, now)
    if CHALLENGER in aliases and aliases[CHALLENGER].number == number:
        versions.drop(connection, model.id, CHALLENGER)
    detail = structs.replace(grounds, number=number, replaced=replaced, reason=reason, event_time=at)
    audit.log(connection, model.id, at=now, actor=actor, action=Action.PROMOTE, detail=detail)


def roll_back(
    connection: Connection, model: Model, progress: Progress, *, actor: str, now: int, reason: str
) -> int | None:
    """Put back what the champion replaced, None for no calibrator; refits, and a canary, then wait for a person's decision.

    Raises
    ------
    Conflict
        when no version is in service.

    """
    restored = _put_back(connection, model, progress, actor=actor, now=now, grounds=Detail(reason=reason))
    before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=True)
    versions.note_attempt(connection, model.id, replace(before, waits_for_person=True))
    challenger = versions.aliases(connection, model.id).get(CHALLENGER)
    if challenger is not None and challenger.share is not None:
        grounds = Detail(reason="a person rolled back: it serves no traffic any more and waits for a person's decision")
        end_canary(connection, model, actor=actor, now=now, grounds=grounds)
    return restored


def withdraw(
    connection: Connection, model: Model, progress: Progress, *, actor: str, now: int, grounds: Detail
) -> int | None:
    """Put back what the champion replaced, without a person; the next refit needs as many new labels as after any other attempt."""
    restored = _put_back(connection, model, progress, actor=actor, now=now, grounds=grounds)
    _note_attempt(connection, model, progress, now)
    return restored


def _put_back(
    connection: Connection, model: Model, progress: Progress, *, actor: str, now: int, grounds: Detail
) -> int | None:
    restored = replaced(connection, model)
    number = _served(connection, model)[-1]
    at = _serve(connection, model, restored, progress, now)
    detail = structs.replace(grounds, number=number, restored=restored, event_time=at)
    audit.log(connection, model.id, at=now, actor=actor, action=Action.ROLLBACK, detail=detail)
    return restored


def _note_attempt(connection: Connection, model: Model, progress: Progress, now: int) -> int:
    """Let the next refit wait for new labels; return up to which event time the attempt is about."""
    at = _alias(None, progress, now).since_event_time or now
    before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=False)
    versions.note_attempt(connection, model.id, replace(before, attempted_at=at, labels=progress.labels))
    return at


def replaced(connection: Connection, model: Model) -> int | None:
    """Return what a rollback would put back, None for no calibrator.

    Raises
    ------
    Conflict
        when no version is in service.

    """
    served = _served(connection, model)
    if not served:
        raise Conflict(f"model {model.name} has no calibrator in service, so there is nothing to roll back")
    return served[-2] if len(served) > 1 else None


def _serve(connection: Connection, model: Model, number: int | None, progress: Progress, now: int) -> datetime:
    """Put a version in service; return the event time from which it counts."""
    alias = _alias(number, progress, now)
    versions.move(connection, model.id, CHAMPION, alias)
    return moment(now if alias.since_event_time is None else alias.since_event_time)


def _alias(number: int | None, progress: Progress, now: int) -> Alias:
    watermark = now if progress.watermark is None else min(progress.watermark, now)
    return Alias(number=number, since=now, since_event_time=watermark)


class Promotion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of what is in service."""

    at: Annotated[Moment, Meta(description="in event time")]
    number: Annotated[int | None, Meta(description="null: back to no calibrator")]


def promotions(connection: Connection, model_id: int) -> list[Promotion]:
    """Return the changes of what is in service, oldest first."""
    return [
        Promotion(at=entry.detail.event_time or entry.at, number=_put_in_service(entry))
        for entry in audit.entries(connection, model_id)
        if entry.action in {Action.PROMOTE, Action.ROLLBACK}
    ]


def _put_in_service(entry: Entry) -> int | None:
    if entry.action is Action.PROMOTE:
        return entry.detail.number
    return None if isinstance(entry.detail.restored, UnsetType) else entry.detail.restored


def rejected_until(connection: Connection, model_id: int) -> int | None:
    """Return up to which event time a person's rejection answers alerts; None where nothing was rejected since the last promotion."""
    moves = {Action.REJECT, Action.PROMOTE, Action.ROLLBACK}
    steps = [entry for entry in audit.entries(connection, model_id) if entry.action in moves]
    if not steps or steps[-1].action is not Action.REJECT:
        return None
    return micros(steps[-1].detail.event_time or steps[-1].at)


def is_held(connection: Connection, model_id: int, number: int) -> bool:
    """Return whether a version waits for a person because a guard held its promotion."""
    return any(
        entry.action is Action.PROPOSE and entry.detail.number == number and entry.detail.held is not None
        for entry in audit.entries(connection, model_id)
    )


def _free_from_waiting(connection: Connection, model: Model) -> None:
    before = versions.attempt(connection, model.id)
    if before is not None and before.waits_for_person:
        versions.note_attempt(connection, model.id, replace(before, waits_for_person=False))


def _served(connection: Connection, model: Model) -> list[int]:
    """Return the stack of versions in service: the champion last, below it what rollbacks would restore."""
    stack: list[int] = []
    for entry in audit.entries(connection, model.id):
        if entry.action is Action.PROMOTE and entry.detail.number is not None:
            stack.append(entry.detail.number)
        elif entry.action is Action.ROLLBACK and stack:
            stack.pop()
    return stack
