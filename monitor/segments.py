"""Segments: which of a model's segments are off, worst first, with few false discoveries among those that are flagged."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from monitor.figures import Question, evaluation, finite
from monitor.records import Model
from monitor.stats.discovery import e_bh
from monitor.stats.evidence import window_e_value, window_pit_e_value
from monitor.stats.quantiles import pit_bins
from monitor.stats.summary import Summary

MARGIN: Final = 0.4
"""A segment is flagged when its ECE is beyond this share of the model's threshold: errors that cancel are each small in the total."""

FIELDS: Final = (
    "segment", "predictions", "labelled", "label_coverage", "ece", "ece_lower_bound", "ece_null_mean", "debiased_l2",
    "debiased_l2_low", "debiased_l2_high", "quantile_ece", "quantile_ece_lower_bound", "direction", "accuracy",
    "mean_confidence", "brier", "verdict", "labels_needed",
)  # fmt: skip
"""What of its evaluation stands in a segment's row; of a regression the quantiles' figures, of other models the rest."""


def threshold(model: Model) -> float:
    """Return the ECE up to which a segment counts as calibrated."""
    return MARGIN * model.settings.thresholds["ece"]


def declared(model: Model, segment: str) -> bool:
    """Return whether a segment is of those that a model's settings name now."""
    return segment.partition(":")[0] in model.settings.segments


def ranked(whole: Question, now: Mapping[str, Summary], before: Mapping[str, Summary]) -> list[dict[str, Any]]:
    """Return figures of segments, worst first, each with whether it is flagged.

    e-BH over all of them: of the flagged ones, at most the share `false_alarm_rate` is calibrated, on average, however the
    segments overlap. Wang & Ramdas 2022 (doi:10.1111/rssb.12489).

    Parameters
    ----------
    whole : what is asked about, its segment aside
    now : sums of the range by segment
    before : sums of the equally long range just before, by segment; bets take their signs from there too

    """
    model = whole.model
    evidence = [log_e_value(model, summary, before.get(segment)) for segment, summary in now.items()]
    flags = e_bh(evidence, model.settings.false_alarm_rate).tolist()
    rows = []
    for (segment, summary), log_e, flagged in zip(now.items(), evidence, flags, strict=True):
        found = evaluation(replace(whole, segment=segment), summary, before.get(segment))
        figures = {name: found.get(name) for name in FIELDS}
        rows.append(finite(figures | {"e_value_log": log_e, "flagged": flagged}))
    return sorted(rows, key=_harmlessness)


def log_e_value(model: Model, summary: Summary, previous: Summary | None) -> float:
    """Return the evidence that a segment is off by more than the threshold, as the logarithm of an e-value."""
    if model.task == "regression":
        earlier = None if previous is None else pit_bins(previous.pit()[:, 0])
        return window_pit_e_value(pit_bins(summary.pit()[:, 0]), earlier, threshold=threshold(model))
    before = None if previous is None else previous.cells("served")
    return window_e_value(summary.cells("served"), before, threshold=threshold(model))


def _harmlessness(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what puts flagged segments first, then those of the highest lower bound, then of the highest ECE; what is unknown last."""
    figures = [row[name] if row[name] is not None else row[f"quantile_{name}"] for name in ("ece_lower_bound", "ece")]
    return (not row["flagged"], *(math.inf if each is None else -each for each in figures), row["segment"])
