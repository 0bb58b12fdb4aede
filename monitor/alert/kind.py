"""A kind of alert: its sentence and its rule, and the data that its alarms are judged from."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ..domain.alerts import Alarm, Alert, State
from ..domain.drift import Drift
from ..domain.evaluations import Evaluation
from ..domain.settings import Model, ModelSettings
from ..windows.clock import Clocked
from .transitions import Finding

Watched = tuple[str, str]
"""Window and segment of an alarm; every version has one of its own, unless the kind is of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A model whose alarms are judged, with the data that this needs."""

    connection: Connection
    clock: Clocked
    now: int
    states: Mapping[Alarm, State]
    evaluations: Sequence[tuple[str, Evaluation]]  # the newest of each version as a whole, with the window
    drifts: Sequence[tuple[str, Drift]]
    promoted: int | None  # when what serves now began to, in event time

    @property
    def model(self) -> Model:
        """The model."""
        return self.clock.model

    @property
    def settings(self) -> ModelSettings:
        """Its settings."""
        return self.clock.model.settings

    def versions(self) -> set[str]:
        """Return the versions that have traffic."""
        evaluated = {evaluation.version or "" for _, evaluation in self.evaluations}
        return evaluated | {drift.version or "" for _, drift in self.drifts}

    def fires(self, alarm: Alarm) -> bool:
        """Return whether an alarm fires."""
        state = self.states.get(alarm)
        return state is not None and state.firing

    def firing(self, kind: str) -> Iterator[tuple[Alarm, int]]:
        """Yield each alarm of a kind that fires on a version as a whole, and since when."""
        for alarm, state in self.states.items():
            if state.firing and (alarm.kind, alarm.segment) == (kind, ""):
                yield alarm, state.since


def as_found(_watch: Watch, finding: Finding) -> Finding:
    """Return a finding that fires as it is."""
    return finding


def nothing_else(_connection: Connection, _model_id: int, _alert: Alert) -> None:
    """Change nothing but the alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of alert."""

    name: str  # in the API, in Prometheus and in the store
    sentence: str  # when it fires
    watched: Callable[[ModelSettings], Iterable[Watched]]
    findings: Callable[[Watch], Iterator[Finding]]
    fired: Callable[[Watch, Finding], Finding] = as_found  # what is found out only where it fires
    recorded: Callable[[Connection, int, Alert], None] = nothing_else  # what a transition changes besides
    of_model: bool = False  # one alarm of the model as a whole, with or without traffic, not one of each version
