"""Streams of labelled events to try alarms on: confidences, outcomes, and their sums for many runs at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, expit, logit

from monitor.stats.cells import CELLS, Floats, place
from monitor.stats.reliability import Bins
from monitor.stats.sequential.betting import Entries

VALUES: Final = 60
GRID: Final = (np.arange(20_000) + 0.5) / 20_000
BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Population:
    """Confidences that take sixty equally likely values: the middle quantiles of a beta distribution."""

    name: str
    a: float
    b: float

    @property
    def p(self) -> Floats:
        """The values; shape (60,)."""
        return np.asarray(betaincinv(self.a, self.b, (np.arange(VALUES) + 0.5) / VALUES))

    def edge(self, gap: float) -> Floats:
        """Return chances of y = 1 that differ from every confidence by the same gap, towards the middle."""
        return np.where(self.p > 0.5, self.p - gap, self.p + gap)


POPULATIONS: Final = (
    Population("uniform", 1.0, 1.0),
    Population("top-label", 5.0, 0.5),
    Population("rare-event", 1.0, 50.0),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Labelled events of some runs, by value and in random halves; arrays have shape (2, runs, 60)."""

    p: Floats  # the values; shape (60,)
    n: Floats
    sy: Floats

    def entries(self) -> Entries:
        """Return the sums as entries, a row per run."""
        n, sy = self.n.sum(axis=0), self.sy.sum(axis=0)
        row, column = np.nonzero(n)
        value, count, ones = self.p[column], n[row, column], sy[row, column]
        return Entries(
            rows=len(n), row=row, cell=place(self.p)[column],
            n=count, sy=ones, sp=count * value, spp=count * value**2, spy=ones * value,
        )  # fmt: skip

    def bins(self) -> list[Bins]:
        """Return the sums in equal-width bins, one for each run."""
        edges = np.arange(BINS + 1) / BINS
        starts = np.searchsorted(self.p, edges[:-1], side="right")
        padded = [np.append(column, np.zeros((*column.shape[:-1], 1)), axis=-1) for column in self._sums()]
        empty = np.diff(np.append(starts, VALUES)) == 0
        n, sy, sp, spp, spy = (np.where(empty, 0.0, np.add.reduceat(column, starts, axis=-1)) for column in padded)
        names = ("n", "sy", "sp", "spp", "spy", "hn", "hsy", "hsp")
        every = (n.sum(0), sy.sum(0), sp.sum(0), spp.sum(0), spy.sum(0), n[0], sy[0], sp[0])
        return [
            Bins(lower=edges[:-1], upper=edges[1:], **dict(zip(names, sums, strict=True)))
            for sums in zip(*every, strict=True)
        ]

    def _sums(self) -> tuple[Floats, ...]:
        return self.n, self.sy, self.n * self.p, self.n * self.p**2, self.sy * self.p

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.p, self.n + other.n, self.sy + other.sy)


def drawn(dice: np.random.Generator, p: Floats, chance: Floats, *, runs: int, labels: int) -> Counts:
    """Return so many labelled events per run, each confidence equally likely, y = 1 with the chance that goes with it."""
    n = dice.multinomial(labels, np.full(len(p), 1 / len(p)), runs)
    half = dice.binomial(n, 0.5)
    parts = np.stack([half, n - half])
    return Counts(p, parts.astype(np.float64), dice.binomial(parts, chance).astype(np.float64))


def rows(p: NDArray[np.float64], y: NDArray[np.float64]) -> Entries:
    """Return the sums of events given one by one; arrays of shape (runs, labels)."""
    runs, labels = p.shape
    flat, outcome = p.ravel(), y.ravel().astype(np.float64)
    keys, inverse = np.unique(np.repeat(np.arange(runs), labels) * CELLS + place(flat), return_inverse=True)

    def total(weights: Floats) -> Floats:
        return np.bincount(inverse, weights).astype(np.float64)

    sums = {"n": total(np.ones_like(flat)), "sy": total(outcome), "sp": total(flat)}
    sums |= {"spp": total(flat**2), "spy": total(flat * outcome)}
    return Entries(rows=runs, row=keys // CELLS, cell=keys % CELLS, **sums)


def temperature(ece: float) -> float:
    """Return the factor of log odds at which a model with uniform confidences is overconfident by so much ECE."""
    return float(brentq(lambda factor: np.abs(expit(factor * logit(GRID)) - GRID).mean() - ece, 0.01, 1.0))


def table(head: Iterable[object], body: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown, numbers to the right."""
    heading = [str(cell) for cell in head]
    lines = [[_shown(cell) for cell in line] for line in body]
    rule = ["---"] + ["--:"] * (len(heading) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in [heading, rule, *lines])


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return "more" if np.isinf(cell) else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
