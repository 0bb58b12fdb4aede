"""Calibrators as they are stored and answered, with the labels they were fitted on and the evidence of the gate.

Fields that earlier versions did not write may be absent; unset fields are not written.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ..calibrators.document import seal
from ..calibrators.families import FAMILIES
from ..calibrators.hashing import Checked
from ..domain.quantities import Count, Moment, Ratio
from ..domain.settings import Task

Figures = Mapping[str, float | None]
"""By name; null where one can't be computed."""


class FittedFrom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The labels that a calibrator was fitted and judged on."""

    source: Annotated[Literal["validation"] | None, Meta(description="only of the validation set")] = None
    registered: Annotated[bool | None, Meta(description="true of a calibrator fitted elsewhere")] = None
    start: Annotated[Moment | None, Meta(description="of predictions")] = None
    end: Moment | None = None
    model_version: Annotated[str | UnsetType | None, Meta(description="null for all versions")] = UNSET
    scores: Literal["raw"] | None = None
    holdout: Annotated[Ratio | None, Meta(description="share of the labels that was held out")] = None
    labels: Annotated[Count | None, Meta(description="fitted on")] = None
    holdout_labels: Annotated[Count | None, Meta(description="judged on")] = None
    trusted_sources: Annotated[list[str] | None, Meta(description="the only sources of labels that judged")] = None


class Limited(Struct, frozen=True, kw_only=True):
    """A figure and its limit."""

    value: float
    limit: float


class UntrustedLabels(Struct, frozen=True, kw_only=True):
    """The number of labels of a fit that are not from trusted sources."""

    value: Count
    limit: Count = 0


class RateJump(Struct, frozen=True, kw_only=True):
    """The outcome whose share of labels changed most between those fitted on and those held out."""

    outcome: str
    before: Ratio
    after: Ratio
    value: Annotated[Ratio, Meta(description="how far the share moved")]
    limit: float
    more_than_chance: bool


class Guards(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Figures beyond whose limits a person decides."""

    mean_change: Annotated[Limited, Meta(description="of what is served")]
    label_rate_jump: RateJump | None = None
    untrusted_labels: UntrustedLabels | None = None


class Judged(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate's figures on held-out labels, and the verdict. With too few labels, only their number."""

    rows: Annotated[float, Meta(description="held-out labels")]
    share: Annotated[Ratio | None, Meta(description="of `level`, this candidate's; all candidates' sum to 1")] = None
    candidates: Annotated[int | None, Meta(description="how many shared `level` evenly, before 0.3.0")] = None
    level: Annotated[Ratio, Meta(description="the chance of passing a calibrator that is no better")]
    comparisons: Annotated[
        Mapping[str, Figures] | None,
        Meta(description="with `identity`, `incumbent` and `simpler`; gains are above 0 where the candidate is better"),
    ] = None
    constant: Annotated[Figures | None, Meta(description="with one prediction for every event")] = None
    segments: Annotated[Mapping[str, Figures] | None, Meta(description="with what serves now, by segment")] = None
    segments_with_few_labels: Annotated[
        Mapping[str, float] | None, Meta(description="labels of segments that were not judged")
    ] = None
    passed: bool
    reason: str


class Reason(Struct, frozen=True, kw_only=True):
    """The reason for a candidate's verdict."""

    reason: str


class Gate(Judged, frozen=True, kw_only=True, omit_defaults=True):
    """The evidence for a candidate that passed, and the reasons of the others."""

    method: str
    candidates_judged: list[str]
    not_tried: Annotated[Mapping[str, str] | None, Meta(description="why, by method")] = None
    segments_left_out: Annotated[
        Mapping[str, Count] | None, Meta(description="labels of segments beyond the largest ones")
    ] = None
    others: Annotated[Mapping[str, Reason] | None, Meta(description="candidates that were not chosen")] = None
    guards: Guards | None = None
    held: Annotated[str | UnsetType | None, Meta(description="why a person must decide; null: nobody must")] = UNSET


class RefusedGate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The evidence against all candidates."""

    passed: Literal[False]
    judged: Annotated[Mapping[str, Judged], Meta(description="by method")]
    candidates_judged: list[str]
    not_tried: Annotated[Mapping[str, str] | None, Meta(description="why, by method")] = None
    segments_left_out: Annotated[
        Mapping[str, Count] | None, Meta(description="labels of segments beyond the largest ones")
    ] = None


class Fitted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fitted calibrator, not a version yet."""

    method: str
    task: Task
    parameters: Annotated[
        Mapping[str, Any],
        Meta(
            description="; ".join(
                f"`{method}`: {estimator.family.parameters}" for method, estimator in FAMILIES.items()
            )
        ),
    ]

    @property
    def working_part(self) -> dict[str, Any]:
        """The document without origin and evidence, as JSON."""
        return {**Checked(self.method, self.task, self.parameters).as_document()}


def no_calibrator(task: str) -> Fitted:
    """Return the calibrator of a task that changes nothing."""
    return msgspec.convert({"method": "identity", "task": task, "parameters": {}}, Fitted)


class Calibrator(Fitted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of a calibrator; it never changes."""

    model: str
    number: Annotated[int, Meta(ge=1)]
    fitted_from: FittedFrom
    gate: Annotated[Gate | None, Meta(description="the evidence; null for a version that was not gated")]
    created_at: Moment
    sha256: Annotated[str, Meta(description="of the canonical JSON of model, number, method, task and parameters")]

    @property
    def working_part(self) -> dict[str, Any]:
        """The hashed part of the document with its hash, as JSON."""
        sealed = {"model": self.model, "number": self.number, "sha256": self.sha256}
        return {**super().working_part, **sealed}


_DECODER = msgspec.json.Decoder(Calibrator)


def sealed(
    fitted: Fitted, *, model: str, number: int, fitted_from: FittedFrom, gate: Gate | None, created_at: str
) -> Calibrator:
    """Return the numbered version of a fitted calibrator, with its hash."""
    document = seal(
        fitted.working_part,
        model=model,
        number=number,
        fitted_from=msgspec.to_builtins(fitted_from),
        gate=msgspec.to_builtins(gate),
        created_at=created_at,
    )
    return msgspec.convert(document, Calibrator)


def document_of(text: str) -> Calibrator:
    """Return a calibrator from its stored document."""
    return _DECODER.decode(text)
