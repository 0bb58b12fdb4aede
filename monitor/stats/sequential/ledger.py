"""The wealth of sequential tests, for one stream or many side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..cells import Floats, Integers
from . import betting
from .betting import Entries
from .guarantee import STAKE_LABELS, Deciding
from .witnesses import BINS, LINES, MEMORIES, PRIOR, SHARES, WITNESSES, soft

RATIO_MARGIN: Final = 0.02
"""δ of a likelihood ratio that is only reported, unless the threshold is smaller."""

_LOG_PRIOR: Final = np.log(PRIOR)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The wealth of the tests of several rows (streams), as natural logarithms.

    Per expert (a witness and a share λ) M ← e·(M + w). The k-th stake w_k = 1/log2(k + 1) - 1/log2(k + 2) joins once 250·(k - 1) labels
    have been taken in, so that a fault is found about as fast after a long calm as at the start; what is left after k stakes,
    1/log2(k + 2), is held as cash. The Shiryaev-Roberts form adds 1 for every 250 labels instead.
    """

    labels: Integers  # that were bet on, a cluster being one; shape (rows,)
    steps: Integers  # shape (rows,)
    stakes: Integers  # how many have been placed; shape (rows,)
    wealth: Floats  # log M per witness and share; shape (rows, 16, 5)
    roberts: Floats  # the Shiryaev-Roberts form of the same
    ratios: Floats  # log M per alternative of the likelihood ratio; shape (rows, 21)
    ratio_roberts: Floats  # the Shiryaev-Roberts form of the same
    peak: Floats  # the highest value so far of the figure that decides, 0 at least; shape (rows,)
    peaked: Integers  # and how many steps had been taken when it was reached
    gaps: Floats  # Σ (y - p) per memory and bin, which learned witnesses take their sides from; shape (rows, 3, 20)
    variances: Floats  # Σ p(1 - p) likewise

    @classmethod
    def begin(cls, rows: int) -> "Ledger":
        """Return the state before any step."""
        count = np.zeros(rows, dtype=np.int64)
        wealth = np.full((rows, WITNESSES, len(SHARES)), -np.inf)
        seen = np.zeros((rows, len(MEMORIES), BINS))
        ratios = np.full((rows, len(LINES)), -np.inf)
        return cls(count, count, count, wealth, wealth, ratios, ratios, np.zeros(rows), count, seen, seen)

    @classmethod
    def stacked(cls, parts: Sequence["Ledger"]) -> "Ledger":
        """Return the rows of several ledgers as one, in their order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def row(self, number: int) -> "Ledger":
        """Return one row as a ledger of its own."""
        return type(self)(*(getattr(self, field.name)[number : number + 1] for field in fields(self)))

    @property
    def log_e(self) -> Floats:
        """The log of the mean over experts of M, plus the stakes that are still to be placed; shape (rows,)."""
        return _held(logsumexp(self.wealth + _LOG_PRIOR, axis=(1, 2)), self.stakes)

    @property
    def log_ratio(self) -> Floats:
        """The same of the likelihood ratio; shape (rows,)."""
        return _held(logsumexp(self.ratios, axis=1) - np.log(len(LINES)), self.stakes)

    @property
    def log_sr(self) -> Floats:
        """The log of the mean over experts of the Shiryaev-Roberts form; shape (rows,)."""
        mean: Floats = logsumexp(self.roberts + _LOG_PRIOR, axis=(1, 2))
        return mean

    @property
    def log_ratio_sr(self) -> Floats:
        """The same of the likelihood ratio; shape (rows,)."""
        mean: Floats = logsumexp(self.ratio_roberts, axis=1) - np.log(len(LINES))
        return mean

    def figure(self, decides: Deciding) -> Floats:
        """Return the figure that decides; shape (rows,)."""
        value: Floats = getattr(self, decides)
        return value

    @property
    def signs(self) -> Floats:
        """The sides of the learned witnesses that take full ones; shape (rows, 3, 20)."""
        signs: Floats = np.sign(self.gaps)
        return signs

    @property
    def soft(self) -> Floats:
        """The sides of the soft witnesses; shape (rows, 3, 20)."""
        return soft(self.gaps, self.variances)

    def advanced(self, entries: Entries, threshold: float, decides: Deciding = "log_e") -> "Ledger":
        """Return the state after a step of one bucket per row; a row without labelled events takes no step."""
        labels = np.bincount(entries.row, entries.n, entries.rows).astype(np.float64)
        linear = betting.linear(entries, self.signs, self.soft) - betting.charge(labels, threshold)
        ratio = betting.ratio(entries, margin(threshold, decides))
        return self.after(labels, linear, ratio, *betting.seen(entries), decides=decides)

    def taught(self, labels: Floats, gaps: Floats, variances: Floats) -> "Ledger":
        """Return the state after labels that nothing is staked on: only what learned witnesses know changes.

        Parameters
        ----------
        labels : number of labels, a cluster being one; shape (rows,)
        gaps, variances : as in `after`

        """
        left = _forgotten(labels)
        return replace(
            self,
            gaps=self.gaps * left + gaps[:, np.newaxis],
            variances=self.variances * left + variances[:, np.newaxis],
        )

    def after(
        self,
        labels: Floats,
        linear: Floats,
        ratio: Floats,
        gaps: Floats,
        variances: Floats,
        *,
        decides: Deciding = "log_e",
    ) -> "Ledger":
        """Return the state after a step whose bets paid this.

        Parameters
        ----------
        labels : labelled events; shape (rows,)
        linear : log payoff per witness and share; shape (rows, 16, 5)
        ratio : log likelihood ratio per alternative; shape (rows, 21)
        gaps : Σ (y - p) per bin; shape (rows, 20)
        variances : Σ p(1 - p) per bin; shape (rows, 20)
        decides : the figure whose highest value is kept

        """
        took = labels > 0
        stakes = np.where(took, self.labels // STAKE_LABELS + 1, self.stakes)
        with np.errstate(divide="ignore"):  # nothing joins: the logarithm of 0
            stake = np.log(cash(self.stakes) - cash(stakes))[:, np.newaxis]
            fresh = np.log(np.maximum(stakes - np.maximum(self.stakes, 1), 0))[:, np.newaxis]
        forgotten = _forgotten(labels)
        after = Ledger(
            self.labels + np.rint(labels).astype(np.int64),
            self.steps + took,
            stakes,
            linear + np.logaddexp(self.wealth, stake[..., np.newaxis]),
            linear + np.logaddexp(self.roberts, fresh[..., np.newaxis]),
            ratio + np.logaddexp(self.ratios, stake),
            ratio + np.logaddexp(self.ratio_roberts, fresh),
            self.peak,
            self.peaked,
            self.gaps * forgotten + gaps[:, np.newaxis],
            self.variances * forgotten + variances[:, np.newaxis],
        )
        return after._peaking(decides, took)

    def _peaking(self, decides: Deciding, took: NDArray[np.bool_]) -> "Ledger":
        """Return the state with the highest value of the figure that decides, after a step that some rows took."""
        value = self.figure(decides)
        higher = took & (value > self.peak)
        return replace(self, peak=np.where(higher, value, self.peak), peaked=np.where(higher, self.steps, self.peaked))


def _forgotten(labels: Floats) -> Floats:
    """Return the part of what was learned that is left after so many labels; shape (rows, 3, 1)."""
    left: Floats = np.exp(-labels[:, np.newaxis] / MEMORIES)[..., np.newaxis]
    return left


def _held(placed: Floats, stakes: Integers) -> Floats:
    held: Floats = np.logaddexp(placed, np.log(cash(stakes)))
    return held


def cash(stakes: Integers) -> Floats:
    """Return the part of 1 that is left after so many stakes: 1/log2(k + 2)."""
    left: Floats = 1.0 / np.log2(stakes + 2.0)
    return left


def margin(threshold: float, decides: Deciding = "log_e") -> float:
    """Return δ of the likelihood ratio: the threshold where it decides."""
    return threshold if decides in ("log_ratio", "log_ratio_sr") else min(RATIO_MARGIN, threshold)
