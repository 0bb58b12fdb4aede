"""The figures of windows of probabilities, one row each.

To add one, write its function in `stats` for many windows at once and its row here; API, history, Prometheus, reference and page follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from ..stats import decomposition, discrimination, noise, outcomes, reliability, scores, selective
from ..stats.alike import ratio
from ..stats.cells import Cells, Floats
from ..stats.classwise import sce
from ..stats.cox import Cox, coxes
from ..stats.discrimination import Auc
from ..stats.reliability import Bins
from ..stats.selective import Ranking
from ..stats.smooth import smooth_eces
from .figures import COUNT, DEVIATIONS, LOG_ODDS, NATS, RATIO, SCORE, SLOPE, TIMES, Figure


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows of probabilities whose sums have one shape, and what several of their figures share.

    Arrays have the windows as their leading axis.
    """

    binary: bool
    bin_count: int  # bins of equal width
    alphas: Floats  # how often each lower bound may exceed the truth
    cells: Cells
    bins: Bins  # of equal width, or one per distinct value
    before: Bins  # of the equally long windows just before
    losses: Mapping[str, Floats]  # sums by the names of `stats.summary.LOSSES`
    undeclared: Floats  # labels of classes that were never declared
    classes: Sequence[Floats | None]  # classwise sums of each window, None where there are none

    @cached_property
    def labelled(self) -> Floats:
        """Labelled events in the cells: fewer than labels where some values can't be read yet."""
        return np.asarray(self.cells.n.sum(axis=-1))

    @property
    def of_vectors(self) -> Floats:
        """Labelled events with losses: a class that was never declared has no part in a vector."""
        return self.labelled - self.undeclared

    @property
    def leans(self) -> Floats:
        """Mean confidence less the observed rate."""
        return ratio((self.cells.sp - self.cells.sy).sum(axis=-1), self.labelled)

    @cached_property
    def answers(self) -> Cells:
        """The sums of answers: a binary model's confidences are folded about one half."""
        return scores.folded(self.cells) if self.binary else self.cells

    @cached_property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lower bounds of the ECE, and how far each lies under the truth at even odds."""
        return noise.ece_lower_bounds(self.bins, self.before, self.alphas)

    @cached_property
    def debiased_l2_interval(self) -> tuple[Floats, Floats]:
        """Lower and upper ends of the interval of the debiased L2 error."""
        return reliability.debiased_l2_intervals(self.bins)

    @cached_property
    def lines(self) -> Sequence[Cox | None]:
        """Cox's line of each window, None where it is not identified."""
        return coxes(self.cells)

    @cached_property
    def murphy(self) -> Mapping[str, Floats]:
        """Murphy's terms of the Brier score."""
        return decomposition.murphies(self.bins)

    @cached_property
    def corp(self) -> Mapping[str, Floats]:
        """The CORP terms of the Brier score."""
        return decomposition.corps(self.cells)

    @cached_property
    def auc(self) -> Auc:
        """The areas under the ROC curve, with their intervals."""
        return discrimination.aucs(self.cells)

    @cached_property
    def outcome_intervals(self) -> tuple[Floats, Floats]:
        """95 % intervals of observed over expected outcomes."""
        observed, expected = self.cells.sy.sum(axis=-1), self.cells.sp.sum(axis=-1)
        return outcomes.intervals(observed, expected, np.full(len(observed), outcomes.TWO_SIDED))

    @cached_property
    def ranking(self) -> Ranking:
        """The answers of all windows by confidence."""
        return selective.rankings(self.cells, binary=self.binary)


