"""Rollback: how soon a promotion whose drift has reversed is taken back, and how often one that is right.

A calibrator was promoted to correct a drift; later that drift ends, and the calibrator does harm. The rate of false rollbacks is .01, with
a look every 50 labels, in the second table every 250. The promised delay is what the server says when it promotes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from monitor.stats.cells import Floats
from monitor.stats.sequential.comparison import Comparison, Pairs, promised_delay, widest
from tests.benchmarks.streams import POPULATIONS, Population, drawn, table, temperature

ALPHA: Final = 0.01
STEP: Final = 50
"""Labels between two looks, and where only false rollbacks are counted, five times as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A model whose champion corrects a drift in temperature, and what is left of that drift."""

    ece: float  # of the model when its calibrator was fitted
    before: int = 0  # labels before the drift reverses
    left: float = 0.0  # of the drift afterwards: 0 none, 1 all
    population: Population = POPULATIONS[0]

    @property
    def served(self) -> Floats:
        """What the champion makes of the model's values."""
        p = self.population.p
        served: Floats = expit(self._factor() * logit(p))
        return served

    def _factor(self) -> float:
        if self.population is POPULATIONS[0]:
            return temperature(self.ece)
        p = self.population.p
        return float(brentq(lambda factor: np.abs(expit(factor * logit(p)) - p).mean() - self.ece, 0.01, 1.0))

    @property
    def chance(self) -> Floats:
        """The chance of y = 1 afterwards: half way both maps have the same Brier score."""
        return self.left * self.served + (1.0 - self.left) * self.population.p

    @property
    def promised(self) -> float:
        """How many labels the test says that it takes."""
        p = self.population.p
        return promised_delay(self.served, p, self.chance, alpha=ALPHA, before=self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversals:
    """Of some runs, how many labels after the reversal the champion was taken back (inf: not yet), and how many earlier."""

    delays: Floats
    early: int


def reversals(scene: Scene, *, runs: int, longest: int, seed: int = 1) -> Reversals:
    """Return how long it takes to find out that a champion does harm since the drift that it corrects is gone."""
    taken = _taken_back(scene, runs, scene.before + longest, seed, STEP)
    return Reversals(delays=taken[taken > scene.before] - float(scene.before), early=int((taken <= scene.before).sum()))


def false_rollbacks(scene: Scene, *, runs: int, labels: int, seed: int = 2) -> int:
    """Return in how many runs a champion is taken back although it is no worse."""
    return int(np.isfinite(_taken_back(scene, runs, labels, seed, 5 * STEP)).sum())


def _taken_back(scene: Scene, runs: int, labels: int, seed: int, look: int) -> Floats:
    """Return after how many labels each run's champion is taken back; inf for never."""
    dice = np.random.default_rng([seed, round(1000 * scene.ece)])
    p, served, chance = scene.population.p, scene.served, scene.chance
    bound = widest(served, p)
    tests, taken = [Comparison.begin() for _ in range(runs)], np.full(runs, np.inf)
    for first in range(0, labels, look):
        step = drawn(dice, p, served if first < scene.before else chance, runs=runs, labels=look)
        n, sy = step.n.sum(axis=0), step.sy.sum(axis=0)
        for i in np.flatnonzero(np.isinf(taken)):
            tests[i] = tests[i].advanced(Pairs.of_cells(n[i], sy[i], served, p), bound)
            if tests[i].verdict(ALPHA) == "worse":
                taken[i] = first + look
    return taken


def late(sizes: tuple[float, ...], earlier: tuple[int, ...], runs: int) -> str:
    """Return a table of delays in labels."""
    body: list[list[object]] = []
    for ece in sizes:
        for before in earlier:
            scene = Scene(ece=ece, before=before)
            taken_back = reversals(scene, runs=runs, longest=30_000)
            half, most = (float(np.quantile(taken_back.delays, share)) for share in (0.5, 0.95))
            body.append([f"{ece:.2f}", before, scene.promised, half, most, f"{taken_back.early} of {runs}"])
    head = [
        "ECE that the champion corrects",
        "labels before the drift reverses",
        "promised delay",
        "median delay",
        "95 % within",
    ]
    return table([*head, "taken back before"], body)


def wrong(runs: int, labels: int) -> str:
    """Return a table of champions that are taken back although they are no worse."""
    body: list[list[object]] = [
        [
            population.name,
            what,
            f"{false_rollbacks(Scene(ece=ece, left=left, population=population), runs=runs, labels=labels)} of {runs}",
        ]
        for population, ece in zip(POPULATIONS, (0.10, 0.05, 0.01), strict=True)
        for left, what in ((1.0, "right"), (0.5, "as good as what it replaced"))
    ]
    return table(["confidences", "the champion is", f"taken back within {labels:,} labels"], body)


def run() -> Iterator[str]:
    """Yield the tables."""
    sizes, earlier = (0.05, 0.10, 0.17), (0, 2_000, 20_000)
    yield "Labels from a reversal to the rollback, 200 runs:\n\n" + late(sizes, earlier, 200)
    yield "False rollbacks:\n\n" + wrong(200, 100_000)
