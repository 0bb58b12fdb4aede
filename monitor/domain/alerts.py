"""Alerts: transitions of alarms, and what they rest on."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from .quantities import Moment
from .times import moment

FIRING: Final = "firing"
RESOLVED: Final = "resolved"


class Alarm(NamedTuple):
    """What has a state of its own."""

    kind: str
    window: str
    version: str
    segment: str


class State(NamedTuple):
    """An alarm as it was: whether it fires and since when, in event time."""

    firing: bool
    since: int


class Evidence(Struct, frozen=True, kw_only=True):
    """What a transition rests on; each kind of alert adds its own fields."""

    summary: str = ""  # one or two sentences for a person


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A transition of an alarm, as it is found."""

    at: int  # in event time
    alarm: Alarm
    state: str  # firing or resolved
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAlert:
    """A transition of an alarm, as it was stored by this or an earlier version."""

    at: int  # in event time
    kind: str
    state: Literal["firing", "resolved"]
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]  # JSON of the kind's evidence

    @property
    def summary(self) -> str:
        """What is said of it for a person."""
        return str(self.evidence.get("summary", ""))

    def shown(self) -> "Transition":
        """Return it as it is answered."""
        return Transition(
            at=moment(self.at),
            kind=self.kind,
            state=self.state,
            window=self.window,
            version=self.version,
            segment=self.segment,
            evidence=self.evidence,
        )


class Transition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A transition of an alarm."""

    at: Annotated[Moment, Meta(description="in event time")]
    kind: str
    state: Literal["firing", "resolved"]
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]
