"""Sequential test of how often outcomes happen, relative to how often they are expected: for events too rare for an absolute error.

The null is "the expected number of outcomes of each step is within a factor r of Σp, either way", whatever single confidences do. For an
outcome y in [0, 1] with mean μ and any θ, E exp(θy) <= 1 + (e^θ - 1)μ, as exp is convex. Under the null the mean of μ over a step is at
most r·p̄ and at least p̄/r. The logarithm is concave, so for a step of n outcomes that sum to Y

    exp(θY) / (1 + (e^θ - 1)·min(1, r·p̄))^n  for θ > 0, and  exp(θY) / (1 + (e^θ - 1)·p̄/r)^n  for θ < 0

are e-values. The first ones grow where more than r·Σp happens, the others where less than Σp/r does. The outcomes of a step are taken as
independent given the steps before; a cluster is one outcome, the mean of its own.

Restarts: Shin, Ramdas and Rinaldo 2023, doi:10.51387/23-NEJSDS51. Averages of e-values: Vovk and Wang 2021, doi:10.1214/20-AOS2020.
"""

import struct
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

import numpy as np
from scipy.special import logsumexp

from ..cells import Floats
from .holding import DOUBTED, SIZE, Holding
from .ledger import cash
from .selection import Labelling, doubt_of_ratio

BEYOND: Final = np.array([1.25, 1.6, 2.0, 3.0, 5.0, 10.0])
"""Alternatives: so many times the limit, either way."""

RUNGS: Final = np.array([1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0])
"""Limits that are tested beside the declared one: how far off the model has been at the least."""

Side = Literal["more", "less", "none"]

