"""Evidence: tests that stay valid however often one looks.

Each step bets on the labelled events of one bucket, with witnesses chosen from earlier steps only. What the bets have won is an
e-process: where the null holds, the chance that it ever reaches 1/alpha is at most alpha (Ville's inequality).
"""

import struct
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal, Self

import numpy as np
from scipy.special import logsumexp

from monitor.stats import betting
from monitor.stats.betting import BINS, HALVES, LINES, SHARES, Entries
from monitor.stats.cells import CELLS, Cells, Floats, Integers

Direction = Literal["overconfident", "underconfident", "none"]

MEMORIES: Final = np.array([500.0, 2000.0, np.inf])
"""Each learned witness forgets earlier labels at this rate: a label counts 1/e after so many more."""

RATIO_MARGIN: Final = 0.02
"""δ of the likelihood ratio, unless the threshold is smaller."""

LEVELS: Final = np.arange(1, BINS) / BINS
"""Regression: levels of the probability integral transform, .05 to .95."""

WITNESSES: Final = len(HALVES) + len(MEMORIES)
EXPERTS: Final = WITNESSES * len(SHARES)
_HEADER: Final = struct.Struct("<4sHHHHqqq")
_MAGIC: Final = b"CWEV"
_FORMAT: Final = 1
_SHAPES: Final = ((WITNESSES, len(SHARES)), (WITNESSES, len(SHARES)), (len(LINES),), (len(MEMORIES), BINS))
_KINDS: Final = ("none", "cells", "pit")


