"""Trials: calibrators beside each other on live labels, and what follows from that without anyone.

After every promotion the champion is watched beside what it replaced; a challenger (a proposal, one in the shadow, or a canary) is held
against the champion. Both are maps of the model's own scores, so that every labelled event with a raw score counts, whichever of them
served it. A bucket counts once, when it has matured, with the labels that it has then: labels that come later are left out.

Events of a cluster share their luck and bet together, in buckets of minutes that the sequential tests have not taken in yet; this is why
trials run before those, and leave out what those took in before. Of vectors and distributions, and where only some sources of labels may
judge, rows are read instead of sums, whole hours at a time; clusters are not told apart there.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection

from ..domain.records import Progress
from ..domain.settings import Model
from ..domain.times import rfc3339
from ..stats.sequential.comparison import Comparison
from ..store import audit, models, trials, versions
from ..store.audit import Action
from ..store.engine import Database
from ..store.lease import hold
from ..store.trials import Trial
from ..store.versions import CHALLENGER, CHAMPION, Alias
from ..windows.clock import Clocked, clocked
from ..windows.ranges import first_after, widened
from ..windows.sums import of_series
from . import decisions, registry
from .paired_scores import Maps, border_of, matured_pairs

log = logging.getLogger(__name__)

WATCH: Final = "watch"
PROPOSAL: Final = "proposal"
SHADOW: Final = "shadow"
CANARY: Final = "canary"

PATIENCE: Final = 4
"""A canary that is not better is stopped after so many times the model's minimum of labels; one that has fewer than the minimum says so
after so many of the longest window."""

ACTOR: Final = "calwatch"

FIGURES: Final = ("e_value_log", "e_value_log_better", "verdict")
UNDECIDED: Final = "undecided"


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two calibrators that are to be compared; None stands for identity."""

    role: str
    number: int
    against: int | None
    since: int  # later predictions count


def pairings(connection: Connection, model: Model) -> list[Pairing]:
    """Return which calibrators of a model are to be compared now: the champion first."""
    aliases = versions.aliases(connection, model.id)
    champion, challenger = aliases.get(CHAMPION), aliases.get(CHALLENGER)
    serving = None if champion is None else champion.number
    found = []
    if champion is not None and serving is not None:
        found.append(Pairing(WATCH, serving, registry.replaced(connection, model), _began(champion)))
    if challenger is not None and challenger.number not in {None, serving}:
        since = _began(challenger) if champion is None else max(_began(challenger), _began(champion))
        found.append(Pairing(_role(model, challenger), challenger.number or 0, serving, since))
    return found


def _began(alias: Alias) -> int:
    return alias.since if alias.since_event_time is None else alias.since_event_time


def _role(model: Model, challenger: Alias) -> str:
    if challenger.share is not None:
        return CANARY
    return SHADOW if model.settings.recalibration == "shadow" else PROPOSAL


def _stored(stored: Mapping[str, Trial], pairing: Pairing) -> Trial | None:
    """Return the stored trial of a pairing, under whatever role: other settings do not begin it afresh."""
    return next((trial for trial in stored.values() if _is_of(trial, pairing)), stored.get(pairing.role))


def _is_of(trial: Trial, pairing: Pairing) -> bool:
    return (trial.number, trial.against, trial.since) == (pairing.number, pairing.against, pairing.since)


def goes_on(stored: Trial | None, pairing: Pairing) -> Trial:
    """Return a trial as it stands, begun where there is none of this pairing or its state can't be read."""
    same = stored is not None and _is_of(stored, pairing)
    if stored is not None and same:
        try:
            Comparison.from_bytes(stored.state)
        except ValueError as error:
            log.warning("the trial of calibrator %s begins afresh: %s", pairing.number, error)
        else:
            return replace(stored, role=pairing.role)
    return Trial(
        role=pairing.role,
        number=pairing.number,
        against=pairing.against,
        since=pairing.since,
        until=stored.until if stored is not None and same else 0,
        fields={},
        state=Comparison.begin().to_bytes(),
    )


def advanced(connection: Connection, clock: Clocked, before: Trial) -> Trial:
    """Return a trial after what has matured next."""
    model = clock.model
    at = before.until or first_after(before.since, clock.progress.minutes_from)
    if before.fields and border_of(connection, clock) <= at:
        return before
    own, other = (_document(connection, model, number) for number in (before.number, before.against))
    maps = Maps.of(model, own, other)
    steps, until = matured_pairs(connection, clock, at, maps)
    found = Comparison.from_bytes(before.state)
    highest = before.fields.get("e_value_log", 0.0), before.fields.get("e_value_log_better", 0.0)
    for step in steps:
        found = found.advanced(step, maps.bound)
        highest = max(highest[0], found.log_worse), max(highest[1], found.log_better)
    fields = {
        "labels": found.labels,
        "score": "crps" if model.task == "regression" else "brier",
        "own": found.score,
        "other": found.score_other,
        "e_value_log": highest[0],
        "e_value_log_better": highest[1],
        "verdict": _verdict(*highest, model.settings.false_alarm_rate),
        "said": before.fields.get("said", []),
    }
    return replace(before, until=until, fields=fields, state=found.to_bytes())


