"""Held-out labels, on which the gate and the guards judge candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calibrators.comparisons import GateResult
from ..calibrators.estimator import Estimator
from ..calibrators.families import from_document
from ..calibrators.gate import Segment, judge
from ..domain.settings import Model
from ..store.calibrators import Fitted, FittedFrom
from ..windows.samples import Sample, Segments, joined
from . import regression
from .guards import Guarded, guarded, label_rate_jump, mean_change


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """The held-out labels, with those of other versions from the same time on."""

    model: Model
    fitted_on: Sample | None  # None of a calibrator fitted elsewhere
    later: Sample
    whole: Sample  # with other versions
    now: Any  # what serves now, for the rows of the whole
    incumbent: Estimator | None
    parts: dict[str, Sample]  # other versions and declared segments
    left_out: Mapping[str, int]

    @classmethod
    def of(
        cls,
        model: Model,
        fitted_on: Sample | None,
        later: Sample,
        *,
        others: Mapping[str, Sample],
        segments: Segments,
        incumbent: Fitted | None,
    ) -> "HeldOut":
        """Return the later part of a sample, joined with the labels of other versions from the same time on."""
        begin = int(later.at.min())
        beside = {name: sample.judging.since(begin) for name, sample in others.items()}
        beside = {f"model_version:{name}": sample.pooled() for name, sample in beside.items() if sample.labels}
        whole = joined([later.pooled(), *beside.values()])
        serving = None if incumbent is None else from_document(incumbent.working_part)
        return cls(
            model=model,
            fitted_on=fitted_on,
            later=later,
            whole=whole,
            now=whole.x if serving is None else serving.predict_proba(whole.x),
            incumbent=serving,
            parts=beside | {name: sample for name, sample in segments.samples.items() if sample.labels},
            left_out=segments.left_out,
        )

    def judged(self, candidate: Estimator, share: float, simpler: Estimator | None = None) -> GateResult:
        """Return the gate's result for a candidate, also against a simpler one that passed."""
        if self.model.task == "regression":
            return regression.judged(
                self.whole,
                candidate,
                incumbent=self.incumbent,
                simpler=simpler,
                share=share,
                parts=self.parts,
            )
        return judge(
            self.whole.y,
            candidate=candidate.predict_proba(self.whole.x),
            identity=self.whole.x,
            incumbent=None if self.incumbent is None else self.now,
            simpler=None if simpler is None else simpler.predict_proba(self.whole.x),
            sample_weight=self.whole.weight,
            share=share,
            segments={name: self._part(candidate, part) for name, part in self.parts.items()},
        )

    def _part(self, candidate: Estimator, part: Sample) -> Segment:
        now = part.x if self.incumbent is None else self.incumbent.predict_proba(part.x)
        return Segment(part.y, candidate.predict_proba(part.x), now, part.weight)

    def guarded(self, candidate: Estimator) -> Guarded:
        """Return whether a person must decide on a candidate that passed."""
        fitted_on = self.fitted_on
        untrusted = 0 if fitted_on is None or fitted_on.trusted is None else fitted_on.part(~fitted_on.trusted).labels
        named = _outcomes_named(self.model)
        is_regression = self.model.task == "regression"
        change: Callable[..., float] = regression.mean_change if is_regression else mean_change
        return guarded(
            self.model.settings.guards,
            jump=None
            if fitted_on is None or is_regression
            else label_rate_jump(*(_by_outcome(part, len(named)) for part in (fitted_on, self.later))),
            named=named,
            change=change(candidate.predict_proba(self.whole.x), self.now, self.whole.weight),
            untrusted=untrusted,
            labels=0 if fitted_on is None else fitted_on.labels,
        )

    @property
    def source(self) -> FittedFrom:
        """The labels that a candidate was fitted and judged on."""
        trusted = self.model.settings.trusted_sources
        return FittedFrom(
            labels=None if self.fitted_on is None else self.fitted_on.labels,
            holdout_labels=self.later.labels,
            trusted_sources=None if trusted is None else list(trusted),
        )


def _outcomes_named(model: Model) -> Sequence[str]:
    if model.task == "confidence":
        return "that the answer was wrong", "that the answer was right"
    return model.classes or ("0", "1")


def _by_outcome(sample: Sample, outcomes: int) -> Any:
    return np.bincount(sample.y.astype(np.int64), weights=sample.weight, minlength=outcomes)
