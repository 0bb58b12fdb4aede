"""Ten segments, two of them off in opposite directions so that the total is calibrated: how often they are found, and others flagged.

One window of labels is judged once, with the signs of the gaps taken from the window before it where there is one, else from half of its
own labels. A segment is flagged at .4 of the limit of the whole model, .05, so one that is off by .02 is still within it. "False
discovery rate" is the mean share of flags that are wrong.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, reduce
from typing import Final

import numpy as np

from monitor.stats.cells import Cells, Floats
from monitor.stats.discovery import e_bh
from monitor.stats.noise import ece_lower_bound
from monitor.stats.reliability import bins_of
from monitor.stats.sequential.window import window_e_value
from monitor.windows.segments import MARGIN

SEGMENTS: Final = 10
LABELS: Final = 3000
OFF: Final = 0.08
THRESHOLD: Final = 0.05
RATE: Final = 0.01
SEEDS: Final = 100

Draw = Callable[[np.random.Generator, int], Floats]

CONFIDENCES: Final[dict[str, Draw]] = {
    "uniform p": lambda dice, count: dice.random(count),
    "top-label p": lambda dice, count: dice.beta(8, 2, count),
    "top-label p near 1": lambda dice, count: 0.5 + dice.beta(4, 0.8, count) / 2,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the runs."""

    both: int  # runs that flagged both broken segments
    unseen: int  # runs whose total is judged calibrated
    discoveries: float  # mean over the runs of the share of flags that are false


@cache
def shift(name: str, off: float) -> float:
    """Return how far outcomes must lie off confidences, clipped to [0, 1], for an ECE of this size; its sign is the direction."""
    p = CONFIDENCES[name](np.random.default_rng(1), 100_000)
    low, high = 0.0, 0.5
    for _ in range(30):
        middle = (low + high) / 2
        gap = np.abs(np.clip(p + np.sign(off) * middle, 0, 1) - p).mean()
        low, high = (middle, high) if gap < abs(off) else (low, middle)
    return float(np.sign(off)) * high


def segment(dice: np.random.Generator, name: str, off: float) -> Cells:
    """Return the sums of one segment whose ECE is of this size."""
    p = CONFIDENCES[name](dice, LABELS)
    y = dice.random(LABELS) < (np.clip(p + shift(name, off), 0, 1) if off else p)
    return Cells.from_rows(p, y)


def judged(dice: np.random.Generator, name: str, others: float, *, history: bool) -> tuple[list[bool], bool]:
    """Return which of ten segments are flagged, and whether their total is judged calibrated.

    The first two segments are broken, the rest off by `others`, up or down.
    """
    offs = [OFF, -OFF, *(others * (-1) ** i for i in range(SEGMENTS - 2))]
    earlier = [segment(dice, name, off) if history else None for off in offs]
    parts = [segment(dice, name, off) for off in offs]
    evidence = [
        window_e_value(part, before, threshold=MARGIN * THRESHOLD) for part, before in zip(parts, earlier, strict=True)
    ]
    bound = ece_lower_bound(bins_of(reduce(operator.add, parts)), None, alpha=RATE)
    return e_bh(evidence, RATE).tolist(), bound is not None and bound <= THRESHOLD


def tally(name: str, others: float, *, history: bool, seeds: int = SEEDS) -> Tally:
    """Return what becomes of so many runs."""
    runs = [judged(np.random.default_rng(seed), name, others, history=history) for seed in range(seeds)]
    false = [sum(flags[2:]) / max(1, sum(flags)) for flags, _ in runs]
    return Tally(sum(all(flags[:2]) for flags, _ in runs), sum(calm for _, calm in runs), float(np.mean(false)))


def run() -> Iterator[str]:
    """Yield a table: how many runs find both, in how many the total is judged calibrated, and the false discovery rate."""
    rows = ["| confidences | others | window before | both found | total judged calibrated | false discovery rate |"]
    rows.append("|---|---|---|---|---|---|")
    for name in CONFIDENCES:
        for others, what in ((0.0, "calibrated"), (MARGIN * THRESHOLD, "off by .02")):
            for history in (False, True):
                runs = tally(name, others, history=history)
                cells = (name, what, "yes" if history else "no", runs.both, runs.unseen, f"{runs.discoveries:.4f}")
                rows.append(f"| {' | '.join(map(str, cells))} |")
    title = f"Ten segments of {LABELS:,} labels, two off by {OFF} in opposite directions, {SEEDS} runs, e-BH at {RATE}"
    yield "\n".join([f"{title}:", "", *rows])
