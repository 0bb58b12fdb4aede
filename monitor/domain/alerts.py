"""Changes of an alarm's state, and their evidence."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from .quantities import Moment
from .times import moment

FIRING: Final = "firing"
RESOLVED: Final = "resolved"

MISCALIBRATION: Final = "miscalibration"
"""The kind of alert that a refit answers."""

SEGMENT: Final = "segment"
"""The kind of alert that names segments which are off, one of each version."""


class Alarm(NamedTuple):
    """The identity of an alarm, which has a state of its own."""

    kind: str
    window: str
    version: str
    segment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """The time that an alarm fires, in event time."""

    alarm: Alarm
    since: int
    until: int | None = None  # None while it fires
    segments: tuple[str, ...] = ()  # that it names


class State(NamedTuple):
    """The state of an alarm, and its time in event time."""

    firing: bool
    since: int


class Evidence(Struct, frozen=True, kw_only=True):
    """Evidence of a transition; each kind of alert adds its own fields."""

    summary: str = ""  # one or two sentences for a person


Shape = TypeVar("Shape", bound=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A new transition of an alarm."""

    at: int  # in event time
    alarm: Alarm
    state: str  # firing or resolved
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAlert:
    """A stored transition of an alarm, of this or an earlier version."""

    at: int  # in event time
    kind: str
    state: Literal["firing", "resolved"]
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]  # JSON of the kind's evidence

    @property
    def summary(self) -> str:
        """The summary for a person."""
        return str(self.evidence.get("summary", ""))

    @property
    def named_segments(self) -> tuple[str, ...]:
        """The segments that its evidence names."""
        return tuple(fault["segment"] for fault in self.evidence.get("segments", ()))

    def evidence_as(self, shape: type[Shape]) -> Shape:
        """Return the evidence as that of its kind."""
        return msgspec.convert(self.evidence, shape)

    def shown(self) -> "Transition":
        """Return the answer of the API."""
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
    """A transition of an alert."""

    at: Annotated[Moment, Meta(description="in event time")]
    kind: str
    state: Literal["firing", "resolved"]
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]
