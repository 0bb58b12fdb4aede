"""Two calibrators compared on live labels.

After a promotion the champion is compared with what it replaced; a challenger (a proposal, a shadow or a canary) with the champion. Both
are maps of the model's own scores, so every labelled event with a raw score counts, whichever calibrator served it. A bucket counts once,
when it has matured; labels that come later are left out.

Events of a cluster bet together, in buckets of minutes that the sequential tests have not taken in yet; so trials run before those tests,
and leave out what the tests took in before. For vectors and distributions, and where only trusted sources judge, rows are read instead of
sums, an hour at a time, and clusters are ignored.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from msgspec import Meta, structs
from scipy.stats import norm
from sqlalchemy import Connection

from ..domain.names import CHALLENGER, CHAMPION
from ..domain.quantities import Count
from ..domain.settings import Model
from ..stats.sequential.comparison import Comparison, Verdict, labels_to_verdict
from ..store import models, trials, versions
from ..store.calibrators import Calibrator
from ..store.engine import Database
from ..store.lease import hold
from ..store.trials import Findings, Role, TrialRecord, TrialState
from ..store.versions import Alias
from ..windows.clock import Clocked, clocked
from ..windows.ranges import first_after
from . import registry
from .naming import calibrator_of
from .paired_scores import Maps, border_of, matured_pairs
from .trial_actions import CANARY, PROPOSAL, SHADOW, WATCH, no_canary, record, take_effect

log = logging.getLogger(__name__)

GAINS: Final = ("log_loss_gain", "gain_in_std")
"""Gains that gates decide by, of probabilities and of distributions."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two calibrators to compare; None stands for no calibrator."""

    role: Role
    number: int
    against: int | None
    since: int  # later predictions count


def pairings(connection: Connection, model: Model) -> list[Pairing]:
    """Return the calibrators of a model to compare now, the champion first."""
    aliases = versions.aliases(connection, model.id)
    champion, challenger = aliases.get(CHAMPION), aliases.get(CHALLENGER)
    serving = None if champion is None else champion.number
    pairings = []
    if champion is not None and serving is not None:
        pairings.append(Pairing(WATCH, serving, registry.replaced(connection, model), _began(champion)))
    if challenger is not None and challenger.number not in {None, serving}:
        since = _began(challenger) if champion is None else max(_began(challenger), _began(champion))
        pairings.append(Pairing(_role(model, challenger), challenger.number or 0, serving, since))
    return pairings


def _began(alias: Alias) -> int:
    return alias.since if alias.since_event_time is None else alias.since_event_time


def _role(model: Model, challenger: Alias) -> Role:
    if challenger.share is not None:
        return CANARY
    return SHADOW if model.settings.recalibration == "shadow" else PROPOSAL


def _stored(stored: Mapping[str, TrialState], pairing: Pairing) -> TrialState | None:
    """Return the stored trial of a pairing under any role: a change of settings does not restart it."""
    return next((trial for trial in stored.values() if _is_of(trial, pairing)), stored.get(pairing.role))


def _is_of(trial: TrialState, pairing: Pairing) -> bool:
    return (trial.number, trial.against, trial.since) == (pairing.number, pairing.against, pairing.since)


def goes_on(stored: TrialState | None, pairing: Pairing) -> TrialState:
    """Return the trial of a pairing as stored; a new one where there is none, or its state cannot be read."""
    same = stored is not None and _is_of(stored, pairing)
    if stored is not None and same:
        try:
            Comparison.from_bytes(stored.state)
        except ValueError as error:
            log.warning("the trial of calibrator %s restarts: %s", pairing.number, error)
        else:
            return replace(stored, role=pairing.role)
    return TrialState(
        role=pairing.role,
        number=pairing.number,
        against=pairing.against,
        since=pairing.since,
        until=stored.until if stored is not None and same else 0,
        findings=None,
        state=Comparison.begin().to_bytes(),
    )


def advanced(connection: Connection, clock: Clocked, before: TrialState) -> TrialState:
    """Return a trial with the next matured labels taken in."""
    model = clock.model
    at = before.until or first_after(before.since, clock.progress.minutes_from)
    if before.findings is not None and border_of(connection, clock) <= at:
        return before
    own, other = (calibrator_of(connection, model, number) for number in (before.number, before.against))
    maps = Maps.of(model, own, other)
    steps, until = matured_pairs(connection, clock, at, maps)
    comparison = Comparison.from_bytes(before.state)
    earlier = before.findings
    worse, better = (0.0, 0.0) if earlier is None else (earlier.e_value_log, earlier.e_value_log_better)
    for step in steps:
        comparison = comparison.advanced(step, maps.bound)
        worse, better = max(worse, comparison.log_worse), max(better, comparison.log_better)
    findings = Findings(
        labels=comparison.labels,
        score="crps" if model.task == "regression" else "brier",
        own=comparison.score,
        other=comparison.score_other,
        e_value_log=worse,
        e_value_log_better=better,
        verdict=_verdict(worse, better, model.settings.false_alarm_rate),
        said=() if earlier is None else earlier.said,
    )
    return replace(before, until=until, findings=findings, state=comparison.to_bytes())


