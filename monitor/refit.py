"""Refit: candidates fitted on the earlier part of a sample, judged on the later, to the simplest that passes or a refusal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from monitor.calibrators.errors import NotIdentified
from monitor.calibrators.estimator import Calibrator
from monitor.calibrators.families import from_document, make
from monitor.calibrators.gate import GateResult, judge
from monitor.calibrators.ladder import ladder
from monitor.errors import BadInput
from monitor.records import Model
from monitor.sample import Sample, joined
from monitor.times import rfc3339

HOLDOUT: Final = 0.3
"""The share of labels, the latest, that a refit is judged on."""

NOT_OF_REGRESSIONS: Final = (
    "a regression states predictive distributions, not probabilities: calibrators are of probabilities; widen or narrow the "
    "distributions, or shift them, where they are made"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a refit came to."""

    fitted: dict[str, Any] | None  # method, task and parameters; None when nothing may serve
    gate: dict[str, Any] | None  # the evidence; None when nothing was held out
    reason: str  # for a person
    passed: bool
    fitted_from: dict[str, Any]
    held: str | None = None  # why a person must decide, although it passed; None: nobody must


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
        return refused(refusal, sample)
    if holdout <= 0:
        return _ungated(model, sample, methods)
    earlier, later = sample.split(holdout)
    return _gated(model, earlier, _Trial.of(later, others), methods, incumbent)


def _methods(model: Model, sample: Sample, method: str) -> tuple[Sequence[str], str | None]:
    if model.task == "regression":
        return (), NOT_OF_REGRESSIONS
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


def refused(reason: str, sample: Sample) -> Outcome:
    """Return the outcome of a refit that came to nothing."""
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
    return refused("; ".join(reasons), sample)


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
    return replace(outcome, fitted_from=source | outcome.fitted_from)
