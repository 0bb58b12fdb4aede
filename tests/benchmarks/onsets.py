"""Onsets: how often the interval that an alert gives for the beginning of a fault holds the truth, and how wide it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit, logit

from monitor.stats.cells import Floats
from monitor.stats.onset import BINS, Gaps, Onset, onset
from monitor.stats.sequential.ledger import Ledger
from tests.benchmarks.alarms import ALPHA, THRESHOLD
from tests.benchmarks.streams import rows, table, temperature

SEEDS: Final = 1_000
BUCKET: Final = 50
LONGEST: Final = 9_000
"""Labels from the beginning of a fault after which a run without an alarm is left out."""

LATER: Final = 1_000
"""Labels after the alarm at which its fault is dated again."""

STEEP: Final = 0.2
"""Gap to which a gradual fault grows, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What becomes wrong with a model, and when."""

    name: str
    calm: int  # calibrated labels before; 0: wrong from the first one on
    chance: Callable[[Floats, Floats], Floats]  # of y = 1, by confidence and labels since the beginning
    draw: Callable[[np.random.Generator, tuple[int, int]], Floats] = lambda dice, shape: dice.random(shape)
    crosses: int = 0  # labels from its beginning until its ECE crosses the limit


def decided(dice: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return confidences of which most are near 0 or 1."""
    return np.clip(dice.beta(0.5, 0.5, shape), 0.005, 0.995)


def growing(labels: int) -> Callable[[Floats, Floats], Floats]:
    """Return chances under a gap that grows over so many labels."""
    return lambda p, since: np.clip(p - STEEP * np.minimum(since / labels, 1.5), 0.0, 1.0)


def too_extreme(p: Floats, _since: Floats) -> Floats:
    """Return chances under confidences whose ECE is .10 by a temperature."""
    return np.asarray(expit(temperature(0.10) * logit(np.clip(p, 1e-9, 1 - 1e-9))))


FAULTS: Final = (
    *(Fault(name="too extreme, ECE .10", calm=calm, chance=too_extreme) for calm in (0, 2_000, 5_000)),
    Fault(name="says .10 too much", calm=2_000, chance=lambda p, _: np.clip(p - 0.1, 0.0, 1.0)),
    Fault(
        name="most scores near 0 or 1, log odds 2.5 times too large",
        calm=2_000,
        chance=lambda p, _: np.asarray(expit(0.4 * logit(p))),
        draw=decided,
    ),
    *(
        Fault(
            name=f"says ever more, ECE .20 after {length:,} labels",
            calm=2_000,
            chance=growing(length),
            crosses=round(THRESHOLD / STEEP * length),
        )
        for length in (4_000, 8_000)
    ),
)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one fault: per bucket and bin the sums of labelled events, and when each alarmed."""

    began: Floats  # labels before the fault, somewhere within a bucket; shape (runs,)
    alarmed: Floats  # buckets until the alarm, 0 for none
    sums: Floats  # n, Σ y, Σ p, Σ p(1 - p); shape (4, runs, buckets, BINS)

    def dated(self, run: int, labels: int) -> Onset | None:
        """Return when the fault of a run is said to have begun, so many labels after its alarm."""
        buckets = min(int(self.alarmed[run]) + labels // BUCKET, self.sums.shape[2])
        n, sy, sp, variance = self.sums[:, run, :buckets]
        return onset(Gaps(np.arange(buckets) * BUCKET, n, sy, sp, variance, n.sum(axis=1)), THRESHOLD)


def simulated(fault: Fault, *, runs: int, seed: int = 9) -> Runs:
    """Return runs of a fault, watched by the default test until all have alarmed, and a little longer."""
    dice = np.random.default_rng([seed, fault.calm, fault.crosses])
    began = fault.calm + dice.integers(0, BUCKET, runs) if fault.calm else np.zeros(runs)
    ledger, alarmed, sums = Ledger.begin(runs), np.zeros(runs), []
    for seen in range(0, fault.calm + LONGEST, BUCKET):
        p = fault.draw(dice, (runs, BUCKET))
        since = seen + np.arange(BUCKET) - began[:, None]
        y = (dice.random(p.shape) < np.where(since >= 0, fault.chance(p, since), p)).astype(np.float64)
        sums.append(_binned(p, y))
        ledger = ledger.advanced(rows(p, y), THRESHOLD)
        alarmed = np.where((alarmed == 0) & (ledger.log_e >= -np.log(ALPHA)), len(sums), alarmed)
        if alarmed.all() and len(sums) >= alarmed.max() + LATER // BUCKET:
            break
    return Runs(began.astype(np.float64), alarmed, np.stack(sums, axis=2))


def _binned(p: Floats, y: Floats) -> Floats:
    """Return the sums of a bucket of each run; shape (4, runs, BINS)."""
    place = np.maximum(np.ceil(p * BINS).astype(int) - 1, 0) + np.arange(len(p))[:, None] * BINS
    terms = (np.ones_like(p), y, p, p * (1.0 - p))
    return np.stack([np.bincount(place.ravel(), term.ravel(), p.shape[0] * BINS).reshape(-1, BINS) for term in terms])


def line(fault: Fault, runs: Runs) -> list[object]:
    """Return what became of the runs of a fault, as a line of the table."""
    fired = np.flatnonzero(runs.alarmed * BUCKET > runs.began)
    truth = runs.began + fault.crosses
    row: list[object] = [fault.name, fault.calm, len(fired)]
    for labels in (0, LATER):
        found = [(one, truth[run]) for run in fired if (one := runs.dated(int(run), labels)) is not None]
        held = [(one.low is None or one.low <= at) and at <= one.high for one, at in found]
        width = [one.high - (one.low or 0.0) for one, _ in found]
        error = [abs(one.at - at) for one, at in found]
        row += [f"{np.mean(held):.1%}", float(np.median(width)), float(np.median(error))]
    return [*row, f"{np.mean([one.low is None for one, _ in found]):.1%}"]


def run(seeds: int = SEEDS) -> Iterator[str]:
    """Yield a table: of the runs that alarmed, how many intervals hold the beginning of the fault."""
    head = (
        "fault",
        "calm labels before",
        "alarmed",
        "held at the alarm",
        "width",
        "off by",
        f"{LATER:,} labels later",
        "width",
        "off by",
    )
    body = [line(fault, simulated(fault, runs=seeds)) for fault in FAULTS]
    yield (
        f"{seeds:,} runs each, in buckets of {BUCKET} labels; the fault begins somewhere within one. The default test alarms, and the "
        "fault is dated at once and again later. Width of the interval and error of the estimate are medians, in labels. A gradual fault "
        "begins where its ECE crosses the limit. The last column counts intervals without a lower end, later: from the start, or before."
        "\n\n" + table([*head, "or before"], body)
    )
