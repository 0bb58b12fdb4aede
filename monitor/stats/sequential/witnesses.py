"""Suspected directions of miscalibration, chosen before the outcomes are known.

A witness d(p) in [-1, 1] is constant in a cell: +1 where outcomes are suspected to exceed confidences, -1 where they fall short. Fixed
witnesses take a side below and above the middle, or lean the more the surer the confidence is, which is what a wrong temperature does.
Learned ones have a side per twentieth of [0, 1], taken from earlier steps; they find faults of any other shape. Of each memory there are
two: one that takes the full side of every twentieth, and a soft one that takes it in proportion to its z-score, so that twentieths which
are not off add little noise.
"""

from itertools import product
from typing import Final

import numpy as np
from scipy.special import logit

from ..cells import EDGES, Floats, Integers, bin_of_cell

BINS: Final = 20
"""Equal bins of learned witnesses, with one sign each."""

MEMORIES: Final = np.array([500.0, 2000.0, np.inf])
"""Memory of each learned witness in labels, after which a label's weight is 1/e."""

SOFTNESS: Final = 2.0
"""The z-score of a twentieth at which a soft witness takes its full side."""

LOWER: Final[Floats] = np.concatenate([[0.0], EDGES])
UPPER: Final[Floats] = np.concatenate([EDGES, [1.0]])
"""Ends of the cells (lower, upper], those of 0 and 1 being points; shape (CELLS,)."""

MIDDLE: Final[Floats] = np.clip((LOWER + UPPER) / 2, 1e-6, 1 - 1e-6)
"""The point of each cell for its log odds, so that these are finite."""

BIN_OF_CELL: Final[Integers] = bin_of_cell(BINS)

SIDES: Final = np.array([pair for pair in product((-1, 0, 1), repeat=2) if any(pair)])
"""The signs of the first fixed witnesses below and above the middle; shape (8, 2)."""

LEANINGS: Final = np.concatenate([SIDES, [(1, -1), (-1, 1)]])
"""The signs of all fixed witnesses below and above the middle; shape (10, 2)."""

TEMPERED: Final[Floats] = np.clip(logit(MIDDLE) / 0.7, -1.0, 1.0)
"""A wrong temperature is off in proportion to p(1 - p)·logit p, against a variance of p(1 - p): where it is hardly off, a bet only
adds noise. At this scale bets grow nearly as fast as the best there are (measured at ECE .05 to .15)."""

FIXED: Final[Floats] = np.concatenate([SIDES[:, (BIN_OF_CELL >= BINS // 2).astype(int)], [-TEMPERED, TEMPERED]])
"""d per fixed witness and cell; shape (10, CELLS)."""

LEVELS: Final[Floats] = np.arange(1, BINS) / BINS
"""Regression: levels of the probability integral transform, .05 to .95."""

_MIDDLE_LEVEL: Final = BINS // 2 - 1
_SIDE_OF_LEVEL: Final = np.sign(np.arange(BINS - 1) - _MIDDLE_LEVEL)
_TAPERED: Final = np.clip(4 * (0.5 - LEVELS), -1.0, 1.0)
_PIT_SIGNS: Final[Floats] = np.concatenate(
    [
        SIDES[:, :1] * (1 - _SIDE_OF_LEVEL) / 2 + SIDES[:, 1:] * (1 + _SIDE_OF_LEVEL) / 2,
        [_TAPERED, -_TAPERED],
    ]
)
_REACHED: Final[Floats] = (np.arange(BINS) <= np.arange(BINS - 1)[:, np.newaxis]) - LEVELS[:, np.newaxis]


def pit_witnesses(learned: Floats) -> Floats:
    """Return the value of each witness in each twentieth of the probability integral transform.

    With a sign s_q per level, g(u) = mean of s_q·(1[u <= q] - q). At the middle level s_q is the mean of a fixed witness's two signs.

    Parameters
    ----------
    learned : signs of the learned witnesses; shape (k, 19)

    Returns
    -------
    array of shape (10 + k, 20)

    """
    values: Floats = np.concatenate([_PIT_SIGNS, learned]) @ _REACHED / len(LEVELS)
    return values


LINES: Final = np.array(
    [(0.0, slope) for slope in (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)]
    + [(shift, 1.0) for shift in (-0.8, -0.4, -0.2, 0.2, 0.4, 0.8)]
    + list(product((-0.5, 0.5), (0.7, 1.4)))
)
"""Alternatives of the likelihood ratio, (a, b) with logit P(y = 1) = a + b·logit p; shape (21, 2)."""


def soft(gaps: Floats, variances: Floats) -> Floats:
    """Return the sides that soft witnesses take: clip(z / 2, -1, 1), with z the z-score of each gap; 0 where nothing was seen.

    Parameters
    ----------
    gaps : Σ (y - p), of any shape
    variances : Σ p(1 - p) of the same events

    """
    z = np.divide(gaps, np.sqrt(variances), out=np.zeros_like(gaps), where=variances > 0)
    sides: Floats = np.clip(z / SOFTNESS, -1.0, 1.0)
    return sides


WITNESSES: Final = len(FIXED) + 2 * len(MEMORIES)
"""Fixed ones, then learned ones with full sides, then soft ones, both by memory."""

SHARES: Final = np.array([0.05, 0.1, 0.2, 0.4, 0.7])
"""λ: the shares that are staked."""

_TRUSTED: Final = np.array([6, 1, 5, 1, 1, 8, 1, 6, 24, 8, 8, 5, 3, 10, 8, 5]) / 100.0
_STAKED: Final = np.array([0.08, 0.17, 0.27, 0.28, 0.20])
PRIOR: Final[Floats] = np.outer(_TRUSTED, _STAKED) / _TRUSTED.sum()
"""The part of every stake that each expert (a witness and a share) is given; shape (16, 5), summing to 1. Most goes to what real faults
look like: overconfidence, a shift of all confidences, and what was learned."""
