"""Recalibrate: on a breach fit candidates on recent matured raw scores, judge them on later ones, put the best in service."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from monitor import registry, windowed
from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.families import Calibrator, from_document, make
from monitor.calibrators.gate import GateResult, judge
from monitor.calibrators.ladder import ladder
from monitor.each import each_model
from monitor.errors import BadInput
from monitor.records import Model, SeriesKey
from monitor.sample import Gaps, Sample, joined, lower_bound, onset, raw_sample
from monitor.store import alerts, models, rollups
from monitor.store import registry as versions
from monitor.store.engine import Database
from monitor.store.lease import hold
from monitor.store.registry import CHALLENGER, CHAMPION, Alias, Attempt
from monitor.times import parse_duration, rfc3339
from monitor.windowed import Clocked
from monitor.windows import first_after, widened

log = logging.getLogger(__name__)

HOLDOUT: Final = 0.3
LABELS_FACTOR: Final = 3
"""A refit on a breach waits for so many times the model's minimum of labels since the breach began: with the default minimum, from an
ECE of .10, a fit is then left with one over .03 in under 1 of 100 cases, and with 1 of 60 for twice the minimum."""

LOOKBACK: Final = 4
"""How many of the longest window a refit looks back for labels, so that models with few of them are repaired too."""

NEW_SHARE: Final = 0.1
"""At least this share of a refit's labels are of predictions that matured since the last attempt."""

STILL_OFF: Final = 0.8
"""The champion counts as wrong where its own error is surely above this share of the threshold: below it an alarm would end."""

LEVEL: Final = 0.05

ACTOR: Final = "calwatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a refit came to."""

    fitted: dict[str, Any] | None  # method, task and parameters; None when nothing may serve
    gate: dict[str, Any] | None  # the evidence; None when nothing was held out
    reason: str  # for a person
    passed: bool
    fitted_from: dict[str, Any]


def refit(
    model: Model,
    sample: Sample,
    *,
    method: str,
    holdout: float,
    incumbent: dict[str, Any] | None,
    others: Mapping[str, Sample] = MappingProxyType({}),
) -> Outcome:
    """Fit on the earlier part of a sample and judge on the later; with nothing held out, fit on everything, unjudged.

    Parameters
    ----------
    model : whose task and classes decide what can be fitted
    sample : labelled raw scores
    method : a family, or `auto` for those that the number of labels allows, the simplest that passes
    holdout : share of the labels, the latest, that the gate judges on, in [0, 1)
    incumbent : the document of what serves now, None for identity
    others : labelled raw scores of other model versions, by name: the calibrator will serve them too, and must not harm one

    Raises
    ------
    BadInput
        when the method can't calibrate this task, or the sample can't be split.

    """
    methods, refusal = _methods(model, sample, method)
    if refusal is not None:
        return _refused(refusal, sample)
    if holdout <= 0:
        return _ungated(model, sample, methods)
    earlier, later = sample.split(holdout)
    return _gated(model, earlier, _Trial.of(later, others), methods, incumbent)


def _methods(model: Model, sample: Sample, method: str) -> tuple[Sequence[str], str | None]:
    classes = None if model.classes is None else len(model.classes)
    right = sample.right
    steps = ladder(model.task or "binary", right=right, wrong=sample.labels - right, classes=classes)
    if method != "auto":
        try:
            make(method, task=model.task or "binary", classes=classes)
        except ValueError as error:
            raise BadInput("method", method, str(error)) from error
        return (method,), steps.refusal
    return steps.methods, steps.refusal


def _refused(reason: str, sample: Sample) -> Outcome:
    return Outcome(fitted=None, gate=None, reason=reason, passed=False, fitted_from={"labels": sample.labels})


def _fit(model: Model, sample: Sample, method: str) -> Calibrator:
    classes = None if model.classes is None else len(model.classes)
    return make(method, task=model.task or "binary", classes=classes).fit(sample.x, sample.y, sample.weight)


