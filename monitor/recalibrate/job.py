"""On a breach, fit candidates on recent matured raw scores, judge them on later ones, register what passes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs
from sqlalchemy import Connection

from ..calibrators.families import from_document
from ..domain.alerts import MISCALIBRATION
from ..domain.names import CHALLENGER, CHAMPION
from ..domain.settings import RATIO, Model
from ..stats.onset import Gaps, latest_onset, lower_bound
from ..stats.outcomes import Count, interval
from ..store import alerts, audit, models, rollups, versions
from ..store.audit import ACTOR, Action, Detail
from ..store.calibrators import Calibrator, Fitted, RefusedGate
from ..store.engine import Database
from ..store.impact import DecisionImpact
from ..store.lease import hold
from ..store.versions import Alias, Attempt
from ..windows.clock import Clocked, clocked
from ..windows.ranges import first_after, widened
from ..windows.rows import of_version
from ..windows.samples import Sample, Segments, held_out_segments, raw_sample
from . import baseline, decisions, registry, regression
from .outcomes import Refitted, Refused
from .refit import HOLDOUT, Outcome, described, tried

LABELS_FACTOR: Final = 3
"""A refit waits for this multiple of the model's minimum of labels since the breach began: with fewer, fits are less exact, and the gate
passes fewer of those that would help."""

LOOKBACK: Final = 4
"""Multiple of the longest window that a refit looks back for labels, so that models with few labels are repaired too."""

NEW_SHARE: Final = 0.1
"""The least share of a refit's labels whose predictions matured since the last attempt."""

STILL_OFF: Final = 0.8
"""The champion counts as wrong where the lower bound of its error is above this share of the threshold; below it an alert would end."""

LEVEL: Final = 0.05
"""Error rate of that lower bound."""

FIRST: Final = {
    Action.CANARY: "it serves a share of traffic first",
    Action.SHADOW: "it is scored on live labels without serving",
}
"""What a version does before its promotion, by the step that the audit log takes."""


def champion_document(connection: Connection, model: Model) -> Calibrator | None:
    """Return the calibrator in service, None for none."""
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    if champion is None or champion.number is None:
        return None
    return versions.document(connection, model.id, champion.number)


def conclude(
    connection: Connection, clock: Clocked, outcome: Outcome, *, promote: bool | None, actor: str, now: int
) -> Refitted | Refused:
    """Register the result of a refit, and promote or propose it as the policy says."""
    model = clock.model
    if outcome.fitted is None or isinstance(outcome.gate, RefusedGate):
        gate = outcome.gate if isinstance(outcome.gate, RefusedGate) else None
        detail = Detail(reason=outcome.reason, gate=gate, fitted_from=outcome.fitted_from)
        audit.log(connection, model.id, at=now, actor=actor, action=Action.REFUSE, detail=detail)
        return Refused(number=None, promoted=False, reason=outcome.reason, gate=gate)
    document = registry.register(
        connection,
        model,
        outcome.fitted,
        fitted_from=outcome.fitted_from,
        gate=outcome.gate,
        actor=actor,
        now=now,
    )
    impact = decisions.impact_of(connection, clock, document, champion_document(connection, model), now=now)
    step = _next_step(model, outcome, promote=promote)
    if step is not None:
        _take(connection, model, document.number, step, outcome=outcome, impact=impact, actor=actor, now=now)
    reason = f"{outcome.reason}; {FIRST[step]}" if step in FIRST else outcome.reason
    promoted = step is Action.PROMOTE
    return Refitted(**structs.asdict(document), promoted=promoted, reason=reason, decisions=impact)


def _next_step(model: Model, outcome: Outcome, *, promote: bool | None) -> Action | None:
    """Return the next step of a fitted version, None for one that only a person can promote."""
    settings = model.settings
    if not outcome.passed:
        return None
    if promote:
        return Action.PROMOTE
    if settings.recalibration == "shadow" and promote is None:
        return Action.SHADOW
    if settings.recalibration != "auto" or promote is False or outcome.held is not None:
        return Action.PROPOSE
    return Action.CANARY if settings.canary else Action.PROMOTE


