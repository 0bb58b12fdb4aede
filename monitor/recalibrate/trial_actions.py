"""Act on trials: roll back, promote, dismiss, or log the verdict."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs
from sqlalchemy import Connection

from ..domain.names import version_name
from ..domain.records import Progress
from ..domain.settings import Model
from ..domain.times import moment, rfc3339
from ..store import audit, models
from ..store.audit import ACTOR, Action, Detail
from ..store.impact import DecisionImpact
from ..store.trials import Findings, Role, TrialRecord, TrialState
from ..windows.clock import clocked
from ..windows.ranges import widened
from ..windows.sums import of_series
from . import decisions, registry
from .naming import calibrator_of

WATCH: Final[Role] = "watch"
PROPOSAL: Final[Role] = "proposal"
SHADOW: Final[Role] = "shadow"
CANARY: Final[Role] = "canary"

PATIENCE: Final = 4
"""A canary that is not better is stopped after this multiple of the model's minimum of labels; one with fewer than the minimum says so
after this multiple of the longest window."""

SCORES: Final = {"brier": "Brier score", "crps": "CRPS"}
VERDICTS: Final = {"worse": "is worse than", "better": "is better than", "undecided": "is compared with"}


def record(trial: TrialState, findings: Findings) -> TrialRecord:
    """Return the findings of a trial as they are answered and kept in the audit log."""
    own, other, is_brier = findings.own, findings.other, findings.score == "brier"
    return TrialRecord(
        role=trial.role,
        since=moment(trial.since),
        until=moment(trial.until),
        labels=findings.labels,
        brier=own if is_brier else None,
        brier_other=other if is_brier else None,
        crps=None if is_brier else own,
        crps_other=None if is_brier else other,
        e_value_log=findings.e_value_log,
        e_value_log_better=findings.e_value_log_better,
        verdict=findings.verdict,
    )


def reason_of(trial: TrialState, findings: Findings, model: Model) -> str:
    """Return the verdict of a trial in words and figures."""
    log_e = findings.e_value_log_better if findings.verdict == "better" else findings.e_value_log
    return (
        f"{version_name(trial.number)} {VERDICTS[findings.verdict]} {version_name(trial.against)}"
        f"{', which it replaced' if trial.role == WATCH else ''}: {_scores(findings)}{findings.labels} labelled predictions since "
        f"{rfc3339(trial.since)}; log e-value up to {log_e:.2f} ({-math.log(model.settings.false_alarm_rate):.2f} decides)"
    )


def _scores(findings: Findings) -> str:
    if findings.own is None or findings.other is None:
        return ""
    return f"{SCORES[findings.score]} {findings.own:.4f} against {findings.other:.4f} on "


def no_canary(model: Model) -> str | None:
    """Return the setting by which a model has no canaries; None where it has."""
    settings = model.settings
    if settings.recalibration != "auto":
        return f"recalibration is {settings.recalibration}"
    return None if settings.canary else "canary is 0"


def take_effect(connection: Connection, model: Model, trial: TrialState, now: int) -> TrialState | None:
    """Act on a trial; return it where it goes on, None where it is over."""
    if trial.findings is None:
        return trial
    return _Acting(connection=connection, model=model, trial=trial, findings=trial.findings, now=now).go()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Acting:
    """A trial and the transaction in which it takes effect."""

    connection: Connection
    model: Model
    trial: TrialState
    findings: Findings
    now: int

    def go(self) -> TrialState | None:
        """Act by the trial's role."""
        actions: dict[Role, Callable[[], TrialState | None]] = {
            "watch": self._watch,
            "canary": self._canary,
            "shadow": self._shadow,
            "proposal": self._proposal,
        }
        return actions[self.trial.role]()

    def _watch(self) -> TrialState | None:
        if self.findings.verdict != "worse":
            return self.trial
        if self.model.settings.recalibration != "auto":
            return self._say(Action.WATCH_WORSE)
        registry.withdraw(
            self.connection, self.model, self._progress, actor=ACTOR, now=self.now, grounds=self._grounds()
        )
        return None

    def _shadow(self) -> TrialState | None:
        if self.findings.verdict == "worse":
            return self._dismiss(Action.SHADOW_WORSE)
        return self._say(Action.SHADOW_BETTER) if self.findings.verdict == "better" else self.trial

    def _proposal(self) -> TrialState | None:
        if self.findings.verdict == "undecided":
            return self.trial
        return self._say(Action.PROPOSAL_WORSE if self.findings.verdict == "worse" else Action.PROPOSAL_BETTER)

    def _canary(self) -> TrialState | None:
        findings, fewest = self.findings, self.model.settings.minimum_labels
        declared = no_canary(self.model)
        if declared:
            grounds = self._grounds(f"{declared} now: it serves no traffic any more")
            registry.end_canary(self.connection, self.model, actor=ACTOR, now=self.now, grounds=grounds)
            return replace(self.trial, role=PROPOSAL)
        if findings.verdict == "worse":
            return self._dismiss(Action.CANARY_STOP)
        if findings.labels < fewest or findings.own is None or findings.other is None:
            return self._say(Action.CANARY_WAITS, f"fewer than {fewest} labels yet") if self._is_long() else self.trial
        if findings.own <= findings.other:
            self._promote()
            return None
        if findings.labels >= PATIENCE * fewest:
            return self._dismiss(Action.CANARY_STOP, f"no better after {PATIENCE} times {fewest} labels")
        return self.trial

    @property
    def _progress(self) -> Progress:
        return models.progress_of(self.connection, [self.model.id])[self.model.id]

    def _is_long(self) -> bool:
        return self.trial.until - self.trial.since > PATIENCE * self.model.settings.longest_window

    def _reason(self, words: str = "") -> str:
        verdict = reason_of(self.trial, self.findings, self.model)
        return f"{words}; {verdict}" if words else verdict

    def _grounds(self, words: str = "") -> Detail:
        """Return the trial for the audit log."""
        trial = record(self.trial, self.findings)
        return Detail(against=self.trial.against, reason=self._reason(words), trial=trial)

    def _say(self, action: Action, words: str = "") -> TrialState:
        """Log a verdict that moves nothing, once."""
        if action in self.findings.said:
            return self.trial
        detail = structs.replace(self._grounds(words), number=self.trial.number)
        audit.log(self.connection, self.model.id, at=self.now, actor=ACTOR, action=action, detail=detail)
        findings = structs.replace(self.findings, said=(*self.findings.said, action.value))
        return replace(self.trial, findings=findings)

    def _dismiss(self, action: Action, words: str = "") -> TrialState | None:
        grounds = self._grounds(words)
        registry.dismiss(
            self.connection, self.model, self._progress, action=action, actor=ACTOR, now=self.now, grounds=grounds
        )
        return None

    def _promote(self) -> None:
        words = f"as a canary it served {self._served()} predictions"
        registry.promote(
            self.connection,
            self.model,
            self.trial.number,
            self._progress,
            actor=ACTOR,
            now=self.now,
            reason=self._reason(words),
            grounds=structs.replace(self._grounds(words), decisions=self._impact()),
        )

    def _impact(self) -> list[DecisionImpact] | None:
        """Return the impact of the version on trial on declared decisions, None where none is declared."""
        if not self.model.settings.decisions:
            return None
        candidate, incumbent = (
            calibrator_of(self.connection, self.model, number) for number in (self.trial.number, self.trial.against)
        )
        clock = clocked(self.connection, self.model, self.now)
        return decisions.impact_of(self.connection, clock, candidate, incumbent, now=self.now)

    def _served(self) -> int:
        """Return the number of predictions that the version on trial served."""
        served = of_series(
            self.connection,
            self.model,
            *widened(self.trial.since, self.trial.until, self._progress.minutes_from),
            lambda key: key.segment == "" and key.calibrator == self.trial.number,
        )
        return served.events
