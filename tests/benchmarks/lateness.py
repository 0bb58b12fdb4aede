"""Lateness: labels that miss their time by outcome, labels missing at random, and events that share an outcome."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit, logit, ndtr

from monitor.stats.cells import Cells, Floats, place
from monitor.stats.sequential.evidence import Clusters, Evidence
from monitor.stats.sequential.selection import Labelling
from tests.benchmarks.alarms import ALPHA, THRESHOLD
from tests.benchmarks.streams import table

RUNS: Final = 60
LIMIT: Final = float(-np.log(ALPHA))
PER_STEP: Final = 1_000
"""Predictions of a step."""

A_DAY: Final = 8
"""Steps after which late labels come."""

GAMES: Final = 10
"""Clusters of a step."""

FORECASTS: Final = 120
"""Events of a cluster that lasts an hour."""

Chance = Callable[[Floats], Floats]
"""Of y = 1, by confidence; or of a label in time, by outcome."""

NOTHING: Final = Cells.from_rows([], [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A model and how its labels come."""

    name: str
    chance: Chance  # of y = 1
    in_time: Chance  # of a label in time
    late: bool = True  # whether other labels come a day later, or never
    onset: int = 0  # before this step all labels come in time
    steps: int = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    fired: int  # labels until the alert; 0 for none
    held: bool  # whether one was held
    peak: float


def calibrated(p: Floats) -> Floats:
    """Return the chances under confidences that mean what they say."""
    return p


def timid(p: Floats) -> Floats:
    """Return the chances under confidences whose log odds are twice too large."""
    return np.asarray(expit(logit(np.clip(p, 1e-6, 1 - 1e-6)) / 2))


def too_high(p: Floats) -> Floats:
    """Return the chances under confidences that say .10 too much."""
    return np.clip(p - 0.1, 0.0, 1.0)


def lived(life: Life, seed: int) -> Outcome:
    """Return what becomes of a run: it ends with an alert."""
    dice, evidence, held = np.random.default_rng(seed), Evidence.begin(), False
    missed: list[Cells] = []
    for step in range(life.steps):
        p = dice.random(PER_STEP)
        y = (dice.random(PER_STEP) < life.chance(p)).astype(np.float64)
        timely = (dice.random(PER_STEP) < life.in_time(y)) | (step < life.onset)
        everything, told = Cells.from_rows(p, y), Cells.from_rows(p[timely], y[timely])
        seen = Labelling.of_cells(replace(told, en=everything.n, esp=everything.sp))
        evidence = evidence.advanced(told, threshold=THRESHOLD)
        missed.append(Cells.from_rows(p[~timely], y[~timely]))
        if life.late and step >= A_DAY:
            evidence = evidence.taught(missed[step - A_DAY])
            seen += Labelling.of_cells(missed[step - A_DAY]).late
        evidence = evidence.labelled(seen, threshold=THRESHOLD, limit=LIMIT)
        if evidence.peak >= LIMIT:
            if evidence.doubt(threshold=THRESHOLD) is None:
                return Outcome(evidence.labels, held, evidence.peak)
            held = True
    return Outcome(0, held, evidence.peak)


def missing(share: float) -> Chance:
    """Return the chances of a label in time where a share of the positives misses it."""
    return lambda y: 1.0 - share * y


def at_random(share: float) -> Chance:
    """Return the chances of a label in time where that does not depend on the outcome."""
    return lambda y: np.full_like(y, share)


LIVES: Final = (
    *(
        Life(name=f"calibrated, {share:.0%} of positives a day late", chance=calibrated, in_time=missing(share))
        for share in (0.01, 0.1, 0.5)
    ),
    Life(
        name="calibrated, half of the positives late from step 20 on", chance=calibrated, in_time=missing(0.5), onset=20
    ),
    Life(name="calibrated, labels for positives only", chance=calibrated, in_time=lambda y: y, late=False),
    Life(name="calibrated, labels for negatives only", chance=calibrated, in_time=lambda y: 1.0 - y, late=False),
    *(
        Life(name=f"{name}, labels for a random {share:.0%}", chance=chance, in_time=at_random(share), late=False)
        for name, chance in (("log odds twice too large", timid), ("says .10 too much", too_high))
        for share in (1.0, 0.3, 0.05)
    ),
    Life(name="says .10 too much, a random half a day late", chance=too_high, in_time=at_random(0.5)),
)


def games(dice: np.random.Generator, *, shorter: bool) -> Clusters:
    """Return clusters of forecasts that approach one outcome, each calibrated at its moment.

    Parameters
    ----------
    shorter : whether a game ends after a quarter of its time where its favourite wins

    """
    noise = dice.standard_normal((GAMES, FORECASTS + 1)) / np.sqrt(FORECASTS + 1)
    lead = dice.standard_normal((GAMES, 1)) + np.cumsum(noise, axis=1)
    left = np.sqrt(1.0 - np.arange(1, FORECASTS + 1) / (FORECASTS + 1))
    p, won = ndtr(lead[:, :-1] / left), lead[:, -1:] > 0
    lasts = np.where(shorter & ((p[:, :1] > 0.5) == won), FORECASTS // 4, FORECASTS)
    game, event = np.nonzero(np.arange(FORECASTS) < lasts)
    ones = np.ones(len(game))
    return Clusters(game, place(p[game, event]), ones, won[game, 0].astype(np.float64), p[game, event])


def played(seed: int, *, shorter: bool, steps: int = 100) -> float:
    """Return the highest evidence of a run of clusters, each of which is one bet."""
    dice, evidence = np.random.default_rng(seed), Evidence.begin()
    for _ in range(steps):
        evidence = evidence.advanced(NOTHING, games(dice, shorter=shorter), threshold=THRESHOLD)
    return evidence.peak


def run(runs: int = RUNS) -> Iterator[str]:
    """Yield tables: alerts where labels miss their time, and where events share an outcome."""
    body: list[list[object]] = []
    for life in LIVES:
        outcomes = [lived(life, seed) for seed in range(runs)]
        fired = [outcome.fired for outcome in outcomes if outcome.fired]
        median = f"{np.median(fired):,.0f}" if fired else ""
        peak = max(outcome.peak for outcome in outcomes)
        body.append([life.name, len(fired), median, sum(outcome.held for outcome in outcomes), f"{peak:,.0f}"])
    head = ["model and labels", "alerts", "labels until then", "held", "largest log e"]
    yield (
        f"{runs} runs of {LIVES[0].steps} steps of {PER_STEP:,} predictions, p uniform, threshold {THRESHOLD}, rate {ALPHA}. Late "
        f"labels come {A_DAY} steps later. Held are runs in which an alert was held back for some time.\n\n"
        + table(head, body)
    )
    cases = (("120 forecasts over an hour", False), ("the same, a quarter as long where the favourite wins", True))
    rows: list[list[object]] = []
    for name, shorter in cases:
        peaks = [played(seed, shorter=shorter) for seed in range(runs)]
        rows.append([name, sum(peak >= LIMIT for peak in peaks), f"{max(peaks):.1f}"])
    yield (
        f"{runs} runs of {100 * GAMES:,} clusters of a calibrated model, each with one outcome, which its forecasts approach. A cluster "
        "is one bet.\n\n" + table(["clusters", "alerts", "largest log e"], rows)
    )
