"""Sequential tests of calibration, valid under continuous monitoring.

Each step bets on the labelled events of one bucket, with witnesses chosen from earlier steps only. The wealth of the bets is an
e-process: under the null it ever reaches 1/alpha with probability at most alpha (Ville's inequality).

Two nulls are tested. "ECE <= threshold" (E-lin) is that of alerts, with the ECE over the cells, the finest bins of the sums, never
below that of wider bins. "Every confidence is within δ of the truth" (E-LR) is rejected sooner, by likelihood ratios; since a model
with a small ECE may violate it, it is only reported, with δ = .02 or the threshold if that is smaller, unless it was chosen to decide: then
δ is the threshold.

Betting against a mean: Waudby-Smith and Ramdas 2024, doi:10.1093/jrsssb/qkad009. Restarts: Shin, Ramdas and Rinaldo 2023,
doi:10.51387/23-NEJSDS51. Averages of e-values: Vovk and Wang 2021, doi:10.1214/20-AOS2020.
"""

import struct
from dataclasses import dataclass, replace
from typing import Final, Literal, Self, TypedDict

import numpy as np

from ..cells import Cells, Floats
from ..direction import Direction
from . import betting
from .at_least import RUNGS, LowerBounds
from .betting import Clusters, Entries
from .guarantee import STAKE_LABELS, Deciding
from .leaning import of_confidences, of_ranks
from .ledger import Ledger, margin
from .selection import FIELDS, Labelling, doubt
from .witnesses import BINS, LEVELS, LINES, MEMORIES, PRIOR, SHARES, pit_witnesses, soft

__all__ = ["Clusters", "Evidence"]

Kind = Literal["none", "cells", "pit"]

DOUBTED: Final = "The alert is held: the evidence was won while labels seemed to be chosen by their outcome, and has not grown since."

