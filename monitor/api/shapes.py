"""What answers look like, for the API's description; that they do is tested, not checked again for each answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..calibrators.families import FAMILIES
from .answers import PROBLEM

Ratio = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Task = Literal["binary", "multiclass", "confidence", "regression"]
Verdict = Literal["calibrated", "miscalibrated", "too_few_labels"]
Direction = Literal["overconfident", "underconfident", "none"]


class Shape(BaseModel):
    """An object with these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class AlertAnswer(Shape):
    """A transition of an alarm."""

    at: datetime = Field(description="in event time")
    kind: Literal["miscalibration", "score_drift", "missing_labels", "stale"]
    state: Literal["firing", "resolved"]
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]


class ReplayedStep(Shape):
    """What a policy would have done with a calibrator, and on which labels."""

    at: datetime = Field(description="in event time")
    number: int | None = Field(description="within the replay")
    restored: int | None = None
    reason: str | None
    method: str | None
    fitted_from: dict[str, Any] | None
    gate: dict[str, Any] | None


class Replayed(Shape):
    """What a policy would have done, newest first."""

    alerts: list[AlertAnswer]
    promotions: list[ReplayedStep]
    rollbacks: list[ReplayedStep]
    proposals: list[ReplayedStep]
    refusals: list[ReplayedStep]
    evaluations: Count
    left_out: Count = Field(description="predictions of which only what a calibrator made of them is known")


class Calibrator(Shape):
    """A version of a calibrator; it never changes."""

    model: str
    number: Annotated[int, Field(ge=1)]
    method: str
    task: Task
    parameters: dict[str, Any] = Field(
        description="; ".join(f"`{method}`: {each.family.parameters}" for method, each in FAMILIES.items())
    )
    fitted_from: dict[str, Any]
    gate: dict[str, Any] | None = Field(description="the evidence; null for a version that was not gated")
    created_at: datetime
    sha256: str = Field(description="of the canonical JSON of model, number, method, task and parameters")


class Promotion(Shape):
    """A change of what is in service."""

    at: datetime = Field(description="in event time")
    number: int | None = Field(description="null: back to no calibrator")


class Trial(Shape):
    """Two calibrators side by side on live labels."""

    role: Literal["watch", "proposal", "shadow", "canary"] = Field(
        description="watch: the champion and what it replaced; else a challenger and the champion"
    )
    number: int
    against: int | None = Field(description="what it is compared with; null for no calibrator")
    since: datetime = Field(description="later predictions count, in event time")
    until: datetime = Field(description="those before have been taken in, with the labels that they had then")
    labels: Count
    brier: float | None = Field(description="mean Brier score; of vectors the sum over classes")
    brier_other: float | None
    crps: float | None = Field(description="mean score of a regression's distributions, which has no Brier score")
    crps_other: float | None
    e_value_log: float = Field(description="the highest so far against 'it is no worse'")
    e_value_log_better: float = Field(description="the highest so far against 'it is no better'")
    verdict: Literal["worse", "better", "undecided"] = Field(
        description="sure at the model's `false_alarm_rate`, however often one looks; what was sure once stays so"
    )


class Calibrators(Shape):
    """All versions, newest first, and what is in service."""

    calibrators: list[Calibrator]
    champion: int | None
    challenger: int | None
    promotions: list[Promotion] = Field(description="oldest first")
    trials: list[Trial]


class Refitted(Calibrator):
    """A new version, and whether it is in service."""

    promoted: bool
    reason: str
    decisions: list["DecisionImpact"] = Field(description="of each declared decision, what it selects before and after")


class Refused(Shape):
    """A refit that gave no version, and why; of a dry run, what it would have registered."""

    number: None
    promoted: Literal[False]
    reason: str
    gate: dict[str, Any] | None
    dry_run: Literal[True] | None = None
    held: str | None = Field(default=None, description="of a dry run: why a person would have to decide")
    passed: bool | None = None
    fitted: dict[str, Any] | None = None
    fitted_from: dict[str, Any] | None = None


class Canary(Shape):
    """A calibrator that serves a share of traffic, on trial."""

    share: Ratio = Field(
        description="it serves an event where the first 53 bits of the BLAKE2b hash (of 8 bytes) of model, number and event id, "
        "each but the last followed by a line feed, over 2^53, are under this"
    )
    document: Calibrator


class Serving(Shape):
    """What a model is to be served with now."""

    champion: Calibrator | None = Field(description="null for no calibrator")
    canary: Canary | None


class Calibrated(Shape):
    """Probabilities as they should be served, and by which version."""

    probabilities: list[float] | list[list[float]]
    calibrator_version: int | None


class Stated(Shape):
    """A predictive distribution: mean and standard deviation, or quantiles by level."""

    mean: float = 0.0
    std: float = 1.0
    quantiles: dict[str, float] = {}


class CalibratedDistributions(Shape):
    """Predictive distributions as they should be served, and by which version."""

    distributions: list[Stated]
    calibrator_version: int | None


class SelectedBy(Shape):
    """What a threshold selects of the window under one calibrator."""

    calibrator_version: int | None = Field(description="null: the scores as the model gives them")
    selected: Count = Field(description="events; an estimate where `selected_low` and `selected_high` differ")
    selected_low: Count = Field(description="without the events of the cell of scores that the threshold lies in")
    selected_high: Count = Field(description="with them")
    share: Ratio | None = Field(description="of all events")
    expected_precision: Ratio | None = Field(description="as the newer calibrator's scores say")
    labelled: Count
    precision: Ratio | None = Field(description="as labels say")
    precision_low: Ratio | None = Field(description="95 % interval of `precision`")
    precision_high: Ratio | None


class PrecisionThreshold(Shape):
    """A threshold that gives a wanted precision, with a wanted confidence."""

    threshold: float = Field(description="of scores as served; -1 where it selects all")
    rule: str = Field(description="such as `score > 0.9`")
    labelled: Count = Field(description="labelled events that it selects")
    right: Count
    precision: Ratio = Field(description="as they show it")
    precision_low: Ratio = Field(description="95 % interval of `precision`, of this one threshold")
    precision_high: Ratio
    selected: Count = Field(description="events that it selects, labelled or not")
    share: Ratio | None


class DecisionImpact(Shape):
    """A declared decision before and after another calibrator serves."""

    name: str
    threshold: float
    selects: Literal["above", "below"]
    precision: float | None
    rule: str
    events: Count
    before: SelectedBy = Field(description="under what serves now")
    after: SelectedBy = Field(description="under the calibrator that was asked about")
    threshold_same_volume: Ratio | None = Field(
        description="what would select, after, as many events as the threshold does before; null where nothing would"
    )
    threshold_for_precision: PrecisionThreshold | None = Field(
        description="what gives the declared precision, after, with the confidence that was asked for"
    )
    reason: str | None = Field(description="why there is no `threshold_for_precision`")


def gives(shape: Any, description: str = "OK", status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the description of a call's answers."""
    return {status: {"model": shape, "description": description}, "default": PROBLEM}
