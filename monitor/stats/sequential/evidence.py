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

from dataclasses import dataclass, replace
from typing import Literal, Self, TypedDict

import numpy as np

from ..cells import Cells, Floats
from ..direction import Direction
from . import betting
from .at_least import RUNGS, LowerBounds
from .betting import Clusters, Entries
from .guarantee import Deciding
from .holding import DOUBTED, Holding
from .leaning import of_confidences, of_ranks
from .ledger import Ledger, margin
from .selection import Labelling, doubt
from .witnesses import BINS, LEVELS, LINES, MEMORIES, SHARES, pit_witnesses, soft

__all__ = ["Clusters", "Evidence"]

Kind = Literal["none", "cells", "pit"]


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
    holding: Holding  # whether the labels that it was won with may have been chosen by outcome

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        return cls("none", Ledger.begin(1), LowerBounds.begin(), 0, 0, Holding.begin())

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

    def is_won_by_labels(self, limit: float) -> bool:
        """Return whether it matters which predictions got a label: while evidence is gathered, or has just reached what raises an alert.

        Parameters
        ----------
        limit : the log e-value that raises an alert

        """
        return self.log_e > 0 or (self.peak >= limit and self.peak > self.holding.judged_peak)

    def labelled(self, seen: Labelling, *, threshold: float, limit: float, decides: Deciding = "log_e") -> Self:
        """Return the state after it is known which predictions of some steps, and of earlier ones, have a label: see `Holding`.

        Parameters
        ----------
        seen : the predictions and late labels
        threshold : δ
        limit : the value of the figure that decides which raises an alert
        decides : that figure

        """
        holding = self.holding.after(
            seen, peak=self.peak, limit=limit, doubtful=lambda labelling: doubt(labelling, threshold) is not None
        )
        if self.ledger.figure(decides)[0] > 0:
            return replace(self, holding=holding)
        if not holding.doubted:
            return replace(self, holding=Holding.calm(self.peak))
        calm = holding.calm_peak
        ledger = replace(self.ledger, peak=np.array([calm]))
        return replace(self, ledger=ledger, at_least=self.at_least.forgotten(), holding=Holding.calm(calm))

    def doubt(self, *, threshold: float) -> str | None:
        """Return why evidence that would raise an alert may come from labels chosen by outcome; None where it does not.

        Parameters
        ----------
        threshold : δ

        """
        return (doubt(self.holding.labelling, threshold) or DOUBTED) if self.holding.doubted else None

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
