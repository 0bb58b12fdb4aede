"""How many outcomes happened, beside how many were expected."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2, norm

from .cells import Cells, Floats

TWO_SIDED: Final = 0.025
"""Error rate of each end of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Outcomes of labelled events."""

    labels: int
    observed: float  # Σ y
    expected: float  # Σ p

    @property
    def ratio(self) -> float:
        """Observed over expected outcomes; NaN where none were expected."""
        return self.observed / self.expected if self.expected else float("nan")


def count(cells: Cells) -> Count:
    """Return the outcomes of a window from its sums."""
    return Count(labels=round(cells.n.sum()), observed=float(cells.sy.sum()), expected=float(cells.sp.sum()))


def interval(counted: Count, alpha: float) -> tuple[float, float]:
    """Return an interval of the ratio of observed to expected outcomes, whose ends err with probability at most alpha each.

    Examples
    --------
    >>> low, high = interval(Count(labels=100_000, observed=10, expected=4), 0.025)
    >>> round(low, 3), round(high, 3)
    (1.199, 4.598)

    """
    low, high = intervals(np.array([counted.observed]), np.array([counted.expected]), np.array([alpha]))
    return float(low[0]), float(high[0])


def intervals(observed: Floats, expected: Floats, alphas: Floats) -> tuple[Floats, Floats]:
    """Return intervals of the ratio of observed to expected outcomes, of a Poisson variable: wide enough for any p; NaN without any.

    Garwood 1936, doi:10.1093/biomet/28.3-4.437.

    Parameters
    ----------
    observed, expected : Σ y and Σ p of each window; shape (windows,)
    alphas : how often each end may err; shape (windows,)

    """
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(observed > 0, chi2.ppf(alphas, 2 * observed), 0.0) / 2 / expected
        high = chi2.isf(alphas, 2 * observed + 2) / 2 / expected
    known = expected > 0
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def expected_for_verdict(limit: float, alpha: float) -> float:
    """Return how many outcomes must be expected in a window that could show that they happen the square of a limit as often.

    Parameters
    ----------
    limit : r, above 1
    alpha : error rate of a bound

    Examples
    --------
    >>> round(expected_for_verdict(1.5, 0.01), 1)
    32.9

    """
    return float((norm.isf(alpha) / np.log(limit)) ** 2)
