"""In which direction the leading witness of a sequential test bets."""

from typing import Final

import numpy as np
from scipy.special import logsumexp

from ..cells import Cells, Floats
from ..direction import Direction, direction
from .ledger import Ledger
from .witnesses import BINS, LEANINGS, MEMORIES, PRIOR

RECENT: Final = 1
"""The memory whose gaps weigh the two halves of the confidences."""

SLIGHT: Final = 0.2
"""Smallest share of the halves' total that must remain for a direction."""


def of_confidences(ledger: Ledger, *, binary: bool) -> Direction:
    """Return the direction of the leading witness; of a binary model that of the recent events, as in `stats.direction`.

    Parameters
    ----------
    ledger : of one row
    binary : whether p is the probability of class 1, not of the answer

    """
    leader = _leader(ledger)
    if binary:
        memory = _memory(leader)
        return direction(_coarse(ledger.gaps[0, memory], ledger.variances[0, memory]), None, binary=True)
    below, above = _sides(ledger, leader, BINS // 2)
    return _of_halves(below, above, -below - above)


def of_ranks(ledger: Ledger) -> Direction:
    """Return the direction of the leading witness of a regression: too narrow intervals are overconfident, too wide ones underconfident.

    A mere shift is neither.

    Parameters
    ----------
    ledger : of one row

    """
    below, above = _sides(ledger, _leader(ledger), (BINS - 1) // 2)
    return _of_halves(below, above, below - above)


def _of_halves(below: float, above: float, leaning: float) -> Direction:
    if abs(leaning) <= SLIGHT * (abs(below) + abs(above)):
        return "none"
    return "overconfident" if leaning > 0 else "underconfident"


def _leader(ledger: Ledger) -> int:
    """Return the witness whose bets hold most."""
    return int(np.argmax(logsumexp(ledger.wealth[0] + np.log(PRIOR), axis=1)))


def _memory(leader: int) -> int:
    """Return the memory whose gaps tell where a witness bets; those of a fixed one are recent."""
    learned = leader - len(LEANINGS)
    return RECENT if learned < 0 else max(RECENT, learned % len(MEMORIES))


def _sides(ledger: Ledger, leader: int, middle: int) -> tuple[float, float]:
    """Return the recent excess of outcomes over confidences below and above the middle, in the leader's directions."""
    gaps = ledger.gaps[0, _memory(leader)]
    below, above = float(gaps[:middle].sum()), float(gaps[-(BINS // 2) :].sum())
    if leader >= len(LEANINGS):
        return below, above
    side = LEANINGS[leader]
    return float(side[0]) * abs(below), float(side[1]) * abs(above)


def _coarse(gaps: Floats, variances: Floats) -> Cells:
    """Return sums with a cell per twentieth, all events at its middle, from Σ(y - p) and Σp(1 - p)."""
    p = (np.arange(BINS) + 0.5) / BINS
    n = variances / (p * (1 - p))
    sp, sy = n * p, np.clip(n * p + gaps, 0.0, n)
    none = np.zeros(BINS)
    return Cells(n=n, sy=sy, sp=sp, spp=sp * p, spy=sy * p, en=n, esp=sp, hn=none, hsy=none, hsp=none)
