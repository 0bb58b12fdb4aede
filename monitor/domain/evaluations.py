"""Evaluations of a window of predictions, as stored and answered."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from .quantities import Count, Moment, Ratio
from .times import micros

Verdict = Literal["calibrated", "suspect", "miscalibrated", "too_few_labels"]
Direction = Literal["overestimates", "underestimates", "overconfident", "underconfident", "none"]
DIRECTIONS: Final = (
    "of a binary model `overestimates` or `underestimates` (says more or less than happens), `overconfident` or `underconfident` (too "
    "extreme or too timid at both ends), whichever explains more of its error; of answers overconfident or underconfident, of "
    "distributions too narrow or too wide; `none` if nothing is significant"
)
ScoresKind = Literal["served", "raw"]
Remedy = Literal["recalibrate", "retrain", "check_labels", "wait"]

CALIBRATED: Final = "calibrated"
SUSPECT: Final = "suspect"
MISCALIBRATED: Final = "miscalibrated"
TOO_FEW_LABELS: Final = "too_few_labels"

OFF: Final = (SUSPECT, MISCALIBRATED)
"""Verdicts that call for a remedy."""

UNDECLARED_SHARE: Final = 0.01
"""Share of labels of classes that were never declared beyond which nothing is concluded from being wrong."""

VERDICTS: Final = (
    "`miscalibrated` where an alert on the calibration of the model fires, also with few labels in the window; `suspect` where none fires, "
    "but the sequential test has gathered half of what fires one (as logarithms), or holds it back, or the lower bound of the ECE is "
    "above the threshold, or a segment is flagged; then `too_few_labels`; else `calibrated`. Raw scores under a calibrator, and "
    "validation sets, on which no alert watches, are `miscalibrated` by their lower bound alone"
)

Figures = Mapping[str, int | float | None]
"""Figures by name; an undefined one is None, never NaN."""


class Bin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bin of the reliability diagram, open at its lower edge; figures of an empty bin are null."""

    lower: float
    upper: float
    count: Count
    mean_confidence: float | None
    observed: Ratio | None
    observed_low: Annotated[Ratio | None, Meta(description="95 % interval of `observed`")]
    observed_high: Ratio | None


class RiskPoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Risk of the answers of highest confidence, and their share of all answers."""

    coverage: Ratio
    risk: Ratio


class ClassCalibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calibration of one class; an undefined figure is null."""

    name: str = field(name="class")
    labelled: Count
    positives: Annotated[Count, Meta(description="labels of the class")]
    mean_probability: Ratio | None
    observed: Annotated[Ratio | None, Meta(description="share of positives")]
    ece: Ratio | None
    ece_lower_bound: Annotated[
        Ratio | None,
        Meta(
            description="one-sided; classes with thresholds share the model's `false_alarm_rate`. Null without 100 labels in the "
            "previous window"
        ),
    ]
    threshold: Annotated[float | None, Meta(description="of the model's `class_thresholds`")]
    verdict: Annotated[Verdict | None, Meta(description="null without a threshold")]


