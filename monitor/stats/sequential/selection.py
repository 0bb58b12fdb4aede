"""Whether labels were chosen by their outcome: then a sequential test says nothing about the model.

The tests hold for labels whose arrival in time does not depend on the outcome given p. Two things speak against that: labels that came too
late differ from those that came in time, or predictions lack labels in a way that would let a calibrated model look like this. Neither
matters where even the best outcomes of all predictions without a label in time would leave the model off.

Labels may be chosen by the outcome itself, as where positives come late, or by whether the prediction was right, as where people dispute
what went against them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit, xlog1py, xlogy
from scipy.stats import binomtest

from ..cells import Cells, Floats, Integers
from .witnesses import BIN_OF_CELL, BINS

MEMORY: Final = 10_000.0
"""Labels after which the weight of what was seen is 1/e."""

DIFFERENT: Final = 2.807
"""z of one of two differences, at the two-sided level of 1 % for both together."""

TWO_SIDED: Final = 0.01
"""The same level for an exact test."""

BY_OUTCOME: Final[Floats] = np.ones(BINS)
BY_ERROR: Final[Floats] = np.where(np.arange(BINS) < BINS // 2, -1.0, 1.0)
"""Which outcome of each twentieth labels may be chosen for: 1 the positive one, or the one that was predicted. -1: the other one."""

NOISE: Final = 3.0
"""Standard deviations by which noise may exceed its mean."""

NATS: Final = 2.0
"""A flat coverage must be so much more likely than one that rises or falls with p, before that is ruled out."""

_MOST_ODDS: Final = 14.0
"""Largest log of how much more often one outcome is labelled."""

_MEAN_NOISE: Final = np.sqrt(2 / np.pi)


FIELDS: Final = 10
"""Sums of a twentieth."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelling:
    """Which matured predictions got a label, in time or too late, per twentieth of [0, 1]; a cluster is one prediction."""

    # N, Σp of all; n, Σp, Σ(y - p), Σp(1 - p) of labels in time; n, Σ(y - p), Σp(1 - p), Σp of late ones; shape (10, 20)
    sums: Floats

    @classmethod
    def begin(cls) -> "Labelling":
        """Return the state before any prediction."""
        return cls(np.zeros((FIELDS, BINS)))

    @classmethod
    def of_cells(cls, cells: Cells) -> "Labelling":
        """Return matured predictions without a cluster, from their sums."""
        sums = (cells.en, cells.esp, cells.n, cells.sp, cells.sy - cells.sp, cells.sp - cells.spp)
        return cls._of([_binned(values, BIN_OF_CELL) for values in sums])

    @classmethod
    def of_clusters(cls, predictions: Floats, expected: Floats, n: Floats, sy: Floats, sp: Floats) -> "Labelling":
        """Return matured clusters, each as one prediction of its mean confidence and outcome; all arrays have shape (clusters,).

        Parameters
        ----------
        predictions, expected : N and Σp of a cluster's predictions
        n, sy, sp : n, Σy and Σp of its labels

        """
        p = expected / np.maximum(predictions, 1.0)
        labelled = n > 0
        told, y = sp / np.maximum(n, 1.0), sy / np.maximum(n, 1.0)
        sums = (predictions > 0, np.where(predictions > 0, p, 0.0), labelled, told, y - told, told * (1.0 - told))
        bins = np.clip(np.ceil(np.where(labelled, told, p) * BINS).astype(np.int64) - 1, 0, BINS - 1)
        return cls._of([_binned(np.asarray(values, dtype=np.float64), bins) for values in sums])

    @classmethod
    def _of(cls, timely: list[Floats]) -> "Labelling":
        return cls(np.stack([*timely, *np.zeros((FIELDS - len(timely), BINS))]))

    @property
    def late(self) -> "Labelling":
        """The same labels, as ones that came too late."""
        n, confidence, gap, variance = self.sums[2:6]
        return Labelling(np.stack([*np.zeros((6, BINS)), n, gap, variance, confidence]))

    def __add__(self, other: "Labelling") -> "Labelling":
        return Labelling(self.sums + other.sums)

    def after(self, seen: "Labelling", memory: float = MEMORY) -> "Labelling":
        """Return the state after more predictions or late labels; earlier ones count less the more labels come.

        Parameters
        ----------
        memory : labels after which the weight of what was seen is 1/e

        """
        labels = seen.sums[2].sum() + seen.sums[6].sum()
        return Labelling(self.sums * np.exp(-labels / memory) + seen.sums)

    @property
    def coverage(self) -> float | None:
        """The share of matured predictions that had a label in time."""
        predictions = self.sums[0].sum()
        return min(1.0, float(self.sums[2].sum() / predictions)) if predictions else None

    @property
    def timely_gap(self) -> float | None:
        """The mean of y - p of labels that came in time."""
        return _mean(self.sums[4], self.sums[2])

    @property
    def late_gap(self) -> float | None:
        """The mean of y - p of labels that came too late."""
        return _mean(self.sums[7], self.sums[6])


