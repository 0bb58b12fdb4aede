"""Refits on simulated labels: how often each is promoted, and how often that does harm.

The server refits with `method: "auto"` and keeps the last part of the labels for its gate. A promotion is harmful if the true Brier score
of what is served rises by more than .005. "Left to a person" counts refits that passed the gate but whose labels look wrong; "families"
counts the promoted calibrators. The mean gap is the mean distance between confidence and chance: the true ECE.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

from monitor.calibrators.families import from_document
from monitor.calibrators.rows import rows_of_cells
from monitor.domain.settings import Model, ModelSettings
from monitor.recalibrate.refit import HOLDOUT, Outcome, refit
from monitor.stats.cells import Cells
from monitor.windows.samples import Sample, joined
from tests.benchmarks.streams import table

Array = NDArray[Any]
Draw = Callable[[np.random.Generator, int], Array]
Truth = Callable[[Array], Array]

HARM: Final = 0.005
"""A promotion is harmful where the true Brier score of what is served rises by more."""

BUCKETS: Final = 10
SETTLED: Final = 20_000
SEEDS: Final = 1_000
TRUSTED_SHARE: Final = 0.25
CLASSES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A model whose scores and chances are known."""

    name: str
    draw: Draw  # raw scores: (n,), or (n, K) vectors
    truth: Truth = field(default=lambda raw: raw)  # chances of y = 1, or of each class

    @property
    def grid(self) -> Array:
        """Raw scores to judge maps on."""
        return self.draw(np.random.default_rng(0), SETTLED)

    @property
    def gap(self) -> float:
        """How far confidences and chances are apart on average; of vectors, those of the answer."""
        raw = self.grid
        gap = np.abs(self.truth(raw) - raw)
        return float(gap.mean() if raw.ndim == 1 else gap[np.arange(SETTLED), raw.argmax(axis=1)].mean())


def beta(a: float, b: float) -> Draw:
    """Return confidences of a beta distribution, as far from 0 and 1 as log losses stay finite."""
    return lambda dice, n: np.clip(dice.beta(a, b, n), 1e-6, 1.0 - 1e-6)


def vectors(dice: np.random.Generator, n: int) -> Array:
    """Return vectors of five classes."""
    return np.asarray(softmax(dice.normal(0.0, 2.0, (n, CLASSES)), axis=1))


CALIBRATED: Final = (
    World(name="uniform", draw=beta(1.0, 1.0)),
    World(name="one in ten comes true", draw=beta(1.0, 9.0)),
    World(name="top-label", draw=beta(5.0, 0.5)),
)
FIVE: Final = World(name="five classes", draw=vectors)
FIVE_TOO_SURE: Final = replace(FIVE, truth=lambda raw: softmax(np.log(raw) / 1.5, axis=1))


def shifted(world: World, shift: float) -> World:
    """Return a model whose log odds are 1.5 times too large, and then off by a shift."""
    return replace(world, name=f"{world.name}, shift {shift:+g}", truth=lambda raw: expit(logit(raw) / 1.5 + shift))