def _verdict(worse: float, better: float, alpha: float) -> str:
    """Return what is sure by the highest log e-values: what was sure once stays so, at the rate that is declared now."""
    border = -math.log(alpha)
    if worse >= border:
        return "worse"
    return "better" if better >= border else UNDECIDED


def shown(connection: Connection, model: Model) -> list[dict[str, Any]]:
    """Return what the trials that go on say now, under the names of the API."""
    stored = trials.of_model(connection, model.id).values()
    # What waited and was then promoted is watched from there on, under its new role before the next step stores it so.
    return [
        {"number": trial.number, "against": trial.against, **_shown(replace(trial, role=pairing.role))}
        for pairing in pairings(connection, model)
        for trial in stored
        if _is_of(trial, pairing)
    ]


def _shown(trial: Trial) -> dict[str, Any]:
    times = {"since": rfc3339(trial.since), "until": rfc3339(trial.until)}
    return {"role": trial.role, **times, **_figures(trial.fields)}


def _figures(fields: Mapping[str, Any]) -> dict[str, Any]:
    scores = {
        name: fields[which] if fields["score"] == name.partition("_")[0] else None
        for name, which in (("brier", "own"), ("brier_other", "other"), ("crps", "own"), ("crps_other", "other"))
    }
    return {"labels": fields["labels"], **scores, **{name: fields[name] for name in FIGURES}}


SCORES: Final = {"brier": "Brier score", "crps": "CRPS"}


def _document(connection: Connection, model: Model, number: int | None) -> dict[str, Any] | None:
    return None if number is None else versions.document(connection, model.id, number)


def why(trial: Trial, model: Model) -> str:
    """Return in words and figures what a trial says."""
    fields = trial.fields
    word = {"worse": "surely worse than", "better": "surely better than"}.get(fields["verdict"], "held against")
    scores = ""
    if fields["labels"]:
        scores = f"{SCORES[fields['score']]} {fields['own']:.4f} against {fields['other']:.4f} on "
    log_e = fields["e_value_log_better" if fields["verdict"] == "better" else "e_value_log"]
    return (
        f"{_name(trial.number)} is {word} {_name(trial.against)}{', which it replaced' if trial.role == WATCH else ''}: "
        f"{scores}{fields['labels']} labelled predictions since {rfc3339(trial.since)}; "
        f"log e-value up to {log_e:.2f} where {-math.log(model.settings.false_alarm_rate):.2f} makes sure"
    )


def _name(number: int | None) -> str:
    return "no calibrator" if number is None else f"version {number}"


def _no_canary(model: Model) -> str | None:
    """Return by which setting a model has no canaries; None where it has."""
    settings = model.settings
    if settings.recalibration != "auto":
        return f"recalibration is {settings.recalibration}"
    return None if settings.canary else "canary is 0"