def _take(
    connection: Connection,
    model: Model,
    number: int,
    step: Action,
    *,
    outcome: Outcome,
    impact: list[DecisionImpact],
    actor: str,
    now: int,
) -> None:
    # As it stands now: predictions during the fit do not count for the new version.
    progress = models.progress_of(connection, [model.id])[model.id]
    if step is Action.PROMOTE:
        grounds = Detail(decisions=impact or None)
        registry.promote(
            connection, model, number, progress, actor=actor, now=now, reason=outcome.reason, grounds=grounds
        )
    elif step is Action.PROPOSE:
        registry.propose(connection, model, number, progress, actor=actor, now=now, held=outcome.held)
    else:
        put_on_trial = registry.canary if step is Action.CANARY else registry.shadow
        put_on_trial(connection, model, number, progress, actor=actor, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A miscalibration alert that calls for a refit, and the labels to fit on."""

    version: str
    start: int
    end: int
    sample: Sample
    others: Mapping[str, Sample]  # of the other versions, by name
    segments: Segments  # declared ones, held out
    champion: Alias | None  # at the time
    incumbent: Calibrator | None  # its calibrator


def breach_of(connection: Connection, clock: Clocked) -> Breach | None:
    """Return the breach to answer now, the one with most labels of several versions'; None where there is none.

    There is none without a firing alert; with too few labels since the last attempt or since the breach began; after a person's rollback;
    after a rejection until an alert fires anew; and while a challenger that answers it waits or is on trial. Labels from before the last
    promotion do not count.
    """
    model = clock.model
    aliases = versions.aliases(connection, model.id)
    firing = unanswered(connection, model, firing_versions(connection, model), aliases.get(CHALLENGER))
    last = versions.attempt(connection, model.id)
    if not firing or not is_due(clock, last):
        return None
    champion = aliases.get(CHAMPION)
    start, end = _range(clock, champion)
    if start >= end:
        return None
    incumbent = champion_document(connection, model)
    samples = {
        name: _answer(model, raw_sample(connection, clock, start, end, of_version(name)), incumbent, last)
        for name in sorted(firing)
    }
    enough = {name: sample for name, sample in samples.items() if sample is not None}
    if not enough:
        return None
    version = max(enough, key=lambda name: enough[name].labels)
    sample = enough[version]
    began = int(sample.at.min())
    beside = {key.version for key in rollups.series_ids(connection, model.id)} - {version}
    return Breach(
        version=version,
        start=began,
        end=end,
        sample=sample,
        others={name: raw_sample(connection, clock, began, end, of_version(name)) for name in sorted(beside)},
        segments=held_out_segments(connection, clock, sample, holdout=HOLDOUT, end=end, version=version),
        champion=champion,
        incumbent=incumbent,
    )


def firing_versions(connection: Connection, model: Model) -> dict[str, int]:
    """Return the versions with a firing miscalibration alert, and since when the newest of their alerts fires."""
    firing: dict[str, int] = {}
    for (kind, _, version, segment), (fires, since) in alerts.states(connection, model.id).items():
        if fires and kind == MISCALIBRATION and segment == "":
            firing[version] = max(firing.get(version, since), since)
    return firing


def unanswered(connection: Connection, model: Model, firing: Mapping[str, int], challenger: Alias | None) -> set[str]:
    """Return the versions with an alert that neither a rejection nor the challenger answers."""
    rejected = registry.rejected_until(connection, model.id)
    if rejected is not None:
        firing = _fired_after(firing, rejected)
    if challenger is None or challenger.since_event_time is None or not _answers(connection, model, challenger):
        return set(firing)
    return set(_fired_after(firing, challenger.since_event_time))


def _fired_after(firing: Mapping[str, int], moment: int) -> dict[str, int]:
    answered = first_after(moment, None)  # windows end with the minute of the newest event
    return {version: since for version, since in firing.items() if since > answered}


def _answers(connection: Connection, model: Model, challenger: Alias) -> bool:
    """Return whether a challenger answers breaches: not one that was there before `auto` was switched on."""
    if model.settings.recalibration != "auto" or challenger.share is not None:
        return True
    return challenger.number is not None and registry.is_held(connection, model.id, challenger.number)


def is_due(clock: Clocked, last: Attempt | None) -> bool:
    """Return whether enough labels for another attempt have come since the last."""
    if last is None:
        return True
    return not last.waits_for_person and clock.progress.labels >= last.labels + clock.model.settings.minimum_labels


def _range(clock: Clocked, champion: Alias | None) -> tuple[int, int]:
    """Return the range to look for labels in: a few of the longest window, nothing from before the last promotion."""
    end = clock.matured_until
    if end is None:
        return 0, 0
    kept = clock.progress.minutes_from
    start, _ = widened(end - LOOKBACK * clock.model.settings.longest_window, end, kept)
    promoted = None if champion is None else champion.since_event_time
    return (start if promoted is None else max(start, first_after(promoted, kept))), end


def since_breach(connection: Connection, clock: Clocked, sample: Sample, incumbent: Calibrator | None) -> Sample:
    """Return the rows of a sample since the present breach began, as a refit by itself takes them; none from before the last promotion."""
    start, _ = _range(clock, versions.aliases(connection, clock.model.id).get(CHAMPION))
    recent = sample.since(start)
    if not recent.labels:
        return sample
    return recent.since(latest_onset(_gaps(clock.model, recent, incumbent)))


def _answer(model: Model, sample: Sample, incumbent: Calibrator | None, last: Attempt | None) -> Sample | None:
    """Return the labels since a version went wrong, where they are enough and new enough and the champion is wrong on them; else None.

    An alert is about what was served. Where clients lag behind a promotion, or do not apply the champion, the champion may be right all
    the same, and another fit would not help.
    """
    if not sample.labels:
        return None
    settings = model.settings
    gaps, bound_of = _gaps(model, sample, incumbent), lower_bound
    if model.task == "regression":
        bound_of = regression.lower_bound
    began = latest_onset(gaps)
    since = sample.since(began)
    if since.labels < LABELS_FACTOR * settings.minimum_labels:
        return None
    fresh = since.labels if last is None else since.since(last.attempted_at).labels
    if fresh < max(settings.minimum_labels, NEW_SHARE * since.labels):
        return None
    bound = bound_of(gaps.since(began), LEVEL)
    off = bound is not None and bound > STILL_OFF * settings.thresholds["ece"]
    limit = settings.thresholds.get(RATIO) if model.task == "binary" else None
    return since if off or _is_beyond(gaps.since(began), limit) else None


def _is_beyond(gaps: Gaps, limit: float | None) -> bool:
    """Return whether outcomes happen more or less often than a limit of observed over expected allows, or nearly so."""
    if limit is None:
        return False
    counted = Count(labels=round(gaps.n.sum()), observed=float(gaps.sy.sum()), expected=float(gaps.sp.sum()))
    (low, high), clear = interval(counted, LEVEL), float(limit**STILL_OFF)
    return low > clear or high < 1.0 / clear


def _gaps(model: Model, sample: Sample, incumbent: Fitted | None) -> Gaps:
    """Return the gaps between what the champion would have served and the labels."""
    if model.task == "regression":
        return regression.gaps_of(sample, incumbent)
    served = sample.x if incumbent is None else from_document(incumbent.working_part).predict_proba(sample.x)
    return Gaps.of(sample.at, served, sample.y, sample.weight)


def answer_breach(database: Database, token: int, model: Model, now: int) -> Refitted | Refused | None:
    """Refit on a model's breach, or its first calibrator on the validation set; return the result, None where nothing was due."""
    if model.settings.recalibration == "off":
        return None
    with database.read() as connection:
        breach = breach_of(connection, clocked(connection, model, now)) if firing_versions(connection, model) else None
    if breach is None:
        return _first(database, token, model, now)
    outcome = _tried(model, breach)
    with database.write(patient=True) as connection:
        hold(connection, token)
        if not stands(connection, model, breach):
            return None
        clock = clocked(connection, model, now)
        before = versions.attempt(connection, model.id) or Attempt(attempted_at=0, labels=0, waits_for_person=False)
        attempt = replace(before, attempted_at=breach.end, labels=clock.progress.labels)
        versions.note_attempt(connection, model.id, attempt)
        return conclude(connection, clock, outcome, promote=None, actor=ACTOR, now=now)


def _first(database: Database, token: int, model: Model, now: int) -> Refitted | Refused | None:
    """Fit a model's first calibrator on its validation set; return the result, None where that was not due."""
    with database.read() as connection:
        first = baseline.first(connection, clocked(connection, model, now), now)
    if first is None:
        return None
    outcome = baseline.fitted(model, first)
    with database.write(patient=True) as connection:
        hold(connection, token)
        if not baseline.noted(connection, model, first):
            return None
        clock = clocked(connection, model, now)
        return conclude(connection, clock, outcome, promote=None, actor=ACTOR, now=now)


def stands(connection: Connection, model: Model, breach: Breach) -> bool:
    """Lock the model; return whether nobody promoted, rolled back or changed settings during the fit."""
    now = models.by_name(connection, model.name, lock=True)
    last = versions.attempt(connection, model.id)
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    person = last is not None and last.waits_for_person
    return now == model and champion == breach.champion and not person


def _tried(model: Model, breach: Breach) -> Outcome:
    outcome = tried(
        model,
        breach.sample,
        holdout=HOLDOUT,
        incumbent=breach.incumbent,
        others=breach.others,
        segments=breach.segments,
    )
    return described((breach.start, breach.end), breach.version, outcome, HOLDOUT)
