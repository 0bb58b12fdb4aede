"""How often the direction of a binary model's error is named rightly: a shift of the log odds, or a wrong slope about the base rate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit, logit

from monitor.stats.alike import stacked
from monitor.stats.cells import Cells, Floats
from monitor.stats.direction import Direction, directions
from tests.benchmarks.streams import table

LABELS: Final = 4_000
SEEDS: Final = 1_000
AT_ONCE: Final = 100
RATES: Final = (0.5, 0.05)
CONCENTRATION: Final = 10

Draw = Callable[[np.random.Generator, float], Floats]

POPULATIONS: Final[dict[str, Draw]] = {
    "normal": lambda dice, rate: expit(dice.normal(logit(rate), 1.0, LABELS)),
    "beta": lambda dice, rate: dice.beta(CONCENTRATION * rate, CONCENTRATION * (1 - rate), LABELS),
}
"""Probabilities about a base rate: their log odds are normal about its own, or they are beta with it as their mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault: log odds of a probability are moved by a shift, and by a slope about those of the base rate."""

    name: str
    shift: float = 0.0
    slope: float = 1.0
    larger: Direction  # where it is applied to what the model says
    smaller: Direction  # where it is applied to what happens

    @property
    def same(self) -> bool:
        """Whether there is no fault to apply."""
        return self.larger == self.smaller

    def word(self, *, stated: bool) -> Direction:
        """Return the right word."""
        return self.larger if stated else self.smaller


CASES: Final = (
    Case(name="shift of .7", shift=0.7, larger="overestimates", smaller="underestimates"),
    Case(name="shift of -.7", shift=-0.7, larger="underestimates", smaller="overestimates"),
    Case(name="slope 1.6", slope=1.6, larger="overconfident", smaller="underconfident"),
    Case(name="slope .6", slope=0.6, larger="underconfident", smaller="overconfident"),
    Case(name="calibrated", larger="none", smaller="none"),
)


def drawn(dice: np.random.Generator, rate: float, case: Case, *, stated: bool, population: str = "normal") -> Cells:
    """Return the sums of one window, with the fault in what the model says or in what happens."""
    right, middle = np.clip(POPULATIONS[population](dice, rate), 1e-9, 1 - 1e-9), logit(rate)
    moved = expit(middle + case.shift + case.slope * (logit(right) - middle))
    p, chance = (moved, right) if stated else (right, moved)
    return Cells.from_rows(p, dice.random(LABELS) < chance)


def named(rate: float, case: Case, *, stated: bool, population: str, seeds: int = SEEDS) -> int:
    """Return how many windows get the right word."""
    windows = [
        drawn(np.random.default_rng(seed), rate, case, stated=stated, population=population) for seed in range(seeds)
    ]
    batches = [windows[first : first + AT_ONCE] for first in range(0, seeds, AT_ONCE)]
    words = [word for batch in batches for word in directions(stacked(batch), [None] * len(batch), binary=True)]
    return words.count(case.word(stated=stated))


def run() -> Iterator[str]:
    """Yield a table: of so many windows, how many get the right word."""
    body = [
        [
            f"{case.name} of what {'is said' if stated else 'happens'}" if not case.same else case.name,
            case.word(stated=stated),
            *(named(rate, case, stated=stated, population=name) for name in POPULATIONS for rate in RATES),
        ]
        for case in CASES
        for stated in ((True,) if case.same else (True, False))
    ]
    columns = [f"{name}, base rate {rate:g}" for name in POPULATIONS for rate in RATES]
    yield (
        f"{LABELS:,} labels a window, {SEEDS:,} windows each. The log odds of the probabilities are normal about those of the base rate, "
        f"with a standard deviation of 1, or the probabilities are beta with the base rate as their mean (a + b = {CONCENTRATION}). A "
        "calibrated model should get `none`; shift and slope are each tested at 5 %, so that chance names one now and then.\n\n"
        + table(["fault", "right word", *columns], body)
    )
