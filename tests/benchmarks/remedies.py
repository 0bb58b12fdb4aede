"""Remedies: how often a fault that is known gets the remedy that repairs it.

A window and its reference have 5,000 labels each, from three sources, of three segments, with delays drawn at random. `ECE` is the mean
of the windows.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.stats.cells import Cells
from monitor.stats.noise import ece_lower_bound
from monitor.stats.odd_one_out import Labelled
from monitor.stats.reliability import bins_of, ece
from monitor.stats.remedy import Grounds, of_probabilities
from monitor.windows.suspects import Groupings, suspicions
from tests.benchmarks.streams import table

Array = NDArray[Any]
Dice = np.random.Generator

SEEDS: Final = 1_000
LABELS: Final = 5_000
THRESHOLD: Final = 0.05
ALPHA: Final = 0.01
MINIMUM: Final = 500
GROUPS: Final = 3
NONE: Final = "none"
REMEDIES: Final = ("recalibrate", "retrain", "check_labels", "wait", NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Confidences of a calibrated model."""

    name: str
    a: float
    b: float
    binary: bool

    def drawn(self, dice: Dice, n: int = LABELS) -> Array:
        """Return confidences of a beta distribution."""
        return np.clip(dice.beta(self.a, self.b, n), 1e-6, 1 - 1e-6)


