"""What answers look like, for the API's description; that they do is tested, not checked again for each answer."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

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


class Bin(Shape):
    """A bin of the reliability diagram, open at its lower edge; what can't be said of an empty one is null."""

    lower: float
    upper: float
    count: Count
    mean_confidence: float | None
    observed: Ratio | None
    observed_low: Ratio | None = Field(description="95 % interval of `observed`")
    observed_high: Ratio | None


class Window(Shape):
    """What every evaluation says."""

    verdict: Verdict
    labels_needed: Count = Field(description="how many more labels a verdict needs")
    direction: Direction | None
    start: datetime
    end: datetime
    version: str | None = Field(description="the model version; null for all of them")
    predictions: Count
    labelled: Count
    label_coverage: Ratio | None
    matured: bool = Field(description="the labels of all these predictions have had their time to come")


class Judged(Window):
    """What of an evaluation stands in a list."""

    accuracy: float | None
    mean_confidence: float | None
    ece: float | None
    ece_lower_bound: float | None = Field(description="one-sided, at the model's `false_alarm_rate`")
    ece_null_mean: float | None = Field(description="the ECE that a calibrated model would show by chance")
    brier: float | None
    log_loss: float | None


class Stored(Judged):
    """How well predictions of a range of time were calibrated. A figure that can't be computed is null."""

    model: str
    segment: str = Field(description="`key:value`, empty for the model as a whole")
    scores: Literal["served", "raw"]
    ece_z: float | None
    debiased_l2_squared: float | None
    debiased_l2: float | None
    debiased_l2_low: float | None
    debiased_l2_high: float | None
    mce: float | None
    ace: float | None
    sce: float | None
    smooth_ece: float | None
    brier_reliability: float | None
    brier_resolution: float | None
    brier_uncertainty: float | None
    brier_within_bin_variance: float | None
    brier_within_bin_covariance: float | None
    corp_miscalibration: float | None
    corp_discrimination: float | None
    log_loss_clipped: Count
    cox_slope: float | None
    cox_intercept: float | None
    spiegelhalter_z: float | None
    calibration_in_the_large_z: float | None
    aurc: float | None


class StoredSegment(Stored):
    """A stored evaluation of a segment."""

    e_value_log: float | None = Field(description="evidence as in the list of segments; null where the ECE is usual")
    flagged: bool = Field(description="among the segments of its version and window, false discoveries controlled")


class ValueMapping(Shape):
    """How values that are no probabilities are read as ones."""

    version: str = Field(description="the model version that it was fitted for")
    family: Literal["agreement", "score"]
    parameters: dict[str, float] = Field(
        description="agreement: `a` and `b`, k of m is read as (k + a)/(m + a + b); score: `slope` and `intercept` of its log odds"
    )
    until: datetime = Field(description="fitted on predictions before this; scores are judged from here on")


class RiskPoint(Shape):
    """How often the answers of highest confidence are wrong, and how many of all they are."""

    coverage: Ratio
    risk: Ratio


class ClassCalibration(Shape):
    """How well the probability of one class is calibrated. A figure that can't be computed is null."""

    name: str = Field(alias="class")
    labelled: Count
    positives: Count = Field(description="labels that are the class")
    mean_probability: Ratio | None
    observed: Ratio | None = Field(description="share of positives")
    ece: Ratio | None
    ece_lower_bound: Ratio | None = Field(
        description="one-sided; classes with thresholds share the model's `false_alarm_rate`. Null without 100 labels "
        "in the window before"
    )
    threshold: float | None = Field(description="of the model's `class_thresholds`")
    verdict: Verdict | None = Field(description="null without a threshold")


class Evaluation(Stored):
    """How well predictions of a range of time were calibrated. A figure that can't be computed is null."""

    reliability: list[Bin]
    risk_coverage: list[RiskPoint] = Field(description="at up to 20 coverages")
    classes: list[ClassCalibration] = Field(description="of multiclass models with up to 100 classes, as served")
    mapping: ValueMapping | None = Field(
        description="the newest of the version, or of any; null where values are probabilities"
    )


class ReferenceEvaluation(Evaluation):
    """How well predictions of the validation set were calibrated. A figure that can't be computed is null."""

    start: datetime | None = Field(description="of the hours that they lie in; null where there are none")  # type: ignore[assignment]
    end: datetime | None = Field(description="likewise")  # type: ignore[assignment]


class Level(Shape):
    """A level that predictive distributions stated, and how often it held."""

    level: Ratio
    observed: Ratio
    low: Ratio = Field(description="95 % Clopper-Pearson interval of `observed`")
    high: Ratio


