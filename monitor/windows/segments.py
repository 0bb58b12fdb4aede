"""Flag the miscalibrated segments of a model, worst first, at a bounded false discovery rate."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Annotated, Final

from msgspec import Meta, Struct, structs

from ..domain.evaluations import DIRECTIONS, Direction, Evaluation, Flag, Verdict
from ..domain.quantities import Count, Ratio
from ..domain.settings import CLASS, Model
from ..stats.discovery import e_bh
from ..stats.quantiles import pit_bins
from ..stats.sequential.window import window_e_value, window_pit_e_value
from ..stats.summary import Summary
from .evaluation import Asked, Question, evaluations_of
from .sums import Place

MARGIN: Final = 0.4
"""A segment is flagged when its ECE is beyond this share of the model's threshold: errors that cancel are each small in the total."""

UNUSUAL: Final = 2.0
"""An ECE so many standard deviations above what a calibrated segment shows is looked at; evidence for a flag takes more."""


class SegmentRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How well one segment is calibrated; of a regression the quantiles' figures, of other models the rest."""

    segment: Annotated[str, Meta(description="`key:value`, of a pair `key,key:value,value`")]
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
    direction: Annotated[Direction | None, Meta(description=DIRECTIONS)]
    lean: float | None
    accuracy: float | None
    mean_confidence: float | None
    brier: float | None
    verdict: Verdict
    labels_needed: Count
    e_value_log: Annotated[
        float, Meta(description="evidence that the ECE is beyond `threshold`, as a natural logarithm")
    ]
    flagged: bool

    @property
    def harmlessness(self) -> tuple[bool, float, float, str]:
        """The sort key: flagged segments first, then by falling lower bound, then by falling ECE; unknown ones last."""
        bound = self.quantile_ece_lower_bound if self.ece_lower_bound is None else self.ece_lower_bound
        error = self.quantile_ece if self.ece is None else self.ece
        least, size = (math.inf if figure is None else -figure for figure in (bound, error))
        return not self.flagged, least, size, self.segment


def threshold(model: Model) -> float:
    """Return the ECE up to which a segment counts as calibrated."""
    return MARGIN * model.settings.thresholds["ece"]


def declared(model: Model, segment: str) -> bool:
    """Return whether a model's settings declare a segment now."""
    return segment.partition(":")[0] in model.settings.segments


def has_test(model: Model, segment: str) -> bool:
    """Return whether a segment, or a class in place of one, has a sequential test of its own now."""
    return declared(model, segment) or (
        segment.startswith(CLASS) and segment.removeprefix(CLASS) in model.settings.class_thresholds
    )


def tested_up_to(model: Model, segment: str) -> float:
    """Return the ECE up to which a segment, or a class in place of one, counts as calibrated."""
    if segment.startswith(CLASS):
        return model.settings.class_thresholds[segment.removeprefix(CLASS)]
    return threshold(model)


def of_version(model: Model, sums: Mapping[Place, Summary], version: str | None) -> dict[str, Summary]:
    """Return the sums of each declared segment, over all versions unless one is asked for."""
    parts_of: dict[str, list[Summary]] = {}
    for (served_by, segment), summary in sums.items():
        if version in {None, served_by} and declared(model, segment):
            parts_of.setdefault(segment, []).append(summary)
    return {segment: reduce(operator.add, parts) for segment, parts in parts_of.items()}


def flag_of(model: Model, segment: str, now: Mapping[str, Summary], before: Mapping[str, Summary]) -> Flag | None:
    """Return the flag of one segment, among all segments with sums; None of a segment without."""
    if segment not in now:
        return None
    evidence = [log_e_value(model, summary, before.get(name)) for name, summary in now.items()]
    place = list(now).index(segment)
    return Flag(e_value_log=evidence[place], flagged=flags(model, evidence)[place])


def as_it_is(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation of a segment on which no alert is known."""
    return evaluation


def ranked(
    whole: Question,
    now: Mapping[str, Summary],
    before: Mapping[str, Summary],
    judged: Callable[[Evaluation], Evaluation] = as_it_is,
) -> list[SegmentRow]:
    """Return figures of segments, worst first, each with whether it is flagged.

    e-BH over all of them: of the flagged ones, at most the share `false_alarm_rate` is calibrated, on average, however the
    segments overlap. Wang & Ramdas 2022 (doi:10.1111/rssb.12489).

    Parameters
    ----------
    whole : what is asked about, its segment aside
    now : sums of the range by segment
    before : sums of the equally long range just before, by segment; bets take their signs from there too
    judged : returns an evaluation, which has its flag, with the verdict that alerts and tests make of it

    """
    asked = [Asked(replace(whole, segment=name), summary, before.get(name)) for name, summary in now.items()]
    evidence = [log_e_value(whole.model, summary, previous) for _, summary, previous in asked]
    rows = [
        _row(judged(structs.replace(evaluation, flag=Flag(e_value_log=log_e, flagged=flagged))), log_e, flagged=flagged)
        for evaluation, log_e, flagged in zip(
            evaluations_of(asked), evidence, flags(whole.model, evidence), strict=True
        )
    ]
    return sorted(rows, key=lambda row: row.harmlessness)


def _row(evaluation: Evaluation, log_e: float, *, flagged: bool) -> SegmentRow:
    figure = evaluation.figures.get
    return SegmentRow(
        segment=evaluation.segment,
        predictions=evaluation.predictions,
        labelled=evaluation.labelled,
        label_coverage=evaluation.label_coverage,
        ece=figure("ece"),
        ece_lower_bound=figure("ece_lower_bound"),
        ece_null_mean=figure("ece_null_mean"),
        debiased_l2=figure("debiased_l2"),
        debiased_l2_low=figure("debiased_l2_low"),
        debiased_l2_high=figure("debiased_l2_high"),
        quantile_ece=figure("quantile_ece"),
        quantile_ece_lower_bound=figure("quantile_ece_lower_bound"),
        direction=evaluation.direction,
        lean=figure("lean"),
        accuracy=figure("accuracy"),
        mean_confidence=figure("mean_confidence"),
        brier=figure("brier"),
        verdict=evaluation.verdict,
        labels_needed=evaluation.labels_needed,
        e_value_log=log_e,
        flagged=flagged,
    )


def flags(model: Model, evidence: Sequence[float | None]) -> list[bool]:
    """Return which of all segments are flagged, from the logarithms of their e-values; None is no evidence at all."""
    known = [math.nan if log_e is None else log_e for log_e in evidence]
    return [bool(flag) for flag in e_bh(known, model.settings.false_alarm_rate)]


def worthwhile(model: Model, evaluation: Evaluation, summary: Summary, previous: Summary | None) -> float | None:
    """Return the `log_e_value` of an evaluated segment; None, to save time, where its ECE is nothing unusual.

    Counting a small e-value as 0 does not raise the false discovery rate.
    """
    z = evaluation.figures.get("ece_z")
    usual = model.task != "regression" and (z is None or z < UNUSUAL)
    return None if usual else log_e_value(model, summary, previous)


def log_e_value(model: Model, summary: Summary, previous: Summary | None) -> float:
    """Return the evidence that a segment is off by more than the threshold, as the logarithm of an e-value."""
    if model.task == "regression":
        earlier = None if previous is None else pit_bins(previous.pit()[:, 0])
        return window_pit_e_value(pit_bins(summary.pit()[:, 0]), earlier, threshold=threshold(model))
    before = None if previous is None else previous.cells("served")
    return window_e_value(summary.cells("served"), before, threshold=threshold(model))