class Curves(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Curves of a window of probabilities."""

    reliability: tuple[Bin, ...]
    risk_coverage: Annotated[tuple[RiskPoint, ...], Meta(description="at up to 20 coverages")]
    classes: Annotated[
        tuple[ClassCalibration, ...], Meta(description="of multiclass models with up to 100 classes, as served")
    ]


class Level(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stated level of predictive distributions, and the share of labels for which it held."""

    level: Ratio
    observed: Ratio
    low: Annotated[Ratio, Meta(description="95 % Clopper-Pearson interval of `observed`")]
    high: Ratio


class Levels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Histogram and levels of a window of predictive distributions."""

    pit: Annotated[
        tuple[Count, ...],
        Meta(min_length=20, max_length=20, description="labels per equal bin of the probability integral transform"),
    ]
    coverage: Annotated[tuple[Level, ...], Meta(description="of stated central intervals")]
    quantiles: Annotated[
        tuple[Level, ...], Meta(description="of stated quantiles, which hold if the label is at most these")
    ]


class Flag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a segment is flagged among all segments of its version and window."""

    e_value_log: Annotated[
        float | None, Meta(description="evidence as in the list of segments; null if the ECE is usual")
    ]
    flagged: Annotated[
        bool, Meta(description="among the segments of its version and window, false discoveries controlled")
    ]


class Window(Struct, frozen=True, kw_only=True):
    """The fields of every evaluation."""

    verdict: Annotated[Verdict, Meta(description=VERDICTS)]
    labels_needed: Annotated[
        Count,
        Meta(
            description="number of further labels for a verdict by this window alone; its figures may be chance until then"
        ),
    ]
    direction: Annotated[Direction | None, Meta(description=DIRECTIONS)]
    since: Annotated[
        Moment | None,
        Meta(
            description="where the verdict is `miscalibrated` or `suspect`: when the fault began, by labels since the last promotion "
            "or the end of the last alert; where it grew, when the ECE crossed its threshold. Null in stored segments"
        ),
    ] = None
    since_low: Annotated[
        Moment | None,
        Meta(description="95 % interval of `since`; null where it may have been so from the first label, or before"),
    ] = None
    since_high: Moment | None = None
    start: Moment
    end: Moment
    version: Annotated[str | None, Meta(description="the model version; null for all of them")]
    predictions: Count
    labelled: Count
    undeclared_labels: Annotated[
        Count,
        Meta(
            description="labels of classes that were never declared: every answer is wrong by them; they are in no figure of vectors, such "
            "as `log_loss`, and no alert fires on them"
        ),
    ] = 0
    label_coverage: Ratio | None
    matured: Annotated[bool, Meta(description="the label delay of all these predictions has passed")]
    remedy: Annotated[
        Remedy | None,
        Meta(
            description="what to do: a new calibrator is enough; it is not, since the model lost accuracy; the labels look wrong; or "
            "too little is known yet. Null unless `verdict` is `miscalibrated` or `suspect`"
        ),
    ] = None
    remedy_reason: Annotated[str | None, Meta(description="why, in words")] = None
    verdict_reason: Annotated[
        str | None,
        Meta(
            description="the grounds of the verdicts `miscalibrated` and `suspect`, in words; of a calibrated whole, the alert that fires "
            "on segments of it; else null"
        ),
    ] = None
    threshold_hint: Annotated[
        str | None,
        Meta(
            description="that outcomes of a binary model are so rare that no ECE could reach its threshold; then "
            "`thresholds.ratio` limits how often they may happen; else null"
        ),
    ] = None

    @property
    def has_enough_labels(self) -> bool:
        """Whether its figures mean something: the window has as many labels as a verdict by itself needs."""
        return self.verdict != TOO_FEW_LABELS and not self.labels_needed

    @property
    def is_off(self) -> bool:
        """Whether the verdict calls for a remedy."""
        return self.verdict in OFF


class Evaluation(Window, frozen=True, kw_only=True):
    """Calibration of a window of predictions, of one version or all, and of one segment or the whole."""

    model: str
    segment: Annotated[str, Meta(description="`key:value`, empty for the model as a whole")]
    scores: ScoresKind
    figures: Figures
    curves: Curves | None = None  # None in the history, and of distributions
    levels: Levels | None = None  # None in the history, and of probabilities
    flag: Flag | None = None  # of declared segments

    @property
    def over(self) -> tuple[int, int]:
        """Beginning and end of the window, in microseconds."""
        return micros(self.start), micros(self.end)

    @property
    def has_undeclared(self) -> bool:
        """Whether so many labels are of classes that were never declared that the labels are to be checked first."""
        return self.undeclared_labels > UNDECLARED_SHARE * self.labelled

    @property
    def error(self) -> str:
        """The name of the figure that decides the verdict, which also has a `_lower_bound` and a `_null_mean`."""
        return "quantile_ece" if "quantile_ece" in self.figures else "ece"

    @property
    def error_lower_bound(self) -> float | None:
        """The lower bound of that figure; None without enough labels."""
        return self.figures[f"{self.error}_lower_bound"]

    def as_json(self) -> dict[str, object]:
        """Return the flat object that is stored and answered, each figure under its name."""
        parts = [part for part in (self.curves, self.levels, self.flag) if part is not None]
        fields = {name: getattr(self, name) for name in _HEAD} | dict(self.figures)
        return fields | {name: getattr(part, name) for part in parts for name in part.__struct_fields__}

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """Return a stored evaluation; fields that an earlier version lacked are unknown, those of a later one are left out."""
        stored: dict[str, Any] = _UNKNOWN | msgspec.json.decode(text)
        head = {name: stored.pop(name) for name in _HEAD}
        parts = {
            part: {name: stored.pop(name) for name in struct.__struct_fields__}
            for part, struct in _PARTS.items()
            if struct.__struct_fields__[0] in stored
        }
        figures = {name: value for name, value in stored.items() if value is None or isinstance(value, int | float)}
        return msgspec.convert({**head, **parts, "figures": figures}, cls)


_PARTS: Final[Mapping[str, type[Struct]]] = {"curves": Curves, "levels": Levels, "flag": Flag}
_HEAD: Final = tuple(name for name in Evaluation.__struct_fields__ if name not in {"figures", *_PARTS})
_UNKNOWN: Final = {
    "labels_needed": 0,
    "direction": None,
    "label_coverage": None,
    "matured": True,
    "remedy": None,
    "remedy_reason": None,
    "since": None,
    "since_low": None,
    "since_high": None,
    "verdict_reason": None,
    "threshold_hint": None,
    "undeclared_labels": 0,
}
"""Fields that evaluations of early versions lack."""
