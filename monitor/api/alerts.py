"""Alerts in answers: transitions, each of one of the kinds in `alert.kinds`."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from ..alert.kinds import KINDS
from ..domain.alerts import RecordedAlert, Transition

KIND = Meta(
    description="; ".join(f"`{kind.name}`: {kind.sentence.rstrip('.')}" for kind in KINDS),
    extra_json_schema={"enum": [kind.name for kind in KINDS]},
)


class AlertAnswer(Transition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A transition of an alert."""

    kind: Annotated[str, KIND]


def answered(alert: RecordedAlert) -> AlertAnswer:
    """Return a transition as it is answered."""
    return AlertAnswer(**asdict(alert.shown()))


class Alerts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Transitions, newest first."""

    alerts: list[AlertAnswer]
