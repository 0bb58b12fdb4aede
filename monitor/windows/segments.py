"""Segments: which of a model's segments are off, worst first, with few false discoveries among those that are flagged."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..domain.settings import Model
from ..stats.discovery import e_bh
from ..stats.quantiles import pit_bins
from ..stats.sequential.evidence import window_e_value, window_pit_e_value
from ..stats.summary import Summary
from .scores import Question, evaluations_of, finite

MARGIN: Final = 0.4
"""A segment is flagged when its ECE is beyond this share of the model's threshold: errors that cancel are each small in the total."""

UNUSUAL: Final = 2.0
"""An ECE so many standard deviations above what a calibrated segment shows is looked at; evidence for a flag takes more."""

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
    parts = [(replace(whole, segment=name), summary, before.get(name)) for name, summary in now.items()]
    found = flagged(
        whole.model,
        [
            {name: fields.get(name) for name in FIELDS} | {"e_value_log": log_e_value(whole.model, summary, previous)}
            for fields, (_, summary, previous) in zip(evaluations_of(parts), parts, strict=True)
        ],
    )
    return sorted(map(finite, found), key=_harmlessness)


def flagged(model: Model, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of all segments, each with whether it is flagged; an `e_value_log` of None is no evidence at all."""
    evidence = [math.nan if row["e_value_log"] is None else row["e_value_log"] for row in rows]
    flags = e_bh(evidence, model.settings.false_alarm_rate).tolist()
    return [row | {"flagged": flag} for row, flag in zip(rows, flags, strict=True)]


def worthwhile(model: Model, fields: Mapping[str, Any], summary: Summary, previous: Summary | None) -> float | None:
    """Return `log_e_value` of a segment that was evaluated; None, which takes no time, where its ECE is nothing unusual.

    To count a small e-value as 0 does the false discovery rate no harm.
    """
    usual = model.task != "regression" and (fields["ece_z"] is None or fields["ece_z"] < UNUSUAL)
    return None if usual else log_e_value(model, summary, previous)


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