_KINDS: Final[tuple[Kind, ...]] = ("none", "cells", "pit")
_MAGIC: Final = b"CWEV"
_FORMAT: Final = 5  # to be raised when witnesses, shares or alternatives change, since stored states depend on them
_HEADER: Final = struct.Struct("<4sHHqqqqqq")
_SEEN: Final = (len(MEMORIES), BINS)
_RUNGS: Final = len(RUNGS)
_LINES: Final = (len(LINES),)
_SHAPES: Final = (
    PRIOR.shape,
    PRIOR.shape,
    _LINES,
    _LINES,
    (_RUNGS, *PRIOR.shape),
    (),
    (_RUNGS,),
    _SEEN,
    _SEEN,
    (FIELDS, BINS),
    (3,),
)
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
    >>> evidence.labels, evidence.leaning(binary=True), evidence.log_e > 4.7
    (1000, 'overestimates', True)

    """

    kind: Kind  # the kind of events in the steps
    ledger: Ledger  # of one row
    at_least: LowerBounds
    labels: int  # tested labelled events, those of clusters each
    late: int  # labels that came too late to be bet on
    labelling: Labelling  # which predictions got a label, since the e-process was last at 1 or below
    calm_peak: float  # the highest value until then of the figure that decides
    judged_peak: float = 0.0  # the highest one that has been judged by the labels that it was won with
    doubted: bool = False  # whether these may have been chosen by outcome, so that an alert is held

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        return cls("none", Ledger.begin(1), LowerBounds.begin(), 0, 0, Labelling.begin(), 0.0)

    @property
    def bets(self) -> int:
        """The number of bets: labelled events without a cluster, and clusters."""
        return int(self.ledger.labels[0])

    @property
    def steps(self) -> int:
        """The number of steps with labelled events."""
        return int(self.ledger.steps[0])

    @property
    def log_e(self) -> float:
        """The log of the e-process against "ECE <= threshold"; an alert at log(1/alpha) is false with probability at most alpha.

        This is the log of the mean over experts of M plus the stakes that are still to be placed: 0 before any step.
        """
        return float(self.ledger.log_e[0])

    @property
    def peak(self) -> float:
        """The highest value so far of the figure that decides, 0 at least.

        Alerts compare this one, so that a fault that is over counts too.
        """
        return float(self.ledger.peak[0])

    @property
    def peaked(self) -> int:
        """After how many steps it was reached."""
        return int(self.ledger.peaked[0])

    @property
    def log_sr(self) -> float:
        """The log of the Shiryaev-Roberts form; minus infinity before any step.

        Under the null, P(an alert at log A within the first n labels) is at most n/(250·A), and the mean number of labels until the first
        one is at least 250·A.
        """
        return float(self.ledger.log_sr[0])

    @property
    def log_ratio(self) -> float:
        """The log of the e-process against "every confidence is within δ of the truth"; 0 for regression."""
        return float(self.ledger.log_ratio[0])

    @property
    def log_ratio_sr(self) -> float:
        """The log of the Shiryaev-Roberts form of that; minus infinity before any step."""
        return float(self.ledger.log_ratio_sr[0])

    def leaning(self, *, binary: bool) -> Direction:
        """Return the direction of what the leading witness saw; none while the bets have no gain.

        Parameters
        ----------
        binary : whether p is the probability of class 1, not of the answer

        """
        if self.log_e <= 0:
            return "none"
        return of_ranks(self.ledger) if self.kind == "pit" else of_confidences(self.ledger, binary=binary)

    def advanced(
        self, cells: Cells, clusters: Clusters | None = None, *, threshold: float, decides: Deciding = "log_e"
    ) -> Self:
        """Return the state after a step; a step without labelled events changes nothing.

        Parameters
        ----------
        cells : sums of the step's labelled events without a cluster
        clusters : sums of those with one; a cluster is one bet, which pays the average of its events' factors, since they are dependent.
            All clusters weigh alike, whatever their size
        threshold : δ of the null "ECE <= δ"
        decides : the figure that alerts compare

        Raises
        ------
        ValueError
            when earlier steps were of regression.

        """
        shared = clusters if clusters is not None and len(clusters.n) else None
        entries, ledger = Entries.of(cells), self.ledger
        if shared is None:
            return self.advanced_through(entries, threshold=threshold, decides=decides) if len(entries.n) else self
        sides = np.concatenate([ledger.signs[0], ledger.soft[0]])
        linear = betting.linear(entries, ledger.signs, ledger.soft) + betting.linear_clustered(shared, sides)
        alone, together = betting.seen(entries), betting.seen_clustered(shared)
        alone_labels, size = entries.n.sum(), len(np.unique(shared.cluster))
        step = _Step(
            labels=np.array([alone_labels + shared.n.sum()]),
            bets=np.array([alone_labels + size]),
            linear=_by_threshold(linear, np.array([alone_labels + size]), threshold),
            ratio=betting.ratio(entries, margin(threshold, decides))
            + betting.ratio_clustered(shared, margin(threshold, decides)),
            gaps=alone[0] + together[0],
            variances=alone[1] + together[1],
        )
        return self._after("cells", step, decides)

    def advanced_through(self, steps: Entries, *, threshold: float, decides: Deciding = "log_e") -> Self:
        """Return the state after several steps at once, equal to that of `advanced` one by one.

        The learned witnesses depend on outcomes only, not on wealth, so they are computed first, step by step, and all bets are then
        paid together.

        Parameters
        ----------
        steps : sums of labelled events without a cluster, one row a step, in the order of time
        threshold : δ
        decides : the figure that alerts compare

        Raises
        ------
        ValueError
            when earlier steps were of regression.

        """
        labels = np.bincount(steps.row, steps.n, steps.rows).astype(np.float64)
        if not labels.any():
            return self
        seen = np.stack(betting.seen(steps), axis=1)
        kept = np.exp(-labels[:, np.newaxis] / MEMORIES)
        known = np.empty((steps.rows, *seen.shape[1:2], len(MEMORIES), BINS))
        told = np.stack([self.ledger.gaps[0], self.ledger.variances[0]])
        for i in range(steps.rows):
            known[i] = told
            told = told * kept[i, :, np.newaxis] + seen[i, :, np.newaxis]
        gaps, variances = known[:, 0], known[:, 1]
        linear = betting.linear(steps, np.sign(gaps), soft(gaps, variances))
        taken = _Step(
            labels=labels,
            bets=labels,
            linear=_by_threshold(linear, labels, threshold),
            ratio=betting.ratio(steps, margin(threshold, decides)),
            gaps=seen[:, 0],
            variances=seen[:, 1],
        )
        return self._after("cells", taken, decides)

    def advanced_pit(
        self, counts: Floats, clusters: Floats | None = None, *, threshold: float, decides: Deciding = "log_e"
    ) -> Self:
        """Return the state after a step of a regression; a step without labelled events changes nothing.

        The null is "the mean over the levels .05, .10, …, .95 of abs(P(PIT <= q) - q) is at most δ". There is no likelihood ratio.

        Parameters
        ----------
        counts : labelled events without a cluster per twentieth (lower, upper] of the probability integral transform; shape (20,)
        clusters : the same of each cluster; shape (c, 20)
        threshold : δ
        decides : the figure that alerts compare

        Raises
        ------
        ValueError
            when earlier steps were of confidences.

        """
        shared = np.zeros((0, BINS)) if clusters is None else clusters[clusters.sum(axis=1) > 0]
        labels = counts.sum() + shared.sum()
        if not labels:
            return self
        sides = np.concatenate([self.ledger.signs[0], self.ledger.soft[0]])
        says = pit_witnesses(sides[:, : BINS - 1])
        parts = shared / shared.sum(axis=1, keepdims=True)
        means = says @ parts.T
        share = SHARES[:, np.newaxis]
        linear = np.log1p(share * says[:, np.newaxis]) @ counts + np.log1p(share * means[:, np.newaxis]).sum(axis=-1)
        bets = np.array([counts.sum() + len(shared)])
        step = _Step(
            labels=np.array([labels]),
            bets=bets,
            linear=_by_threshold(linear[np.newaxis], bets, threshold),
            ratio=np.zeros((1, len(LINES))),
            **_seen_pit(counts + parts.sum(axis=0)),
        )
        return self._after("pit", step, decides)

    def taught(self, cells: Cells, clusters: Clusters | None = None) -> Self:
        """Return the state after labels that came too late: witnesses learn from them, nothing is staked on them.

        Labels that came late were chosen by how long they took. Where that depends on the outcome, bets on them, or on all labels after a
        second look, would be won against a calibrated model.

        Parameters
        ----------
        cells : sums of late labelled events without a cluster
        clusters : sums of those of clusters, one by one

        """
        entries = Entries.of(cells)
        seen, labels, weight = np.stack(betting.seen(entries)), entries.n.sum(), entries.n.sum()
        if clusters is not None and len(clusters.n):
            seen = seen + np.stack(betting.seen_clustered(clusters))
            labels, weight = labels + clusters.n.sum(), weight + len(np.unique(clusters.cluster))
        return self._told("cells", labels, self.ledger.taught(np.array([weight]), *seen)) if labels else self

    def taught_pit(self, counts: Floats, clusters: Floats | None = None) -> Self:
        """Return the state after late labels of a regression, as `taught`.

        Parameters
        ----------
        counts : late labelled events without a cluster per twentieth of the probability integral transform; shape (20,)
        clusters : the same of each cluster; shape (c, 20)

        """
        shared = np.zeros((0, BINS)) if clusters is None else clusters[clusters.sum(axis=1) > 0]
        labels = counts.sum() + shared.sum()
        if not labels:
            return self
        weight = counts + (shared / shared.sum(axis=1, keepdims=True)).sum(axis=0)
        return self._told("pit", labels, self.ledger.taught(np.array([weight.sum()]), **_seen_pit(weight)))

    def labelled(self, seen: Labelling, *, threshold: float, limit: float, decides: Deciding = "log_e") -> Self:
        """Return the state after it is known which predictions of some steps, and of earlier ones, have a label.

        Evidence that is won is judged by the labels that it was won with: those since what decides was last at 1 or below. A peak that
        was in doubt when it was reached counts once a higher one is not, and no more once what decides is at 1 or below again.

        Parameters
        ----------
        seen : the predictions and late labels
        threshold : δ
        limit : the value of the figure that decides which raises an alert
        decides : that figure

        """
        labelling, doubted = self.labelling.after(seen), self.doubted
        if self.peak > self.judged_peak:
            doubted = self.peak >= limit > self.calm_peak and doubt(labelling, threshold) is not None
        after = replace(self, labelling=labelling, judged_peak=self.peak, doubted=doubted)
        if self.ledger.figure(decides)[0] > 0:
            return after
        if doubted:
            ledger = replace(self.ledger, peak=np.array([self.calm_peak]))
            after = replace(after, ledger=ledger, at_least=self.at_least.forgotten())
        return replace(after, labelling=Labelling.begin(), calm_peak=after.peak, judged_peak=after.peak, doubted=False)

    def doubt(self, *, threshold: float) -> str | None:
        """Return why evidence that would raise an alert may come from labels chosen by outcome; None where it does not.

        Parameters
        ----------
        threshold : δ

        """
        return (doubt(self.labelling, threshold) or DOUBTED) if self.doubted else None

    def _told(self, kind: Kind, labels: float, ledger: Ledger) -> Self:
        self._check(kind)
        return replace(self, kind=kind, ledger=ledger, late=self.late + round(labels))

    def _after(self, kind: Kind, taken: "_Step", decides: Deciding) -> Self:
        self._check(kind)
        ledger, at_least = self.ledger, self.at_least
        for i in np.flatnonzero(taken.labels):
            one, before = slice(i, i + 1), int(ledger.stakes[0])
            ledger = ledger.after(
                taken.bets[one],
                taken.linear[0, one],
                taken.ratio[one],
                taken.gaps[one],
                taken.variances[one],
                decides=decides,
            )
            at_least = at_least.after(taken.linear[1:, i], before, int(ledger.stakes[0]))
        labels = self.labels + round(float(taken.labels.sum()))
        return replace(self, kind=kind, ledger=ledger, at_least=at_least, labels=labels)

    def _check(self, kind: Kind) -> None:
        if self.kind not in ("none", kind):
            raise ValueError(f"a step is of {kind}; the evidence so far is of {self.kind}")

    def to_bytes(self) -> bytes:
        """Return the state as bytes: a header, then the arrays as little-endian doubles."""
        held, least, kind = self.ledger, self.at_least, _KINDS.index(self.kind)
        counts = (self.labels, self.bets, self.steps, int(held.stakes[0]), self.peaked, self.late)
        header = _HEADER.pack(_MAGIC, _FORMAT, kind, *counts)
        won = (held.wealth, held.roberts, held.ratios, held.ratio_roberts, least.wealth)
        calm = np.array([self.calm_peak, self.judged_peak, float(self.doubted)])
        arrays = (*won, held.peak, least.peaks, held.gaps, held.variances, self.labelling.sums, calm)
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
        _, version, kind, labels, bets, steps, stakes, peaked, late = _HEADER.unpack_from(blob)
        if version != _FORMAT or len(blob) != _HEADER.size + 8 * sum(_SIZES) or kind >= len(_KINDS):
            raise ValueError(
                f"{len(blob)} bytes of format {version} are not the state of these sequential tests (format {_FORMAT})"
            )
        flat = np.frombuffer(blob, dtype="<f8", offset=_HEADER.size).astype(np.float64)
        if (
            not (flat < np.inf).all()
            or not np.isfinite(flat[-sum(_SIZES[-4:]) :]).all()
            or not _possible(labels, bets, steps, stakes, peaked)
            or late < 0
        ):
            raise ValueError("the state of a sequential test holds figures that no test arrives at")
        parts = np.split(flat, np.cumsum(_SIZES)[:-1])
        wealth, roberts, ratios, ratio_roberts, rungs, peak, peaks, *seen = (
            part.reshape(1, *shape) for part, shape in zip(parts, _SHAPES, strict=True)
        )
        gaps, variances, labelling, peaks_before = seen
        calm, judged, doubted = peaks_before[0].tolist()
        ledger = Ledger(
            labels=np.array([bets]), steps=np.array([steps]), stakes=np.array([stakes]), wealth=wealth, roberts=roberts,
            ratios=ratios, ratio_roberts=ratio_roberts, peak=peak, peaked=np.array([peaked]), gaps=gaps, variances=variances,
        )  # fmt: skip
        return cls(
            _KINDS[kind],
            ledger,
            LowerBounds(rungs[0], peaks[0]),
            labels,
            late,
            Labelling(labelling[0]),
            calm,
            judged,
            bool(doubted),
        )


def _possible(labels: int, bets: int, steps: int, stakes: int, peaked: int) -> bool:
    """Return whether a test can have come to these counts."""
    in_order = 0 <= peaked <= steps <= bets <= labels
    return in_order and (bets > 0) == (steps > 0) == (stakes > 0) and 0 <= stakes <= bets // STAKE_LABELS + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What the bets of some steps paid, and what learned witnesses are told by them."""

    labels: Floats  # shape (steps,)
    bets: Floats  # labelled events without a cluster, and clusters; shape (steps,)
    linear: Floats  # log payoff at the threshold, then at each rung; shape (10, steps, 16, 5)
    ratio: Floats  # shape (steps, 21)
    gaps: Floats  # shape (steps, 20)
    variances: Floats  # shape (steps, 20)


class _SeenPit(TypedDict):
    gaps: Floats
    variances: Floats


def _seen_pit(counts: Floats) -> _SeenPit:
    """Return what learned witnesses learn from a regression's events, per level; two arrays of shape (1, 20).

    Parameters
    ----------
    counts : events per twentieth, a cluster being one; shape (20,)

    """
    bets = counts.sum()
    gaps = np.append(np.cumsum(counts)[:-1] - bets * LEVELS, 0.0)[np.newaxis]
    return _SeenPit(gaps=gaps, variances=np.append(bets * LEVELS * (1 - LEVELS), 0.0)[np.newaxis])


def _by_threshold(linear: Floats, bets: Floats, threshold: float) -> Floats:
    """Return what so many bets pay at a threshold, then at each rung, from their payoff before the charge."""
    return np.stack([linear - betting.charge(bets, delta) for delta in (threshold, *RUNGS.tolist())])
