"""How large the ECE has been at the least: the largest of some thresholds that the running test has rejected."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logsumexp

from ..cells import Floats
from .ledger import cash
from .witnesses import PRIOR

RUNGS: Final = np.array([0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3])
"""The thresholds."""

_LOG_PRIOR: Final = np.log(PRIOR)


@dataclass(frozen=True, slots=True, eq=False)
class LowerBounds:
    """The e-process against "ECE <= δ" for each rung δ, fed by the same bets on the same steps.

    The nulls lie in one another: where the ECE never exceeds e, the process of the first rung at or above e bounds those of all larger
    ones, so that P(any rung at or above e is ever rejected at 1/alpha) <= alpha for all of them together.
    """

    wealth: Floats  # log M per rung, witness and share; shape (9, 16, 5)
    peaks: Floats  # the highest log e of each rung so far; shape (9,)

    @classmethod
    def begin(cls) -> "LowerBounds":
        """Return the state before any step."""
        return cls(np.full((len(RUNGS), *PRIOR.shape), -np.inf), np.zeros(len(RUNGS)))

    def after(self, paid: Floats, stakes: int, placed: int) -> "LowerBounds":
        """Return the state after a step.

        Parameters
        ----------
        paid : log payoff of the step's bets per rung, witness and share; shape (9, 16, 5)
        stakes : how many stakes had been placed before the step
        placed : how many were placed by its beginning

        """
        before, left = cash(np.array([stakes, placed]))
        joins = np.log(before - left) if placed > stakes else -np.inf
        wealth = paid + np.logaddexp(self.wealth, joins)
        held = np.logaddexp(logsumexp(wealth + _LOG_PRIOR, axis=(1, 2)), np.log(left))
        return LowerBounds(wealth, np.maximum(self.peaks, held))

    def forgotten(self) -> "LowerBounds":
        """Return the state without what was rejected so far."""
        return LowerBounds(self.wealth, np.zeros(len(RUNGS)))

    def bound(self, alpha: float) -> float | None:
        """Return the largest rung that was rejected at level alpha; None where none was.

        With probability 1 - alpha the ECE has been above this at some moment, however often one looks.
        """
        rejected = RUNGS[self.peaks >= -np.log(alpha)]
        return float(rejected.max()) if len(rejected) else None
