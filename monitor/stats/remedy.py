"""What to do about a miscalibrated window: whether a calibrator can repair it, by its discrimination against a reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit, logit, ndtr

from .alike import stacked
from .cells import Cells, Floats, Integers
from .discrimination import aucs
from .drift import score_drift

Remedy = Literal["recalibrate", "retrain", "check_labels", "wait"]

RECALIBRATE: Final = "recalibrate"
RETRAIN: Final = "retrain"
CHECK_LABELS: Final = "check_labels"
WAIT: Final = "wait"

NOT_COMPARED: Final = "It has not been compared with a reference yet."
"""The reason to wait of an evaluation before a remedy is chosen."""

SURE: Final = 2.5758293035489004
"""The two-sided 99 % quantile of a normal variable: a loss is more than chance beyond it."""

LEAST_LOSS: Final = 0.01
"""A smaller loss of AUC, or of the CRPS as a share of it, is nothing to retrain a model for."""

CHANCE: Final = 0.5

APART: Final = "Wrong labels look the same from scores and labels alone: check a sample of them first."


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A remedy, and why, in words."""

    remedy: Remedy
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a remedy is chosen by, whatever the sums of window and reference are."""

    minimum: int  # labels that window and reference need each
    threshold: float  # of the ECE
    psi: float = 0.2  # the threshold of score drift
    suspects: Sequence[str] = ()  # why the labels may be wrong, in sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Sums of the errors of predictive distributions, in the unit of the label."""

    labels: float
    crps: float
    error: float
    absolute_error: float


def of_probabilities(now: Cells, reference: Cells | None, grounds: Grounds, *, binary: bool) -> Advice:
    """Return the remedy of a miscalibrated window of confidences.

    A calibrator is a monotone map: it leaves the AUC as it is, and at best the Brier score of the isotonic regression of outcomes on
    confidences, S(PAV). It is enough unless AUC or S(PAV) are worse than the reference's by more than chance, at 99 %, and by
    more than `LEAST_LOSS` or what an error at the threshold costs, threshold². Of a binary model the base rate may have moved,
    which is no loss: it is held against the reference at today's base rate (see `_at_rate`).

    Parameters
    ----------
    now, reference : sums of the scores as the model gave them; None where there is no reference
    binary : whether p is the probability of class 1, not of the answer

    """
    first = _before_comparison(float(now.n.sum()), None if reference is None else float(reference.n.sum()), grounds)
    if first is not None or reference is None:
        return first or _nothing_to_compare()
    is_now = _Skill.of(now)
    before = [_Skill.of(then) for then in (_at_rate(now, reference) if binary else [reference])]
    moved = _moved(now, reference, grounds.psi, binary=binary)
    if _fell_to_chance(is_now, before):
        return Advice(remedy=CHECK_LABELS, reason=_chance_words(is_now, before[0]))
    if all(_lost(is_now, then, grounds.threshold) for then in before):
        return Advice(remedy=RETRAIN, reason=f"{_loss_words(is_now, before[0])}{moved} {APART}")
    return Advice(remedy=RECALIBRATE, reason=f"{_repair_words(is_now, before[0])}{moved}")


def of_distributions(now: Amounts, reference: Amounts | None, grounds: Grounds) -> Advice:
    """Return the remedy of a miscalibrated window of predictive distributions.

    Their calibrators repair bias and spread. What they leave is the CRPS of a normal distribution of the errors' own spread: with mean
    error b and mean absolute error a, the spread s solves E|N(b, s)| = a, and the CRPS is s/√π. It is held against the same of
    the reference; as the amounts are about exponential, each has a standard error of itself by √labels.
    """
    first = _before_comparison(now.labels, None if reference is None else reference.labels, grounds)
    if first is not None or reference is None:
        return first or _nothing_to_compare()
    left, before = (_least_crps(amounts) for amounts in (now, reference))
    error = math.hypot(left / math.sqrt(now.labels), before / math.sqrt(reference.labels))
    figures = f"{left:.3g} (now {now.crps / now.labels:.3g}); the reference had {reference.crps / reference.labels:.3g}"
    if left - before > max(SURE * error, LEAST_LOSS * before):
        reason = (
            f"Labels have become harder to predict: the best calibrator would leave a CRPS of about {figures}. {APART}"
        )
        return Advice(remedy=RETRAIN, reason=reason)
    return Advice(remedy=RECALIBRATE, reason=f"A new calibrator would leave a CRPS of about {figures}.")


