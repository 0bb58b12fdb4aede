"""Sequential comparison of two maps of raw scores, valid under continuous monitoring.

Each labelled event gives the difference of two Brier scores, D = (b - y)² - (a - y)²: positive if a, the map on trial, is better
than b, the other. A bet that a is worse pays the factor 1 - λD, a bet that it is better 1 + λD. If a is no worse, E[D] >= 0, the
mean factor of the first is at most 1, and its wealth ever reaches 1/alpha with probability at most alpha (Ville's inequality). The same
holds for the second if a is no better.

Bets on score differences: Henzi and Ziegel 2022, doi:10.1093/biomet/asab047; Choe and Ramdas 2023, doi:10.1287/opre.2021.0792. Betting
against a mean: Waudby-Smith and Ramdas 2024, doi:10.1093/jrsssb/qkad009. Restarts: Shin, Ramdas and Rinaldo 2023,
doi:10.51387/23-NEJSDS51.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np

from ..cells import Floats, Integers
from .betting import by_row

Verdict = Literal["worse", "better", "undecided"]

SHARES: Final = np.array([0.03, 0.1, 0.3, 0.9])
"""λ in units of 1/widest: no bet may lose more than .9 of its wealth on one event."""

BLOCK: Final = 500
"""Labels after which a new stake joins, so that late harm is found about as fast as early harm."""

OF_VECTORS: Final = 2.0
"""Largest difference of Brier scores of vectors."""

IN_UNITS: Final = 1.0
"""Largest difference of scores in units of their possible difference."""

_MAGIC: Final = b"CWCP"
_FORMAT: Final = 1  # to be raised when bets or stakes change, since stored states depend on them
_HEADER: Final = struct.Struct("<4sHqq")
_SIZE: Final = 2 * len(SHARES) + 2
_SIGNS: Final = np.array([-1.0, 1.0])[:, np.newaxis, np.newaxis]  # bets that it is worse, and that it is better

TELLING: Final = 1.0
"""Of less evidence, as the logarithm of an e-value, chance is a large part: it does not tell how fast it grows."""


def labels_to_verdict(labels: int, log_e: float, alpha: float) -> int | None:
    """Return how many further labels a verdict takes if the evidence grows as it did; None where that is too little, 0 with a verdict.

    Parameters
    ----------
    labels : so far
    log_e : the logarithm of the larger e-value
    alpha : the level of the verdict

    Examples
    --------
    >>> labels_to_verdict(500, 2.3, 0.01), labels_to_verdict(500, 0.2, 0.01), labels_to_verdict(500, 5.0, 0.01)
    (502, None, 0)

    """
    border = -float(np.log(alpha))
    if log_e >= border:
        return 0
    return None if log_e < TELLING else int(np.ceil(labels * (border / log_e - 1)))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Scores of both maps for the labelled events of one step, the lower the better; arrays have shape (m,)."""

    n: Floats  # events of a row
    own: Floats  # Brier score of the map on trial
    other: Floats  # Brier score of the other map
    cluster: Integers | None = None  # cluster of a row's events, negative without one; None: no clusters
    unit: Floats | None = None  # unit of a row's difference, known before its label; None: 1

    @classmethod
    def of_cells(cls, n: Floats, sy: Floats, own: Floats, other: Floats, cluster: Integers | None = None) -> "Pairs":
        """Return the scores of events from their sums in cells.

        Both maps are evaluated at the mean p of a cell's events, as if every p were rounded to that mean, by less than the cell's width
        w of 1/60. The error of single scores is of that order, that of their mean only of second order: about
        w²/3·abs(a' - b') = 1e-4·abs(a' - b') in D. A jump of a map within a cell is moved within that cell.

        Parameters
        ----------
        n, sy : labelled events and Σy; shape (cells,)
        own, other : values of both maps at the cell's mean p; shape (cells,)
        cluster : cluster of each cell's events; shape (cells,)

        """
        count = np.concatenate([sy, n - sy])
        y = np.repeat([1.0, 0.0], len(n))
        used = count > 0
        first, second = (((np.tile(p, 2) - y) ** 2)[used] for p in (own, other))
        return cls(count[used], first, second, None if cluster is None else np.tile(cluster, 2)[used])

    @classmethod
    def of_vectors(cls, y: Integers, own: Floats, other: Floats) -> "Pairs":
        """Return the scores of single events: Σ_j (p_j - 1[y = j])².

        Parameters
        ----------
        y : class indices; shape (m,)
        own, other : vectors; shape (m, K)

        """
        rows = np.arange(len(y))
        first, second = ((p**2).sum(axis=1) - 2.0 * p[rows, y] + 1.0 for p in (own, other))
        return cls(np.ones(len(y)), first, second)

    @classmethod
    def of_quantiles(cls, y: Floats, level: Floats, own: Floats, other: Floats) -> "Pairs":
        """Return the scores of predictive distributions: twice the mean pinball loss over the levels, as `regression.of_quantiles`.

        The pinball loss at τ changes by at most max(τ, 1 - τ) if its quantile changes by 1. A row's difference is in units of the maps'
        possible difference there: for a calibrator that widens all distributions alike, in stated standard deviations.

        Parameters
        ----------
        y : labels; shape (m,)
        level : τ, in (0, 1); shape (k,)
        own, other : quantiles; shape (m, k)

        """
        first, second = (
            2.0 * ((q - y[:, np.newaxis]) * ((q >= y[:, np.newaxis]) - level)).mean(axis=1) for q in (own, other)
        )
        unit = 2.0 * (np.maximum(level, 1.0 - level) * np.abs(own - other)).mean(axis=1)
        return cls(np.ones(len(y)), first, second, unit=unit)

    def part(self, rows: slice) -> "Pairs":
        """Return some rows."""
        cluster = None if self.cluster is None else self.cluster[rows]
        unit = None if self.unit is None else self.unit[rows]
        return Pairs(self.n[rows], self.own[rows], self.other[rows], cluster, unit)


