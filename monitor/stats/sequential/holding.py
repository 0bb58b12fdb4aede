"""Whether evidence counts, by the labels that it was won with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from ..cells import Floats
from .selection import FIELDS, MEMORY, Labelling
from .witnesses import BINS

DOUBTED: Final = "The alert is held: the evidence was won while labels seemed to be chosen by their outcome, and has not grown since."

SIZE: Final = FIELDS * BINS + 3
"""Numbers of a stored state."""


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """Which predictions got a label while evidence was being won, and whether an alert is held for it.

    Evidence is judged by the labels since the e-value was last at 1 or below. A peak that was in doubt when it was reached counts once a
    higher one is not, and no more once the e-value is at 1 or below again.
    """

    labelling: Labelling  # since the e-value was last at 1 or below
    calm_peak: float  # the highest log e-value until then
    judged_peak: float  # the highest one that has been judged
    doubted: bool  # whether labels may have been chosen by outcome, so that an alert is held

    @classmethod
    def begin(cls) -> Self:
        """Return the state before any step."""
        return cls(Labelling.begin(), 0.0, 0.0, False)

    def after(
        self,
        seen: Labelling,
        *,
        peak: float,
        limit: float,
        doubtful: Callable[[Labelling], bool],
        memory: float = MEMORY,
    ) -> Self:
        """Return the state after it is known which predictions of some steps, and of earlier ones, have a label.

        Parameters
        ----------
        seen : the predictions and late labels
        peak : the highest log e-value so far
        limit : the one which raises an alert
        doubtful : whether labels may have been chosen by outcome
        memory : labels after which the weight of what was seen is 1/e

        """
        labelling, doubted = self.labelling.after(seen, memory), self.doubted
        if peak > self.judged_peak:
            doubted = peak >= limit > self.calm_peak and doubtful(labelling)
        return type(self)(labelling, self.calm_peak, peak, doubted)

    @classmethod
    def calm(cls, peak: float) -> Self:
        """Return the state while the e-value is at 1 or below, after a highest one that counts."""
        return cls(Labelling.begin(), peak, peak, False)

    def to_array(self) -> Floats:
        """Return the state as numbers; shape (SIZE,)."""
        peaks = [self.calm_peak, self.judged_peak, float(self.doubted)]
        return np.concatenate([self.labelling.sums.ravel(), peaks])

    @classmethod
    def from_array(cls, numbers: Floats) -> Self:
        """Return the state that `to_array` gave."""
        calm, judged, doubted = numbers[-3:].tolist()
        return cls(Labelling(numbers[:-3].reshape(FIELDS, BINS)), calm, judged, bool(doubted))