class JudgedRegression(Window):
    """What of an evaluation of a regression stands in a list. Too narrow is overconfident, too wide underconfident."""

    quantile_ece: float | None = Field(
        description="mean over the levels .05 to .95 of abs(share of labels at or under it, less the level)"
    )
    quantile_ece_lower_bound: float | None = Field(description="one-sided, at the model's `false_alarm_rate`")
    quantile_ece_null_mean: float | None = Field(description="what a calibrated model would show by chance")
    crps: float | None = Field(description="mean continuous ranked probability score, in the label's unit")
    bias: float | None = Field(description="mean of prediction less label: above 0 where predictions are too high")
    mean_absolute_error: float | None
    mean_squared_z: float | None = Field(
        description="of squared errors over variances, 1 if calibrated; null where quantiles were sent"
    )


class StoredRegression(JudgedRegression):
    """How well predictive distributions of a range of time were calibrated. A figure that can't be computed is null."""

    model: str
    segment: str = Field(description="`key:value`, empty for the model as a whole")
    scores: Literal["served", "raw"]


class RegressionEvaluation(StoredRegression):
    """How well predictive distributions of a range of time were calibrated. A figure that can't be computed is null."""

    pit: Annotated[list[Count], Field(min_length=20, max_length=20)] = Field(
        description="labels per equal bin of the probability integral transform"
    )
    coverage: list[Level] = Field(description="of central intervals that were stated")
    quantiles: list[Level] = Field(description="of quantiles that were stated, where labels lie at or under them")


class ReferenceRegression(RegressionEvaluation):
    """How well predictive distributions of the validation set were calibrated. A figure that can't be computed is null."""

    start: datetime | None = Field(description="of the hours that they lie in; null where there are none")  # type: ignore[assignment]
    end: datetime | None = Field(description="likewise")  # type: ignore[assignment]


class History(Shape):
    """Stored evaluations, oldest first; with `metric`, each is its end and that field."""

    evaluations: list[Stored | StoredSegment | StoredRegression | dict[str, Any]]


class SegmentRow(Shape):
    """How well one segment is calibrated; of a regression the quantiles' figures, of other models the rest."""

    segment: str = Field(description="`key:value`, of a pair `key,key:value,value`")
    predictions: Count
    labelled: Count
    label_coverage: Ratio | None
    ece: float | None
    ece_lower_bound: float | None
    ece_null_mean: float | None
    debiased_l2: float | None
    debiased_l2_low: float | None
    debiased_l2_high: float | None
    quantile_ece: float | None
    quantile_ece_lower_bound: float | None
    direction: Direction | None
    accuracy: float | None
    mean_confidence: float | None
    brier: float | None
    verdict: Verdict
    labels_needed: Count
    e_value_log: float = Field(description="evidence that the ECE is beyond `threshold`, as a natural logarithm")
    flagged: bool


class Segments(Shape):
    """Declared segments, worst first."""

    segments: list[SegmentRow]
    false_discovery_rate: float = Field(description="of the flagged ones, at most this share is calibrated on average")
    threshold: float = Field(description="the ECE up to which a segment counts as calibrated")
    start: datetime
    end: datetime
    matured: bool


class ClassShare(Shape):
    """How large a share of the answers a class was."""

    class_: str = Field(alias="class")
    reference: Ratio
    current: Ratio


class ClassShift(Shape):
    """The mix of answers against that of the reference."""

    classes: list[ClassShare]
    js: float
    js_null_95: float
    js_null_999: float
    shifted: bool = Field(
        description="8·`js`, about a PSI, is above the threshold of `psi`, and `js` above what chance does once in 1,000"
    )


class Drift(Shape):
    """Raw scores against a reference, each measure with what chance alone would show in 95 of 100 cases."""

    model: str
    version: str | None
    segment: str
    start: datetime
    end: datetime
    reference_kind: Literal["fixed", "trailing", "champion", "validation"] = Field(
        description="a declared range, the window just before, what the calibrator in service was fitted on, or the validation set"
    )
    reference_start: datetime
    reference_end: datetime
    scores: Literal["raw"]
    predictions: Count
    reference_predictions: Count
    psi: float | None
    psi_null_95: float | None
    psi_null_999: float | None = None
    ks: float | None
    ks_null_95: float | None
    js: float | None
    js_null_95: float | None
    wasserstein: float | None = Field(description="in units of confidence; null of other scores than confidences")
    wasserstein_null_95: float | None
    class_shift: ClassShift | None = Field(description="null where answers are not classes that are counted")
    threshold: float
    enough: bool = Field(description="both sides have the model's `minimum_labels` of predictions")
    drifted: bool


class AlertAnswer(Shape):
    """A transition of an alarm."""

    at: datetime = Field(description="in event time")
    kind: Literal["miscalibration", "score_drift", "missing_labels", "stale"]
    state: Literal["firing", "resolved"]
    window: str
    version: str
    segment: str
    evidence: dict[str, Any]


