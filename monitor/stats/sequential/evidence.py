"""Sequential tests of calibration, valid under continuous monitoring.

Each step bets on the labelled events of one bucket, with witnesses chosen from earlier steps only. The wealth of the bets is an
e-process: under the null it ever reaches 1/alpha with probability at most alpha (Ville's inequality).

Two nulls are tested. "ECE <= threshold" (E-lin) is that of alerts, with the ECE over the cells, the finest bins of the sums, never
below that of wider bins. "Every confidence is within δ of the truth" (E-LR, with δ = .02, or the threshold if that is smaller) is
rejected sooner, by likelihood ratios; since a model with a small ECE may violate it, it is only reported.

Betting against a mean: Waudby-Smith and Ramdas 2024, doi:10.1093/jrsssb/qkad009. Restarts: Shin, Ramdas and Rinaldo 2023,
doi:10.51387/23-NEJSDS51. Averages of e-values: Vovk and Wang 2021, doi:10.1214/20-AOS2020.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from scipy.special import logsumexp

from ..cells import CELLS, Cells, Floats
from . import betting
from .betting import SHARES, Clusters, Entries
from .ledger import WITNESSES, Ledger, margin
from .witnesses import BINS, LEANINGS, LEVELS, LINES, MEMORIES, pit_witnesses

__all__ = ["Clusters", "Direction", "Evidence", "window_e_value"]

Direction = Literal["overconfident", "underconfident", "none"]
Kind = Literal["none", "cells", "pit"]

RECENT: Final = 1
"""The memory whose gaps weigh the two halves of the confidences."""

SLIGHT: Final = 0.2
"""Smallest share of the halves' total that must remain for a direction."""

