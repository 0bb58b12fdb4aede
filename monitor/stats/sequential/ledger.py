"""The wealth of sequential tests, for one stream or many side by side."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logsumexp

from ..cells import Floats, Integers
from . import betting
from .betting import SHARES, Entries
from .witnesses import BINS, FIXED, LINES, MEMORIES

RATIO_MARGIN: Final = 0.02
"""δ of the likelihood ratio, unless the threshold is smaller."""

WITNESSES: Final = len(FIXED) + len(MEMORIES)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The wealth of the tests of several rows (streams), as natural logarithms.

    Per expert (a witness and a share λ) M ← e·(M + w_t) with w_t = 1/(t(t + 1)): a new stake joins at every step, so that a fault is found
    about as fast after a long calm as at the start. The Shiryaev-Roberts form adds 1 instead of w_t.
    """

    labels: Integers  # shape (rows,)
    steps: Integers  # shape (rows,)
    wealth: Floats  # log M per witness and share; shape (rows, 13, 5)
    roberts: Floats  # the Shiryaev-Roberts form of the same
    ratios: Floats  # log M per alternative of the likelihood ratio; shape (rows, 21)
    gaps: Floats  # Σ (y - p) per memory and bin, whose signs are the learned witnesses; shape (rows, 3, 20)

    @classmethod
    def begin(cls, rows: int) -> "Ledger":
        """Return the state before any step."""
        count = np.zeros(rows, dtype=np.int64)
        wealth = np.full((rows, WITNESSES, len(SHARES)), -np.inf)
        return cls(
            count, count, wealth, wealth, np.full((rows, len(LINES)), -np.inf), np.zeros((rows, len(MEMORIES), BINS))
        )

    @property
    def log_e(self) -> Floats:
        """The log of the mean over experts of M plus the remaining stake, 1/(t + 1); shape (rows,)."""
        return self._held(self.wealth.reshape(len(self.steps), -1))

    @property
    def log_ratio(self) -> Floats:
        """The same of the likelihood ratio; shape (rows,)."""
        return self._held(self.ratios)

    @property
    def log_sr(self) -> Floats:
        """The log of the mean over experts of the Shiryaev-Roberts form; shape (rows,)."""
        log_mean: Floats = logsumexp(self.roberts, axis=(1, 2)) - np.log(WITNESSES * len(SHARES))
        return log_mean

    def _held(self, wealth: Floats) -> Floats:
        placed = logsumexp(wealth, axis=1) - np.log(wealth.shape[1])
        held: Floats = np.logaddexp(placed, -np.log(self.steps + 1.0))
        return held

    def advanced(self, entries: Entries, threshold: float) -> "Ledger":
        """Return the state after a step of one bucket per row; a row without labelled events takes no step."""
        linear = betting.linear(entries, np.sign(self.gaps), threshold)
        ratio = betting.ratio(entries, margin(threshold))
        seen = betting.by_bin(entries.row, entries.cell, entries.sy - entries.sp, entries.rows)
        return self.after(np.bincount(entries.row, entries.n, entries.rows).astype(np.float64), linear, ratio, seen)

    def after(self, labels: Floats, linear: Floats, ratio: Floats, seen: Floats) -> "Ledger":
        """Return the state after a step with these payoffs.

        Parameters
        ----------
        labels : labelled events; shape (rows,)
        linear : log payoff per witness and share; shape (rows, 13, 5)
        ratio : log likelihood ratio per alternative; shape (rows, 21)
        seen : Σ (y - p) per bin; shape (rows, 20)

        """
        took = labels > 0
        t = self.steps + 1.0
        stake = np.where(took, -np.log(t * (t + 1.0)), -np.inf)[:, np.newaxis]
        fresh = np.where(took, 0.0, -np.inf)[:, np.newaxis, np.newaxis]
        forgotten = np.exp(-labels[:, np.newaxis] / MEMORIES)
        return Ledger(
            self.labels + np.rint(labels).astype(np.int64),
            self.steps + took,
            linear + np.logaddexp(self.wealth, stake[..., np.newaxis]),
            linear + np.logaddexp(self.roberts, fresh),
            ratio + np.logaddexp(self.ratios, stake),
            self.gaps * forgotten[..., np.newaxis] + seen[:, np.newaxis],
        )


def margin(threshold: float) -> float:
    """Return δ of the likelihood ratio."""
    return min(RATIO_MARGIN, threshold)