class VersionEvidence(Shape):
    """What the sequential tests of a model version as a whole say; they hold however often one looks."""

    version: str
    log_e: float | None = Field(
        description="log of the e-value against an ECE of at most `threshold`; -log `false_alarm_rate` is an alarm"
    )
    log_sr: float | None = Field(description="the same test in its Shiryaev-Roberts form")
    log_ratio: float | None = Field(
        description="log of the e-value against confidences that are all within .02, or the threshold, of the truth"
    )
    labels: Count
    steps: Count = Field(description="buckets of time with labels, and moments of late labels, taken in")
    direction: Direction
    threshold: float
    false_alarm_rate: Ratio
    since: datetime = Field(description="predictions from here on count, in event time")
    until: datetime = Field(description="and before here have been taken in; labels that come later, as they come")


class Evidence(Shape):
    """The sequential tests of a model, by version."""

    evidence: list[VersionEvidence]


class Alerts(Shape):
    """Transitions, newest first."""

    alerts: list[AlertAnswer]


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


class EstimateMap(Shape):
    """The window whose calibration map is taken to hold."""

    start: datetime
    end: datetime
    labelled: Count


class Estimated(Shape):
    """What the labels of a window will show, each figure with a 95 % interval for what they will show."""

    version: str
    window: str
    start: datetime
    end: datetime
    predictions: Count
    map: EstimateMap
    accuracy: Ratio
    accuracy_low: Ratio
    accuracy_high: Ratio
    ece: Ratio = Field(description="as an evaluation will show it, with the noise of its labels")
    ece_low: Ratio
    ece_high: Ratio
    brier: Ratio = Field(description="of the single confidence; of several classes, that of the answer")
    brier_low: Ratio
    brier_high: Ratio


class EstimateNow(Estimated):
    """What the labels of the newest window will show."""

    assumption: str


class Inside(Shape):
    """Which figures came out inside their intervals."""

    accuracy: bool
    ece: bool
    brier: bool


class Truth(Shape):
    """What the labels did show; null where there were fewer than the model's `minimum_labels`."""

    labelled: Count
    accuracy: Ratio | None
    ece: Ratio | None
    brier: Ratio | None
    inside: Inside | None


class PastEstimate(Estimated):
    """What was expected before the labels came."""

    truth: Truth | None = Field(description="null until the labels have had their time to come")


class EstimateRecord(Shape):
    """How often the truth lay inside the interval."""

    judged: Count
    accuracy: Ratio | None
    ece: Ratio | None
    brier: Ratio | None


class EstimateAnswer(Shape):
    """What is expected now, and what came of it before."""

    estimate: EstimateNow | None
    record: EstimateRecord
    past: list[PastEstimate] = Field(description="the newest 50, oldest first")


class Delay(Shape):
    """How long it takes until a share of the labels has come; null while there are none."""

    share: Ratio = Field(description="of the labels")
    observed: str | None = Field(description="of the labels seen so far: too short while predictions are young")
    estimated: str | None = Field(
        description="of the labels that ever come, with what is still unlabelled accounted for"
    )


class EarlyLate(Shape):
    """The mean of outcome less confidence of labels that came within the median delay, and of those that came later."""

    within: str = Field(description="the median delay of the labels seen so far")
    early: float
    late: float
    difference: float = Field(description="early less late")
    low: float = Field(description="95 % interval of the difference")
    high: float
    z: float | None


class Cohort(Shape):
    """Predictions of an hour or a day, and how many of them are labelled."""

    start: datetime
    end: datetime
    predictions: Count
    labelled: Count
    label_coverage: Ratio | None
    late: Count = Field(description="labels that came later than declared, by their own time")
    matured: bool = Field(description="the labels of all these predictions have had their time to come")


class Labels(Shape):
    """How labels come."""

    model: str
    label_delay: str
    learned: bool = Field(description="from what was seen; else the delay is declared")
    matured_until: datetime | None = Field(description="the labels of earlier predictions have had their time to come")
    delays: list[Delay]
    labels_seen: Count = Field(description="first labels that delays are known of")
    share_never: Ratio | None = Field(
        description="estimated share of predictions that are never labelled, as far as can be seen yet"
    )
    early_late: EarlyLate | None = Field(
        description="null without labels on either side, and where there are no confidences"
    )
    warning: str | None = Field(description="early labels are not like late ones")
    cohorts: list[Cohort] = Field(description="oldest first; those without predictions are left out")


FIELDS: Final = tuple(Stored.model_fields)
"""The fields of a stored evaluation, of all models but regressions."""

METRICS: Final = tuple(dict.fromkeys((*StoredSegment.model_fields, *StoredRegression.model_fields)))
"""What a history may be asked for."""


def gives(shape: Any, description: str = "OK", status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the description of a call's answers."""
    return {status: {"model": shape, "description": description}, "default": PROBLEM}