def widest(own: Floats, other: Floats) -> float:
    """Return the largest difference of the Brier scores of two maps, max abs(a - b)·max(a + b, 2 - a - b) over a grid of p.

    Examples
    --------
    >>> round(widest(np.array([0.1, 0.6]), np.array([0.1, 0.8])), 9)
    0.28

    """
    total = own + other
    differences = np.abs(own - other) * np.maximum(total, 2.0 - total)
    return float(differences.max(initial=0.0))


def promised_delay(
    own: Floats, other: Floats, chance: Floats, *, alpha: float, weight: Floats | None = None, before: int = 0
) -> float:
    """Return the approximate number of labels until a map that becomes worse is detected.

    This is the required gain of a bet over the best gain per label, (log(4/alpha) - log w)/max over λ of E[log(1 - λD)], with w the
    next stake. Half of all runs take no longer, 95 in 100 no longer than twice that.

    Parameters
    ----------
    own, other : values of both maps at some confidences; shape (m,)
    chance : probability of y = 1 after the change; shape (m,)
    alpha : probability of a false detection
    weight : frequency of each confidence, equal by default; shape (m,)
    before : labels before the change

    Returns
    -------
    number of labels; infinity if no bet wins

    Examples
    --------
    >>> p = np.linspace(0.05, 0.95, 19)
    >>> flat = 0.5 + 0.6 * (p - 0.5)
    >>> round(promised_delay(flat, p, p, alpha=0.01)), promised_delay(p, flat, p, alpha=0.01)
    (772, inf)

    """
    bound = widest(own, other)
    y = np.array([[1.0], [0.0]])
    gain = ((other - y) ** 2 - (own - y) ** 2) / (bound or 1.0)
    odds = np.stack([chance, 1.0 - chance])
    wins = (odds * np.log1p(-SHARES[:, np.newaxis, np.newaxis] * gain)).sum(axis=1)
    growth = float(np.average(wins, axis=1, weights=weight).max())
    blocks = before // BLOCK + 1
    needed = np.log(len(SHARES) / alpha) + np.log(blocks * (blocks + 1.0))
    return float(needed / growth) if growth > 0 else np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The wealth of the bets on two maps after some steps.

    Per bet (a direction and a share λ) M ← e·(M + w), as in `ledger.Ledger`; after t stakes 1/(t + 1) of the stake 1 remains, and a
    stake joins at the first step and after every 500 labels.

    Examples
    --------
    The map on trial says .9, the other .75, and three of four events have y = 1:

    >>> step = Pairs.of_cells(np.array([100.0]), np.array([75.0]), np.array([0.9]), np.array([0.75]))
    >>> found = Comparison.begin()
    >>> for _ in range(10):
    ...     found = found.advanced(step, widest(np.array([0.9]), np.array([0.75])))
    >>> found.labels, found.verdict(0.01), round(found.score, 4), round(found.score_other, 4)
    (1000, 'worse', 0.21, 0.1875)

    """

    labels: int
    stakes: int
    wealth: Floats  # log M of bets on worse and on better; shape (2, 4)
    scores: Floats  # Σ score of the map on trial and of the other; shape (2,)

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        return cls(0, 0, np.full((2, len(SHARES)), -np.inf), np.zeros(2))

    @property
    def log_worse(self) -> float:
        """The log of the e-process against "the map on trial is no worse": 0 before any step."""
        return self._held(0)

    @property
    def log_better(self) -> float:
        """The log of the e-process against "the map on trial is no better"."""
        return self._held(1)

    @property
    def score(self) -> float | None:
        """The mean score of the map on trial; None before any label."""
        return float(self.scores[0]) / self.labels if self.labels else None

    @property
    def score_other(self) -> float | None:
        """The mean score of the other map."""
        return float(self.scores[1]) / self.labels if self.labels else None

    def _held(self, direction: int) -> float:
        placed = np.logaddexp.reduce(self.wealth[direction]) - np.log(len(SHARES))
        return float(np.logaddexp(placed, -np.log(self.stakes + 1.0)))

    def verdict(self, alpha: float) -> Verdict:
        """Return the significant verdict, if any; each verdict is ever wrong with probability at most alpha.

        Parameters
        ----------
        alpha : in (0, 1)

        """
        border = -float(np.log(alpha))
        if self.log_worse >= border:
            return "worse"
        return "better" if self.log_better >= border else "undecided"

    def advanced(self, step: Pairs, bound: float) -> Self:
        """Return the state after a step; a step without labelled events changes nothing.

        Parameters
        ----------
        step : scores of later events than in all earlier steps
        bound : largest difference of scores, equal at every step: `widest` of both maps, OF_VECTORS or IN_UNITS

        """
        labels = round(float(step.n.sum()))
        if not labels:
            return self
        begun = self.labels // BLOCK + 1
        stake = 1.0 / (self.stakes + 1) - 1.0 / (begun + 1)
        wealth = self.wealth if begun == self.stakes else np.logaddexp(self.wealth, np.log(stake))
        scores = self.scores + np.array([step.n @ step.own, step.n @ step.other])
        return type(self)(self.labels + labels, begun, wealth + _payoff(step, bound), scores)

    def to_bytes(self) -> bytes:
        """Return the state as bytes: a header, then the arrays as little-endian doubles."""
        flat = np.concatenate([self.wealth.ravel(), self.scores])
        return _HEADER.pack(_MAGIC, _FORMAT, self.labels, self.stakes) + flat.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Return the state that `to_bytes` wrote.

        Raises
        ------
        ValueError
            when the bytes are no such state, or are from another version of the test, which must start again.

        """
        if len(blob) != _HEADER.size + 8 * _SIZE:
            raise ValueError(f"{len(blob)} bytes are not the state of a comparison")
        magic, version, labels, stakes = _HEADER.unpack_from(blob)
        if magic != _MAGIC or version != _FORMAT:
            raise ValueError(f"bytes of format {version} are not the state of this comparison (format {_FORMAT})")
        flat = np.frombuffer(blob, dtype="<f8", offset=_HEADER.size).astype(np.float64)
        if not (flat < np.inf).all() or not (flat[-2:] >= 0).all() or labels < 0 or stakes < 0:
            raise ValueError("the state of a comparison holds figures that none arrives at")
        return cls(labels, stakes, flat[:-2].reshape(2, len(SHARES)), flat[-2:])


def _payoff(step: Pairs, bound: float) -> Floats:
    """Return the log payoff per direction and share; a cluster pays the average of its events' factors; shape (2, 4)."""
    if bound <= 0:
        return np.zeros((2, len(SHARES)))
    gain = step.other - step.own
    if step.unit is not None:
        gain = np.divide(gain, step.unit, out=np.zeros_like(gain), where=step.unit > 0)
    gain = np.clip(gain / bound, -1.0, 1.0)
    n = step.n
    if step.cluster is not None and (step.cluster >= 0).any():
        n, gain = _averaged(n, gain, step.cluster)
    payoff: Floats = np.log1p(_SIGNS * SHARES[:, np.newaxis] * gain) @ n
    return payoff


def _averaged(n: Floats, gain: Floats, cluster: Integers) -> tuple[Floats, Floats]:
    """Return rows in which every cluster is one event with its mean gain."""
    alone = cluster < 0
    order = np.argsort(cluster[~alone], kind="stable")
    names, keys = np.unique(cluster[~alone][order], return_inverse=True)
    size, total = (by_row(column[~alone][order], keys, len(names)) for column in (n, n * gain))
    return np.append(n[alone], np.ones(len(names))), np.append(gain[alone], total / size)