FIGURES: Final[tuple[Figure[Batch], ...]] = (
    Figure(
        name="accuracy",
        title="Accuracy",
        of=lambda batch: scores.accuracies(batch.answers),
        unit=RATIO,
        listed=True,
        exported="accuracy_ratio",
        sentence="Share of answers that were right; of a binary model, class 1 above one half.",
        worry="When it falls below what the use of the model can bear. It says nothing about calibration: a model can be right less "
        "often and still know it.",
        action="Compare it with the mean confidence. Where both fell together, the model knows that it got worse: retrain it. Where only "
        "the accuracy fell, a new calibrator keeps its confidences honest until then.",
    ),
    Figure(
        name="mean_confidence",
        title="Mean confidence",
        of=lambda batch: scores.mean_confidences(batch.cells),
        unit=RATIO,
        listed=True,
        sentence="Mean confidence of the labelled events.",
        worry="When it lies far from the accuracy; of a binary model, far from how often class 1 happens.",
        action="See `lean`, which is the difference.",
    ),
    Figure(
        name="lean",
        title="Lean",
        of=lambda batch: batch.leans,
        unit=RATIO,
        listed=True,
        exported="lean_ratio",
        sentence="Mean confidence less how often it came true: above 0 where the model says more than happens, below 0 where less.",
        worry="When it is a large part of the ECE: the error is then all in one direction. Near 0 beside a large ECE it is at both ends.",
        action="A shift of the log odds repairs it: look for a change of the base rate, then refit. `cox_slope` is the other part.",
    ),
    Figure(
        name="ece",
        title="ECE",
        of=lambda batch: reliability.eces(batch.bins),
        unit=RATIO,
        listed=True,
        exported="ece_ratio",
        sentence="Expected calibration error: mean gap of confidence and outcome over 15 bins of equal width, weighted by labels.",
        worry="When its lower bound is above the threshold `ece`. The figure itself is never 0: few labels alone make it large, see "
        "`ece_null_mean`.",
        action="Look at the reliability diagram for where the gap lies and at the segments for whose it is, then refit the calibrator.",
    ),
    Figure(
        name="ece_lower_bound",
        title="ECE, at least",
        of=lambda batch: np.maximum(batch.bounds[0], 0.0),  # nothing was found: the ECE is at least 0
        unit=RATIO,
        listed=True,
        exported="ece_lower_bound_ratio",
        sentence="One-sided lower bound of the true ECE, at the model's `false_alarm_rate`; 0 where nothing was found.",
        worry="When it is above the threshold `ece`: the verdict is at least `suspect`, and a calibrated model rarely shows it.",
        action="See `remedy`. A refit is worth a try before an alert fires, too.",
    ),
    Figure(
        name="ece_null_mean",
        title="ECE by chance",
        of=lambda batch: noise.null_eces(batch.bins)[0],
        unit=RATIO,
        listed=True,
        exported="ece_null_mean_ratio",
        sentence="Mean ECE that a calibrated model would show with these confidences and so many labels.",
        worry="When it is near the threshold: the window has too few labels for its ECE to mean much.",
        action="Take a longer window, or get more labels.",
    ),
    Figure(
        name="brier",
        title="Brier score",
        of=lambda batch: ratio(batch.losses["brier"], batch.of_vectors),
        unit=SCORE,
        listed=True,
        exported="brier_score",
        sentence="Brier score, the mean of (p - y)²; of vectors, summed over the classes.",
        worry="When it rises. It has no level that is good in itself: 0 is perfect, and always saying .5 scores .25.",
        action="Its parts tell the cause: `corp_miscalibration` is repaired by a calibrator, a loss of `corp_discrimination` only by a "
        "better model.",
    ),
    Figure(
        name="log_loss",
        title="Log loss",
        of=lambda batch: ratio(batch.losses["log_loss"], batch.of_vectors),
        unit=NATS,
        listed=True,
        exported="log_loss",
        sentence="Mean log loss in nats; probabilities are clipped at 1e-15.",
        worry="When it rises while the Brier score does not: a few answers were very sure and wrong.",
        action="Look at the reliability diagram near 0 and 1, and at `log_loss_clipped`. A calibrator softens unearned certainty.",
    ),
    Figure(
        name="ece_z",
        title="ECE, z",
        of=lambda batch: noise.ece_zs(batch.bins),
        unit=DEVIATIONS,
        sentence="How many standard deviations the ECE lies above what a calibrated model would show.",
        worry="From about 3 on: chance hardly explains the error. It says that there is an error, not that it is large.",
        action="Look at `ece_lower_bound` for its size before you act; with many labels a harmless error has a large z.",
    ),
    Figure(
        name="debiased_l2_squared",
        title="Squared L2 error",
        of=lambda batch: reliability.debiased_l2_squares(batch.bins),
        unit=SCORE,
        sentence="Mean squared gap of confidence and outcome, less what chance adds to it; it may be negative.",
        worry="When it stays above 0 window after window. A negative value means that nothing was found.",
        action="Read `debiased_l2`, its root, which is on the scale of the ECE.",
    ),
    Figure(
        name="debiased_l2",
        title="L2 error",
        of=lambda batch: reliability.debiased_l2s(batch.bins),
        unit=RATIO,
        sentence="Root of the mean squared gap of confidence and outcome, less what chance adds to it.",
        worry="When the lower end of its interval is above 0. Unlike the ECE it is not inflated by few labels, so that windows of "
        "different size compare.",
        action="Where it is far above the ECE, the error is concentrated: find the bins in the reliability diagram.",
    ),
    Figure(
        name="debiased_l2_low",
        title="L2 error, low",
        of=lambda batch: batch.debiased_l2_interval[0],
        unit=RATIO,
        sentence="Lower end of the 95 % interval of `debiased_l2`.",
        worry="When it is above 0: some miscalibration is real.",
        action="As for `debiased_l2`.",
    ),
    Figure(
        name="debiased_l2_high",
        title="L2 error, high",
        of=lambda batch: batch.debiased_l2_interval[1],
        unit=RATIO,
        sentence="Upper end of the 95 % interval of `debiased_l2`.",
        worry="When it is above what the use of the model can bear: a larger error is not excluded.",
        action="Get more labels, or take a longer window, before you rely on the model being calibrated.",
    ),
    Figure(
        name="mce",
        title="MCE",
        of=lambda batch: reliability.mces(batch.bins),
        unit=RATIO,
        exported="mce_ratio",
        sentence="Maximum calibration error: the largest gap of any bin that has at least 30 labels.",
        worry="When it is large in a bin that decisions depend on. It is noisy: of 30 labels a gap of .15 may well be chance.",
        action="Find the bin in the reliability diagram and look at its interval.",
    ),
    Figure(
        name="ace",
        title="ACE",
        of=lambda batch: reliability.aces(batch.cells, batch.bin_count),
        unit=RATIO,
        sentence="Adaptive calibration error: the ECE over bins of equally many labels.",
        worry="When it differs much from the ECE: most confidences share a few bins of equal width, and errors within those cancel.",
        action="Trust it more than the ECE where confidences crowd near 0 or 1.",
    ),
    Figure(
        name="sce",
        title="SCE",
        of=lambda batch: [None if sums is None else sce(sums, batch.bin_count) for sums in batch.classes],
        unit=RATIO,
        sentence="Static calibration error: mean ECE of the single classes of a multiclass model, as served.",
        worry="When it is above the ECE: the confidence of the answer is right, but the probabilities of other classes are not.",
        action="Look at the list of classes. Vector scaling repairs single classes, a temperature does not; give classes "
        "whose errors cost more their own `class_thresholds`.",
    ),
    Figure(
        name="smooth_ece",
        title="Smooth ECE",
        of=lambda batch: smooth_eces(batch.cells),
        unit=RATIO,
        sentence="Smooth ECE: the calibration error over smoothed confidences instead of bins.",
        worry="When it tells another story than the ECE, which then depends on where the borders of its bins lie.",
        action="Believe the smooth one about the trend, and the lower bound of the ECE about the verdict.",
    ),
    Figure(
        name="brier_reliability",
        title="Brier: reliability",
        of=lambda batch: batch.murphy["reliability"],
        unit=SCORE,
        sentence="Murphy's reliability, the part of the Brier score that is miscalibration, over bins; lower is better.",
        worry="When it grows: this part of the loss is what a calibrator can take back.",
        action="Refit the calibrator; the gain in Brier score is about this much, less what chance adds.",
    ),
    Figure(
        name="brier_resolution",
        title="Brier: resolution",
        of=lambda batch: batch.murphy["resolution"],
        unit=SCORE,
        sentence="Murphy's resolution, what the forecasts gain by telling events apart; higher is better.",
        worry="When it falls: the model tells right from wrong less well than it did.",
        action="No calibrator repairs that. Look at score drift and segments, and retrain.",
    ),
    Figure(
        name="brier_uncertainty",
        title="Brier: uncertainty",
        of=lambda batch: batch.murphy["uncertainty"],
        unit=SCORE,
        sentence="Murphy's uncertainty, r(1 - r) of the base rate r: the Brier score of always forecasting that rate.",
        worry="When it moves: outcomes have become more or less common, and Brier scores of before and after do not compare.",
        action="Compare the other parts instead.",
    ),
    Figure(
        name="brier_within_bin_variance",
        title="Brier: variance within bins",
        of=lambda batch: batch.murphy["within_bin_variance"],
        unit=SCORE,
        sentence="Variance of the confidences within bins: with the covariance it makes Murphy's terms add up to the Brier score.",
        worry="Never by itself.",
        action="Where it is large beside the reliability, the bins are too wide for Murphy's terms: read the CORP terms, which need none.",
    ),
    Figure(
        name="brier_within_bin_covariance",
        title="Brier: covariance within bins",
        of=lambda batch: batch.murphy["within_bin_covariance"],
        unit=SCORE,
        sentence="Twice the covariance of confidences and outcomes within bins, which the Brier score is lower by.",
        worry="Never by itself.",
        action="Where it is large, the model tells events apart within single bins: read the CORP terms instead of Murphy's.",
    ),
    Figure(
        name="corp_miscalibration",
        title="CORP: miscalibration",
        of=lambda batch: batch.corp["miscalibration"],
        unit=SCORE,
        sentence="The part of the Brier score that the best increasing recalibration would take back; lower is better.",
        worry="When it grows beside the score itself. It is never negative, and a little above 0 by chance.",
        action="Refit the calibrator. Where this stays high after a refit, the map has the wrong shape: try an isotonic one.",
    ),
    Figure(
        name="corp_discrimination",
        title="CORP: discrimination",
        of=lambda batch: batch.corp["discrimination"],
        unit=SCORE,
        sentence="What the best increasing recalibration gains over forecasting the base rate; higher is better.",
        worry="When it falls: the order of the scores says less about the outcomes than it did.",
        action="No calibrator changes the order. Look at score drift and segments, and retrain.",
    ),
    Figure(
        name="log_loss_clipped",
        title="Log loss, clipped",
        of=lambda batch: batch.losses["clipped"].astype(np.int64),
        unit=COUNT,
        sentence="Events whose probability was clipped at 1e-15 in the log loss.",
        worry="When it is not 0: the model called something impossible, and each such event that happens adds 34.5 nats.",
        action="Find out why the model outputs exact zeros: rounding, a hard rule, or an overflow.",
    ),
    Figure(
        name="cox_slope",
        title="Cox slope",
        of=lambda batch: [None if line is None else line.slope for line in batch.lines],
        unit=SLOPE,
        sentence="Slope of the outcomes' log odds on those of the confidences: 1 if calibrated, under 1 if confidences are too extreme.",
        worry="When it is far from 1. Negative means that higher confidence goes with fewer right answers: check the labels first.",
        action="A slope off 1 is what a temperature repairs. `lean` is the other part of the error.",
    ),
    Figure(
        name="cox_intercept",
        title="Cox intercept",
        of=lambda batch: [None if line is None else line.intercept for line in batch.lines],
        unit=LOG_ODDS,
        sentence="Log odds of an outcome where the confidence is one half: 0 if calibrated.",
        worry="When it is far from 0 while the slope is near 1: all confidences are too low (above 0) or too high (below 0).",
        action="Look for a change of the base rate. Platt scaling repairs slope and intercept, a temperature only the slope.",
    ),
    Figure(
        name="spiegelhalter_z",
        title="Spiegelhalter's z",
        of=lambda batch: scores.standardised(
            batch.losses["spiegelhalter_numerator"], batch.losses["spiegelhalter_denominator"]
        ),
        unit=DEVIATIONS,
        sentence="Spiegelhalter's test that the Brier score is what the confidences promise: standard normal if calibrated.",
        worry="Beyond 3 in either direction. Above 0 the Brier score is worse than promised. It is blind to confidences near one half.",
        action="Look at the reliability diagram; the size of the error is in the ECE, not here.",
    ),
    Figure(
        name="calibration_in_the_large_z",
        title="Calibration in the large, z",
        of=lambda batch: scores.calibration_in_the_large_zs(batch.cells),
        unit=DEVIATIONS,
        sentence="Outcomes less confidences in total, in standard deviations: standard normal if calibrated, above 0 if outcomes exceed.",
        worry="Beyond 3 in either direction: confidences are off on average, all in one direction.",
        action="Look for a change of the base rate, such as a season, a campaign or another population; then refit the calibrator.",
    ),
    Figure(
        name="aurc",
        title="AURC",
        of=lambda batch: selective.aurcs(batch.ranking),
        unit=RATIO,
        sentence="Area under the risk-coverage curve, the mean share of wrong answers among the most confident ones; lower is better.",
        worry="When it rises: confidence separates right from wrong answers less well, and abstaining helps less.",
        action="See `GET …/thresholds` for where to abstain now. A calibrator does not change the order, so that a lasting rise asks for "
        "another model.",
    ),
    Figure(
        name="auc",
        title="AUC",
        of=lambda batch: batch.auc.value,
        unit=RATIO,
        exported="auc_ratio",
        sentence="Probability that what happened, or a right answer, had the higher confidence than what did not: 1 is perfect, .5 chance.",
        worry="When it falls: the order of the confidences says less than it did. It says nothing about calibration.",
        action="No calibrator repairs it. Where it fell to .5, look at how labels are joined to predictions; where it fell in part, "
        "retrain, or find out whether some of the labels are wrong.",
    ),
    Figure(
        name="auc_low",
        title="AUC, low",
        of=lambda batch: batch.auc.low,
        unit=RATIO,
        sentence="Lower end of the 95 % interval of `auc`.",
        worry="When it is at or under .5: confidences may order events no better than chance.",
        action="With few labels get more; with many look at the labels first.",
    ),
    Figure(
        name="auc_high",
        title="AUC, high",
        of=lambda batch: batch.auc.high,
        unit=RATIO,
        sentence="Upper end of the 95 % interval of `auc`.",
        worry="When it is under the `auc` that the model used to have: the loss is more than chance.",
        action="As for `auc`.",
    ),
    Figure(
        name="observed_over_expected",
        title="Observed over expected",
        of=lambda batch: ratio(batch.cells.sy.sum(axis=-1), batch.cells.sp.sum(axis=-1)),
        unit=TIMES,
        exported="observed_over_expected",
        sentence="How many times as often as the confidences say it came true: 1 is right on average, 2 twice as often.",
        worry="When its interval leaves 1 by more than you can bear. Of rare events this shows what no ECE can: a rate 7 times the stated "
        "one of 1 in 10,000 is an ECE of .0006.",
        action="Set `thresholds.ratio`, so that an alert watches it. A shift of the log odds repairs it: look for a change of the base "
        "rate, then refit.",
    ),
    Figure(
        name="observed_over_expected_low",
        title="Observed over expected, low",
        of=lambda batch: batch.outcome_intervals[0],
        unit=TIMES,
        sentence="Lower end of the 95 % interval of `observed_over_expected`.",
        worry="When it is above 1: more happens than the model says.",
        action="As for `observed_over_expected`.",
    ),
    Figure(
        name="observed_over_expected_high",
        title="Observed over expected, high",
        of=lambda batch: batch.outcome_intervals[1],
        unit=TIMES,
        sentence="Upper end of the 95 % interval of `observed_over_expected`.",
        worry="When it is below 1: less happens than the model says.",
        action="As for `observed_over_expected`.",
    ),
)
"""The figures of an evaluation of probabilities, in their order."""
