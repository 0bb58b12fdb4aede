"""Events that a threshold selects before and after a calibrator changes the scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import CELLS, Floats, place
from .thresholds import CUTS, Steps, share_interval

MOST_TILT = 1 / 6
"""Largest distance of the mean from the middle, in widths, of a linear density on an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Scores under a calibrator, per cell or per event; arrays of shape (m,).

    A cell's scores lie in (lower, upper]; an event has lower = upper.
    """

    lower: Floats
    upper: Floats
    mean: Floats  # the score at the mean of all its events
    tilt: Floats  # distance of that mean from the middle before the calibrator, in widths; 0 for an event
    n: Floats  # labelled events
    sy: Floats  # labelled events with outcome 1
    events: Floats  # all events

    @property
    def keeps_order(self) -> bool:
        """Whether scores never fall from one cell to the next; always true for events."""
        return bool((self.upper >= self.lower).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """The events that a threshold selects in a range of time."""

    events: float  # an estimate if the threshold lies within a cell
    low: float  # lower and upper bound
    high: float
    share: float | None  # of all events
    expected_precision: float | None  # by the scores of the newer calibrator
    labelled: float
    precision: float | None  # by labels
    precision_low: float | None  # 95 % interval
    precision_high: float | None


def shares_above(view: View, threshold: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the share of each entry's events above a threshold, and whether it is an estimate.

    In a cell that the threshold cuts, the density is assumed to be linear with the cell's mean: a share of (1 - u) + 6t·u(1 - u) lies
    above a threshold u widths from the lower end, with t the mean's distance from the middle in widths.

    Returns
    -------
    shares, cut : arrays of shape (m,)

    Examples
    --------
    >>> view = View(lower=np.array([0.4, 0.5]), upper=np.array([0.5, 0.6]), mean=np.array([0.45, 0.55]), tilt=np.zeros(2),
    ...     n=np.zeros(2), sy=np.zeros(2), events=np.ones(2))
    >>> [shares_above(view, t)[0].round(6).tolist() for t in (0.5, 0.525, 0.6)]
    [[0.0, 1.0], [0.0, 0.75], [0.0, 0.0]]

    """
    low, high = np.minimum(view.lower, view.upper), np.maximum(view.lower, view.upper)
    rising = view.upper >= view.lower
    # (lower, upper] holds its upper end only, which is its highest score where scores rise and its lowest where they fall.
    whole = np.where(rising, (low >= threshold) & (high > threshold), low > threshold)
    cut = ~whole & (high > threshold)
    width = np.where(cut, high - low, 1.0)
    u = np.where(cut, (threshold - low) / width, 0.0)
    tilt = np.clip(np.where(rising, view.tilt, -view.tilt), -MOST_TILT, MOST_TILT)
    part = np.clip((1.0 - u) + 6.0 * tilt * u * (1.0 - u), 0.0, 1.0)
    return np.where(cut, part, whole.astype(np.float64)), cut


def selected(view: View, threshold: float, *, below: bool, chances: Floats) -> Selected:
    """Return the events that a threshold selects, above it (`score > threshold`) or below (`score <= threshold`).

    Parameters
    ----------
    view : scores that are compared with the threshold
    chances : array of shape (m,), probability of each entry's outcome by the newer calibrator

    Examples
    --------
    >>> view = View(lower=np.array([0.5, 0.9]), upper=np.array([0.9, 1.0]), mean=np.array([0.7, 0.95]), tilt=np.zeros(2),
    ...     n=np.array([10.0, 10.0]), sy=np.array([6.0, 9.0]), events=np.array([30.0, 20.0]))
    >>> found = selected(view, 0.9, below=False, chances=view.mean)
    >>> found.events, found.share, found.expected_precision, found.precision
    (20.0, 0.4, 0.95, 0.9)

    """
    share, cut = shares_above(view, threshold)
    if below:
        share, chances = 1.0 - share, 1.0 - chances
    right = view.n - view.sy if below else view.sy
    events, n, k = (float(share @ amount) for amount in (view.events, view.n, right))
    whole = float(view.events[(share == 1.0) & ~cut].sum())
    low, high = share_interval(k, n) if n > 0 else (None, None)
    total = float(view.events.sum())
    return Selected(
        events=events,
        low=whole,
        high=whole + float(view.events[cut].sum()),
        share=events / total if total > 0 else None,
        expected_precision=float((share * view.events) @ chances) / events if events > 0 else None,
        labelled=n,
        precision=k / n if n > 0 else None,
        precision_low=low,
        precision_high=high,
    )


def steps_of(view: View, exact: NDArray[np.bool_] | None = None) -> Steps | None:
    """Return the steps into which a scale of scores can be cut; None if the calibrator does not keep the order of scores.

    Parameters
    ----------
    view : all cells in ascending order, or events, which are put into cells by their score
    exact : array of shape (cells,), whether all scores after a cell are above its upper end; if not, no threshold can separate the
        cell from the next one, and both are one step

    Examples
    --------
    >>> view = View(lower=np.array([0.7]), upper=np.array([0.7]), mean=np.array([0.7]), tilt=np.zeros(1), n=np.ones(1),
    ...     sy=np.ones(1), events=np.ones(1))
    >>> steps = steps_of(view)
    >>> len(steps.n), float(steps.n[np.searchsorted(steps.upper, 0.7)])
    (402, 1.0)

    """
    if exact is None:
        at = place(view.mean)
        sums = (view.n, view.sy, view.events, view.events * view.mean)
        return _steps(CUTS, *(np.bincount(at, weights=column, minlength=CELLS).astype(np.float64) for column in sums))
    if not view.keeps_order:
        return None
    ends = np.append(np.flatnonzero(exact[:-1]), len(exact) - 1)
    first = np.concatenate([[0], ends[:-1] + 1])
    sums = (view.n, view.sy, view.events, view.events * view.mean)
    return _steps(view.upper[ends], *(np.add.reduceat(column, first) for column in sums))


def _steps(upper: Floats, n: Floats, sy: Floats, events: Floats, expected: Floats) -> Steps:
    return Steps(upper=upper, n=n, sy=sy, events=events, expected=expected)