def _ungated(model: Model, sample: Sample, methods: Sequence[str]) -> Outcome:
    reasons = []
    for method in methods:
        try:
            fitted = _fit(model, sample, method)
        except NotIdentified as error:
            reasons.append(f"{method}: {error}")
            continue
        return Outcome(
            fitted=fitted.to_document(),
            gate=None,
            reason="nothing was held out, so nothing was judged: only a person can promote this version",
            passed=False,
            fitted_from={"labels": sample.labels},
        )
    return _refused("; ".join(reasons), sample)


@dataclass(frozen=True, slots=True)
class _Trial:
    """What candidates are judged on: the held-out labels, those of other versions from the same time on among them."""

    sample: Sample
    held_out: int  # labels of the sample that was split
    segments: dict[str, Any]  # per version, which rows are of it; empty where only one version serves

    @classmethod
    def of(cls, later: Sample, others: Mapping[str, Sample]) -> "_Trial":
        beside = {name: each.since(int(later.at.min())) for name, each in others.items()}
        parts = {"": later, **{name: each for name, each in beside.items() if each.labels}}
        if len(parts) == 1:
            return cls(later, later.labels, {})
        owner = np.repeat(np.arange(len(parts)), [len(each.y) for each in parts.values()])
        segments = {f"model_version:{name}": owner == i for i, name in enumerate(parts) if i}
        return cls(joined(list(parts.values())), later.labels, segments)


def _gated(
    model: Model, earlier: Sample, trial: _Trial, methods: Sequence[str], incumbent: dict[str, Any] | None
) -> Outcome:
    source = {"labels": earlier.labels, "holdout_labels": trial.held_out}
    serving = None if incumbent is None else from_document(incumbent).predict_proba(trial.sample.x)
    judged: dict[str, Any] = {}
    reasons = []
    for method in methods:
        try:
            fitted = _fit(model, earlier, method)
        except NotIdentified as error:
            reasons.append(f"{method}: {error}")
            continue
        result = _judged(trial, fitted, serving, len(methods))
        judged[method] = result.evidence | {"passed": result.passed, "reason": result.reason}
        if result.passed:
            gate = {"passed": True, "method": method, **judged[method], "candidates_judged": list(judged)}
            return Outcome(
                fitted=fitted.to_document(), gate=gate, reason=result.reason, passed=True, fitted_from=source
            )
        reasons.append(f"{method}: {result.reason}")
    gate = {"passed": False, "candidates_judged": list(judged), "judged": judged}
    return Outcome(fitted=None, gate=gate, reason="; ".join(reasons), passed=False, fitted_from=source)


def _judged(trial: _Trial, fitted: Calibrator, serving: Any, candidates: int) -> GateResult:
    return judge(
        trial.sample.y,
        candidate=fitted.predict_proba(trial.sample.x),
        identity=trial.sample.x,
        incumbent=serving,
        sample_weight=trial.sample.weight,
        candidates=candidates,
        segments=trial.segments,
    )


def champion_document(connection: Connection, model: Model) -> dict[str, Any] | None:
    """Return the document of what serves now, None for identity."""
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    if champion is None or champion.number is None:
        return None
    return versions.document(connection, model.id, champion.number)


def conclude(
    connection: Connection, clock: Clocked, outcome: Outcome, *, promote: bool | None, actor: str, now: int
) -> dict[str, Any]:
    """Register what a refit came to, and promote or propose it as the policy says; return the answer of the API."""
    model = clock.model
    if outcome.fitted is None:
        detail = {"reason": outcome.reason, "gate": outcome.gate, "fitted_from": outcome.fitted_from}
        versions.log(connection, model.id, at=now, actor=actor, action="refuse", detail=detail)
        return {"number": None, "promoted": False, "reason": outcome.reason, "gate": outcome.gate}
    document = registry.register(
        connection,
        model,
        outcome.fitted,
        fitted_from=outcome.fitted_from,
        gate=outcome.gate,
        actor=actor,
        now=now,
    )
    wanted = model.settings.recalibration == "auto" if promote is None else promote
    promoted = wanted and outcome.passed
    if promoted:
        # How far traffic has come by now: what was served during the fit does not count for the new version.
        progress = models.progress_of(connection, [model.id])[model.id]
        registry.promote(connection, model, document["number"], progress, actor=actor, now=now, reason=outcome.reason)
    elif outcome.passed:
        registry.propose(connection, model, document["number"], clock.progress, actor=actor, now=now)
    return {**document, "promoted": promoted, "reason": outcome.reason}


