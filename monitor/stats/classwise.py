"""Calibration per class: the probability of each class against the labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .cells import SIXTIETHS, Floats
from .noise import FEWEST_FOR_SIGNS, signed_sum_lower_bounds

N, SP, SY = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCalibration:
    """Calibration figures of one class."""

    labelled: int  # events with a label
    positives: int  # labelled events of the class
    mean_probability: float | None
    observed: float | None  # share of positives
    ece: float | None
    ece_lower_bound: float | None  # None without an earlier window for its signs
    margin: float | None  # distance by which the bound falls short of the true ECE at even odds


def classwise_rows(probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """Return classwise sums of labelled vectors, n, Σp and Σy; shape (classes, 60, 3).

    Parameters
    ----------
    probabilities : array of shape (n, classes)
    labels : array of shape (n,), indices of classes

    Examples
    --------
    >>> classwise_rows([[0.7, 0.3], [0.2, 0.8]], [0, 0]).sum(axis=1).round(9).tolist()
    [[2.0, 0.9, 2.0], [2.0, 1.1, 0.0]]

    """
    p = np.asarray(probabilities, dtype=np.float64)
    happened = np.asarray(labels)[:, None] == np.arange(p.shape[1])
    edges = np.arange(SIXTIETHS + 1) / SIXTIETHS
    sixtieth = np.clip(np.searchsorted(edges, p, side="left") - 1, 0, SIXTIETHS - 1)
    sums = np.zeros((p.shape[1], SIXTIETHS, 3))
    index = np.broadcast_to(np.arange(p.shape[1]), p.shape)
    for field, weights in enumerate((np.ones_like(p), p, happened)):
        np.add.at(sums[..., field], (index, sixtieth), weights)
    return sums


def classwise_bins(cells: Floats, bins: int) -> Floats:
    """Return classwise sums over `bins` equal-width bins, exactly, where `bins` divides 60; shape (classes, bins, 3)."""
    if SIXTIETHS % bins:
        raise ValueError(f"bins is {bins}; it must divide {SIXTIETHS}")
    binned: Floats = cells.reshape(len(cells), bins, SIXTIETHS // bins, 3).sum(axis=2)
    return binned


def classwise_ece(binned: Floats) -> Floats:
    """Return the ECE of each class, Σ abs(Sp - Sy)/N; shape (classes,), NaN without events.

    Examples
    --------
    >>> classwise_ece(classwise_bins(classwise_rows([[0.7, 0.3], [0.2, 0.8]], [0, 0]), 15)).round(9).tolist()
    [0.55, 0.55]

    """
    total = binned[..., N].sum(axis=1)
    gaps = np.abs(binned[..., SP] - binned[..., SY]).sum(axis=1)
    errors: Floats = np.where(total > 0, gaps / np.maximum(total, 1), np.nan)
    return errors


def sce(cells: Floats, bins: int = 15) -> float | None:
    """Return the static calibration error, the mean binary ECE of all declared classes; None without events.

    Classes without labels count too. Exact for bins that divide 60. Nixon et al. 2019 (doi:10.48550/arXiv.1904.01685).

    Parameters
    ----------
    cells : array of shape (classes, 60, 3), from `Summary.classwise`
    bins : 10, 12, 15, 20, 30 or 60

    Raises
    ------
    ValueError
        when the bins are not unions of the sixty cells.

    Examples
    --------
    >>> round(sce(classwise_rows([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], [0, 0])), 9)
    0.366666667

    """
    errors = classwise_ece(classwise_bins(cells, bins))
    return float(errors.mean()) if len(errors) and np.isfinite(errors).all() else None


def class_calibration(cells: Floats, previous: Floats | None, *, bins: int, alpha: float) -> list[ClassCalibration]:
    """Return the calibration of each class, with a lower bound of its ECE by the signs of the previous window.

    There is no random half per class: without a previous window of at least 100 labels there is no bound.

    Parameters
    ----------
    cells, previous : arrays of shape (classes, 60, 3), of the window and of the disjoint previous one
    bins : 10, 12, 15, 20, 30 or 60
    alpha : probability with which the bound of one class may exceed the truth

    Examples
    --------
    >>> found, _ = class_calibration(classwise_rows([[0.7, 0.3], [0.2, 0.8]], [0, 0]), None, bins=15, alpha=0.05)
    >>> found.positives, round(found.mean_probability, 9), round(found.ece, 9), found.ece_lower_bound
    (2, 0.45, 0.55, None)

    """
    binned = classwise_bins(cells, bins)
    n, sp, sy = (binned[..., field].sum(axis=1) for field in (N, SP, SY))
    size, errors = np.maximum(n, 1), classwise_ece(binned)
    columns = (n, sy, sp / size, sy / size, errors, *_bounds(binned, previous, errors, bins, alpha))
    return [_of_class(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _bounds(binned: Floats, previous: Floats | None, errors: Floats, bins: int, alpha: float) -> tuple[Floats, Floats]:
    """Return bounds and margins, NaN for classes without a bound."""
    before = np.zeros_like(binned) if previous is None else classwise_bins(previous, bins)
    sign = np.sign(before[..., SP] - before[..., SY])
    bounds, margins = signed_sum_lower_bounds(binned[..., N], binned[..., SY], binned[..., SP], sign, alpha)
    usable = (before[..., N].sum(axis=1) >= FEWEST_FOR_SIGNS) & (binned[..., N].sum(axis=1) > 0)
    return np.where(usable, np.minimum(bounds, errors), np.nan), np.where(usable, margins, np.nan)


def _of_class(n: float, positives: float, *figures: float) -> ClassCalibration:
    mean, observed, error, bound, margin = (figure if n > 0 and figure == figure else None for figure in figures)  # noqa: PLR0124 - NaN
    return ClassCalibration(
        labelled=int(n),
        positives=int(positives),
        mean_probability=mean,
        observed=observed,
        ece=error,
        ece_lower_bound=bound,
        margin=margin,
    )
