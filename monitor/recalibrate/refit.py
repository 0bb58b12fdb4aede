"""Fit candidates on the earlier part of a sample, judge them on the later part, choose the simplest that passes or refuse."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
from msgspec import convert, structs, to_builtins

from ..calibrators.comparisons import GateResult
from ..calibrators.errors import NotIdentified
from ..calibrators.estimator import Estimator
from ..calibrators.families import from_document, make
from ..calibrators.gate import FEWEST_ROWS
from ..calibrators.ladder import PER_CLASS, ladder, objection_of_classes, shares
from ..domain.errors import BadInput
from ..domain.settings import Model
from ..domain.times import moment
from ..store.calibrators import Fitted, FittedFrom, Gate, Judged, Reason, RefusedGate
from ..windows.samples import Sample, Segments
from .holdout import HeldOut
from .regression import distribution_ladder

HOLDOUT: Final = 0.3
"""The share of labels, the latest, that a refit is judged on."""

NO_SEGMENTS: Final = Segments()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a refit."""

    fitted: Fitted | None  # None when nothing may serve
    gate: Gate | RefusedGate | None  # the evidence; None when nothing was held out
    reason: str  # for a person
    passed: bool
    fitted_from: FittedFrom
    held: str | None = None  # why a person must decide, although it passed; None: no decision is needed


def refit(
    model: Model,
    sample: Sample,
    *,
    method: str,
    holdout: float,
    incumbent: Fitted | None,
    others: Mapping[str, Sample] = MappingProxyType({}),
    segments: Segments = NO_SEGMENTS,
) -> Outcome:
    """Fit on the earlier part of a sample and judge on the later; with nothing held out, fit on all of it, unjudged.

    The simplest family that passes wins, unless a richer one passes too and is significantly better.

    Where only some sources of labels are trusted, only their labels judge. Only they are fitted on too, unless they are too few: then all
    labels are, and a person must decide.

    Parameters
    ----------
    model : its task and classes decide what can be fitted
    sample : labelled raw scores
    method : a family, or `auto` for those that the number of labels allows
    holdout : share of the labels, the latest, that the gate judges on, in [0, 1)
    incumbent : the calibrator in service, None for no calibrator
    others : labelled raw scores of other model versions, by name; the calibrator will serve them too, and may harm none
    segments : held-out raw scores of declared segments, none of which it may harm

    Raises
    ------
    BadInput
        for a method that cannot calibrate this task, or a sample that cannot be split.

    """
    _check_method(model, method)
    methods, refusal, _ = _methods(model, sample, method)
    refusal = refusal or (_too_few_to_judge(model, sample, holdout) if holdout > 0 else None)
    if refusal is not None:
        return refused(refusal, sample)
    if holdout <= 0:
        return _ungated(model, sample.pooled(), methods)
    earlier, later = sample.split(holdout)
    fitting, methods, skipped = _fitting(model, sample, earlier, method)
    held_out = HeldOut.of(model, fitting, later, others=others, segments=segments, incumbent=incumbent)
    return _gated(held_out, partial(_fit, model, fitting.pooled()), methods, skipped)


def tried(
    model: Model,
    sample: Sample,
    *,
    holdout: float,
    incumbent: Fitted | None,
    others: Mapping[str, Sample],
    segments: Segments,
) -> Outcome:
    """Return the result of `refit` with all families; a sample that cannot be split is a refusal, since nobody waits for an error."""
    try:
        return refit(
            model, sample, method="auto", holdout=holdout, incumbent=incumbent, others=others, segments=segments
        )
    except BadInput as error:
        return refused(error.reason, sample)