_THETA: Final = np.concatenate([np.log(BEYOND), -np.log(BEYOND)])
_SHAPE: Final = (1 + len(RUNGS), len(_THETA))
_MAGIC: Final = b"CWOE"
_FORMAT: Final = 1  # to be raised when alternatives, limits or stakes change, since stored states depend on them
_HEADER: Final = struct.Struct("<4sHqqqqq")
_SIZES: Final = (_SHAPE[0] * _SHAPE[1], _SHAPE[0], 2, SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Outcomes of a step."""

    labels: int  # labelled events
    bets: int  # single ones of these, and clusters
    observed: float  # Σ y, a cluster being the mean of its outcomes
    expected: float  # Σ p likewise

    def __add__(self, other: "Outcomes") -> "Outcomes":
        return Outcomes(
            labels=self.labels + other.labels,
            bets=self.bets + other.bets,
            observed=self.observed + other.observed,
            expected=self.expected + other.expected,
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RatioTest:
    """The state of one stream's test after some steps.

    The k-th stake w_k = 1/log2(k + 1) - 1/log2(k + 2) joins once k - 1 outcomes were expected, so that a fault after a long calm is found
    about as fast as one at the start.

    Examples
    --------
    What is said to happen once in 10,000 times happens 7 times:

    >>> test = RatioTest.begin()
    >>> for _ in range(20):
    ...     test = test.advanced(Outcomes(labels=1000, bets=1000, observed=0.7, expected=0.1), limit=1.5)
    >>> test.log_e > 4.6, test.side, test.at_least(0.01)
    (True, 'more', 1.75)

    """

    taken: Outcomes  # since the test began
    steps: int
    stakes: int  # how many have been placed
    peaked: int  # after how many steps the log e-value was highest
    wealth: Floats  # log M per limit, the declared one first, and alternative; shape (17, 12)
    peaks: Floats  # the highest log e-value so far per limit, 0 at least; shape (17,)
    holding: Holding  # whether the labels that it was won with may have been chosen by outcome

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        wealth, peaks = np.full(_SHAPE, -np.inf), np.zeros(_SHAPE[0])
        nothing = Outcomes(labels=0, bets=0, observed=0.0, expected=0.0)
        return cls(taken=nothing, steps=0, stakes=0, peaked=0, wealth=wealth, peaks=peaks, holding=Holding.begin())

    @property
    def log_e(self) -> float:
        """The log of the e-value against "within the limit": of the mean over alternatives, with the stakes still to be placed."""
        return float(self.log_es[0])

    @property
    def peak(self) -> float:
        """Its highest value so far, 0 at least: at -log(level) an alert is false with probability at most `level`."""
        return float(self.peaks[0])

    @property
    def side(self) -> Side:
        """Whether more happens than is expected, or less; none while the bets have no gain."""
        if self.log_e <= 0:
            return "none"
        return "more" if int(np.argmax(self.wealth[0])) < len(BEYOND) else "less"

    @property
    def log_es(self) -> Floats:
        """The same of each limit, the declared one first; shape (17,)."""
        placed = logsumexp(self.wealth, axis=1) - np.log(_SHAPE[1])
        log_es: Floats = np.logaddexp(placed, np.log(cash(np.array(self.stakes))))
        return log_es

    def at_least(self, level: float) -> float | None:
        """Return the largest of `RUNGS` that is rejected: the model has been off by this factor; None where it may be within all.

        Parameters
        ----------
        level : how probable it is, at most, that this is ever too large

        """
        rejected = np.flatnonzero(self.peaks[1:] >= -np.log(level))
        return float(RUNGS[rejected[-1]]) if len(rejected) else None

    def advanced(self, step: Outcomes, *, limit: float) -> Self:
        """Return the state after a step; one without labelled events changes nothing.

        Parameters
        ----------
        step : its outcomes
        limit : r, above 1

        """
        if not step.bets:
            return self
        stakes = int(self.taken.expected) + 1
        with np.errstate(divide="ignore"):  # nothing joins: the logarithm of 0
            stake = np.log(cash(np.array(self.stakes)) - cash(np.array(stakes)))
        limits = np.concatenate([[limit], RUNGS])
        after = replace(
            self,
            taken=self.taken + step,
            steps=self.steps + 1,
            stakes=stakes,
            wealth=_payoff(step, limits) + np.logaddexp(self.wealth, stake),
        )
        value = after.log_es
        peaked = after.steps if value[0] > self.peaks[0] else self.peaked
        return replace(after, peaks=np.maximum(self.peaks, value), peaked=peaked)

    def labelled(self, seen: Labelling, *, limit: float, fires_at: float) -> Self:
        """Return the state after it is known which predictions of some steps, and of earlier ones, have a label: see `Holding`.

        Parameters
        ----------
        seen : the predictions and late labels
        limit : r
        fires_at : the log e-value that raises an alert

        """
        holding = self.holding.after(
            seen,
            peak=self.peak,
            limit=fires_at,
            doubtful=lambda labelling: doubt_of_ratio(labelling, limit) is not None,
            memory=np.inf,
        )
        if self.log_e > 0:
            return replace(self, holding=holding)
        if not holding.doubted:
            return replace(self, holding=Holding.calm(self.peak))
        peaks = np.append(holding.calm_peak, np.zeros(len(RUNGS)))
        return replace(self, peaks=peaks, holding=Holding.calm(holding.calm_peak))

    def doubt(self, limit: float) -> str | None:
        """Return why evidence that would raise an alert may come from labels chosen by outcome; None where it does not."""
        return (doubt_of_ratio(self.holding.labelling, limit) or DOUBTED) if self.holding.doubted else None

    def to_bytes(self) -> bytes:
        """Return the state as bytes: a header, then the arrays as little-endian doubles."""
        taken = self.taken
        header = _HEADER.pack(_MAGIC, _FORMAT, taken.labels, taken.bets, self.steps, self.stakes, self.peaked)
        arrays = (self.wealth.ravel(), self.peaks, [taken.observed, taken.expected], self.holding.to_array())
        return header + np.concatenate(arrays).astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Return the state that `to_bytes` wrote.

        Raises
        ------
        ValueError
            when the bytes are no such state, or are from another version of the test, which must start again.

        """
        if len(blob) != _HEADER.size + 8 * sum(_SIZES) or not blob.startswith(_MAGIC):
            raise ValueError(f"{len(blob)} bytes are not the state of a test of observed over expected")
        _, version, labels, bets, steps, stakes, peaked = _HEADER.unpack_from(blob)
        if version != _FORMAT:
            raise ValueError(f"the state of a test of observed over expected has format {version}, not {_FORMAT}")
        flat = np.frombuffer(blob, dtype="<f8", offset=_HEADER.size).astype(np.float64)
        wealth, peaks, sums, holding = np.split(flat, np.cumsum(_SIZES)[:-1])
        observed, expected = sums.tolist()
        return cls(
            taken=Outcomes(labels=labels, bets=bets, observed=observed, expected=expected),
            steps=steps,
            stakes=stakes,
            peaked=peaked,
            wealth=wealth.reshape(_SHAPE),
            peaks=peaks,
            holding=Holding.from_array(holding),
        )


def _payoff(step: Outcomes, limits: Floats) -> Floats:
    """Return the log payoff of a step per limit and alternative; shape (17, 12)."""
    mean, count = min(1.0, step.expected / step.bets), len(BEYOND)
    more = np.log1p(np.expm1(_THETA[:count]) * np.minimum(1.0, limits * mean)[:, np.newaxis])
    less = np.log1p(np.expm1(_THETA[count:]) * (mean / limits)[:, np.newaxis])
    payoff: Floats = step.observed * _THETA - step.bets * np.concatenate([more, less], axis=1)
    return payoff