@dataclass(frozen=True, slots=True)
class Clusters:
    """Sums of labelled events that share a cluster, in one step, in any order; shape (m,) each."""

    cluster: Integers
    cell: Integers
    n: Floats  # events
    sy: Floats  # Σ y
    sp: Floats  # Σ p


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the tests hold after some steps.

    Per expert (a witness and a share λ) the wealth is M ← e·(M + w_t) with w_t = 1/(t(t + 1)): every step a new stake joins, so that a
    fault is found as fast after a long calm as at the start. The Shiryaev-Roberts form adds 1 instead of w_t.
    """

    labels: int
    steps: int
    kind: str  # what the steps were of: none yet, cells, or pit
    wealth: Floats  # log M per witness and share
    roberts: Floats  # log R, the Shiryaev-Roberts form
    ratios: Floats  # log M per alternative of the likelihood ratio
    gaps: Floats  # Σ (y - p) per memory and bin: learned witnesses bet on its sign

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        wealth, roberts, ratios, gaps = (np.full(shape, -np.inf) for shape in _SHAPES)
        return cls(0, 0, "none", wealth, roberts, ratios, np.zeros_like(gaps))

    @property
    def log_e(self) -> float:
        """The log of the e-process against "ECE <= threshold": the mean over experts of M, plus the stake not yet placed, 1/(t + 1)."""
        return self._value(self.wealth)

    @property
    def log_sr(self) -> float:
        """The log of the mean over experts of the Shiryaev-Roberts form; minus infinity before any step."""
        return float(logsumexp(self.roberts) - np.log(self.roberts.size))

    @property
    def log_ratio(self) -> float:
        """The log of the e-process against "every confidence is within the margin of the truth", which may be false at a small ECE."""
        return self._value(self.ratios)

    def _value(self, wealth: Floats) -> float:
        placed = float(logsumexp(wealth) - np.log(wealth.size))
        return float(np.logaddexp(placed, -np.log(self.steps + 1)))

    @property
    def direction(self) -> Direction:
        """The direction in which the leading witness bets."""
        low, high = self._leaning()
        leaning = -high if high else low
        if self.kind == "pit":
            leaning = low - high
        return "overconfident" if leaning > 0 else "underconfident" if leaning < 0 else "none"

    def _leaning(self) -> tuple[float, float]:
        """Return the signs of the leading witness below and above the middle."""
        if not self.steps:
            return 0.0, 0.0
        leader = int(np.argmax(logsumexp(self.wealth, axis=1)))
        if leader < len(HALVES):
            return float(HALVES[leader, 0]), float(HALVES[leader, 1])
        gaps = self.gaps[leader - len(HALVES)]
        return float(np.sign(gaps[: BINS // 2].sum())), float(np.sign(gaps[BINS // 2 :].sum()))

    def advanced(self, cells: Cells, clusters: Clusters | None = None, *, threshold: float) -> Self:
        """Return the state after a step.

        Parameters
        ----------
        cells : sums of the step's labelled events without a cluster
        clusters : sums of those with one; a cluster's factor is the average of its events' factors, since they share their luck
        threshold : δ of the null "ECE <= δ"

        Raises
        ------
        ValueError
            when earlier steps were of another kind.

        """
        entries = Entries.of(cells)
        labels = float(entries.n.sum()) + (0.0 if clusters is None else float(clusters.n.sum()))
        if not labels:
            return self
        signs = np.sign(self.gaps)
        linear = betting.linear(entries, signs[np.newaxis], threshold)[0]
        margin = min(RATIO_MARGIN, threshold)
        ratio = betting.ratio(entries, margin)[0]
        seen = betting.by_bin(entries.row, entries.cell, entries.sy - entries.sp, 1)[0]
        if clusters is not None and len(clusters.n):
            linear = linear + clustered(clusters, signs, threshold)
            ratio = ratio + clustered_ratio(clusters, margin)
            seen = seen + betting.by_bin(np.zeros_like(clusters.cell), clusters.cell, clusters.sy - clusters.sp, 1)[0]
        return self._after("cells", labels, linear, ratio, seen)

    def advanced_pit(self, counts: Floats, clusters: Floats | None = None, *, threshold: float) -> Self:
        """Return the state after a step of a regression model.

        The null is "the mean over the levels .05, .10, …, .95 of abs(P(PIT <= q) - q) is at most δ". A witness has a sign s_q per level
        and pays on g(u) = mean of s_q·(1[u <= q] - q). There is no likelihood ratio; its process stays at 1.

        Parameters
        ----------
        counts : labelled events without a cluster per twentieth of the probability integral transform; shape (20,)
        clusters : the same per cluster; shape (c, 20)
        threshold : δ

        Raises
        ------
        ValueError
            when earlier steps were of another kind.

        """
        shared = np.zeros((0, BINS)) if clusters is None else clusters[clusters.sum(axis=1) > 0]
        labels = float(counts.sum() + shared.sum())
        if not labels:
            return self
        witness = pit_witnesses(np.sign(self.gaps[:, : BINS - 1]))
        share = betting.shares(threshold)
        linear = np.log1p(share * (witness[..., np.newaxis] - threshold)).transpose(0, 2, 1) @ counts
        means = (shared / shared.sum(axis=1, keepdims=True)) @ witness.T
        linear += np.log1p(share * (means[..., np.newaxis] - threshold)).sum(axis=0)
        total = counts + shared.sum(axis=0)
        seen = np.append(np.cumsum(total)[:-1] - labels * LEVELS, 0.0)
        return self._after("pit", labels, linear, np.zeros(len(LINES)), seen)

    def _after(self, kind: str, labels: float, linear: Floats, ratio: Floats, seen: Floats) -> Self:
        if self.kind not in ("none", kind):
            raise ValueError(f"kind is {kind}; the evidence so far is of {self.kind}")
        stake = -np.log((self.steps + 1) * (self.steps + 2.0))
        return replace(
            self,
            labels=self.labels + round(labels),
            steps=self.steps + 1,
            kind=kind,
            wealth=linear + np.logaddexp(self.wealth, stake),
            roberts=linear + np.logaddexp(self.roberts, 0.0),
            ratios=ratio + np.logaddexp(self.ratios, stake),
            gaps=self.gaps * np.exp(-labels / MEMORIES)[:, np.newaxis] + seen,
        )

    def to_bytes(self) -> bytes:
        """Return the state as bytes: a header, then the arrays as little-endian doubles."""
        header = _HEADER.pack(
            _MAGIC, _FORMAT, _KINDS.index(self.kind), WITNESSES, len(LINES), self.labels, self.steps, len(MEMORIES)
        )
        arrays = (self.wealth, self.roberts, self.ratios, self.gaps)
        return header + b"".join(array.astype("<f8").tobytes() for array in arrays)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Return the state that `to_bytes` wrote.

        Raises
        ------
        ValueError
            when the bytes are not such a state, or one of another version of the tests.

        """
        sizes = [int(np.prod(shape)) for shape in _SHAPES]
        if len(blob) != _HEADER.size + 8 * sum(sizes) or blob[:4] != _MAGIC:
            raise ValueError(f"{len(blob)} bytes are not the state of a sequential test")
        _, version, kind, witnesses, lines, labels, steps, memories = _HEADER.unpack_from(blob)
        if (version, witnesses, lines, memories) != (_FORMAT, WITNESSES, len(LINES), len(MEMORIES)) or kind >= len(
            _KINDS
        ):
            raise ValueError(f"the state of a sequential test is of format {version}; this program reads {_FORMAT}")
        flat = np.frombuffer(blob, dtype="<f8", offset=_HEADER.size).astype(np.float64)
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        if labels < 0 or steps < 0 or not (flat < np.inf).all() or not np.isfinite(parts[3]).all():
            raise ValueError("the state of a sequential test holds numbers that no test arrives at")
        return cls(
            labels, steps, _KINDS[kind], *(part.reshape(shape) for part, shape in zip(parts, _SHAPES, strict=True))
        )