def _verdict(worse: float, better: float, alpha: float) -> Verdict:
    """Return the verdict by the highest log e-values so far, at the false alarm rate declared now."""
    border = -math.log(alpha)
    if worse >= border:
        return "worse"
    return "better" if better >= border else "undecided"


class Trial(TrialRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two calibrators side by side on live labels."""

    number: int
    against: Annotated[int | None, Meta(description="what it is compared with; null for no calibrator")]
    labels_needed: Annotated[
        Count | None,
        Meta(
            description="number of further labels for a verdict if the evidence grows as it did so far, or, before the first label, as "
            "it did on the held-out labels of the gate; null where that is too little",
        ),
    ]


def ongoing(connection: Connection, model: Model) -> list[Trial]:
    """Return the trials that go on, from the moment that their calibrator was promoted or put on trial."""
    stored = trials.of_model(connection, model.id).values()
    # A promoted challenger is watched from there on; the next step stores it under its new role.
    return [
        _shown(connection, model, replace(trial, role=pairing.role))
        for pairing in pairings(connection, model)
        for trial in [next((one for one in stored if _is_of(one, pairing)), goes_on(None, pairing))]
    ]


def _shown(connection: Connection, model: Model, trial: TrialState) -> Trial:
    alpha, findings = model.settings.false_alarm_rate, trial.findings
    if findings is None:
        needed = _labels_foreseen(versions.document(connection, model.id, trial.number), alpha)
        trial = replace(trial, until=max(trial.until, trial.since))
        findings = _begun(model)
    else:
        needed = _labels_needed(findings, alpha)
    return Trial(
        number=trial.number,
        against=trial.against,
        labels_needed=needed,
        **structs.asdict(record(trial, findings)),
    )


def _begun(model: Model) -> Findings:
    """Return the findings of a trial before its first label."""
    score: Literal["brier", "crps"] = "crps" if model.task == "regression" else "brier"
    return Findings(
        labels=0, score=score, own=None, other=None, e_value_log=0.0, e_value_log_better=0.0, verdict="undecided"
    )


def _labels_foreseen(document: Calibrator | None, alpha: float) -> int | None:
    """Return how many labels a trial takes if it goes on as held-out labels went; None where none judged.

    A gain that is z standard errors on n labels lets the logarithm of the e-value grow by about z²/2 on as many.
    """
    gate = None if document is None else document.gate
    if gate is None or gate.comparisons is None:
        return None
    gains = gate.comparisons.get("incumbent") or gate.comparisons["identity"]
    for name in GAINS:
        gain, low = gains.get(name), gains.get(f"{name}_lower_bound")
        if gain is not None and low is not None and gain > low:
            z = gain / (gain - low) * float(norm.isf(gate.level * (gate.share or 1.0)))
            return math.ceil(gate.rows * -math.log(alpha) / (z * z / 2.0))
    return None


def _labels_needed(findings: Findings, alpha: float) -> int | None:
    if findings.verdict != "undecided":
        return 0
    return labels_to_verdict(findings.labels, max(findings.e_value_log, findings.e_value_log_better), alpha)


def step(database: Database, token: int, model: Model, now: int) -> bool:
    """Take the next matured labels into a model's trials and let them take effect; return whether there are more."""
    with database.read() as connection:
        stored, wanted = trials.of_model(connection, model.id), pairings(connection, model)
        if not stored and not wanted:
            return False
        clock = clocked(connection, model, now)
        before = {pairing.role: goes_on(_stored(stored, pairing), pairing) for pairing in wanted}
        after = {role: advanced(connection, clock, trial) for role, trial in before.items()}
    # A canary that may no longer be promoted stops serving now, whether or not labels have matured.
    if after == stored and not (CANARY in after and no_canary(model)):
        return False
    with database.write(patient=True) as connection:
        hold(connection, token)
        locked = models.by_name(connection, model.name, lock=True)
        # Where somebody moved an alias or changed settings meanwhile, the next run starts from there.
        if locked != model or pairings(connection, locked) != wanted:
            return False
        for role in stored.keys() - after.keys():
            trials.forget(connection, model.id, role)
        for role, trial in after.items():
            kept = take_effect(connection, locked, trial, now)
            if kept is None or kept.role != role:
                trials.forget(connection, model.id, role)
            if kept is None:
                return True
            trials.save(connection, model.id, kept)
    return any(trial.until != before[role].until for role, trial in after.items())


def judge_trials(database: Database, token: int, model: Model, now: int) -> int:
    """Take all matured labels into a model's trials; return the number of transactions."""
    if model.task is None:
        return 0
    taken = 0
    while step(database, token, model, now):
        taken += 1
    return taken
