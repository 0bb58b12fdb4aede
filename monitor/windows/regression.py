"""The figures of windows of predictive distributions, one row each, as those of probabilities in `scores`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ..domain.evaluations import Level, Levels
from ..stats import quantiles
from ..stats.cells import Floats
from ..stats.direction import Direction
from ..stats.summary import Summary
from .figures import LABEL, RATIO, SCORE, Figure


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows of predictive distributions, and what several of their figures share."""

    windows: Sequence[Summary]
    before: Sequence[Summary | None]  # of the equally long windows just before
    alphas: Sequence[float]  # how often each lower bound may exceed the truth

    @cached_property
    def counts(self) -> Sequence[Floats]:
        """Labels per equal bin of the probability integral transform, of each window."""
        return [quantiles.pit_bins(window.pit()[:, 0]) for window in self.windows]

    def lower_bounds(self) -> list[float | None]:
        """Return lower bounds of the quantile ECE, 0 where nothing was found, None without labels for one."""
        parts = zip(self.windows, self.before, self.alphas, strict=True)
        bounds = [
            quantiles.quantile_ece_lower_bound(window.pit(), None if before is None else before.pit(), alpha=alpha)
            for window, before, alpha in parts
        ]
        return [None if bound is None else max(bound, 0.0) for bound in bounds]

    def means(self, amount: str) -> list[float | None]:
        """Return the mean of an amount over the labels of each window."""
        totals = zip((window.amount(amount) for window in self.windows), map(_total, self.counts), strict=True)
        return [amounts / count if count else None for amounts, count in totals]

    def mean_squared_z(self) -> list[float | None]:
        """Return the mean squared error in variances, None where quantiles were stated: those have no variance."""
        normal_only = [not window.stated("quantile").any() for window in self.windows]
        return [mean if normal else None for mean, normal in zip(self.means("squared_z"), normal_only, strict=True)]

    def directions(self) -> list[Direction | None]:
        """Return whether the distributions of each window are too narrow, too wide or neither."""
        return [quantiles.direction(window.pit()[:, 0]) for window in self.windows]

    def levels(self) -> list[Levels]:
        """Return what is drawn of each window."""
        return [
            Levels(
                pit=tuple(int(count) for count in counts),
                coverage=_held(window.stated("interval")),
                quantiles=_held(window.stated("quantile")),
            )
            for window, counts in zip(self.windows, self.counts, strict=True)
        ]


def _total(counts: Floats) -> float:
    return float(counts.sum())


def _held(stated: Floats) -> tuple[Level, ...]:
    return tuple(
        Level(level=held.level, observed=held.observed, low=held.low, high=held.high) for held in quantiles.held(stated)
    )


FIGURES: Final[tuple[Figure[Batch], ...]] = (
    Figure(
        name="quantile_ece",
        title="Quantile ECE",
        of=lambda batch: [quantiles.quantile_ece(counts) for counts in batch.counts],
        unit=RATIO,
        listed=True,
        exported="ece_ratio",
        sentence="Of a regression, the mean over the levels .05 to .95 of abs(share of labels at or under it, less the level).",
        worry="When its lower bound is above the threshold `ece`. The figure itself is never 0, see `quantile_ece_null_mean`.",
        action="Look at the PIT: a bowl means distributions that are too narrow, a hill too wide, a slope a bias. Then refit the "
        "calibrator.",
    ),
    Figure(
        name="quantile_ece_lower_bound",
        title="Quantile ECE, at least",
        of=lambda batch: batch.lower_bounds(),
        unit=RATIO,
        listed=True,
        exported="ece_lower_bound_ratio",
        sentence="One-sided lower bound of the true quantile ECE, at the model's `false_alarm_rate`; 0 where nothing was found.",
        worry="When it is above the threshold `ece`: that is the verdict `miscalibrated`.",
        action="Refit the calibrator, or let `recalibration` do it.",
    ),
    Figure(
        name="quantile_ece_null_mean",
        title="Quantile ECE by chance",
        of=lambda batch: [quantiles.quantile_ece_null_mean(counts) for counts in batch.counts],
        unit=RATIO,
        listed=True,
        exported="ece_null_mean_ratio",
        sentence="Mean quantile ECE that a calibrated model would show with so many labels.",
        worry="When it is near the threshold: the window has too few labels for its quantile ECE to mean much.",
        action="Take a longer window, or get more labels.",
    ),
    Figure(
        name="crps",
        title="CRPS",
        of=lambda batch: batch.means("crps"),
        unit=LABEL,
        listed=True,
        exported="crps",
        sentence="Mean continuous ranked probability score of a regression, in the label's unit; lower is better.",
        worry="When it rises. Of a certain forecast it is the absolute error, so that its level depends on the unit.",
        action="Where the quantile ECE rose with it, refit the calibrator; where not, labels have become harder to predict: retrain.",
    ),
    Figure(
        name="bias",
        title="Bias",
        of=lambda batch: batch.means("error"),
        unit=LABEL,
        listed=True,
        sentence="Mean of prediction less label: above 0 where predictions are too high.",
        worry="When it is not small beside the mean absolute error: predictions are off in one direction.",
        action="Look for a change of level in the labels. Variance scaling does not repair a bias, isotonic PIT does.",
    ),
    Figure(
        name="mean_absolute_error",
        title="Mean absolute error",
        of=lambda batch: batch.means("absolute_error"),
        unit=LABEL,
        listed=True,
        sentence="Mean absolute difference of prediction and label.",
        worry="When it rises. It says nothing about calibration: distributions can be wide and right about it.",
        action="Compare it with the CRPS. Where both rose alike, the model predicts worse: retrain it.",
    ),
    Figure(
        name="mean_squared_z",
        title="Mean squared z",
        of=lambda batch: batch.mean_squared_z(),
        unit=SCORE,
        listed=True,
        sentence="Mean of squared errors over variances, 1 if calibrated; null where quantiles were sent.",
        worry="When it is far from 1: above, stated standard deviations are too small by its root; below, too large.",
        action="That is what variance scaling repairs: refit the calibrator.",
    ),
)
"""The figures of an evaluation of a regression, in their order."""