def _binned(values: Floats, bins: Integers) -> Floats:
    return np.bincount(bins, values, BINS).astype(np.float64)


def _mean(total: Floats, count: Floats) -> float | None:
    return float(total.sum() / count.sum()) if count.sum() else None


def doubt(seen: Labelling, threshold: float) -> str | None:
    """Return why labels may have been chosen by their outcome, in words; None where they were not.

    Parameters
    ----------
    seen : which predictions got a label
    threshold : the ECE up to which the model counts as calibrated

    Examples
    --------
    Of predictions of .05 to .95 only every second positive got a label, or all of them:

    >>> p = np.linspace(0.05, 0.95, 19)
    >>> def of(share_of_positives, share_of_negatives, n=1000.0):
    ...     positives, negatives = n * p * share_of_positives, n * (1 - p) * share_of_negatives
    ...     timely = positives + negatives
    ...     sums = (np.full(19, n), n * p, timely, timely * p, positives - timely * p, timely * p * (1 - p))
    ...     return Labelling(np.pad(np.stack([*sums, *np.zeros((4, 19))]), ((0, 0), (0, 1))))
    >>> doubt(of(0.5, 1.0), 0.05) is None, doubt(of(1.0, 1.0), 0.05) is None
    (False, True)

    """
    if _is_off_anyway(seen, threshold):
        return None
    by_outcome, by_error = (lateness_z(seen, sides) or 0.0 for sides in (BY_OUTCOME, BY_ERROR))
    if max(abs(by_outcome), abs(by_error)) > DIFFERENT:
        return (
            "The alert is held: labels that came too late differ from those that came in time. "
            f"{_by_outcome(seen) if abs(by_outcome) >= abs(by_error) else _by_error(by_error)} A longer label delay helps."
        )
    return _missing(seen) if explained_by_selection(seen, threshold) else None


def _by_outcome(seen: Labelling) -> str:
    late, timely = _signed(seen.late_gap), _signed(seen.timely_gap)
    return f"Outcomes less confidences are {late} on average among late ones, {timely} among the others."


def _by_error(z: float) -> str:
    return f"Of the same confidence, late ones {'agree' if z > 0 else 'disagree'} with their prediction more often."