@dataclass(frozen=True, slots=True)
class _Acting:
    """One transaction in which a trial takes effect."""

    connection: Connection
    model: Model
    trial: Trial
    now: int

    def go(self) -> Trial | None:
        """Do what the trial calls for; return it as it goes on, or None where it is over."""
        return {WATCH: self._watch, CANARY: self._canary, SHADOW: self._shadow, PROPOSAL: self._proposal}[
            self.trial.role
        ]()

    def _watch(self) -> Trial | None:
        if self._verdict != "worse":
            return self.trial
        if self.model.settings.recalibration != "auto":
            return self._say(Action.WATCH_WORSE)
        registry.withdraw(
            self.connection, self.model, self._progress, actor=ACTOR, now=self.now, grounds=self._grounds()
        )
        return None

    def _shadow(self) -> Trial | None:
        if self._verdict == "worse":
            return self._dismiss(Action.SHADOW_WORSE)
        return self._say(Action.SHADOW_BETTER) if self._verdict == "better" else self.trial

    def _proposal(self) -> Trial | None:
        if self._verdict == UNDECIDED:
            return self.trial
        return self._say(Action.PROPOSAL_WORSE if self._verdict == "worse" else Action.PROPOSAL_BETTER)

    def _canary(self) -> Trial | None:
        fields, fewest = self.trial.fields, self.model.settings.minimum_labels
        declared = _no_canary(self.model)
        if declared:
            ended = f"{declared} now: it serves no share of traffic any more"
            registry.end_canary(self.connection, self.model, actor=ACTOR, now=self.now, grounds=self._grounds(ended))
            return replace(self.trial, role=PROPOSAL)
        if self._verdict == "worse":
            return self._dismiss(Action.CANARY_STOP)
        if fields["labels"] < fewest:
            return self._say(Action.CANARY_WAITS, f"fewer than {fewest} labels yet") if self._is_long() else self.trial
        if fields["own"] <= fields["other"]:
            self._promote()
            return None
        if fields["labels"] >= PATIENCE * fewest:
            return self._dismiss(Action.CANARY_STOP, f"no better after {PATIENCE} times {fewest} labels")
        return self.trial

    @property
    def _verdict(self) -> str:
        return str(self.trial.fields["verdict"])

    @property
    def _progress(self) -> Progress:
        return models.progress_of(self.connection, [self.model.id])[self.model.id]

    def _is_long(self) -> bool:
        return self.trial.until - self.trial.since > PATIENCE * self.model.settings.longest_window

    def _grounds(self, words: str = "") -> dict[str, Any]:
        """Return what the audit log keeps of the trial."""
        reason = f"{words}; {why(self.trial, self.model)}" if words else why(self.trial, self.model)
        return {"against": self.trial.against, "reason": reason, "trial": _shown(self.trial)}

    def _say(self, action: Action, words: str = "") -> Trial:
        """Note in the audit log, once, what moves nothing."""
        said = self.trial.fields["said"]
        if action in said:
            return self.trial
        detail = {"number": self.trial.number, **self._grounds(words)}
        audit.log(self.connection, self.model.id, at=self.now, actor=ACTOR, action=action, detail=detail)
        return replace(self.trial, fields=self.trial.fields | {"said": [*said, action]})

    def _dismiss(self, action: Action, words: str = "") -> Trial | None:
        grounds = self._grounds(words)
        registry.dismiss(
            self.connection, self.model, self._progress, action=action, actor=ACTOR, now=self.now, grounds=grounds
        )
        return None

    def _promote(self) -> None:
        grounds = self._grounds(f"as a canary it served {self._served()} predictions")
        reason = grounds.pop("reason")
        registry.promote(
            self.connection,
            self.model,
            self.trial.number or 0,
            self._progress,
            actor=ACTOR,
            now=self.now,
            reason=reason,
            grounds=grounds | self._impact(),
        )

    def _impact(self) -> dict[str, Any]:
        """Return what the version on trial does to declared decisions; nothing where none is declared."""
        if not self.model.settings.decisions:
            return {}
        documents = (
            _document(self.connection, self.model, number) for number in (self.trial.number, self.trial.against)
        )
        clock = clocked(self.connection, self.model, self.now)
        return {"decisions": decisions.impact_of(self.connection, clock, *documents, now=self.now)}

    def _served(self) -> int:
        """Return how many predictions the version on trial served."""
        found = of_series(
            self.connection,
            self.model,
            *widened(self.trial.since, self.trial.until, self._progress.minutes_from),
            lambda key: key.segment == "" and key.calibrator == self.trial.number,
        )
        return found.events


def step(database: Database, token: int, model: Model, now: int) -> bool:
    """Take what has matured next into a model's trials, and let them take effect; return whether there is more."""
    with database.read() as connection:
        stored, wanted = trials.of_model(connection, model.id), pairings(connection, model)
        if not stored and not wanted:
            return False
        clock = clocked(connection, model, now)
        before = {pairing.role: goes_on(_stored(stored, pairing), pairing) for pairing in wanted}
        after = {role: advanced(connection, clock, trial) for role, trial in before.items()}
    # A canary that may not become the champion any more serves nothing from now on, whether or not labels have matured since.
    if after == stored and not (CANARY in after and _no_canary(model)):
        return False
    with database.write(patient=True) as connection:
        hold(connection, token)
        found = models.by_name(connection, model.name, lock=True)
        # Somebody may have moved an alias or changed settings meanwhile; then the next run begins with what holds now.
        if found != model or pairings(connection, found) != wanted:
            return False
        for role in stored.keys() - after.keys():
            trials.forget(connection, model.id, role)
        for role, trial in after.items():
            kept = _Acting(connection, found, trial, now).go()
            if kept is None or kept.role != role:
                trials.forget(connection, model.id, role)
            if kept is None:
                return True
            trials.save(connection, model.id, kept)
    return any(trial.until != before[role].until for role, trial in after.items())


def judge_trials(database: Database, token: int, model: Model, now: int) -> int:
    """Take all that has matured into a model's trials; return in how many transactions."""
    if model.task is None:
        return 0
    taken = 0
    while step(database, token, model, now):
        taken += 1
    return taken