def clustered(clusters: Clusters, signs: Floats, threshold: float) -> Floats:
    """Return the log payoff of all bets on clusters: per cluster 1 + λ(mean of d(p)(y - p) - δ), exactly; shape (witnesses, shares)."""
    ordered, size = _ordered(clusters)
    row, gap = ordered.cluster, ordered.sy - ordered.sp
    halves = betting.by_row(gap, 2 * row + betting.HALF_OF_CELL[ordered.cell], 2 * len(size))
    fixed = HALVES[:, :1] * halves[0::2] + HALVES[:, 1:] * halves[1::2]
    learned = betting.by_row(signs[:, betting.BIN_OF_CELL[ordered.cell]] * gap, row, len(size))
    mean = np.concatenate([fixed, learned]) / size
    share = betting.shares(threshold)[:, np.newaxis]
    found: Floats = np.log1p(share * (mean[:, np.newaxis] - threshold)).sum(axis=-1)
    return found


def clustered_ratio(clusters: Clusters, delta: float) -> Floats:
    """Return the log likelihood ratio of clusters: per cluster the average over its events; shape (62,)."""
    ordered, size = _ordered(clusters)
    one, zero = (np.exp(table[:, ordered.cell]) for table in betting.ratio_table(delta))
    paid = ordered.sy * one + (ordered.n - ordered.sy) * zero
    found: Floats = np.log(betting.by_row(paid, ordered.cluster, len(size)) / size).sum(axis=1)
    return found


def _ordered(clusters: Clusters) -> tuple[Clusters, Floats]:
    """Return clusters numbered from 0 in ascending order of cluster, then cell, and how many events each has."""
    _, row = np.unique(clusters.cluster, return_inverse=True)
    order = np.lexsort((clusters.cell, row))
    cell, n, sy, sp = (getattr(clusters, name)[order] for name in ("cell", "n", "sy", "sp"))
    return Clusters(row[order], cell, n, sy, sp), np.bincount(row, weights=clusters.n).astype(np.float64)


@cache
def _pit_table() -> Floats:
    """Return 1[u <= q] - q per level and twentieth; shape (19, 20)."""
    return (np.arange(BINS) <= np.arange(BINS - 1)[:, np.newaxis]) - LEVELS[:, np.newaxis]


def pit_witnesses(learned: Floats) -> Floats:
    """Return g per witness and twentieth, shape (witnesses, 20): fixed ones by half of the levels, then learned ones, of signs (k, 19)."""
    below, above = LEVELS < 0.5, LEVELS > 0.5  # noqa: PLR2004 - the middle level counts for both halves
    weights = np.stack([below + (1.0 - below - above) / 2, above + (1.0 - below - above) / 2])
    signs = np.concatenate([HALVES @ weights, learned])
    found: Floats = signs @ _pit_table() / len(LEVELS)
    return found


def window_e_value(cells: Cells, previous: Cells | None, *, threshold: float) -> float:
    """Return the log e-value of one window against the null "ECE <= threshold".

    The average over experts: fixed sign patterns; signs learned from `previous`, an earlier window without events in common; and signs
    learned from a random half of this window's events, judged on the other. It is an e-value for a single look.

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
    learned = np.zeros((1, 0, BINS)) if previous is None else np.sign(_gap(previous.sy - previous.sp))[:, np.newaxis]
    found = [betting.linear(entries, learned, threshold)[0]]
    half = (cells.hn, cells.hsy, cells.hsp)
    rest = (cells.n - cells.hn, cells.sy - cells.hsy, cells.sp - cells.hsp)
    for (_, sy, sp), judged in ((half, rest), (rest, half)):
        found.append(betting.unseen(*judged, np.sign(_gap(sy - sp))[0], threshold)[np.newaxis])
    every = np.concatenate(found)
    return float(logsumexp(every) - np.log(every.size))


def _gap(values: Floats) -> Floats:
    return betting.by_bin(np.zeros(CELLS, dtype=np.int64), np.arange(CELLS), values, 1)