def doubt_of_ratio(seen: Labelling, limit: float) -> str | None:
    """Return why labels may have been chosen by their outcome, where observed over expected is beyond a limit; None where they were not.

    Labels that are late or missing explain nothing where even the best outcomes of all predictions without one in time would leave the
    model beyond its limit. Else late labels are compared with timely ones by the share of the outcomes that they would have if both
    happened as often, relative to what was expected; and missing ones explain nothing where coverage does not rise with p as selection by
    outcome makes it.

    Parameters
    ----------
    seen : which predictions got a label
    limit : r

    Examples
    --------
    Of 10,000 predictions of .001, 70 happened; all have a label, or every second one:

    >>> def of(labels):
    ...     sums = np.zeros((FIELDS, BINS))
    ...     sums[:6, 0] = 10_000, 10, labels, labels / 1000, 70 - labels / 1000, labels / 1000
    ...     return Labelling(sums)
    >>> doubt_of_ratio(of(10_000), 1.5) is None, doubt_of_ratio(of(5_000), 10) is None
    (True, False)

    """
    if _is_beyond_anyway(seen, limit):
        return None
    late, timely = seen.sums[7] + seen.sums[9], seen.sums[4] + seen.sums[3]
    observed, expected = float(late.sum() + timely.sum()), float(seen.sums[9].sum() + seen.sums[3].sum())
    if expected and 0 < seen.sums[9].sum() < expected:
        share = float(seen.sums[9].sum()) / expected
        if binomtest(round(late.sum()), round(observed), share).pvalue < TWO_SIDED:
            return (
                "The alert is held: labels that came too late differ from those that came in time. Outcomes happened "
                f"{late.sum() / seen.sums[9].sum():.3g} times as often as expected among late ones, "
                f"{timely.sum() / max(seen.sums[3].sum(), 1e-12):.3g} times among the others. A longer label delay helps."
            )
    return _missing(seen) if _ratio_explained(seen) else None


def _is_beyond_anyway(seen: Labelling, limit: float) -> bool:
    """Return whether outcomes would be beyond a limit whatever those without a label in time were."""
    predictions, expected, n, confidence, gap, _ = seen.sums[:6]
    unlabelled, happened = max(float(predictions.sum() - n.sum()), 0.0), float((gap + confidence).sum())
    most, least = limit * float(expected.sum()), float(expected.sum()) / limit
    return bool(happened > most + NOISE * np.sqrt(most) or happened + unlabelled < least - NOISE * np.sqrt(least))


def _ratio_explained(seen: Labelling) -> bool:
    predictions, expected, n, confidence, gap, _ = seen.sums[:6]
    if not n.sum() or n.sum() >= predictions.sum():
        return False
    return _flatness(predictions, expected, n, _log_odds(n, confidence, gap, BY_OUTCOME) * BY_OUTCOME) < NATS


def _missing(seen: Labelling) -> str:
    return (
        f"The alert is held: only {100 * (seen.coverage or 0.0):.1f} % of matured predictions have a label, and if which of them do "
        "depends on the outcome, a calibrated model looks like this one. "
        "Label a random sample, or send the missing labels."
    )


def _signed(gap: float | None) -> str:
    return f"{gap or 0.0:+.3f}"


def lateness_z(seen: Labelling, sides: Floats = BY_OUTCOME) -> float | None:
    """Return z of the difference of y - p between late and timely labels of the same twentieths; None without both.

    Parameters
    ----------
    sides : the sign that a difference counts with; shape (20,)

    """
    n, gap, variance = seen.sums[[2, 4, 5]]
    late, late_gap, late_variance = seen.sums[6:9]
    both = (n > 0) & (late > 0)
    weight = n[both] * late[both] / (n[both] + late[both])
    difference = late_gap[both] / late[both] - gap[both] / n[both]
    spread = (weight**2 * (late_variance[both] / late[both] ** 2 + variance[both] / n[both] ** 2)).sum()
    return float((sides[both] * weight * difference).sum() / np.sqrt(spread)) if spread > 0 else None


def explained_by_selection(seen: Labelling, threshold: float) -> bool:
    """Return whether a calibrated model may look like this because one outcome is labelled more often, or right predictions are.

    Three things rule that out. Even the best outcomes of the unlabelled predictions would leave the ECE above the threshold. Or the
    outcomes are off otherwise than by a shift of their log odds, log k, which is what selection makes of a calibrated model, or hardly
    shifted; where right predictions are labelled k times as often, it is log k towards the nearer end. Or coverage does not follow p as
    that makes it, such as 1 + (k - 1)p, while a flat one is more likely by two nats.
    """
    n = seen.sums[2]
    if not n.sum() or n.sum() >= seen.sums[0].sum() or _is_off_anyway(seen, threshold):
        return False
    return any(_explained_by(seen, sides, threshold) for sides in (BY_OUTCOME, BY_ERROR))