def judged_document(
    model: Model,
    sample: Sample,
    fitted: Fitted,
    *,
    holdout: float,
    incumbent: Fitted | None,
    others: Mapping[str, Sample] = MappingProxyType({}),
    segments: Segments = NO_SEGMENTS,
) -> Outcome:
    """Judge a calibrator that was fitted elsewhere on the later part of a sample, as one that is fitted here.

    Parameters
    ----------
    fitted : elsewhere
    model, sample, holdout, incumbent, others, segments : as for `refit`; with nothing held out it is not judged

    Raises
    ------
    BadDocument
        for an invalid calibrator.
    BadInput
        for one that does not fit the model, or a sample that cannot be split.

    """
    calibrator = from_document(fitted.working_part)
    _check_fits(model, calibrator)
    if holdout <= 0:
        return replace(_unjudged(calibrator, 0), fitted_from=FittedFrom(registered=True, labels=0))
    few = _too_few_to_judge(model, sample, holdout) if sample.labels else "there are no labels to judge on"
    if few is not None:
        return refused(few, sample)
    _, later = sample.split(holdout)
    held_out = HeldOut.of(model, None, later, others=others, segments=segments, incumbent=incumbent)
    outcome = _gated(held_out, lambda _: calibrator, (calibrator.method,), {})
    return replace(outcome, fitted_from=structs.replace(outcome.fitted_from, registered=True))


def _check_method(model: Model, method: str) -> None:
    if method == "auto":
        return
    try:
        make(method, task=_task(model), classes=_count(model))
    except ValueError as error:
        raise BadInput("method", method, str(error)) from error


def _check_fits(model: Model, calibrator: Estimator) -> None:
    if calibrator.task != _task(model):
        raise BadInput("document.task", calibrator.task, f"must be {_task(model)}, as the model's")
    if model.task == "multiclass" and model.classes is not None:
        try:
            calibrator.predict_proba(np.full((1, len(model.classes)), 1.0 / len(model.classes)))
        except ValueError as error:
            raise BadInput("document.parameters", calibrator.to_document()["parameters"], str(error)) from error
        named = calibrator.class_names_
        if named not in (None, list(model.classes)):
            raise BadInput("document.parameters.classes", named, "must be the model's classes in their order")


def _task(model: Model) -> str:
    return model.task or "binary"


def _count(model: Model) -> int | None:
    return None if model.classes is None else len(model.classes)


def _methods(model: Model, sample: Sample, method: str) -> tuple[Sequence[str], str | None, Mapping[str, str]]:
    """Return the families to try on a sample; the reason where there is none; the reasons of those left out, by name."""
    if model.task == "regression":
        steps = distribution_ladder(sample.labels)
        return steps.methods if method == "auto" else (method,), steps.refusal, {}
    right = sample.right
    of_class = _labels_by_class(model, sample)
    steps = ladder(_task(model), right=right, wrong=sample.labels - right, classes=_count(model), of_class=of_class)
    if method == "auto" or steps.refusal is not None:
        return steps.methods, steps.refusal, steps.skipped
    objection = objection_of_classes(of_class) if method in PER_CLASS else None
    return (method,), objection, {}


def _labels_by_class(model: Model, sample: Sample) -> dict[str, int]:
    if model.task != "multiclass" or model.classes is None:
        return {}
    counts = np.bincount(sample.y.astype(np.int64), minlength=len(model.classes))
    return dict(zip(model.classes, counts.tolist(), strict=True))


def _too_few_to_judge(model: Model, sample: Sample, holdout: float) -> str | None:
    """Return the refusal where too few labels of trusted sources would be held out, else None."""
    sources = model.settings.trusted_sources
    labels = sample.judging.labels
    if sources is None or holdout * labels >= FEWEST_ROWS:
        return None
    needed = math.ceil(FEWEST_ROWS / holdout)
    return (
        f"{labels} of {sample.labels} labels are from trusted sources ({', '.join(sources)}), which alone judge; at least {needed} are "
        f"needed to hold out {FEWEST_ROWS}"
    )


def _fitting(
    model: Model, sample: Sample, earlier: Sample, method: str
) -> tuple[Sample, Sequence[str], Mapping[str, str]]:
    """Return the labels to fit on, trusted ones or all where those are too few; the families; the reasons of those left out."""
    if sample.trusted is not None:
        methods, refusal, skipped = _methods(model, sample.judging, method)
        if refusal is None:
            return earlier.judging, methods, skipped
    methods, _, skipped = _methods(model, sample, method)
    return earlier, methods, skipped


