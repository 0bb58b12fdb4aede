"""Recalibrate: on a breach fit candidates on recent matured raw scores, judge them on later ones, put the best in service."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from monitor import registry, windowed
from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.families import Calibrator, from_document, make
from monitor.calibrators.gate import GateResult, judge
from monitor.calibrators.ladder import ladder
from monitor.errors import BadInput, LeaseLost, Unavailable
from monitor.records import Model, SeriesKey
from monitor.sample import Sample, onset, raw_sample
from monitor.store import alerts, models
from monitor.store import registry as versions
from monitor.store.engine import Database
from monitor.store.lease import hold
from monitor.store.registry import CHAMPION, Attempt
from monitor.times import MINUTE, floor, parse_duration, rfc3339
from monitor.windowed import Clocked

log = logging.getLogger(__name__)

HOLDOUT: Final = 0.3
LABELS_FACTOR: Final = 2
"""A refit on a breach waits for so many times the model's minimum of labels since the breach began."""

ACTOR: Final = "calwatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a refit came to."""

    fitted: dict[str, Any] | None  # method, task and parameters; None when nothing may serve
    gate: dict[str, Any] | None  # the evidence; None when nothing was held out
    reason: str  # for a person
    passed: bool
    fitted_from: dict[str, Any]


def refit(model: Model, sample: Sample, *, method: str, holdout: float, incumbent: dict[str, Any] | None) -> Outcome:
    """Fit on the earlier part of a sample and judge on the later; with nothing held out, fit on everything, unjudged.

    Parameters
    ----------
    model : whose task and classes decide what can be fitted
    sample : labelled raw scores
    method : a family, or `auto` for those that the number of labels allows, the simplest that passes
    holdout : share of the labels, the latest, that the gate judges on, in [0, 1)
    incumbent : the document of what serves now, None for identity

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
    return _gated(model, earlier, later, methods, incumbent)


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


def _gated(
    model: Model, earlier: Sample, later: Sample, methods: Sequence[str], incumbent: dict[str, Any] | None
) -> Outcome:
    source = {"labels": earlier.labels, "holdout_labels": later.labels}
    serving = None if incumbent is None else from_document(incumbent).predict_proba(later.x)
    judged: dict[str, Any] = {}
    reasons = []
    for method in methods:
        try:
            fitted = _fit(model, earlier, method)
        except NotIdentified as error:
            reasons.append(f"{method}: {error}")
            continue
        result = _judged(later, fitted, serving, len(methods))
        judged[method] = result.evidence | {"passed": result.passed, "reason": result.reason}
        if result.passed:
            gate = {"passed": True, "method": method, **judged[method], "candidates_judged": list(judged)}
            return Outcome(
                fitted=fitted.to_document(), gate=gate, reason=result.reason, passed=True, fitted_from=source
            )
        reasons.append(f"{method}: {result.reason}")
    gate = {"passed": False, "candidates_judged": list(judged), "judged": judged}
    return Outcome(fitted=None, gate=gate, reason="; ".join(reasons), passed=False, fitted_from=source)


def _judged(later: Sample, fitted: Calibrator, serving: Any, candidates: int) -> GateResult:
    return judge(
        later.y,
        candidate=fitted.predict_proba(later.x),
        identity=later.x,
        incumbent=serving,
        sample_weight=later.weight,
        candidates=candidates,
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
        registry.propose(connection, model, document["number"], actor=actor, now=now)
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


def of_version(version: str) -> Callable[[SeriesKey], bool]:
    """Return the test for a version's series of the model as a whole, under whatever calibrator."""
    return lambda key: key.version == version and key.segment == ""


def breach(connection: Connection, clock: Clocked) -> Breach | None:
    """Return the breach that is to be answered now, or None.

    None while no alarm fires, while nothing new has been labelled since the last attempt, while too few labels have come
    since the breach began, and after a person's rollback. Labels from before the last promotion do not count.
    """
    model, settings = clock.model, clock.model.settings
    windows = _firing(connection, model)
    end = clock.matured_until
    if not windows or end is None or not _due(connection, clock):
        return None
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    promoted = -1 if champion is None or champion.since_event_time is None else champion.since_event_time
    version = max(windows, key=lambda name: windows[name])
    start = max(end - windows[version], floor(promoted, MINUTE) + MINUTE)
    wanted = of_version(version)
    start = (
        onset(connection, clock, start, end, wanted=wanted, threshold=settings.thresholds["ece"])
        if start < end
        else end
    )
    if start >= end:
        return None
    sample = raw_sample(connection, clock, start, end, wanted)
    if sample.labels < LABELS_FACTOR * settings.minimum_labels:
        return None
    return Breach(version=version, start=start, end=end, sample=sample)


def _firing(connection: Connection, model: Model) -> dict[str, int]:
    """Return the versions with a firing alarm on calibration, each with the length of the longest such window."""
    found: dict[str, int] = {}
    for (kind, window, version, segment), (fires, _) in alerts.states(connection, model.id).items():
        if fires and kind == "miscalibration" and segment == "":
            found[version] = max(found.get(version, 0), parse_duration("window", window))
    return found


def _due(connection: Connection, clock: Clocked) -> bool:
    last = versions.attempt(connection, clock.model.id)
    if last is None:
        return True
    return not last.waits_for_person and clock.progress.labels >= last.labels + clock.model.settings.minimum_labels


def run_model(database: Database, token: int, model: Model, now: int) -> bool:
    """Answer a model's breach, if there is one to be answered; return whether a refit was tried."""
    if model.settings.recalibration == "off":
        return False
    with database.read() as connection:
        clock = windowed.clocked(connection, model, now)
        found = breach(connection, clock)
        incumbent = champion_document(connection, model)
    if found is None:
        return False
    outcome = _tried(model, found, incumbent)
    with database.write(patient=True) as connection:
        hold(connection, token)
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


def _tried(model: Model, found: Breach, incumbent: dict[str, Any] | None) -> Outcome:
    try:
        outcome = refit(model, found.sample, method="auto", holdout=HOLDOUT, incumbent=incumbent)
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
    with database.read() as connection:
        everyone = models.everyone(connection)
    tried = 0
    for model in everyone:
        try:
            tried += run_model(database, token, model, now())
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("model %s could not be refitted", model.name)
    return tried
