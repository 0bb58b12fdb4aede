"""Impact: what a threshold selects before and after a calibrator moves the scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import CELLS, Floats, place
from .thresholds import CUTS, Steps, share_interval

MOST_TILT = 1 / 6
"""The steepest line that is a density on an interval puts its mean a sixth of the width off the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Scores under a calibrator, cell by cell or event by event; arrays of shape (m,).

    A cell's scores lie between `lower`, which it does not hold, and `upper`, which it does; an event's are one.
    """

    lower: Floats
    upper: Floats
    mean: Floats  # the score at the mean of all its events
    tilt: Floats  # how far that mean lies off the middle before the calibrator, in widths; 0 of an event
    n: Floats  # labelled events
    sy: Floats  # those of them that came true
    events: Floats  # all events

    @property
    def keeps_order(self) -> bool:
        """Whether no higher cell has lower scores; events have no order to keep."""
        return bool((self.upper >= self.lower).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What a threshold selects of a range of time."""

    events: float  # an estimate where the threshold lies within a cell
    low: float  # at least, and at most, so many
    high: float
    share: float | None  # of all events
    expected_precision: float | None  # if the scores of the newer calibrator hold
    labelled: float
    precision: float | None  # as labels show it
    precision_low: float | None  # 95 % interval
    precision_high: float | None


def shares_above(view: View, threshold: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the share of each entry's events with a score above a threshold, and whether that is an estimate.

    In a cell that the threshold cuts, the density is taken to be the line with the cell's mean: at u widths from its lower end,
    (1 - u) + 6t·u(1 - u) lie above, t the mean's distance from the middle in widths.

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
    """Return what a threshold selects, above it (`score > threshold`) or below (`score <= threshold`).

    Parameters
    ----------
    view : under the calibrator whose scores are compared with the threshold
    chances : array of shape (m,), how likely each entry's events are to come true, as the newer calibrator says

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
    events, n, k = (float(share @ each) for each in (view.events, view.n, right))
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
    """Return the steps that a scale of scores can be cut into; None where a calibrator does not keep the order of scores.

    Parameters
    ----------
    view : of all cells in ascending order, or of events, which are put into cells by their score
    exact : array of shape (cells,), of cells: whether the scores after each are all higher than its upper end; where they are not,
        no threshold on the score can tell the cell from the next one, and both are one step

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
        return _steps(CUTS, *(np.bincount(at, weights=each, minlength=CELLS).astype(np.float64) for each in sums))
    if not view.keeps_order:
        return None
    ends = np.append(np.flatnonzero(exact[:-1]), len(exact) - 1)
    first = np.concatenate([[0], ends[:-1] + 1])
    sums = (view.n, view.sy, view.events, view.events * view.mean)
    return _steps(view.upper[ends], *(np.add.reduceat(each, first) for each in sums))


def _steps(upper: Floats, n: Floats, sy: Floats, events: Floats, expected: Floats) -> Steps:
    return Steps(upper=upper, n=n, sy=sy, events=events, expected=expected)