def refused(reason: str, sample: Sample) -> Outcome:
    """Return a refusal."""
    return Outcome(fitted=None, gate=None, reason=reason, passed=False, fitted_from=FittedFrom(labels=sample.labels))


def _fit(model: Model, sample: Sample, method: str) -> Estimator:
    return make(method, task=_task(model), classes=_count(model)).fit(sample.x, sample.y, sample.weight)


def _ungated(model: Model, sample: Sample, methods: Sequence[str]) -> Outcome:
    reasons = []
    for method in methods:
        try:
            return _unjudged(_fit(model, sample, method), sample.labels)
        except NotIdentified as error:
            reasons.append(f"{method}: {error}")
    return refused("; ".join(reasons), sample)


def _unjudged(calibrator: Estimator, labels: int) -> Outcome:
    return Outcome(
        fitted=_fitted(calibrator),
        gate=None,
        reason="not judged, since no labels were held out: only a person can promote this version",
        passed=False,
        fitted_from=FittedFrom(labels=labels),
    )


def _fitted(calibrator: Estimator) -> Fitted:
    return convert(calibrator.to_document(), Fitted)


def _gated(
    held_out: HeldOut, fit: Callable[[str], Estimator], methods: Sequence[str], skipped: Mapping[str, str]
) -> Outcome:
    results: dict[str, GateResult] = {}
    portions = shares(methods)
    untried = {method: f"not tried: {why}" for method, why in skipped.items()}
    chosen: Estimator | None = None
    for method in methods:
        try:
            fitted = fit(method)
        except NotIdentified as error:
            untried[method] = f"not fitted: {error}"
            continue
        results[method] = held_out.judged(fitted, portions[method], simpler=chosen)
        chosen = fitted if results[method].passed else chosen
    if chosen is not None:
        return _passed(held_out, chosen, results, untried)
    gate = RefusedGate(
        passed=False,
        judged={method: _judged(result) for method, result in results.items()},
        candidates_judged=list(results),
        not_tried=untried,
        segments_left_out=dict(held_out.left_out),
    )
    reason = _refusal(results, untried)
    return Outcome(fitted=None, gate=gate, reason=reason, passed=False, fitted_from=held_out.source)


def _judged(result: GateResult) -> Judged:
    return convert({**to_builtins(result.evidence), "passed": result.passed, "reason": result.reason}, Judged)


def _refusal(judged: Mapping[str, GateResult], untried: Mapping[str, str]) -> str:
    """Return why nothing passed: the reason of the best candidate, and the names of the others."""
    said = []
    if judged:
        best = max(judged, key=lambda method: judged[method].lower_bound)
        others = [method for method in judged if method != best]
        said.append(f"{best}: {judged[best].reason}")
        if others:
            said.append(f"{', '.join(others)}: refused too, with smaller gains")
    return "; ".join([*said, *(f"{method}: {why}" for method, why in untried.items())])


def _passed(
    held_out: HeldOut, chosen: Estimator, results: Mapping[str, GateResult], untried: Mapping[str, str]
) -> Outcome:
    guarded, evidence = held_out.guarded(chosen), _judged(results[chosen.method])
    gate = Gate(
        **structs.asdict(evidence),
        method=chosen.method,
        candidates_judged=list(results),
        not_tried=untried,
        segments_left_out=dict(held_out.left_out),
        others={method: Reason(reason=other.reason) for method, other in results.items() if method != chosen.method},
        guards=guarded.figures,
        held=guarded.held,
    )
    held = "" if guarded.held is None else f". A person must decide: {guarded.held}"
    return Outcome(
        fitted=_fitted(chosen),
        gate=gate,
        reason=f"{evidence.reason}{held}",
        passed=True,
        fitted_from=held_out.source,
        held=guarded.held,
    )


def described(outcome_range: tuple[int, int], version: str | None, outcome: Outcome, holdout: float) -> Outcome:
    """Return an outcome with the range and version that its labels are from."""
    start, end = outcome_range
    source = structs.replace(
        outcome.fitted_from,
        start=moment(start),
        end=moment(end),
        model_version=version,
        scores="raw",
        holdout=holdout,
    )
    return replace(outcome, fitted_from=source)