def _explained_by(seen: Labelling, sides: Floats, threshold: float) -> bool:
    predictions, expected, n, confidence, gap, _ = seen.sums[:6]
    log_odds = _log_odds(n, confidence, gap, sides) * sides
    shifted, unexplained = _shift(n, confidence, gap, log_odds)
    return 2 * shifted > threshold >= unexplained and _flatness(predictions, expected, n, log_odds) < NATS


def _is_off_anyway(seen: Labelling, threshold: float) -> bool:
    """Return whether the ECE would be above the threshold whatever the outcomes without a label in time were."""
    return bool(seen.sums[0].any()) and _least_ece(seen) > threshold


def _least_ece(seen: Labelling) -> float:
    """Return the ECE of all predictions if those without a label had the outcomes that fit best, less its noise."""
    predictions, expected, n, confidence, gap, _ = seen.sums[:6]
    missing = expected - (gap + confidence)  # positives, for a model that is calibrated
    short = np.maximum(-missing, 0.0) + np.maximum(missing - np.maximum(predictions - n, 0.0), 0.0)
    p = np.divide(expected, predictions, out=np.zeros(BINS), where=predictions > 0)
    return float((short.sum() - _most_noise(predictions * p * (1.0 - p))) / predictions.sum())


def _most_noise(variances: Floats) -> float:
    """Return what the absolute values of independent errors hardly ever sum to more than."""
    return float(_MEAN_NOISE * np.sqrt(variances).sum() + NOISE * np.sqrt((1.0 - 2.0 / np.pi) * variances.sum()))


def _log_odds(n: Floats, confidence: Floats, gap: Floats, sides: Floats) -> float:
    """Return the shift of log odds, log k, towards some sides that fits the labelled outcomes best."""
    used = n > 0
    side, positives = sides[used], (gap + confidence)[used]
    base = logit(np.clip(confidence[used] / n[used], 1e-6, 1 - 1e-6))

    def excess(shift: float) -> float:
        return float((side * (n[used] * expit(base + shift * side) - positives)).sum())

    if excess(-_MOST_ODDS) >= 0:
        return -_MOST_ODDS
    return _MOST_ODDS if excess(_MOST_ODDS) <= 0 else float(brentq(excess, -_MOST_ODDS, _MOST_ODDS))


def _shift(n: Floats, confidence: Floats, gap: Floats, log_odds: Floats) -> tuple[float, float]:
    """Return the ECE that shifts make of a calibrated model, and what the labelled outcomes keep after them, less its noise."""
    p = np.clip(np.divide(confidence, n, out=np.full(BINS, 0.5), where=n > 0), 1e-6, 1 - 1e-6)
    shifted = expit(logit(p) + log_odds)
    errors = np.abs(gap + confidence - n * shifted).sum() - _most_noise(n * shifted * (1.0 - shifted))
    return float(n @ np.abs(shifted - p) / n.sum()), float(errors / n.sum())


def _flatness(predictions: Floats, expected: Floats, n: Floats, log_odds: Floats) -> float:
    """Return by how many nats a flat coverage is more likely than the one that selection makes.

    Where log odds rise by log k it is in proportion to 1 + (k - 1)p: of the positives and the negatives the share that is labelled less is
    the same on either side.
    """
    used = predictions > 0
    total = np.maximum(predictions, n)[used]
    p, labels = expected[used] / predictions[used], n[used]
    shift, rarest = log_odds[used], float(np.exp(-np.abs(log_odds).max()))
    rises = np.where(shift > 0, rarest, 1.0) * (1.0 + np.expm1(shift) * p)
    return _best_likelihood(total, labels, np.ones_like(p)) - _best_likelihood(total, labels, rises / rises.max())


def _best_likelihood(total: Floats, labels: Floats, shape: Floats) -> float:
    """Return the log likelihood of the labels of each twentieth for the best coverage in proportion to `shape`, which is at most 1."""

    def loss(share: float) -> float:
        covered = share * shape
        return float(-(xlogy(labels, covered) + xlog1py(total - labels, -covered)).sum())

    return -float(minimize_scalar(loss, bounds=(1e-9, 1.0 - 1e-9), method="bounded", options={"xatol": 1e-9}).fun)