def _before_comparison(labels: float, reference: float | None, grounds: Grounds) -> Advice | None:
    """Return a remedy that needs no comparison with the reference, or says that there can be none."""
    if labels < grounds.minimum:
        reason = f"There are {labels:,.0f} labels, too few to tell what is wrong: it takes {grounds.minimum:,}."
        return Advice(remedy=WAIT, reason=reason)
    if grounds.suspects:
        return Advice(remedy=CHECK_LABELS, reason=" ".join(grounds.suspects))
    if reference is None or reference < grounds.minimum:
        return _nothing_to_compare()
    return None


def _nothing_to_compare() -> Advice:
    reason = (
        "Nothing says how good the model should be: there is no calibrated past with enough labels. Send a validation set, or declare a "
        "range as the reference. A calibrator may be fitted meanwhile: its gate judges it."
    )
    return Advice(remedy=WAIT, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skill:
    """How well scores tell outcomes apart, whatever the scores are called."""

    auc: float
    auc_low: float
    auc_high: float
    auc_variance: float
    brier: float
    best: float  # the Brier score after the best monotone map
    best_variance: float
    base_rate: float

    @classmethod
    def of(cls, cells: Cells) -> "_Skill":
        area, total = aucs(stacked([cells])), float(cells.n.sum())
        best, variance = _best_brier(cells)
        return cls(
            auc=float(area.value[0]),
            auc_low=float(area.low[0]),
            auc_high=float(area.high[0]),
            auc_variance=float(area.variance[0]),
            brier=float((cells.spp - 2 * cells.spy + cells.sy).sum()) / total,
            best=best,
            best_variance=variance,
            base_rate=float(cells.sy.sum()) / total,
        )


def _best_brier(cells: Cells) -> tuple[float, float]:
    """Return the Brier score after isotonic regression and its variance, the map taken as given."""
    full, fitted = _isotonic(cells)
    n, ones = cells.n[full], cells.sy[full]
    losses = [(ones, (1 - fitted) ** 2), (n - ones, fitted**2)]
    mean, square = (float(sum((w * loss**power).sum() for w, loss in losses) / n.sum()) for power in (1, 2))
    return mean, max(square - mean**2, 0.0) / float(n.sum())


def _isotonic(cells: Cells) -> tuple[Integers, Floats]:
    """Return the occupied cells, and how often outcomes happen in each by the best increasing map."""
    full: Integers = np.flatnonzero(cells.n).astype(np.int64)
    n = cells.n[full]
    return full, np.asarray(isotonic_regression(cells.sy[full] / n, weights=n).x)


def _at_rate(now: Cells, reference: Cells) -> list[Cells]:
    """Return the reference as it would be at the base rate of now, in the two ways in which that can move.

    Either events of one outcome become more common, and look as they did: outcomes are weighted. Or the same events happen more
    often: the odds of all scores are multiplied.
    """
    rate, before = (float(cells.sy.sum() / cells.n.sum()) for cells in (now, reference))
    if not (0 < rate < 1 and 0 < before < 1):
        return [reference]
    return [_weighted(reference, rate / before, (1 - rate) / (1 - before)), _multiplied(reference, rate)]


def _weighted(cells: Cells, ones: float, zeros: float) -> Cells:
    """Return sums in which events of either outcome count more or less, as many in total."""
    n = ones * cells.sy + zeros * (cells.n - cells.sy)
    return replace(cells, n=n, sy=ones * cells.sy)


def _multiplied(cells: Cells, rate: float) -> Cells:
    """Return sums in which outcomes happen at another rate, their odds multiplied by one factor."""
    full, fitted = _isotonic(cells)
    n = cells.n[full]
    odds = logit((fitted * n + 0.5) / (n + 1))
    shift = brentq(lambda by: float(n @ expit(odds + by)) - rate * n.sum(), -40.0, 40.0)
    ones = np.zeros_like(cells.n)
    ones[full] = n * expit(odds + shift)
    return replace(cells, sy=ones)


def _fell_to_chance(now: _Skill, before: Sequence[_Skill]) -> bool:
    """Return whether scores order outcomes no better than chance, and did so before: lost by more than half, and by more than chance."""
    fell = all(_auc_lost(now, then) and now.auc_high < (then.auc + CHANCE) / 2 for then in before)
    return now.auc - SURE * math.sqrt(now.auc_variance) <= CHANCE and fell


def _lost(now: _Skill, before: _Skill, threshold: float) -> bool:
    """Return whether the best calibrator leaves a loss against the reference."""
    margin = SURE * math.sqrt(now.best_variance + before.best_variance)
    return _auc_lost(now, before) or now.best - before.best > max(margin, threshold**2)


def _auc_lost(now: _Skill, before: _Skill) -> bool:
    margin = SURE * math.sqrt(now.auc_variance + before.auc_variance)
    return before.auc - now.auc > max(margin, LEAST_LOSS)


def _auc_words(now: _Skill, before: _Skill) -> str:
    return f"AUC {now.auc:.2f} [{now.auc_low:.2f}, {now.auc_high:.2f}], was {before.auc:.2f}"


def _best_words(now: _Skill, before: _Skill) -> str:
    return f"a Brier score of {now.best:.3f} (now {now.brier:.3f}); the reference's best is {before.best:.3f}"


def _chance_words(now: _Skill, before: _Skill) -> str:
    return (
        f"Scores order outcomes no better than chance ({_auc_words(now, before)}). That seldom happens to a model at once: check whether "
        "labels are joined to the right predictions."
    )


def _loss_words(now: _Skill, before: _Skill) -> str:
    worse = f"The model tells outcomes apart less well ({_auc_words(now, before)})."
    return f"{worse} The best calibrator would leave {_best_words(now, before)}."


def _repair_words(now: _Skill, before: _Skill) -> str:
    alike = f"The model tells outcomes apart as well as before ({_auc_words(now, before)})."
    return f"{alike} A new calibrator would leave {_best_words(now, before)}."


def _moved(now: Cells, reference: Cells, psi: float, *, binary: bool) -> str:
    """Return what else differs from the reference, as sentences that follow others."""
    words = []
    rate, before = (float(cells.sy.sum() / cells.n.sum()) for cells in (now, reference))
    spread = math.sqrt(sum(rate * (1 - rate) / float(cells.n.sum()) for cells in (now, reference)))
    if spread > 0 and abs(rate - before) > SURE * spread:
        what = "Class 1 happens" if binary else "Answers are right"
        words.append(f"{what} {100 * rate:.3g} % of the time, {100 * before:.3g} % before.")
    drift = score_drift(reference.en, now.en, sums=(reference.esp, now.esp))
    if drift is not None and drift.drifted(psi):
        words.append(f"Scores have moved too (PSI {drift.psi:.2f}): look at what changed in the inputs.")
    return "".join(f" {sentence}" for sentence in words)


def _least_crps(amounts: Amounts) -> float:
    """Return the mean CRPS once bias and spread are repaired."""
    bias, absolute = abs(amounts.error) / amounts.labels, amounts.absolute_error / amounts.labels
    if absolute <= bias:
        return 0.0

    def excess(spread: float) -> float:
        z = bias / spread
        folded = spread * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + bias * (2 * float(ndtr(z)) - 1)
        return folded - absolute

    return float(brentq(excess, 1e-9 * absolute, 2 * absolute)) / math.sqrt(math.pi)