WORLDS: Final = (
    World(name="evenly spread", a=1.0, b=1.0, binary=True),
    World(name="two in seven happen", a=2.0, b=5.0, binary=True),
    World(name="top-label", a=2.5, b=0.7, binary=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Labelled events, and the group that each is in by source, segment and delay; arrays of shape (n,)."""

    p: Array
    y: Array
    source: Array
    segment: Array
    late: Array

    @property
    def cells(self) -> Cells:
        """Their sums."""
        return Cells.from_rows(self.p, self.y)

    def part(self, n: int) -> "Window":
        """Return the first events."""
        return Window(**{name: getattr(self, name)[:n] for name in self.__slots__})

    def flipped(self, dice: Dice, chance: Array | float) -> "Window":
        """Return the events with some labels wrong."""
        return replace(self, y=np.where(dice.random(len(self.y)) < chance, 1 - self.y, self.y))


def window(dice: Dice, p: Array, chance: Array) -> Window:
    """Return events whose outcomes have these chances."""
    n = len(p)
    groups = dice.integers(0, GROUPS, (2, n))
    y = (dice.random(n) < chance).astype(np.int64)
    return Window(p=p, y=y, source=groups[0], segment=groups[1], late=dice.random(n) < 0.5)


def healthy(world: World, dice: Dice) -> Window:
    """Return a calibrated window."""
    p = world.drawn(dice)
    return window(dice, p, p)


def stretched(factor: float) -> Callable[[World, Dice], Window]:
    """Return scores whose log odds are stretched about those of the base rate; what happens stays as it was."""

    def fault(world: World, dice: Dice) -> Window:
        truth = world.drawn(dice)
        centre = logit(truth.mean())
        return window(dice, expit(centre + factor * (logit(truth) - centre)), truth)

    return fault


def raised(shift: float) -> Callable[[World, Dice], Window]:
    """Return the same scores, where outcomes have other odds."""

    def fault(world: World, dice: Dice) -> Window:
        p = world.drawn(dice)
        return window(dice, p, expit(logit(p) + shift))

    return fault


def thinned(share: float) -> Callable[[World, Dice], Window]:
    """Return events of outcome 0 with only a share of those of outcome 1."""

    def fault(world: World, dice: Dice) -> Window:
        p = world.drawn(dice, 4 * LABELS)
        many = window(dice, p, p)
        kept = (many.y == 0) | (dice.random(len(p)) < share)
        return Window(**{name: getattr(many, name)[kept][:LABELS] for name in many.__slots__})

    return fault


def wrong(share: float, among: Callable[[Window], Array]) -> Callable[[World, Dice], Window]:
    """Return a calibrated window with a share of some labels wrong."""

    def fault(world: World, dice: Dice) -> Window:
        right = healthy(world, dice)
        return right.flipped(dice, share * among(right))

    return fault


def noisy(world: World, dice: Dice) -> Window:
    """Return scores with noise in their log odds, so that they order events less well."""
    truth = world.drawn(dice)
    return window(dice, expit(logit(truth) + dice.normal(0.0, 1.75, LABELS)), truth)


def blunted(world: World, dice: Dice) -> Window:
    """Return outcomes that the scores say less about than they did, everywhere."""
    p = world.drawn(dice)
    return window(dice, p, p + 0.7 * (p.mean() - p) if world.binary else p - 0.35 * (p - 0.3))


def shuffled(world: World, dice: Dice) -> Window:
    """Return labels that are joined to the wrong predictions."""
    right = healthy(world, dice)
    return replace(right, y=dice.permutation(right.y))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault with the remedy that it asks for."""

    name: str
    of: Callable[[World, Dice], Window]
    remedy: str
    binary_only: bool = False
    reference: bool = True


FAULTS: Final = (
    Fault(name="scores too extreme (temperature)", of=stretched(2.2), remedy="recalibrate"),
    Fault(name="scores too timid (temperature)", of=stretched(0.15), remedy="recalibrate"),
    Fault(name="outcome 1 more likely at each score", of=raised(0.8), remedy="recalibrate", binary_only=True),
    Fault(name="outcome 1 less likely at each score", of=raised(-0.8), remedy="recalibrate", binary_only=True),
    Fault(name="fewer events of outcome 1", of=thinned(0.35), remedy="recalibrate", binary_only=True),
    Fault(name="labels of one source wrong", of=wrong(0.6, lambda right: right.source == 0), remedy="check_labels"),
    Fault(name="labels of one segment wrong", of=wrong(0.6, lambda right: right.segment == 0), remedy="check_labels"),
    Fault(name="late labels wrong", of=wrong(0.45, lambda right: right.late), remedy="check_labels"),
    Fault(name="labels at other predictions", of=shuffled, remedy="check_labels"),
    Fault(name="scores order events less well", of=noisy, remedy="retrain"),
    Fault(name="outcomes depend less on the scores", of=blunted, remedy="retrain"),
    Fault(name="labels wrong everywhere", of=wrong(0.2, lambda right: np.ones(len(right.y))), remedy="retrain"),
    Fault(name="no reference", of=stretched(2.2), remedy="wait", reference=False),
    Fault(name="400 labels", of=lambda world, dice: stretched(2.2)(world, dice).part(400), remedy="wait"),
    Fault(name="nothing is wrong", of=healthy, remedy=NONE),
)


def remedy(world: World, fault: Fault, seed: int) -> tuple[str, float]:
    """Return the remedy of a window with a fault, and the window's ECE."""
    dice = np.random.default_rng(seed)
    before, now = healthy(world, dice).cells, fault.of(world, dice)
    error = ece(bins_of(now.cells)) or 0.0
    if fault.remedy == NONE and _is_calibrated(now, fault.of(world, dice)):
        return NONE, error
    labelled = Labelled(stated=now.p, outcome=now.y.astype(np.float64))
    grounds = Grounds(minimum=MINIMUM, threshold=THRESHOLD, suspects=suspicions(labelled, groupings(now), THRESHOLD))
    reference = before if fault.reference else None
    return of_probabilities(now.cells, reference, grounds, binary=world.binary).remedy, error


def _is_calibrated(now: Window, previous: Window) -> bool:
    """Return whether a window's lower bound is within the threshold."""
    bound = ece_lower_bound(bins_of(now.cells), bins_of(previous.cells), alpha=ALPHA)
    return bound is None or bound <= THRESHOLD


def groupings(labelled: Window) -> Groupings:
    """Return the groups that labels are compared in."""
    return (
        ("those of source {name}", {str(source): labelled.source == source for source in range(GROUPS)}),
        ("predictions of {name}", {str(segment): labelled.segment == segment for segment in range(GROUPS)}),
        ("{name} ones", {"early": ~labelled.late, "late": labelled.late}),
    )


def row(world: World, fault: Fault, seeds: int) -> list[Any]:
    """Return how often each remedy was named, as a row."""
    told = [remedy(world, fault, seed) for seed in range(seeds)]
    counts = Counter(name for name, _ in told)
    error = float(np.mean([error for _, error in told]))
    right = f"{100 * counts[fault.remedy] / seeds:.1f} %"
    return [world.name, fault.name, f"{error:.3f}", f"`{fault.remedy}`", right, *(counts[name] for name in REMEDIES)]


def run(seeds: int = SEEDS) -> Iterator[str]:
    """Yield the table."""
    body = [row(world, fault, seeds) for world in WORLDS for fault in FAULTS if world.binary or not fault.binary_only]
    yield table(["confidences", "fault", "ECE", "remedy", "named in", *REMEDIES], body)