TOO_SURE: Final = (
    shifted(CALIBRATED[0], 0.5),
    shifted(CALIBRATED[0], 0.25),
    shifted(CALIBRATED[1], 0.5),
    shifted(CALIBRATED[2], -0.5),
    FIVE_TOO_SURE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Labels that are wrong."""

    share: float = 0.0  # of labels
    one_sided: bool = False  # only what came true is denied
    trusted: float | None = None  # share of labels from a source that is declared trusted, and is right; None: none is

    def applied(self, dice: np.random.Generator, y: Array) -> Array:
        """Return labels, some of them wrong."""
        chance = np.where(y > 0, self.share / max(y.mean(), self.share), 0.0) if self.one_sided else self.share
        return np.where(dice.random(len(y)) < chance, 1 - y, y)


def outcomes(dice: np.random.Generator, chance: Array) -> Array:
    """Return what comes true: 0 or 1, or a class."""
    if chance.ndim == 1:
        return (dice.random(len(chance)) < chance).astype(np.int64)
    return (dice.random((len(chance), 1)) > chance.cumsum(axis=1)[:, :-1]).sum(axis=1)


def sample_of(world: World, n: int, seed: int, flips: Flips) -> Sample:
    """Return labels as a refit reads them: sums by cell and bucket, or rows for vectors and where a source is trusted."""
    dice = np.random.default_rng([seed, n])
    raw = world.draw(dice, n)
    y = outcomes(dice, world.truth(raw))
    at = np.arange(n) * BUCKETS // n
    trusted = None if flips.trusted is None else dice.random(n) < flips.trusted
    if flips.share:
        wrong = flips.applied(dice, y)
        y = wrong if trusted is None else np.where(trusted, y, wrong)
    if raw.ndim > 1 or trusted is not None:
        return Sample(raw, y, np.ones(n), at, trusted)
    return joined([_summed(raw[at == bucket], y[at == bucket], bucket) for bucket in range(BUCKETS)])


def _summed(raw: Array, y: Array, bucket: int) -> Sample:
    cells = Cells.from_rows(raw, y)
    p, outcome, weight = rows_of_cells(cells.n, cells.sy, cells.sp, cells.spy)
    return Sample(p, outcome, weight, np.full(len(p), bucket))


def model_of(world: World, flips: Flips) -> Model:
    """Return the declared model."""
    many = world.grid.ndim > 1
    settings = ModelSettings(trusted_sources=None if flips.trusted is None else ("audit",))
    return Model(
        id=1,
        name="m",
        task="multiclass" if many else "binary",
        classes=tuple("abcde") if many else None,
        settings=settings,
        revision=1,
        created_at=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """Of so many refits, those that promote by themselves, and those of them that do harm."""

    seeds: int
    any: int
    harmful: int
    held: int  # passed the gate, but are left to a person
    methods: dict[str, int]  # promoted, by method


def promoted(world: World, n: int, seeds: int, flips: Flips = Flips(), *, first: int = 0) -> Promoted:
    """Return what refits on so many labels come to, one for each seed."""
    model, grid = model_of(world, flips), world.grid
    chance = world.truth(grid)
    count = harmful = held = 0
    methods: dict[str, int] = {}
    for seed in range(first, first + seeds):
        outcome = refit(model, sample_of(world, n, seed, flips), method="auto", holdout=HOLDOUT, incumbent=None)
        if outcome.passed and outcome.held is not None:
            held += 1
        elif outcome.passed:
            count += 1
            harmful += rise(outcome, grid, chance) > HARM
            method = outcome.fitted.method
            methods[method] = methods.get(method, 0) + 1
    return Promoted(seeds=seeds, any=count, harmful=harmful, held=held, methods=methods)


def rise(outcome: Outcome, grid: Array, chance: Array) -> float:
    """Return by how much the true Brier score rises under what would be served."""
    served = from_document(outcome.fitted.working_part).predict_proba(grid)
    change = (served - chance) ** 2 - (grid - chance) ** 2
    return float(change.mean() if change.ndim == 1 else change.sum(axis=1).mean())


def row(outcome: Promoted, *named: Any) -> list[Any]:
    """Return a table's row."""
    shares = [f"{100.0 * count / outcome.seeds:.1f} %" for count in (outcome.any, outcome.harmful, outcome.held)]
    return [*named, *shares, ", ".join(f"{name} {count}" for name, count in sorted(outcome.methods.items()))]


HEAD: Final = ("promoted", "of these harmful", "left to a person", "families")


def calibrated(seeds: int) -> str:
    """Return a table of promotions on calibrated models, where none is needed."""
    sizes = (300, 1_000, 3_000, 10_000, 20_000)
    body = [row(promoted(world, n, seeds), world.name, f"{n:,}") for world in CALIBRATED for n in sizes]
    body += [row(promoted(FIVE, n, seeds), FIVE.name, f"{n:,}") for n in (300, 1_000, 3_000, 10_000)]
    return table(["confidences", "labels", *HEAD], body)


def repaired(seeds: int) -> str:
    """Return a table of promotions on models that a temperature of 1.5, of single confidences with a shift, would repair."""
    body = [
        row(promoted(world, n, seeds), world.name, f"{world.gap:.3f}", f"{n:,}")
        for world in TOO_SURE
        for n in (2_000, 5_000)
    ]
    return table(["confidences", "mean gap", "labels", *HEAD], body)


def flipped(seeds: int) -> str:
    """Return a table of promotions on calibrated models some of whose labels are wrong."""
    body = []
    for trusted in (None, TRUSTED_SHARE):
        for one_sided in (False, True):
            for share in (0.05, 0.10, 0.20):
                flips = Flips(share=share, one_sided=one_sided, trusted=trusted)
                how = f"{100 * share:.0f} % {'one-sided' if one_sided else 'at random'}"
                source = "none" if trusted is None else f"of {100 * trusted:.0f} % of the labels"
                body += [row(promoted(CALIBRATED[0], n, seeds, flips), source, how, f"{n:,}") for n in (2_000, 10_000)]
    return table(["trusted source", "flipped", "labels", *HEAD], body)


def run(seeds: int = SEEDS) -> Iterator[str]:
    """Yield the tables, one by one."""
    yield f"Refits of calibrated models, {seeds} seeds:\n\n" + calibrated(seeds)
    yield f"Refits of models that are too sure, {seeds} seeds:\n\n" + repaired(seeds)
    yield f"Refits of calibrated models on labels of which some are wrong, {seeds} seeds:\n\n" + flipped(seeds)