def described(outcome_range: tuple[int, int], version: str | None, outcome: Outcome, holdout: float) -> Outcome:
    """Return an outcome that says which range and version its labels are from."""
    start, end = outcome_range
    source = {
        "start": rfc3339(start),
        "end": rfc3339(end),
        "model_version": version,
        "scores": "raw",
        "holdout": holdout,
    }
    return Outcome(
        fitted=outcome.fitted,
        gate=outcome.gate,
        reason=outcome.reason,
        passed=outcome.passed,
        fitted_from=source | outcome.fitted_from,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An alarm on calibration that calls for a refit, and the labels that answer it."""

    version: str
    start: int
    end: int
    sample: Sample
    others: Mapping[str, Sample]  # of the other versions, by name
    champion: Alias | None  # what served when it was found
    incumbent: dict[str, Any] | None  # its document


def of_version(version: str) -> Callable[[SeriesKey], bool]:
    """Return the test for a version's series of the model as a whole, under whatever calibrator."""
    return lambda key: key.version == version and key.segment == ""


def breach(connection: Connection, clock: Clocked) -> Breach | None:
    """Return the breach that is to be answered now, of several versions' the one with most labels, or None.

    None while no alarm fires, while too little has been labelled since the last attempt or since the breach began, after a person's
    rollback, and while a proposal that answers it waits for a person. Labels from before the last promotion do not count.
    """
    model = clock.model
    aliases = versions.aliases(connection, model.id)
    firing = _unanswered(model, _firing(connection, model), aliases.get(CHALLENGER))
    last = versions.attempt(connection, model.id)
    if not firing or not _due(clock, last):
        return None
    champion = aliases.get(CHAMPION)
    start, end = _range(clock, champion)
    if start >= end:
        return None
    incumbent = champion_document(connection, model)
    samples = {
        name: raw_sample(connection, clock, start, end, of_version(name)) for name in _serving(connection, model)
    }
    found = {name: _answer(model, samples[name], incumbent, last) for name in sorted(firing & samples.keys())}
    enough = {name: sample for name, sample in found.items() if sample is not None}
    if not enough:
        return None
    version = max(enough, key=lambda name: enough[name].labels)
    return Breach(
        version=version,
        start=int(enough[version].at.min()),
        end=end,
        sample=enough[version],
        others={name: sample for name, sample in samples.items() if name != version},
        champion=champion,
        incumbent=incumbent,
    )


def _firing(connection: Connection, model: Model) -> dict[str, int]:
    """Return the versions with a firing alarm on calibration, and since when the newest of them fires."""
    found: dict[str, int] = {}
    for (kind, _, version, segment), (fires, since) in alerts.states(connection, model.id).items():
        if fires and kind == "miscalibration" and segment == "":
            found[version] = max(found.get(version, since), since)
    return found


def _unanswered(model: Model, firing: Mapping[str, int], challenger: Alias | None) -> set[str]:
    """Return the versions with an alarm that no proposal answers which waits for a person."""
    if challenger is None or challenger.since_event_time is None or model.settings.recalibration != "propose":
        return set(firing)
    proposed = first_after(challenger.since_event_time, None)  # windows end with the minute of the newest event
    return {version for version, since in firing.items() if since > proposed}


def _due(clock: Clocked, last: Attempt | None) -> bool:
    """Return whether as much was labelled since the last attempt as another one needs at the least."""
    if last is None:
        return True
    return not last.waits_for_person and clock.progress.labels >= last.labels + clock.model.settings.minimum_labels


def _range(clock: Clocked, champion: Alias | None) -> tuple[int, int]:
    """Return where to look for labels: a few of the longest window, nothing from before the last promotion."""
    end = clock.matured_until
    if end is None:
        return 0, 0
    kept = clock.progress.minutes_from
    length = max(parse_duration("window", window) for window in clock.model.settings.windows)
    start, _ = widened(end - LOOKBACK * length, end, kept)
    promoted = None if champion is None else champion.since_event_time
    return (start if promoted is None else max(start, first_after(promoted, kept))), end


def _serving(connection: Connection, model: Model) -> list[str]:
    """Return all versions that a model ever had traffic of."""
    return sorted({key.version for key in rollups.series_ids(connection, model.id)})


def _answer(model: Model, sample: Sample, incumbent: dict[str, Any] | None, last: Attempt | None) -> Sample | None:
    """Return the labels from when a version went wrong, if they are enough, new enough, and the champion itself is wrong on them.

    An alarm is about what was served. Where clients lag behind a promotion, or never apply the champion at all, what they serve may be off
    while the champion is right: another fit would not help.
    """
    if not sample.labels:
        return None
    settings = model.settings
    served = sample.x if incumbent is None else from_document(incumbent).predict_proba(sample.x)
    gaps = Gaps.of(sample, served)
    began = onset(gaps)
    found = sample.since(began)
    if found.labels < LABELS_FACTOR * settings.minimum_labels:
        return None
    fresh = found.labels if last is None else found.since(last.attempted_at).labels
    if fresh < max(settings.minimum_labels, NEW_SHARE * found.labels):
        return None
    bound = lower_bound(gaps.since(began), LEVEL)
    return found if bound is not None and bound > STILL_OFF * settings.thresholds["ece"] else None


def run_model(database: Database, token: int, model: Model, now: int) -> bool:
    """Answer a model's breach, if there is one to be answered; return whether a refit was tried."""
    if model.settings.recalibration == "off":
        return False
    with database.read() as connection:
        found = breach(connection, windowed.clocked(connection, model, now)) if _firing(connection, model) else None
    if found is None:
        return False
    outcome = _tried(model, found)
    with database.write(patient=True) as connection:
        hold(connection, token)
        if not stands(connection, model, found):
            return False
        clock = windowed.clocked(connection, model, now)
        attempt = Attempt(attempted_at=found.end, labels=clock.progress.labels, waits_for_person=False)
        versions.note_attempt(connection, model.id, attempt)
        answer = conclude(connection, clock, outcome, promote=None, actor=ACTOR, now=now)
    log.warning(
        "refit of %s: %s: %s",
        model.name,
        "refused" if answer["number"] is None else f"version {answer['number']}, promoted: {answer['promoted']}",
        answer["reason"],
    )
    return True


def stands(connection: Connection, model: Model, found: Breach) -> bool:
    """Return whether nobody promoted, rolled back or changed settings while a refit was made; else its grounds are gone."""
    last = versions.attempt(connection, model.id)
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    person = last is not None and last.waits_for_person
    return models.by_name(connection, model.name) == model and champion == found.champion and not person


def _tried(model: Model, found: Breach) -> Outcome:
    try:
        outcome = refit(
            model, found.sample, method="auto", holdout=HOLDOUT, incumbent=found.incumbent, others=found.others
        )
    except BadInput as error:
        outcome = _refused(error.reason, found.sample)
    return described((found.start, found.end), found.version, outcome, HOLDOUT)


def run(database: Database, token: int, *, now: Callable[[], int]) -> int:
    """Answer the breaches of all models; return how many refits were tried.

    Raises
    ------
    LeaseLost
        when another process leads now.

    """
    return each_model(database, lambda model: run_model(database, token, model, now()), "refitting")
