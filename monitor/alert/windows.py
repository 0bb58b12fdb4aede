"""Findings of windows about alarms on calibration: under the policy `window`, and where they end an alarm of a sequential test."""

from dataclasses import replace
from typing import Final, Literal

from msgspec import UNSET, UnsetType, structs

from ..domain.alerts import MISCALIBRATION, Alarm
from ..domain.evaluations import Evaluation
from ..domain.quantities import Moment
from ..domain.settings import ModelSettings
from ..domain.times import parse_duration
from ..windows.ranges import Range, widened
from .kind import Watch
from .story import FaultEvidence
from .transitions import RESOLVED_SHARE, Finding, percent

WINDOW: Final = "window"

SEQUENTIAL: Final = "sequential"
"""An alert policy; also stands in place of the window of an alarm that the sequential test raised."""


class Bounded(FaultEvidence, frozen=True, kw_only=True):
    """Figures of a window."""

    policy: Literal["window", "sequential"]
    false_alarm_rate: float
    labelled: int
    predictions: int
    start: Moment
    end: Moment


class WindowEvidence(Bounded, frozen=True, kw_only=True):
    """Figures of a window of a model version as a whole: those of quantiles for a regression, the others for other models."""

    ece: float | UnsetType | None = UNSET
    ece_lower_bound: float | UnsetType | None = UNSET
    ece_even_odds_bound: float | UnsetType | None = UNSET
    ece_null_mean: float | UnsetType | None = UNSET
    quantile_ece: float | UnsetType | None = UNSET
    quantile_ece_lower_bound: float | UnsetType | None = UNSET
    quantile_ece_even_odds_bound: float | UnsetType | None = UNSET
    accuracy: float | UnsetType | None = UNSET
    mean_confidence: float | UnsetType | None = UNSET
    lean: float | UnsetType | None = UNSET
    cox_slope: float | UnsetType | None = UNSET

    @property
    def at_least(self) -> float | None:
        """The lower bound of the error."""
        bound = (
            self.ece_lower_bound
            if isinstance(self.quantile_ece_lower_bound, UnsetType)
            else self.quantile_ece_lower_bound
        )
        return None if isinstance(bound, UnsetType) else bound


def window_finding(seen: Evaluation, window: str, settings: ModelSettings, even: Evaluation | None = None) -> Finding:
    """Return the finding of an evaluation about the alarm on a model version as a whole.

    Parameters
    ----------
    even : the same at even odds, given while the alarm fires: its bound ends the alarm, and its labels are enough

    """
    of_quantiles = seen.error == "quantile_ece"
    bound = seen.error_lower_bound if even is None else even.error_lower_bound
    even_bound = UNSET if even is None else bound
    figure = seen.figures.get
    evidence = WindowEvidence(
        policy=WINDOW,
        threshold=settings.thresholds["ece"],
        false_alarm_rate=settings.false_alarm_rate,
        ece=figure("ece", UNSET),
        ece_lower_bound=figure("ece_lower_bound", UNSET),
        ece_even_odds_bound=UNSET if of_quantiles else even_bound,
        ece_null_mean=figure("ece_null_mean", UNSET),
        quantile_ece=figure("quantile_ece", UNSET),
        quantile_ece_lower_bound=figure("quantile_ece_lower_bound", UNSET),
        quantile_ece_even_odds_bound=even_bound if of_quantiles else UNSET,
        accuracy=figure("accuracy", UNSET),
        mean_confidence=figure("mean_confidence", UNSET),
        labelled=seen.labelled,
        predictions=seen.predictions,
        direction=seen.direction,
        lean=figure("lean", UNSET),
        cox_slope=figure("cox_slope", UNSET),
        start=seen.start,
        end=seen.end,
    )
    return bounded(
        Alarm(MISCALIBRATION, window, seen.version or "", ""),
        seen,
        bound,
        enough=even is not None or seen.has_enough_labels,
        name="Quantile ECE" if of_quantiles else "ECE",
        evidence=evidence,
    )


def bounded(
    alarm: Alarm,
    seen: Evaluation,
    bound: float | None,
    *,
    enough: bool,
    name: str,
    evidence: Bounded,
) -> Finding:
    """Return the finding of a window by the lower bound of its error.

    Parameters
    ----------
    bound : at even odds while the alarm fires; None where there is none
    enough : whether there are enough labels for a verdict
    name : of the error

    """
    value, threshold, rate = bound or 0.0, evidence.threshold, evidence.false_alarm_rate
    start, end = seen.over
    said = f"{name} over {alarm.window} is"
    return Finding(
        alarm=alarm,
        start=start,
        end=end,
        enough=enough and bound is not None,
        beyond=value > threshold and not seen.has_undeclared,
        back=value < RESOLVED_SHARE * threshold,
        claim=f"{said} at least {value:.3f} (threshold {threshold:g}). At most {percent(rate)} of windows within the threshold would "
        "show this.",
        relief=f"{said} about {value:.3f}, back under the threshold {threshold:g}.",
        evidence=evidence,
    )


def settled(finding: Finding) -> Finding:
    """Return the finding of a window about an alarm that the sequential test raised: the window can only end it."""
    return replace(
        finding,
        alarm=finding.alarm._replace(window=SEQUENTIAL),
        beyond=False,
        claim="",
        relief=f"{finding.relief} The sequential test starts again.",
        evidence=structs.replace(finding.evidence, policy=SEQUENTIAL),
    )


def shortest_window(watch: Watch) -> tuple[str, Range | None]:
    """Return the shortest window, and where it lies now."""
    window = min(watch.settings.windows, key=lambda length: parse_duration("window", length))
    end = watch.clock.matured_until
    if end is None:
        return window, None
    return window, widened(end - parse_duration("window", window), end, watch.clock.progress.minutes_from)
