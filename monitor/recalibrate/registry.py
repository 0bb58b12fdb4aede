"""Move calibrators in and out of service; every step leaves a line in the audit log, in the same transaction."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from ..calibrators.document import seal
from ..calibrators.ladder import PER_CLASS
from ..domain.errors import Conflict, NotFound
from ..domain.records import Progress
from ..domain.settings import Model
from ..domain.times import rfc3339
from ..store import audit, versions
from ..store.audit import Action
from ..store.versions import CHALLENGER, CHAMPION, Alias, Attempt


def register(
    connection: Connection,
    model: Model,
    fitted: Mapping[str, Any],
    *,
    fitted_from: dict[str, Any],
    gate: dict[str, Any] | None,
    actor: str,
    now: int,
) -> dict[str, Any]:
    """Store a fitted calibrator as the next version and return its sealed document."""
    document = seal(
        _named(fitted, model),
        model=model.name,
        number=versions.next_number(connection, model.id),
        fitted_from=fitted_from,
        gate=gate,
        created_at=rfc3339(now),
    )
    versions.add(connection, model.id, document, now)
    detail = {"number": document["number"], "method": document["method"], "sha256": document["sha256"]}
    audit.log(connection, model.id, at=now, actor=actor, action=Action.REGISTER, detail=detail)
    return document


def _named(fitted: Mapping[str, Any], model: Model) -> Mapping[str, Any]:
    """Return a fitted calibrator with the names of the classes, where it has parameters for each: clients may send objects by class."""
    if fitted["method"] not in PER_CLASS or model.classes is None:
        return fitted
    return {**fitted, "parameters": {**fitted["parameters"], "classes": list(model.classes)}}


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
    """Let a version wait for a person's word, which it needs anyway or because something held it."""
    versions.move(connection, model.id, CHALLENGER, _alias(number, progress, now))
    detail = {"number": number} if held is None else {"number": number, "held": held}
    audit.log(connection, model.id, at=now, actor=actor, action=Action.PROPOSE, detail=detail)


def shadow(connection: Connection, model: Model, number: int, progress: Progress, *, actor: str, now: int) -> None:
    """Let a version be scored on live labels, and serve nothing."""
    versions.move(connection, model.id, CHALLENGER, _alias(number, progress, now))
    audit.log(connection, model.id, at=now, actor=actor, action=Action.SHADOW, detail={"number": number})


def canary(connection: Connection, model: Model, number: int, progress: Progress, *, actor: str, now: int) -> None:
    """Let a version serve the share of traffic that the settings give to canaries."""
    share = model.settings.canary
    versions.move(connection, model.id, CHALLENGER, replace(_alias(number, progress, now), share=share))
    detail = {"number": number, "share": share}
    audit.log(connection, model.id, at=now, actor=actor, action=Action.CANARY, detail=detail)


def end_canary(connection: Connection, model: Model, *, actor: str, now: int, grounds: Mapping[str, Any]) -> None:
    """Let a canary serve nothing any more and wait for a person's word."""
    challenger = versions.aliases(connection, model.id)[CHALLENGER]
    versions.move(connection, model.id, CHALLENGER, replace(challenger, share=None))
    detail = {"number": challenger.number, **grounds}
    audit.log(connection, model.id, at=now, actor=actor, action=Action.CANARY_END, detail=detail)


def dismiss(
    connection: Connection,
    model: Model,
    progress: Progress,
    *,
    action: Action,
    actor: str,
    now: int,
    grounds: Mapping[str, Any],
) -> None:
    """Take a challenger off trial; the next refit needs as many new labels as after any other attempt."""
    number = versions.aliases(connection, model.id)[CHALLENGER].number
    versions.drop(connection, model.id, CHALLENGER)
    _note_attempt(connection, model, progress, now)
    audit.log(connection, model.id, at=now, actor=actor, action=action, detail={"number": number, **grounds})


