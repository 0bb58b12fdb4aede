"""E-values of one window, for a single look: what flags segments among many, by e-BH.

Here nothing is watched over time. Bets take their sides from an earlier window, or from one random half of the window against the other.
"""

import numpy as np
from scipy.special import logsumexp

from ..cells import CELLS, Cells, Floats
from . import betting
from .betting import Entries
from .witnesses import BINS, LEVELS, SHARES, pit_witnesses


def window_e_value(cells: Cells, previous: Cells | None, *, threshold: float) -> float:
    """Return the log e-value of one window against the null "ECE <= threshold".

    This is the average over experts: fixed witnesses; one learned from `previous`, an earlier disjoint window; and one learned from each
    random half of this window and tested on the other. It is an e-value for a single look: under the null its mean is at most 1, so it
    exceeds 1/alpha with probability at most alpha; sets of them suit e-BH.

    Parameters
    ----------
    cells : sums of the window
    previous : sums of the disjoint window before, or None
    threshold : δ

    Returns
    -------
    natural logarithm; 0 without labelled events

    Examples
    --------
    >>> calm = Cells.from_rows([0.75] * 400, [1, 1, 1, 0] * 100)
    >>> off = Cells.from_rows([0.9] * 400, [1, 1, 1, 0] * 100)
    >>> window_e_value(calm, None, threshold=0.02) < 0, window_e_value(off, calm, threshold=0.02) > 4.7
    (True, True)

    """
    entries = Entries.of(cells)
    if not len(entries.n):
        return 0.0
    learned = np.zeros((1, 0, BINS)) if previous is None else _signs(previous.sy - previous.sp)[np.newaxis, np.newaxis]
    half = (cells.hn, cells.hsy, cells.hsp)
    rest = (cells.n - cells.hn, cells.sy - cells.hsy, cells.sp - cells.hsp)
    parts = [
        *(betting.linear(entries, learned) - betting.charge(np.array([cells.n.sum()]), threshold))[0],
        *(betting.unseen(*rest, _signs(half[1] - half[2])) - betting.charge(rest[0].sum(), threshold)),
        *(betting.unseen(*half, _signs(rest[1] - rest[2])) - betting.charge(half[0].sum(), threshold)),
    ]
    return float(logsumexp(parts) - np.log(np.size(parts)))


def window_pit_e_value(counts: Floats, previous: Floats | None, *, threshold: float) -> float:
    """Return the log e-value of one window of a regression against the null of `Evidence.advanced_pit`.

    This is the average over experts as in `window_e_value`, without those learned from a half of the window.

    Parameters
    ----------
    counts : labelled events of the window per twentieth (lower, upper] of the probability integral transform; shape (20,)
    previous : the same of the disjoint window before, or None
    threshold : δ

    Returns
    -------
    natural logarithm; 0 without labelled events

    Examples
    --------
    >>> narrow = np.array([200.0] + [20.0] * 18 + [200.0])
    >>> window_pit_e_value(np.full(20, 38.0), None, threshold=0.02) < 0, window_pit_e_value(narrow, None, threshold=0.02) > 10
    (True, True)

    """
    if not counts.sum():
        return 0.0
    gaps = np.zeros((0, len(LEVELS)))
    if previous is not None:
        gaps = (np.cumsum(previous)[:-1] - previous.sum() * LEVELS)[np.newaxis]
    says = pit_witnesses(np.sign(gaps))
    payoffs = np.log1p(SHARES[:, np.newaxis] * says[:, np.newaxis]) @ counts - betting.charge(counts.sum(), threshold)
    return float(logsumexp(payoffs) - np.log(payoffs.size))


def _signs(gap: Floats) -> Floats:
    signs: Floats = np.sign(betting.by_bin(np.zeros(CELLS, dtype=np.int64), np.arange(CELLS), gap, 1))[0]
    return signs