_KINDS: Final[tuple[Kind, ...]] = ("none", "cells", "pit")
_MAGIC: Final = b"CWEV"
_FORMAT: Final = 1  # to be raised when witnesses, shares or alternatives change, since stored states depend on them
_HEADER: Final = struct.Struct("<4sHHqq")
_SHAPES: Final = ((WITNESSES, len(SHARES)), (WITNESSES, len(SHARES)), (len(LINES),), (len(MEMORIES), BINS))
_SIZES: Final = tuple(int(np.prod(shape)) for shape in _SHAPES)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The state of one stream's tests after some steps.

    Examples
    --------
    >>> step = Cells.from_rows([0.9] * 100, [1, 1, 1, 0] * 25)
    >>> evidence = Evidence.begin()
    >>> for _ in range(10):
    ...     evidence = evidence.advanced(step, threshold=0.05)
    >>> evidence.labels, evidence.direction, evidence.log_e > 4.7
    (1000, 'overconfident', True)

    """

    kind: Kind  # the kind of events in the steps
    ledger: Ledger  # of one row

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        return cls("none", Ledger.begin(1))

    @property
    def labels(self) -> int:
        """The number of tested labelled events."""
        return int(self.ledger.labels[0])

    @property
    def steps(self) -> int:
        """The number of steps with labelled events."""
        return int(self.ledger.steps[0])

    @property
    def log_e(self) -> float:
        """The log of the e-process against "ECE <= threshold"; an alert at log(1/alpha) is false with probability at most alpha.

        This is the log of the mean over experts of M plus the remaining stake, 1/(t + 1): 0 before any step, never below -log(t + 1).
        """
        return float(self.ledger.log_e[0])

    @property
    def log_sr(self) -> float:
        """The log of the Shiryaev-Roberts form; minus infinity before any step.

        Under the null, the mean number of steps until an alert at log A is at least A.
        """
        return float(self.ledger.log_sr[0])

    @property
    def log_ratio(self) -> float:
        """The log of the e-process against "every confidence is within δ of the truth"; 0 for regression."""
        return float(self.ledger.log_ratio[0])

    @property
    def direction(self) -> Direction:
        """The direction of the leading witness, for a binary model's confidences or regression."""
        return self.leaning(binary=True)

    def leaning(self, *, binary: bool) -> Direction:
        """Return the direction of the leading witness; none while the bets have no gain.

        Forecasts of a binary model count as answers, folded about .5. In regression, too narrow intervals are overconfident, too wide
        ones underconfident, and a mere shift is neither.

        Parameters
        ----------
        binary : whether p is the probability of class 1, not of the answer

        """
        below, above = self._sides()
        leaning = below - above if binary or self.kind == "pit" else -below - above
        if self.log_e <= 0 or abs(leaning) <= SLIGHT * (abs(below) + abs(above)):
            return "none"
        return "overconfident" if leaning > 0 else "underconfident"

    def _sides(self) -> tuple[float, float]:
        """Return the recent excess of outcomes over confidences below and above the middle, in the leader's directions."""
        leader = int(np.argmax(logsumexp(self.ledger.wealth[0], axis=1)))
        middle = (BINS - 1) // 2 if self.kind == "pit" else BINS // 2
        gaps = self.ledger.gaps[0, max(RECENT, leader - len(LEANINGS))]
        below, above = float(gaps[:middle].sum()), float(gaps[-(BINS // 2) :].sum())
        if leader >= len(LEANINGS):
            return below, above
        side = LEANINGS[leader]
        return float(side[0]) * abs(below), float(side[1]) * abs(above)

    def advanced(self, cells: Cells, clusters: Clusters | None = None, *, threshold: float) -> Self:
        """Return the state after a step; a step without labelled events changes nothing.

        Parameters
        ----------
        cells : sums of the step's labelled events without a cluster
        clusters : sums of those with one; a cluster pays the average of its events' factors, since they are dependent. Events of one
            cluster in different steps count as independent
        threshold : δ of the null "ECE <= δ"

        Raises
        ------
        ValueError
            when earlier steps were of regression.

        """
        shared = clusters if clusters is not None and len(clusters.n) else None
        entries = Entries.of(cells)
        if shared is None:
            return self._after("cells", self.ledger.advanced(entries, threshold)) if len(entries.n) else self
        signs = np.sign(self.ledger.gaps)
        linear = betting.linear(entries, signs, threshold) + betting.linear_clustered(shared, signs[0], threshold)
        ratio = betting.ratio(entries, margin(threshold)) + betting.ratio_clustered(shared, margin(threshold))
        cell, gap = np.append(entries.cell, shared.cell), np.append(entries.sy - entries.sp, shared.sy - shared.sp)
        labels = np.array([entries.n.sum() + shared.n.sum()])
        return self._after("cells", self.ledger.after(labels, linear, ratio, betting.by_bin(cell * 0, cell, gap, 1)))

    def advanced_through(self, steps: Entries, *, threshold: float) -> Self:
        """Return the state after several steps at once, equal to that of `advanced` one by one.

        The learned witnesses depend on outcomes only, not on wealth, so they are computed first, step by step, and all bets are then
        paid together.

        Parameters
        ----------
        steps : sums of labelled events without a cluster, one row a step, in the order of time
        threshold : δ

        Raises
        ------
        ValueError
            when earlier steps were of regression.

        """
        labels = np.bincount(steps.row, steps.n, steps.rows).astype(np.float64)
        if not labels.any():
            return self
        seen = betting.by_bin(steps.row, steps.cell, steps.sy - steps.sp, steps.rows)
        kept = np.exp(-labels[:, np.newaxis] / MEMORIES)
        known = np.empty((steps.rows, len(MEMORIES), BINS))
        gaps = self.ledger.gaps[0]
        for i in range(steps.rows):
            known[i] = gaps
            gaps = gaps * kept[i, :, np.newaxis] + seen[i]
        linear = betting.linear(steps, np.sign(known), threshold)
        ratio = betting.ratio(steps, margin(threshold))
        ledger = self.ledger
        for i in range(steps.rows):
            one = slice(i, i + 1)
            ledger = ledger.after(labels[one], linear[one], ratio[one], seen[one])
        return self._after("cells", ledger)

    def advanced_pit(self, counts: Floats, clusters: Floats | None = None, *, threshold: float) -> Self:
        """Return the state after a step of a regression; a step without labelled events changes nothing.

        The null is "the mean over the levels .05, .10, …, .95 of abs(P(PIT <= q) - q) is at most δ". There is no likelihood ratio.

        Parameters
        ----------
        counts : labelled events without a cluster per twentieth (lower, upper] of the probability integral transform; shape (20,)
        clusters : the same of each cluster; shape (c, 20)
        threshold : δ

        Raises
        ------
        ValueError
            when earlier steps were of confidences.

        """
        shared = np.zeros((0, BINS)) if clusters is None else clusters[clusters.sum(axis=1) > 0]
        total = counts + shared.sum(axis=0)
        labels = total.sum()
        if not labels:
            return self
        says = pit_witnesses(np.sign(self.ledger.gaps[0, :, : BINS - 1]))
        means = says @ (shared / shared.sum(axis=1, keepdims=True)).T
        share = betting.shares(threshold)[:, np.newaxis]
        linear = np.log1p(share * (says[:, np.newaxis] - threshold)) @ counts
        linear += np.log1p(share * (means[:, np.newaxis] - threshold)).sum(axis=-1)
        seen = np.append(np.cumsum(total)[:-1] - labels * LEVELS, 0.0)
        after = self.ledger.after(np.array([labels]), linear[np.newaxis], np.zeros((1, len(LINES))), seen[np.newaxis])
        return self._after("pit", after)

    def _after(self, kind: Kind, ledger: Ledger) -> Self:
        if self.kind not in ("none", kind):
            raise ValueError(f"a step is of {kind}; the evidence so far is of {self.kind}")
        return type(self)(kind, ledger)

    def to_bytes(self) -> bytes:
        """Return the state as bytes: a header, then the arrays as little-endian doubles."""
        header = _HEADER.pack(_MAGIC, _FORMAT, _KINDS.index(self.kind), self.labels, self.steps)
        arrays = (self.ledger.wealth, self.ledger.roberts, self.ledger.ratios, self.ledger.gaps)
        return header + b"".join(array.astype("<f8").tobytes() for array in arrays)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Return the state that `to_bytes` wrote.

        Raises
        ------
        ValueError
            when the bytes are no such state, or are from another version of the tests, which must start again.

        """
        if len(blob) < _HEADER.size or blob[: len(_MAGIC)] != _MAGIC:
            raise ValueError(f"{len(blob)} bytes are not the state of a sequential test")
        _, version, kind, labels, steps = _HEADER.unpack_from(blob)
        if version != _FORMAT or len(blob) != _HEADER.size + 8 * sum(_SIZES) or kind >= len(_KINDS):
            raise ValueError(
                f"{len(blob)} bytes of format {version} are not the state of these sequential tests (format {_FORMAT})"
            )
        flat = np.frombuffer(blob, dtype="<f8", offset=_HEADER.size).astype(np.float64)
        if not (flat < np.inf).all() or not np.isfinite(flat[-_SIZES[-1] :]).all() or not 0 <= steps <= labels:
            raise ValueError("the state of a sequential test holds figures that no test arrives at")
        parts = np.split(flat, np.cumsum(_SIZES)[:-1])
        arrays = (part.reshape(1, *shape) for part, shape in zip(parts, _SHAPES, strict=True))
        return cls(_KINDS[kind], Ledger(np.array([labels]), np.array([steps]), *arrays))


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
        *betting.linear(entries, learned, threshold)[0],
        betting.unseen(*rest, _signs(half[1] - half[2]), threshold),
        betting.unseen(*half, _signs(rest[1] - rest[2]), threshold),
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
    share = betting.shares(threshold)[:, np.newaxis]
    payoffs = np.log1p(share * (says[:, np.newaxis] - threshold)) @ counts
    return float(logsumexp(payoffs) - np.log(payoffs.size))


def _signs(gap: Floats) -> Floats:
    signs: Floats = np.sign(betting.by_bin(np.zeros(CELLS, dtype=np.int64), np.arange(CELLS), gap, 1))[0]
    return signs