def promote(
    connection: Connection,
    model: Model,
    number: int,
    progress: Progress,
    *,
    actor: str,
    now: int,
    reason: str,
    grounds: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Put a version in service; the audit log keeps the reason, and what else there is to know.

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
    detail = {"number": number, "replaced": replaced, "reason": reason, "event_time": at, **grounds}
    audit.log(connection, model.id, at=now, actor=actor, action=Action.PROMOTE, detail=detail)


def roll_back(
    connection: Connection, model: Model, progress: Progress, *, actor: str, now: int, reason: str
) -> int | None:
    """Put back what the champion replaced, None for identity; after a person's rollback, refits wait for a person, and so does a canary.

    Raises
    ------
    Conflict
        when no version is in service.

    """
    restored = _put_back(connection, model, progress, actor=actor, now=now, grounds={"reason": reason})
    before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=True)
    versions.note_attempt(connection, model.id, replace(before, waits_for_person=True))
    challenger = versions.aliases(connection, model.id).get(CHALLENGER)
    if challenger is not None and challenger.share is not None:
        ended = {"reason": "after a person's rollback it waits for a person: it serves no share of traffic any more"}
        end_canary(connection, model, actor=actor, now=now, grounds=ended)
    return restored


def withdraw(
    connection: Connection, model: Model, progress: Progress, *, actor: str, now: int, grounds: Mapping[str, Any]
) -> int | None:
    """Put back what the champion replaced, without a person: refits go on, after as many new labels as any other attempt needs."""
    restored = _put_back(connection, model, progress, actor=actor, now=now, grounds=grounds)
    _note_attempt(connection, model, progress, now)
    return restored


def _put_back(
    connection: Connection, model: Model, progress: Progress, *, actor: str, now: int, grounds: Mapping[str, Any]
) -> int | None:
    restored = replaced(connection, model)
    number = _served(connection, model)[-1]
    at = _serve(connection, model, restored, progress, now)
    detail = {"number": number, "restored": restored, "event_time": at, **grounds}
    audit.log(connection, model.id, at=now, actor=actor, action=Action.ROLLBACK, detail=detail)
    return restored


def _note_attempt(connection: Connection, model: Model, progress: Progress, now: int) -> None:
    """Let the next refit wait for new labels of new predictions."""
    at = _alias(None, progress, now).since_event_time or now
    before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=False)
    versions.note_attempt(connection, model.id, replace(before, attempted_at=at, labels=progress.labels))


def replaced(connection: Connection, model: Model) -> int | None:
    """Return what a rollback would put back, None for identity.

    Raises
    ------
    Conflict
        when no version is in service.

    """
    served = _served(connection, model)
    if not served:
        raise Conflict(f"model {model.name} has no calibrator in service: there is nothing to roll back")
    return served[-2] if len(served) > 1 else None


def _serve(connection: Connection, model: Model, number: int | None, progress: Progress, now: int) -> str:
    """Let a version serve; return from when on, in event time."""
    alias = _alias(number, progress, now)
    versions.move(connection, model.id, CHAMPION, alias)
    return rfc3339(now if alias.since_event_time is None else alias.since_event_time)


def _alias(number: int | None, progress: Progress, now: int) -> Alias:
    watermark = now if progress.watermark is None else min(progress.watermark, now)
    return Alias(number=number, since=now, since_event_time=watermark)


def promotions(connection: Connection, model_id: int) -> list[tuple[str, int | None]]:
    """Return what was put in service and from when on, in event time, oldest first; None stands for identity."""
    put = {Action.PROMOTE: "number", Action.ROLLBACK: "restored"}
    return [
        (entry.detail["event_time"], entry.detail[put[entry.action]])
        for entry in audit.entries(connection, model_id)
        if entry.action in put
    ]


def is_held(connection: Connection, model_id: int, number: int) -> bool:
    """Return whether a version was proposed since something held its promotion."""
    return any(
        entry.action is Action.PROPOSE and entry.detail["number"] == number and "held" in entry.detail
        for entry in audit.entries(connection, model_id)
    )


def _free_from_waiting(connection: Connection, model: Model) -> None:
    before = versions.attempt(connection, model.id)
    if before is not None and before.waits_for_person:
        versions.note_attempt(connection, model.id, replace(before, waits_for_person=False))


def _served(connection: Connection, model: Model) -> list[int]:
    """Return the versions that are, or would be after rollbacks, in service: the champion last."""
    stack: list[int] = []
    for entry in audit.entries(connection, model.id):
        if entry.action is Action.PROMOTE:
            stack.append(entry.detail["number"])
        elif entry.action is Action.ROLLBACK and stack:
            stack.pop()
    return stack
