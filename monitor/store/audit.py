"""The audit log of a model's calibrators: every step, appended and never changed; it outlives the model."""

from enum import StrEnum
from typing import Annotated, Final, Self

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import ColumnElement, Connection, insert, select

from ..domain.quantities import Moment
from ..domain.times import moment
from .calibrators import FittedFrom, RefusedGate
from .impact import DecisionImpact
from .schema import audit, model
from .trials import TrialRecord

ACTOR: Final = "calwatch"
"""Who took a step that no person took."""


class Action(StrEnum):
    """A step in the life of a model's calibrators."""

    sentence: str

    def __new__(cls, word: str, sentence: str = "") -> Self:
        """Make a step with the word that is stored and a sentence that explains it."""
        action = str.__new__(cls, word)
        action._value_ = word
        action.sentence = sentence
        return action

    REGISTER = "register", "A refit gave a new version."
    REFUSE = "refuse", "A refit gave no version."
    PROPOSE = "propose", "The version waits for a person's decision."
    PROPOSAL_BETTER = "proposal_better", "On live labels the version that waits is better than the champion."
    PROPOSAL_WORSE = "proposal_worse", "On live labels the version that waits is worse than the champion."
    REJECT = "reject", "A person rejected the version, which is on trial or waits no more."
    SHADOW = "shadow", "The version is scored on live labels and serves nothing."
    SHADOW_BETTER = "shadow_better", "In the shadow the version is better than the champion."
    SHADOW_WORSE = "shadow_worse", "In the shadow the version is worse than the champion, and is dismissed."
    CANARY = "canary", "The version serves a share of traffic."
    CANARY_WAITS = "canary_waits", "The canary still has too few labels for a decision."
    CANARY_STOP = "canary_stop", "The canary is worse than the champion, or no better, and is dismissed."
    CANARY_END = "canary_end", "The canary serves no traffic any more and waits for a person's decision."
    PROMOTE = "promote", "The version became the champion."
    WATCH_WORSE = "watch_worse", "The champion is worse than what it replaced, and stays until a person decides."
    ROLLBACK = "rollback", "What the champion had replaced serves again."
    TESTS_BEGIN = "tests_begin", "The sequential tests began anew with a release whose tests are others."
    DELETE = (
        "delete",
        "The model was deleted with all its data but this log; what follows is of another model of the same name.",
    )


EXPLAINED = "; ".join(f"`{action}`: {action.sentence.rstrip('.')}" for action in Action)


class Detail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The grounds of a step; each step has some of these fields."""

    number: Annotated[int | None, Meta(description="the version that the step is about")] = None
    method: str | None = None
    sha256: str | None = None
    fitted_from: FittedFrom | None = None
    gate: Annotated[RefusedGate | UnsetType | None, Meta(description="of a refusal; null: nothing was judged")] = UNSET
    reason: str | None = None
    held: Annotated[str | None, Meta(description="why a person must decide")] = None
    share: Annotated[float | None, Meta(description="of traffic, that a canary serves")] = None
    replaced: Annotated[int | UnsetType | None, Meta(description="null: no calibrator")] = UNSET
    restored: Annotated[int | UnsetType | None, Meta(description="null: no calibrator")] = UNSET
    event_time: Annotated[
        Moment | None,
        Meta(
            description="of the first predictions that the change may serve; of a rejection: up to which alerts are answered by it"
        ),
    ] = None
    against: Annotated[int | UnsetType | None, Meta(description="null: no calibrator")] = UNSET
    trial: TrialRecord | None = None
    decisions: list[DecisionImpact] | None = None


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step: who took it, when, and on what grounds."""

    at: Moment
    actor: str
    action: Annotated[Action, Meta(description=EXPLAINED)]
    detail: Detail


def log(connection: Connection, model_id: int, *, at: int, actor: str, action: Action, detail: Detail) -> None:
    """Append an entry."""
    name = select(model.c.name).where(model.c.id == model_id).scalar_subquery()
    text = msgspec.json.encode(detail).decode()
    connection.execute(
        insert(audit).values(model_id=model_id, model=name, at=at, actor=actor, action=action.value, detail=text)
    )


def entries(connection: Connection, model_id: int) -> list[Entry]:
    """Return the log of a model, oldest first."""
    return _entries(connection, audit.c.model_id == model_id)


def entries_of_name(connection: Connection, name: str) -> list[Entry]:
    """Return the log of all models that have had a name, oldest first; each but the last was deleted."""
    return _entries(connection, audit.c.model == name)


def _entries(connection: Connection, which: ColumnElement[bool]) -> list[Entry]:
    rows = connection.execute(select(audit).where(which).order_by(audit.c.id))
    decode = msgspec.json.Decoder(Detail).decode
    return [
        Entry(at=moment(row.at), actor=row.actor, action=Action(row.action), detail=decode(row.detail)) for row in rows
    ]
